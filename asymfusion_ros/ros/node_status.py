"""The node's status, once a second as diagnostics, and now and then as a line of the log."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType  # type: ignore[attr-defined]
from rclpy.node import Node

import asymfusion_ros
from asymfusion_ros.engine.backends.memory_fallback import MemoryFallback
from asymfusion_ros.engine.memory import device_bytes, resident_bytes
from asymfusion_ros.ros.camera_status import CameraStatus
from asymfusion_ros.ros.diagnostics import PERIOD, Diagnostics
from asymfusion_ros.ros.log import ThrottledLog
from asymfusion_ros.ros.network import Network
from asymfusion_ros.ros.qos_check import QosCheck
from asymfusion_ros.stream.status import Fault, Level, StatusParts

SOFTWARE = f"asymfusion_ros {asymfusion_ros.__version__}"
MEBIBYTE = 1 << 20


class NodeStatus:
    """Reports ``parts`` in every state of the node; ``state`` gives that in a word."""

    def __init__(self, node: Node, parts: StatusParts, state: Callable[[], str], log: ThrottledLog) -> None:
        self._logger = node.get_logger()
        self._parts = parts
        self._state = state
        self._cameras: list[tuple[str, CameraStatus]] = []
        self._line_period = self._line_due = 0.0
        parts.add(QosCheck(node, log))
        self._diagnostics = Diagnostics(node, self._logger.info)
        # Steady: it must run on where simulated time stands still.
        self._timer: Any = node.create_timer(
            PERIOD, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def watch(self, camera: CameraStatus, line_period: float, task: str | None = None) -> None:
        """Reports a camera too, in a status of its own where it has a ``task``, and logs its numbers every
        ``line_period`` seconds; 0: never."""
        self._parts.add(camera, task)
        self._cameras.append((f"{task}: " if task else "", camera))
        self._line_period, self._line_due = line_period, time.monotonic() + line_period

    def stop_watching(self) -> None:
        """Reports no camera any more."""
        for _, camera in self._cameras:
            self._parts.remove(camera)
        self._cameras = []

    def _report(self) -> None:
        now = time.monotonic()
        reports = self._parts.reports(now)
        self._diagnostics.publish(reports, well=self._state())
        if not self._cameras or self._line_period == 0 or now < self._line_due:
            return
        self._line_due = now + self._line_period
        worst = max((report.level for report in reports.values()), default=Level.OK)
        for prefix, camera in self._cameras:
            self._logger.info(f"status {worst.name}: {prefix}{camera.line()}")


def facts(network: Network | None) -> dict[str, object]:
    """What runs, and what it holds of the memory (MiB). ``network``: of a configured node."""
    found: dict[str, object] = {"software": SOFTWARE}
    if network is not None:
        backend = network.backend
        found |= {"backend": backend.name, "device": str(backend.device), "precision": backend.precision}
        if (reserved := device_bytes(backend.device)) is not None:
            found["gpu_memory_mb"] = reserved // MEBIBYTE
    if (resident := resident_bytes()) is not None:
        found["memory_mb"] = resident // MEBIBYTE
    return found


def faults(network: Network | None) -> tuple[Fault, ...]:
    """What the network's backend had to give up. ``network``: of a configured node."""
    backend = None if network is None else network.backend
    if not isinstance(backend, MemoryFallback) or not backend.condition:
        return ()
    return (Fault(Level.WARN, backend.condition),)
