"""Recipes: what a file may say, and that every mistake in one is named."""

import pytest

from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.settings import declared
from asymfusion_training.loop.state import load_state, save_state
from asymfusion_training.recipe import FOLDER, SECTION_OF, Recipe, load_recipe, settings_tables
from asymfusion_training.tasks.translation.settings import TranslationSettings


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
    assert (recipe.loop.epochs, recipe.data.scale, recipe.data.crop) == (3, (1.0, 2.0), (64, 96))
    assert recipe.loop.batch == Recipe().loop.batch
    assert recipe.network_config(5).encoder == "resnet18"
    assert recipe.input_spec() == InputSpec()


def test_numbers_as_people_write_them(tmp_path):
    # YAML 1.1 takes 5e-4 for text, and 1 for a whole number
    recipe = written(tmp_path, "encoder_lr: 5e-4\ndecoder_lr: 1\n")
    assert (recipe.loop.encoder_lr, recipe.loop.decoder_lr) == (0.0005, 1.0)
    assert isinstance(recipe.loop.decoder_lr, float)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("epocs: 3", r"unknown setting epocs; did you mean epochs"),
        ("", "None is not a set of settings"),
        ("- epochs", r"\['epochs'\] is not a set of settings"),
        ("epochs: [", "is not YAML"),
        ("\xff\xfe", "is not UTF-8 text"),
        ("epochs: ten", "epochs is 'ten'; it must be a whole number"),
        ("epochs: 2.5", "epochs is 2.5; it must be a whole number"),
        ("epochs: true", "epochs is True"),
        ("epochs:", "epochs is None"),
        ("epochs: 0", "epochs is 0; it must be 1 or more"),
        ("batch: -1", "batch is -1"),
        ("encoder_lr: fast", "encoder_lr is 'fast'; it must be a number"),
        ("encoder_rate: -0.1", "encoder_lr is -0.1; it must be 0 or more"),
        ("decoder_rate: .inf", "decoder_lr is inf"),
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
        ("zzz: 1", "unknown setting zzz; see `asymfusion train --list-settings`"),
        ("loop: 3", "loop is 3; it must be a set of settings"),
        ("loop: {epocs: 3}", "loop: unknown setting epocs; did you mean epochs"),
        ("loop: {scale: [1, 2]}", "loop: unknown setting scale"),
        ("epochs: 3\nloop: {epochs: 4}", "epochs is given twice; give it once, under loop or on its own"),
        ("encoder_rate: 1\nencoder_lr: 2", "encoder_lr is given twice"),
        ("optimiser: adam", "optimiser is 'adam'; choose one of adamw, sgd"),
        ("batch: 8\naccumulate: 3", "batch 8 cannot be cut into accumulate = 3"),
        ("stages: [[0.5, 1, 1]]", r"stage \[0.5, 1.0, 1.0\] must be \[epochs, encoder_lr"),
        ("extends: nyu", "'nyu' does not exist"),
        ("extends: [fine_tune]", r"extends is \['fine_tune'\]; it must be the name or the path"),
        ("extends: mine.yaml", "extends itself: mine -> mine"),
        ("warm_up: 2", "warmup is 2.0"),
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


# What recipe files and `--set` could say before settings had sections, with another value than the default.
FLAT = {
    "pretrained": "none",
    "epochs": 30,
    "batch": 6,
    "accumulate": 2,
    "optimiser": "sgd",
    "momentum": 0.5,
    "constant_share": 0.3,
    "encoder_rate": 0.1,
    "decoder_rate": 0.2,
    "weight_decay": 0.3,
    "decay_all": True,
    "clip": 2.0,
    "schedule": "poly",
    "warm_up": 0.2,
    "stages": [[1, 0.1, 0.2]],
    "train_split": "fold0_train",
    "val_split": "fold0_val",
    "scale": [0.5, 2.0],
    "scale_law": "uniform",
    "shortest": 10,
    "crop": [64, 96],
    "colours": 0.5,
    "blur": 0.2,
    "cutout": 0.3,
    "copy_paste": 0.4,
    "class_crops": 0.6,
    "norms": "frozen",
    "norm_momentum": 0.5,
    "class_balance": 0.5,
    "modality_dropout": 0.1,
    "cutmix": 0.5,
    "depth_holes": 0.1,
    "depth_noise": 0.1,
    "loss_at": "labels",
    "distillation": 0.5,
    "temperature": 2.0,
    "teachers": ["one.safetensors", "default"],
    "teacher_weight": 0.5,
    "teacher_temperature": 2.0,
    "teacher_scales": [0.5, 2.0],
    "teacher_flip": False,
    "ema": 0.9,
    "precision": "bf16",
    "channels_last": False,
    "compile": True,
    "validate_every": 2,
    "seed": 5,
}
LATER = ("constant_share", "blur", "cutout", "copy_paste", "class_crops", "cutmix")
NAMES = {"encoder_rate": "encoder_lr", "decoder_rate": "decoder_lr", "warm_up": "warmup"}


@pytest.mark.parametrize("name", FLAT)
def test_a_setting_by_its_name_alone_and_in_its_section(tmp_path, name):
    today, value = NAMES.get(name, name), FLAT[name]
    section = SECTION_OF[today]
    recipes = [
        written(tmp_path, f"{name}: {value}\n"),
        written(tmp_path, f"{section}: {{{today}: {value}}}\n"),
        load_recipe("mine.yaml", [f"{name}={value}"]),
        load_recipe("mine.yaml", [f"{section}.{today}={value}"]),
    ]
    for recipe in recipes:
        assert recipe.to_dict()[today] == value
        assert recipe != Recipe()
        others = {key: one for key, one in recipe.to_dict().items() if key != today}
        assert others == {key: one for key, one in Recipe().to_dict().items() if key != today}


@pytest.fixture(autouse=True)
def empty_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("{}")


def test_these_are_all_settings():
    of_images = {one.name for one in declared(TranslationSettings)}
    assert {NAMES.get(name, name) for name in FLAT} == set(SECTION_OF) - of_images


def test_a_recipe_of_image_translation_has_its_own_section():
    changes = ["network.architecture=unet", "network.encoder=unet16", "l1_weight=10", "epochs=3"]
    recipe = load_recipe("mine.yaml", changes)
    assert recipe.translates and recipe.translation.l1_weight == 10
    stored = recipe.to_dict()
    assert (stored["l1_weight"], stored["target"]) == (10, "rgb") and "pretrained" not in stored
    assert recipe.upgraded(stored) == stored and Recipe.from_dict(stored) == recipe
    assert "l1_weight" not in Recipe().to_dict()
    with pytest.raises(ConfigError, match="l1_weight is 10.0, a setting of networks that make images, "):
        load_recipe("mine.yaml", ["l1_weight=10"])
    with pytest.raises(ConfigError, match="distillation is 0.5, a setting of networks that make masks, "):
        load_recipe("mine.yaml", [*changes, "distillation=0.5"])


def test_what_an_older_version_stored_is_known_again():
    """Names of that time, no settings that came later."""
    stored = {**FLAT, "network": {"encoder": "resnet18"}, "input": {"height": 48}}
    for name in (*LATER, *(name for name in FLAT if name.startswith("teacher") or "split" in name)):
        del stored[name]
    recipe = Recipe.from_dict(stored)
    assert recipe.upgraded(stored) == recipe.to_dict()
    assert recipe.upgraded(recipe.to_dict()) == recipe.to_dict()


def test_a_run_of_an_older_version_is_resumed(tmp_path):
    stored = {name: value for name, value in FLAT.items() if name not in LATER}
    stored["stages"] = [(1, 0.1, 0.2)]
    state = {"recipe": {"network": {}, "input": {}, **stored}, "data": {"name": "d"}, "step": 3}
    save_state(tmp_path, {**state, "network": {}, "optimiser": {"state": {}, "param_groups": []}})
    recipe = Recipe.from_dict(stored)
    found = load_state(tmp_path, recipe, {"name": "d"})
    assert (found["step"], found["optimiser"]) == (3, [{"state": {}, "param_groups": []}])
    with pytest.raises(ConfigError, match="recipe: blur is 0.5, but the run in .* began with 0.0"):
        load_state(tmp_path, Recipe.from_dict({**stored, "blur": 0.5}), {"name": "d"})


def test_a_recipe_extends_another(tmp_path):
    recipe = written(
        tmp_path,
        "extends: nyudv2_efficientnet_lite0\nepochs: 3\nloop: {batch: 4}\n"
        "network: {decoder_channels: 32}\ninput: {height: 480}\n",
    )
    base = load_recipe("nyudv2_efficientnet_lite0")
    assert (recipe.loop.epochs, recipe.loop.batch) == (3, 4)
    assert recipe.network == {**base.network, "decoder_channels": 32}
    assert recipe.input == {**base.input, "height": 480}
    assert (recipe.task, recipe.data) == (base.task, base.data)


def test_a_recipe_extends_a_file_beside_it(tmp_path):
    folder = tmp_path / "deep"
    folder.mkdir()
    (folder / "base.yaml").write_text("extends: top.yaml\nbatch: 4\n")
    (folder / "top.yaml").write_text("epochs: 3\nbatch: 2\n")
    (folder / "mine.yaml").write_text("extends: base.yaml\nseed: 1\n")
    loop = load_recipe(str(folder / "mine.yaml")).loop
    assert (loop.epochs, loop.batch, loop.seed) == (3, 4, 1)


def test_stages_decide_the_rates():
    with pytest.raises(ConfigError, match="--set encoder_lr: the recipe's stages decide that"):
        load_recipe("nyudv2_refinenet101", ["encoder_rate=1"])
    assert load_recipe("nyudv2_refinenet101", ["encoder_rate=1", "stages=[]"]).loop.encoder_lr == 1


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.yaml")))
def test_every_recipe_of_the_package_can_be_built(name):
    recipe = load_recipe(name)
    recipe.network_config(40)
    recipe.input_spec()


def test_the_settings_are_listed():
    text = settings_tables()
    assert all(f"| `{name}` | " in text for name in SECTION_OF)
