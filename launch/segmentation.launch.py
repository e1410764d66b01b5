"""The segmentation node, and RViz if wanted.

    ros2 launch asymfusion_ros segmentation.launch.py rgb_topic:=/camera/color/image_raw \
        depth_topic:=/camera/aligned_depth_to_color/image_raw rviz:=true

`--show-args` lists every argument, with the node's own defaults: an argument that is not given is not passed
on, so that a value in params_file holds.

A node that crashes is started again; one that ends cleanly or is refused its start is not.

A checkpoint with more than rgb and depth has a topic for each further modality, named <modality>/image_rect:

    ros2 launch asymfusion_ros segmentation.launch.py checkpoint:=mine.safetensors \
        topics:="thermal:=/flir/image infrared:=/camera/infra1/image_rect_raw"
"""

import contextlib
import json
import signal
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity, Substitution
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
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.parameter_descriptions import ParameterValue

from asymfusion_ros.data.topics import image_topic
from asymfusion_ros.ros.fast_dds import profile_variables
from asymfusion_ros.ros.settings import NodeSettings
from asymfusion_ros.settings import Limits, Setting, declared

# Beside this folder in the source tree as in the installed package.
CONFIG = Path(__file__).resolve().parent.parent / "config"

# argument -> (the node's topic that it replaces, description)
TOPICS = {
    "rgb_topic": (image_topic("rgb"), "rectified colour images (sensor_msgs/Image)"),
    "depth_topic": (image_topic("depth"), "depth images registered to the colour camera"),
    "rgb_info_topic": ("rgb/camera_info", "the colour camera's calibration, where not beside its images"),
    "depth_info_topic": (
        "depth_registered/camera_info",
        "the depth camera's calibration, where not beside its images",
    ),
}

# Arguments named as the node's parameters: its own and the one that ROS adds.
USE_SIM_TIME = Setting(
    "use_sim_time",
    bool,
    False,
    "true: take the time from /clock, as a simulation or a recording publishes it",
    Limits(),
    False,
)
PARAMETERS = (*declared(NodeSettings), USE_SIM_TIME)

RESPAWN_DELAY = 2.0  # seconds from a crash to the next start


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


def arguments() -> list[DeclareLaunchArgument]:
    """What `--show-args` lists."""
    declarations = [
        DeclareLaunchArgument(name, default_value=NodeDefault(topic), description=text)
        for name, (topic, text) in TOPICS.items()
    ]
    declarations.append(
        DeclareLaunchArgument(
            "topics",
            default_value="",
            description="topics of further modalities, separated by spaces: thermal:=/flir/image "
            "[each is <modality>/image_rect otherwise]; of several cameras: front/rgb:=/cam1/image",
        )
    )
    for one in PARAMETERS:
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
            description="YAML file of node parameters (config/segmentation.yaml lists all); "
            "the arguments above override it",
        ),
        DeclareLaunchArgument(
            "namespace", default_value="", description="namespace of the node and of its relative topics"
        ),
        DeclareLaunchArgument(
            "log_level", default_value=NodeDefault("info"), description="debug, info, warn, error or fatal"
        ),
        DeclareLaunchArgument(
            "respawn",
            default_value="true",
            choices=["true", "false"],
            description="start the node again after a crash",
        ),
        DeclareLaunchArgument(
            "rviz", default_value="false", choices=["true", "false"], description="open RViz as well"
        ),
        DeclareLaunchArgument(
            "rviz_config", default_value=str(CONFIG / "segmentation.rviz"), description="RViz's layout"
        ),
    ]


def choose_dds_profile(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Make Fast DDS pass whole images, in everything that is launched from here on; where the user has chosen
    a profile, keep it.
    """
    profile = CONFIG / "fastdds_large_images.xml"
    variables = profile_variables(context.environment, profile)
    return [SetEnvironmentVariable(name, value) for name, value in variables.items()]


def topic_remappings(context: LaunchContext) -> list[tuple[str, str]]:
    """The node's topics and what they are called here, of the arguments that were given."""
    given = {name: LaunchConfiguration(name).perform(context) for name in (*TOPICS, "topics")}
    remappings = [(topic, given[name]) for name, (topic, _) in TOPICS.items() if given[name]]
    named = LaunchConfiguration("cameras").perform(context)
    (setting,) = (one for one in PARAMETERS if one.name == "cameras")
    cameras = argument_value(setting, named) if named else ("",)
    if "" not in cameras and (single := [name for name in TOPICS if given[name]]):
        raise ValueError(
            f"{single[0]} is for one camera, and cameras names {len(cameras)}: write "
            f"topics:={cameras[0]}/rgb:={given[single[0]]}"
        )
    for word in given["topics"].split():
        source, _, topic = word.partition(":=")
        camera, _, modality = source.rpartition("/")
        if not modality.isidentifier() or not topic or not (camera.isidentifier() or source == modality):
            raise ValueError(f"topics has {word!r}; write modality:=topic, as in thermal:=/flir/image")
        if camera not in cameras:
            example = f"{cameras[0]}/{modality}:={topic}" if cameras[0] else f"{modality}:={topic}"
            raise ValueError(f"topics has {word!r}; of the cameras that there are, write {example}")
        remappings.append((f"{camera}/{image_topic(modality)}" if camera else image_topic(modality), topic))
    return remappings


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
        return ParameterValue(list(value), value_type=list[get_args(one.type)[0]])
    return ParameterValue(value, value_type=one.type)


def existing_file(name: str, path: str) -> str:
    """``path`` of the argument ``name``. launch and RViz would continue without a file that isn't there."""
    if not Path(path).is_file():
        raise ValueError(f"argument {name} is {path!r}: there is no such file")
    return path


def respawn_after_crashes_alone(node: LifecycleNode) -> list[LaunchDescriptionEntity]:
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
            return [LogInfo(msg=f"the segmentation node is started again in {RESPAWN_DELAY:g} s")]
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


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The node, and RViz if wanted."""

    def given(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    remappings = topic_remappings(context)
    parameters = {one.name: parameter_value(one, given(one.name)) for one in PARAMETERS if given(one.name)}
    params_file = given("params_file") and existing_file("params_file", given("params_file"))
    respawn = given("respawn") == "true"
    node = LifecycleNode(
        package="asymfusion_ros",
        executable="segmentation_node",
        name="segmentation",
        namespace=given("namespace"),
        remappings=remappings,
        parameters=[source for source in (params_file, parameters) if source],
        ros_arguments=["--log-level", given("log_level")] if given("log_level") else [],
        output="screen",
        emulate_tty=True,
        respawn=respawn,
        respawn_delay=RESPAWN_DELAY,
    )
    actions = [*(respawn_after_crashes_alone(node) if respawn else []), node]
    if given("rviz") != "true":
        return actions
    # The layout names the topics as the node does, so RViz gets the node's namespace and remappings.
    sim_time = {name: value for name, value in parameters.items() if name == "use_sim_time"}
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        name="rviz",
        namespace=given("namespace"),
        arguments=["--display-config", existing_file("rviz_config", given("rviz_config"))],
        remappings=remappings,
        parameters=[sim_time] if sim_time else [],
        output="log",
    )
    return [*actions, rviz]


def generate_launch_description() -> LaunchDescription:
    """What launch calls."""
    return LaunchDescription(
        [*arguments(), OpaqueFunction(function=choose_dds_profile), OpaqueFunction(function=start)]
    )
