"""Hears /diagnostics: every status of every node, kept on a board."""

from __future__ import annotations

import os
import time
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from asymfusion_ros.ros.diagnostics import TOPIC
from asymfusion_ros.stream.board import Board, NodeStatus
from asymfusion_ros.stream.status import Level


class StatusListener:
    """A node of its own that puts what it hears on ``board``, by ``time.monotonic()``, until closed."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._context = rclpy.Context()
        # Not rclpy's signal handlers: a Ctrl-C is to reach the caller as a KeyboardInterrupt.
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self._node = rclpy.create_node(
            f"asymfusion_top_{os.getpid()}", context=self._context, start_parameter_services=False
        )
        self._node.create_subscription(DiagnosticArray, TOPIC, self._on_array, 50)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)

    def listen(self, seconds: float) -> None:
        """Takes what comes in the next ``seconds``."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def close(self) -> None:
        """Takes the node off the graph."""
        self._executor.shutdown()
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def _on_array(self, message: Any) -> None:
        now = time.monotonic()
        for status in message.status:
            number = int.from_bytes(status.level, "little")
            level = Level(number) if number in list(Level) else Level.ERROR
            values = {one.key: one.value for one in status.values}
            self._board.hear(
                NodeStatus(status.name, status.hardware_id, level, status.message, values, heard=now)
            )
