"""The demo's numbers: what was sent, what came back and how long it took."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from asymfusion_ros.recordings.recording import NANOSECONDS


@dataclass
class Statistics:
    """Times are ``time.monotonic_ns()``, which all processes of a machine share; keys are header stamps."""

    rgb_sent: dict[int, int] = field(default_factory=dict)
    depth_sent: dict[int, int] = field(default_factory=dict)
    masks: dict[int, int] = field(default_factory=dict)

    def latencies(self) -> list[float]:
        """Milliseconds from publishing an RGB image until its mask arrived, in order of arrival."""
        arrived = sorted(self.masks.items(), key=lambda item: item[1])
        return [(at - self.rgb_sent[stamp]) / 1e6 for stamp, at in arrived if stamp in self.rgb_sent]

    def masks_per_second(self) -> float | None:
        """Between the first and the last mask; None for fewer than two."""
        if len(self.masks) < 2:
            return None
        return (len(self.masks) - 1) * NANOSECONDS / (max(self.masks.values()) - min(self.masks.values()))

    def masks_within(self, begin: int, end: int) -> int:
        """Masks whose RGB stamp is in begin..end, the end left out."""
        return sum(begin <= stamp < end for stamp in self.masks)

    def closest_stamps(self) -> float | None:
        """The smallest distance between an RGB and a depth stamp in seconds; None where a topic is empty."""
        if not self.rgb_sent or not self.depth_sent:
            return None
        merged = sorted(
            [(stamp, "rgb") for stamp in self.rgb_sent] + [(stamp, "depth") for stamp in self.depth_sent]
        )
        # Of all pairs the closest stand side by side in order of their stamps.
        pairs = itertools.pairwise(merged)
        return min(late - early for (early, a), (late, b) in pairs if a != b) / NANOSECONDS

    def summary(self, counters: Mapping[str, int]) -> Summary:
        """The numbers of a run. ``counters``: the node's own (stream/counters.py); empty where none came."""
        latencies = self.latencies()
        median, p95 = np.percentile(latencies, (50, 95)) if latencies else (None, None)
        return Summary(
            rgb_sent=len(self.rgb_sent),
            depth_sent=len(self.depth_sent),
            paired=counters.get("paired"),
            dropped=counters.get("dropped"),
            masks=len(self.masks),
            masks_per_second=self.masks_per_second(),
            latency_median_ms=None if median is None else float(median),
            latency_p95_ms=None if p95 is None else float(p95),
        )


@dataclass(frozen=True)
class Summary:
    """What the demo prints. ``paired`` and ``dropped`` come from the node; None where they did not."""

    rgb_sent: int
    depth_sent: int
    paired: int | None
    dropped: int | None
    masks: int
    masks_per_second: float | None
    latency_median_ms: float | None
    latency_p95_ms: float | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def lines(self) -> list[str]:
        """For the terminal, a number a line."""
        paired = "unknown: the node published no diagnostics" if self.paired is None else str(self.paired)
        segmented = f"{self.masks}"
        if self.dropped:
            pairs = "1 pair" if self.dropped == 1 else f"{self.dropped} pairs"
            segmented += f"  ({pairs} dropped for a newer one: a busy node takes the newest next)"
        rate = "-" if self.masks_per_second is None else f"{self.masks_per_second:.1f}"
        latency = "-"
        if self.latency_median_ms is not None:
            latency = f"median {self.latency_median_ms:.0f} ms, p95 {self.latency_p95_ms:.0f} ms"
            latency += "  (RGB image published -> mask received)"
        rows = {
            "frames sent": f"{self.rgb_sent} RGB, {self.depth_sent} depth",
            "paired": paired,
            "segmented": segmented,
            "masks per second": rate,
            "latency": latency,
        }
        return [f"  {name:<18}{value}" for name, value in rows.items()]
