"""Whether simulated time runs: /clock that nobody publishes, and one that stands still."""

from __future__ import annotations

STOPPED_AFTER = 1.0  # seconds


class ClockHealth:
    """The node's clock where ``use_sim_time`` is set, looked at now and then.

    Attribute ``time``: what it showed last, in nanoseconds; 0 before anything came on /clock.
    """

    def __init__(self) -> None:
        self.time: int | None = None
        self._moved = 0.0

    def look(self, now: float, time: int | None) -> None:
        """Notes the clock's ``time`` (ns) at ``now`` (s); None where the node follows the system's clock."""
        if time != self.time:
            self.time, self._moved = time, now

    def stopped(self, now: float) -> float | None:
        """Seconds for which simulated time has not moved, from STOPPED_AFTER on; None where it runs."""
        if self.time is None or now - self._moved < STOPPED_AFTER:
            return None
        return now - self._moved

    def fault(self, now: float) -> str | None:
        """A line about a clock that does not run."""
        stopped = self.stopped(now)
        if stopped is None:
            return None
        if self.time == 0:
            return (
                f"use_sim_time is true, but nothing has come on /clock for {stopped:.0f} s: start the "
                "simulation, play the recording with --clock, or set use_sim_time to false"
            )
        return (
            f"use_sim_time is true and /clock has stood still at {(self.time or 0) / 1e9:.3f} s for "
            f"{stopped:.0f} s: is the simulation or the recording paused? Images that come are segmented all "
            "the same"
        )
