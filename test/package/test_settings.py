"""One declaration of a setting: its check, its message, its row in the docs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pytest

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.settings import check_limits, checked, declared, markdown_table, setting


@dataclass(frozen=True)
class Example:
    rate: float = setting(0.5, "how fast", minimum=0, below=1)
    count: int = setting(3, "how many", minimum=1)
    way: str = setting("left", "which way", choices=("left", "right"))
    size: tuple[int, int] | None = setting(None, "height and width")
    more: dict[str, int] = setting({}, "anything")

    def __post_init__(self) -> None:
        check_limits(self, "example: ")


def test_defaults_are_within_their_limits_and_not_shared() -> None:
    first, second = Example(), Example()
    first.more["a"] = 1
    assert second.more == {} and (second.rate, second.count, second.way) == (0.5, 3, "left")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rate": 1.0}, r"example: rate is 1.0; it must be 0 to 1 \(1 excluded\)"),
        ({"rate": math.nan}, "example: rate is nan"),
        ({"count": 0}, "example: count is 0; it must be 1 or more"),
        ({"count": True}, "example: count is True; it must be a whole number"),
        ({"way": "up"}, "example: way is 'up'; choose one of left, right"),
        ({"size": (1, 2, 3)}, r"example: size is \(1, 2, 3\); it must be null or a list of 2"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Example(**values)  # type: ignore[arg-type]


def test_bounds_belong_to_the_range_or_not() -> None:
    assert Example(rate=0.0).rate == 0 and Example(count=1).count == 1


def test_values_from_yaml_get_their_type() -> None:
    assert checked(Example, {"rate": 0, "size": [4, 5]}, "example") == {"rate": 0.0, "size": (4, 5)}
    with pytest.raises(ConfigError, match="example: unknown setting speed; known are rate, count, way"):
        checked(Example, {"speed": 1}, "example")


def test_the_table_has_a_row_for_every_setting() -> None:
    rows = markdown_table(Example).splitlines()
    assert rows[2] == "| `rate` | `0.5` | 0 to 1 (1 excluded) | how fast |"
    assert rows[5] == "| `size` | `null` | null or a list of 2, each a whole number | height and width |"
    assert len(rows) == 2 + len(declared(Example))
