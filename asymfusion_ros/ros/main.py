"""``segmentation_node``, and every node's program: arguments, signals, and the loop around the node."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType

import rclpy
from rclpy.executors import Executor, ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from asymfusion_ros.ros.common_settings import CommonSettings
from asymfusion_ros.ros.node import StreamNode
from asymfusion_ros.ros.segmentation import SegmentationNode
from asymfusion_ros.ros.settings import NodeSettings
from asymfusion_ros.ros.shared_memory import remove_unowned
from asymfusion_ros.ros.signals import ignore
from asymfusion_ros.settings import declared

FORCED_END = 2.0  # seconds after the first signal from which another ends the process at once
FAREWELL = 1.0  # seconds in which a node that was shut down still answers who asks for its state
SIGNAL_PERIOD = 0.2  # seconds that a signal may wait while no message comes
PAUSE = 0.01  # seconds after something was raised: what is raised each time must not take a whole core


@dataclass(frozen=True)
class Program:
    """name, description, example: for ``--help``. settings: the node's parameters. node: makes it."""

    name: str
    description: str
    example: str
    settings: type[CommonSettings]
    node: Callable[[], StreamNode]


SEGMENTATION = Program(
    "segmentation_node",
    "Segments the images of a camera and publishes masks (a ROS 2 lifecycle node).",
    "segmentation_node --ros-args -p checkpoint:=model.safetensors -p slop:=0.03 "
    "-r rgb/image_rect_color:=/camera/color/image_raw",
    NodeSettings,
    SegmentationNode,
)


def main(arguments: list[str] | None = None) -> int:
    """See run_program."""
    return run_program(SEGMENTATION, arguments)


def run_program(program: Program, arguments: list[str] | None = None) -> int:
    """Runs the node until SIGINT, SIGTERM or its shutdown transition (0), or a refused start (1)."""
    arguments = sys.argv if arguments is None else arguments
    since: list[float] = []  # not an Event: setting one in a handler that a signal interrupts never ends

    def on_signal(number: int, frame: FrameType | None) -> None:
        since.append(time.monotonic())
        # Under ros2 launch a Ctrl-C comes twice at once, from the terminal and from launch.
        if since[-1] - since[0] > FORCED_END:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    # Not rclpy's handlers: they shut the context down first, and then nothing can be closed or logged.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    try:
        parser(program).parse_args(remove_ros_args(arguments)[1:])
        freed = remove_unowned()
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    except (_rclpy.RCLInvalidROSArgsError, _rclpy.UnknownROSArgsError) as error:
        print(f"{program.name}: error: wrong ROS arguments: {error}", file=sys.stderr)
        return 1
    try:
        return run(program, lambda: bool(since), freed)
    finally:
        rclpy.try_shutdown()
        if since:
            # The interpreter puts Python's own handlers back to their defaults while it ends, and a repeated
            # signal would then make a clean end look like a crash.
            for number in (signal.SIGINT, signal.SIGTERM):
                ignore(number)


def run(program: Program, stopped: Callable[[], bool], freed: int = 0) -> int:
    """Spins the node until it is ``stopped``; the exit code. freed: bytes of shared memory, for the log."""
    node = program.node()
    if freed:
        node.get_logger().info(f"removed {freed >> 20} MiB that killed processes had left in /dev/shm")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        autostart = node.get_parameter("autostart").value
        if autostart and not node.start():
            return 1
        # Nothing leads out of finalized: the process would only hold its memory.
        while not (stopped() or node.finalized):
            _spin_once(executor, node)
        farewell = time.monotonic() + FAREWELL
        while node.finalized and not stopped() and time.monotonic() < farewell:
            _spin_once(executor, node)
    except ExternalShutdownException:
        pass  # the context was shut down elsewhere: end as on a signal
    finally:
        node.close()
        executor.shutdown()
        node.destroy_node()
        if node.hung:
            # The interpreter would wait for the lost thread for ever.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)
    return 0


def _spin_once(executor: Executor, node: StreamNode) -> None:
    """Handles what comes next. What is raised there is a fault of one message (a parameter of an unknown
    type raises in rclpy itself): it is logged, and the node goes on.
    """
    try:
        executor.spin_once(timeout_sec=SIGNAL_PERIOD)
    except ExternalShutdownException:
        raise
    except Exception:
        node.throttled_log.error("spin", f"a request or message was not handled:\n{traceback.format_exc()}")
        time.sleep(PAUSE)


def parser(program: Program = SEGMENTATION) -> argparse.ArgumentParser:
    """The program's own options; ROS's arguments come after ``--ros-args``."""
    lines = []
    for one in declared(program.settings):
        limits = f"; {one.limits.text}" if one.limits.text else ""
        lines.append(f"  {one.name} (default {one.default}{limits}): {one.help}")
    return argparse.ArgumentParser(
        prog=program.name,
        description=program.description,
        epilog="parameters:\n" + "\n".join(lines) + f"\n\nexample:\n  {program.example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


if __name__ == "__main__":
    sys.exit(main())
