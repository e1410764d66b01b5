"""The node's parameters, each declared once; no ROS, so that the launch files can read them anywhere."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from asymfusion_ros.data.transform import Transform
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.ros.inputs.transports import names
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
    image_transport: str = setting(
        "raw",
        "how images come, all but depth: raw (sensor_msgs/Image), or compressed (JPEG or PNG, on the image "
        "topic with /compressed after its name)",
        choices=names("colour", "scalar"),
    )
    depth_image_transport: str = setting(
        "raw",
        "how depth comes: raw, compressed (16-bit PNG), compressedDepth (PNG or RVL, on the topic with "
        "/compressedDepth after its name), or disparity (stereo_msgs/DisparityImage, on the topic itself)",
        choices=names("range"),
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
    disagreement_alarm: float = setting(
        0.95,
        "a fault in /diagnostics when the modalities disagree over some seconds in more pixels than in this "
        "share of the frames that the checkpoint was measured on; higher: fewer false alarms, more faults "
        "missed; 0: off",
        minimum=0.0,
        maximum=1.0,
    )
    depth_to_rgb: str = setting(
        "tf",
        "where depth comes in another frame than rgb: the transform from the depth camera's optical frame to "
        "the colour camera's, tf (from /tf_static) or x y z qx qy qz qw, in metres",
    )
    rectified: str = setting(
        "auto",
        "which images are rectified, so that their camera_info's P holds for them and not its K and D: auto "
        "(those whose topic has the word rect, as image_rect has), all, none, rgb, depth",
        choices=("auto", "all", "none", "rgb", "depth"),
    )
    overlay_opacity: float = setting(
        0.5, "how much of the class colour covers the image in ~/overlay", minimum=0.0, maximum=1.0
    )
    max_latency_ms: float = setting(
        0.0,
        "milliseconds from an image's stamp to its mask above which /diagnostics warns; 0: never",
        minimum=0.0,
        maximum=3.6e6,
    )
    consecutive: int = setting(
        10,
        "frames in a row over max_latency_ms from which its warning is an error",
        minimum=1,
        maximum=1000000,
    )
    min_rate: float = setting(
        0.0,
        "masks a second below which /diagnostics warns, and below half of which that is an error; 0: never",
        minimum=0.0,
        maximum=1000.0,
    )
    status_period: float = setting(
        60.0,
        "seconds between two lines of the log with rates and latencies; 0: none",
        minimum=0.0,
        maximum=86400.0,
    )

    def __post_init__(self) -> None:
        self.given_transform()  # refuses a wrong one here

    def given_transform(self) -> Transform | None:
        """``depth_to_rgb``; None where it says tf. Raises ConfigError."""
        if self.depth_to_rgb == "tf":
            return None
        try:
            return Transform.parse(self.depth_to_rgb)
        except ConfigError as error:
            raise ConfigError(
                f"parameter depth_to_rgb: {error}; or tf, to take it from /tf_static"
            ) from error


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
