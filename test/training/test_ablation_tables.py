"""The paper's tables as rows: what each varies, and the sizes that its networks must have."""

import numpy as np
import pytest

from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_training.ablation.outcome import COUNTS, Outcome, load_outcome, save_outcome
from asymfusion_training.ablation.rows import parameters
from asymfusion_training.ablation.tables import TABLES, table_of
from asymfusion_training.ablation.variant import Variant
from asymfusion_training.cli.ablate import chosen_rows
from asymfusion_training.recipe import Recipe, load_recipe

REFINENET_101 = load_recipe("nyudv2_refinenet101")


def every_row():
    return [(name, key, row) for name, table in TABLES.items() for key, row in table.rows.items()]


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=f"{table}-{key}")
        for table, key, row in every_row()
        if row.printed.parameters is not None and table != "table2"
    ],
)
def test_refinenet_has_the_size_that_the_paper_prints(row):
    """In millions to two decimals: 118.10, 118.20, 133.74, 133.89, 236.20."""
    count = parameters(row.variant.recipe(REFINENET_101, 0).network_config(40))
    # 118,096,233 twice is 236,192,466: the paper doubled its rounded 118.10
    assert count / 1e6 == pytest.approx(row.printed.parameters, abs=0.0076)


def test_one_row_one_change():
    """Tables 4, 5 and 6 vary what they are about, and nothing else."""
    full = Variant()
    varied = {
        name: {
            field
            for row in TABLES[name].rows.values()
            for field in vars(full)
            if getattr(row.variant, field) != getattr(full, field)
        }
        for name in ("table4", "table5", "table6")
    }
    assert varied == {
        "table4": {"shared_convs", "private_norms"},
        "table5": {"fusion", "distilled"},
        "table6": {"fusion", "direction", "shared_convs"},
    }


def test_an_outcome_of_a_recipe_with_stages_is_known_again(tmp_path):
    """JSON has lists for the tuples that a recipe holds."""
    made_from = {"recipe": Variant().recipe(REFINENET_101, 0).to_dict()}
    assert made_from["recipe"]["stages"]
    scores = {"ensemble": {"mean_iou": 0.5}}
    margins = {"ensemble": np.zeros((1, 3, 2), np.int64)}
    save_outcome(tmp_path, Outcome(made_from, scores, 1, 1.0, "CPU", margins))
    found = load_outcome(tmp_path, made_from)
    assert found is not None and found.scores == scores
    (tmp_path / COUNTS).write_bytes(b"")  # as a full disk leaves it
    with pytest.raises(UserError, match="remove that folder"):
        load_outcome(tmp_path, made_from)


def test_rows_that_are_the_same_network_are_one_run():
    full = Variant()
    same = [
        TABLES["table1"].rows["asymfusion"],
        TABLES["table4"].rows["private_norms"],
        TABLES["table5"].rows["all"],
        TABLES["table6"].rows["shared_bidirectional_asymmetric"],
    ]
    assert {row.variant for row in same} == {full}
    variants = {row.variant for _, _, row in every_row()}
    assert len({variant.name for variant in variants}) == len(variants)


def test_claims_name_rows_and_agree_with_what_is_printed():
    for name, table in TABLES.items():
        for claim in table.claims:
            better, worse = (table.rows[key].printed.mean_iou for key in (claim.better, claim.worse))
            if better is not None and worse is not None:
                assert better > worse, f"{name}: {claim.text}"


def test_table_6_is_the_papers_grid():
    """Two ways to share, three directions, four methods (and MMF, which the paper's table lacks)."""
    rows = TABLES["table6"].rows
    assert len([row for row in rows.values() if row.printed.mean_iou is not None]) == 24
    assert len(rows) == 30
    assert rows["shared_depth_to_rgb_attention"].printed.mean_iou == 49.4
    assert rows["individual_rgb_to_depth_average"].printed.pixel_accuracy == 73.6


def test_a_row_is_the_recipe_but_for_its_variant():
    variant = Variant(fusion="shuffle", direction="depth_to_rgb", distilled=False)
    recipe = variant.recipe(REFINENET_101, seed=3)
    assert (recipe.loop.seed, recipe.task.distillation) == (3, 0.0)
    assert recipe.network["fusion"] == "shuffle" and recipe.network["encoder"] == "resnet101"
    before, after = REFINENET_101.to_dict(), recipe.to_dict()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"seed", "distillation", "network"}


def test_the_second_backbone():
    larger = Variant(larger=True)
    assert larger.recipe(REFINENET_101, 0).network["encoder"] == "resnet152"
    with pytest.raises(ConfigError, match="no larger encoder than resnet152"):
        larger.recipe(load_recipe("nyudv2_refinenet152"), 0)


def test_distillation_must_be_there_to_be_compared():
    recipe = Recipe.from_dict({"network": {"encoder": "resnet18"}, "distillation": 0})
    with pytest.raises(ConfigError, match="rows of table5 differ in it: add --set distillation=1"):
        chosen_rows(TABLES["table5"], recipe, None)
    # where no row is without, a recipe may be
    assert len(chosen_rows(TABLES["table6"], recipe, None)) == 30
    assert set(chosen_rows(TABLES["table5"], recipe, ["none", "both"])) == {"none", "both"}


@pytest.mark.parametrize("encoder", [50, 101, 152])
def test_the_released_recipe_has_the_rows_that_its_code_can_make(encoder):
    recipe = load_recipe(f"released_refinenet{encoder}")
    rows = chosen_rows(TABLES["table1"], recipe, ["rgb", "depth", "asymfusion"])
    variants = {row.variant.recipe(recipe, 0).network_config(40).variant for row in rows.values()}
    assert variants == {"released"}
    with pytest.raises(ConfigError, match="row mmf: variant: 'released' is RefineNet .* --rows without it"):
        chosen_rows(TABLES["table1"], recipe, ["rgb", "mmf"])


def test_table_4_has_the_numbers_of_the_data_set():
    assert table_of("table4", "nyu40").rows["private_norms"].printed.mean_iou == 50.8
    assert table_of("table4", "cityscapes19").rows["private_norms"].printed.mean_iou == 82.1
