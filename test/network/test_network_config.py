"""What a NetworkConfig takes, what it refuses with the reason, what older checkpoints say of themselves."""

import json

import pytest

from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.network import NetworkConfig


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"encoder": "resnet102"}, "resnet102"),
        ({"architecture": "unet"}, "unet"),
        ({"fusion": "asymetric"}, "asymetric"),
        ({"direction": "depth_to_thermal"}, "depth_to_thermal"),
        ({"modalities": ()}, "modalities"),
        ({"modalities": ("rgb", "rgb")}, "modalities"),
        ({"modalities": "rgb"}, "'rgb'"),
        ({"classes": 256}, "256"),
        ({"keep": 1.0}, "keep"),
        ({"dropout": 1.0}, "dropout"),
        ({"decoder_channels": 0}, "decoder_channels"),
        ({"shared_convs": "yes"}, "shared_convs"),
        ({"shared_convs": False, "private_norms": False}, "layers of its own"),
        ({"fusion": "mmf", "modalities": ("depth",)}, "two or more modalities, and depth is the only one"),
        ({"encoder": "xception65"}, "xception65 goes with deeplabv3plus alone; refinenet reads 4"),
        ({"architecture": "refinenet_lw", "encoder": "xception65"}, "refinenet_lw reads 4 resolutions"),
        ({"architecture": "deeplabv3plus", "encoder": "efficientnet_lite0"}, "strides down to 1/32"),
        (
            {"architecture": "deeplabv3plus", "output_stride": 32},
            "output_stride is 32; choose one of None, 8, 16",
        ),
        ({"output_stride": 16}, "output_stride: 16 is for deeplabv3plus; refinenet reads"),
        (
            {"architecture": "deeplabv3plus", "encoder": "xception65", "fusion_stages": (4,)},
            "4 is not a stage of xception65, which has 1 to 3",
        ),
        ({"fusion_blocks": "first"}, "fusion_blocks is 'first'; choose one of last, all"),
        ({"fusion_stages": ()}, "set fusion to none"),
        ({"fusion_stages": (0, 1)}, "0 is not a stage of resnet101, which has 1 to 4"),
        ({"fusion_stages": (5,), "encoder": "efficientnet_lite0"}, "5 is not a stage of efficientnet_lite0"),
        ({"fusion_stages": (2, 2)}, "names a stage twice"),
        ({"fusion_stages": 3}, "3 is not a list"),
        ({"variant": "released", "encoder": "resnet18"}, "released"),
        ({"variant": "released", "fusion": "shift"}, "released"),
        ({"variant": "released", "architecture": "deeplabv3plus"}, "released"),
        ({"variant": "released", "fusion": "concat"}, "released"),
        ({"variant": "released", "shared_convs": False}, "released"),
        ({"variant": "released", "fusion_stages": (4,)}, "released"),
        ({"variant": "released", "fusion_blocks": "all"}, "released"),
    ],
)
def test_impossible_settings_are_named(settings, named):
    with pytest.raises(ConfigError, match=named):
        NetworkConfig(**settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"fusion": "shift", "direction": "depth_to_rgb"},
        {"fusion": "attention", "fusion_stages": [2, 4], "fusion_blocks": "all", "shared_convs": False},
        {"architecture": "deeplabv3plus", "encoder": "xception65", "output_stride": 8},
    ],
)
def test_config_survives_json(settings):
    settings = {"encoder": "efficientnet_lite2", **settings}
    config = NetworkConfig(modalities=("rgb", "depth", "thermal"), **settings)
    assert NetworkConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_config_names_what_it_does_not_know():
    with pytest.raises(ConfigError, match="fusoin"):
        NetworkConfig.from_dict({"fusoin": "none"})
    with pytest.raises(
        ConfigError, match="fusion_stages is '3'; it must be null or a list, each a whole number"
    ):
        NetworkConfig.from_dict({"fusion_stages": "3"})


def test_a_checkpoint_from_before_a_setting_has_its_default():
    config = NetworkConfig()
    newer = {"fusion_stages", "fusion_blocks", "output_stride"}
    older = {name: value for name, value in config.to_dict().items() if name not in newer}
    assert NetworkConfig.from_dict(older) == config
    assert load_checkpoint("default").config.shared_convs
