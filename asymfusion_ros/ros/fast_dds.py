"""The Fast DDS profile that lets whole images pass, and the variable through which Fast DDS finds it.

Out of the box it loses most images of a 640x480 RGB-D camera between two processes. No ROS is imported here:
the environment must be complete before rclpy is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import asymfusion_ros

PROFILE = Path("config") / "fastdds_large_images.xml"
# Fast DDS 3 reads the first, Fast DDS 2 the second; ROS warns about the second where it has Fast DDS 3.
PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
FAST_DDS_2 = ("humble", "iron", "jazzy")
KILTED_RCLPY = 9  # major version of rclpy in the first distribution with Fast DDS 3


def rclpy_major() -> int:
    """The installed rclpy's major version: 3 in Humble, 7 in Jazzy, 9 in Kilted."""
    return int(metadata.version("rclpy").split(".")[0])


def profile_path() -> Path | None:
    """The profile of this installation; None where only the Python modules were installed."""
    source_tree = Path(asymfusion_ros.__file__).resolve().parent.parent
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    shares = [Path(prefix) / "share" / "asymfusion_ros" for prefix in prefixes if prefix]
    return next((folder / PROFILE for folder in (source_tree, *shares) if (folder / PROFILE).is_file()), None)


def profile_variables(environment: Mapping[str, str], profile: Path) -> dict[str, str]:
    """The variable to add to ``environment`` so that ``profile`` is used; none where the user has chosen one.

    Which Fast DDS there is follows from ROS_DISTRO, or where it is not set from the installed rclpy.
    """
    # Either variable being set means that the user has a profile of their own.
    if any(environment.get(name) for name in PROFILE_VARIABLES):
        return {}
    distribution = environment.get("ROS_DISTRO")
    old = distribution in FAST_DDS_2 if distribution else rclpy_major() < KILTED_RCLPY
    return {PROFILE_VARIABLES[old]: str(profile)}
