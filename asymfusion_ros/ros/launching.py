"""What the launch files of the package's nodes are made of. It needs launch and launch_ros, which come with a
ROS distribution: nothing else imports it.
"""

from __future__ import annotations

import contextlib
import json
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from launch import LaunchContext, LaunchDescriptionEntity, Substitution
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
)
from launch.event_handlers import OnProcessExit, OnProcessStart
from launch.events import matches_action
from launch.events.process import ProcessExited, ProcessStarted, ShutdownProcess
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode
from launch_ros.event_handlers import OnStateTransition
from launch_ros.parameter_descriptions import ParameterValue

from asymfusion_ros.data.topics import image_topic
from asymfusion_ros.ros.fast_dds import profile_variables
from asymfusion_ros.settings import Limits, Setting, declared

USE_SIM_TIME = Setting(
    "use_sim_time",
    bool,
    False,
    "true: take the time from /clock, as a simulation or a recording publishes it",
    Limits(),
    False,
)
CPUS = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")
RESPAWN_DELAY = 2.0  # seconds from a crash to the next start


def given(context: LaunchContext, name: str) -> str:
    """The launch argument ``name`` as it was written; empty where it was not."""
    value: str = LaunchConfiguration(name).perform(context)
    return value


class NodeDefault(Substitution):
    """Nothing, so that nothing is passed on; `--show-args` shows the value that the node then has."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self._value = json.dumps(value) if isinstance(value, bool | tuple) else str(value)

    def describe(self) -> str:
        """As `--show-args` prints it."""
        return repr(self._value)

    def perform(self, context: LaunchContext) -> str:
        """What the argument is where nobody gives it."""
        return ""


@dataclass(frozen=True)
class NodeLaunch:
    """How one of the package's nodes is launched.

    name: of the node; executable: its program; settings: the class of its parameters, each of which is an
    argument, as is ROS's use_sim_time; topics: argument -> (the node's topic that it replaces, description).
    config: the folder with the Fast DDS profile and NAME.yaml, which lists all parameters.
    """

    name: str
    executable: str
    settings: type
    topics: Mapping[str, tuple[str, str]]
    config: Path

    @property
    def parameters(self) -> tuple[Setting, ...]:
        """Arguments named as the node's parameters: its own and the one that ROS adds."""
        return (*declared(self.settings), USE_SIM_TIME)

    def arguments(self) -> list[DeclareLaunchArgument]:
        """What `--show-args` lists."""
        declarations = [
            DeclareLaunchArgument(name, default_value=NodeDefault(topic), description=text)
            for name, (topic, text) in self.topics.items()
        ]
        declarations.append(
            DeclareLaunchArgument(
                "topics",
                default_value="",
                description="topics of further modalities, separated by spaces: thermal:=/flir/image "
                "[each is <modality>/image_rect otherwise]; of several cameras: front/rgb:=/cam1/image",
            )
        )
        for one in self.parameters:
            limits = f" [{one.limits.text}]" if one.limits.text else ""
            declarations.append(
                DeclareLaunchArgument(
                    one.name, default_value=NodeDefault(one.default), description=one.help + limits
                )
            )
        return [
            *declarations,
            DeclareLaunchArgument(
                "params_file",
                default_value="",
                description=f"YAML file of node parameters (config/{self.name}.yaml lists all); "
                "the arguments above override it",
            ),
            DeclareLaunchArgument(
                "namespace", default_value="", description="namespace of the node and of its relative topics"
            ),
            DeclareLaunchArgument(
                "log_level",
                default_value=NodeDefault("info"),
                description="debug, info, warn, error or fatal",
            ),
            DeclareLaunchArgument(
                "respawn",
                default_value="true",
                choices=["true", "false"],
                description="start the node again after a crash",
            ),
            DeclareLaunchArgument(
                "cpus",
                default_value="",
                description="the processors that the node may use, as taskset takes them: 2,3 or 4-7 "
                "[all; another program's own are best left out]",
            ),
        ]

    def choose_dds_profile(self, context: LaunchContext) -> list[LaunchDescriptionEntity]:
        """Make Fast DDS pass whole images, in everything that is launched from here on; where the user has
        chosen a profile, keep it.
        """
        profile = self.config / "fastdds_large_images.xml"
        variables = profile_variables(context.environment, profile)
        return [SetEnvironmentVariable(name, value) for name, value in variables.items()]

    def remappings(self, context: LaunchContext) -> list[tuple[str, str]]:
        """The node's topics and what they are called here, of the arguments that were given."""
        topics = {name: given(context, name) for name in (*self.topics, "topics")}
        remappings = [(topic, topics[name]) for name, (topic, _) in self.topics.items() if topics[name]]
        named = given(context, "cameras")
        (setting,) = (one for one in self.parameters if one.name == "cameras")
        cameras = argument_value(setting, named) if named else ("",)
        if "" not in cameras and (single := [name for name in self.topics if topics[name]]):
            modality = single[0].partition("_")[0]
            raise ValueError(
                f"{single[0]} is for one camera, and cameras names {len(cameras)}: write "
                f"topics:={cameras[0]}/{modality}:={topics[single[0]]}"
            )
        for word in topics["topics"].split():
            source, _, topic = word.partition(":=")
            camera, _, modality = source.rpartition("/")
            if not modality.isidentifier() or not topic or not (camera.isidentifier() or source == modality):
                raise ValueError(f"topics has {word!r}; write modality:=topic, as in thermal:=/flir/image")
            if camera not in cameras:
                example = f"{cameras[0]}/{modality}:={topic}" if cameras[0] else f"{modality}:={topic}"
                raise ValueError(f"topics has {word!r}; of the cameras that there are, write {example}")
            name = image_topic(modality)
            remappings.append((f"{camera}/{name}" if camera else name, topic))
        return remappings

    def parameter_values(self, context: LaunchContext) -> dict[str, ParameterValue]:
        """The parameters of the arguments that were given."""
        values = {one: given(context, one.name) for one in self.parameters}
        return {one.name: parameter_value(one, text) for one, text in values.items() if text}

    def node(self, context: LaunchContext) -> list[LaunchDescriptionEntity]:
        """The node, and what starts it again after a crash."""
        remappings, parameters = self.remappings(context), self.parameter_values(context)
        params_file = given(context, "params_file")
        if params_file:
            existing_file("params_file", params_file)
        respawn = given(context, "respawn") == "true"
        log_level, cpus = given(context, "log_level"), given(context, "cpus")
        if cpus and not CPUS.fullmatch(cpus):
            raise ValueError(f"argument cpus is {cpus!r}: write numbers and ranges, as in 2,3 or 4-7")
        node = LifecycleNode(
            package="asymfusion_ros",
            executable=self.executable,
            name=self.name,
            namespace=given(context, "namespace"),
            remappings=remappings,
            parameters=[source for source in (params_file, parameters) if source],
            ros_arguments=["--log-level", log_level] if log_level else [],
            output="screen",
            emulate_tty=True,
            prefix=f"taskset --cpu-list {cpus}" if cpus else None,
            respawn=respawn,
            respawn_delay=RESPAWN_DELAY,
        )
        return [*(respawn_after_crashes_alone(node, self.name) if respawn else []), node]


def argument_value(one: Setting, text: str) -> Any:
    """The argument ``text`` in the type of the node's parameter. Raises ConfigError that names the argument,
    which launch's own error about a value's type does not.
    """
    value: Any = text
    if one.type is not str:
        with contextlib.suppress(yaml.YAMLError):  # not of the type then, which the check says
            value = yaml.safe_load(text)
    return one.check(value, "argument ")


def parameter_value(one: Setting, text: str) -> ParameterValue:
    """The same as launch passes it on."""
    value = argument_value(one, text)
    if get_origin(one.type) is tuple:
        return ParameterValue(list(value), value_type=list[get_args(one.type)[0]])  # type: ignore[misc]
    return ParameterValue(value, value_type=one.type)


def existing_file(name: str, path: str) -> str:
    """``path`` of the argument ``name``. launch and RViz would continue without a file that isn't there."""
    if not Path(path).is_file():
        raise ValueError(f"argument {name} is {path!r}: there is no such file")
    return path


def respawn_after_crashes_alone(node: LifecycleNode, name: str) -> list[LaunchDescriptionEntity]:
    """launch starts a process that respawns again however it ended. These handlers hold it back from that
    after a clean end, after SIGINT and SIGTERM, and where the node was refused its start: that ends with 1,
    as an uncaught exception does, but before the node was ever active.
    """
    was_active = False

    def on_start(event: ProcessStarted, context: LaunchContext) -> None:
        nonlocal was_active
        was_active = False

    def on_active(context: LaunchContext) -> list[LaunchDescriptionEntity]:
        nonlocal was_active
        was_active = True
        return []

    def on_exit(event: ProcessExited, context: LaunchContext) -> list[LaunchDescriptionEntity]:
        ended_by = -event.returncode
        asked_to = event.returncode == 0 or ended_by in (signal.SIGINT, signal.SIGTERM)
        if not asked_to and (ended_by > 0 or was_active):
            return [LogInfo(msg=f"the {name} node is started again in {RESPAWN_DELAY:g} s")]
        return [EmitEvent(event=ShutdownProcess(process_matcher=matches_action(node)))]

    return [
        RegisterEventHandler(OnProcessStart(target_action=node, on_start=on_start)),
        RegisterEventHandler(
            OnStateTransition(
                target_lifecycle_node=node,
                goal_state="active",
                entities=[OpaqueFunction(function=on_active)],
            )
        ),
        RegisterEventHandler(OnProcessExit(target_action=node, on_exit=on_exit)),
    ]
