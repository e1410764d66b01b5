"""Several cameras and one network: one node, which segments each camera's images into topics of its own.

    ros2 launch asymfusion_ros multi_camera.launch.py cameras:="[front, rear]"

The node takes NAME/rgb/image_rect_color and NAME/depth_registered/image_rect of each camera, and publishes
/segmentation/NAME/mask and so on. Where a driver publishes elsewhere, `topics` says where:

    ros2 launch asymfusion_ros multi_camera.launch.py cameras:="[front, rear]" \
        topics:="front/rgb:=/cam1/color/image_raw front/depth:=/cam1/aligned_depth_to_color/image_raw"

All other arguments are those of segmentation.launch.py, and hold for every camera.
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

SEGMENTATION = Path(__file__).resolve().with_name("segmentation.launch.py")


def generate_launch_description() -> LaunchDescription:
    """What launch calls."""
    return LaunchDescription(
        [
            DeclareLaunchArgument("cameras", description="names of the cameras, as in [front, rear]"),
            DeclareLaunchArgument(
                "topics",
                default_value="",
                description="the cameras' own topics, separated by spaces: front/rgb:=/cam1/color/image_raw "
                "[each is <camera>/rgb/image_rect_color, <camera>/depth_registered/image_rect or "
                "<camera>/<modality>/image_rect otherwise]",
            ),
            IncludeLaunchDescription(PythonLaunchDescriptionSource(str(SEGMENTATION))),
        ]
    )
