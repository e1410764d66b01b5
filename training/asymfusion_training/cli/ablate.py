"""`asymfusion ablate`."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from asymfusion_ros.atomic_write import make_folder, write_whole
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.labels import BUILT_IN
from asymfusion_ros.engine.allocator import keep_freed_memory
from asymfusion_ros.errors import ConfigError
from asymfusion_training.ablation.compare import Bootstrap, agreement, orderings
from asymfusion_training.ablation.measure import image_measure
from asymfusion_training.ablation.picture import save_picture
from asymfusion_training.ablation.report import (
    Report,
    as_csv,
    as_markdown,
    conditions,
    orderings_csv,
    plain_table,
)
from asymfusion_training.ablation.rows import Comparison, ImageScoring, make_row, parameters, pending
from asymfusion_training.ablation.tables import Row, Table, table_of
from asymfusion_training.ablation.variant import LARGER
from asymfusion_training.cli.ablate_options import EXAMPLES, SEGMENTATION, TRANSLATION, add_arguments
from asymfusion_training.cli.evaluate_translation import SCORES, check_masks
from asymfusion_training.cli.run_options import run_options
from asymfusion_training.evaluation.image_scores import IMAGE_SCORES
from asymfusion_training.evaluation.inception_scores import INCEPTION_SCORES, check_inception
from asymfusion_training.evaluation.scoring_settings import ScoringSettings
from asymfusion_training.folder_lock import locked
from asymfusion_training.recipe import Recipe, load_recipe
from asymfusion_training.run import training_fabric

__all__ = ["EXAMPLES", "add_arguments", "run"]


def run(args: argparse.Namespace) -> int:
    """Trains the rows that are not done, and writes the table. Raises UserError."""
    _check(args)
    args.recipe = args.recipe or (TRANSLATION if args.table == "table3" else SEGMENTATION)
    recipe = load_recipe(args.recipe, args.set)
    if recipe.translates != (args.table == "table3"):
        makes = "images" if args.table == "table3" else "masks"
        raise ConfigError(f"recipe {args.recipe}: {args.table} compares networks that make {makes}")
    if args.list:
        return _list(args, recipe)
    if args.data is None:
        raise ConfigError("--data is missing: name a folder in the folder format, with splits train and val")
    data = Folder(args.data)
    table = _table(args, recipe, data)
    scoring = _scoring(args, recipe)
    comparison = Comparison(
        recipe, args.recipe, data, args.split, scoring, args.output, args.hold_frames, args.inception
    )
    rows = chosen_rows(table, recipe, args.rows)
    if recipe.translates:
        for row in rows.values():
            data.check_modalities((*row.variant.modalities, recipe.translation.target))
    # Whatever a row could be refused for comes before hours of work: its network, what is there already.
    for row in table.rows.values():  # the table shows them all
        comparison.outcomes(row.variant)
    todo = list(pending(comparison, {key: row.variant for key, row in rows.items()}, args.seeds))
    if not args.report:
        make_folder(args.output)
        if not _train(args, comparison, table, rows, todo):
            return 0
    report = _write(args, comparison, table)
    print(as_markdown(report))
    print(f"written: {args.output / table.name}.md, .csv, .png, and {table.name}_orderings.csv")
    return 0


def _table(args: argparse.Namespace, recipe: Recipe, data: Folder) -> Table:
    """With columns of the scores that are asked for."""
    if not recipe.translates:
        return table_of(args.table, data.labels.name)
    wanted = tuple(score for score in INCEPTION_SCORES if score in (args.scores or ()))
    return replace(table_of(args.table, ""), measure=image_measure(wanted))


def _scoring(args: argparse.Namespace, recipe: Recipe) -> ScoringSettings | ImageScoring:
    if not recipe.translates:
        check_masks(args)
        return ScoringSettings(tuple(args.scales), args.flip)
    if args.flip or args.scales != [1.0]:
        raise ConfigError("--scales and --flip are of masks; table3 compares images: leave them out")
    # What no weights are needed for is scored in any case: the rows are compared by it.
    scores = tuple(score for score in SCORES if score in IMAGE_SCORES or score in (args.scores or ()))
    if set(scores) & set(INCEPTION_SCORES) and not args.report:
        check_inception(args.inception)
    return ImageScoring(scores)


DECIDED = ("seed", *(f"network.{name}" for name in ("modalities", "fusion", "direction")))
DECIDED += ("network.shared_convs", "network.private_norms")


def _check(args: argparse.Namespace) -> None:
    if min(args.seeds) < 0 or max(args.seeds) >= 2**32 or len(set(args.seeds)) < len(args.seeds):
        raise ConfigError(f"--seeds {' '.join(map(str, args.seeds))}: give different numbers of 0 or more")
    decided = [change for change in args.set if change.partition("=")[0] in DECIDED]
    if decided:
        raise ConfigError(f"--set {decided[0]}: the table's rows (or --seeds) decide that; leave it out")
    run_options(args)


def chosen_rows(table: Table, recipe: Recipe, names: Sequence[str] | None) -> dict[str, Row]:
    """Those called ``names``, or all but those with a second backbone where the encoder has none.

    Raises ConfigError for a row that the table does not have, or that the recipe makes impossible."""
    unknown = [name for name in names or () if name not in table.rows]
    if unknown:
        raise ConfigError(f"--rows: {table.name} has no row {unknown[0]!r}; it has {', '.join(table.rows)}")
    if names is None:
        last = recipe.network_config().encoder not in LARGER
        names = [key for key, row in table.rows.items() if not (row.variant.larger and last)]
    found = {key: row for key, row in table.rows.items() if key in names}
    for key, row in found.items():
        try:
            row.variant.recipe(recipe, 0).network_config()
        except ConfigError as error:
            raise ConfigError(f"row {key}: {error}; --rows without it does the others") from error
    varied = len({row.variant.distilled for row in table.rows.values()}) > 1
    if varied and not recipe.task.distillation and any(row.variant.distilled for row in found.values()):
        raise ConfigError(
            f"recipe: distillation is 0, and rows of {table.name} differ in it: add --set distillation=1"
        )
    return found


def _list(args: argparse.Namespace, recipe: Recipe) -> int:
    published = BUILT_IN["cityscapes19" if args.table == "table2" else "nyu40"]
    given = args.data is not None and not recipe.translates
    labels = Folder(args.data).labels if given else published
    table = table_of(args.table, labels.name)
    rows = chosen_rows(table, recipe, args.rows)
    counts = {
        key: parameters(row.variant.recipe(recipe, 0).network_config(len(labels)))
        for key, row in rows.items()
    }
    classes = "" if recipe.translates else f", {len(labels)} classes"
    print(f"{table.name}: {table.title} ({table.source}); recipe {args.recipe}{classes}")
    print(plain_table(table.measure, rows, counts))
    return 0


def _train(
    args: argparse.Namespace,
    comparison: Comparison,
    table: Table,
    rows: Mapping[str, Row],
    todo: Sequence[tuple[str, int]],
) -> bool:
    """False in the processes that have nothing to write."""
    recipes = [row.variant.recipe(comparison.recipe, 0) for row in rows.values()]
    fabric = training_fabric(recipes, args.device, args.devices)
    fabric.launch()
    if fabric.device.type == "cpu":
        keep_freed_memory()
    todo = fabric.broadcast(todo)  # another process may have finished a row since: all go by the first
    options = run_options(args)
    began = time.monotonic()
    for done, (key, seed) in enumerate(todo):
        if fabric.is_global_zero:
            left = ""
            if done:
                minutes = (time.monotonic() - began) / 60 * (len(todo) - done) / done
                left = f", about {minutes:.0f} min left"
            print(f"run {done + 1}/{len(todo)}: {rows[key].title}, seed {seed}{left}", flush=True)
        try:
            outcome = make_row(comparison, rows[key].variant, seed, fabric, options)
        except KeyboardInterrupt:
            print("stopped: the same command goes on in this row", file=sys.stderr)
            raise
        if not fabric.is_global_zero:
            continue
        if outcome is None:
            print(f"  {rows[key].title}, seed {seed}: another process is training it", flush=True)
        else:
            measure = table.measure
            score = measure.columns[measure.compared].factor * outcome.scores["ensemble"][measure.compared]
            print(
                f"  {rows[key].title}, seed {seed}: {measure.title} {score:.2f}, {outcome.minutes:.1f} min",
                flush=True,
            )
            _write(args, comparison, table)  # a call that is cut short leaves what it has
    return bool(fabric.is_global_zero)


def _write(args: argparse.Namespace, comparison: Comparison, table: Table) -> Report:
    """The table of all that is done in the output folder, whatever this call was asked to train."""
    with locked(args.output, wait=True):  # other calls write there too
        outcomes = {
            key: found for key, row in table.rows.items() if (found := comparison.outcomes(row.variant))
        }
        bootstrap = Bootstrap(outcomes, measure=table.measure)
        report = Report(
            table,
            outcomes,
            orderings(table, outcomes, bootstrap),
            agreement(table, outcomes, bootstrap),
            conditions(comparison, outcomes),
        )
        for name, text in (
            (f"{table.name}.md", as_markdown(report)),
            (f"{table.name}.csv", as_csv(report)),
            (f"{table.name}_orderings.csv", orderings_csv(report)),
        ):
            write_whole(args.output / name, text.encode())
        save_picture(args.output / f"{table.name}.png", report)
    return report
