"""What several recordings come to together, from what their replays have written."""

from __future__ import annotations

import csv
import json
from collections import Counter as Counts
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from asymfusion_ros.atomic_write import write_whole
from asymfusion_ros.replay.replay import SUMMARY, Replayed
from asymfusion_ros.replay.scores import Counter

# Of a recording's own summary
EACH = (
    "frames", "incomplete", "failed", "segmented", "images", "unpaired", "why_unpaired", "refused", "lost",
    "recorded_seconds", "seconds", "frames_per_second", "latency_ms", "temporal_consistency", "labelled",
)  # fmt: skip


def put_together(
    output: Path,
    found: Sequence[Replayed],
    reasons: Mapping[str, str],
    counter: Callable[[Sequence[str]], Counter] | None,
) -> str:
    """Writes ``output``/summary.json of the recordings that came to their end, each counted once; a few lines
    of it for people.

    ``reasons``: why others failed, by name. ``counter``: see Replay, where there are labels. Latencies are
    those of all frames, from the recordings' frames.csv.
    """
    assert len({one.name for one in found}) == len(found)
    summaries = [one.summary for one in found]
    latency = np.array([value for one in found for value in _milliseconds(one.folder)])
    seconds = sum(one["seconds"] for one in summaries)
    still = sum(one["still_pixels"] for one in summaries)
    kept = sum((one["temporal_consistency"] or 0) * one["still_pixels"] for one in summaries)
    frames = sum(one["segmented"] for one in summaries)
    content: dict[str, Any] = {
        "recordings": {one.name: {name: one.summary[name] for name in EACH} for one in found},
        "failed_recordings": dict(reasons),
        **{name: sum(one[name] for one in summaries) for name in ("frames", "incomplete", "failed")},
        "segmented": frames,
        "images": _added([one["images"] for one in summaries]),
        "unpaired": _added([one["unpaired"] for one in summaries]),
        "recorded_seconds": round(sum(one["recorded_seconds"] for one in summaries), 3),
        "seconds": round(seconds, 3),
        "frames_per_second": round(frames / seconds, 3) if seconds else None,
        "latency_ms": {f"p{share}": round(float(np.percentile(latency, share)), 3) for share in (50, 95)},
        "temporal_consistency": kept / still if still else None,
        "class_shares": _shares(summaries),
        "labelled": sum(one["labelled"] for one in summaries),
        "scores": None,
    }
    lines = [f"all {len(found)} recordings: {frames} frames of {content['recorded_seconds']:g} s"]
    lines += [f"  unpaired in {one.name}: {why}" for one in found if (why := one.summary["why_unpaired"])]
    lines.append(
        f"  {content['frames_per_second']} frames a second; a frame takes {content['latency_ms']['p50']:.1f} "
        f"ms (p50), {content['latency_ms']['p95']:.1f} ms (p95)"
    )
    modalities = {tuple(one.summary["topics"]) for one in found}
    if counter is not None and len(modalities) == 1 and all(one.scores for one in found):
        parts = [part for one in found for part in one.scores]
        table, content["scores"] = counter(next(iter(modalities))).report(parts)
        lines += [
            f"  {content['labelled']} frames with labels:",
            *(f"  {line}" for line in table.splitlines()),
        ]
    elif counter is not None and len(modalities) > 1:
        lines.append("  no score of all: they are not of the same modalities")
    write_whole(output / SUMMARY, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())
    return "\n".join([*lines, f"  {output / SUMMARY}"])


def _milliseconds(folder: Path) -> list[float]:
    with (folder / "frames.csv").open(newline="") as file:
        return [float(row["milliseconds"]) for row in csv.DictReader(file)]


def _added(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    total: Counts[str] = Counts()
    for one in counts:
        total.update(one)
    return dict(total)


def _shares(summaries: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Of all frames' pixels, as if every frame had as many."""
    total: dict[str, float] = {}
    for one in summaries:
        for name, share in one["class_shares"].items():
            total[name] = total.get(name, 0.0) + share * one["segmented"]
    frames = sum(one["segmented"] for one in summaries)
    return {name: share / frames for name, share in total.items()}
