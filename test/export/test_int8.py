"""Files in int8: what is quantised, what they answer, and what is refused."""

import json
from argparse import Namespace

import onnx
import pytest
from helpers import refused, write_checkpoint, write_exported

from asymfusion_ros import Segmenter
from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.cli.export import calibration_names
from asymfusion_ros.cli.tune_ways import check_int8, ways_to_try
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.engine.export_metadata import EXPORT
from asymfusion_ros.engine.exported import load_exported
from asymfusion_ros.errors import CheckpointError, ConfigError, UserError
from asymfusion_ros.export.accept import accepted, check_agreement
from asymfusion_ros.export.depth import after_the_network
from asymfusion_ros.export.onnx_file import describe
from asymfusion_ros.export.verify import Agreement

pytest.importorskip("nncf")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """(checkpoint, its file in int8, the folder that the ranges are from)"""
    options = ("--precision", "int8", "--calibration-frames", 3)
    return write_exported(tmp_path_factory.mktemp("int8"), "tiny.onnx", *options, frames=6)


def dequantised(node, made):
    """Pooling commutes with quantising."""
    while node is not None and node.op_type == "MaxPool":
        node = made.get(node.input[0])
    return node is not None and node.op_type == "DequantizeLinear"


def quantised(model):
    """Of each convolution: how many lie before it, and whether image and weights come out of quantisers."""
    made = {name: node for node in model.graph.node for name in node.output}
    depths, found = {}, []
    for node in model.graph.node:
        depth = max((depths.get(name, 0) for name in node.input), default=0)
        if node.op_type == "Conv":
            found.append((depth, all(dequantised(made.get(name), made) for name in node.input[:2])))
        depths |= dict.fromkeys(node.output, depth + (node.op_type == "Conv"))
    return found


def test_all_convolutions_but_the_first_three_of_each_path_are_quantised(files):
    found = quantised(load_exported(files[1]).model)
    assert {within for depth, within in found if depth < 3} == {False}
    assert {within for depth, within in found if depth >= 3} == {True}
    assert sum(depth < 3 for depth, _ in found) < 0.3 * len(found)


@pytest.mark.parametrize("names", [("rgb", "depth"), ("rgb",), ("depth",)])
def test_it_answers_nearly_as_the_checkpoint(files, names):
    ours = Segmenter.from_checkpoint(files[1])
    assert (ours.backend.name, ours.backend.precision) == ("openvino", "int8")
    reference = Segmenter.from_checkpoint(files[0], "cpu", "fp32")
    given = {name: image for name, image in Folder(files[2]).read("frame1").images.items() if name in names}
    images = reference.images(given)
    inputs = reference.preprocess(images, reference.upload(images))
    found, expected = ours.backend.outputs(inputs), reference.backend.outputs(inputs)
    # Without VNNI sums of 8-bit products saturate: 8 % there, 3 % with it.
    scale = float(expected.ensemble.abs().max())
    difference = (found.ensemble - expected.ensemble).abs()
    assert 0 < float(difference.max()) and float(difference.mean()) < 0.12 * scale
    assert [one is None for one in found.logits] == [name not in names for name in ("rgb", "depth")]


def test_the_file_says_that_it_is_in_int8_and_takes_no_other_precision(files):
    assert load_exported(files[1]).precision == "int8"
    assert (
        Segmenter.from_checkpoint(files[1], precision="int8").backend.precision_reason == "the file has it so"
    )
    with pytest.raises(ConfigError, match=r"tiny\.onnx was exported in int8, not 'bf16': use auto or int8"):
        Segmenter.from_checkpoint(files[1], precision="bf16")
    with pytest.raises(
        ConfigError, match=r"tiny\.onnx is in int8, which onnxruntime does not run: use backend"
    ):
        Segmenter.from_checkpoint(files[1], backend="onnxruntime")


def test_a_precision_of_another_version_is_refused(files, tmp_path):
    model = onnx.load(files[1])
    (entry,) = (one for one in model.metadata_props if one.key == EXPORT)
    entry.value = json.dumps(json.loads(entry.value) | {"precision": "int4"})
    onnx.save(model, tmp_path / "later.onnx")
    with pytest.raises(CheckpointError, match=r"later\.onnx is of precision 'int4', which this version"):
        load_exported(tmp_path / "later.onnx")


def test_it_is_tuned_with_the_others(files):
    args = Namespace(backends=["torch"], threads=[2], int8=files[1])
    ways = ways_to_try(args, files[0], {}, [""])
    assert [(way.backend, way.precision, way.threads) for way in ways if way.backend != "torch"] == [
        ("openvino", "int8", 2)
    ]
    assert ways[-1].model == str(files[1].resolve())


@pytest.mark.parametrize(
    ("precision", "checkpoint", "said"),
    [
        ("fp32", "own", "is in fp32: export it with --precision int8"),
        ("int8", "another", r"is of another checkpoint than .*tiny\.safetensors: export it anew"),
        ("int8", "resized", "has inputs of 96x72, the checkpoint of 64x48: export it without"),
    ],
)
def test_a_file_to_tune_is_of_this_checkpoint(files, tmp_path, precision, checkpoint, said):
    exported, source = load_exported(files[1]), load_checkpoint(files[0])
    described = source.at_input_size(72, 96) if checkpoint == "resized" else source
    digest = "ab" if checkpoint == "another" else exported.checkpoint_sha256
    describe(exported.model, described, exported.size, digest, {}, precision)
    path = tmp_path / "given.onnx"
    path.write_bytes(exported.model.SerializeToString())
    with pytest.raises(ConfigError, match=said):
        check_int8(path, files[0], source)
    check_int8(files[1], files[0], source)


@pytest.mark.parametrize("frames", [2, 4, 5, 6, 60])
def test_the_frames_for_the_ranges_are_spread_over_all(files, frames):
    given = Namespace(data=files[2], calibration_split="train", calibration_frames=frames)
    places = [int(name.removeprefix("frame")) for name in calibration_names(given)]
    assert len(places) == min(frames, 6)
    gaps = [after - before for before, after in zip(places, [*places[1:], 6])]
    assert places[0] == 0 and max(gaps) - min(gaps) <= 1


def test_what_is_too_far_from_its_checkpoint_is_not_written(files, tmp_path):
    check_agreement(Agreement(9, 0.931, 2.0, 0.3960, 0.4005), "int8")
    check_agreement(Agreement(9, 0.931, 2.0), "int8")  # no labels
    with pytest.raises(
        UserError, match=r"in int8 it loses 0\.55% of the mean IoU, more than 0\.5%: it is not"
    ):
        check_agreement(Agreement(9, 0.99, 2.0, 0.3950, 0.4005), "int8")
    exported = Segmenter(load_exported(files[1]), "cpu")
    other = Segmenter.from_checkpoint(write_checkpoint(tmp_path / "other.safetensors"), "cpu", "fp32")
    frames = [(dict(Folder(files[2]).read("frame1").images), None)]
    with pytest.raises(UserError, match=r"below 93\.0%: it is not written; give it more and other frames"):
        accepted(exported, other, frames)


def test_calls_that_do_not_go_together(files, tmp_path, capsys):
    checkpoint, _, folder = files
    start = ["export", checkpoint, "--output", tmp_path / "x.onnx", "--precision", "int8"]
    assert "--precision int8 needs --data: a folder of frames" in refused(capsys, *start)
    given = [*start, "--data", folder]
    assert "--calibration-frames 0 must be 1 or more" in refused(capsys, *given, "--calibration-frames", 0)
    assert "has 64x48, and --size is 96x48: give its own" in refused(capsys, *given, "--size", "96x48")
    assert "night.txt" in refused(capsys, *given, "--calibration-split", "night")
    engine = [
        "export",
        checkpoint,
        "--output",
        tmp_path / "x.engine",
        "--precision",
        "int8",
        "--data",
        folder,
    ]
    assert "--precision int8 goes with --format onnx" in refused(capsys, *engine)
    assert not list(tmp_path.iterdir())


def test_what_is_made_of_probabilities_is_not_quantised():
    """Between two views and their mean; the softmax that an attention multiplies features with is another."""
    nodes = [
        onnx.helper.make_node("Softmax", ["x"], ["weights"], name="attention"),
        onnx.helper.make_node("Mul", ["x", "weights"], ["attended"], name="attends"),
        onnx.helper.make_node("Conv", ["attended", "w"], ["logits"], name="classifier"),
        onnx.helper.make_node("Softmax", ["logits"], ["one"], name="probabilities"),
        onnx.helper.make_node("Softmax", ["logits"], ["other"], name="of the other view"),
        onnx.helper.make_node("Add", ["one", "other"], ["sum"], name="sum"),
        onnx.helper.make_node("Log", ["sum"], ["log"], name="log"),
    ]
    graph = onnx.helper.make_graph(nodes, "two views", [], [])
    assert after_the_network(onnx.helper.make_model(graph)) == [
        "probabilities",
        "of the other view",
        "sum",
        "log",
    ]
