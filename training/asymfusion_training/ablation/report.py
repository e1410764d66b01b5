"""A table as Markdown for people and as CSV for programs: our rows beside the paper's numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from asymfusion_training.ablation.compare import Agreement, Ordering, Outcomes, spread
from asymfusion_training.ablation.measure import OUTPUT, Measure
from asymfusion_training.ablation.outcome import Outcome
from asymfusion_training.ablation.rows import Comparison
from asymfusion_training.ablation.tables import Row, Table
from asymfusion_training.evaluation.bootstrap import CONFIDENCE, RESAMPLES


@dataclass(frozen=True)
class Report:
    """conditions: what the rows were made with, a line each."""

    table: Table
    outcomes: Outcomes
    orderings: Sequence[Ordering]
    agreement: Agreement
    conditions: Sequence[str]

    @property
    def modalities(self) -> list[str]:
        """The modalities that any row scored, in the order in which they came."""
        done = [found for by_seed in self.outcomes.values() for found in by_seed.values()]
        return list(dict.fromkeys(name for found in done for name in found.scores if name != OUTPUT))

    def parameters(self, key: str) -> int | None:
        """Of a row's network; None where it is not done."""
        return next((found.parameters for found in self.outcomes.get(key, {}).values()), None)


def as_markdown(report: Report) -> str:
    """The table, the orderings and how far they agree with the paper."""
    table, measure = report.table, report.table.measure
    number = table.name.removeprefix("table")
    lines = [f"# Table {number}: {table.title}", ""]
    lines += [f"- {condition}" for condition in report.conditions]
    lines += [
        "",
        f"Paper: {table.source}. {measure.note}; ± is the spread over seeds. "
        f"Scores are the ensemble's; a modality's is its own {measure.title} with all modalities given.",
        "",
    ]
    titles = [*(column.title for column in measure.columns.values()), "parameters"]
    printed = list(measure.printed.values())
    own = [f"{name}'s own" for name in report.modalities]
    lines.append(_line(["row", "seeds", *titles, *(f"paper: {title}" for title in printed), *own]))
    lines.append(_line(["---"] * (2 + len(titles) + len(printed) + len(own))))
    for key, row in table.rows.items():
        done = report.outcomes.get(key, {})
        cells = [row.title + (f" ({row.note})" if row.note else ""), str(len(done) or "-")]
        cells += [_scored(measure, done, metric) for metric in measure.columns]
        cells.append(_millions(report.parameters(key)))
        cells += [_number(getattr(row.printed, column)) for column in measure.printed]
        cells += [_scored(measure, done, measure.compared, name) for name in report.modalities]
        lines.append(_line(cells))
    lines += ["", "## Which orderings hold", ""]
    if not report.orderings:
        return "\n".join([*lines, "No two rows that the paper compares are done.", ""])
    less = "" if measure.larger else " (how much less the better one has)"
    lines += [
        f"Differences in {measure.title}, in {measure.unit}{less}, with the "
        f"{100 * CONFIDENCE:.0f} % interval of a paired bootstrap over the frames ({RESAMPLES} resamples). "
        f"An ordering holds only where the interval "
        "leaves out zero and every seed agrees. Training noise is not in it: "
        "with one or two seeds, one ordering in four to six would hold by chance.",
        "",
        _line(["the paper says", "here", "interval", "each seed", "paper", "result"]),
        _line(["---"] * 6),
    ]
    for found in report.orderings:
        lines.append(
            _line(
                [
                    found.claim.text,
                    f"{found.difference:+.2f}",
                    f"{found.low:+.2f} to {found.high:+.2f}",
                    " ".join(f"{value:+.2f}" for value in found.by_seed),
                    "-" if found.printed is None else f"{found.printed:+.1f}",
                    found.qualified,
                ]
            )
        )
    lines += ["", agreement_line(report.agreement, measure.printed[measure.printed_score]), ""]
    return "\n".join(lines)


def conditions(comparison: Comparison, outcomes: Outcomes) -> list[str]:
    """What all rows have in common, and how long they took."""
    recipe, spec = comparison.recipe, comparison.recipe.input_spec()
    config = recipe.network_config()
    crop = recipe.data.crop or (spec.height, spec.width)
    done = [found for by_seed in outcomes.values() for found in by_seed.values()]
    machines = sorted({found.machine for found in done})
    minutes = sum(found.minutes for found in done)
    resolution = "the input's" if recipe.translates else "the labels'"
    lines = [
        f"network: {config.architecture} with {config.encoder}, input {spec.width}x{spec.height}",
        f"training: recipe {comparison.recipe_name}, {recipe.loop.total_epochs} epochs of "
        f"{len(comparison.data.names('train'))} frames, windows of {crop[1]}x{crop[0]}, "
        f"batch {recipe.loop.batch}, {recipe.loop.precision}",
        f"scored: the last weights on {comparison.data.name} {comparison.split}, "
        f"{len(comparison.data.names(comparison.split))} frames at "
        f"{resolution} resolution, "
        f"{str(comparison.scoring) or 'one scale'}; the ensemble",
    ]
    if done:
        lines.append(f"runs: {len(done)}, {minutes:.0f} minutes of training on {', '.join(machines)}")
    return lines


def agreement_line(found: Agreement, title: str = "mean IoU") -> str:
    """The agreement as a sentence."""
    return (
        f"Of the {found.pairs} pairs of rows that the paper's {title} orders, {found.same} come in the same "
        f"order here ({found.same_significant} of them significant), {found.pairs - found.same} do not "
        f"({found.reversed_significant} significant)."
    )


def as_csv(report: Report) -> str:
    """A line for each row, done or not."""
    names = [
        "row",
        "title",
        "modalities",
        "fusion",
        "direction",
        "shared_convs",
        "private_norms",
        "distilled",
    ]
    names += ["larger", "seeds"]
    measure = report.table.measure
    for metric in measure.columns:
        names += [metric, f"{metric}_spread"]
    names += ["parameters", "minutes", *(f"paper_{column}" for column in measure.printed)]
    names += [f"{name}_{measure.compared}" for name in report.modalities]
    return _csv(names, [_csv_row(report, key, row) for key, row in report.table.rows.items()])


def _csv_row(report: Report, key: str, row: Row) -> list[Any]:
    done, variant, printed = report.outcomes.get(key, {}), row.variant, row.printed
    cells: list[Any] = [key, row.title, "+".join(variant.modalities)]
    varied = (variant.fusion, variant.direction, variant.shared_convs, variant.private_norms)
    # Nothing of it means anything to one modality.
    cells += [*varied, variant.distilled] if len(variant.modalities) > 1 else [None] * 5
    cells.append(variant.larger)
    cells.append(" ".join(str(seed) for seed in done))
    measure = report.table.measure
    for metric in measure.columns:
        values = shown_scores(measure, done, metric)
        cells += [_mean(values), _rounded(spread(values))]
    cells.append(report.parameters(key))
    cells.append(_mean([found.minutes for found in done.values()]))
    cells += [getattr(printed, column) for column in measure.printed]
    own = (shown_scores(measure, done, measure.compared, name) for name in report.modalities)
    return [*cells, *(_mean(values) for values in own)]


def orderings_csv(report: Report) -> str:
    """A line for each ordering that could be looked at."""
    names = [
        "better",
        "worse",
        "claim",
        "difference",
        "low",
        "high",
        "by_seed",
        "paper_difference",
        "result",
    ]
    return _csv(
        names,
        [
            [
                found.claim.better,
                found.claim.worse,
                found.claim.text,
                *(_rounded(value) for value in (found.difference, found.low, found.high)),
                " ".join(f"{value:.3f}" for value in found.by_seed),
                _rounded(found.printed),
                found.result,
            ]
            for found in report.orderings
        ],
    )


def shown_scores(
    measure: Measure, done: Mapping[int, Outcome], metric: str, output: str = OUTPUT
) -> list[float]:
    """Of each seed, as the table shows them; empty for an output that the row does not have."""
    factor, scores = measure.columns[metric].factor, [found.scores.get(output, {}) for found in done.values()]
    return [factor * found[metric] for found in scores if metric in found]


def plain_table(measure: Measure, rows: Mapping[str, Row], parameters: Mapping[str, int]) -> str:
    """The rows of a table without anything trained, for `--list`."""
    width = max(len(key) for key in rows) + 2
    titles = max(len(row.title) for row in rows.values()) + 2
    title = f"paper's {measure.printed[measure.printed_score].removeprefix('mean ')}"
    lines = ["row".ljust(width) + "title".ljust(titles) + "parameters".rjust(12) + title.rjust(13)]
    for key, row in rows.items():
        count = f"{parameters[key]:,}" if key in parameters else "-"
        printed = _number(getattr(row.printed, measure.printed_score))
        lines.append(key.ljust(width) + row.title.ljust(titles) + count.rjust(12) + printed.rjust(13))
    return "\n".join(lines)


def _scored(measure: Measure, done: Mapping[int, Outcome], metric: str, output: str = OUTPUT) -> str:
    values = shown_scores(measure, done, metric, output)
    if not values:
        return "-"
    deviation = spread(values)
    return f"{np.mean(values):.2f}" + ("" if deviation is None else f" ± {deviation:.2f}")


def _millions(count: int | None) -> str:
    return "-" if count is None else f"{count / 1e6:.2f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _mean(values: Sequence[float]) -> float | None:
    return _rounded(float(np.mean(values))) if values else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _csv(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([["" if cell is None else cell for cell in row] for row in rows])
    return text.getvalue()
