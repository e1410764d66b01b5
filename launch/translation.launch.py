"""The translation node: a colour image of a camera's other images, as of depth and infrared at night.

    ros2 launch asymfusion_ros translation.launch.py checkpoint:=night.safetensors \
        depth_topic:=/camera/depth/image_raw topics:="shade:=/camera/infra1/image_rect_raw"

`topics` names the topic of each modality of the checkpoint that is not depth. `--show-args` lists every
argument, with the node's own defaults. A node that crashes is started again; one that ends cleanly or is
refused its start is not.
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import OpaqueFunction

from asymfusion_ros.data.topics import image_topic
from asymfusion_ros.ros.launching import NodeLaunch
from asymfusion_ros.ros.translation_settings import TranslationSettings

TRANSLATION = NodeLaunch(
    "translation",
    "translation_node",
    TranslationSettings,
    {
        "depth_topic": (image_topic("depth"), "depth images, where the checkpoint has depth"),
        "depth_info_topic": (
            "depth_registered/camera_info",
            "the depth camera's calibration, where not beside its images",
        ),
    },
    # Beside this folder in the source tree as in the installed package.
    Path(__file__).resolve().parent.parent / "config",
)


def generate_launch_description() -> LaunchDescription:
    """What launch calls."""
    return LaunchDescription(
        [
            *TRANSLATION.arguments(),
            OpaqueFunction(function=TRANSLATION.choose_dds_profile),
            OpaqueFunction(function=TRANSLATION.node),
        ]
    )
