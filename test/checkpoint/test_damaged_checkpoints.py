"""Checkpoints that could be read and must not be used: impossible numbers, formats, sizes."""

import json
import shutil
import struct
from pathlib import Path

import pytest
import torch
from helpers import SPEC, tiny_config, write_checkpoint
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from asymfusion_ros import Segmenter
from asymfusion_ros.checkpoint import load_checkpoint, save_checkpoint
from asymfusion_ros.errors import CheckpointError, ConfigError
from asymfusion_ros.network import NetworkConfig

NORM = "encoder.stem.1.running_var"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("written") / "tiny.safetensors")


@pytest.fixture
def path(tmp_path, written):
    return Path(shutil.copy(written, tmp_path))


def change(path, **tensors):
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file({**load_file(path), **tensors}, path, metadata)


def variances(path):
    return [name for name in load_file(path) if name.endswith(("running_var", "alone_var"))]


@pytest.mark.parametrize("kind", ["running_var", "alone_var"])
@pytest.mark.parametrize(
    ("value", "named"),
    [(-0.5, "holds a variance of -0.5"), (torch.nan, "holds NaN"), (torch.inf, "holds NaN, infinite")],
)
def test_a_variance_that_cannot_be(path, kind, value, named):
    name = next(name for name in variances(path) if name.endswith(kind))
    tensor = load_file(path)[name]
    tensor.flatten()[-1] = value
    change(path, **{name: tensor})
    with pytest.raises(CheckpointError, match=rf"{name} {named}") as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    good = write_checkpoint(path.with_name("good.safetensors"))
    checkpoint = load_checkpoint(good)
    with pytest.raises(CheckpointError, match=f"cannot write .*{name}"):  # nor is one written
        save_checkpoint(
            good, {**checkpoint.state_dict, name: tensor}, checkpoint.config, checkpoint.labels, SPEC, {}
        )


def test_float64_beyond_float32(path):
    name = "decoder.classifier.bias"
    change(path, **{name: torch.full_like(load_file(path)[name], 1e300, dtype=torch.float64)})
    with pytest.raises(CheckpointError, match=f"{name} holds NaN, infinite values, or such beyond"):
        load_checkpoint(path)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.int64, torch.bool])
def test_a_format_that_is_no_weights(path, dtype):
    name = "decoder.classifier.bias"
    change(path, **{name: load_file(path)[name].to(dtype)})
    with pytest.raises(CheckpointError, match=rf"{name} is stored as \w+; weights are one of F16, BF16"):
        load_checkpoint(path)


def test_the_warm_up_sees_that_the_network_gives_no_numbers(path):
    """Weights that are numbers each, and too large together."""
    kernels = {name: value for name, value in load_file(path).items() if name.startswith("decoder")}
    change(path, **{name: torch.full_like(value, 1e20) for name, value in kernels.items()})
    segmenter = Segmenter.from_checkpoint(path, "cpu", "fp32")
    with pytest.raises(
        CheckpointError, match="gives NaN or infinite values for a blank frame of rgb and dep"
    ):
        segmenter.warm_up(48, 64)


@pytest.mark.parametrize(
    ("key", "values", "named"),
    [
        ("input", {"height": 4096, "width": 4096}, "16777216 pixels; at most 4194304"),
        ("input", {"height": 8192}, "height is 8192; it must be 8 to 4096"),
        ("input", {"height": 10**400}, "cannot build"),
        ("input", {"depth_mean": 10**400}, "a number of 401 digits"),
        ("network", {"classes": 10**9}, "classes is 1000000000; it must be 2 to 255"),
        ("network", {"decoder_channels": 10**9}, "decoder_channels is 1000000000; it must be 1 to 2048"),
        ("network", {"modalities": [f"m{n}" for n in range(1000)]}, "1000 are too many: use at most 8"),
        ("network", {"modalities": ["rgb", "../depth"]}, "'../depth' is no name"),
    ],
)
def test_sizes_that_no_robot_has_memory_for(path, key, values, named):
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    metadata[key] = json.dumps({**json.loads(metadata[key]), **values})
    save_file(load_file(path), path, metadata)
    with pytest.raises(CheckpointError, match=named) as caught:
        load_checkpoint(path)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("key", ["network", "labels", "input", "provenance"])
@pytest.mark.parametrize("text", ["[" * 100_000, "[1]", "1e400", '"x"', '{"val": {"x": ' + "9" * 400 + "}}"])
def test_metadata_that_is_something_else(path, key, text):
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    save_file(load_file(path), path, {**metadata, key: text})
    with pytest.raises(CheckpointError, match="cannot build") as caught:
        load_checkpoint(path)
    assert "\n" not in str(caught.value)


def test_a_header_that_speaks_of_gigabytes_is_refused_before_they_are_read(path):
    """A sparse file: its name says 64 GiB, its disk blocks nearly nothing."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    end = max(entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__")
    more = 64 << 30
    header["zzz"] = {"dtype": "U8", "shape": [more], "data_offsets": [end, end + more]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data[8 + size :])
        file.truncate(8 + len(text) + end + more)
    with pytest.raises(CheckpointError, match="zzz has shape .*, the network no such tensor|cannot be read"):
        load_checkpoint(path)


def test_limits_leave_room_for_what_is_used():
    assert NetworkConfig(decoder_channels=512, modalities=("rgb", "depth", "thermal", "infrared"))
    with pytest.raises(ConfigError, match="1thermal"):
        NetworkConfig(modalities=("rgb", "1thermal"))
    assert tiny_config(("rgb", "near_infrared2"))
