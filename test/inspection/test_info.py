"""`asymfusion info`: numbers against hand counts, published totals and modified weights."""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys

import pytest
import torch
from helpers import refused, tiny_config, write_checkpoint

from asymfusion_ros.checkpoint import load_checkpoint, save_checkpoint
from asymfusion_ros.cli.main import main
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.inspection.anatomy import examine
from asymfusion_ros.inspection.norms import distance
from asymfusion_ros.inspection.parts import flops_by_part, layers
from asymfusion_ros.inspection.provenance import scores, strict, summary
from asymfusion_ros.inspection.trace import on_meta, trace
from asymfusion_ros.network import NetworkConfig, build_network

RESNET18 = NetworkConfig(architecture="refinenet_lw", encoder="resnet18", classes=3, decoder_channels=8)
# ResNet-18 as torchvision has it: 11,689,512 parameters, of them 513,000 in the classifier and 9,600 in norms
RESNET18_CONVS, RESNET18_NORMS = 11_689_512 - 513_000 - 9_600, 9_600


def report(tmp_path, *arguments) -> dict:
    path = tmp_path / "report.json"
    assert main(["info", *map(str, arguments), "--json", str(path)]) == 0
    return json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def modified(config, **changed):
    """The state dict of fresh weights, some of it replaced, all norms equal in all modalities."""
    torch.manual_seed(0)
    return {**build_network(config).state_dict(), **changed}


def test_the_default_checkpoint(tmp_path, capsys):
    found = report(tmp_path, "default")
    printed = capsys.readouterr().out
    assert found["parameters"]["total"] == 3_283_274
    parts = {(p["part"], p["kind"], p["modality"]): p["parameters"] for p in found["parameters"]["parts"]}
    assert sum(parts.values()) == 3_283_274
    assert parts["encoder", "norms", "rgb"] == parts["encoder", "norms", "depth"]
    # the second modality adds its norms and its alpha, and nothing else
    more = parts["encoder", "norms", "depth"] + 1
    assert found["parameters"]["one_modality"] == 3_283_274 - more
    assert found["network"]["encoder"] == "efficientnet_lite0"
    assert found["size"] == [360, 480]
    assert sum(found["ensemble"]["weights"].values()) == pytest.approx(1)
    for said in ("efficientnet_lite0", "nyu40", "3,283,274", "encoder norms, depth", "ensemble 31.99"):
        assert said in printed


def test_parameters_of_a_resnet_by_hand():
    found = examine(RESNET18, modified(RESNET18), (64, 64))
    # Light-Weight RefineNet, 8 wide (16 the coarsest): reduce, join, four pools, out; and a 3 x 3 classifier
    finer = [(64, 8, 0), (128, 8, 8), (256, 8, 8)]
    decoder = sum(c * w + w * w + 4 * w * w + w * out for c, w, out in finer)
    decoder += 512 * 16 + 4 * 16 * 16 + 16 * 8 + 9 * 8 * 3 + 3
    assert {(s.label, s.parameters) for s in found.shares} == {
        ("encoder convolutions", RESNET18_CONVS),
        ("encoder norms, rgb", RESNET18_NORMS),
        ("encoder norms, depth", RESNET18_NORMS),
        ("fusion", 0),
        ("decoder", decoder),
        ("ensemble", 2),
    }
    assert sum(layer.parameters for layer in found.layers) == found.parameters
    assert found.alone_parameters == found.parameters - RESNET18_NORMS - 1


def test_flops_of_convolutions_by_hand():
    found = examine(RESNET18, modified(RESNET18), (64, 96))
    flops = {layer.name: layer.flops for layer in found.layers}
    frames = 2  # both modalities go through the shared convolutions
    assert flops["encoder.conv1"] == frames * 2 * (32 * 48) * 64 * 3 * 7 * 7
    assert flops["encoder.layer2.0.conv1"] == frames * 2 * (8 * 12) * 128 * 64 * 3 * 3
    assert flops["encoder.layer2.0.downsample.0"] == frames * 2 * (8 * 12) * 128 * 64
    assert flops["decoder.classifier"] == frames * 2 * (16 * 24) * 3 * 8 * 3 * 3
    assert flops["encoder.bn1"] == 0
    assert sum(flops.values()) == found.total_flops
    assert found.alone_flops == found.total_flops // 2


def test_flops_of_a_depthwise_convolution_by_hand():
    config = tiny_config()
    found = {layer.name: layer for layer in examine(config, modified(config), (48, 64)).layers}
    depthwise = found["encoder.blocks.1.depthwise"]  # 96 channels, 3 x 3, stride 2, from 24 x 32
    assert depthwise.flops == 2 * 2 * (12 * 16) * 96 * 3 * 3
    assert depthwise.output == (2, 96, 12, 16)
    assert depthwise.kind == "depthwise conv 3x3 /2"


def test_the_papers_network():
    """RefineNet-101 on two modalities at 480 x 640: parameters and FLOPs as published."""
    config = NetworkConfig()
    with torch.device("meta"):
        tensors = build_network(config).state_dict()
    # distances need numbers: the norms alone
    tensors = {
        name: torch.ones(tensor.shape) if tensor.dim() < 3 else tensor for name, tensor in tensors.items()
    }
    found = examine(config, tensors, (480, 640))
    assert found.parameters == 118_201_578
    assert found.alone_parameters == 118_096_233
    assert round(found.total_flops / 1e9) == 1236
    assert 0 < found.fusion_share < 1e-3
    # the last bottleneck of each stage: both modalities add all channels at its resolution
    places = [(64, 120, 160), (128, 60, 80), (256, 30, 40), (512, 15, 20)]
    assert [(site.channels, site.height, site.width) for site in found.sites] == places
    assert [site.additions for site in found.sites] == [2 * math.prod(place) for place in places]
    assert [site.kept for site in found.sites] == [45, 90, 179, 358]
    blocks = ["encoder.layer1.2", "encoder.layer2.3", "encoder.layer3.22", "encoder.layer4.2"]
    assert [site.block for site in found.sites] == blocks
    assert [site.stage.rpartition(" at ")[2] for site in found.sites] == ["1/4", "1/8", "1/16", "1/32"]


@pytest.mark.parametrize(
    ("changed", "an_element"),
    [
        ({"fusion": "asymmetric"}, 2 * 64),
        ({"fusion": "skip"}, 2 * 64),
        ({"fusion": "shift", "direction": "depth_to_rgb"}, 64),  # rgb alone receives
        ({"fusion": "shuffle"}, 0),  # exchanging costs nothing
        # of three, each receives the mean of two: 2 an element, and shuffles 64 - 45 channels twice
        ({"fusion": "skip", "modalities": ("a", "b", "c")}, 3 * (3 * 64 + 2 * 2 * 19)),
    ],
)
def test_additions_of_the_fusion_by_hand(changed, an_element):
    config = NetworkConfig(**{**RESNET18.to_dict(), **changed})
    first = examine(config, modified(config), (64, 96)).sites[0]
    assert (first.channels, first.height, first.width) == (64, 16, 24)
    assert first.additions == an_element * 16 * 24


def test_the_released_variant_shifts_kept_channels_alone():
    config = NetworkConfig(encoder="resnet50", variant="released", classes=3, decoder_channels=8)
    first = examine(config, modified(config), (64, 64)).sites[0]
    assert first.kept == 48  # 4 floor(64 / 5)
    assert first.additions == 2 * 48 * 16 * 16


@pytest.mark.parametrize("changed", [{"fusion": "none"}, {"modalities": ("rgb",)}])
def test_without_an_exchange(changed):
    config = NetworkConfig(**{**RESNET18.to_dict(), **changed})
    found = examine(config, modified(config), (64, 64))
    assert found.sites == []
    assert found.additions == 0
    assert not any(layer.fused for layer in found.norms)


@pytest.mark.parametrize("encoder", ["resnet34", "resnet50", "efficientnet_lite2"])
def test_every_flop_belongs_to_a_layer_and_a_part(encoder):
    network = on_meta(NetworkConfig(encoder=encoder, classes=5, modalities=("a", "b", "c")))
    visits = trace(network, (96, 128))
    found = layers(network, visits)
    with torch.utils.flop_counter.FlopCounterMode(display=False) as counter, torch.no_grad():
        network([torch.zeros(1, 3, 96, 128, device="meta")] * 3)
    assert sum(layer.flops for layer in found) == counter.get_total_flops()
    assert sum(flops_by_part(found, network).values()) == counter.get_total_flops()
    assert sum(layer.parameters for layer in found) == sum(p.numel() for p in network.parameters())


def test_tracing_leaves_the_network_as_it_was():
    network = on_meta(RESNET18)
    before = {name: dict(module.__dict__) for name, module in network.named_modules()}
    first = trace(network, (64, 64))
    assert trace(network, (64, 64)) == first
    for name, module in network.named_modules():
        assert module.__dict__.keys() == before[name].keys()
        assert not module._forward_hooks and not module._forward_pre_hooks


def test_norms_that_are_equal_have_no_distance():
    found = examine(RESNET18, modified(RESNET18), (64, 64))
    assert len(found.norms) == 20
    assert {quantity for n in found.norms for quantity in vars(n.distance).values()} == {0.0}


def test_norm_distances_by_hand():
    config = tiny_config()
    changed = {
        "encoder.stem_norm.weight": torch.tensor([[1.0], [3.0]]).expand(2, 32),
        "encoder.stem_norm.bias": torch.tensor([[0.5], [-0.5]]).expand(2, 32),
        "encoder.stem_norm.running_mean": torch.tensor([[0.0], [3.0]]).expand(2, 32),
        # with the norm's eps of 0.001, standard deviations of 1 and 2
        "encoder.stem_norm.running_var": torch.tensor([[0.999], [3.999]]).expand(2, 32),
    }
    found = examine(config, modified(config, **changed), (48, 64))
    first, *others = found.norms
    assert first.name == "encoder.stem_norm"
    assert first.distance.scale == pytest.approx(2 / 2)  # 3 - 1 over their mean
    assert first.distance.bias == pytest.approx(1 / 2)  # over the mean scale
    assert first.distance.mean == pytest.approx(3 / 1.5)  # over the mean deviation
    assert first.distance.std == pytest.approx(math.log(2), rel=1e-6)
    assert all(value == 0 for norm in others for value in vars(norm.distance).values())
    groups = {group.name: group for group in found.norm_groups}
    assert groups["stem_norm at 1/2"].distance == first.distance
    assert groups["all"].layers == len(found.norms) == 48
    assert groups["all"].distance.scale == pytest.approx(1 / 48)
    assert groups["in fused blocks"].layers == 4 * 3
    assert [name for name in groups if name.endswith("1/8")] == ["blocks 3-4 at 1/8"]


def test_channels_are_averaged_before_dividing():
    scale = torch.tensor([[1.0, 4.0], [1.0, 2.0]])  # differences 0 and 2, mean of all four 2
    same = torch.zeros(2, 2)
    assert distance(scale, same, same, torch.ones(2, 2), 0.0).scale == pytest.approx(1 / 2)


def test_three_modalities_are_the_mean_of_their_pairs():
    mean = torch.tensor([[0.0], [1.0], [3.0]])  # 1, 3 and 2 apart
    ones = torch.ones(3, 1)
    assert distance(ones, torch.zeros(3, 1), mean, ones, 0.0).mean == pytest.approx(2)


def test_a_norm_that_is_off_is_no_infinity():
    zero, ones = torch.zeros(2, 4), torch.ones(2, 4)
    found = distance(zero, zero, zero, ones, 1e-5)
    assert set(vars(found).values()) == {0.0}


def test_everything_is_in_the_json(tmp_path):
    alpha = torch.tensor([math.log(3.0), 0.0])
    path = write_checkpoint(tmp_path / "tiny.safetensors", **{"ensemble.alpha": alpha})
    found = report(tmp_path, path, "--size", 96, 128)
    assert found["size"] == [96, 128]
    assert found["labels"] == {"name": "tiny", "names": ["wall", "floor", "box"]}
    assert found["provenance"]["data"] == "made"
    assert found["ensemble"]["weights"] == pytest.approx({"rgb": 0.75, "depth": 0.25})
    assert [(f["block"], f["height"], f["width"]) for f in found["fusions"]] == [
        ("encoder.blocks.2", 24, 32),
        ("encoder.blocks.4", 12, 16),
        ("encoder.blocks.10", 6, 8),
        ("encoder.blocks.15", 3, 4),
    ]
    assert set(found["norm_distances"]["definitions"]) == {"scale", "bias", "mean", "std"}
    state = load_checkpoint(path).state_dict
    parameters = {name for name in state if name.rpartition(".")[2] in ("weight", "bias", "alpha")}
    listed = {layer["name"]: layer["parameters"] for layer in found["layers"]}
    assert sum(listed.values()) == sum(state[name].numel() for name in parameters)
    assert listed["encoder.stem"] == 32 * 3 * 3 * 3
    assert not (tmp_path / "report.json.partial").exists()


def test_the_table_of_layers(tmp_path, capsys):
    path = write_checkpoint(tmp_path / "tiny.safetensors")
    assert main(["info", str(path)]) == 0
    short = capsys.readouterr().out
    assert "encoder.stem " not in short
    assert main(["info", str(path), "--layers"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(short)
    row = next(line for line in printed.splitlines() if line.startswith("  encoder.stem "))
    flops = 2 * 2 * (24 * 32) * 32 * 27
    assert " ".join(row.split()) == f"encoder.stem conv 3x3 /2 2 x 32 x 24 x 32 864 {flops:,}"


def test_a_reader_that_leaves_early():
    command = [sys.executable, "-m", "asymfusion_ros.cli.main", "info", "default", "--layers"]
    ran = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    ran.stdout.close()
    assert ran.stderr.read() == ""
    assert ran.wait(timeout=120) == 0


def test_the_picture(tmp_path):
    pytest.importorskip("matplotlib")
    path = write_checkpoint(tmp_path / "tiny.safetensors")
    picture = tmp_path / "norms.png"
    assert main(["info", str(path), "--plot", str(picture)]) == 0
    data = picture.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    assert 800 <= width <= 3000
    assert 800 <= height <= 1500
    assert len(data) > 20_000
    assert not list(tmp_path.glob("*.partial"))


def test_the_picture_without_matplotlib(tmp_path, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    picture = tmp_path / "norms.png"
    line = refused(capsys, "info", write_checkpoint(tmp_path / "tiny.safetensors"), "--plot", picture)
    assert line.endswith("pip install 'asymfusion_ros[train]'")
    assert not picture.exists()
    assert main(["info", str(tmp_path / "tiny.safetensors")]) == 0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"private_norms": False}, "shares its norms"),
        ({"modalities": ["rgb"]}, "has one modality"),
    ],
)
def test_a_picture_of_nothing_is_refused(changed, said, tmp_path, capsys):
    config = NetworkConfig.from_dict({**RESNET18.to_dict(), **changed})
    path = write_checkpoint(tmp_path / "other.safetensors", config)
    assert said in refused(capsys, "info", path, "--plot", tmp_path / "norms.png")
    assert main(["info", str(path)]) == 0
    assert "norms: none private" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["missing.safetensors"], "missing.safetensors does not exist"),
        (["default", "--size", "0", "320"], "--size 0 320: height and width are 1 to"),
        (["default", "--size", "240", "1000000"], "--size 240 1000000: height and width are 1 to"),
        (["default", "--plot", "norms.pdf"], "--plot norms.pdf: the picture is a PNG"),
        (["default", "--json", "nowhere/report.json"], "cannot write nowhere/report.json: No such file"),
    ],
)
def test_refusals(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert said in refused(capsys, "info", *arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_size_that_is_no_multiple_of_anything(tmp_path):
    found = report(tmp_path, write_checkpoint(tmp_path / "tiny.safetensors"), "--size", 97, 131)
    assert [(f["height"], f["width"]) for f in found["fusions"]] == [(25, 33), (13, 17), (7, 9), (4, 5)]
    assert [f["stage"].rpartition(" at ")[2] for f in found["fusions"]] == ["1/4", "1/8", "1/16", "1/32"]


def test_provenance_of_any_kind(tmp_path, capsys):
    odd = {
        "note\x1b[31m": "two\nlines \ud800",
        "nothing": None,
        "list": [1, {"a": 2}],
        "nan": float("nan"),
        "settings": {"a": 1, "b": 2},
        "test": {"branches": {"rgb": {"mean_iou": 0.25}, "all": {"mean_iou": True}, "odd": 3}},
        "long": "x" * 1000,
    }
    path = tmp_path / "odd.safetensors"
    config = tiny_config()
    labels = LabelSet("odd\nname", ("a", "b", "c"))
    save_checkpoint(path, modified(config), config, labels, InputSpec(48, 64), odd)
    found = report(tmp_path, path)
    assert found["provenance"]["nan"] is None
    assert found["provenance"]["list"] == [1, {"a": 2}]
    printed = capsys.readouterr().out
    assert r"note\x1b[31m two\nlines \ud800" in printed
    assert "settings (2 values)" in printed
    assert "mean IoU on test in %: rgb 25.00\n" in printed
    assert max(map(len, printed.splitlines())) < 200


@pytest.mark.parametrize("value", [None, 3, "text", [1, 2], {}, {"val": {}}, {"val": {"rgb": 1}}])
def test_provenance_that_is_no_description(value):
    assert all(isinstance(line, str) for line in summary(value))
    assert scores(value) == {}
    assert strict(value) == value
