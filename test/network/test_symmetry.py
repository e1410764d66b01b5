"""The definition of Section 3.2: which fusions are symmetric, and which are not.

F is symmetric if for any theta1 and C1 there are theta2 and C2 with C1(F(x1, x2; theta1)) =
C2(F(x2, x1; theta2)) for all x1 and x2; C1 and C2 are pointwise convolutions.
"""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from asymfusion_ros.network import NetworkConfig
from asymfusion_ros.network.fusion.asymmetric import channel_shuffle, paper_groups, pixel_shift
from asymfusion_ros.network.fusion.registry import make_fusion
from asymfusion_ros.network.fusion.routing import everyone_else
from asymfusion_ros.network.fusion.symmetric import Attention, Average, Concat, Mmf

PAIR = everyone_else(2)
CHANNELS = 4


def rank_of_fit(fused, reverse):
    """How well a pointwise convolution C2 maps F(x2, x1) onto C1(F(x1, x2)) with C1 = identity: residual."""
    source = reverse.flatten(2).transpose(1, 2).flatten(0, 1)
    target = fused.flatten(2).transpose(1, 2).flatten(0, 1)
    solution = torch.linalg.lstsq(source, target).solution
    return (source @ solution - target).norm() / target.norm()


def fuse_all(operation, first, second):
    stacked = torch.cat([first, second])
    fused = operation(stacked)
    return fused[: len(first)], fused[len(first) :]


def shuffle_first(x):
    return channel_shuffle(x, PAIR, kept=3)


def add_shifted(x):
    return x + pixel_shift(x.roll(len(x) // 2, 0), paper_groups(x.shape[1]))


def shuffle_and_shift(x):
    """A fused block whose spatial convolution passes its input on."""
    fusion = make_fusion(NetworkConfig(keep=0.75).fusion_config, CHANNELS, stage=1)
    return fusion(x, lambda entered: entered, (0, 1))


def average(x):
    return (x + x.roll(len(x) // 2, 0)) / 2


@pytest.mark.parametrize(
    ("operation", "symmetric"),
    [(shuffle_first, False), (add_shifted, False), (shuffle_and_shift, False), (average, True)],
)
def test_definition_of_symmetry(operation, symmetric):
    """Without parameters: the least-squares C2 for C1 = identity over random features fits where one is."""
    torch.manual_seed(2)
    first, second = torch.randn(2, 4, CHANNELS, 6, 6).double()
    residual = rank_of_fit(*fuse_all(operation, first, second))
    assert (residual < 1e-6) == symmetric


def test_counter_example_for_the_shift():
    """x1 = 0, x2 != 0: C1(shifted x2) = C2(x2) for no C2, as a shifted pixel is another pixel."""
    torch.manual_seed(3)
    nothing, something = torch.zeros(4, 4, 6, 6).double(), torch.randn(4, 4, 6, 6).double()
    forward, backward = fuse_all(add_shifted, nothing, something)
    assert torch.equal(backward, something)
    assert torch.equal(forward, pixel_shift(something, paper_groups(4)))
    assert rank_of_fit(forward, backward) > 0.5


def test_counter_example_for_the_shuffle():
    """The two shuffled features share nothing: with x1 = 0 and C1 reading channel 1, no C2 can follow x2."""
    first, second = torch.zeros(1, 4, 2, 2), torch.ones(1, 4, 2, 2)
    forward, backward = fuse_all(shuffle_first, first, second)
    assert forward[0, :3].abs().max() == 0 and backward[0, 3].abs().max() == 0


def exchanged(block):
    """theta2: theta1 with its two groups of modality-specific parameters exchanged (Section 3.2)."""
    other = copy.deepcopy(block)
    if isinstance(block, Mmf):
        other.own, other.other = other.other, other.own
    if isinstance(block, Concat | Attention):
        halves = [(other.project.weight, 1)]  # (tensor, the axis along which own and other lie side by side)
        if isinstance(block, Attention):
            halves += [(other.down.weight, 1), (other.up.weight, 0), (other.up.bias, 0)]
        for tensor, axis in halves:
            tensor.data = tensor.data.roll(CHANNELS, axis)
    return other


@pytest.mark.parametrize(
    "block",
    [
        Average(),
        Concat(CHANNELS),
        Attention(CHANNELS, eta=2),
        Mmf(CHANNELS, CHANNELS, 0.5),
        Mmf(CHANNELS, 2, 0.5),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_baselines_are_symmetric(block, seed):
    """For a random theta1 and a random C1: the exchanged theta2 and C2 = C1. (Dropout is off: what it drops
    is drawn at each call.)"""
    torch.manual_seed(seed)
    theta1 = copy.deepcopy(block).double().eval()
    for parameter in theta1.parameters():
        nn.init.normal_(parameter)
    first, second = torch.randn(2, 3, CHANNELS, 6, 6).double()
    pointwise = torch.randn(5, CHANNELS, 1, 1).double()
    forward = F.conv2d(theta1(first, second), pointwise)
    backward = F.conv2d(exchanged(theta1)(second, first), pointwise)
    torch.testing.assert_close(backward, forward)
    if len(list(block.parameters())):  # theta2 = theta1 would not do
        assert not torch.allclose(F.conv2d(theta1(second, first), pointwise), forward)
