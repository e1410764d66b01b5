"""The node `segmentation`: the images of a camera in, masks out.

A managed node: configuring loads the checkpoint and makes the publishers; activating subscribes (camera.py)
and starts the inference thread (worker.py, frame_segmenter.py), which gets the newest frame of each camera.
A message can be refused, and is logged; it can't stop the node.
"""

from __future__ import annotations

import functools
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_msgs.msg import Header

from asymfusion_ros.errors import UserError
from asymfusion_ros.ros import parameters
from asymfusion_ros.ros.camera import Camera
from asymfusion_ros.ros.camera_status import CameraStatus
from asymfusion_ros.ros.debug_topics import DebugTopics
from asymfusion_ros.ros.diagnostics import TASK
from asymfusion_ros.ros.disagreement import DisagreementMonitor
from asymfusion_ros.ros.frame_meter import FrameMeter
from asymfusion_ros.ros.frame_segmenter import FrameSegmenter
from asymfusion_ros.ros.inputs.transports import load_transports
from asymfusion_ros.ros.log import ThrottledLog
from asymfusion_ros.ros.network import Network, load_network
from asymfusion_ros.ros.node_status import NodeStatus, facts
from asymfusion_ros.ros.outputs import OUTPUTS
from asymfusion_ros.ros.outputs.base import Publishers
from asymfusion_ros.ros.outputs.labels import LabelInfoPublisher
from asymfusion_ros.ros.scene import Frame
from asymfusion_ros.ros.settings import NodeSettings
from asymfusion_ros.ros.worker import InferenceWorker
from asymfusion_ros.stream.counters import Counters
from asymfusion_ros.stream.latency_limit import LatencyLimit
from asymfusion_ros.stream.status import Report, StatusParts

NODE_NAME = "segmentation"

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


def _inference_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="inference")


class SegmentationNode(LifecycleNode):
    """See the module's description. ``options`` are the keyword arguments of rclpy.node.Node; ``load`` makes
    the network from the settings, in the thread that will run it.

    Attributes: ``counters``, what became of the images since the node was made; ``throttled_log``;
    ``status_parts``, what /diagnostics is put together from: whoever knows about the node's health adds one;
    ``cameras``, while the node is active; ``outputs``, while it is configured.
    """

    def __init__(
        self,
        node_name: str = NODE_NAME,
        load: Callable[[NodeSettings], Network] = load_network,
        **options: Any,
    ) -> None:
        # Declared from what the user gave, so that a misspelt name can be found (parameters.py).
        super().__init__(node_name, automatically_declare_parameters_from_overrides=True, **options)
        self.counters = Counters()
        self.throttled_log = ThrottledLog(self.get_logger())
        self.cameras: list[Camera] = []
        self.outputs: Publishers | None = None
        self._settings: NodeSettings | None = None
        self._network: Network | None = None
        self._label_info: LabelInfoPublisher | None = None
        self._debug: DebugTopics | None = None
        self._worker: InferenceWorker[Frame] | None = None
        self._monitor: DisagreementMonitor | None = None
        self._was_active = False
        self._load = load
        # The network is loaded, warmed up and run in this one thread, whatever state the node goes through:
        # OpenMP gives every thread that computes a pool of its own, and two of them slow each other down
        # (by half, with two cores) even while one is idle.
        self._inference_thread = _inference_thread()
        self.hung = False  # whether an inference thread was given up: Python would wait for it at its end
        for name in parameters.declare(self):
            self.get_logger().warning(f"there is no parameter {name}: it is ignored (see --help)")
        self.status_parts = StatusParts(TASK)
        self.status_parts.add(self._state_part)
        self._status = NodeStatus(self, self.status_parts, self._state, self.throttled_log)

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

    def set_parameters(self, parameter_list: list[Parameter[Any]]) -> list[SetParametersResult]:
        """As in rclpy; a value that is refused is named with what is allowed."""
        return [self.set_parameters_atomically([parameter]) for parameter in parameter_list]

    def set_parameters_atomically(self, parameter_list: list[Parameter[Any]]) -> SetParametersResult:
        """As in rclpy; a value that is refused is named with what is allowed."""
        # Before rclpy's own check of the range, whose message names neither.
        answer = parameters.check_changes(parameter_list, configured=self._network is not None)
        return super().set_parameters_atomically(parameter_list) if answer.successful else answer

    @logged
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads the checkpoint and makes the publishers."""
        settings = parameters.read(self)
        began = time.monotonic()
        network = self._inference_thread.submit(self._load, settings).result()
        checkpoint = network.checkpoint
        modalities = [checkpoint.input_spec.modality(name) for name in checkpoint.config.modalities]
        load_transports(modalities, settings, lambda line: None)  # what is missing is said here, not later
        self.outputs = Publishers(self, [make(settings) for make in OUTPUTS])
        if self._debug is None:
            self._debug = DebugTopics(self, self.get_logger().info)
        if self._label_info is None:
            self._label_info = LabelInfoPublisher(self, self.get_logger().info)
        self._settings, self._network = settings, network
        labels = network.checkpoint.labels
        self.get_logger().info(
            f"checkpoint {settings.checkpoint!r} ready after {time.monotonic() - began:.1f} s: "
            f"{len(labels.names)} labels ({labels.name})"
        )
        return super().on_configure(state)

    @logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribes, and starts the inference thread."""
        assert self._settings and self._network and self.outputs and self._label_info and self._debug
        result = super().on_activate(state)
        self._was_active = True
        self.throttled_log.forget()
        checkpoint = self._network.checkpoint
        modalities = [checkpoint.input_spec.modality(name) for name in checkpoint.config.modalities]
        log = self.throttled_log
        camera = Camera(self, modalities, self._settings, self.counters, log, self._on_frame)
        self.cameras = [camera]
        topics = {name: source.topic for name, source in camera.inputs.items()}
        self._monitor = DisagreementMonitor(checkpoint, self._settings, self.get_logger().info)
        self.status_parts.add(self._monitor.report)
        limit = LatencyLimit(self._settings.max_latency_ms, self._settings.consecutive)
        meter = FrameMeter(lambda: self.get_clock().now().nanoseconds, self.counters, limit, self._debug)
        segment = FrameSegmenter(
            self._network,
            modalities,
            self.outputs,
            topics,
            camera.geometry,
            self.counters,
            log,
            self._monitor,
            meter,
        )
        status = CameraStatus(camera, meter, self._settings, time.monotonic())
        self._status.watch(status, self._settings.status_period)
        # No frame comes before this method is done: it runs in the executor's thread.
        self._worker = InferenceWorker(segment, self._on_inference_error, self._inference_thread)
        now = Header(stamp=self.get_clock().now().to_msg())
        self._label_info.publish(now, checkpoint.labels.names)
        self.get_logger().info(camera.description())
        return result

    @logged
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribes, and lets the frame under way finish."""
        self._stop_streams()
        return super().on_deactivate(state)

    @logged
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lets go of the network and the publishers."""
        self._release()
        return super().on_cleanup(state)

    @logged
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lets go of everything."""
        self._release()
        return super().on_shutdown(state)

    @logged
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lets go of everything: the node can be configured again."""
        self._release()
        return super().on_error(state)

    def _on_frame(self, frame: Frame) -> None:
        assert self._worker is not None  # see on_activate
        self.counters.dropped += self._worker.slot.put(frame)

    def _on_inference_error(self, trace: str) -> None:
        self.throttled_log.error("inference", f"a frame was not segmented:\n{trace}")

    def _state(self) -> str:
        return "active" if self.cameras else "unconfigured" if self._network is None else "inactive"

    def _state_part(self, now: float) -> Report:
        return Report(values={"state": self._state(), **facts(self._network), **self.counters.to_dict()})

    def _stop_streams(self) -> None:
        self._status.stop_watching()
        for camera in self.cameras:
            camera.close()
        if self._worker is not None and not self._worker.stop(self.get_logger().error):
            self.hung = True
            self._inference_thread.shutdown(wait=False)
            self._inference_thread = _inference_thread()
        if self._monitor is not None:
            self.status_parts.remove(self._monitor.report)
        self.cameras, self._worker, self._monitor = [], None, None

    def _release(self) -> None:
        self._stop_streams()
        if self.outputs is not None:
            self.outputs.close()
        self.outputs = self._network = self._settings = None
