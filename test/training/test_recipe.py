"""Recipes: what a file may say, and that every mistake in one is named."""

import pytest

from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.errors import ConfigError
from asymfusion_training.recipe import Recipe, load_recipe


def written(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_bytes(text.encode("latin-1"))
    return load_recipe(str(path))


def test_the_recipe_that_the_package_carries():
    recipe = load_recipe("nyudv2_efficientnet_lite0")
    config = recipe.network_config(40)
    assert (config.encoder, config.classes) == ("efficientnet_lite0", 40)
    assert (recipe.input_spec().height, recipe.input_spec().width) == (240, 320)
    assert recipe.input_spec().rgb_std == (128.0, 128.0, 128.0)


def test_a_file_changes_the_defaults(tmp_path):
    recipe = written(tmp_path, "epochs: 3\nscale: [1, 2]\ncrop: [64, 96]\nnetwork: {encoder: resnet18}\n")
    assert (recipe.epochs, recipe.scale, recipe.crop) == (3, (1.0, 2.0), (64, 96))
    assert recipe.batch == Recipe().batch
    assert recipe.network_config(5).encoder == "resnet18"
    assert recipe.input_spec() == InputSpec()


def test_numbers_as_people_write_them(tmp_path):
    # YAML 1.1 takes 5e-4 for text, and 1 for a whole number
    recipe = written(tmp_path, "encoder_rate: 5e-4\ndecoder_rate: 1\n")
    assert (recipe.encoder_rate, recipe.decoder_rate) == (0.0005, 1.0)
    assert isinstance(recipe.decoder_rate, float)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("epocs: 3", r"unknown setting epocs; known are network, input"),
        ("", "None is not a set of settings"),
        ("- epochs", r"\['epochs'\] is not a set of settings"),
        ("epochs: [", "is not YAML"),
        ("\xff\xfe", "is not YAML"),
        ("epochs: ten", "epochs is 'ten'; it must be a whole number"),
        ("epochs: 2.5", "epochs is 2.5; it must be a whole number"),
        ("epochs: true", "epochs is True"),
        ("epochs:", "epochs is None"),
        ("epochs: 0", "epochs is 0; it must be 1 or more"),
        ("batch: -1", "batch is -1"),
        ("encoder_rate: fast", "encoder_rate is 'fast'; it must be a number"),
        ("encoder_rate: -0.1", "encoder_rate is -0.1; it must not be negative"),
        ("decoder_rate: .inf", "decoder_rate is inf"),
        ("scale: 1.5", "scale is 1.5; it must be a list of 2, each a number"),
        ("scale: [1, 2, 3]", r"scale is \[1, 2, 3\]"),
        ("scale: [2, 1]", r"scale \(2.0, 1.0\) must be \[smallest, largest\]"),
        ("scale: [0, 1]", "above 0"),
        ("crop: 192", "crop is 192; it must be null or a list of 2, each a whole number"),
        ("crop: [192, wide]", "crop is"),
        ("crop: [192, 16]", "64 or more"),
        ("norm_momentum: 0.0", "norm_momentum is 0.0"),
        ("network: {classes: 7}", "classes is set by the data"),
        ("network: resnet18", "network is 'resnet18'; it must be a set of settings"),
        ("pretrained: 5", "pretrained is 5; it must be text"),
        ("modality_dropout: 1", "modality_dropout is 1.0"),
        ("depth_holes: -0.5", "depth_holes is -0.5"),
        ("seed: -1", "seed is -1"),
        ("warm_up: 2", "warm_up is 2.0"),
    ],
)
def test_mistakes_are_named(tmp_path, text, named):
    with pytest.raises(ConfigError, match=named) as caught:
        written(tmp_path, text + "\n")
    assert "recipe" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("network: {encodr: resnet18}", "network: unknown setting encodr"),
        ("network: {encoder: [resnet18]}", r"encoder is \['resnet18'\]; it must be text"),
        ("network: {encoder: vgg}", "encoder is 'vgg'; choose one of"),
        ("network: {modalities: rgb}", "modalities is 'rgb'; it must be a list, each text"),
        ("input: {heigth: 240}", "input: unknown setting heigth"),
        ("input: {height: tall}", "input: height is 'tall'"),
    ],
)
def test_mistakes_in_a_group_are_named(tmp_path, text, named):
    recipe = written(tmp_path, text)
    with pytest.raises(ConfigError, match=named):
        recipe.network_config(3)
        recipe.input_spec()


def test_a_recipe_that_does_not_exist(tmp_path):
    with pytest.raises(ConfigError, match=r"'nyu' does not exist: .*one of .*nyudv2_efficientnet_lite0"):
        load_recipe("nyu")
    with pytest.raises(ConfigError, match="does not exist"):
        load_recipe(str(tmp_path / "none.yaml"))
