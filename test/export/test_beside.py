"""A checkpoint whose exported file lies beside it is run from that on a CPU, and says so."""

import hashlib
import logging
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
from helpers import EXPORTED, random_frame, write_checkpoint, write_exported

from asymfusion_ros import Segmenter
from asymfusion_ros.benchmark.profile import network_profile
from asymfusion_ros.benchmark.stages import Frames
from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.cli.main import main
from asymfusion_ros.engine.exported import load_exported, load_model
from asymfusion_ros.export.onnx_file import describe
from asymfusion_ros.packaged import checkpoint_file
from asymfusion_ros.ros.network import load_network
from asymfusion_ros.ros.settings import NodeSettings

pytest.importorskip("openvino")
BACKENDS = "asymfusion_ros.engine.backends"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a checkpoint and what was exported of it for images of 64x48."""
    folder = tmp_path_factory.mktemp("beside")
    write_exported(folder, "tiny.onnx")
    return folder


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "own")


def test_frames_of_its_size_go_through_it_and_others_through_torch(folder, caplog):
    segmenter = Segmenter.from_checkpoint(folder / "tiny.safetensors", "cpu", "fp32")
    reference = Segmenter.from_checkpoint(folder / "tiny.safetensors", "cpu", "fp32", "torch")
    assert (segmenter.backend.name, reference.backend.name) == ("openvino", "torch")
    assert segmenter.backend.precision_reason == "as asked for; run from tiny.onnx beside the checkpoint"
    with caplog.at_level(logging.WARNING, BACKENDS):
        ours, theirs = (one.segment(random_frame(48, 64)).numpy().labels for one in (segmenter, reference))
        assert (ours == theirs).mean() > 0.99
        assert not caplog.messages and segmenter.backend.name == "openvino"
        for _ in range(2):
            ours, theirs = (
                one.segment(random_frame(48, 96)).numpy().labels for one in (segmenter, reference)
            )
            np.testing.assert_array_equal(ours, theirs)
    assert segmenter.backend.name == "torch"
    (said,) = caplog.messages
    assert "tiny.onnx is for network inputs of 64x48, and these frames make " in said
    assert segmenter.backend.precision_reason == "as asked for"
    segmenter.segment(random_frame(48, 64))
    assert segmenter.backend.name == "openvino"


def test_the_same_network_at_another_input_size(folder):
    checkpoint = folder / "tiny.safetensors"
    segmenter = Segmenter.from_checkpoint(checkpoint, "cpu", "fp32").at_input_size(24, 32)
    reference = Segmenter.from_checkpoint(checkpoint, "cpu", "fp32", "torch").at_input_size(24, 32)
    assert segmenter.backend.name == "torch"  # whatever the size, so that sizes can be compared
    given = random_frame(48, 64)
    np.testing.assert_array_equal(
        segmenter.segment(given).numpy().labels, reference.segment(given).numpy().labels
    )


def test_whoever_names_a_backend_or_loads_weights_gets_torch(folder):
    checkpoint = folder / "tiny.safetensors"
    assert Segmenter.from_checkpoint(checkpoint, "cpu", backend="torch").backend.name == "torch"
    assert Segmenter(load_checkpoint(checkpoint), "cpu").backend.name == "torch"
    assert Segmenter(load_model(checkpoint), "cpu").backend.name == "openvino"


def test_what_time_goes_to_is_counted_by_what_runs_the_frame(folder):
    segmenter = Segmenter.from_checkpoint(folder / "tiny.safetensors", "cpu", "fp32")
    own, other = (
        network_profile(segmenter, Frames(segmenter, ["rgb", "depth"], 48, width), 1) for width in (64, 96)
    )
    assert any("Convolution" in row["kind"] for row in own)
    assert any(row["kind"] == "aten::conv2d" for row in other)


def test_a_node_warms_up_what_the_export_is_for(tmp_path, caplog):
    """Of cameras of another shape than most."""
    rgb = write_checkpoint(tmp_path / "wide.safetensors", replace(EXPORTED, modalities=("rgb",)))
    assert main(["export", str(rgb), "--output", str(tmp_path / "wide.onnx"), "--size", "96x48"]) == 0
    caplog.clear()
    with caplog.at_level(logging.WARNING, BACKENDS):
        network = load_network(NodeSettings(checkpoint=str(rgb), device="cpu", tuning="none"))
    assert network.backend.name == "openvino" and not caplog.messages


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise ImportError('no such library')", "needs OpenVINO"),
        ("class Core:\n    def __init__(self): raise RuntimeError('no plugin')", "no plugin"),
        ("class Core:\n    def get_property(self, *_): return ['FP32']", "has no precision 'bf16' here"),
    ],
    ids=["broken", "no plugin", "no bf16"],
)
def test_where_openvino_cannot_run_it_torch_does(folder, tmp_path, body, said):
    (tmp_path / "openvino").mkdir()
    (tmp_path / "openvino" / "__init__.py").write_text(body)
    program = f"""
from asymfusion_ros import Segmenter
print(Segmenter.from_checkpoint({str(folder / "tiny.safetensors")!r}, "cpu", "bf16").backend.name)
"""
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "torch\n"
    assert said in done.stderr and "; torch runs the checkpoint" in done.stderr


def rewrite(folder, **changed):
    exported = load_exported(folder / "tiny.onnx")
    values = {"checkpoint_sha256": exported.checkpoint_sha256, "checks": {}, "precision": "fp32", **changed}
    describe(exported.model, load_checkpoint(folder / "tiny.safetensors"), exported.size, **values)
    (folder / "tiny.onnx").write_bytes(exported.model.SerializeToString())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "tiny.onnx").unlink(), None),
        (lambda folder: rewrite(folder, precision="int8"), None),  # other labels than the checkpoint's
        (
            lambda folder: rewrite(folder, checkpoint_sha256="ab"),
            "tiny.onnx is of another checkpoint than .*tiny.safetensors: export it anew; torch runs",
        ),
        (
            lambda folder: (folder / "tiny.onnx").write_bytes(b"what is this"),
            "tiny.onnx is damaged or not an ONNX file: export it anew; torch runs the checkpoint",
        ),
        (
            lambda folder: onnx.save(onnx.ModelProto(ir_version=10), folder / "tiny.onnx"),
            "tiny.onnx was not made by `asymfusion export`.*; torch runs the checkpoint",
        ),
    ],
    ids=["none", "int8", "another", "damaged", "foreign"],
)
def test_a_file_that_does_not_fit_is_named_and_left(folder, caplog, change, said):
    change(folder)
    with caplog.at_level(logging.WARNING, BACKENDS):
        segmenter = Segmenter.from_checkpoint(folder / "tiny.safetensors", "cpu")
    assert segmenter.backend.name == "torch"
    assert len(caplog.messages) == (said is not None)
    for message in caplog.messages:
        assert re.search(said, message), message


def test_the_packages_own_is_of_its_default_for_cameras_of_4_to_3():
    """After another default checkpoint:
    asymfusion export default --data data/nyudv2 --output asymfusion_ros/checkpoints/default.onnx"""
    file = checkpoint_file("default")
    exported = load_exported(file.with_suffix(".onnx"))
    assert exported.checkpoint_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    assert exported.size == load_checkpoint(file).input_spec.network_size(480, 640)
    assert exported.precision == "fp32"
    assert exported.labels == load_model("default").labels
