"""~/debug/*_ms: each frame's times under Autoware's names, for its latency and processing time monitors.

Autoware's own message has a stamp; where its package isn't installed, std_msgs/Float64 carries the number
alone. Each is published only where somebody subscribes.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.node import Node
from std_msgs.msg import Float64

from asymfusion_ros.messages.fields import Stamp
from asymfusion_ros.ros.qos import OUTPUT_PROFILE

# Imported by name: package.xml can't ask for it, because not every distribution has it.
AUTOWARE_MESSAGES = "autoware_internal_debug_msgs"
PROCESSING = "processing_time_ms"  # from taking up a frame until its outputs are published
PIPELINE = "pipeline_latency_ms"  # from the stamp of its image until then
CYCLIC = "cyclic_time_ms"  # from one frame's outputs to the next one's
NAMES = (PROCESSING, PIPELINE, CYCLIC)


class DebugTopics:
    """The publishers of NAMES under ~/debug, or ~/CAMERA/debug of one of several cameras, as long as the node
    lives. ``log`` gets a line where Autoware's message is not there.
    """

    def __init__(self, node: Node, log: Callable[[str], object], camera: str = "") -> None:
        folder = f"~/{camera}/debug" if camera else "~/debug"
        try:
            self._number: Any = importlib.import_module(f"{AUTOWARE_MESSAGES}.msg").Float64Stamped
            self._stamped = True
        except ImportError:
            self._number, self._stamped = Float64, False
            log(f"{folder}/*_ms are std_msgs/Float64, without a stamp: {AUTOWARE_MESSAGES} is not installed")
        self._publishers: dict[str, Any] = {
            name: node.create_publisher(self._number, f"{folder}/{name}", OUTPUT_PROFILE) for name in NAMES
        }

    def publish(self, stamp: Stamp, milliseconds: Mapping[str, float]) -> None:
        """Publishes the times of the frame of ``stamp``, by name."""
        for name, value in milliseconds.items():
            publisher = self._publishers.get(name)
            if publisher is not None and publisher.get_subscription_count() > 0:
                stamped = {"stamp": stamp} if self._stamped else {}
                publisher.publish(self._number(data=value, **stamped))
