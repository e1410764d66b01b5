"""Averaging the weights of checkpoints."""

import pytest
import torch
from helpers import CLASSES, refused, tiny_config, write_checkpoint, write_folder

from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.cli.main import main
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_training.weights.soup import greedy, mean_state

WEIGHT, NORM = "decoder.classifier.bias", "encoder.stem_norm"


@pytest.fixture
def pair(tmp_path):
    """Two checkpoints that differ in three tensors."""
    own = {
        "one": {WEIGHT: torch.tensor([1.0, 2.0, 3.0])},
        "other": {WEIGHT: torch.tensor([3.0, 2.0, -1.0])},
    }
    rows, channels = tuple(
        load_checkpoint(write_checkpoint(tmp_path / "plain.safetensors"))
        .state_dict[f"{NORM}.running_mean"]
        .shape
    )
    for value, name in ((1.0, "one"), (5.0, "other")):
        own[name][f"{NORM}.running_mean"] = torch.full((rows, channels), value)
        own[name][f"{NORM}.alone_known"] = torch.tensor([[1.0], [float(name == "one")]])
    return [write_checkpoint(tmp_path / f"{name}.safetensors", **own[name]) for name in own]


def test_the_mean_by_hand(pair, tmp_path):
    assert main(["soup", *map(str, pair), "--output", str(tmp_path / "soup.safetensors")]) == 0
    made = load_checkpoint(tmp_path / "soup.safetensors")
    assert made.state_dict[WEIGHT].tolist() == [2.0, 2.0, 1.0]
    assert (made.state_dict[f"{NORM}.running_mean"] == 3.0).all()
    assert made.state_dict[f"{NORM}.alone_known"].tolist() == [[1.0], [0.0]]  # known where both know it
    one = load_checkpoint(pair[0])
    for name, tensor in made.state_dict.items():
        if name not in (WEIGHT, f"{NORM}.running_mean", f"{NORM}.alone_known"):
            assert torch.allclose(tensor.float(), one.state_dict[name].float(), rtol=1e-3, atol=1e-6)
    assert (made.config, made.labels, made.input_spec) == (one.config, one.labels, one.input_spec)
    assert made.provenance["soup"] == ["one.safetensors", "other.safetensors"]


def test_greedy_keeps_what_does_not_lower_the_score(tmp_path):
    """Checkpoints that are one number; the nearer their mean is to 2, the better."""
    paths = [
        write_checkpoint(tmp_path / f"{value}.safetensors", **{WEIGHT: torch.full((3,), float(value))})
        for value in (9, 1, 4, 0)
    ]
    checkpoints = [load_checkpoint(path) for path in paths]
    kept, reached, own = greedy(checkpoints, lambda state: -abs(float(state[WEIGHT][0]) - 2))
    # tried in the order 1, 4, 0, 9: the means are 1, 2.5, 5 / 3, each nearer to 2, and then 3.5
    assert own == [-7, -1, -2, -2]
    assert kept == [1, 2, 3] and reached == pytest.approx(-1 / 3)
    assert mean_state([checkpoints[index] for index in kept])[WEIGHT][0] == pytest.approx(5 / 3)


def test_the_command_tries_them_on_a_folder(pair, tmp_path, capsys):
    data = write_folder(tmp_path / "data", frames=2)
    output = tmp_path / "soup.safetensors"
    words = ["soup", *pair, "--data", data, "--output", output, "--device", "cpu"]
    assert main([str(word) for word in words]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "mean IoU of the ensemble on stripes val, in %:"
    scores = [float(line.split()[0]) for line in told[1:4]]
    assert scores[2] >= max(scores[:2])
    made = load_checkpoint(output).provenance
    assert made["val"]["ensemble"]["mean_iou"] == pytest.approx(scores[2] / 100, abs=1e-4)
    assert len(made["soup"]) == 2 - sum("left out" in line for line in told)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"config": tiny_config(("rgb",))}, "in network.modalities"),
        ({"names": (*CLASSES[:2], "chair")}, "in labels.names"),
        ({"spec": InputSpec(height=96, width=128)}, "in input.height"),
    ],
)
def test_other_networks_are_refused(pair, tmp_path, capsys, options, named):
    other = write_checkpoint(tmp_path / "third.safetensors", **options)
    line = refused(capsys, "soup", *pair, other, "--output", tmp_path / "soup.safetensors")
    assert named in line and f"{other} differs from {pair[0]}" in line
    assert not (tmp_path / "soup.safetensors").exists()


def test_one_checkpoint_is_no_soup(pair, tmp_path, capsys):
    line = refused(capsys, "soup", pair[0], pair[0], "--output", tmp_path / "soup.safetensors")
    assert "give two or more" in line
