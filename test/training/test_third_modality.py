"""A third camera: frames of colour, depth and temperature, from the folder to the scores."""

import json

import cv2
import numpy as np
import pytest
from helpers import METRES, refused, write_description, write_folder

from asymfusion_ros import Segmenter
from asymfusion_ros.cli.main import main
from asymfusion_ros.data.folder import Folder

RECIPE = """\
network:
  architecture: refinenet_lw
  encoder: efficientnet_lite0
  decoder_channels: 8
  dropout: 0
  modalities: [rgb, depth, thermal]
input: {height: 48, width: 64, images: {thermal: {mean: [300], std: [10]}}}
loop: {epochs: 2, batch: 4}
task: {pretrained: none, modality_dropout: 0.3, class_balance: 0}
data: {cutout: 0.3, depth_noise: 0.3}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    root = tmp_path_factory.mktemp("third")
    data = write_folder(root / "data")
    (data / "flir").mkdir()
    for path in (data / "depth").glob("*.png"):
        depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        kelvin = 290 + 10 * depth / (1000 * METRES[0])  # tells the class too
        cv2.imwrite(str(data / "flir" / path.name), np.round(100 * kelvin).astype(np.uint16))
    images = "{rgb: {}, depth: {unit: 0.001}, thermal: {unit: 0.01, folder: flir}}"
    write_description(data, depth_scale=None, images=images)
    (root / "r.yaml").write_text(RECIPE)
    return root


@pytest.fixture(scope="module")
def checkpoint(home):
    words = ["train", "--data", home / "data", "--recipe", home / "r.yaml", "--output", home / "run"]
    assert main([str(word) for word in (*words, "--device", "cpu", "--workers", 0)]) == 0
    return home / "run" / "last.safetensors"


def test_it_is_trained_and_scored(home, checkpoint, tmp_path):
    line = json.loads((home / "run" / "history.jsonl").read_text().splitlines()[-1])
    assert list(line["val"]) == ["rgb", "depth", "thermal", "ensemble"]
    masks = cv2.imread(str(home / "run" / "masks.png"))
    assert masks.shape == (2 * 184, 8 * 244, 3)  # three images, label, three modalities, ensemble
    words = [
        "evaluate",
        checkpoint,
        "--data",
        home / "data",
        "--device",
        "cpu",
        "--json",
        tmp_path / "s.json",
    ]
    assert main([str(word) for word in words]) == 0
    found = json.loads((tmp_path / "s.json").read_text())
    assert found["modalities"] == ["rgb", "depth", "thermal"]
    assert list(found["branches"]) == ["rgb", "depth", "thermal", "ensemble"]
    assert main([str(word) for word in (*words, "--modalities", "thermal", "rgb", "--flip")]) == 0
    assert json.loads((tmp_path / "s.json").read_text())["modalities"] == ["rgb", "thermal"]


def test_the_engine_takes_three_images_or_fewer(home, checkpoint):
    segmenter = Segmenter.from_checkpoint(checkpoint, device="cpu")
    images = Folder(home / "data").read("frame0").images
    for names in (("rgb", "depth", "thermal"), ("thermal",), ("depth", "thermal")):
        labels = segmenter(**{name: images[name] for name in names}).numpy().labels
        assert labels.shape == (48, 64) and labels.max() < 3


def test_held_frames_train_it_too(home, tmp_path):
    words = ["train", "--data", home / "data", "--recipe", home / "r.yaml", "--output", tmp_path / "run"]
    words += ["--device", "cpu", "--hold-frames", "--set", "depth_noise=0", "--set", "depth_holes=0"]
    assert main([str(word) for word in (*words, "--set", "epochs=1")]) == 0


def test_a_folder_without_it_is_refused(home, checkpoint, tmp_path, capsys):
    data = write_folder(tmp_path / "two")
    named = f"modalities: {data} has images of rgb, depth, not of thermal: list them under images"
    words = ("--data", data, "--device", "cpu")
    assert named in refused(
        capsys, "train", *words, "--recipe", home / "r.yaml", "--output", tmp_path / "run"
    )
    assert named in refused(capsys, "evaluate", checkpoint, *words)


def test_check_looks_at_it(home, tmp_path, capsys):
    assert main(["prepare", "check", str(home / "data"), "--json", str(tmp_path / "c.json")]) == 0
    thermal = json.loads((tmp_path / "c.json").read_text())["splits"]["train"]["thermal"]
    assert (thermal["min"], thermal["max"], thermal["invalid"]) == (300.0, 320.0, 0.0)
    assert "thermal median" in capsys.readouterr().out
    path = home / "data" / "flir" / "frame3.png"
    before = path.read_bytes()
    path.unlink()
    line = refused(capsys, "prepare", "check", home / "data")
    path.write_bytes(before)
    assert "has 1 problems" in line
