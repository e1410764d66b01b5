"""What every process of the demo has in its environment: private discovery and room for large images.

A trial run must never join a robot's network, and Fast DDS out of the box loses most of 640 x 480 RGB and
depth at camera rates. Whatever the user has set stays.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import asymfusion_ros

PROFILE = Path("config") / "fastdds_large_images.xml"
# The first is Fast DDS 3 (Kilted and newer), the second Fast DDS 2 (Humble, Jazzy).
PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
DOMAINS = range(1, 101)  # beyond 101 the ports may collide with those that Linux hands out


def large_images_profile() -> Path | None:
    """The Fast DDS profile of this installation; None where only the Python modules were installed."""
    source_tree = Path(asymfusion_ros.__file__).resolve().parent.parent
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    shares = [Path(prefix) / "share" / "asymfusion_ros" for prefix in prefixes if prefix]
    return next((folder / PROFILE for folder in (source_tree, *shares) if (folder / PROFILE).is_file()), None)


def demo_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables to add to ``environment``; those that it has already are left alone."""
    wanted = {
        "ROS_DOMAIN_ID": str(DOMAINS[os.getpid() % len(DOMAINS)]),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_LOCALHOST_ONLY": "1",
        # Fewer oddities in a log that a person reads as it grows.
        "PYTHONUNBUFFERED": "1",
    }
    # Newer distributions warn about the old variable, Humble ignores the new one.
    if environment.get("ROS_DISTRO") != "humble":
        del wanted["ROS_LOCALHOST_ONLY"]
    # Either variable being set means that the user has a profile of their own.
    profile = large_images_profile()
    if profile is not None and not any(environment.get(name) for name in PROFILE_VARIABLES):
        wanted |= dict.fromkeys(PROFILE_VARIABLES, str(profile))
    return {name: value for name, value in wanted.items() if not environment.get(name)}
