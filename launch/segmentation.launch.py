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

from pathlib import Path

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch_ros.actions import Node

from asymfusion_ros.data.topics import image_topic
from asymfusion_ros.ros.launching import NodeLaunch, existing_file, given
from asymfusion_ros.ros.settings import NodeSettings

SEGMENTATION = NodeLaunch(
    "segmentation",
    "segmentation_node",
    NodeSettings,
    {
        "rgb_topic": (image_topic("rgb"), "rectified colour images (sensor_msgs/Image)"),
        "depth_topic": (image_topic("depth"), "depth images registered to the colour camera"),
        "rgb_info_topic": ("rgb/camera_info", "the colour camera's calibration, where not beside its images"),
        "depth_info_topic": (
            "depth_registered/camera_info",
            "the depth camera's calibration, where not beside its images",
        ),
    },
    # Beside this folder in the source tree as in the installed package.
    Path(__file__).resolve().parent.parent / "config",
)


def arguments() -> list[DeclareLaunchArgument]:
    """What `--show-args` lists."""
    layout = SEGMENTATION.config / "segmentation.rviz"
    return [
        *SEGMENTATION.arguments(),
        DeclareLaunchArgument(
            "rviz", default_value="false", choices=["true", "false"], description="open RViz as well"
        ),
        DeclareLaunchArgument("rviz_config", default_value=str(layout), description="RViz's layout"),
    ]


def rviz(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """RViz if wanted. Its layout names the topics as the node does, so it gets the node's namespace and
    remappings.
    """
    if given(context, "rviz") != "true":
        return []
    parameters = SEGMENTATION.parameter_values(context)
    sim_time = {name: value for name, value in parameters.items() if name == "use_sim_time"}
    return [
        Node(
            package="rviz2",
            executable="rviz2",
            name="rviz",
            namespace=given(context, "namespace"),
            arguments=["--display-config", existing_file("rviz_config", given(context, "rviz_config"))],
            remappings=SEGMENTATION.remappings(context),
            parameters=[sim_time] if sim_time else [],
            output="log",
        )
    ]


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """The node, and RViz if wanted."""
    return [*SEGMENTATION.node(context), *rviz(context)]


def generate_launch_description() -> LaunchDescription:
    """What launch calls."""
    return LaunchDescription(
        [
            *arguments(),
            OpaqueFunction(function=SEGMENTATION.choose_dds_profile),
            OpaqueFunction(function=start),
        ]
    )
