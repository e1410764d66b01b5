"""Channel shuffle and pixel shift against the paper's equations, worked out by hand."""

import pytest
import torch

from asymfusion_ros.network import NetworkConfig, build_network
from asymfusion_ros.network.fusion.asymmetric import channel_shuffle, paper_groups, pixel_shift, split_point
from asymfusion_ros.network.fusion.registry import make_fusion
from asymfusion_ros.network.fusion.routing import everyone_else

PAIR = everyone_else(2)


def fusion_of(channels, **settings):
    return make_fusion(NetworkConfig(**settings).fusion_config, channels, stage=1)


def around(fusion, entering, leaving, available=(0, 1)):
    """(what the spatial convolution gets, what the fusion makes of ``leaving``, which that gives)."""
    entered = []

    def spatial(x):
        entered.append(x)
        return leaving

    out = fusion(entering, spatial, available)
    (x,) = entered
    return x, out


def test_channel_shuffle_is_equation_2():
    # 1 x 1 feature maps of four channels, T = 3: the last channel is exchanged.
    first = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1)
    second = torch.tensor([10.0, 20.0, 30.0, 40.0]).view(1, 4, 1, 1)
    fused = channel_shuffle(torch.cat([first, second]), PAIR, kept=3)
    assert fused[0].flatten().tolist() == [1.0, 2.0, 3.0, 40.0]
    assert fused[1].flatten().tolist() == [10.0, 20.0, 30.0, 4.0]


def test_shuffle_pairs_the_same_sample_of_both_modalities():
    stacked = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 2, 1, 1)  # three samples of each modality
    fused = channel_shuffle(stacked, PAIR, kept=1)
    assert fused[:, 0].flatten().tolist() == [0, 1, 2, 3, 4, 5]
    assert fused[:, 1].flatten().tolist() == [3, 4, 5, 0, 1, 2]


def test_pixel_shift_is_equation_3():
    # Four channels, one a group, each the same 3 x 3 map; h down, w across.
    plane = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
    shifted = pixel_shift(plane.expand(1, 4, 3, 3), paper_groups(4))
    expected = [
        [[0, 1, 2], [0, 4, 5], [0, 7, 8]],  # (0, -1): reads the pixel on the left
        [[0, 0, 0], [1, 2, 3], [4, 5, 6]],  # (-1, 0): the one above
        [[2, 3, 0], [5, 6, 0], [8, 9, 0]],  # (0, 1): the one on the right
        [[4, 5, 6], [7, 8, 9], [0, 0, 0]],  # (1, 0): the one below
    ]
    assert shifted[0].tolist() == expected


def test_pixel_shift_is_the_padded_reading_of_equation_3():
    torch.manual_seed(0)
    x = torch.randn(2, 8, 5, 7)
    padded = torch.zeros(2, 8, 7, 9)
    padded[:, :, 1:-1, 1:-1] = x
    expected = torch.empty_like(x)
    for c in range(8):
        alpha, beta = [(0, -1), (-1, 0), (0, 1), (1, 0)][c // 2]
        for h in range(5):
            for w in range(7):
                expected[:, c, h, w] = padded[:, c, h + alpha + 1, w + beta + 1]
    assert torch.equal(pixel_shift(x, paper_groups(8)), expected)


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 6, 7, 10, 13])
def test_channels_that_four_does_not_divide_keep_their_shape(channels):
    x = torch.randn(1, channels, 3, 3)
    assert paper_groups(channels) == tuple(i * channels // 4 for i in range(5))
    assert pixel_shift(x, paper_groups(channels)).shape == x.shape


def test_split_point_rounds_and_stays_inside():
    assert split_point(10, 0.7) == 7
    assert split_point(64, 0.7) == 45  # 44.8
    assert split_point(5, 0.5) == 3  # halves round up
    assert split_point(2, 0.99) == 1
    assert split_point(2, 0.01) == 1


def test_fused_block_is_figure_3c():
    """Shuffle, then (after the convolution) the shifted features of the other added, then shuffle."""
    torch.manual_seed(1)
    entering, leaving = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    entered, out = around(fusion_of(4, keep=0.5), entering, leaving)
    assert torch.equal(entered[0], torch.cat([entering[0, :2], entering[1, 2:]]))
    assert torch.equal(entered[1], torch.cat([entering[1, :2], entering[0, 2:]]))
    shifted = pixel_shift(entered, paper_groups(4))
    first, second = leaving[0] + shifted[1], leaving[1] + shifted[0]  # Eq. 4
    assert torch.equal(out[0], torch.cat([first[:2], second[2:]]))
    assert torch.equal(out[1], torch.cat([second[:2], first[2:]]))


def test_more_than_two_modalities_receive_the_mean_of_the_others():
    stacked = torch.tensor([[1.0, 1.0], [10.0, 10.0], [100.0, 100.0]]).view(3, 2, 1, 1)
    fused = channel_shuffle(stacked, everyone_else(3), kept=1)
    assert fused[:, 0].flatten().tolist() == [1, 10, 100]
    assert fused[:, 1].flatten().tolist() == [55, 50.5, 5.5]


@pytest.mark.parametrize("fusion", ["shuffle", "shift", "skip", "asymmetric"])
def test_one_direction_changes_the_target_alone(fusion):
    torch.manual_seed(4)
    entering, leaving = torch.randn(2, 8, 4, 4), torch.randn(2, 8, 4, 4)
    one_way = fusion_of(8, fusion=fusion, direction="depth_to_rgb")
    entered, out = around(one_way, entering, leaving)
    entered_both, _ = around(fusion_of(8, fusion=fusion), entering, leaving)
    assert torch.equal(entered[0], entered_both[0])
    assert torch.equal(entered[1], entering[1])
    assert not torch.equal(out[0], leaving[0])
    assert torch.equal(out[1], leaving[1])


def test_skip_is_asymmetric_without_the_shift():
    torch.manual_seed(5)
    entering, leaving = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3)
    entered, out = around(fusion_of(4, fusion="skip", keep=0.5), entering, leaving)
    first, second = leaving[0] + entered[1], leaving[1] + entered[0]
    assert torch.equal(out[0], torch.cat([first[:2], second[2:]]))


@pytest.mark.parametrize("fusion", ["average", "shuffle", "shift", "skip", "asymmetric"])
@pytest.mark.parametrize("available", [(0,), (1,)])
def test_identity_where_one_modality_is_available(fusion, available):
    entering, leaving = torch.randn(1, 8, 4, 4), torch.randn(1, 8, 4, 4)
    entered, out = around(fusion_of(8, fusion=fusion), entering, leaving, available)
    assert torch.equal(entered, entering)
    assert torch.equal(out, leaving)


def test_released_variant_keeps_four_fifths_and_shifts_those_alone():
    # C = 11: g = 2, so channels 0 to 7 stay and are shifted in pairs; 8 to 10 are exchanged, never shifted.
    plane = torch.arange(9.0).view(3, 3) + 1
    stacked = torch.stack([plane.expand(11, 3, 3), 10 * plane.expand(11, 3, 3)])
    entered, out = around(fusion_of(11, variant="released"), stacked, torch.zeros_like(stacked))
    assert entered[0, :, 1, 1].tolist() == [5.0] * 8 + [50.0] * 3
    # Before the second shuffle, modality 0 holds the shifted features of modality 1: 10 x the plane.
    above, left, right, below = 20.0, 40.0, 60.0, 80.0
    assert out[0, :8, 1, 1].tolist() == [above] * 2 + [left] * 2 + [right] * 2 + [below] * 2
    assert out[0, 8:].abs().max() == 0
    assert out[1, :8, 1, 1].tolist() == [2.0, 2.0, 4.0, 4.0, 6.0, 6.0, 8.0, 8.0]


@pytest.mark.parametrize("training", [True, False])
def test_without_fusion_private_norms_keep_the_modalities_independent(training):
    """What the other modality shows changes nothing, in evaluation and in training alike."""
    torch.manual_seed(6)
    config = NetworkConfig("refinenet_lw", "resnet18", 5, fusion="none", decoder_channels=8, dropout=0.0)
    network = build_network(config).train(training)
    rgb = torch.randn(2, 3, 32, 32)
    ones = network([rgb, torch.ones(2, 3, 32, 32)]).logits[0]
    noise = network([rgb, torch.randn(2, 3, 32, 32)]).logits[0]
    alone = network([rgb, None]).logits[0]
    torch.testing.assert_close(ones, noise, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ones, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("fusion", ["shuffle", "shift", "skip", "asymmetric"])
def test_with_fusion_each_modality_sees_the_other(fusion):
    torch.manual_seed(7)
    config = NetworkConfig("refinenet_lw", "resnet18", 5, fusion=fusion, decoder_channels=8)
    network = build_network(config).eval()
    rgb, depth = torch.randn(1, 3, 32, 32), torch.randn(1, 3, 32, 32)
    plain = network([rgb, depth])
    changed = network([rgb, depth + 1])
    assert not torch.allclose(plain.logits[0], changed.logits[0])
