"""A checkpoint of image translation: in the one format, with a target in the labels' place."""

import json

import pytest
import torch
from helpers import tiny_config, write_checkpoint
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from unets import SQUARE, register_tiny_unet, unet_config, write_translation_checkpoint

from asymfusion_ros import Segmenter
from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.cli.main import main
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.errors import CheckpointError, ConfigError


@pytest.fixture(autouse=True)
def tiny_unet(monkeypatch):
    register_tiny_unet(monkeypatch)


@pytest.fixture
def path(tmp_path):
    return write_translation_checkpoint(tmp_path / "night.safetensors")


def rewritten(path, **changed):
    """The file with other metadata; None takes a key out."""
    with safe_open(path, framework="pt") as file:
        values = {**file.metadata(), **changed}
    save_file(load_file(path), path, {key: value for key, value in values.items() if value is not None})
    return path


def test_everything_comes_back(path):
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    assert json.loads(metadata["target"]) == "rgb" and "labels" not in metadata
    checkpoint = load_checkpoint(path)
    assert (checkpoint.target, checkpoint.config, checkpoint.input_spec) == ("rgb", unet_config(), SQUARE)
    assert len(checkpoint.labels) == 0
    with torch.inference_mode():
        output = checkpoint.build()([torch.randn(1, 3, 256, 256), None])
    assert tuple(output.images[0].shape) == (1, 3, 256, 256) and output.images[1] is None


def test_a_checkpoint_of_segmentation_says_nothing_of_a_target(tmp_path):
    path = write_checkpoint(tmp_path / "masks.safetensors")
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    assert sorted(metadata) == ["format", "input", "labels", "network", "provenance"]
    assert "norm" not in json.loads(metadata["network"])
    assert load_checkpoint(path).target is None


def test_what_makes_no_masks_segments_nothing(path):
    with pytest.raises(ConfigError, match="makes rgb images, no masks: it is for image translation"):
        Segmenter.from_checkpoint(path, device="cpu")


def test_info_tells_what_it_makes(path, capsys):
    assert main(["info", str(path)]) == 0
    printed = capsys.readouterr().out
    assert "unet, over unet_tiny" in printed and "makes       rgb images" in printed


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"target": None, "labels": json.dumps(LabelSet("x", ("a", "b")).to_dict())}, "names labels"),
        ({"target": None}, "lacks 'labels'"),
        ({"target": '"depth"'}, "target: depth is a range image"),
        ({"target": '"smell"'}, "modality 'smell' is unknown"),
    ],
)
def test_a_description_that_does_not_fit(path, changed, named):
    with pytest.raises(CheckpointError, match=named):
        load_checkpoint(rewritten(path, **changed))


def test_masks_with_a_target(tmp_path):
    path = write_checkpoint(tmp_path / "masks.safetensors", tiny_config())
    with pytest.raises(CheckpointError, match="is of refinenet_lw, which has labels, but it names a target"):
        load_checkpoint(rewritten(path, target='"rgb"'))
