"""The parameters that every node has which takes cameras' images: each declared once.

No ROS, so that the launch files can read them anywhere.
"""

from __future__ import annotations

import json
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

from asymfusion_ros.data.transform import Transform
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.packaged import is_packaged, packaged
from asymfusion_ros.ros.inputs.transports import names
from asymfusion_ros.settings import declared, setting


def missing_file(path: str) -> str:
    """What is wrong with a path, which may be empty."""
    return "" if not path or Path(path).is_file() else f"{path} does not exist"


def missing_checkpoint(path: str) -> str:
    """What is wrong with the value of the parameter checkpoint."""
    wrong = "" if is_packaged(path) else missing_file(path)
    return wrong and (
        f"checkpoint {wrong}; give a checkpoint's path, or one installed: {', '.join(packaged())}"
    )


def wrong_names(cameras: tuple[str, ...]) -> str:
    """What is wrong with the value of the parameter cameras."""
    for name in cameras:
        if name and not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name):
            return f"{name!r} can't be a part of a topic's name; use letters, digits and _ (front_left)"
        if cameras.count(name) > 1:
            return f"{name!r} is there twice; give each camera a name of its own"
    if "" in cameras and len(cameras) > 1:
        return "one name is empty; give each camera a name of its own"
    return ""


@dataclass
class CommonSettings:
    """The values of the parameters of a node, checked by ros/parameters.py.

    While the node is configured it writes new values of those that are ``live`` into it: who needs the
    present one keeps the settings, not the value.
    """

    autostart: bool = setting(
        True, "configure and activate at start; false leaves both to a lifecycle manager"
    )
    checkpoint: str = setting(
        "default",
        "path of a .safetensors checkpoint, or of an .onnx or .engine file of `asymfusion export`, or the "
        "name of one that is installed",
        fault=missing_checkpoint,
    )
    cameras: tuple[str, ...] = setting(
        ("",),  # no camera's name: ROS reads an empty list in a file as no value at all
        "names of several cameras that share the network: inputs are NAME/rgb/image_rect_color and so on, "
        'outputs ~/NAME/... likewise; [""]: one camera without a name',
        fault=wrong_names,
    )
    device: str = setting(
        "auto", "where the network runs: auto (a GPU where there is one), cpu, cuda or cuda:N"
    )
    precision: str = setting(
        "auto",
        "number format of the network: auto (fp16 or bf16 where the device computes in it and the "
        "checkpoint's recorded check has passed, else fp32), fp32, fp16, bf16",
    )
    backend: str = setting(
        "auto",
        "what runs the network: auto (torch for a checkpoint, but OpenVINO on a CPU where its export lies "
        "beside it, as the default's does; for a file of `asymfusion export` OpenVINO, or ONNX Runtime where "
        "that is not installed, and for an .engine TensorRT), torch, openvino, tensorrt or onnxruntime",
        choices=("auto", "torch", "openvino", "tensorrt", "onnxruntime"),
    )
    cpu_fallback: bool = setting(
        False,
        "whether the network may run on the CPU, much slower, where the GPU's memory is full; false: frames "
        "are skipped then, or the node isn't configured",
    )
    threads: int = setting(
        0,
        "CPU threads that compute; fewer leave cores to other programs; 0: as many as the backend chooses, "
        "one a core",
        minimum=0,
        maximum=1024,
    )
    max_rate: float = setting(
        0.0,
        "frames of each camera that go through the network in a second at most; 0: as many as the device can",
        minimum=0.0,
        maximum=1000.0,
        live=True,
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
        live=True,
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
        "seconds that an image waits in vain for those of other topics before it is used without them; "
        "0: never",
        minimum=0.0,
        maximum=3600.0,
        live=True,
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
    max_latency_ms: float = setting(
        0.0,
        "milliseconds from an image's stamp to its outputs above which /diagnostics warns; 0: never",
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
        "frames published a second below which /diagnostics warns, and below half of which that is an "
        "error; 0: never",
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


def configuration_file(kind: type[CommonSettings], node: str) -> str:
    """config/NODE.yaml: every parameter with its default. A test holds the file equal to it."""
    lines = [
        f"# Parameters of the node `{node}` (ros2 run asymfusion_ros {node}_node --ros-args",
        "# --params-file ...). The values are the defaults: keep what you change and delete the rest.",
        "/**:",
        "  ros__parameters:",
    ]
    for one in declared(kind):
        text = one.help[0].upper() + one.help[1:]
        text += f" ({one.limits.text})." if one.limits.text else "."
        lines += [f"    # {line}" for line in textwrap.wrap(text, 100)]
        plain = isinstance(one.default, float) or (isinstance(one.default, str) and one.default)
        value = one.default if plain else json.dumps(one.default)
        lines.append(f"    {one.name}: {value}")
    return "\n".join(lines) + "\n"
