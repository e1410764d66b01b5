"""Where a checkpoint comes from, in short. The metadata holds whatever JSON its author wrote."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

LONGEST = 60  # characters of one value
LINE = 96  # and of a line


def printable(text: str) -> str:
    """Without line breaks, escape codes and halves of surrogate pairs, which a terminal would act on."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def summary(provenance: object) -> list[str]:
    """`name value` of each plain value; of a group how many settings it has."""
    if not isinstance(provenance, Mapping):
        return [_short(json.dumps(provenance))]
    lines = []
    for name, value in provenance.items():
        if isinstance(value, Mapping):
            if _scores(value) is None:
                lines.append(f"{_short(str(name))} ({len(value)} values)")
        elif isinstance(value, str | int | float | bool):
            lines.append(f"{_short(str(name))} {_short(str(value))}")
        elif value is not None:
            lines.append(f"{_short(str(name))} {_short(json.dumps(value))}")
    return lines


def packed(items: Sequence[str]) -> list[str]:
    """As many on a line as fit; none is broken in two."""
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + len(item) + 2 <= LINE:
            lines[-1] += f"; {item}"
        else:
            lines.append(item)
    return lines


def scores(provenance: object) -> dict[str, dict[str, float]]:
    """Split -> branch -> mean IoU, 0 to 1, where the provenance holds such."""
    if not isinstance(provenance, Mapping):
        return {}
    found = {str(name): _scores(value) for name, value in provenance.items()}
    return {name: branches for name, branches in found.items() if branches}


def _scores(value: object) -> dict[str, float] | None:
    if not isinstance(value, Mapping):
        return None
    branches = value.get("branches", value)
    found = {}
    for branch, numbers in branches.items() if isinstance(branches, Mapping) else ():
        mean_iou = numbers.get("mean_iou") if isinstance(numbers, Mapping) else None
        if isinstance(mean_iou, int | float) and not isinstance(mean_iou, bool):
            found[str(branch)] = float(mean_iou)
    return found or None


def strict(value: Any) -> Any:
    """The same with null for NaN and the infinities, which Python reads and strict JSON has not."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: strict(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [strict(inner) for inner in value]
    return value


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."
