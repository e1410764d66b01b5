"""What `asymfusion prepare check` found, as text and as JSON."""

from __future__ import annotations

from typing import Any

import numpy as np

from asymfusion_ros.data.labels import VOID
from asymfusion_training.prepare.check import Counts, FolderCheck, SplitCheck


def report_dict(check: FolderCheck) -> dict[str, Any]:
    """Shares are fractions, values in their physical unit; a number that does not exist is None."""
    folder = check.folder
    return {
        "data": folder.name,
        "root": str(folder.root),
        "images": {name: files.modality.kind for name, files in folder.images.items()},
        "labels": folder.labels.name if folder.labelled else None,
        "splits": {name: _split_dict(split, check) for name, split in check.splits.items()},
        "warnings": check.warnings,
        "problems": [{"file": str(problem.path), "problem": problem.message} for problem in check.problems],
    }


def _split_dict(split: SplitCheck, check: FolderCheck) -> dict[str, Any]:
    names = check.folder.labels.names if check.folder.labelled else ()
    pixels = split.labels[: len(names)]
    known = int(pixels.sum())
    everything = known + int(split.labels[VOID])
    shares = {name: _ratio(int(count), known) for name, count in zip(names, pixels)}
    return {
        "frames": len(split.names),
        "labelled": split.labelled,
        "sizes": {f"{width}x{height}": count for (height, width), count in split.sizes.most_common()},
        **{
            name: statistics(counts, check.folder.images[name].unit, check.folder.images[name].modality.kind)
            for name, counts in split.values.items()
        },
        "void": _ratio(int(split.labels[VOID]), everything),
        "classes": shares,
        "never_seen": [name for name, count in zip(names, pixels) if not count] if split.labelled else [],
    }


def statistics(counts: Counts, unit: float, kind: str) -> dict[str, float | None]:
    """min, median and max of what was measured, in its physical unit, and the share of ``invalid`` pixels.

    counts: of each stored value, a step of which is ``unit``. kind: of the modality; a range stores 0 where
    nothing was measured.
    """
    valid = counts.copy()
    if kind == "range":
        valid[0] = 0
    total = int(valid.sum())
    values: dict[str, float | None] = {"min": None, "median": None, "max": None}
    if total:
        upto = np.cumsum(valid)
        # the middle value, or the mean of the two in the middle
        middle = np.searchsorted(upto, [(total - 1) // 2, total // 2], side="right")
        seen = np.flatnonzero(valid)
        units = {"min": seen[0], "median": middle.mean(), "max": seen[-1]}
        values = {key: float(value) * unit for key, value in units.items()}
    return {**values, "invalid": _ratio(int((counts - valid).sum()), int(counts.sum()))}


def report_text(report: dict[str, Any]) -> str:
    """The tables, the warnings and every problem."""
    splits = report["splits"]
    first = max(22, *(len(name) + 2 for split in splits.values() for name in split["classes"]), 0)

    def row(title: str, cells: list[Any]) -> str:
        return title.ljust(first) + "".join(
            str(cell).rjust(max(10, len(name) + 2)) for cell, name in zip(cells, splits)
        )

    def number(value: float | None, factor: float = 1.0) -> str:
        return "-" if value is None else f"{factor * value:.2f}"

    labels = "no labels" if report["labels"] is None else f"labels {report['labels']}"
    lines = [f"{report['data']} ({report['root']}), {labels}", ""]
    lines += [row("", list(splits)), row("frames", [split["frames"] for split in splits.values()])]
    for size in dict.fromkeys(size for split in splits.values() for size in split["sizes"]):
        lines.append(row(f"  of {size}", [split["sizes"].get(size, 0) for split in splits.values()]))
    for name, kind in report["images"].items():
        if kind == "colour":
            continue
        unit = ", m" if kind == "range" else ""
        for key in ("min", "median", "max"):
            lines.append(row(f"{name} {key}{unit}", [number(split[name][key]) for split in splits.values()]))
        if kind == "range":
            lacking = [number(split[name]["invalid"], 100) for split in splits.values()]
            lines.append(row(f"without {name}, %", lacking))
    if report["labels"] is not None:
        lines.append(row("void, %", [number(split["void"], 100) for split in splits.values()]))
    if any(split["labelled"] for split in splits.values()):
        lines += ["", row("class, % of labelled", list(splits))]
        for name in next(iter(splits.values()))["classes"]:
            shares = [split["classes"][name] or None for split in splits.values()]
            lines.append(row(name, [number(share, 100) for share in shares]))
    lines.append("")
    for name, split in splits.items():
        if not split["labelled"] and report["labels"] is not None:
            lines.append(f"{name} has no labels")
        elif split["never_seen"]:
            lines.append(f"never seen in {name}: {', '.join(split['never_seen'])}")
    lines += [f"warning: {warning}" for warning in report["warnings"]]
    if report["problems"]:
        lines.append(f"{len(report['problems'])} problems:")
        lines += [f"  {entry['file']}: {entry['problem']}" for entry in report["problems"]]
    else:
        lines.append("every file is there, decodes and fits")
    return "\n".join(lines)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
