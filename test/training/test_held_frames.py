"""Frames held on the device: what readers on the CPU would have given, and runs that train on them."""

import json

import cv2
import numpy as np
import pytest
import torch
from helpers import refused, write_description, write_folder
from safetensors.torch import load_file

from asymfusion_ros.cli.main import main
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.errors import ConfigError
from asymfusion_training.data.frames import TrainingFrames
from asymfusion_training.data.held_frames import HeldFrames
from asymfusion_training.data.settings import DataSettings

CPU = torch.device("cpu")
SPEC = InputSpec(height=96, width=128)
PLAIN = {"depth_holes": 0.0, "depth_noise": 0.0}
TILES = tuple(f"tile {i}" for i in range(48))
KEYS = [(0, 0), (0, 1), (3, 2), (7, 0)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Smooth colours and temperatures, so that two filters agree on them; depth and label that say where a
    pixel was."""
    root = write_folder(tmp_path_factory.mktemp("held") / "frames", frames=3, size=(192, 256), labels=TILES)
    write_description(root, labels=list(TILES), images="{rgb: {}, depth: {}, thermal: {unit: 0.01}}")
    (root / "thermal").mkdir()
    y, x = np.mgrid[:192, :256]
    for i in range(3):
        rgb = np.stack([y, x, (x + y + 40 * i) / 2.3], 2).astype(np.uint8)
        cv2.imwrite(str(root / "rgb" / f"frame{i}.png"), rgb[..., ::-1])
        cv2.imwrite(str(root / "depth" / f"frame{i}.png"), (256 * y + x + 1).astype(np.uint16))
        cv2.imwrite(str(root / "thermal" / f"frame{i}.png"), (100 * y + 50 * x + 1000 * i).astype(np.uint16))
        cv2.imwrite(str(root / "label" / f"frame{i}.png"), (y // 32 * 8 + x // 32).astype(np.uint8))
    return Folder(root)


def training_frames(folder, **settings):
    return TrainingFrames(
        folder, "train", ("rgb", "depth", "thermal"), SPEC, DataSettings(**PLAIN, **settings)
    )


def both(folder, **settings):
    frames = training_frames(folder, **settings)
    return frames.__getitems__(KEYS), HeldFrames(frames, CPU, progress=False).batch(KEYS)


@pytest.mark.parametrize(
    "settings",
    [
        {"scale": (0.5, 0.9)},  # the frame becomes smaller than the window
        {"scale": (1.0, 1.6)},
        {"scale": (2.2, 3.0)},  # larger than it was stored
        {"crop": (64, 80)},
        {"scale": (0.5, 0.5), "shortest": 150},
        {"scale": (1.0, 1.6), "blur": 0.99},
        {"scale": (1.0, 1.6), "cutout": 0.99},
    ],
)
def test_the_same_frames_as_readers_give(folder, settings):
    read, held = both(folder, **settings)
    assert held.names == read.names
    assert list(held.images) == list(read.images) == ["rgb", "depth", "thermal"]
    pairs = [(image, read.images[name]) for name, image in held.images.items()]
    for one, other in (*pairs, (held.label, read.label)):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
    # Where a position falls between two pixels, OpenCV's fixed-point numbers may round to the other one.
    assert (held.label == read.label).float().mean() > 0.97
    depths = [batch.images["depth"] for batch in (held, read)]
    inside = (depths[0] > 0) & (depths[1] > 0)
    assert torch.equal(depths[0] > 0, depths[1] > 0)
    one, other = (torch.round(1000 * x[inside]).int() - 1 for x in depths)
    assert (one == other).float().mean() > 0.9
    assert (one // 256 - other // 256).abs().max() <= 1  # rows
    assert (one % 256 - other % 256).abs().max() <= 1  # columns
    thermals = [batch.images["thermal"] for batch in (held, read)]
    assert torch.equal(thermals[0].isfinite(), thermals[1].isfinite())
    apart = (thermals[0] - thermals[1]).abs()
    assert apart[apart.isfinite()].quantile(0.99) < 1  # kelvin; a row is one, a column half of one
    difference = (held.images["rgb"].int() - read.images["rgb"].int()).abs().float()
    # two filters differ at the frame's edges; elsewhere by rounding
    assert difference.mean() < 1.5
    assert difference.quantile(0.95) <= 3


def test_frames_of_different_sizes_are_refused(folder, tmp_path):
    root = write_folder(tmp_path / "frames", frames=2)
    for part in ("rgb", "depth", "label"):
        path = root / part / "frame1.png"
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[:40])
    frames = TrainingFrames(Folder(root), "train", ("rgb", "depth"), SPEC, DataSettings(**PLAIN))
    with pytest.raises(ConfigError, match="frame1 is 64x40, others 64x48: .* leave --hold-frames out"):
        HeldFrames(frames, CPU, progress=False)


RECIPE = """\
network: {architecture: refinenet_lw, encoder: efficientnet_lite0, decoder_channels: 8, dropout: 0}
input: {height: 48, width: 64}
pretrained: none
epochs: 3
batch: 4
depth_holes: 0
depth_noise: 0
"""


@pytest.fixture
def words(tmp_path):
    (tmp_path / "r.yaml").write_text(RECIPE)
    write_folder(tmp_path / "data")
    return ["train", "--data", tmp_path / "data", "--recipe", tmp_path / "r.yaml", "--device", "cpu"]


def test_a_run_on_held_frames_learns_and_repeats(words, tmp_path):
    weights = []
    for output in (tmp_path / "one", tmp_path / "again"):
        assert main([str(word) for word in (*words, "--hold-frames", "--output", output)]) == 0
        weights.append(load_file(output / "last.safetensors"))
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())
    losses = [
        json.loads(line)["loss"] for line in (tmp_path / "one" / "history.jsonl").read_text().splitlines()
    ]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", ["depth_noise", "depth_holes"])
def test_noise_that_is_made_on_the_cpu_is_refused(words, tmp_path, capsys, name):
    line = refused(capsys, *words, "--output", tmp_path / "run", "--hold-frames", "--set", f"{name}=0.5")
    assert f"{name} is 0.5" in line and "leave --hold-frames out" in line


def test_a_broken_frame_is_named(words, tmp_path, capsys):
    (tmp_path / "data" / "rgb" / "frame5.png").write_bytes(b"no picture")
    line = refused(capsys, *words, "--output", tmp_path / "run", "--hold-frames")
    assert "frame5.png does not decode" in line
