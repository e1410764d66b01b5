"""Settings from YAML or JSON, checked against a dataclass before they become one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from asymfusion_ros.errors import ConfigError

NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def checked(kind: type, values: object, where: str) -> dict[str, Any]:
    """``values`` with every setting known to the dataclass ``kind`` and of its field's type.

    Numbers become float where the field is one, lists tuples where it is that. ``where`` begins the message
    of the ConfigError that a setting of another kind or name raises.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: {values!r} is no group of settings; write one `name: value` a line")
    known = [field.name for field in fields(kind)]
    unknown = sorted(str(name) for name in values if name not in known)
    if unknown:
        raise ConfigError(f"{where}: unknown setting {', '.join(unknown)}; known are {', '.join(known)}")
    hints = get_type_hints(kind)
    found = {}
    for name, value in values.items():
        try:
            found[name] = _as(hints[name], value)
        except (TypeError, ValueError) as error:
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
        return " or ".join("null" if kind is type(None) else _described(kind) for kind in arguments)
    if origin is tuple:
        length = "" if arguments[1] is Ellipsis else f" of {len(arguments)}"
        return f"a list{length}, each {_described(arguments[0])}"
    return "a group of settings" if origin is dict else NAMES[hint]
