"""Every network that can be built: shapes, parameter counts, gradients, absent modalities."""

import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.network import NetworkConfig, build_network
from asymfusion_ros.network.layers.norms import PrivateBatchNorm2d, may_be_missing

NAMES = ("rgb", "depth", "thermal")


def small(encoder="resnet18", modalities=2, **settings):
    settings = {"architecture": "refinenet_lw", "classes": 5, "decoder_channels": 8, **settings}
    return NetworkConfig(encoder=encoder, modalities=NAMES[:modalities], **settings)


def inputs(count, height=32, width=32, samples=1):
    return [torch.randn(samples, 3, height, width) for _ in range(count)]


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("encoder", "modalities", "count"),
    [
        ("resnet101", 1, 118_096_233),
        ("resnet101", 2, 118_201_578),
        ("resnet152", 1, 133_739_881),
        ("resnet152", 2, 133_891_306),
    ],
)
def test_parameter_counts_are_the_papers(encoder, modalities, count):
    """118.10, 118.20, 133.74 and 133.89 million in Table 1."""
    with torch.device("meta"):
        network = build_network(NetworkConfig(encoder=encoder, modalities=NAMES[:modalities]))
    assert parameters(network) == count


def test_a_second_modality_costs_its_norms_and_one_alpha():
    with torch.device("meta"):
        one, two = (build_network(small("efficientnet_lite0", count)) for count in (1, 2))
    norms = sum(m.weight.numel() + m.bias.numel() for m in one.modules() if isinstance(m, PrivateBatchNorm2d))
    assert parameters(two) - parameters(one) == norms + 1


def test_light_weight_refinenet_has_the_published_size():
    """27 million with ResNet-50 on one modality (Nekrasov et al. 2018)."""
    with torch.device("meta"):
        network = build_network(NetworkConfig("refinenet_lw", "resnet50", modalities=("rgb",)))
    assert round(parameters(network) / 1e6) == 27


def test_ensemble_is_the_alpha_softmax():
    network = build_network(small(modalities=3)).eval()
    network.ensemble.alpha.data = torch.log(torch.tensor([1.0, 2.0, 5.0]))
    with torch.inference_mode():
        out = network(inputs(3))
        torch.testing.assert_close(out.weights, torch.tensor([1 / 8, 2 / 8, 5 / 8]))
        expected = sum(w * branch for w, branch in zip(out.weights, out.logits))
        torch.testing.assert_close(out.ensemble, expected)
        # Without the second one the softmax is over 1 and 5.
        rgb, _, thermal = inputs(3)
        out = network([rgb, None, thermal])
    torch.testing.assert_close(out.weights, torch.tensor([1 / 6, 0.0, 5 / 6]))
    assert out.logits[1] is None


@pytest.mark.parametrize("present", [p for n in (1, 2) for p in itertools.combinations(range(3), n)])
def test_absent_modalities(present):
    """What remains is the network of the modalities present, with their own norms and weights."""
    torch.manual_seed(1)
    full = build_network(small(modalities=3)).eval()
    for module in full.modules():
        if isinstance(module, PrivateBatchNorm2d):
            nn.init.normal_(module.bias)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    smaller = build_network(small(modalities=len(present))).eval()
    rows = list(present)
    kept = {
        name: tensor[rows] if tensor.shape[:1] == (3,) and tensor.ndim < 4 else tensor
        for name, tensor in full.state_dict().items()
        if name in smaller.state_dict()
    }
    smaller.load_state_dict(kept)
    given = inputs(3)
    with torch.inference_mode():
        out = full([x if i in present else None for i, x in enumerate(given)])
        expected = smaller([given[i] for i in present])
    for place, i in enumerate(present):
        torch.testing.assert_close(out.logits[i], expected.logits[place])
    torch.testing.assert_close(out.ensemble, expected.ensemble)


@pytest.mark.parametrize("training", [True, False])
def test_private_norm_is_a_batch_norm_for_each_modality(training):
    """Eq. 1, against one torch BatchNorm2d a modality."""
    torch.manual_seed(2)
    private = PrivateBatchNorm2d(4, modalities=3)
    plain = [nn.BatchNorm2d(4) for _ in range(3)]
    for row, norm in enumerate(plain):
        for tensor, own in ((norm.weight, private.weight), (norm.bias, private.bias)):
            nn.init.uniform_(tensor, 0.5, 1.5)
            own.data[row] = tensor.data
        norm.running_mean.copy_(private.running_mean[row].normal_())
        norm.running_var.copy_(private.running_var[row].uniform_(0.5, 2.0))
        norm.train(training)
    private.train(training)
    x = torch.randn(3, 2, 4, 5, 6) * torch.tensor([1.0, 5.0, 0.2]).view(3, 1, 1, 1, 1)
    expected = torch.cat([norm(part) for norm, part in zip(plain, x)])
    torch.testing.assert_close(private(x.flatten(0, 1), (0, 1, 2)), expected)
    for row, norm in enumerate(plain):
        torch.testing.assert_close(private.running_mean[row], norm.running_mean)
        torch.testing.assert_close(private.running_var[row], norm.running_var)


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [
        ("refinenet", "resnet18"),
        ("refinenet_lw", "resnet50"),
        ("refinenet_lw", "efficientnet_lite0"),
        ("deeplabv3plus", "resnet18"),
        ("deeplabv3plus", "xception65"),
    ],
)
def test_private_norms_never_see_the_other_modality(architecture, encoder, shared):
    """After a training step without fusion: the same statistics, whatever the other modality shows."""
    torch.manual_seed(6)
    settings = {"architecture": architecture, "fusion": "none", "shared_convs": shared, "dropout": 0.0}
    network = build_network(small(encoder, **settings))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    rgb, depth = inputs(2, samples=2)
    found = []
    for other in (depth, 20 * torch.rand_like(depth) + 5):
        network.load_state_dict(before)
        network([rgb, other])
        found.append({name: t.clone() for name, t in network.state_dict().items() if "running" in name})
    moved = 0
    for name, tensor in found[0].items():
        if len(tensor) == 2:
            torch.testing.assert_close(tensor[0], found[1][name][0])
            assert not torch.equal(tensor[0], before[name][0])  # its own modality it does see
            moved += not torch.equal(tensor[1], found[1][name][1])
    assert moved == sum(len(tensor) == 2 for tensor in found[0].values())
    if not shared:  # the norms of DeepLabv3+'s decoder are the decoder's, and that is each modality's own
        for name, tensor in found[0].items():
            if name.startswith("decoder.0."):
                torch.testing.assert_close(tensor, found[1][name])


def test_statistics_of_an_absent_modality_stay():
    norm = PrivateBatchNorm2d(3, modalities=3).train()
    norm(torch.randn(4, 3, 5, 5) + 7, (0, 2))
    assert norm.running_mean[1].abs().max() == 0
    assert norm.running_mean[[0, 2]].min() > 0.5


def test_a_modality_alone_has_running_statistics_of_its_own():
    torch.manual_seed(4)
    norm = PrivateBatchNorm2d(3, modalities=2, momentum=0.25).train()
    company, alone = torch.randn(8, 3, 5, 5) + 4, torch.randn(4, 3, 5, 5) * 2 - 3
    norm(company, (0, 1))
    mean, variance = norm.running_mean.clone(), norm.running_var.clone()
    # until it has been alone in training, the common statistics serve
    assert torch.equal(norm.statistics(alone=True)[0], mean)
    norm(alone, (1,))
    assert torch.equal(norm.running_mean, mean) and torch.equal(norm.running_var, variance)
    found_mean, found_variance = norm.statistics(alone=True)
    assert torch.equal(found_mean[0], mean[0]) and torch.equal(found_variance[0], variance[0])
    torch.testing.assert_close(found_mean[1], 0.75 * mean[1] + 0.25 * alone.mean((0, 2, 3)))
    torch.testing.assert_close(found_variance[1], 0.75 * variance[1] + 0.25 * alone.var((0, 2, 3)))

    norm.eval()
    expected = F.batch_norm(alone, found_mean[1], found_variance[1], eps=norm.eps)
    torch.testing.assert_close(norm(alone, (1,)), expected)
    expected = F.batch_norm(company[4:], mean[1], variance[1], eps=norm.eps)
    torch.testing.assert_close(norm(company, (0, 1))[4:], expected)


def test_averaged_weights_have_the_statistics_of_a_modality_alone():
    """After ten steps an average of 0.999 is still where it began: that must be no made-up number."""
    norm = PrivateBatchNorm2d(3, modalities=2, momentum=0.5).train()
    norm.running_mean.fill_(5.0)
    norm.running_var.fill_(4.0)
    norm.begin_alone()
    averaged = AveragedModel(norm, multi_avg_fn=get_ema_multi_avg_fn(0.999), use_buffers=True)
    for _ in range(10):
        norm(torch.randn(64, 3, 8, 8) * 2 + 5, (1,))
        averaged.update_parameters(norm)
    mean, variance = averaged.module.statistics(alone=True)
    torch.testing.assert_close(mean, torch.full((2, 3), 5.0), rtol=0.05, atol=0)
    torch.testing.assert_close(variance, torch.full((2, 3), 4.0), rtol=0.1, atol=0)


def test_weights_from_before_there_were_statistics_of_a_modality_alone():
    torch.manual_seed(5)
    network = build_network(small()).eval()
    old = {name: tensor for name, tensor in network.state_dict().items() if not may_be_missing(name)}
    assert len(old) < len(network.state_dict())
    newer = build_network(small()).eval()
    newer.load_state_dict(old)
    rgb, depth = inputs(2)
    with torch.inference_mode():
        for given in ([rgb, depth], [rgb, None], [None, depth]):
            assert torch.equal(newer(given).ensemble, network(given).ensemble)


def test_shared_norms_see_all_modalities_together():
    torch.manual_seed(3)
    norm, plain = PrivateBatchNorm2d(3, modalities=2, private=False), nn.BatchNorm2d(3)
    x = torch.randn(4, 3, 5, 5) * 3 + 1
    torch.testing.assert_close(norm(x, (0, 1)), plain(x))
    assert norm.weight.shape == (1, 3)


@pytest.mark.parametrize(("height", "width"), [(33, 47), (75, 100), (64, 31), (240, 320)])
@pytest.mark.parametrize("encoder", ["resnet18", "efficientnet_lite0"])
def test_any_input_size(encoder, height, width):
    with torch.inference_mode():
        out = build_network(small(encoder)).eval()(inputs(2, height, width))
    assert tuple(out.ensemble.shape[-2:]) == (-(-height // 4), -(-width // 4))


def test_same_padding_is_tensorflows():
    """Even size, stride 2, kernel 3: nothing before, one pixel after; so output 0 reads inputs 0 to 2."""
    from asymfusion_ros.network.encoders.efficientnet import SameConv2d

    conv = SameConv2d(1, 1, 3, stride=2)
    nn.init.ones_(conv.weight)
    x = torch.arange(1.0, 5.0).expand(1, 1, 4, 4)  # each row 1 2 3 4
    out = conv(x)
    assert out[0, 0, 0].tolist() == [3 * (1 + 2 + 3), 3 * (3 + 4)]
    assert out[0, 0, 1].tolist() == [2 * (1 + 2 + 3), 2 * (3 + 4)]


def test_efficientnet_layers_are_the_published_ones():
    """Stages of Lite0 and Lite2: block counts and channels of the published networks."""
    with torch.device("meta"):
        lite0 = build_network(small("efficientnet_lite0")).encoder
        lite2 = build_network(small("efficientnet_lite2")).encoder
    assert (len(lite0.blocks), lite0.channels) == (16, (24, 40, 112, 320))
    assert (len(lite2.blocks), lite2.channels) == (21, (24, 48, 120, 352))


def test_wrong_inputs_are_named():
    network = build_network(small())
    rgb, depth = inputs(2)
    with pytest.raises(ConfigError, match=r"2 inputs \(rgb, depth\), not 1"):
        network([rgb])
    with pytest.raises(ConfigError, match="all inputs are absent"):
        network([None, None])
    with pytest.raises(ConfigError, match="differ in shape: rgb .* depth"):
        network([rgb, depth[..., :16]])
