"""The node's parameters: one table of names, defaults, ranges and descriptions.

``config/segmentation.yaml`` repeats it for people to edit; a test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from asymfusion_ros.errors import ConfigError

Value = bool | int | float | str


@dataclass(frozen=True)
class Parameter:
    """A parameter of the node; ``minimum`` and ``maximum`` are inclusive. The default's type is its type."""

    name: str
    default: Value
    description: str
    minimum: float | None = None
    maximum: float | None = None

    @property
    def range_text(self) -> str:
        if self.minimum is None:
            return ""
        return (
            f"{self.minimum:g} or more" if self.maximum is None else f"{self.minimum:g} to {self.maximum:g}"
        )

    def checked(self, value: Any) -> Value:
        """``value`` in the parameter's own type, or ConfigError naming it and what is allowed."""
        kind = type(self.default)
        # `slop: 0` in a YAML file is an integer, and means 0.0.
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            names = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
            raise ConfigError(f"parameter {self.name} is {value!r}: it must be {names[kind]}")
        if kind is str and not value:
            raise ConfigError(f"parameter {self.name} is empty: leave it out for {self.default!r}")
        low, high = self.minimum, self.maximum
        # Written so that NaN, which compares false with everything, is refused.
        if (low is not None and not value >= low) or (high is not None and not value <= high):
            raise ConfigError(f"parameter {self.name} is {value}: it must be {self.range_text}")
        return value


PARAMETERS = (
    Parameter("autostart", True, "configure and activate at start; false leaves both to a lifecycle manager"),
    Parameter("checkpoint", "default", "path of a .safetensors checkpoint; default is the one installed"),
    Parameter("device", "auto", "where the network runs: auto (a GPU where there is one), cpu, cuda, cuda:1"),
    Parameter("precision", "auto", "number format of the network: auto picks the device's fastest safe one"),
    Parameter(
        "slop",
        0.02,
        "greatest difference in seconds between the stamps of an RGB and a depth image that are paired; "
        "0 pairs equal stamps alone; keep it below half a frame period",
        0.0,
        10.0,
    ),
    Parameter("queue_size", 10, "images of each topic that wait for a partner", 1, 1000),
    Parameter(
        "missing_after",
        0.0,
        "seconds without a usable image of one topic after which the other is segmented alone; 0: never",
        0.0,
        3600.0,
    ),
    Parameter(
        "overlay_opacity", 0.5, "how much of the class colour covers the picture in ~/overlay", 0.0, 1.0
    ),
)
# What every node has.
ROS_PARAMETERS = ("use_sim_time", "start_type_description_service", "qos_overrides.")
TABLE = {parameter.name: parameter for parameter in PARAMETERS}


@dataclass(frozen=True)
class Settings:
    """The values of the table's parameters, checked."""

    autostart: bool
    checkpoint: str
    device: str
    precision: str
    slop: float
    queue_size: int
    missing_after: float
    overlay_opacity: float


def declare(node: Node) -> list[str]:
    """Declares every parameter with its description; their values are checked when they are read.

    ``node`` has declared what the user gave. Returns the names among it that no parameter has: rclpy would
    ignore them without a word.
    """
    given = node.get_parameters_by_prefix("")
    for parameter in PARAMETERS:
        # rclpy's own check of types would refuse `slop: 0` with a traceback from inside the constructor.
        descriptor = ParameterDescriptor(
            description=parameter.description,
            additional_constraints=parameter.range_text,
            dynamic_typing=True,
        )
        if parameter.name in given:
            node.set_descriptor(parameter.name, descriptor)
        else:
            node.declare_parameter(parameter.name, parameter.default, descriptor)
    return sorted(name for name in given if name not in TABLE and not name.startswith(ROS_PARAMETERS))


def read(node: Node) -> Settings:
    """The parameters' present values. Raises ConfigError naming the first that is wrong."""
    return Settings(**{p.name: p.checked(node.get_parameter(p.name).value) for p in PARAMETERS})


def check_change(changes: Sequence[RosParameter], configured: bool) -> SetParametersResult:
    """What to answer to ``ros2 param set``: values must be valid, and a configured node keeps its own."""
    for change in changes:
        if change.name not in TABLE:
            continue
        try:
            TABLE[change.name].checked(change.value)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if configured:
            reason = (
                f"parameter {change.name} is read when the node is configured: deactivate and clean up the "
                "node first, then set it and configure again"
            )
            return SetParametersResult(successful=False, reason=reason)
    return SetParametersResult(successful=True)
