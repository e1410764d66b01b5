"""An exported file: written, compared, opened by both runtimes, and refused where it can't be used."""

import json

import numpy as np
import onnx
import pytest
import torch
from helpers import SPEC, refused, tiny_config, write_checkpoint, write_folder

from asymfusion_ros import Segmenter
from asymfusion_ros.cli.main import main
from asymfusion_ros.engine.exported import load_exported
from asymfusion_ros.errors import CheckpointError, ConfigError, ImageError

RUNTIMES = ("openvino", "onnxruntime")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """(checkpoint, exported file, the folder it was compared on)"""
    root = tmp_path_factory.mktemp("exported")
    checkpoint = write_checkpoint(root / "tiny.safetensors")
    folder = write_folder(root / "data", frames=3)
    output = root / "tiny.onnx"
    arguments = ["export", checkpoint, "--output", output, "--size", "64x48", "--data", folder]
    assert main([str(one) for one in arguments]) == 0
    return checkpoint, output, folder


def frame(height=48, width=64):
    rng = np.random.default_rng(3)
    return {
        "rgb": rng.integers(0, 256, (height, width, 3), np.uint8),
        "depth": rng.integers(500, 4000, (height, width), np.uint16),
    }


@pytest.mark.parametrize("backend", RUNTIMES)
@pytest.mark.parametrize("names", [("rgb", "depth"), ("rgb",), ("depth",)])
def test_the_runtimes_give_the_checkpoints_answer(files, backend, names):
    checkpoint, output, _ = files
    exported = Segmenter.from_checkpoint(output, backend=backend)
    reference = Segmenter.from_checkpoint(checkpoint, device="cpu", precision="fp32")
    assert exported.backend.name == backend
    given = {name: frame()[name] for name in names}
    images = reference.images(given)
    inputs = reference.preprocess(images, reference.upload(images))
    found, expected = exported.infer(inputs), reference.infer(inputs)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
    ours, theirs = exported.segment(given).numpy(), reference.segment(given).numpy()
    assert (ours.labels == theirs.labels).mean() > 0.99
    difference = ours.confidence.astype(int) - theirs.confidence
    assert abs(difference).max() <= 1


@pytest.mark.parametrize("backend", RUNTIMES)
def test_each_modalitys_logits(files, backend):
    checkpoint, output, _ = files
    exported = Segmenter.from_checkpoint(output, backend=backend)
    reference = Segmenter.from_checkpoint(checkpoint, device="cpu", precision="fp32")
    images = reference.images(frame())
    inputs = reference.preprocess(images, reference.upload(images))
    found, expected = exported.backend.outputs(inputs), reference.backend.outputs(inputs)
    for ours, theirs in zip(found.logits, expected.logits, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5 * float(theirs.abs().max()))
    torch.testing.assert_close(found.weights, expected.weights)
    alone = exported.backend.outputs({"depth": inputs["depth"]})
    assert alone.logits[0] is None
    assert alone.weights.tolist() == [0, 1]


def test_the_file_says_what_it_is(files):
    checkpoint, output, _ = files
    model = load_exported(output)
    assert model.config == tiny_config()
    assert model.input_spec == SPEC
    assert model.size == (48, 64)
    checks = model.checks["openvino"]
    assert checks["frames"] == 2  # val has two
    assert checks["agreement"] > 0.995
    assert abs(checks["mean_iou"] - checks["mean_iou_of_checkpoint"]) < 0.002
    assert not output.with_suffix(".onnx.data").exists()
    # The convolutions of three graphs are in it once.
    weights = {tuple(one.dims) for one in onnx.load(output).graph.initializer}
    assert (32, 3, 3, 3) in weights
    assert output.stat().st_size < 1.5 * checkpoint.stat().st_size


def test_auto_takes_openvino(files):
    assert Segmenter.from_checkpoint(files[1]).backend.name == "openvino"
    assert Segmenter.from_checkpoint(files[0]).backend.name == "torch"


def test_a_frame_of_another_aspect_ratio_is_refused(files):
    with pytest.raises(ImageError, match=r"64x48.*--size of the camera"):
        Segmenter.from_checkpoint(files[1]).segment(frame(48, 96))


def test_what_does_not_go_together_is_refused(files):
    checkpoint, output, _ = files
    with pytest.raises(ConfigError, match="asymfusion export"):
        Segmenter.from_checkpoint(checkpoint, backend="openvino")
    with pytest.raises(ConfigError, match="openvino or onnxruntime"):
        Segmenter.from_checkpoint(output, backend="torch")
    with pytest.raises(ConfigError, match="no precision 'fp16'"):
        Segmenter.from_checkpoint(output, backend="onnxruntime", precision="fp16")
    with pytest.raises(ConfigError, match="no device 'cuda'"):
        Segmenter.from_checkpoint(output, device="cuda")


def test_damaged_files_are_refused_in_one_line(files, tmp_path):
    whole = files[1].read_bytes()
    for name, data in {"cut": whole[:1000], "empty": b"", "junk": b"\x00" * 50}.items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match=f"{name}.onnx"):
            load_exported(path)
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_exported(tmp_path / "none.onnx")
    model = onnx.load(files[1])
    for entry in model.metadata_props:
        if entry.key == "export":
            entry.value = json.dumps({"size": "wide"})
    (tmp_path / "other.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match="description of the export"):
        load_exported(tmp_path / "other.onnx")


def test_the_command_refuses(capsys, tmp_path, files):
    checkpoint = files[0]
    assert ".onnx" in refused(capsys, "export", checkpoint, "--output", tmp_path / "model.xml")
    assert "--frames 0" in refused(
        capsys, "export", checkpoint, "--output", tmp_path / "m.onnx", "--frames", "0"
    )
    refused(capsys, "export", checkpoint, "--output", tmp_path / "m.onnx", "--data", tmp_path / "none")
    assert not list(tmp_path.glob("*.onnx*"))
