"""How a camera's stream through the node is: a part of the node's status while it is active.

Rates, counts, gaps and latencies of the last seconds, and faults by the thresholds that are parameters.
"""

from __future__ import annotations

from collections.abc import Mapping

from asymfusion_ros.ros.camera import Camera
from asymfusion_ros.ros.common_settings import CommonSettings
from asymfusion_ros.ros.frame_meter import FrameMeter
from asymfusion_ros.ros.node_task import Words
from asymfusion_ros.stream.rates import Rates
from asymfusion_ros.stream.status import Fault, Level, Report
from asymfusion_ros.stream.timing import quantile

RATE_WINDOW = 5.0  # seconds
NO_FRAME_AFTER = 3.0  # seconds without a frame from which a fault of the streams is an error
SETTLED_AFTER = 4.0  # seconds from which a rate is compared with min_rate
FOREIGN_CLOCK = 3600.0  # seconds of latency that no pipeline has: a recording without use_sim_time has


class CameraStatus:
    """Called with ``time.monotonic()``; see stream/status.py."""

    def __init__(
        self, camera: Camera, meter: FrameMeter, settings: CommonSettings, words: Words, now: float
    ) -> None:
        self._camera = camera
        self._meter = meter
        self._settings = settings
        self._words = words
        self._rates = Rates(RATE_WINDOW)
        self._counts: dict[str, int] = camera.counters.to_dict()
        self._rates.look(now, self._counts)
        self._last_frame = now

    def __call__(self, now: float) -> Report:
        """The camera's part of the report."""
        before, self._counts = self._counts, self._camera.counters.to_dict()
        self._rates.look(now, self._counts)
        if self._counts["framed"] != before["framed"]:
            self._last_frame = now
        faults = self._faults(now, before)
        faults += [fault for fault in (self._latency_fault(), self._rate_fault()) if fault is not None]
        return Report(tuple(faults), self._values(now))

    def line(self) -> str:
        """The numbers of the last report as one line for the log."""
        rates = self._rate_values()
        into = ", ".join(f"{rates.get(f'rate_in_{name}', '-')} {name}" for name in self._camera.inputs)
        quantiles = self._meter.timings.quantiles(0.5, 0.95)
        latency = "no frame yet"
        # From the stamp, or, where that is of another clock, from taking up the frame.
        for stage in ("processing", "pipeline"):
            if stage in quantiles and abs(quantiles[stage][0]) < FOREIGN_CLOCK:
                median, p95 = (1000 * value for value in quantiles[stage])
                latency = f"{stage} p50 {median:.0f} ms, p95 {p95:.0f} ms"
        dropped, unpaired = (self._rates.growth(name) for name in ("dropped", "unpaired"))
        return (
            f"{rates.get('rate_out', '-')} {self._words.outputs} a second of {into} images a second; "
            f"{latency}; in the last {self._rates.span:.0f} s {dropped} frames dropped for a newer one, "
            f"{max(0, unpaired)} images unpaired"
        )

    def _faults(self, now: float, before: Mapping[str, int]) -> list[Fault]:
        """What is wrong with the streams, and frames and images since the last report that were of no use."""
        level = Level.ERROR if now - self._last_frame >= NO_FRAME_AFTER else Level.WARN
        faults = [Fault(level, line) for line in self._camera.faults(now).values()]
        rejected, failed, done = (
            self._counts[name] - before[name] for name in ("rejected", "failed", self._words.done)
        )
        if rejected > 0:
            line = f"images rejected since the last report: {rejected}: see the node's log"
            faults.append(Fault(level, line))
        if failed > 0:
            line = f"frames not {self._words.done} since the last report: {failed}: see the node's log"
            faults.append(Fault(Level.ERROR if done == 0 else Level.WARN, line))
        return faults

    def _latency_fault(self) -> Fault | None:
        limit = self._meter.limit
        if (level := limit.look()) == Level.OK:
            return None
        newest = limit.newest / 1000
        if abs(newest) >= FOREIGN_CLOCK:
            advice = "stamps are not of this node's clock: set use_sim_time, or stamp with the system's time"
        else:
            advice = "take a smaller checkpoint, a faster device or fewer outputs"
        over = f"max_latency_ms = {limit.milliseconds:g} (frames over it in a row: {limit.in_a_row})"
        return Fault(level, f"latency {limit.newest:.0f} ms, {over}: {advice}")

    def _rate_fault(self) -> Fault | None:
        least, rate = self._settings.min_rate, self._rates.per_second(self._words.done)
        # Nobody subscribes: nothing is segmented, and nothing is missed.
        idle = self._rates.growth("unsubscribed") > 0
        if least == 0 or rate is None or rate >= least or idle or self._rates.span < SETTLED_AFTER:
            return None
        return Fault(
            Level.ERROR if rate < least / 2 else Level.WARN,
            f"{rate:.1f} {self._words.outputs} a second are under min_rate = {least:g}: compare rate_in with "
            "rate_out to see whether images are late or the network is slow",
        )

    def _values(self, now: float) -> dict[str, object]:
        camera = self._camera
        values: dict[str, object] = {"available": ", ".join(camera.health.available(now)) or "none"}
        values |= {**self._counts, **self._rate_values()}
        if gaps := camera.stamps.gaps(now):
            for percent in (50, 95):
                values[f"pair_gap_p{percent}_ms"] = f"{1000 * quantile(gaps, percent / 100):.2f}"
        for name, offset in camera.stamps.offsets().items():
            values[f"clock_offset_{name}_ms"] = f"{1000 * offset:.1f}"
        if (slop := camera.stamps.slop_needed()) is not None:
            values["slop"] = f"{self._settings.slop:g}"
            values["slop_to_set"] = f"{slop:.3f}"
        for stage, (median, p95) in self._meter.timings.quantiles(0.5, 0.95).items():
            if abs(median) >= FOREIGN_CLOCK:
                values["stamps"] = f"of another clock, {median:.0f} s behind this node's"
                continue
            values[f"latency_{stage}_p50_ms"] = f"{1000 * median:.2f}"
            values[f"latency_{stage}_p95_ms"] = f"{1000 * p95:.2f}"
        return values

    def _rate_values(self) -> dict[str, str]:
        names = {f"received_{name}": f"rate_in_{name}" for name in self._camera.inputs}
        names[self._words.done] = "rate_out"
        names |= {f"published_{name}": f"rate_out_{name}" for name in self._camera.counters.published}
        rates = {shown: self._rates.per_second(name) for name, shown in names.items()}
        return {name: f"{rate:.1f}" for name, rate in rates.items() if rate is not None}
