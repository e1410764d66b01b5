"""When latency is worth a warning, and when an error."""

from __future__ import annotations

from asymfusion_ros.stream.status import Level


class LatencyLimit:
    """Compares the latency of each frame with ``milliseconds``; 0 is no limit.

    A frame over it is a warning until the next look; ``consecutive`` frames in a row, up to the newest, are
    an error. Written by one thread and looked at by another.
    """

    def __init__(self, milliseconds: float, consecutive: int) -> None:
        self.milliseconds = milliseconds
        self.consecutive = consecutive
        self.newest = 0.0
        self.in_a_row = 0
        self._frames = self._over = 0
        self._seen = (0, 0)

    def add(self, milliseconds: float) -> None:
        """Takes the latency of the newest frame."""
        self.newest = milliseconds
        over = 0 < self.milliseconds < milliseconds
        self.in_a_row = self.in_a_row + 1 if over else 0
        self._over += over
        self._frames += 1

    def look(self) -> Level:
        """What the frames since the last look amount to; OK where there were none: that is no latency."""
        frames, over = self._frames - self._seen[0], self._over - self._seen[1]
        self._seen = (self._frames, self._over)
        if frames == 0 or over == 0:
            return Level.OK
        return Level.ERROR if self.in_a_row >= self.consecutive else Level.WARN
