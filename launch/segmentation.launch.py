"""The segmentation node, and RViz if wanted.

    ros2 launch asymfusion_ros segmentation.launch.py rgb_topic:=/camera/color/image_raw \
        depth_topic:=/camera/aligned_depth_to_color/image_raw rviz:=true

`--show-args` lists every argument. One left empty is not passed on, so that a parameter's default stands in
one place alone: the node.
"""

from pathlib import Path

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue

# Beside this folder in the source tree as in the installed package.
CONFIG = Path(__file__).resolve().parent.parent / "config"

# argument -> (the node's topic that it replaces, description)
TOPICS = {
    "rgb_topic": ("rgb/image_rect_color", "rectified colour images (sensor_msgs/Image)"),
    "depth_topic": ("depth_registered/image_rect", "depth images registered to the colour camera"),
}

# argument, named as the node's parameter -> (type, description)
PARAMETERS = {
    "checkpoint": (str, "checkpoint file (.safetensors), or 'default' for the one that is installed"),
    "device": (str, "where the network runs: auto, cpu, cuda or cuda:N"),
    "precision": (str, "number format of the network: auto, fp32, fp16 or bf16"),
    "slop": (float, "most seconds between the stamps of a pair; 0 pairs equal stamps only"),
    "queue_size": (int, "messages kept of each topic while they wait for their partner"),
    "missing_after": (float, "seconds without one camera after which the other is segmented alone; 0: never"),
    "overlay_opacity": (float, "how much of the class colour covers the picture in the overlay: 0 to 1"),
    "autostart": (bool, "false: wait for a lifecycle manager to configure and activate the node"),
    "use_sim_time": (bool, "true: take the time from /clock, as a simulation or a recording publishes it"),
}

# Fast DDS 3 reads the first, Fast DDS 2 the second; ROS warns about the second where it has Fast DDS 3.
PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
FAST_DDS_2 = ("humble", "iron", "jazzy")


def arguments() -> list[DeclareLaunchArgument]:
    declared = [
        DeclareLaunchArgument(name, default_value="", description=f"{text} [node's name for it: {topic}]")
        for name, (topic, text) in TOPICS.items()
    ]
    declared += [
        DeclareLaunchArgument(name, default_value="", description=f"{text} [empty: as the node has it]")
        for name, (_, text) in PARAMETERS.items()
    ]
    return [
        *declared,
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
            "log_level", default_value="", description="debug, info, warn, error or fatal [empty: info]"
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
    a profile, leave it alone.

    Out of the box it loses most images of a 640x480 RGB-D camera between two processes.
    """
    if any(context.environment.get(name) for name in PROFILE_VARIABLES):
        return []
    names = list(PROFILE_VARIABLES)
    if distribution := context.environment.get("ROS_DISTRO"):
        names = names[1:] if distribution in FAST_DDS_2 else names[:1]
    profile = str(CONFIG / "fastdds_large_images.xml")
    return [SetEnvironmentVariable(name, profile) for name in names]


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    def given(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    remappings = [(topic, given(name)) for name, (topic, _) in TOPICS.items() if given(name)]
    parameters = {
        name: ParameterValue(LaunchConfiguration(name), value_type=kind)
        for name, (kind, _) in PARAMETERS.items()
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
    return LaunchDescription(
        [*arguments(), OpaqueFunction(function=choose_dds_profile), OpaqueFunction(function=start)]
    )
