"""Statuses of nodes as text: a table, and what is wrong under it."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from asymfusion_ros.inspection.provenance import printable
from asymfusion_ros.stream.board import NodeStatus
from asymfusion_ros.stream.status import Level

STAGES = ("pairing", "queue", "read", "upload", "network", "postprocess", "inference", "publish")
COLOURS = {Level.OK: "32", Level.WARN: "33", Level.ERROR: "31", Level.STALE: "35"}
HEADINGS = (
    "NODE",
    "LEVEL",
    "STATE",
    "IN /S",
    "OUT /S",
    "LATENCY P50",
    "P95 MS",
    "GAP MS",
    "DROPPED",
    "UNPAIRED",
    "DEVICE",
    "MIB",
)


def table(statuses: Sequence[NodeStatus], colours: bool = False, width: int | None = None) -> list[str]:
    """Lines: a row for each node, then for each its stages (p50 in milliseconds) and what is wrong.

    ``colours``: the level in ANSI colours. ``width``: columns that rows are cut to, and lines
    of text wrapped to.
    """
    rows = [HEADINGS, *map(_row, statuses)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    lines = ["  ".join(cell.ljust(size) for cell, size in zip(row, widths)).rstrip() for row in rows]
    levels: list[Level | None] = [None, *(status.level for status in statuses)]
    for status in statuses:
        details: list[str] = []
        if stages := _stages(status.values):
            details.append(f"  stages, p50 in ms: {stages}")
        if status.level != Level.OK:
            details += [f"  {status.level.name}: {part}" for part in printable(status.message).split("; ")]
        if details:
            if width is not None:
                details = [
                    part for line in details for part in textwrap.wrap(line, width, subsequent_indent="    ")
                ]
            lines += ["", printable(status.name), *details]
            starts = [line.startswith(f"  {status.level.name}: ") for line in details]
            levels += [None, None, *(status.level if start else None for start in starts)]
    if width is not None:
        lines = [line[:width] for line in lines]
    if not colours:
        return lines
    return [
        line if level is None else line.replace(level.name, f"\x1b[{COLOURS[level]}m{level.name}\x1b[0m", 1)
        for line, level in zip(lines, levels)
    ]


def as_json(statuses: Sequence[NodeStatus]) -> list[dict[str, Any]]:
    """The same as data; values that are numbers become numbers."""
    return [
        {
            "name": status.name,
            "node": status.node,
            "level": status.level.name,
            "message": status.message,
            "seconds_since": round(status.silent, 3),
            "values": {key: _number(value) for key, value in status.values.items()},
        }
        for status in statuses
    ]


def _row(status: NodeStatus) -> tuple[str, ...]:
    values = status.values
    incoming = [value for key, value in values.items() if key.startswith("rate_in_")]
    cells = (
        status.name.removesuffix(": segmentation"),
        status.level.name,
        values.get("state", "-"),
        " + ".join(incoming) or "-",
        *(
            values.get(key, "-")
            for key in (
                "rate_out",
                "latency_pipeline_p50_ms",
                "latency_pipeline_p95_ms",
                "pair_gap_p50_ms",
                "dropped",
                "unpaired",
            )
        ),
        " ".join(filter(None, (values.get("device"), values.get("precision")))) or "-",
        values.get("memory_mb", "-"),
    )
    return tuple(map(printable, cells))


def _stages(values: Mapping[str, str]) -> str:
    # Where the stages of the inference are known, they stand for it.
    medians = {stage: values.get(f"latency_{stage}_p50_ms") for stage in STAGES}
    found = {stage: median for stage, median in medians.items() if median is not None}
    if "network" in found:
        found.pop("inference", None)
    return printable(", ".join(f"{stage} {value}" for stage, value in found.items()))


def _number(text: str) -> int | float | str:
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        return number if math.isfinite(number) else text
    return text
