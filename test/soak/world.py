"""The node in a process of its own, and a camera and listeners around it, on real DDS."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState
from node_harness import BEST_EFFORT, IMAGES, RELIABLE, SECOND, image, made, make_checkpoint
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile
from senders import senders
from sensor_msgs.msg import Image

from asymfusion_ros.ros.fast_dds import profile_path, profile_variables

DOMAIN = int(os.environ["ROS_DOMAIN_ID"])  # as node_harness chose it
if profile := profile_path():
    os.environ.update(profile_variables(os.environ, profile))
FRAME = 1 / 30  # seconds between frames
START = 1_000_000 * SECOND  # the first stamp
NODE = "segmentation"
MODALITIES = ("rgb", "depth")
CAMERA = Path(__file__).resolve().parent / "camera.py"


class Failed(Exception):
    """What a fault did to the node that it must not do."""


class Skipped(Exception):
    """Why a fault cannot be tried on this machine."""


class Process:
    """A program whose output goes to a file."""

    def __init__(self, folder: Path, *command: str) -> None:
        self._log = tempfile.NamedTemporaryFile(dir=folder, suffix=".log", delete=False)  # noqa: SIM115
        self._popen = subprocess.Popen([sys.executable, *command], stdout=self._log, stderr=subprocess.STDOUT)
        self.pid = self._popen.pid

    @property
    def log(self) -> str:
        """All that it printed."""
        return Path(self._log.name).read_text(errors="replace")

    def alive(self) -> bool:
        return self._popen.poll() is None

    def end(self, number: int = signal.SIGKILL, seconds: float = 30.0) -> int:
        """Sends a signal and waits; the exit code."""
        if self.alive():
            self._popen.send_signal(number)
        try:
            return self._popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            raise Failed(f"signal {number} did not end it in {seconds:.0f} s") from None

    def send(self, number: int) -> None:
        self._popen.send_signal(number)

    def memory(self) -> float:
        """Resident MiB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024


class World:
    """A node under test (a Process), a camera, and listeners.

    ``patience`` multiplies every time limit, for a machine that is busy. Attributes: ``stamp``, of the last
    frame that was sent; ``masks``, stamps of those that came with the time of their arrival.
    """

    def __init__(self, folder: Path, patience: float = 1.0) -> None:
        self.folder, self.patience = folder, patience
        self.namespace = f"/soak_{os.getpid()}"
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.client = rclpy.create_node("camera", namespace=self.namespace, context=self.context)
        self.executor.add_node(self.client)
        self.checkpoint = make_checkpoint(folder / "tiny.safetensors")
        self.stamp = START
        self.masks: list[tuple[int, float]] = []
        self.faults: list[str] = []
        self.client.create_subscription(Image, f"{NODE}/mask", self._on_mask, 20)
        self.client.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 20)
        self._change = self.client.create_client(ChangeState, f"{NODE}/change_state")
        self._set = self.client.create_client(SetParameters, f"{NODE}/set_parameters")
        self._set_all = self.client.create_client(
            SetParametersAtomically, f"{NODE}/set_parameters_atomically"
        )
        self.senders = senders({})
        self.cameras: dict[str, Any] = {}
        self.node: Process | None = None
        self.settings: dict[str, Any] = {}
        self._mark = 0

    def _on_mask(self, message: Image) -> None:
        stamp = message.header.stamp
        self.masks.append((stamp.sec * SECOND + stamp.nanosec, time.monotonic()))

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        self.faults += [status.message for status in message.status if status.level != b"\x00"]

    # The node

    def start(self, **settings: Any) -> None:
        """Starts the node with these parameters, unless one runs with them, and waits until it is ready."""
        if self.node is not None and self.node.alive() and settings == self.settings:
            return
        self.stop()
        self._send_as(settings)
        self.settings = settings
        parameters = {"checkpoint": str(self.checkpoint), **settings}
        arguments = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
        self.node = Process(
            self.folder,
            *("-m", "asymfusion_ros.ros.main", "--ros-args", "-r", f"__ns:={self.namespace}", *arguments),
        )
        self._mark = 0
        self.wait_for_log("waiting for", 60)
        self.until(lambda: self.client.count_publishers(f"{NODE}/mask"), 20, "the node's topics")

    def _send_as(self, settings: dict[str, Any]) -> None:
        """From now on the camera sends what a node with these settings takes. Raises Skipped."""
        chosen = senders(settings)
        if chosen != self.senders:
            self.unplug()
            self.senders = chosen
        try:
            for sender in chosen.values():
                sender.load()
        except ModuleNotFoundError as error:
            raise Skipped(f"{error.name} is not installed") from error

    def stop(self) -> None:
        if self.node is not None:
            self.node.end()
            self.node = None

    def log(self) -> str:
        """What the node has printed since ``mark``."""
        return self.node.log[self._mark :] if self.node else ""

    def mark(self) -> None:
        """From here on the log, the masks and the diagnostics are those of the next fault."""
        self._mark = len(self.node.log) if self.node else 0
        self.masks.clear()
        self.faults.clear()

    def wait_for_log(self, words: str, seconds: float) -> None:
        def there() -> bool:
            if not self.node.alive():
                raise Failed(f"the node ended: {self.node.log[-2000:]}")
            return re.search(words, self.log()) is not None

        self.until(there, seconds, f"{words!r} in the log")

    # The camera

    def plug_in(self, *names: str, qos: QoSProfile = RELIABLE) -> None:
        """Starts publishers, in place of those that there are."""
        for name in names or MODALITIES:
            self.unplug(name)
            sender = self.senders[name]
            self.cameras[name] = self.client.create_publisher(sender.load(), sender.topic, qos)

    def unplug(self, *names: str) -> None:
        for name in names or MODALITIES:
            if name in self.cameras:
                self.client.destroy_publisher(self.cameras.pop(name))

    def matched(self) -> None:
        """Waits until the node has subscribed to every publisher of ours."""
        self.until(lambda: all(p.get_subscription_count() for p in self.cameras.values()), 20, "a match")

    def tick(self, step: int = SECOND // 30) -> int:
        """The next frame's stamp."""
        self.stamp += step
        return self.stamp

    def publish(self, name: str, message: Any) -> None:
        if name in self.cameras:
            self.cameras[name].publish(message)

    def send_frame(self, stamp: int | None = None, names: Iterable[str] = MODALITIES) -> int:
        """A good image of each modality."""
        stamp = self.tick() if stamp is None else stamp
        for name in names:
            self.publish(name, self.senders[name].make(stamp))
        return stamp

    def stream(self, seconds: float, names: Iterable[str] = MODALITIES, rate: float = 1 / FRAME) -> None:
        """Good frames at ``rate``."""
        end = time.monotonic() + seconds
        while (now := time.monotonic()) < end:
            self.send_frame(names=names)
            self.spin(max(0.0, now + 1 / rate - time.monotonic()))

    # Waiting

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.executor.spin_once(timeout_sec=left)

    def until(self, condition: Callable[[], Any], seconds: float, what: str) -> None:
        end = time.monotonic() + seconds * self.patience
        while not condition():
            if time.monotonic() > end:
                raise Failed(f"waited {seconds * self.patience:.0f} s for {what}")
            self.executor.spin_once(timeout_sec=0.02)

    def recovery(self, limit: float) -> float:
        """Sends good frames; seconds from the first of them to a mask. Raises Failed after ``limit``."""
        self.spin(0.05)
        self.masks.clear()
        began, sent = time.monotonic(), set()
        while time.monotonic() - began < limit:
            sent.add(self.send_frame())
            end = time.monotonic() + 3 * FRAME
            while time.monotonic() < end:
                self.executor.spin_once(timeout_sec=0.01)
                for stamp, arrived in self.masks:
                    if stamp in sent:
                        return arrived - began
        assert self.node is not None
        raise Failed(f"no mask in {limit:.1f} s" + ("" if self.node.alive() else ": the node has ended"))

    # Services

    def call(self, client: Any, request: Any, seconds: float = 10.0, answered: bool = True) -> Any:
        """The answer of a service; None where ``answered`` is False, for one that cannot come."""
        self.until(client.service_is_ready, 20, client.srv_name)
        future = client.call_async(request)
        if not answered:
            self.spin(seconds)
            return None
        self.until(future.done, seconds, f"the answer of {client.srv_name}")
        return future.result()

    def change(self, transition: int) -> bool:
        """A lifecycle transition; whether it succeeded."""
        request = ChangeState.Request()
        request.transition.id = transition
        return self.call(self._change, request, 30.0).success

    def set_parameters(self, *parameters: Any, atomically: bool = False, answered: bool = True) -> Any:
        """Sets parameters, given as messages."""
        client, kind = (self._set_all, SetParametersAtomically) if atomically else (self._set, SetParameters)
        request = kind.Request(parameters=list(parameters))
        return self.call(client, request, 10.0 if answered else 0.3, answered)

    # A camera in a process of its own

    def camera_process(self, *names: str, **options: Any) -> Process:
        """Publishes frames until it is killed (camera.py)."""
        words = [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]
        return Process(
            self.folder, str(CAMERA), f"--namespace={self.namespace}", f"--domain={DOMAIN}", *words, *names
        )

    def close(self) -> None:
        self.stop()
        self.executor.shutdown()
        self.client.destroy_node()
        rclpy.try_shutdown(context=self.context)


__all__ = [
    "BEST_EFFORT",
    "FRAME",
    "IMAGES",
    "MODALITIES",
    "RELIABLE",
    "SECOND",
    "START",
    "Failed",
    "Process",
    "Skipped",
    "World",
    "image",
    "made",
]
