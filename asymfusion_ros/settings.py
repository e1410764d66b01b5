"""Settings: declared once as fields of a dataclass, and everything else made from that declaration.

A declaration (default, range, choices, help) gives the check of a value, the line of ``--help``, the ROS
parameter's descriptor, ``config/*.yaml``, the launch argument and the table in the docs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from asymfusion_ros.errors import ConfigError

NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


@dataclass(frozen=True)
class Limits:
    """What a setting's value may be. minimum and maximum are inclusive, above and below exclusive."""

    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None
    choices: tuple[Any, ...] = ()

    @property
    def text(self) -> str:
        """``0 to 1 (1 excluded)``, ``one of a, b``; empty where everything of the type is allowed."""
        if self.choices:
            return f"one of {', '.join(str(choice) for choice in self.choices)}"
        low = self.minimum if self.minimum is not None else self.above
        high = self.maximum if self.maximum is not None else self.below
        if low is None and high is None:
            return ""
        if high is None:
            return f"{low:g} or more" if self.above is None else f"above {low:g}"
        if low is None:
            return f"at most {high:g}" if self.below is None else f"below {high:g}"
        out = [f"{end:g}" for end in (self.above, self.below) if end is not None]
        return f"{low:g} to {high:g}" + (f" ({' and '.join(out)} excluded)" if out else "")

    def allow(self, value: Any) -> bool:
        """Whether a value of the setting's own type is within them. NaN never is where there is a bound."""
        if self.choices:
            return value in self.choices
        if value is None:
            return True
        return (
            (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )


@dataclass(frozen=True)
class Setting:
    """The declaration of one setting, as ``declared`` finds it."""

    name: str
    type: Any
    default: Any
    help: str
    limits: Limits
    live: bool
    fault: Callable[[Any], str] | None = None

    @property
    def described(self) -> str:
        """What a value must be: its range or choices, else its type in words."""
        return self.limits.text or _described(self.type)

    def check(self, value: Any, where: str) -> Any:
        """``value`` in the setting's own type. Raises ConfigError that begins with ``where``, and names the
        value and what is allowed."""
        try:
            value = _as(self.type, value)
        except (OverflowError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{where}{self.name} is {value!r}; it must be {_described(self.type)}"
            ) from error
        if not self.limits.allow(value):
            advice = f"choose {self.limits.text}" if self.limits.choices else f"it must be {self.limits.text}"
            raise ConfigError(f"{where}{self.name} is {value!r}; {advice}")
        if self.fault is not None and (wrong := self.fault(value)):
            raise ConfigError(f"{where}{self.name}: {wrong}")
        return value


def setting(
    default: Any,
    help: str,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    above: float | None = None,
    below: float | None = None,
    choices: Iterable[Any] = (),
    live: bool = False,
    fault: Callable[[Any], str] | None = None,
) -> Any:
    """A dataclass field that declares a setting.

    help: one line, as ``--help`` shows it. minimum, maximum: inclusive; above, below: exclusive.
    live: a node takes a new value while it is active. fault: says what is wrong with a value, and the fix;
    an empty text where nothing is.
    """
    metadata = {
        "help": help,
        "limits": Limits(minimum, maximum, above, below, tuple(choices)),
        "live": live,
        "fault": fault,
    }
    if isinstance(default, dict | list):
        return field(default_factory=default.copy, metadata=metadata)
    return field(default=default, metadata=metadata)


def declared(kind: type) -> tuple[Setting, ...]:
    """The settings of a dataclass, in its order; a field without ``setting`` has no help and no limits."""
    hints = get_type_hints(kind)
    found = []
    for one in fields(kind):
        default = one.default_factory() if one.default_factory is not MISSING else one.default
        limits = one.metadata.get("limits", Limits())
        help_line = one.metadata.get("help", "")
        live, fault = one.metadata.get("live", False), one.metadata.get("fault")
        found.append(Setting(one.name, hints[one.name], default, help_line, limits, live, fault))
    return tuple(found)


def check_limits(values: Any, where: str) -> None:
    """For a dataclass's ``__post_init__``: raises ConfigError for a value of another type, or outside its
    setting's limits."""
    for one in declared(type(values)):
        one.check(getattr(values, one.name), where)


def markdown_table(kind: type) -> str:
    """The settings as a table for the docs: name, default, what it may be, what it does."""
    rows = ["| setting | default | values | |", "|---|---|---|---|"]
    rows += [
        f"| `{one.name}` | `{_shown(one.default)}` | {one.described} | {one.help} |" for one in declared(kind)
    ]
    return "\n".join(rows) + "\n"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple) and all(isinstance(item, str) for item in value):
        return json.dumps(value)
    return "null" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def checked(kind: type, values: object, where: str) -> dict[str, Any]:
    """``values`` with every setting known to the dataclass ``kind`` and of its field's type.

    Numbers become float where the field is one, lists tuples where it is that. ``where`` begins the message
    of the ConfigError that a setting of another kind or name raises.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: {values!r} is not a set of settings; write one `name: value` a line")
    known = [field.name for field in fields(kind)]
    unknown = sorted(str(name) for name in values if name not in known)
    if unknown:
        raise ConfigError(f"{where}: unknown setting {', '.join(unknown)}; known are {', '.join(known)}")
    hints = get_type_hints(kind)
    found = {}
    for name, value in values.items():
        try:
            found[name] = _as(hints[name], value)
        except (OverflowError, TypeError, ValueError) as error:
            raise ConfigError(
                f"{where}: {name} is {value!r}; it must be {_described(hints[name])}"
            ) from error
    return found


def _as(hint: Any, value: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:
        (inner,) = (argument for argument in arguments if argument is not type(None))
        return None if value is None else _as(inner, value)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise TypeError
        kinds = (arguments[0],) * len(value) if arguments[1] is Ellipsis else arguments
        return tuple(_as(kind, item) for kind, item in zip(kinds, value, strict=True))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise TypeError
        return dict(value)
    if hint is float and not isinstance(value, bool):
        # YAML 1.1 reads 5e-4, which has no point, as text.
        number = float(value)
        if not math.isfinite(number):
            raise ValueError
        return number
    if type(value) is not hint:
        raise TypeError
    return value


def _described(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:
        inner = [_described(kind) for kind in arguments if kind is not type(None)]
        return " or ".join(["null", *inner])
    if origin is tuple:
        length = "" if arguments[1] is Ellipsis else f" of {len(arguments)}"
        return f"a list{length}, each {_described(arguments[0])}"
    return "a set of settings" if origin is dict else NAMES[hint]
