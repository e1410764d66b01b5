"""Image translation from the official tree to a robot: prepare, train, evaluate, translate, the node."""

import json

import cv2
import numpy as np
import pytest
from generated_views import write_taskonomy
from unets import TINY, register_tiny_unet

from asymfusion_ros import Translator
from asymfusion_ros.cli.main import main
from asymfusion_ros.data.folder import Folder

RECIPE = f"""\
extends: taskonomy_unet
network: {{encoder: {TINY}}}
translation: {{discriminator_width: 2}}
loop: {{epochs: 1, batch: 2, validate_every: 1}}
"""


def run(*words):
    assert main([str(word) for word in words]) == 0


@pytest.fixture(autouse=True, scope="module")
def tiny_unet():
    with pytest.MonkeyPatch.context() as patch:
        register_tiny_unet(patch)
        yield


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("night")
    write_taskonomy(root / "taskonomy", ("ackerman", "beechwood"), 4, 64)
    (root / "r.yaml").write_text(RECIPE)
    for name, options in (("folder", []), ("shards", ["--shards", "3"])):
        words = ["prepare", "taskonomy", "--root", root / "taskonomy", "--domains", "depth", "shade"]
        run(*words, "--train", "4", "--val", "2", "--output", root / name, *options)
    return root


def trained(place, data):
    output = place / f"run_{data}"
    words = ("train", "--data", place / data, "--recipe", place / "r.yaml", "--output", output)
    run(*words, "--device", "cpu", "--workers", "0")
    return output


@pytest.fixture(scope="module")
def best(place):
    return trained(place, "folder") / "best.safetensors"


def test_shards_train_as_a_folder_does(place):
    history = (trained(place, "shards") / "history.jsonl").read_text().splitlines()
    line = json.loads(history[-1])
    assert line["epoch"] == 1 and np.isfinite(line["loss"])
    assert set(line["val"]) == {"depth", "shade", "ensemble"}


def test_what_was_trained_is_what_is_scored_and_used(place, best, tmp_path):
    """The scores, the Translator in Python, and the command are of one image of each view."""
    report = tmp_path / "scores.json"
    run("evaluate", best, "--data", place / "folder", "--split", "val", "--device", "cpu", "--json", report)
    differences = []
    folder = Folder(place / "folder")
    translator = Translator.from_checkpoint(best, device="cpu", precision="fp32")
    assert (translator.modalities, translator.target) == (("shade", "depth"), "rgb")
    words = ("translate", best, place / "folder", "--split", "val", "--output", tmp_path / "out")
    run(*words, "--device", "cpu", "--precision", "fp32")
    for name in folder.names("val"):
        views = folder.read(name).images
        image = translator(depth=views["depth"], shade=views["shade"]).numpy().image
        assert image.shape == views["rgb"].shape
        written = cv2.imread(str(tmp_path / "out" / "rgb" / f"{name}.png"))[..., ::-1]
        np.testing.assert_array_equal(written, image)
        differences.append(np.abs(image.astype(float) - views["rgb"]).mean() / 255)
    scored = json.loads(report.read_text())["branches"]["ensemble"]["l1"]
    # scored at the network's size; of the views' own size, a quarter of it, here
    assert scored == pytest.approx(np.mean(differences), rel=0.1)


def test_the_node_publishes_it(place, best):
    pytest.importorskip("rclpy", reason="needs rclpy")
    from node_harness import SECOND, Rig, image, pixels_of

    from asymfusion_ros.ros.translation import TranslationNode

    folder = Folder(place / "folder")
    views = folder.read(folder.names("val")[0]).images
    rig = Rig(
        best,
        listen=("image",),
        modalities=("depth", "shade"),
        make_node=TranslationNode,
        device="cpu",
        precision="fp32",
    )
    try:
        rig.start()
        rig.send(
            depth=image(views["depth"].astype(np.float32), "32FC1", SECOND),
            shade=image(views["shade"].astype(np.uint8), "mono8", SECOND),
        )
        published = pixels_of(rig.mask(SECOND, "image"))
    finally:
        rig.close()
    translator = Translator.from_checkpoint(best, device="cpu", precision="fp32")
    expected = translator(depth=views["depth"], shade=views["shade"]).numpy().image
    np.testing.assert_array_equal(published, expected)
