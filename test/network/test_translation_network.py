"""The U-Net of image translation: its layers by hand, where it fuses, and what comes out."""

import json

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from unets import TINY, register_tiny_unet

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.inspection.anatomy import examine
from asymfusion_ros.network import NetworkConfig, TranslationNetwork, build_network
from asymfusion_ros.network.fusion.asymmetric import AsymmetricFusion
from asymfusion_ros.network.fusion.base import Fusion
from asymfusion_ros.network.fusion.config import FusionConfig
from asymfusion_ros.network.fusion.registry import FUSIONS
from asymfusion_ros.network.layers.instance_norm import PrivateInstanceNorm2d
from asymfusion_ros.network.layers.norms import PrivateBatchNorm2d

DOMAINS = ("depth", "shade", "normal", "edge")
WIDTHS = (64, 128, 256, 512, 512, 512, 512, 512)


def config(domains=2, encoder="unet16", **settings):
    return NetworkConfig(architecture="unet", encoder=encoder, modalities=DOMAINS[:domains], **settings)


def on_meta(made):
    with torch.device("meta"):
        return build_network(made)


def images(count, size=256, device="cpu"):
    return [torch.randn(1, 3, size, size, device=device) for _ in range(count)]


def parameters(network):
    return sum(p.numel() for p in network.parameters())


@pytest.fixture
def tiny(monkeypatch):
    register_tiny_unet(monkeypatch)
    return TINY


def test_the_parameters_are_those_of_one_domain_and_the_norms():
    steps = list(zip((3, *WIDTHS), WIDTHS))
    encoder = sum(16 * inputs * outputs for inputs, outputs in steps)
    decoder = sum(
        16 * (outputs if i == 7 else 2 * outputs) * inputs for i, (inputs, outputs) in enumerate(steps)
    )
    norms, shared_norms = 2 * sum(WIDTHS[1:7]), 2 * sum(WIDTHS[:7])
    one = encoder + decoder + 3 + norms + shared_norms
    assert one == 54_413_955  # what pix2pix's generator has at 256 x 256
    for domains in (1, 2, 3):  # alpha is a number for each
        whole = parameters(on_meta(config(domains, "unet")))
        assert whole == one + (domains - 1) * norms + domains


def test_the_sizes_and_widths_of_all_layers():
    network = on_meta(config(encoder="unet"))
    features = network.encoder(torch.empty(2, 3, 256, 512, device="meta"), (0, 1))
    assert [tuple(x.shape) for x in features] == [
        (2, width, 256 >> layer, 512 >> layer) for layer, width in enumerate(WIDTHS, 1)
    ]
    assert tuple(network.decoder(features).shape) == (2, 3, 256, 512)
    normed = [layer.norm is not None for layer in network.encoder.layers]
    assert normed == [False, True, True, True, True, True, True, False]
    assert [layer.dropout.p for layer in network.decoder.layers] == [0.5] * 3 + [0.0] * 5
    rows = {name: len(m.weight) for name, m in network.named_modules() if isinstance(m, PrivateBatchNorm2d)}
    assert {count for name, count in rows.items() if name.startswith("encoder")} == {2}
    assert {count for name, count in rows.items() if name.startswith("decoder")} == {1}


@pytest.mark.parametrize("fusion", [name for name in FUSIONS if name != "none"])
def test_fusion_at_layers_3_5_and_7_alone(fusion):
    network = on_meta(config(fusion=fusion))
    found = [name for name, module in network.encoder.named_modules() if isinstance(module, Fusion)]
    assert found == ["layers.2.fusion", "layers.4.fusion", "layers.6.fusion"]
    chosen = on_meta(config(fusion=fusion, fusion_stages=(2, 5)))
    found = [name for name, module in chosen.named_modules() if isinstance(module, Fusion)]
    assert found == ["encoder.layers.1.fusion", "encoder.layers.4.fusion"]


def test_the_exchange_around_a_strided_convolution_by_hand():
    """Two modalities, two channels in and four out. keep 0.5: half of the channels is exchanged."""
    fusion = AsymmetricFusion(FusionConfig(keep=0.5), 4)
    one, other = torch.rand(1, 2, 4, 4), torch.rand(1, 2, 4, 4)

    def strided(x):  # any layer that halves the size and doubles the channels
        x = F.avg_pool2d(x, 2)
        return torch.cat([x, 10 * x], 1)

    found = fusion(torch.cat([one, other]), strided, (0, 1))
    swapped = torch.cat([one[:, :1], other[:, 1:]], 1), torch.cat([other[:, :1], one[:, 1:]], 1)
    a, b = (strided(x) for x in swapped)

    def shifted(x):
        """Each of the four channels reads its neighbour to the left, above, to the right, below."""
        out = torch.zeros_like(x)
        out[:, 0, :, 1:] = x[:, 0, :, :-1]
        out[:, 1, 1:] = x[:, 1, :-1]
        out[:, 2, :, :-1] = x[:, 2, :, 1:]
        out[:, 3, :-1] = x[:, 3, 1:]
        return out

    a, b = a + shifted(b), b + shifted(a)
    assert torch.allclose(
        found, torch.cat([torch.cat([a[:, :2], b[:, 2:]], 1), torch.cat([b[:, :2], a[:, 2:]], 1)])
    )
    mirrored = fusion(torch.cat([other, one]), strided, (0, 1))
    assert not torch.allclose(mirrored[:1], found[:1])  # F(x1, x2) is not F(x2, x1): asymmetric


@pytest.mark.parametrize(("fusion", "alike"), [("average", True), ("asymmetric", False)])
def test_a_symmetric_fusion_gives_both_domains_the_same_features(tiny, fusion, alike):
    torch.manual_seed(0)
    network = build_network(config(encoder=tiny, fusion=fusion)).eval()
    layers = network.encoder.layers
    x = torch.randn(2, *layers[1](layers[0](torch.cat(images(2)), (0, 1)), (0, 1)).shape[1:])
    fused = layers[2](x, (0, 1)).chunk(2)
    assert torch.allclose(*fused) == alike


@pytest.mark.parametrize("domains", [1, 2, 3, 4])
def test_any_number_of_domains_and_any_of_them_absent(tiny, domains):
    torch.manual_seed(0)
    network = build_network(config(domains, tiny)).eval()
    assert isinstance(network, TranslationNetwork)
    given = images(domains)
    with torch.inference_mode():
        whole = network(given)
        assert all(tuple(x.shape) == (1, 3, 256, 256) and x.abs().max() <= 1 for x in whole.images)
        mean = sum(x * weight for x, weight in zip(whole.images, whole.weights))
        assert torch.allclose(whole.ensemble, mean, atol=1e-6)
        for absent in range(domains if domains > 1 else 0):
            part = network([None if i == absent else x for i, x in enumerate(given)])
            assert [x is None for x in part.images] == [i == absent for i in range(domains)]
            assert part.weights[absent] == 0 and part.weights.sum() == pytest.approx(1)
            assert tuple(part.ensemble.shape) == (1, 3, 256, 256)


@pytest.mark.parametrize(
    ("fusion", "norm"), [*((name, "batch") for name in FUSIONS), ("asymmetric", "instance")]
)
def test_every_parameter_learns(tiny, fusion, norm):
    torch.manual_seed(1)
    network = build_network(config(3, tiny, fusion=fusion, norm=norm))
    for module in network.modules():
        if isinstance(module, Fusion):  # which start as the average
            for parameter in module.parameters():
                nn.init.normal_(parameter, std=0.2)
    out = network([torch.randn(2, 3, 256, 256) for _ in range(3)])
    sum(image.square().mean() for image in out.images).backward()
    still = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == ["ensemble.alpha"]


def test_instance_norms_are_private_too_and_need_no_statistics():
    norm = PrivateInstanceNorm2d(3, modalities=2)
    with torch.no_grad():
        norm.weight[1] = torch.tensor([1.0, 2.0, 3.0])
        norm.bias[1] = 5.0
    x = torch.randn(4, 3, 8, 8)  # two samples of each modality
    plain = F.instance_norm(x)
    found = norm(x, (0, 1))
    assert torch.allclose(found[:2], plain[:2], atol=1e-6)
    assert torch.allclose(found[2:], plain[2:] * torch.tensor([1.0, 2.0, 3.0])[:, None, None] + 5, atol=1e-5)
    assert torch.equal(norm.eval()(x[2:], (1,)), norm.train()(x, (0, 1))[2:])
    kinds = {type(m) for m in on_meta(config(norm="instance")).modules() if "Norm2d" in type(m).__name__}
    assert kinds == {PrivateInstanceNorm2d}


def test_the_weights_that_training_starts_from():
    torch.manual_seed(0)
    network = build_network(config())
    layer = network.encoder.layers[4].requires_grad_(False)
    assert layer.conv.weight.std() == pytest.approx(0.02, rel=0.02) and layer.conv.bias is None
    assert layer.norm.weight.mean() == pytest.approx(1, abs=0.01)
    assert layer.norm.weight.std() == pytest.approx(0.02, rel=0.2)
    assert not network.decoder.layers[-1].conv.bias.any()


def test_the_description_has_no_classes_and_that_of_a_segmentation_is_as_it_was():
    made = config(norm="instance")
    stored = json.loads(json.dumps(made.to_dict()))
    assert "classes" not in stored and stored["norm"] == "instance"
    assert NetworkConfig.from_dict(stored) == made
    assert list(NetworkConfig().to_dict()) == [
        "architecture", "encoder", "classes", "modalities", "fusion", "direction", "shared_convs",
        "private_norms", "keep", "variant", "decoder_channels", "dropout", "fusion_stages", "fusion_blocks",
        "output_stride",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"architecture": "unet", "encoder": "resnet18"}, "unet reads 8 resolutions"),
        ({"architecture": "refinenet", "encoder": "unet"}, "encoder: unet goes with unet alone: set arch"),
        ({"architecture": "unet", "encoder": "unet", "classes": 13}, "classes: unet makes images"),
        ({"architecture": "unet", "encoder": "unet", "decoder_channels": 64}, "decoder_channels: unet"),
        ({"norm": "instance"}, "norm: 'instance' is for unet; refinenet has batch norms"),
        ({"architecture": "unet", "encoder": "unet", "variant": "released"}, "'released' is RefineNet"),
        (
            {"architecture": "unet", "encoder": "unet", "norm": "group"},
            "norm is 'group'; choose one of batch",
        ),
    ],
)
def test_what_cannot_be_built(settings, named):
    with pytest.raises(ConfigError, match=named):
        NetworkConfig(**settings)


def test_an_input_of_another_size_is_refused(tiny):
    network = build_network(config(encoder=tiny))
    with pytest.raises(ConfigError, match="the inputs are 240x240; unet_tiny takes multiples of 256 pixels"):
        network(images(2, 240))


def test_what_info_finds(tiny):
    made = config(encoder=tiny)
    found = examine(made, build_network(made).state_dict(), (256, 256))
    assert [site.block for site in found.sites] == [f"encoder.layers.{i}" for i in (2, 4, 6)]
    assert found.parameters == parameters(on_meta(made))
