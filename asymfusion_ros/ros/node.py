"""The node `segmentation`: RGB and depth images in, masks out.

A managed node: configuring loads the checkpoint and makes the publishers; activating subscribes (intake.py)
and starts the inference thread (pair_segmenter.py), with the newest pair handed from the one to the other.
A message can be refused, and is logged; it can't stop the node.
"""

from __future__ import annotations

import argparse
import functools
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation as _rclpy
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args
from std_msgs.msg import Header

import asymfusion_ros
from asymfusion_ros.errors import UserError
from asymfusion_ros.ros import parameters
from asymfusion_ros.ros.drawing import LabelPainter
from asymfusion_ros.ros.intake import TOPICS, Intake
from asymfusion_ros.ros.log import ThrottledLog
from asymfusion_ros.ros.outputs import LabelInfoOutput, Outputs
from asymfusion_ros.ros.pair_segmenter import PairSegmenter
from asymfusion_ros.ros.pairs import Pair
from asymfusion_ros.ros.worker import InferenceWorker
from asymfusion_ros.stream.counters import Counters

NODE_NAME = "segmentation"
WARM_UP_SIZE = (480, 640)  # height and width of the images that most cameras send
FORCED_END = 2.0  # seconds after the first signal from which another ends the process at once
SIGNAL_PERIOD = 0.2  # seconds that a signal may wait while no message comes

Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]


def logged(transition: Transition) -> Transition:
    """Logs what a transition raises, which rclpy would swallow: a user's mistake in one line, refusing the
    transition; anything else with its traceback, as an error that the node is cleaned up after.
    """

    @functools.wraps(transition)
    def wrapper(self: Any, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(self, state)
        except UserError as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        except Exception:
            self.get_logger().error(f"{transition.__name__} failed:\n{traceback.format_exc()}")
            return TransitionCallbackReturn.ERROR

    return wrapper


class SegmentationNode(LifecycleNode):
    """See the module's description. ``options`` are the keyword arguments of rclpy.node.Node; ``load`` makes
    the network from the settings, in the thread that will run it.

    Attributes: ``counters``, what became of the images since the node was made.
    """

    def __init__(
        self,
        node_name: str = NODE_NAME,
        load: Callable[[parameters.Settings], Any] | None = None,
        **options: Any,
    ) -> None:
        # Declared from what the user gave, so that a misspelt name can be found (parameters.py).
        super().__init__(node_name, automatically_declare_parameters_from_overrides=True, **options)
        self.counters = Counters()
        self._say = ThrottledLog(self.get_logger())
        self._settings: parameters.Settings | None = None
        self._segmenter: Any = None
        self._outputs: Outputs | None = None
        self._label_info: LabelInfoOutput | None = None
        self._worker: InferenceWorker[Pair] | None = None
        self._intake: Intake | None = None
        self._was_active = False
        self._load = load or load_segmenter
        # The network is loaded, warmed up and run in this one thread, whatever state the node goes through:
        # OpenMP gives every thread that computes a pool of its own, and two of them slow each other down
        # (by half, with two cores) even while one is idle.
        self._inference_thread = ThreadPoolExecutor(1, thread_name_prefix="inference")
        for name in parameters.declare(self):
            self.get_logger().warning(f"there is no parameter {name}: it is ignored (see --help)")
        self.add_on_set_parameters_callback(
            lambda changes: parameters.check_change(changes, configured=self._segmenter is not None)
        )

    def start(self) -> bool:
        """Configures and activates; False where either was refused (the log says why)."""
        return (
            self.trigger_configure() == TransitionCallbackReturn.SUCCESS
            and self.trigger_activate() == TransitionCallbackReturn.SUCCESS
        )

    def close(self) -> None:
        """Stops and releases everything, whatever state the node is in, and logs the counters of a node that
        was active.
        """
        self._release()
        self._inference_thread.shutdown()
        if self._was_active:
            self.get_logger().info(self.counters.summary())

    @logged
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        settings = parameters.read(self)
        began = time.monotonic()
        segmenter = self._inference_thread.submit(self._load, settings).result()
        label_set = segmenter.label_set
        self._outputs = Outputs(self, LabelPainter(label_set.palette, settings.overlay_opacity))
        if self._label_info is None:
            self._label_info = LabelInfoOutput(self, self.get_logger().info)
        self._settings, self._segmenter = settings, segmenter
        self.get_logger().info(
            f"checkpoint {settings.checkpoint!r} ready after {time.monotonic() - began:.1f} s: "
            f"{len(label_set.names)} labels ({label_set.name})"
        )
        return super().on_configure(state)

    @logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        assert self._settings is not None and self._outputs is not None and self._label_info is not None
        result = super().on_activate(state)
        self._was_active = True
        self._say.forget()
        topics = {kind: self.resolve_topic_name(topic) for kind, topic in TOPICS.items()}
        segment = PairSegmenter(self._segmenter, self._outputs, topics, self.counters, self._say)
        self._worker = InferenceWorker(segment, self._on_inference_error, self._inference_thread)
        self._intake = Intake(
            self, self._segmenter.modalities, self._settings, self.counters, self._say, self._hand_over
        )
        now = Header(stamp=self.get_clock().now().to_msg())
        self._label_info.publish(now, tuple(self._segmenter.label_set.names))
        self.get_logger().info(self._intake.description())
        return result

    @logged
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._stop_streams()
        return super().on_deactivate(state)

    @logged
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_cleanup(state)

    @logged
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_shutdown(state)

    @logged
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._release()
        return super().on_error(state)

    def _hand_over(self, pair: Pair) -> None:
        assert self._worker is not None  # there is no intake without it
        self.counters.replaced += self._worker.slot.put(pair)

    def _on_inference_error(self, trace: str) -> None:
        self._say.error("inference", f"a pair was not segmented:\n{trace}")

    def _stop_streams(self) -> None:
        if self._intake is not None:
            self._intake.close()
        if self._worker is not None:
            self._worker.stop()
        self._intake = self._worker = None

    def _release(self) -> None:
        self._stop_streams()
        if self._outputs is not None:
            self._outputs.close()
        self._outputs = self._segmenter = self._settings = None


def load_segmenter(settings: parameters.Settings) -> Any:
    """The network (an asymfusion_ros.Segmenter), ready to run at full speed."""
    segmenter = asymfusion_ros.Segmenter.from_checkpoint(
        settings.checkpoint, device=settings.device, precision=settings.precision
    )
    segmenter.warm_up(*WARM_UP_SIZE)
    return segmenter


def main(arguments: list[str] | None = None) -> int:
    """Runs the node until SIGINT or SIGTERM (0), or until its start is refused (1)."""
    arguments = sys.argv if arguments is None else arguments
    stop = threading.Event()
    since: list[float] = []

    def on_signal(number: int, frame: Any) -> None:
        stop.set()
        since.append(time.monotonic())
        # Under ros2 launch a Ctrl-C comes twice at once, from the terminal and from launch.
        if since[-1] - since[0] > FORCED_END:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    # Not rclpy's handlers: they shut the context down first, and then nothing can be closed or logged.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    try:
        _parse(remove_ros_args(arguments)[1:])
        rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    except (_rclpy.RCLInvalidROSArgsError, _rclpy.UnknownROSArgsError) as error:
        print(f"segmentation_node: error: wrong ROS arguments: {error}", file=sys.stderr)
        return 1
    try:
        return _run(stop)
    finally:
        rclpy.try_shutdown()
        if stop.is_set():
            # The interpreter puts Python's own handlers back to their defaults while it ends, and a repeated
            # signal would then make a clean end look like a crash.
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)


def _run(stop: threading.Event) -> int:
    node = SegmentationNode()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        autostart = node.get_parameter("autostart").value
        if autostart and not node.start():
            return 1
        while not stop.is_set():
            executor.spin_once(timeout_sec=SIGNAL_PERIOD)
    except ExternalShutdownException:
        pass  # the context was shut down elsewhere: end as on a signal
    finally:
        node.close()
        executor.shutdown()
        node.destroy_node()
    return 0


def _parse(arguments: list[str]) -> None:
    lines = [f"  {p.name} (default {p.default}): {p.description}" for p in parameters.PARAMETERS]
    argparse.ArgumentParser(
        prog="segmentation_node",
        description="Segments paired RGB and depth images and publishes masks (a ROS 2 lifecycle node).",
        epilog="parameters:\n" + "\n".join(lines) + "\n\nexample:\n"
        "  segmentation_node --ros-args -p checkpoint:=model.safetensors -p slop:=0.03 "
        "-r rgb/image_rect_color:=/camera/color/image_raw",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    ).parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
