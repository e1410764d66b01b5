"""Rerun's files, read back by its own reader."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from rerun.chunk import RrdReader

STATIC = None
Rows = dict[str, list[tuple[int | None, Any]]]


def read_rrd(path: Path, timeline: str = "stamp") -> dict[str, Rows]:
    """entity -> component -> (time in nanoseconds, value) in the order of time; STATIC first."""
    found: dict[str, Rows] = defaultdict(lambda: defaultdict(list))
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # a stream that was cut off has no footer
        # A copy: the reader maps the file, and a viewer may still write it.
        still = shutil.copy(path, folder)
        chunks = list(RrdReader(still).stream())
    for chunk in chunks:
        batch = chunk.to_record_batch()
        times = [STATIC] * chunk.num_rows
        if not chunk.is_static:
            times = batch.column(timeline).cast("int64").to_pylist()
        for name in set(batch.schema.names) - {"rerun.controls.RowId", *chunk.timeline_names}:
            for time, value in zip(times, batch.column(name), strict=True):
                if value.is_valid:
                    found[chunk.entity_path][name].append((time, value))
    for rows in found.values():
        for values in rows.values():
            values.sort(key=lambda one: -1 if one[0] is None else one[0])
    return found


def one(rows: Rows, component: str) -> Any:
    """The only value of a component."""
    ((_, value),) = rows[component]
    return value.as_py()


def times(rows: Rows, component: str) -> list[int | None]:
    return [time for time, _ in rows[component]]


def scalars(rows: Rows) -> list[float]:
    return [value.as_py()[0] for _, value in rows["Scalars:scalars"]]


def images(rows: Rows, archetype: str, dtype: Any = np.uint8) -> list[np.ndarray]:
    """H x W each, of an archetype with a buffer of one channel."""
    found = []
    for (_, buffer), (_, form) in zip(rows[f"{archetype}:buffer"], rows[f"{archetype}:format"], strict=True):
        size = form.as_py()[0]
        values = np.frombuffer(buffer.values[0].values.to_numpy().tobytes(), dtype)
        found.append(values.reshape(size["height"], size["width"], -1).squeeze(-1))
    return found


def floats(value: Any) -> np.ndarray:
    """N x D of a list of fixed-size lists."""
    return np.array(value.as_py(), np.float64)
