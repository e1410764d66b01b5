"""What every process of the demo has in its environment: private discovery and room for large images.

A trial run must never join a robot's network, and Fast DDS out of the box loses most of 640 x 480 RGB and
depth at camera rates. Whatever the user has set stays.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from asymfusion_ros.ros.fast_dds import profile_path, profile_variables, rclpy_major

JAZZY_RCLPY = 7  # major version; Humble's is 3
DOMAINS = range(1, 101)  # beyond 101 the ports may collide with those that Linux hands out

SHARED_MEMORY = Path("/dev/shm")
SEGMENT_BYTES = 64 << 20  # what the profile asks for, once a process
PARTICIPANTS = 3


def shared_memory_note() -> str | None:
    """A line for the user where /dev/shm is too small for the profile; None where it is not.

    Fast DDS then does without shared memory, and logs an error in every process.
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
    wanted = {
        "ROS_DOMAIN_ID": str(DOMAINS[os.getpid() % len(DOMAINS)]),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "PYTHONUNBUFFERED": "1",  # logs that can be read as they grow
        "RCUTILS_COLORIZED_OUTPUT": "0",  # they are files
    }
    # Humble, whose discovery range is this variable; every later distribution warns about it.
    if rclpy_major() < JAZZY_RCLPY:
        wanted["ROS_LOCALHOST_ONLY"] = "1"
    if (profile := profile_path()) is not None:
        wanted |= profile_variables(environment, profile)
    return {name: value for name, value in wanted.items() if not environment.get(name)}
