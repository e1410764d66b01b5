"""What each published frame is measured by: its stages, its latency, its outputs. In the inference thread."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from asymfusion_ros.engine.stopwatch import Stopwatch
from asymfusion_ros.messages.fields import Header
from asymfusion_ros.messages.stamped_image import Frame
from asymfusion_ros.ros.debug_topics import CYCLIC, PIPELINE, PROCESSING, DebugTopics
from asymfusion_ros.stream.counters import Counters
from asymfusion_ros.stream.latency_limit import LatencyLimit
from asymfusion_ros.stream.pairing import stamp_nanoseconds
from asymfusion_ros.stream.timing import Timings

WINDOW = 10.0  # seconds of the newest frames that quantiles are taken over


class FrameMeter:
    """``clock``: the node's time in nanoseconds, which stamps are compared with.

    Attributes: ``timings``, seconds by stage; ``limit``, on the latency.
    """

    def __init__(
        self, clock: Callable[[], int], counters: Counters, limit: LatencyLimit, debug: DebugTopics
    ) -> None:
        self.timings = Timings(WINDOW, time.monotonic)
        self.limit = limit
        self._clock = clock
        self._counters = counters
        self._debug = debug
        self._last_published: float | None = None

    def published(self, frame: Frame, header: Header, topics: Iterable[str], watch: Stopwatch) -> None:
        """Notes a frame whose outputs, with ``header``, were published on ``topics`` (``~/...``) just now.

        ``watch`` was started when the frame was taken up, and has its stages.
        """
        for topic in topics:
            name = topic.removeprefix("~/")
            self._counters.published[name] = self._counters.published.get(name, 0) + 1
        pipeline = (self._clock() - stamp_nanoseconds(header.stamp)) / 1e9
        arrivals = [image.arrived for image in frame.values()]
        self.timings.add(
            {
                # A frame is complete when the last of its images arrives.
                "pairing": max(arrivals) - min(arrivals),
                "queue": watch.started - max(arrivals),
                **watch.seconds,
                "processing": watch.total,
                "pipeline": pipeline,
            }
        )
        self.limit.add(1000 * pipeline)
        times = {PROCESSING: 1000 * watch.total, PIPELINE: 1000 * pipeline}
        now = time.monotonic()
        if self._last_published is not None:
            times[CYCLIC] = 1000 * (now - self._last_published)
        self._last_published = now
        self._debug.publish(header.stamp, times)
