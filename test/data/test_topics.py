"""The topic of every modality: what users remap, written out here."""

import subprocess
import sys

from asymfusion_ros.data.modality import KNOWN, modality
from asymfusion_ros.data.topics import image_topic


def test_the_topics_are_those_that_users_remap():
    assert {name: one.topic for name, one in KNOWN.items()} == {
        "rgb": "rgb/image_rect_color",
        "depth": "depth_registered/image_rect",
        "thermal": "thermal/image_rect",
        "infrared": "infrared/image_rect",
        "normal": "normal/image_rect",
        "shade": "shade/image_rect",
        "edge": "edge/image_rect",
        "texture": "texture/image_rect",
    }
    assert modality("height", "range").topic == image_topic("height") == "height/image_rect"


def test_topics_and_settings_are_read_without_torch_and_ros():
    """As the launch files do, in a Python that may have neither."""
    command = (
        "import sys, asymfusion_ros.data.topics, asymfusion_ros.ros.settings, asymfusion_ros.ros.fast_dds; "
        "sys.exit(any(name in sys.modules for name in ('torch', 'rclpy', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", command]).returncode == 0
