"""What every process of the demo has in its environment: private discovery and room for large images.

A trial run must never join a robot's network, and Fast DDS out of the box loses most of 640 x 480 RGB and
depth at camera rates. Whatever the user has set stays.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path

import asymfusion_ros

PROFILE = Path("config") / "fastdds_large_images.xml"
# Fast DDS 3 (Kilted and newer) reads the first, Fast DDS 2 (Humble, Jazzy) the second.
PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
JAZZY_RCLPY, KILTED_RCLPY = 7, 9  # major versions; Humble's is 3
DOMAINS = range(1, 101)  # beyond 101 the ports may collide with those that Linux hands out

SHARED_MEMORY = Path("/dev/shm")
SEGMENT_BYTES = 64 << 20  # what the profile asks for, once a process
PARTICIPANTS = 3


def large_images_profile() -> Path | None:
    """The Fast DDS profile of this installation; None where only the Python modules were installed."""
    source_tree = Path(asymfusion_ros.__file__).resolve().parent.parent
    prefixes = [*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix]
    shares = [Path(prefix) / "share" / "asymfusion_ros" for prefix in prefixes if prefix]
    return next((folder / PROFILE for folder in (source_tree, *shares) if (folder / PROFILE).is_file()), None)


def shared_memory_note() -> str | None:
    """A line for the user where /dev/shm is too small for the profile; None where it is not.

    Fast DDS then does without shared memory, and says so in red in every process's log.
    """
    needed = PARTICIPANTS * SEGMENT_BYTES
    free = shutil.disk_usage(SHARED_MEMORY).free if SHARED_MEMORY.is_dir() else 0
    if free >= needed:
        return None
    return (
        f"{SHARED_MEMORY} has {free >> 20} MiB free, less than {needed >> 20}: images go over loopback UDP, "
        "which is slower (in a container: docker run --shm-size=512m)"
    )


def demo_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables to add to ``environment``; those that it has already are left alone."""
    old = _rclpy_major() < KILTED_RCLPY
    wanted = {
        "ROS_DOMAIN_ID": str(DOMAINS[os.getpid() % len(DOMAINS)]),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "PYTHONUNBUFFERED": "1",  # logs that can be read as they grow
        "RCUTILS_COLORIZED_OUTPUT": "0",  # they are files
    }
    # Humble, whose discovery range is this variable; every later distribution warns about it.
    if _rclpy_major() < JAZZY_RCLPY:
        wanted["ROS_LOCALHOST_ONLY"] = "1"
    # Either variable being set means that the user has a profile of their own.
    profile = large_images_profile()
    if profile is not None and not any(environment.get(name) for name in PROFILE_VARIABLES):
        wanted[PROFILE_VARIABLES[old]] = str(profile)
    return {name: value for name, value in wanted.items() if not environment.get(name)}


def _rclpy_major() -> int:
    # The environment must be complete before rclpy is imported, so its version is looked up, not asked.
    return int(metadata.version("rclpy").split(".")[0])
