"""The symmetric baselines average, concat, attention and mmf: each F worked out on its own, where it stands,
what it starts as, who receives."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.network import NetworkConfig, build_network
from asymfusion_ros.network.fusion.registry import make_fusion
from asymfusion_ros.network.fusion.symmetric import Attention, Average, Concat, Mmf, SymmetricFusion

PARAMETRIC = ("concat", "attention", "mmf")
METHODS = ("average", *PARAMETRIC)
NAMES = ("rgb", "depth", "thermal")


def fusion(method, channels=6, stage=4, modalities=2, **settings):
    """A block's fusion with random parameters, in evaluation."""
    config = NetworkConfig(encoder="resnet18", modalities=NAMES[:modalities], fusion=method, **settings)
    return randomised(make_fusion(config.fusion_config, channels, stage)).eval()


def unchanged(x):
    """A spatial convolution that passes its input on."""
    return x


def randomised(module):
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module


def features(modalities=2, channels=6):
    """Two samples of each modality, rectified as after a block's ReLU."""
    return torch.rand(2 * modalities, channels, 5, 7)


def by_hand(method, theta, own, other):
    """F of the papers as plain functions of a state dict."""
    both = torch.cat([own, other], 1)
    if method == "average":
        return own / 2 + other / 2
    if method == "concat":
        return torch.einsum("oi,nihw->nohw", theta["project.weight"][:, :, 0, 0], both)
    if method == "attention":
        narrow = F.conv2d(both, theta["down.weight"], theta["down.bias"], padding=1).clamp(min=0)
        gate = 1 / (1 + torch.exp(-F.conv2d(narrow, theta["up.weight"], theta["up.bias"], padding=1)))
        return F.conv2d(gate * both, theta["project.weight"], padding=1)
    total = 0
    for branch, x in (("own", own), ("other", other)):
        x = F.conv2d(x, theta[f"{branch}.1.weight"])
        for unit in (2, 3):
            name = f"{branch}.{unit}.conv"
            y = F.conv2d(x.clamp(min=0), theta[f"{name}1.weight"], theta[f"{name}1.bias"], padding=1)
            x = x + F.conv2d(y.clamp(min=0), theta[f"{name}2.weight"], padding=1)
        total = total + F.conv2d(x, theta[f"{branch}.4.weight"], padding=1)
    total = total.clamp(min=0)
    # the largest of 5 x 5 pixels, those beyond the border left out
    padded = F.pad(total, (2, 2, 2, 2), value=float("-inf"))
    largest = padded.unfold(2, 5, 1).unfold(3, 5, 1).amax((-2, -1))
    total = total + F.conv2d(largest, theta["pool.weight"], padding=1)
    return F.conv2d(total, theta["expand.weight"]) if "expand.weight" in theta else total


@pytest.mark.parametrize("method", METHODS)
def test_two_modalities(method):
    """Each one's own features come first, and its parameters are its own."""
    torch.manual_seed(0)
    block, x = fusion(method), features()
    first, second = x.chunk(2)
    out = block(x, unchanged, (0, 1)).chunk(2)
    thetas = [block.blocks.of(modality).state_dict() for modality in (0, 1)]
    torch.testing.assert_close(out[0], by_hand(method, thetas[0], first, second))
    torch.testing.assert_close(out[1], by_hand(method, thetas[1], second, first))
    assert torch.equal(block(x, lambda entered: 0 * entered + x, (0, 1)), block(x, unchanged, (0, 1)))


def test_mmf_narrower_than_the_features():
    torch.manual_seed(1)
    block = randomised(Mmf(channels=10, width=4, dropout=0.5)).eval()
    own, other = features(channels=10).chunk(2)
    torch.testing.assert_close(block(own, other), by_hand("mmf", block.state_dict(), own, other))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("available", "heard"), [((0, 1, 2), ((1, 2), (0, 2), (0, 1))), ((0, 2), ((1,), (0,))), ((1,), ((),))]
)
def test_the_mean_of_the_others_is_received(method, available, heard):
    """With three modalities, and with those that are left of them; alone, the features stay."""
    torch.manual_seed(2)
    block, x = fusion(method, modalities=3), features(len(available))
    parts, out = x.chunk(len(available)), block(x, unchanged, available).chunk(len(available))
    for place, modality in enumerate(available):
        theta = block.blocks.of(modality).state_dict()
        arriving = [parts[sender] for sender in heard[place]]
        expected = (
            by_hand(method, theta, parts[place], sum(arriving) / len(arriving)) if arriving else parts[place]
        )
        torch.testing.assert_close(out[place], expected)


@pytest.mark.parametrize("method", METHODS)
def test_one_direction_changes_the_target_alone(method):
    torch.manual_seed(3)
    block, x = fusion(method, modalities=3, direction="depth_to_rgb"), features(3)
    out, parts = block(x, unchanged, (0, 1, 2)).chunk(3), x.chunk(3)
    expected = by_hand(method, block.blocks.of(0).state_dict(), parts[0], parts[1])
    torch.testing.assert_close(out[0], expected)
    assert torch.equal(out[1], parts[1]) and torch.equal(out[2], parts[2])
    assert list(block.blocks) == ["0"]  # the others have no parameters
    for available in ((0, 2), (1, 2)):  # an end of the route is missing
        pair = x[:4]
        assert torch.equal(block(pair, unchanged, available), pair)


@pytest.mark.parametrize("block", [Concat(6), Attention(6, 16), Mmf(6, 6, 0.0)])
def test_each_starts_as_the_average(block):
    own, other = features().chunk(2)
    torch.testing.assert_close(block(own, other), (own + other) / 2)


def test_a_narrower_mmf_starts_as_the_average_of_neighbouring_channels():
    """Five channels in two groups, 0 to 2 and 3 to 4: each starts as its group's mean."""
    own, other = features(channels=5).chunk(2)
    average = (own + other) / 2
    first = average[:, :3].mean(1, keepdim=True).expand(-1, 3, -1, -1)
    second = average[:, 3:].mean(1, keepdim=True).expand(-1, 2, -1, -1)
    torch.testing.assert_close(Mmf(5, 2, 0.0)(own, other), torch.cat([first, second], 1))


@pytest.mark.parametrize("encoder", ["resnet18", "resnet50", "efficientnet_lite0"])
@pytest.mark.parametrize("method", ["concat", "attention"])
def test_a_network_starts_as_that_of_the_average(encoder, method):
    """The encoder's own initialisation leaves the baselines alone, whatever weights are loaded after it."""
    torch.manual_seed(4)
    settings = {"encoder": encoder, "classes": 5, "decoder_channels": 8}
    averaging, learning = (
        build_network(NetworkConfig("refinenet_lw", fusion=name, **settings)).eval()
        for name in ("average", method)
    )
    absent = learning.load_state_dict(averaging.state_dict(), strict=False).missing_keys
    assert absent and all(".fusion.blocks." in name for name in absent)
    images = [torch.randn(1, 3, 64, 64) for _ in range(2)]
    with torch.inference_mode():
        expected, found = averaging(images).logits, learning(images).logits
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


def blocks_of(network):
    """(the block of the first modality, channels between the convolutions) for each fusion, finest first."""
    return [m.blocks.of(0) for m in network.modules() if isinstance(m, SymmetricFusion)]


def meta_network(**settings):
    with torch.device("meta"):
        return build_network(NetworkConfig(**settings))


def test_dimensions_in_a_resnet():
    """SSMA narrows by 6 at the decoder's skips and by 16 at the coarsest stage; RDFNet works at 256 channels,
    512 at the coarsest stage."""
    gates = [block.down.out_channels for block in blocks_of(meta_network(fusion="attention"))]
    assert gates == [21, 43, 85, 64]  # 128 / 6, 256 / 6, 512 / 6, 1024 / 16
    widths = [block.pool.out_channels for block in blocks_of(meta_network(fusion="mmf"))]
    assert widths == [64, 128, 256, 512]


def test_dimensions_in_an_efficientnet():
    settings = {"architecture": "refinenet_lw", "encoder": "efficientnet_lite0"}
    gates = [block.down.out_channels for block in blocks_of(meta_network(fusion="attention", **settings))]
    assert gates == [48, 80, 224, 144]  # of expanded widths 144, 240, 672, 1152
    mmfs = blocks_of(meta_network(fusion="mmf", **settings))
    assert [block.pool.out_channels for block in mmfs] == [144, 240, 256, 512]
    assert [block.expand is not None for block in mmfs] == [False, False, True, True]


def test_the_gate_has_a_channel_at_least():
    assert Attention(2, 16).down.out_channels == 1


@pytest.mark.parametrize("method", METHODS)
def test_parameters_of_a_baseline(method):
    """On RefineNet-101, whose fused blocks have 64, 128, 256 and 512 channels; for two modalities."""
    count = 0
    for channels, eta in ((64, 6), (128, 6), (256, 6), (512, 16)):
        narrow = round(2 * channels / eta)
        count += (
            2
            * {
                "average": 0,
                "concat": 2 * channels**2,
                "attention": 2 * 9 * 2 * channels * narrow + narrow + 2 * channels + 9 * 2 * channels**2,
                "mmf": 2 * (channels**2 + 5 * 9 * channels**2 + 2 * channels) + 9 * channels**2,
            }[method]
        )
    network = meta_network(fusion=method)
    assert sum(p.numel() for p in network.parameters()) == 118_201_578 + count


@pytest.mark.parametrize("method", PARAMETRIC)
def test_one_modality_alone_is_refused(method):
    with pytest.raises(
        ConfigError, match=f"'{method}' needs two or more modalities, and rgb is the only one"
    ):
        NetworkConfig(fusion=method, modalities=("rgb",))


def test_average_of_one_modality_is_the_identity():
    block, x = fusion("average", modalities=1), features(1)
    assert torch.equal(block(x, unchanged, (0,)), x)
    assert isinstance(block.blocks.of(0), Average)
