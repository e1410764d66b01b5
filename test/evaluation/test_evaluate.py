"""Scoring: the engine's own labels, counted; and what the command refuses."""

import cv2
import numpy as np
import pytest
import torch
from helpers import SPEC, refused, tiny_checkpoint, write_folder

from asymfusion_ros import Segmenter
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.metrics import ConfusionMatrix
from asymfusion_ros.errors import UserError
from asymfusion_training.evaluation.evaluate import evaluate


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("evaluate")


@pytest.fixture(scope="module")
def checkpoint(home):
    return tiny_checkpoint(home)


@pytest.fixture(scope="module")
def data(home):
    return write_folder(home / "stripes", frames=3, size=(60, 96))


@pytest.mark.parametrize("given", [("rgb", "depth"), ("rgb",), ("depth",)])
def test_scores_count_the_labels_that_the_engine_gives(checkpoint, data, given):
    folder, segmenter = Folder(data), Segmenter(checkpoint, "cpu")
    expected = ConfusionMatrix(3)
    for name in folder.names("train"):
        sample = folder.read(name)
        rgb = sample.rgb if "rgb" in given else None
        depth = sample.depth if "depth" in given else None
        expected.update(torch.from_numpy(sample.label), segmenter(rgb, depth).labels)
    matrices = evaluate(checkpoint.build(), SPEC, folder, folder.names("train"), given, progress=False)
    assert set(matrices) == {*given, "ensemble"}
    assert torch.equal(matrices["ensemble"].counts, expected.counts)
    assert all(matrix.counts.sum() == 3 * 60 * 96 for matrix in matrices.values())


def test_the_network_comes_back_as_it_was(checkpoint, data):
    network = checkpoint.build().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    evaluate(network, SPEC, Folder(data), ["frame0"], progress=False)
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_frames_without_any_label(checkpoint, tmp_path):
    data = write_folder(tmp_path / "stripes", frames=1)
    cv2.imwrite(str(data / "label" / "frame0.png"), np.full((48, 64), 255, np.uint8))
    with pytest.raises(UserError, match="all pixels of the 1 frames are void: look at .*label"):
        evaluate(checkpoint.build(), SPEC, Folder(data), ["frame0"], progress=False)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--split", "test"], "split 'test' is missing"),
        (["--modalities", "rgb", "thermal"], "'thermal' is not one of the checkpoint's rgb, depth"),
        (["--limit", "0"], "--limit is 0; it must be 1 or more"),
        (["--device", "gpu"], "device 'gpu'"),
        (
            ["--limit", "1", "--json", "/nowhere/a.json"],
            "cannot write /nowhere/a.json: there is no folder /nowhere",
        ),
    ],
)
def test_what_the_command_refuses(checkpoint, home, data, capsys, arguments, named):
    line = refused(capsys, "evaluate", home / "tiny.safetensors", "--data", data, *arguments)
    assert named in line


def test_a_frame_that_is_missing(checkpoint, home, tmp_path, capsys):
    data = write_folder(tmp_path / "stripes", frames=2)
    (data / "depth" / "frame1.png").unlink()
    line = refused(capsys, "evaluate", home / "tiny.safetensors", "--data", data)
    assert line.endswith(f"{data / 'depth' / 'frame1.png'} is missing")
