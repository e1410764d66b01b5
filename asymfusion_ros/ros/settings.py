"""The node's parameters, each declared once; no ROS, so that the launch files can read them anywhere."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from asymfusion_ros.settings import declared, setting


@dataclass(frozen=True)
class NodeSettings:
    """The values of the parameters of the node ``segmentation``, checked by ros/parameters.py."""

    autostart: bool = setting(
        True, "configure and activate at start; false leaves both to a lifecycle manager"
    )
    checkpoint: str = setting("default", "path of a .safetensors checkpoint; default is the one installed")
    device: str = setting(
        "auto", "where the network runs: auto (a GPU where there is one), cpu, cuda or cuda:N"
    )
    precision: str = setting(
        "auto", "number format of the network: auto (the device's fastest safe one), fp32, fp16, bf16"
    )
    slop: float = setting(
        0.015,
        "greatest difference in seconds between the stamps of images that are paired; 0 pairs only "
        "equal stamps; keep it below half a frame period (the default suits 30 Hz), or an image may pair "
        "with a neighbour",
        minimum=0.0,
        maximum=10.0,
    )
    queue_size: int = setting(
        10,
        "images of each topic that wait for a partner; more, up to 120 in 256 MiB, where images of equal "
        "stamps come late",
        minimum=1,
        maximum=1000,
    )
    missing_after: float = setting(
        0.0,
        "seconds that an image waits in vain for those of other topics before it is segmented without them; "
        "0: never",
        minimum=0.0,
        maximum=3600.0,
    )
    overlay_opacity: float = setting(
        0.5, "how much of the class colour covers the image in ~/overlay", minimum=0.0, maximum=1.0
    )


def configuration_file() -> str:
    """config/segmentation.yaml: every parameter with its default. A test holds the file equal to it."""
    lines = [
        "# Parameters of the node `segmentation` (ros2 run asymfusion_ros segmentation_node --ros-args",
        "# --params-file ...). The values are the defaults: keep what you change and delete the rest.",
        "/**:",
        "  ros__parameters:",
    ]
    for one in declared(NodeSettings):
        text = one.help[0].upper() + one.help[1:]
        text += f" ({one.limits.text})." if one.limits.text else "."
        lines += [f"    # {line}" for line in textwrap.wrap(text, 100)]
        value = str(one.default).lower() if isinstance(one.default, bool) else one.default
        lines.append(f"    {one.name}: {value}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(configuration_file(), end="")
