"""Fine-tuning: what a run takes from a checkpoint."""

import pytest
import torch
from helpers import refused, tiny_checkpoint, tiny_config, write_checkpoint, write_description, write_folder

from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.cli.main import main
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.errors import UserError
from asymfusion_ros.network import NetworkConfig, build_network
from asymfusion_training.weights.warm_start import start_from


@pytest.fixture
def checkpoint(tmp_path):
    """Two modalities; the classes wall, floor and box; norms that differ between the modalities."""
    torch.manual_seed(1)
    bias = torch.randn(2, 32)
    return tiny_checkpoint(
        tmp_path, **{"encoder.stem_norm.bias": bias, "ensemble.alpha": torch.tensor([1.0, 3])}
    )


def test_the_same_network_computes_the_same(checkpoint):
    network = build_network(tiny_config()).eval()
    start_from(network, checkpoint.labels, checkpoint)
    inputs = [torch.randn(1, 3, 64, 64) for _ in range(2)]
    with torch.inference_mode():
        assert torch.equal(network(inputs).ensemble, checkpoint.build()(inputs).ensemble)


def test_classes_are_matched_by_name(checkpoint):
    network = build_network(tiny_config(classes=4))
    fresh = network.state_dict()["decoder.classifier.weight"].clone()
    line = start_from(network, LabelSet("other", ("robot", "box", "wall", "shelf")), checkpoint)
    assert "knows 2 of the 4 classes" in line
    weight, theirs = (net.state_dict()["decoder.classifier.weight"] for net in (network, checkpoint.build()))
    assert torch.equal(weight[1], theirs[2]) and torch.equal(weight[2], theirs[0])
    assert torch.equal(weight[[0, 3]], fresh[[0, 3]])


@pytest.mark.parametrize(
    ("modalities", "rows"), [(("depth",), [1]), (("depth", "rgb"), [1, 0]), (("rgb", "thermal"), [0, 0])]
)
def test_modalities_are_matched_by_name(checkpoint, modalities, rows):
    network = build_network(tiny_config(modalities))
    start_from(network, checkpoint.labels, checkpoint)
    bias = checkpoint.state_dict["encoder.stem_norm.bias"]
    assert torch.equal(network.encoder.stem_norm.bias, bias[rows])
    assert network.ensemble.alpha.tolist() == [[1.0, 3.0][row] for row in rows]


def test_one_modality_takes_the_statistics_that_it_has_alone(tmp_path):
    changed = {f"encoder.stem_norm.{name}": torch.randn(2, 32) for name in ("running_mean", "alone_mean")}
    changed["encoder.stem_norm.alone_known"] = torch.tensor([[0.0], [1.0]])
    checkpoint = tiny_checkpoint(tmp_path, **changed)
    for row, (modality, kind) in enumerate((("rgb", "running_mean"), ("depth", "alone_mean"))):
        network = build_network(tiny_config((modality,)))
        start_from(network, checkpoint.labels, checkpoint)
        expected = changed[f"encoder.stem_norm.{kind}"][[row]]
        assert torch.equal(network.encoder.stem_norm.running_mean, expected)


def test_another_decoder_starts_afresh(checkpoint):
    network = build_network(NetworkConfig("refinenet_lw", "efficientnet_lite0", 3, decoder_channels=16))
    assert "decoder built otherwise" in start_from(network, checkpoint.labels, checkpoint)
    assert torch.equal(network.encoder.stem.weight, checkpoint.state_dict["encoder.stem.weight"])


def test_another_architecture_keeps_the_encoder(tmp_path):
    config = NetworkConfig("refinenet_lw", "resnet18", 3, decoder_channels=8)
    start = load_checkpoint(write_checkpoint(tmp_path / "c.safetensors", config))
    network = build_network(NetworkConfig("deeplabv3plus", "resnet18", 3, decoder_channels=8))
    assert "; decoder built otherwise" in start_from(network, start.labels, start)
    assert torch.equal(network.encoder.conv1.weight, start.state_dict["encoder.conv1.weight"])


def test_another_encoder_is_refused(checkpoint):
    network = build_network(NetworkConfig("refinenet_lw", "resnet18", 3, decoder_channels=8))
    with pytest.raises(UserError, match="has encoder efficientnet_lite0, but the recipe resnet18"):
        start_from(network, checkpoint.labels, checkpoint)


def test_the_command_fine_tunes(tmp_path, capsys):
    start = write_checkpoint(tmp_path / "start.safetensors")
    data = write_folder(tmp_path / "data", frames=4)
    write_description(data, labels=["box", "floor", "robot"])
    (tmp_path / "r.yaml").write_text(
        "network: {architecture: refinenet_lw, encoder: efficientnet_lite0, decoder_channels: 8}\n"
        "input: {height: 48, width: 64}\nepochs: 1\nbatch: 4\n"
    )
    words = ["train", "--data", data, "--recipe", tmp_path / "r.yaml", "--device", "cpu", "--workers", 0]
    words = [str(word) for word in words]
    assert main([*words, "--set", f"pretrained={start}", "--output", str(tmp_path / "run")]) == 0
    assert "knows 2 of the 3 classes" in capsys.readouterr().out
    line = refused(capsys, *words, "--set", "pretrained=none.safetensors", "--output", tmp_path / "other")
    assert "none.safetensors does not exist" in line
