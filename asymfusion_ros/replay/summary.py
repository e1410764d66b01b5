"""What a replay comes to, for people and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.recordings.recording import NANOSECONDS
from asymfusion_ros.replay.records import Records
from asymfusion_ros.replay.tally import Tally

SHOWN = 6  # classes in the print


def summary_of(records: Records, seconds: float, labels: LabelSet) -> dict[str, Any]:
    """Of frames that took ``seconds`` together: how fast they went, what they show, how steady they are."""
    frames = records.frames
    latency = 1000 * np.array([frame.seconds for frame in frames])
    span = (frames[-1].time - frames[0].time) / NANOSECONDS
    shares = records.shares().mean(0)
    consistency = records.consistency()
    names = [*labels.names, "unlabeled"]
    return {
        "segmented": len(frames),
        "recorded_seconds": round(span, 3),
        "seconds": round(seconds, 3),
        "frames_per_second": round(len(frames) / seconds, 3) if seconds > 0 else None,
        "latency_ms": {f"p{share}": round(float(np.percentile(latency, share)), 3) for share in (50, 95)},
        "temporal_consistency": consistency,
        "still_pixels": sum(frame.still for frame in frames),
        "class_shares": {name: float(share) for name, share in zip(names, shares) if share > 0},
        "labelled": sum(frame.labelled for frame in frames),
    }


def text(name: str, tally: Tally | None, found: Mapping[str, Any], scores: str, files: Sequence[str]) -> str:
    """A few lines."""
    lines = [f"{name}: {found['segmented']} frames of {found['recorded_seconds']:g} s"]
    if tally is not None:
        incomplete = f", {tally.incomplete} of them without a modality" if tally.incomplete else ""
        images = " and ".join(f"{count} {one}" for one, count in tally.received.items())
        lines.append(f"  {images} images made {tally.frames} frames{incomplete}")
        if reason := tally.reason():
            lines.append(f"  unpaired: {reason}")
        for one, reasons in tally.refusals().items():
            lines += [f"  refused: {count} of {one}: {why}" for why, count in list(reasons.items())[:3]]
    rate = found["frames_per_second"]
    latency = found["latency_ms"]
    lines.append(
        f"  {'-' if rate is None else rate} frames a second; a frame takes {latency['p50']:.1f} ms (p50), "
        f"{latency['p95']:.1f} ms (p95)"
    )
    shares = sorted(found["class_shares"].items(), key=lambda item: -item[1])[:SHOWN]
    lines.append("  " + ", ".join(f"{one} {100 * share:.1f} %" for one, share in shares))
    steady = found["temporal_consistency"]
    if steady is None:
        lines.append("  temporal consistency: no pixel was still from one frame to the next")
    else:
        lines.append(f"  temporal consistency: {100 * steady:.2f} % of the still pixels keep their class")
    if scores:
        lines.append(f"  {found['labelled']} frames with labels:")
        lines += [f"  {line}" for line in scores.splitlines()]
    return "\n".join([*lines, *(f"  {file}" for file in files)])
