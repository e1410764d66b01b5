"""`asymfusion translate`: a folder's or a bag's images to those that the network makes of them."""

import cv2
import numpy as np
import pytest
from generated_views import write_taskonomy
from helpers import refused, write_checkpoint
from recorded import DEPTH, HEIGHT, SECOND, WIDTH, distances, image, picture, write_bag
from rosbags.highlevel import AnyReader
from unets import register_tiny_unet, write_translation_checkpoint

from asymfusion_ros import Translator
from asymfusion_ros.cli.main import main
from asymfusion_ros.data.folder import Folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        register_tiny_unet(patch)
        yield write_translation_checkpoint(tmp_path_factory.mktemp("night") / "night.safetensors")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    place = tmp_path_factory.mktemp("data")
    source = write_taskonomy(place / "taskonomy", size=32, views=3)
    words = [
        "prepare",
        "taskonomy",
        "--root",
        source,
        "--domains",
        "depth",
        "shade",
        "--output",
        place / "made",
    ]
    assert main([str(word) for word in words]) == 0
    return place / "made"


def call(checkpoint, recording, output, *options):
    words = ("translate", checkpoint, recording, "--output", output, "--device", "cpu", *options)
    return [str(word) for word in words]


def test_a_folder_becomes_a_folder_of_images(checkpoint, data, tmp_path, capsys):
    output = tmp_path / "out"
    assert main(call(checkpoint, data, output, "--split", "val", "--each", "--precision", "fp32")) == 0
    folder = Folder(data)
    names = folder.names("val")
    assert f"{len(names)} frames translated to rgb" in capsys.readouterr().out
    translator = Translator.from_checkpoint(checkpoint, device="cpu", precision="fp32")
    for name in names:
        images = folder.read(name, ("depth", "shade")).images
        result = translator(**images, each=True).numpy()
        for place, expected in (
            ("rgb", result.image),
            ("rgb_from_depth", result.each["depth"]),
            ("rgb_from_shade", result.each["shade"]),
        ):
            found = cv2.imread(str(output / place / f"{name}.png"))[..., ::-1]
            assert np.abs(found.astype(int) - expected).max() <= 1, (place, name)
    assert sorted(path.name for path in output.iterdir()) == [
        "rgb", "rgb_from_depth", "rgb_from_shade", "translation.json"
    ]  # fmt: skip


def test_a_call_that_was_interrupted_goes_on(checkpoint, data, tmp_path, capsys):
    output = tmp_path / "out"
    assert main(call(checkpoint, data, output)) == 0
    files = sorted((output / "rgb").rglob("*.png"))
    assert len(files) == 6
    before = {path: path.stat().st_mtime_ns for path in files}
    files[0].unlink()
    assert main(call(checkpoint, data, output)) == 0
    assert "1 frames translated to rgb, 5 were there" in capsys.readouterr().out
    assert all(path.stat().st_mtime_ns == before[path] for path in files[1:])
    said = refused(capsys, *call(checkpoint, data, output, "--each"))
    assert "holds a translation of other settings" in said


def test_a_bag_becomes_a_bag(checkpoint, tmp_path, capsys):
    shade, sent = "/camera/infra1/image_rect_raw", []
    for index in range(3):
        stamp = (100 + index) * SECOND
        grey = picture(index)[..., 0]
        sent.append((DEPTH, stamp + 1000, image(stamp, distances(index), "16UC1", "infra")))
        sent.append((shade, stamp + 2000, image(stamp, grey, "mono8", "infra")))
    bag = write_bag(tmp_path / "night_drive", sent)
    output = tmp_path / "out"
    assert (
        main(call(checkpoint, bag, output, "--png", "--topic", f"shade={shade}", "--precision", "fp32")) == 0
    )
    with AnyReader([output / "bag"]) as reader:
        found = list(reader.messages())
        assert {connection.topic for connection, _, _ in found} == {"/translation/image"}
        messages = [reader.deserialize(data, connection.msgtype) for connection, _, data in found]
    assert [one.header.stamp.sec for one in messages] == [100, 101, 102]
    assert {(one.encoding, one.header.frame_id) for one in messages} == {("rgb8", "infra")}
    translator = Translator.from_checkpoint(checkpoint, device="cpu", precision="fp32")
    expected = translator(depth=distances(1), shade=picture(1)[..., 0]).numpy().image
    np.testing.assert_array_equal(messages[1].data.reshape(HEIGHT, WIDTH, 3), expected)
    named = cv2.imread(str(output / "rgb" / "0000000101.000000000.png"))[..., ::-1]
    np.testing.assert_array_equal(named, expected)
    assert f"/translation/image in {output / 'bag'}" in capsys.readouterr().out


@pytest.mark.parametrize("damage", ["masks", "topic", "elsewhere", "empty"])
def test_calls_that_are_refused(checkpoint, data, tmp_path, capsys, damage):
    output, recording, options = tmp_path / "out", data, []
    if damage == "masks":
        checkpoint, said = write_checkpoint(tmp_path / "masks.safetensors"), "makes no images"
    elif damage == "topic":
        options, said = (
            ["--topic", "thermal=/flir"],
            "a topic of thermal is given, but the checkpoint takes depth",
        )
    elif damage == "elsewhere":
        output.mkdir()
        (output / "mine.txt").write_text("x")
        said = "is not empty and was not made by this command"
    else:
        recording = tmp_path / "nothing"
        recording.mkdir()
        said = "has no images in depth/ or shade/"
    assert said in refused(capsys, *call(checkpoint, recording, output, *options))
