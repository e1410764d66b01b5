"""Individual convolutions (Table 4): a network of its own for each modality, but for what is exchanged."""

import pytest
import torch
from helpers import CLASSES, SPEC
from torch import nn

from asymfusion_ros.checkpoint import load_checkpoint, save_checkpoint
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_ros.network import NetworkConfig, build_network
from asymfusion_ros.network.layers.norms import PrivateBatchNorm2d, may_be_missing
from asymfusion_ros.network.layers.per_modality import PerModality, owned
from asymfusion_training.weights.pretrained import load_imagenet
from asymfusion_training.weights.warm_start import start_from

NAMES = ("rgb", "depth", "thermal")


def config(encoder="resnet18", modalities=NAMES[:2], **settings):
    settings = {"architecture": "refinenet_lw", "classes": 3, "decoder_channels": 8, **settings}
    return NetworkConfig(encoder=encoder, modalities=modalities, shared_convs=False, **settings)


def images(count):
    return [torch.randn(2, 3, 32, 32) for _ in range(count)]


def test_two_modalities_cost_twice_one():
    """236.20 million in Table 4, the two alphas counted."""
    with torch.device("meta"):
        network = build_network(NetworkConfig(shared_convs=False))
    assert sum(p.numel() for p in network.parameters()) == 2 * 118_096_233


def single(full, modality):
    """The network of one modality of ``full`` as one of its own, with shared convolutions and no fusion."""
    settings = {**full.config.to_dict(), "modalities": [NAMES[modality]], "shared_convs": True}
    network = build_network(NetworkConfig.from_dict({**settings, "fusion": "none"}))
    places = {
        f"{container}.{name}": f"{container}.{owner}.{name}"
        for container, owner, name in owned(full).values()
        if owner == modality
    }
    theirs = full.state_dict()
    state = {}
    for name in network.state_dict():
        state[name] = theirs[places[name]] if name in places else theirs[name][modality : modality + 1]
    network.load_state_dict({name: t for name, t in state.items() if not may_be_missing(name)})
    return network.train(full.training)


@pytest.mark.parametrize("encoder", ["resnet18", "resnet50", "efficientnet_lite0"])
@pytest.mark.parametrize("training", [True, False])
def test_without_fusion_each_is_a_network_of_one_modality(encoder, training):
    torch.manual_seed(0)
    network = build_network(config(encoder, NAMES, fusion="none", dropout=0.0)).train(training)
    given = images(3)
    for shown in ((0, 1, 2), (0, 2)):
        out = network([x if i in shown else None for i, x in enumerate(given)])
        for modality in shown:
            alone = single(network, modality)([given[modality]]).logits[0]
            torch.testing.assert_close(out.logits[modality], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("encoder", ["resnet18", "efficientnet_lite0"])
def test_a_branch_trains_its_own_layers_alone(encoder):
    network = build_network(config(encoder, fusion="none"))
    network(images(2)).logits[1].sum().backward()
    places = owned(network)
    for name, parameter in network.named_parameters():
        if name in places and parameter.grad is not None:
            assert bool(parameter.grad.any()) == (places[name][1] == 1), name
    norms = [m for m in network.modules() if isinstance(m, PrivateBatchNorm2d)]
    assert all(norm.bias.grad[0].count_nonzero() == 0 for norm in norms)


def test_copies_start_apart():
    network = build_network(config())
    first, second = (network.encoder.conv1.of(modality).weight for modality in (0, 1))
    assert isinstance(network.encoder.conv1, PerModality) and not torch.equal(first, second)


def test_norms_for_all_need_shared_convolutions():
    with pytest.raises(ConfigError, match="private_norms: False needs shared_convs: .* layers of its own"):
        config(private_norms=False)
    with pytest.raises(ConfigError, match="released"):
        NetworkConfig(shared_convs=False, variant="released")


def published(tmp_path, left_out=""):
    """ImageNet weights of ResNet-18 in torchvision's layout: norms of one row, no statistics alone."""
    torch.manual_seed(1)
    network = build_network(NetworkConfig("refinenet_lw", "resnet18", 3, ("rgb",), decoder_channels=8))
    for module in network.modules():
        if isinstance(module, PrivateBatchNorm2d):
            nn.init.normal_(module.running_mean)
    weights = {
        name: tensor[0] if tensor.ndim == 2 else tensor
        for name, tensor in network.encoder.state_dict().items()
        if not may_be_missing(name) and name != left_out
    }
    path = tmp_path / "resnet18.pth"
    torch.save(weights, path)
    return path, weights


@pytest.mark.parametrize("fusion", ["none", "concat", "attention", "mmf"])
def test_imagenet_weights_fill_every_copy(tmp_path, fusion):
    path, weights = published(tmp_path)
    network = build_network(config(fusion=fusion))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items() if ".fusion." in name}
    load_imagenet(network, str(path))
    for modality in (0, 1):
        assert torch.equal(network.encoder.conv1.of(modality).weight, weights["conv1.weight"])
        layer = network.encoder.layer2[0].downsample[0].of(modality)
        assert torch.equal(layer.weight, weights["layer2.0.downsample.0.weight"])
        assert torch.equal(network.encoder.bn1.running_mean[modality], weights["bn1.running_mean"])
    after = network.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert bool(before) == (fusion != "none")


@pytest.mark.parametrize("shared", [True, False])
def test_imagenet_weights_that_lack_a_layer_are_refused(tmp_path, shared):
    path, _ = published(tmp_path, left_out="layer4.1.conv2.weight")
    settings = {**config(fusion="concat").to_dict(), "shared_convs": shared}
    with pytest.raises(UserError, match="do not fit resnet18: they lack layer4.1.conv2.weight"):
        load_imagenet(build_network(NetworkConfig.from_dict(settings)), str(path))


@pytest.fixture
def checkpoint(tmp_path):
    path, made = tmp_path / "c.safetensors", config("efficientnet_lite0", fusion="concat")
    torch.manual_seed(2)
    save_checkpoint(path, build_network(made).state_dict(), made, LabelSet("tiny", CLASSES), SPEC, {})
    return load_checkpoint(path)


def test_a_checkpoint_is_the_network(checkpoint):
    network = build_network(checkpoint.config).eval()
    line = start_from(network, checkpoint.labels, checkpoint)
    assert line == "starts from a checkpoint that knows 3 of the 3 classes"
    given = images(2)
    with torch.inference_mode():
        assert torch.equal(network(given).ensemble, checkpoint.build()(given).ensemble)


@pytest.mark.parametrize(("modalities", "rows"), [(("depth", "rgb"), [1, 0]), (("rgb", "thermal"), [0, 0])])
def test_fine_tuning_matches_copies_by_the_modalities_names(checkpoint, modalities, rows):
    network = build_network(config("efficientnet_lite0", modalities, fusion="concat"))
    start_from(network, checkpoint.labels, checkpoint)
    own, theirs = network.state_dict(), checkpoint.state_dict
    for layer in (
        "encoder.stem.{}.weight",
        "decoder.{}.classifier.weight",
        "decoder.{}.levels.0.reduce.weight",
    ):
        for modality, row in enumerate(rows):
            assert torch.equal(own[layer.format(modality)], theirs[layer.format(row)])
    fusion = next(name for name in own if ".fusion.blocks.1." in name)
    assert torch.equal(own[fusion], theirs[fusion.replace("blocks.1.", f"blocks.{rows[1]}.")])


def test_fine_tuning_with_another_fusion_says_so(checkpoint):
    network = build_network(config("efficientnet_lite0", fusion="attention"))
    assert "fusion built otherwise: in part afresh" in start_from(network, checkpoint.labels, checkpoint)
    without = build_network(config("efficientnet_lite0", fusion="asymmetric"))
    assert "otherwise" not in start_from(without, checkpoint.labels, checkpoint)


def test_fine_tuning_with_shared_convolutions_is_refused(checkpoint):
    shared = {**checkpoint.config.to_dict(), "shared_convs": True}
    network = build_network(NetworkConfig.from_dict(shared))
    with pytest.raises(
        UserError, match="shared_convs=False, but the recipe True: set network.shared_convs=false"
    ):
        start_from(network, checkpoint.labels, checkpoint)
