"""InputSpec: sizes, what becomes of depth, and normalisation, with numbers worked out by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.errors import ConfigError

SPEC = InputSpec(height=240, width=320, depth_mean=2.0, depth_std=0.5, depth_max=10.0, depth_invalid=-7.0)


@pytest.mark.parametrize(
    ("frame", "network"),
    [
        ((480, 640), (240, 320)),
        ((240, 320), (240, 320)),
        ((3, 4), (240, 320)),
        # sqrt(76800 / (720 x 1280)) = 0.28868: 207.8 and 369.5, to the nearest multiple of 8
        ((720, 1280), (208, 368)),
        # portrait: 319.9 x 240 -> 320 x 240
        ((640, 480), (320, 240)),
        # a line of pixels: sqrt(76800 / 1000) = 8.7636 -> 8 x 8760
        ((1, 1000), (8, 8760)),
    ],
)
def test_network_size(frame, network):
    assert SPEC.network_size(*frame) == network


@given(st.integers(16, 4000), st.integers(16, 4000))
def test_another_aspect_ratio_keeps_its_own_and_the_number_of_pixels(height, width):
    if not 1 / 4 < height / width < 4:
        return
    h, w = SPEC.network_size(height, width)
    assert h % 8 == 0 and w % 8 == 0
    assert 0.9 < h * w / (240 * 320) < 1.1
    assert 0.9 < (h / w) / (height / width) < 1.1


def test_colour_is_normalised_channel_by_channel():
    spec = InputSpec(rgb_mean=(10, 20, 30), rgb_std=(1, 2, 4))
    image = torch.tensor([13, 26, 22], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    made = spec.network_input("rgb", image, (8, 8))
    assert made.dtype == torch.float32
    assert made[0, :, 3, 5].tolist() == [3.0, 3.0, -2.0]


def test_shrinking_averages_colour():
    # Black and white columns alternate. At a third of the width a pixel's triangle weighs five columns 1, 2,
    # 3, 2, 1 ninths: 5/9 of its own colour, 4/9 of the other. Taking the nearest ones would give 0 and 1.
    image = torch.tensor([0.0, 255.0]).repeat(24).expand(1, 3, 8, 48)
    spec = InputSpec(rgb_mean=(0, 0, 0), rgb_std=(255, 255, 255))
    middle = spec.network_input("rgb", image, (8, 16))[0, 0, 4, 4:8]
    assert middle.tolist() == pytest.approx([5 / 9, 4 / 9] * 2)  # around columns 13, 16, 19, 22


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), float("-inf")])
def test_a_pixel_without_depth_becomes_depth_invalid(value):
    metres = torch.tensor([[value, 3.0]]).view(1, 1, 1, 2)
    made = SPEC.network_input("depth", metres, (1, 2))
    assert made[0, :, 0, 0].tolist() == [-7.0] * 3
    assert made[0, :, 0, 1].tolist() == [2.0] * 3  # (3 - 2) / 0.5


def test_far_depth_counts_as_depth_max():
    made = SPEC.network_input("depth", torch.tensor([9.0, 10.0, 11.0, 1e30]).view(1, 1, 1, 4), (1, 4))
    assert made[0, 0, 0].tolist() == [14.0, 16.0, 16.0, 16.0]


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 20), st.integers(1, 20))
def test_resizing_depth_invents_no_value(height, width, new_height, new_width):
    plain = InputSpec(depth_mean=0.0, depth_std=1.0, depth_max=1e6)
    metres = torch.randperm(height * width).view(1, 1, height, width) + 1.0
    made = plain.network_input("depth", metres, (new_height, new_width))
    assert made.shape == (1, 3, new_height, new_width)
    assert set(made.unique().tolist()) <= set(metres.flatten().tolist())


def test_depth_is_taken_at_the_nearest_pixel():
    plain = InputSpec(depth_mean=0.0, depth_std=1.0)
    metres = torch.arange(1.0, 7.0).view(1, 1, 1, 6)
    # the centres of 3 pixels over 6 lie at 1, 3 and 5: between two, the right one counts
    assert plain.network_input("depth", metres, (1, 3))[0, 0, 0].tolist() == [2.0, 4.0, 6.0]
    assert plain.network_input("depth", metres[..., :3], (1, 6))[0, 0, 0].tolist() == [
        1.0,
        1.0,
        2.0,
        2.0,
        3.0,
        3.0,
    ]


def test_further_modalities_have_their_defaults_and_what_is_said_of_them():
    described = {"thermal": {"mean": [300]}, "haze": {"kind": "scalar", "unit": 0.5, "maximum": 9}}
    spec = InputSpec.from_dict({"images": described})
    assert spec.stats("thermal").mean == (300.0,) and spec.stats("thermal").std == (10.0,)
    assert spec.modality("thermal").unit == 0.01
    assert (spec.modality("haze").unit, spec.stats("haze").maximum) == (0.5, 9.0)
    kelvin = torch.tensor([[290.0, 320.0, math.nan]]).view(1, 1, 1, 3)
    assert spec.network_input("thermal", kelvin, (1, 3))[0, :, 0].tolist() == [[-1.0, 2.0, 0.0]] * 3
    assert InputSpec.from_dict(spec.to_dict()) == spec


def test_a_description_without_further_modalities_is_as_it_always_was():
    assert sorted(InputSpec().to_dict()) == sorted(
        ["height", "width", "rgb_mean", "rgb_std", "depth_mean", "depth_std", "depth_max", "depth_invalid"]
    )


def test_a_description_comes_back_the_same():
    spec = InputSpec(height=96, width=128, rgb_mean=(1, 2, 3), depth_invalid=-1.5)
    assert InputSpec.from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize(
    ("settings_", "named"),
    [
        ({"hieght": 240}, "unknown setting hieght; known are height, width"),
        ({"height": "240"}, "height is '240'; it must be a whole number"),
        ({"height": 240.5}, "height is 240.5; it must be a whole number"),
        ({"height": True}, "height is True"),
        ({"height": 4}, "height is 4; it must be 8 to 4096"),
        ({"height": 4104}, "height is 4104; it must be 8 to 4096"),
        ({"height": 4096, "width": 4096}, "16777216 pixels; at most 4194304"),
        ({"width": 319}, "width 319 must be multiples of 8"),
        ({"depth_std": 0}, "depth_std is 0.0; it must be above 0"),
        ({"depth_max": -1}, "depth_max is -1.0"),
        ({"depth_mean": math.nan}, "depth_mean is nan; it must be a number"),
        ({"depth_mean": None}, "depth_mean is None"),
        ({"rgb_std": [1, 0, 1]}, "rgb_std"),
        ({"rgb_mean": [1, 2]}, "rgb_mean is .*it must be a list of 3, each a number"),
        ({"rgb_mean": 127}, "rgb_mean is 127"),
        ([240, 320], "not a set of settings"),
        ({"images": {"haze": {}}}, "modality 'haze' is unknown: use one of rgb, depth, thermal, infrared"),
        ({"images": {"haze": {"kind": "points"}}}, "'haze' has the unknown kind 'points': use one of colour"),
        ({"images": {"haze": {"kind": "scalar", "std": [0]}}}, r"std is \[0.0\]; all of it must be positive"),
        (
            {"images": {"haze": {"kind": "colour", "mean": [1, 2]}}},
            "mean has 2 values",
        ),
        (
            {"images": {"thermal": {"scale": 1}}},
            "thermal: unknown setting scale; known are kind, unit",
        ),
        ({"images": {"depth": {"mean": [1]}}}, "depth has settings of its own: depth_mean and so on"),
    ],
)
def test_settings_that_cannot_be(settings_, named):
    with pytest.raises(ConfigError, match=named):
        InputSpec.from_dict(settings_)
