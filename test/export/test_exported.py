"""An exported file: written, compared, opened by both runtimes, and refused where it can't be used."""

import json
import subprocess
import sys
from argparse import Namespace
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import onnx
import pytest
import torch
from helpers import EXPORTED, SPEC, random_frame, refused, write_checkpoint, write_exported
from onnx import TensorProto

from asymfusion_ros import Segmenter
from asymfusion_ros.benchmark.profile import network_profile
from asymfusion_ros.benchmark.stages import Frames
from asymfusion_ros.checkpoint.description import available_sets
from asymfusion_ros.checkpoint.digest import sha256
from asymfusion_ros.cli.main import main
from asymfusion_ros.cli.tune_ways import exported_files, remove_others, ways_to_try
from asymfusion_ros.engine.exported import load_exported
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.errors import CheckpointError, ConfigError, ImageError
from asymfusion_ros.export import tensorrt_file
from asymfusion_ros.export.half import EXACT_CONVOLUTIONS, to_half
from asymfusion_ros.ros.network import load_network
from asymfusion_ros.ros.settings import NodeSettings
from asymfusion_ros.ros.tuned import take_tuning
from asymfusion_ros.tuning import Tuning, read_tuning
from asymfusion_ros.tuning.machine import this_machine
from asymfusion_ros.tuning.trials import Frame, Trials

RUNTIMES = ("openvino", "onnxruntime")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """(checkpoint, exported file, the folder it was compared on)"""
    # not as tiny.onnx, which the checkpoint would be run from
    return write_exported(tmp_path_factory.mktemp("exported"), "exported.onnx")


@pytest.mark.parametrize("backend", RUNTIMES)
@pytest.mark.parametrize("names", [("rgb", "depth"), ("rgb",), ("depth",)])
def test_the_runtimes_give_the_checkpoints_answer(files, backend, names):
    checkpoint, output, _ = files
    exported = Segmenter.from_checkpoint(output, backend=backend)
    reference = Segmenter.from_checkpoint(checkpoint, device="cpu", precision="fp32")
    assert exported.backend.name == backend
    given = {name: random_frame()[name] for name in names}
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
    images = reference.images(random_frame())
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
    assert model.config == EXPORTED
    assert model.input_spec == SPEC
    assert model.size == (48, 64)
    checks = model.checks["openvino"]
    assert checks["frames"] == 2  # val has two
    assert checks["agreement"] > 0.995
    assert abs(checks["mean_iou"] - checks["mean_iou_of_checkpoint"]) < 0.002
    assert not output.with_suffix(".onnx.data").exists()
    # The convolutions of three graphs are in it once.
    weights = {tuple(one.dims) for one in onnx.load(output).graph.initializer}
    assert (64, 3, 7, 7) in weights
    assert output.stat().st_size < 1.5 * checkpoint.stat().st_size


@pytest.mark.parametrize("backend", RUNTIMES)
def test_the_runtime_has_the_threads_asked_for(files, backend):
    before = torch.get_num_threads()
    try:
        exported = Segmenter.from_checkpoint(files[1], backend=backend, threads=2)
        assert torch.get_num_threads() == 2  # what torch computes around the network has as many
        exported.segment(random_frame())
        session = next(iter(exported.backend._sessions.values()))
        if backend == "openvino":
            assert [one.get_compiled_model().get_property("INFERENCE_NUM_THREADS") for one in session] == [
                2
            ] * len(session)
        else:
            assert session.get_session_options().intra_op_num_threads == 2
    finally:
        torch.set_num_threads(before)


def test_auto_takes_openvino(files):
    assert Segmenter.from_checkpoint(files[1]).backend.name == "openvino"
    assert Segmenter.from_checkpoint(files[0]).backend.name == "torch"


def test_a_frame_of_another_aspect_ratio_is_refused(files):
    with pytest.raises(ImageError, match=r"64x48.*--size of the camera"):
        Segmenter.from_checkpoint(files[1]).segment(random_frame(48, 96))


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
    assert "--precision fp16 goes with --format tensorrt" in refused(
        capsys, "export", checkpoint, "--output", tmp_path / "m.onnx", "--precision", "fp16"
    )
    assert "name it .engine" in refused(
        capsys, "export", checkpoint, "--output", tmp_path / "m.onnx", "--format", "tensorrt"
    )
    if not (find_spec("tensorrt") and torch.cuda.is_available()):
        line = refused(capsys, "export", checkpoint, "--output", tmp_path / "m.engine")
        assert "needs TensorRT" in line or "'cuda' is not there" in line
    assert not list(tmp_path.glob("*.onnx*"))


@pytest.fixture(scope="module")
def half_file(files, tmp_path_factory):
    """The same graphs in fp16."""
    path = tmp_path_factory.mktemp("half") / "half.onnx"
    path.write_bytes(to_half(load_exported(files[1]).model).SerializeToString())
    return path


def types_of(model):
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = [*graph.input, *graph.output, *graph.value_info]
    return {one.name: one.type.tensor_type.elem_type for one in values}


def test_all_but_the_first_convolutions_is_fp16_and_inputs_and_outputs_are_float32(files, half_file):
    full, half = load_exported(files[1]).model, onnx.load(half_file)
    types = types_of(half)
    assert {types[one.name] for one in [*half.graph.input, *half.graph.output]} == {TensorProto.FLOAT}
    depth, exact = {}, 0
    for node in half.graph.node:
        own = max((depth.get(name, 0) for name in node.input), default=0) + (node.op_type == "Conv")
        depth |= dict.fromkeys(node.output, own)
        if node.op_type == "Conv":
            wanted = TensorProto.FLOAT if own <= EXACT_CONVOLUTIONS else TensorProto.FLOAT16
            assert types[node.output[0]] == wanted, node.name
            exact += own <= EXACT_CONVOLUTIONS
    assert 0 < exact < 0.3 * sum(node.op_type == "Conv" for node in half.graph.node)
    assert [one.name for one in half.graph.output] == [one.name for one in full.graph.output]
    large = [one for one in half.graph.initializer if np.prod(one.dims) > 40000]
    assert {one.data_type for one in large} == {TensorProto.FLOAT16}


@pytest.mark.parametrize("names", [("rgb", "depth"), ("rgb",), ("depth",)])
def test_in_fp16_it_gives_the_checkpoints_classes(files, half_file, names):
    exported = Segmenter(load_exported(half_file), "cpu", "fp32", "onnxruntime")
    reference = Segmenter.from_checkpoint(files[0], "cpu", "fp32")
    rng = np.random.default_rng(1)
    same = 0.0
    for _ in range(3):
        given = {
            "rgb": rng.integers(0, 256, (48, 64, 3), np.uint8),
            "depth": rng.integers(500, 4000, (48, 64), np.uint16),
        }
        images = reference.images({name: given[name] for name in names})
        inputs = reference.preprocess(images, reference.upload(images))
        found, expected = (one.backend.outputs(inputs) for one in (exported, reference))
        same += (found.ensemble.argmax(1) == expected.ensemble.argmax(1)).float().mean().item() / 3
        scale = float(expected.ensemble.abs().max())
        for ours, theirs in zip(found.logits, expected.logits, strict=True):
            assert (ours is None) == (theirs is None)
            if ours is not None:
                torch.testing.assert_close(ours, theirs, rtol=0, atol=0.02 * scale)
    assert same > 0.995


def test_each_plan_has_a_graph_of_its_own_in_these_types(half_file):
    half = onnx.load(half_file)
    sets = available_sets(EXPORTED.modalities)
    wanted = tensorrt_file.wanted_plans(sets)
    assert wanted == [
        (("rgb", "depth"), False),
        (("rgb", "depth"), True),
        (("rgb",), False),
        (("depth",), False),
    ]
    for names, branches in wanted:
        model = onnx.ModelProto.FromString(tensorrt_file.graph_of(half, names, branches))
        onnx.checker.check_model(model, full_check=True)
        assert [one.name for one in model.graph.input] == list(names)
        assert len(model.graph.output) == (1 + len(names) if branches else 1)
        assert all(one.dim_value for value in model.graph.output for one in value.type.tensor_type.shape.dim)


@pytest.mark.parametrize("backend", RUNTIMES)
def test_the_node_runs_it(files, backend):
    pytest.importorskip("rclpy", reason="needs rclpy")
    pytest.importorskip("sensor_msgs.msg", reason="needs sensor_msgs")
    from node_harness import SECOND, Rig, distances, image, picture, pixels_of

    checkpoint, output, _ = files
    rgb, depth = picture(7), distances(7)
    rig = Rig(output, listen=("mask", "disagreement"), backend=backend).start()
    try:
        assert rig.network.backend.name == backend
        rig.send(image(rgb, "rgb8", SECOND), image(depth, "16UC1", SECOND))
        mask = pixels_of(rig.mask(SECOND))
        apart = pixels_of(rig.mask(SECOND, "disagreement"))
    finally:
        rig.close()
    reference = Segmenter.from_checkpoint(checkpoint, device="cpu", precision="fp32")
    result = reference.segment({"rgb": rgb, "depth": depth}, disagreement=True).numpy()
    assert (mask == result.labels).mean() > 0.99
    assert len(np.unique(mask)) > 1
    assert apart.shape == mask.shape


@pytest.mark.parametrize("backend", RUNTIMES)
def test_the_node_takes_what_was_tuned(files, tmp_path, backend):
    pytest.importorskip("rclpy", reason="needs rclpy")
    pytest.importorskip("sensor_msgs.msg", reason="needs sensor_msgs")
    from node_harness import SECOND, Rig, distances, image, picture, pixels_of

    checkpoint, output, folder = files
    found = tmp_path / "tuned.yaml"
    words = ["tune", checkpoint, "--exported", output, "--backends", backend, "--recording", folder]
    words += ["--frames", 2, "--rounds", 1, "--threads", 1, "--output", found]
    assert main([str(word) for word in words]) == 0
    rgb, depth = picture(7), distances(7)
    rig = Rig(checkpoint, tuning=str(found)).start()
    try:
        assert (rig.network.backend.name, rig.network.backend.threads) == (backend, 1)
        precision = read_tuning(found).choice.precision  # bf16 where the processor computes in it
        rig.until(lambda: rig.logged("tuning", f"{backend} on cpu, {precision}, 1 threads"))
        rig.send(image(rgb, "rgb8", SECOND), image(depth, "16UC1", SECOND))
        mask = pixels_of(rig.mask(SECOND))
    finally:
        rig.close()
    reference = Segmenter.from_checkpoint(checkpoint, device="cpu", precision="fp32")
    assert (mask == reference.segment({"rgb": rgb, "depth": depth}).numpy().labels).mean() > 0.99


@pytest.mark.parametrize("names", [("rgb", "depth"), ("depth",)])
def test_a_graph_in_two_parts_gives_the_same(files, names):
    """The first three convolutions of each path, which stay exact in bf16, and the rest."""
    pytest.importorskip("openvino")
    from asymfusion_ros.engine.backends.openvino import shared_core
    from asymfusion_ros.engine.backends.openvino_parts import CONVOLUTIONS, divide

    core, graph = shared_core(), load_exported(files[1]).graph(names, True)
    whole, (first, rest) = core.read_model(graph), divide(core.read_model(graph), 3)

    def convolutions(model):
        return sum(one.get_type_name() in CONVOLUTIONS for one in model.get_ordered_ops())

    assert convolutions(first) == 3 * len(names)
    assert convolutions(first) + convolutions(rest) == convolutions(whole)
    given = {name: np.random.default_rng(1).normal(size=(1, 3, 48, 64)).astype("f4") for name in names}

    def run(model, inputs):
        compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return [array.copy() for array in compiled(inputs).values()]

    for ours, theirs in zip(run(rest, run(first, given)), run(whole, given), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(
    ("backend", "convolution"),
    [("openvino", ("Convolution", "GroupConvolution")), ("onnxruntime", ("Conv",))],
)
def test_the_runtimes_say_where_the_time_goes(files, backend, convolution):
    segmenter = Segmenter.from_checkpoint(files[1], precision="fp32", backend=backend)
    rows = network_profile(segmenter, Frames(segmenter, ["rgb", "depth"], 48, 64), 3)
    graph = onnx.ModelProto.FromString(load_exported(files[1]).graph(("rgb", "depth")))
    expected = sum(node.op_type == "Conv" for node in graph.graph.node)
    if backend == "onnxruntime":  # which gets each choice between channels as two
        expected += 2 * sum(node.op_type == "Where" for node in graph.graph.node)
    assert sum(row["calls"] for row in rows if row["kind"].split()[0] in convolution) == expected
    assert sum(row["share"] for row in rows) == pytest.approx(1, abs=0.01)
    assert [row["ms"] for row in rows] == sorted((row["ms"] for row in rows), reverse=True)
    assert segmenter.segment(random_frame()).numpy().labels.shape == (48, 64)  # it runs as before


def test_a_signal_after_the_last_network_ended_in_another_thread(files):
    """OpenVINO then left a stack for signal handlers behind that was not there any more."""
    pytest.importorskip("openvino")
    program = f"""
import os, signal, threading
from asymfusion_ros import Segmenter
held = [Segmenter.from_checkpoint({str(files[1])!r}, backend="openvino")]
held[0].warm_up(48, 64)
ending = threading.Thread(target=held.clear)
ending.start()
ending.join()
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGUSR1)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


def test_openvino_computes_in_bf16_where_the_processor_does(files):
    pytest.importorskip("openvino")
    from asymfusion_ros.engine.backends.openvino import shared_core

    if "BF16" not in shared_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("needs a processor that computes in bf16")
    exact, lower = (Segmenter.from_checkpoint(files[1], "cpu", one, "openvino") for one in ("fp32", "bf16"))
    given = {name: torch.randn(1, 3, 48, 64) for name in ("rgb", "depth")}
    expected, found = exact.backend(given), lower.backend(given)
    assert not torch.equal(expected, found)
    torch.testing.assert_close(found, expected, atol=0.05 * float(expected.abs().max()), rtol=0)
    with_branches = lower.backend.outputs(given)
    torch.testing.assert_close(with_branches.ensemble, found, atol=0.02, rtol=0.02)


def test_a_size_to_tune_is_exported_tried_and_taken(tmp_path):
    """Of one modality, whose single graph is made soon."""
    checkpoint = write_checkpoint(tmp_path / "rgb.safetensors", replace(EXPORTED, modalities=("rgb",)))
    rgb = random_frame()["rgb"]
    own = tmp_path / "own.onnx"  # given, and not opened here
    args = Namespace(
        checkpoint=str(checkpoint), backends=["onnxruntime"], threads=[1], exported=own, int8=None
    )
    files = exported_files(args, tmp_path / "tuned.yaml", ["", "32x24"], RawImage.from_array(rgb))
    made = tmp_path / "tuned_network_32x24.onnx"
    assert files == {"": own, "32x24": made}
    (way,) = ways_to_try(args, checkpoint, files, ["32x24"])
    reference = Segmenter.from_checkpoint(checkpoint, "cpu", "fp32", "torch")
    expected = reference.at_input_size(24, 32).segment({"rgb": rgb}).numpy().labels
    trials = Trials([way], [Frame({"rgb": rgb}, expected)], reference, lambda items, what: items)
    assert trials.mean_iou[way] > 0.98
    labels = reference.segment({"rgb": rgb}).numpy().labels
    assert trials.agreement[way] == pytest.approx((labels == expected).mean(), abs=0.01)

    Tuning(sha256(checkpoint), this_machine(), way, sha256(made)).write(tmp_path / "tuned.yaml")
    settings = NodeSettings(checkpoint=str(checkpoint), tuning=str(tmp_path / "tuned.yaml"))
    take_tuning(settings)
    network = load_network(settings)
    assert (network.backend.name, network.checkpoint.size) == ("onnxruntime", (24, 32))
    assert (network.segment({"rgb": rgb}).numpy().labels == expected).mean() > 0.99
    remove_others(files, made.resolve())
    assert made.exists()
    remove_others(files, checkpoint)
    assert not made.exists()


def test_a_node_whose_tuning_does_not_hold_says_so_and_goes_on(files, tmp_path):
    pytest.importorskip("rclpy", reason="needs rclpy")
    pytest.importorskip("sensor_msgs.msg", reason="needs sensor_msgs")
    from node_harness import Rig

    (tmp_path / "tuned.yaml").write_text("format: 1")
    rig = Rig(files[0], tuning=str(tmp_path / "tuned.yaml")).start()
    try:
        assert rig.network.backend.name == "torch"
        rig.until(
            lambda: rig.logged(
                "is not used: ", "checkpoint is missing or not a str: run `asymfusion tune` again"
            )
        )
    finally:
        rig.close()
