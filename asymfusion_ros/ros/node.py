"""A node of one network: the images of a camera in, what it makes of them out; or of several cameras.

What that is, masks or images, is a NodeTask (node_task.py): see segmentation.py and translation.py.
A managed node: configuring loads the checkpoint and makes the publishers of each camera (pipeline.py);
activating subscribes (camera.py) and starts the inference thread (worker.py, inference.py), which gets the
newest frame of each camera.
A message can be refused, and is logged; it can't stop the node.
"""

from __future__ import annotations

import functools
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_msgs.msg import Header

from asymfusion_ros.errors import UserError
from asymfusion_ros.messages.stamped_image import Frame
from asymfusion_ros.ros import parameters
from asymfusion_ros.ros.camera import Camera
from asymfusion_ros.ros.common_settings import CommonSettings
from asymfusion_ros.ros.debug_topics import DebugTopics
from asymfusion_ros.ros.enable import SERVICE, Enable
from asymfusion_ros.ros.inference import Inference
from asymfusion_ros.ros.inputs.transports import load_transports
from asymfusion_ros.ros.log import ThrottledLog
from asymfusion_ros.ros.network import Network, batch_size
from asymfusion_ros.ros.node_status import NodeStatus, facts, faults
from asymfusion_ros.ros.node_task import NodeTask
from asymfusion_ros.ros.outputs import outputs
from asymfusion_ros.ros.outputs.base import Publishers
from asymfusion_ros.ros.pipeline import Pipeline
from asymfusion_ros.ros.worker import InferenceWorker
from asymfusion_ros.stream.counters import Counters
from asymfusion_ros.stream.rate import RateLimit
from asymfusion_ros.stream.status import Report, StatusParts

LOADING_PERIOD = 5.0  # seconds between two lines that say that the checkpoint is still being loaded

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


class StreamNode(LifecycleNode):
    """See the module's description. ``options`` are the keyword arguments of rclpy.node.Node.

    Attributes: ``throttled_log``, of the node as a whole; ``pipelines``, by the cameras' names, while the
    node is configured: ``""`` is the name of the only one where the parameter cameras names none;
    ``status_parts``, what /diagnostics is put together from: whoever knows about the node's health adds one;
    ``finalized``, whether it was shut down, from which no transition leads back.
    """

    def __init__(self, task: NodeTask, node_name: str, **options: Any) -> None:
        # Declared from what the user gave, so that a misspelt name can be found (parameters.py).
        super().__init__(node_name, automatically_declare_parameters_from_overrides=True, **options)
        self.throttled_log = ThrottledLog(self.get_logger())
        self.pipelines: dict[str, Pipeline] = {}
        self._task = task
        self._counters = {"": Counters(done=task.words.done)}
        self._settings: CommonSettings | None = None
        self._network: Network | None = None
        self._debug: dict[str, DebugTopics] = {}
        self._worker: InferenceWorker[Frame] | None = None
        self._was_active = False
        self.finalized = False
        # The network is loaded, warmed up and run in this one thread, whatever state the node goes through:
        # OpenMP gives every thread that computes a pool of its own, and two of them slow each other down
        # (by half, with two cores) even while one is idle.
        self._inference_thread = _inference_thread()
        self.hung = False  # whether an inference thread was given up: Python would wait for it at its end
        for name in parameters.declare(self, task.settings):
            self.get_logger().warning(f"there is no parameter {name}: it is ignored (see --help)")
        self._enable = Enable(self, task.words.done, self.get_logger().info)
        self.status_parts = StatusParts(task.name)
        self.status_parts.add(self._state_part)
        self._status = NodeStatus(self, self.status_parts, self._state, self.throttled_log)

    @property
    def counters(self) -> Counters:
        """What became of the images since the node was made; of its only camera."""
        return self._counters[""]

    @property
    def cameras(self) -> list[Camera]:
        """Those that are subscribed to: while the node is active."""
        return [one.camera for one in self.pipelines.values() if one.camera is not None]

    @property
    def outputs(self) -> Publishers | None:
        """The publishers of the first camera, while the node is configured."""
        return next((one.publishers for one in self.pipelines.values()), None)

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
            for name, counters in self._counters.items():
                if any(counters.received.values()) or len(self._counters) == 1:
                    self.get_logger().info(f"{name}: {counters.summary()}" if name else counters.summary())

    def set_parameters(self, parameter_list: list[Parameter[Any]]) -> list[SetParametersResult]:
        """As in rclpy; a value that is refused is named with what is allowed."""
        return [self.set_parameters_atomically([parameter]) for parameter in parameter_list]

    def set_parameters_atomically(self, parameter_list: list[Parameter[Any]]) -> SetParametersResult:
        """As in rclpy; a value that is refused is named with what is allowed."""
        # Before rclpy's own check of the range, whose message names neither.
        answer = parameters.check_changes(parameter_list, self._network is not None, self._task.settings)
        if answer.successful:
            answer = super().set_parameters_atomically(parameter_list)
        if answer.successful and self._settings is not None:
            for name, value in parameters.take_live(self._settings, parameter_list).items():
                self.get_logger().info(f"{name} is {value:g} from now on")
            for one in self.pipelines.values():
                one.settings_changed()
        return answer

    @logged
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Loads the checkpoint and makes the publishers."""
        settings = parameters.read(self, self._task.settings)
        began = time.monotonic()
        self._task.prepare(settings, self.get_logger())
        self.get_logger().info(f"loading checkpoint {settings.checkpoint!r} for device {settings.device!r}")
        network = self._loaded(settings, began)
        checkpoint = network.checkpoint
        modalities = [checkpoint.input_spec.modality(name) for name in checkpoint.config.modalities]
        load_transports(modalities, settings, lambda line: None)  # what is missing is said here, not later
        for name in settings.cameras:
            counters = self._counters.setdefault(name, Counters(done=self._task.words.done))
            # Of its own: two cameras that fail in the same way must not hide each other.
            log = ThrottledLog(self.get_logger(), prefix=f"{name}: ") if name else self.throttled_log
            if name not in self._debug:
                self._debug[name] = DebugTopics(self, self.get_logger().info, name)
            made = outputs(settings, self._task.outputs)
            debug = self._debug[name]
            self.pipelines[name] = Pipeline(self, self._task, name, settings, made, counters, log, debug)
        what = self._task.configured(self, network)
        self._settings, self._network = settings, network
        self.get_logger().info(
            f"checkpoint {settings.checkpoint!r} ready after {time.monotonic() - began:.1f} s: {what}"
        )
        backend = network.backend
        self.get_logger().info(
            f"{backend.name} on {backend.device} in {backend.precision}: {backend.precision_reason}"
        )
        return super().on_configure(state)

    @logged
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribes, and starts the inference thread."""
        assert self._network
        result = super().on_activate(state)
        self._was_active = True
        self.throttled_log.forget()
        try:
            cameras = {
                name: one.open(self._network, self._status, self.status_parts, self._on_frame)
                for name, one in self.pipelines.items()
            }
        except BaseException:
            self._stop_streams()  # those that were opened before the one that failed
            raise
        self._rates = {name: RateLimit() for name in cameras}
        # No frame comes before this method is done: it runs in the executor's thread.
        self._worker = InferenceWorker(
            Inference(self._task, self._network, cameras, self.throttled_log, lambda: self._enable.enabled),
            self._on_inference_error,
            self._inference_thread,
            batch_size(self._network.backend, len(cameras)),
        )
        now = Header(stamp=self.get_clock().now().to_msg())
        self._task.activated(now, self._network)
        for camera in self.cameras:
            self.get_logger().info(camera.description())
        if not self._enable.enabled:
            self.get_logger().warning(f"no frame is {self._task.words.done}: {SERVICE} has disabled the node")
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
        self.finalized = True
        return super().on_shutdown(state)

    @logged
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Lets go of everything: the node can be configured again."""
        self._release()
        return super().on_error(state)

    def _loaded(self, settings: CommonSettings, began: float) -> Network:
        loading = self._inference_thread.submit(self._task.load, settings)
        while True:
            try:
                return loading.result(LOADING_PERIOD)
            except FutureTimeoutError:
                if loading.done():  # it was the loading that raised it
                    raise
                seconds = time.monotonic() - began
                self.get_logger().info(f"still loading the checkpoint after {seconds:.0f} s")

    def _on_frame(self, camera: str, frame: Frame) -> None:
        assert self._worker is not None and self._settings is not None  # see on_activate
        counters = self._counters[camera]
        if self._enable.enabled and self._rates[camera].admits(time.monotonic(), self._settings.max_rate):
            counters.dropped += self._worker.slots.put(camera, frame)
        else:
            counters.skipped += 1

    def _on_inference_error(self, trace: str) -> None:
        self.throttled_log.error("inference", f"frames were not {self._task.words.done}:\n{trace}")

    def _state(self) -> str:
        if self.cameras and not self._enable.enabled:
            return f"active, disabled by {SERVICE}"
        return "active" if self.cameras else "unconfigured" if self._network is None else "inactive"

    def _state_part(self, now: float) -> Report:
        # Cameras with names have a status each.
        counted = self.counters.to_dict() if "" in self.pipelines or not self.pipelines else {}
        wrong = faults(self._network)
        for fault in wrong:
            self.throttled_log.warning_changed("backend", fault.text)
        return Report(wrong, {"state": self._state(), **facts(self._network), **counted})

    def _stop_streams(self) -> None:
        self._status.stop_watching()
        for one in self.pipelines.values():
            one.stop()
        worker, self._worker = self._worker, None
        if worker is not None and not worker.stop(self.get_logger().error):
            self.hung = True
            self._inference_thread.shutdown(wait=False)
            self._inference_thread = _inference_thread()

    def _release(self) -> None:
        self._stop_streams()
        for one in self.pipelines.values():
            one.close()
        self.pipelines.clear()
        self._network = self._settings = None
