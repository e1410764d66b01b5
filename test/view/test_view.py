"""`asymfusion view`: what its files hold, what its web server does, what it refuses."""

from __future__ import annotations

import resource
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import CLASSES, refused, write_checkpoint, write_folder
from recorded import (
    DEPTH,
    HEIGHT,
    RGB,
    SECOND,
    WIDTH,
    camera_info,
    distances,
    frames,
    image,
    picture,
    static_transform,
    write_bag,
)

pytest.importorskip("rerun", reason="needs rerun-sdk")

import rerun as rr
import rerun_cli
from rrd import STATIC, floats, images, one, read_rrd, scalars, times

from asymfusion_ros import Segmenter
from asymfusion_ros.cli.main import main
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_ros.view import destinations

T0 = 100 * SECOND
STAMPS = [T0 + index * SECOND // 10 for index in range(4)]
FOCAL = 50.0
COLOURS = [(128, 0, 0), (0, 128, 0), (128, 128, 0)]  # the customary ones of the first three classes
RERUN = str(Path(rerun_cli.__file__).with_name("rerun"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors")


@pytest.fixture(scope="module")
def segmenter(checkpoint):
    return Segmenter.from_checkpoint(checkpoint, device="cpu")


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """Four frames of a camera that is known."""
    info = ("/camera/color/camera_info", T0, camera_info("camera", FOCAL))
    return write_bag(tmp_path_factory.mktemp("bag") / "walk", [info, *frames(4)])


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """Labels of the frames: the first class everywhere, but for rows of none."""
    folder = tmp_path_factory.mktemp("truth")
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    label[:10] = 255
    for stamp in STAMPS:
        cv2.imwrite(str(folder / f"{stamp // SECOND}.{stamp % SECOND:09d}.png"), label)
    return folder, label


@pytest.fixture(scope="module")
def shown(tmp_path_factory, checkpoint, bag, truth):
    """What is in the file of the bag."""
    path = tmp_path_factory.mktemp("shown") / "walk.rrd"
    assert view(checkpoint, bag, "--labels-dir", truth[0], "--save", path) == 0
    assert list(path.parent.iterdir()) == [path]
    return read_rrd(path)


def view(checkpoint, *arguments) -> int:
    words = [str(argument) for argument in arguments]
    return main(["view", *words, "--checkpoint", str(checkpoint), "--device", "cpu"])


def expected(segmenter, index):
    return segmenter.segment({"rgb": picture(index), "depth": distances(index)}, disagreement=True).numpy()


def test_masks_are_the_engines_at_the_recordings_stamps(shown, segmenter):
    results = [expected(segmenter, index) for index in range(4)]
    assert times(shown["/camera/mask"], "SegmentationImage:buffer") == STAMPS
    for made, result in zip(images(shown["/camera/mask"], "SegmentationImage"), results, strict=True):
        np.testing.assert_array_equal(made, result.labels)
    for made, result in zip(images(shown["/camera/confidence"], "Image"), results, strict=True):
        np.testing.assert_array_equal(made, result.confidence)
    for made, result in zip(images(shown["/camera/disagreement"], "Image"), results, strict=True):
        np.testing.assert_array_equal(made, cv2.resize(result.disagreement, (WIDTH, HEIGHT)))
    assert len({result.labels.tobytes() for result in results}) == 4  # and no two are alike


def test_images_are_the_recordings(shown):
    assert times(shown["/camera/rgb"], "EncodedImage:blob") == STAMPS
    for index, (_, blob) in enumerate(shown["/camera/rgb"]["EncodedImage:blob"]):
        decoded = cv2.imdecode(blob.values[0].values.to_numpy(), cv2.IMREAD_COLOR)[..., ::-1]
        assert np.abs(decoded.astype(int) - picture(index)).mean() < 12  # JPEG, of blocks of random colours
    for index, made in enumerate(images(shown["/camera/depth"], "DepthImage", np.uint16)):
        np.testing.assert_array_equal(made, distances(index))
    assert {value.as_py()[0] for _, value in shown["/camera/depth"]["DepthImage:meter"]} == {1000.0}


def test_classes_have_their_names_and_colours(shown):
    context = one(shown["/"], "AnnotationContext:context")[0]
    named = {entry["class_id"]: entry["class_description"]["info"] for entry in context}
    for index, (name, colour) in enumerate(zip(CLASSES, COLOURS, strict=True)):
        assert named[index]["label"] == name
        assert named[index]["color"].to_bytes(4, "big") == bytes((*colour, 255))
    assert named[255]["label"] == "unlabeled"
    assert set(named) == {0, 1, 2, 255}


def test_the_cloud_is_where_the_camera_saw_it(shown, segmenter):
    assert times(shown["/points"], "Points3D:positions") == STAMPS
    for index in range(4):
        z = distances(index)[::2, ::2] / 1000
        v, u = np.mgrid[0:HEIGHT:2, 0:WIDTH:2]
        x, y = (u - (WIDTH - 1) / 2) / FOCAL * z, (v - (HEIGHT - 1) / 2) / FOCAL * z
        known = z > 0
        positions = floats(shown["/points"]["Points3D:positions"][index][1])
        np.testing.assert_allclose(positions, np.stack([x, y, z], -1)[known], atol=1e-5)
        classes = np.array(shown["/points"]["Points3D:class_ids"][index][1].as_py())
        np.testing.assert_array_equal(classes, expected(segmenter, index).labels[::2, ::2][known])
    matrix = floats(shown["/camera"]["Pinhole:image_from_camera"][0][1]).reshape(3, 3).T
    # the middle of the image is half a pixel on from the middle of its pixels' middles
    np.testing.assert_allclose(matrix, [[FOCAL, 0, WIDTH / 2], [0, FOCAL, HEIGHT / 2], [0, 0, 1]])
    assert len(shown["/camera"]["Pinhole:image_from_camera"]) == 1  # it stays what it is


def test_curves_have_a_value_for_each_frame(shown, segmenter):
    results = [expected(segmenter, index) for index in range(4)]
    drawn: set[int] = set()
    curves: dict[int, list[float]] = {}
    for result in results:
        shares = np.bincount(result.labels.reshape(-1), minlength=3) / result.labels.size
        drawn |= {index for index in range(3) if shares[index] >= 0.01}
        for index in drawn:
            curves.setdefault(index, []).append(100 * shares[index])
    assert len(curves) > 1
    for index, name in enumerate(CLASSES):
        assert (f"/class_shares/{name}" in shown) == (index in curves)
    for index, values in curves.items():
        np.testing.assert_allclose(scalars(shown[f"/class_shares/{CLASSES[index]}"]), values)
    confidence = [result.confidence.mean() / 255 for result in results]
    np.testing.assert_allclose(scalars(shown["/means/confidence"]), confidence)
    assert times(shown["/latency/mask"], "Scalars:scalars") == STAMPS
    assert all(0 < value < 60_000 for value in scalars(shown["/latency/mask"]))


def test_labels_are_shown_with_what_is_wrong(shown, truth, segmenter):
    label = truth[1]
    accuracies = []
    for index in range(4):
        labels = expected(segmenter, index).labels
        np.testing.assert_array_equal(images(shown["/camera/truth"], "SegmentationImage")[index], label)
        errors = images(shown["/camera/errors"], "SegmentationImage")[index]
        assert (errors[:10] == 255).all()
        np.testing.assert_array_equal(errors[10:], labels[10:] != 0)
        accuracies.append((labels[10:] == 0).mean())
    np.testing.assert_allclose(scalars(shown["/means/accuracy"]), accuracies)
    context = one(shown["/camera/errors"], "AnnotationContext:context")[0]
    assert [entry["class_description"]["info"]["label"] for entry in context] == [
        "right",
        "wrong",
        "unlabeled",
    ]


def test_what_there_is_to_say_is_in_the_file(shown):
    notes = [value.as_py()[0] for _, value in shown["/notes"]["TextLog:text"]]
    assert any(line.startswith(f"rgb: {RGB} ") and "guessed" in line for line in notes)
    assert set(times(shown["/notes"], "TextLog:text")) <= set(STAMPS)
    assert one(shown["/__properties"], "RecordingInfo:name") == ["walk"]
    assert times(shown["/__properties"], "RecordingInfo:name") == [STATIC]


def test_a_folder_of_real_times_with_every_pixel(tmp_path, checkpoint, capsys):
    """Its labels are shown by themselves; of its camera nothing is known."""
    folder = write_folder(tmp_path / "stripes", frames=5)
    for part in ("rgb", "depth", "label"):
        for path in (folder / part).iterdir():
            path.rename(path.with_name(f"170000000{path.stem[-1]}.500000000.png"))
    path = tmp_path / "stripes.rrd"
    assert view(checkpoint, folder, "--every", 2, "--jpeg", 0, "--save", path) == 0
    assert "stripes: 3 frames" in capsys.readouterr().out
    found = read_rrd(path)
    stamps = [(1700000000 + index) * SECOND + SECOND // 2 for index in (0, 2, 4)]
    assert times(found["/camera/mask"], "SegmentationImage:buffer") == stamps
    for index, (_, buffer) in zip((0, 2, 4), found["/camera/rgb"]["Image:buffer"], strict=True):
        pixels = cv2.imread(str(folder / f"rgb/170000000{index}.500000000.png"))[..., ::-1]
        np.testing.assert_array_equal(buffer.values[0].values.to_numpy(), pixels.reshape(-1))
    assert len(images(found["/camera/truth"], "SegmentationImage")) == 3
    assert "/points" not in found and "/camera" not in found


def test_depth_of_another_camera_is_shown_as_the_colour_camera_sees_it(tmp_path, checkpoint):
    """The colour camera stands 5 cm to the right of the other, 1 m before a wall: 2.5 pixels at this focal
    length."""
    wall = np.full((HEIGHT, WIDTH), 1000, np.uint16)
    messages = [
        ("/tf_static", T0, static_transform("base", "colour", 0.15)),
        ("/tf_static", T0, static_transform("base", "ir", 0.1)),
        ("/camera/color/camera_info", T0, camera_info("colour", FOCAL)),
        ("/camera/depth/camera_info", T0, camera_info("ir", FOCAL)),
        (RGB, T0, image(T0, picture(1), "rgb8", "colour")),
        (DEPTH, T0, image(T0, wall, "16UC1", "ir")),
    ]
    path = tmp_path / "moved.rrd"
    assert view(checkpoint, write_bag(tmp_path / "a", messages), "--point-step", 0, "--save", path) == 0
    found = read_rrd(path)
    (depth,) = images(found["/camera/depth"], "DepthImage", np.float32)
    assert one(found["/camera/depth"], "DepthImage:meter") == [1.0]
    assert (depth[:, :-4] == 1).all() and (depth[:, -2:] == 0).all()
    assert "/points" not in found and "/camera" in found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), 1.0).close()
    except OSError:
        return False
    return True


def until(condition, seconds=60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def test_the_web_viewer_answers_on_loopback_alone_and_ends_with_ctrl_c(tmp_path, checkpoint, bag):
    web, grpc = free_port(), free_port()
    command = [sys.executable, "-m", "asymfusion_ros.cli", "view", str(bag), "--checkpoint", str(checkpoint)]
    command += ["--device", "cpu", "--web", "--web-port", str(web), "--port", str(grpc)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            url = process.stdout.readline().strip()
            assert url == f"http://127.0.0.1:{web}/?url=rerun%2Bhttp%3A%2F%2F127.0.0.1%3A{grpc}%2Fproxy"
            assert process.stdout.readline().strip() == "walk: 4 frames"
            page = urllib.request.urlopen(url, timeout=10).read().decode()
            assert "Rerun" in page
            # 127.0.0.2 is this machine too: what listens on every interface answers there.
            assert not answers("127.0.0.2", web) and not answers("127.0.0.2", grpc)
            # Who comes late gets all of it.
            kept = tmp_path / "late.rrd"
            late = [RERUN, f"rerun+http://127.0.0.1:{grpc}/proxy", "--save", str(kept)]
            with subprocess.Popen(late, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as viewer:
                try:
                    until(lambda: kept.is_file() and kept.stat().st_size > 20_000)
                    process.send_signal(signal.SIGINT)
                    assert process.wait(30) == 0
                    viewer.wait(30)
                finally:
                    viewer.kill()
            assert len(read_rrd(kept)["/camera/mask"]["SegmentationImage:buffer"]) == 4
        finally:
            process.kill()
    assert not answers("127.0.0.1", web) and not answers("127.0.0.1", grpc)


def test_frames_are_sent_to_a_viewer_elsewhere(tmp_path, checkpoint, bag, capsys):
    port, kept = free_port(), tmp_path / "kept.rrd"
    listening = [RERUN, "--bind", "127.0.0.1", "--port", str(port), "--save", str(kept)]
    with subprocess.Popen(listening, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as viewer:
        try:
            until(lambda: answers("127.0.0.1", port))
            assert view(checkpoint, bag, "--connect", f"127.0.0.1:{port}") == 0
            until(
                lambda: len(read_rrd(kept).get("/camera/mask", {}).get("SegmentationImage:buffer", ())) == 4
            )
        finally:
            viewer.kill()
    assert f"sending to the viewer at 127.0.0.1:{port}" in capsys.readouterr().out


def test_refusals(tmp_path, checkpoint, bag, monkeypatch, capsys):
    def refuse(*arguments):
        return refused(capsys, "view", *arguments, "--checkpoint", checkpoint, "--device", "cpu")

    path = tmp_path / "a.rrd"
    assert "give a recording" in refuse("--save", path)
    assert "or --live" in refuse(bag, "--live", "--save", path)
    assert "--labels-dir go with a recording" in refuse("--live", "--labels-dir", tmp_path, "--save", path)
    assert "NAME.rrd" in refuse(bag, "--save", tmp_path / "a.mcap")
    assert "there is no folder" in refuse(bag, "--save", tmp_path / "nowhere" / "a.rrd")
    assert "does not exist" in refuse(tmp_path / "no.bag", "--save", path)
    assert "--rgb /nowhere: " in refuse(bag, "--rgb", "/nowhere", "--save", path)
    path.write_bytes(b"mine")
    assert f"{path} exists" in refuse(bag, "--save", path)
    assert path.read_bytes() == b"mine"
    port = free_port()
    assert f"no viewer answers at 127.0.0.1:{port}" in refuse(bag, "--connect", f"127.0.0.1:{port}")
    assert "is not HOST" in refuse(bag, "--connect", "http://127.0.0.1:9876")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"--web-port {port}: Address already in use" in refuse(bag, "--web", "--web-port", port)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert "there is no display here" in refuse(bag)
    with pytest.raises(SystemExit):
        main(["view", str(bag), "--memory-limit", "much"])
    assert "much is not a size" in capsys.readouterr().err


def test_images_that_never_pair_leave_no_file(tmp_path, checkpoint, capsys):
    apart = write_bag(tmp_path / "apart", frames(2, apart=40_000_000))
    path = tmp_path / "a.rrd"
    words = ["view", str(apart), "--checkpoint", str(checkpoint), "--device", "cpu", "--save", str(path)]
    assert main(words) == 1
    assert "never pair within slop" in capsys.readouterr().err
    assert not list(tmp_path.glob("a.rrd*"))


def test_a_full_disk_is_one_line_and_leaves_no_file(tmp_path):
    stream = rr.RecordingStream("test", recording_id="full")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    path = tmp_path / "a.rrd"
    noise = np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))  # the process's signal of it is ignored
    try:
        with (
            pytest.raises(UserError, match=f"cannot write {path}: File too large"),
            destinations.to_file(path)(stream),
        ):
            stream.log("noise", rr.Image(noise))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not list(tmp_path.iterdir())


def test_without_rerun_one_line_says_what_to_install(monkeypatch, capsys):
    ours = ("asymfusion_ros.view", "asymfusion_ros.cli.view")
    for name in [module for module in sys.modules if module.startswith(ours)]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rerun", None)
    assert main(["view", "motorcycle"]) == 1
    line = "asymfusion view: error: rerun is not installed: pip install 'asymfusion_ros[view]'\n"
    assert capsys.readouterr().err == line


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("laptop", "rerun+http://laptop:9876/proxy"),
        ("10.0.0.7:1234", "rerun+http://10.0.0.7:1234/proxy"),
        ("rerun+http://[::1]:9/proxy", "rerun+http://[::1]:9/proxy"),
        ("rerun+https://host", "rerun+https://host:9876/proxy"),
    ],
)
def test_addresses(address, url):
    assert destinations.parsed(address)[2] == url


@pytest.mark.parametrize("address", ["", "http://host", "host:port", "rerun+http://host/other", "host:99999"])
def test_wrong_addresses(address):
    with pytest.raises(ConfigError, match="--connect"):
        destinations.parsed(address)
