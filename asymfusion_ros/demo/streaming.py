"""Plays a recording through the node and collects what comes back, until there is no more to come."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import Any

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from tqdm import tqdm

from asymfusion_ros.child import Child
from asymfusion_ros.demo.collector import Collector
from asymfusion_ros.demo.environment import shared_memory_note
from asymfusion_ros.demo.summary import Statistics
from asymfusion_ros.errors import UserError
from asymfusion_ros.recordings.recording import NANOSECONDS, Recording
from asymfusion_ros.ros.diagnostics import PERIOD
from asymfusion_ros.ros.fast_dds import PROFILE_VARIABLES

NODE = "segmentation"
COLLECTOR = "collector"
START_SECONDS = 180.0  # a large network on a slow disk, and its warm-up
QUIET_SECONDS = 3.0  # after the last frame, so long without a mask is the end
OVERLAY_SECONDS = 2.0  # the last overlay follows the last mask
COUNTER_SECONDS = 3 * PERIOD  # the node's counters after the last mask come within one period


class DemoError(UserError):
    """The demo could not show a mask; the message says which process failed, and how its log ends."""

    def __init__(self, message: str) -> None:
        Exception.__init__(self, message)  # not as one line: a log's end can't be read so


def play_through_node(
    node_command: Sequence[str],
    source: Sequence[str],
    recording: Recording,
    output: Path,
    patience: float,
    log: Callable[[str], None],
) -> Collector:
    """Starts ``node_command`` and a player of ``source`` (its options); returns what came.

    ``recording`` is what the player plays; logs go to ``output``; ``patience`` is how many seconds after the
    last image the first mask may come; ``log`` gets a line for a person about what happens.
    Raises DemoError where a process fails or no mask comes. However it ends, the processes have ended.
    """
    player_command = [
        sys.executable,
        "-m",
        "asymfusion_ros.demo.player",
        *source,
        f"--timeout={START_SECONDS:g}",
    ]
    player_command += ["--wait-for", NODE, COLLECTOR, "--managed", NODE]
    with ExitStack() as stack:
        # A closed terminal or a supervisor must end the children too, as Ctrl-C does.
        for number in (signal.SIGTERM, signal.SIGHUP):
            stack.callback(signal.signal, number, signal.signal(number, _interrupt))
        node = stack.enter_context(Child("node", node_command, output / "node.log"))
        player = stack.enter_context(Child("player", player_command, output / "player.log", read_events=True))
        where = "on this machine only"
        if os.environ.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST") != "LOCALHOST":
            where = f"discovery {os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE']}"
        log(f"started the node and the player (ROS domain {os.environ.get('ROS_DOMAIN_ID', '0')}, {where})")
        if not any(os.environ.get(name) for name in PROFILE_VARIABLES):
            log("config/fastdds_large_images.xml is not installed: images will get lost")
        elif note := shared_memory_note():
            log(note)
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        stack.callback(rclpy.try_shutdown)
        ros_node = rclpy.create_node(COLLECTOR)
        stack.callback(ros_node.destroy_node)
        collector = Collector(ros_node, NODE, recording.seconds, log)
        executor = SingleThreadedExecutor()
        stack.callback(executor.shutdown)
        executor.add_node(ros_node)
        run = Run(collector.statistics, recording.images["rgb"], node, player, patience, log)
        try:
            while not run.is_over():
                executor.spin_once(timeout_sec=0.05)
                run.look()
            _spin_while(executor, lambda: collector.awaits_overlay, OVERLAY_SECONDS)
            # The report under way may be from before the last mask; the one after it is not.
            enough = collector.reports + 1
            _spin_while(executor, lambda: collector.reports < enough, COUNTER_SECONDS)
        finally:
            run.close()
        log("all frames are played; stopping the node")
        node.stop()
        if not collector.statistics.masks:
            raise DemoError(_why_no_masks(collector.statistics, node))
        return collector


def _spin_while(executor: SingleThreadedExecutor, condition: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while condition() and time.monotonic() < until:
        executor.spin_once(timeout_sec=0.05)


class Run:
    """Follows the two processes while the collector receives."""

    def __init__(
        self,
        statistics: Statistics,
        rgb_frames: int,
        node: Child,
        player: Child,
        patience: float,
        log: Callable[[str], None],
    ) -> None:
        self._statistics = statistics
        self._rgb_frames = rgb_frames
        self._node, self._player = node, player
        self._patience = patience
        self._log = log
        self._finished: float | None = None
        self._bar: tqdm[Any] | None = None

    def look(self) -> None:
        """Follows the player's events. Raises DemoError where a process has failed."""
        # Asked before the events are taken: what came with the end is then among them.
        player_ended = self._player.ended
        for event in self._player.events():
            self._take(event)
        if not self._node.running:
            raise DemoError(
                f"the node ended with exit code {self._node.process.returncode}; "
                f"the end of {self._node.log}:\n{self._node.tail()}"
            )
        if self._finished is None and player_ended:
            raise DemoError(f"the player failed; the end of {self._player.log}:\n{self._player.tail()}")

    def is_over(self) -> bool:
        """Whether the last mask has come, or none is to be expected."""
        masks, sent = self._statistics.masks, self._statistics.rgb_sent
        if self._finished is None:
            return False
        # The newest pair is never dropped, so its mask is the last; but it may have found no partner.
        if sent and max(sent) in masks:
            return True
        now = time.monotonic()
        if not masks:
            return now - self._finished > self._patience
        last = max(self._finished, max(masks.values()) / NANOSECONDS)
        slowest = max(self._statistics.latencies(), default=0.0) / 1000
        return now - last > max(QUIET_SECONDS, 2 * slowest)

    def close(self) -> None:
        """Ends the progress bar."""
        if self._bar is not None:
            self._bar.close()

    def _take(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "active":
                self._log("the node has loaded its network and is active")
            case "playing":
                self._log("playing")
                # None: no bar where nobody would see it move (a log file).
                self._bar = tqdm(total=self._rgb_frames, unit=" frames", leave=False, disable=None)
            case "published" if event["modality"] == "depth":
                self._statistics.depth_sent[event["stamp"]] = event["at"]
            case "published":
                self._statistics.rgb_sent[event["stamp"]] = event["at"]
                if self._bar is not None:
                    self._bar.set_postfix(masks=len(self._statistics.masks), refresh=False)
                    self._bar.update()
            case "finished":
                self._finished = time.monotonic()
            case "failed":
                raise DemoError(f"{event['reason']}; the end of {self._node.log}:\n{self._node.tail()}")


def _why_no_masks(statistics: Statistics, node: Child) -> str:
    reason = f"no mask came for {len(statistics.rgb_sent)} RGB and {len(statistics.depth_sent)} depth images"
    closest = statistics.closest_stamps()
    if closest:
        reason += f" (the closest stamps of the two are {closest:.3f} s apart; --slop sets what may pair)"
    return f"{reason}; the end of {node.log}:\n{node.tail()}"


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
