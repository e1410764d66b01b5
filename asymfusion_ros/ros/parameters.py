"""Settings as the parameters of a ROS node: declared, described, read and checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.ros.common_settings import CommonSettings
from asymfusion_ros.settings import Setting, declared

# What every node has.
ROS_PARAMETERS = ("use_sim_time", "start_type_description_service", "qos_overrides.")
Settings = TypeVar("Settings", bound=CommonSettings)


def by_name(kind: type[CommonSettings]) -> dict[str, Setting]:
    """The settings of a node."""
    return {one.name: one for one in declared(kind)}


def declare(node: Node, kind: type[CommonSettings]) -> list[str]:
    """Declares every setting of ``kind`` as a parameter with its description; values are checked when they
    are read.

    ``node`` has declared what the user gave. Returns the names among it that no setting has: rclpy would
    ignore them without a word.
    """
    given = node.get_parameters_by_prefix("")
    settings = by_name(kind)
    for name, one in settings.items():
        if name in given:
            node.set_descriptor(name, _descriptor(one, with_range=_is_valid(one, given[name].value)))
        else:
            default = list(one.default) if isinstance(one.default, tuple) else one.default
            node.declare_parameter(name, default, _descriptor(one))
    return sorted(name for name in given if name not in settings and not name.startswith(ROS_PARAMETERS))


def read(node: Node, kind: type[Settings]) -> Settings:
    """The parameters' present values. Raises ConfigError naming the first that is wrong."""
    return kind(
        **{name: _checked(one, node.get_parameter(name).value) for name, one in by_name(kind).items()}
    )


def check_changes(
    changes: Sequence[Parameter[Any]], configured: bool, kind: type[CommonSettings]
) -> SetParametersResult:
    """What to answer to ``ros2 param set``: values must be valid, and a configured node keeps those that
    aren't ``live``.
    """
    settings = by_name(kind)
    for change in changes:
        if change.name not in settings:
            continue
        try:
            _checked(settings[change.name], change.value)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if configured and not settings[change.name].live:
            reason = (
                f"parameter {change.name} is read when the node is configured: deactivate and clean up the "
                "node first, then set it and configure again"
            )
            return SetParametersResult(successful=False, reason=reason)
    return SetParametersResult(successful=True)


def take_live(settings: CommonSettings, changes: Sequence[Parameter[Any]]) -> dict[str, Any]:
    """Writes the changed values of ``live`` settings into ``settings``; returns them. They are valid."""
    known = by_name(type(settings))
    values = {
        change.name: _checked(known[change.name], change.value)
        for change in changes
        if change.name in known and known[change.name].live
    }
    changed = {name: value for name, value in values.items() if value != getattr(settings, name)}
    for name, value in changed.items():
        setattr(settings, name, value)
    return changed


def _checked(one: Setting, value: Any) -> Any:
    if value == "" and one.default != "":
        raise ConfigError(f"parameter {one.name} is empty; leave it out for {one.default!r}")
    return one.check(value, "parameter ")


def _is_valid(one: Setting, value: Any) -> bool:
    try:
        _checked(one, value)
    except ConfigError:
        return False
    return True


def _descriptor(one: Setting, with_range: bool = True) -> ParameterDescriptor:
    """``with_range`` is False for a value that is out of it: rclpy would refuse it with a traceback, where
    configuring the node refuses it in one line."""
    # dynamic_typing for the same reason: `slop: 0` is an integer to rclpy.
    when = "at any time" if one.live else "while the node is unconfigured"
    descriptor = ParameterDescriptor(
        description=one.help,
        additional_constraints="; ".join(filter(None, (one.limits.text, f"can be set {when}"))),
        dynamic_typing=True,
    )
    low, high = one.limits.minimum, one.limits.maximum
    if with_range and low is not None and high is not None:
        if one.type is float:
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
        else:
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high), step=1)]
    return descriptor
