"""The segmentation node, and RViz if wanted.

    ros2 launch asymfusion_ros segmentation.launch.py rgb_topic:=/camera/color/image_raw \
        depth_topic:=/camera/aligned_depth_to_color/image_raw rviz:=true

`--show-args` lists every argument, with the node's own defaults: an argument that is not given is not passed
on, so that a value in params_file holds.

A checkpoint with more than rgb and depth has a topic for each further modality, named <modality>/image_rect:

    ros2 launch asymfusion_ros segmentation.launch.py checkpoint:=mine.safetensors \
        topics:="thermal:=/flir/image infrared:=/camera/infra1/image_rect_raw"
"""

from pathlib import Path

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity, Substitution
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue

from asymfusion_ros.data.topics import image_topic
from asymfusion_ros.ros.fast_dds import profile_variables
from asymfusion_ros.ros.settings import NodeSettings
from asymfusion_ros.settings import declared

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

# argument, named as the node's parameter -> its type
PARAMETERS = {one.name: one.type for one in declared(NodeSettings)} | {"use_sim_time": bool}


class NodeDefault(Substitution):
    """Nothing, so that nothing is passed on; `--show-args` shows the value that the node then has."""

    def __init__(self, value: object) -> None:
        super().__init__()
        self._value = str(value).lower() if isinstance(value, bool) else str(value)

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
            "[each is <modality>/image_rect otherwise]",
        )
    )
    for one in declared(NodeSettings):
        limits = f" [{one.limits.text}]" if one.limits.text else ""
        declarations.append(
            DeclareLaunchArgument(
                one.name, default_value=NodeDefault(one.default), description=one.help + limits
            )
        )
    return [
        *declarations,
        DeclareLaunchArgument(
            "use_sim_time",
            default_value=NodeDefault(False),
            description="true: take the time from /clock, as a simulation or a recording publishes it",
        ),
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
    for word in given["topics"].split():
        modality, _, topic = word.partition(":=")
        if not modality.isidentifier() or not topic:
            raise ValueError(f"topics has {word!r}; write modality:=topic, as in thermal:=/flir/image")
        remappings.append((image_topic(modality), topic))
    return remappings


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The node, and RViz if wanted."""

    def given(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    remappings = topic_remappings(context)
    parameters = {
        name: ParameterValue(LaunchConfiguration(name), value_type=value_type)
        for name, value_type in PARAMETERS.items()
        if given(name)
    }
    node = LifecycleNode(
        package="asymfusion_ros",
        executable="segmentation_node",
        name="segmentation",
        namespace=given("namespace"),
        remappings=remappings,
        parameters=[source for source in (given("params_file"), parameters) if source],
        ros_arguments=["--log-level", given("log_level")] if given("log_level") else [],
        output="screen",
        emulate_tty=True,
    )
    if given("rviz") != "true":
        return [node]
    # The layout names the topics as the node does, so RViz gets the node's namespace and remappings.
    sim_time = {name: value for name, value in parameters.items() if name == "use_sim_time"}
    rviz = Node(
        package="rviz2",
        executable="rviz2",
        name="rviz",
        namespace=given("namespace"),
        arguments=["--display-config", given("rviz_config")],
        remappings=remappings,
        parameters=[sim_time] if sim_time else [],
        output="log",
    )
    return [node, rviz]


def generate_launch_description() -> LaunchDescription:
    """What launch calls."""
    return LaunchDescription(
        [*arguments(), OpaqueFunction(function=choose_dds_profile), OpaqueFunction(function=start)]
    )
