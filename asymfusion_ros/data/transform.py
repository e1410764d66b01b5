"""Where one camera's frame lies in another's: rotation and translation, and trees of them as /tf has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from asymfusion_ros.errors import ConfigError

Row = tuple[float, float, float]
LONGEST_CHAIN = 1000  # frames; a longer one is a loop


@dataclass(frozen=True)
class Transform:
    """p' = rotation p + translation. rotation: three rows; translation: metres."""

    rotation: tuple[Row, Row, Row] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    translation: Row = (0.0, 0.0, 0.0)

    @classmethod
    def from_quaternion(cls, values: Sequence[float]) -> Transform:
        """From x, y, z (metres) and qx, qy, qz, qw, which need not be normalised. Raises ConfigError."""
        if len(values) != 7 or not all(math.isfinite(value) for value in values):
            raise ConfigError(f"{list(values)} is not seven numbers: x y z qx qy qz qw")
        length = math.hypot(*values[3:])
        if not 0.9 < length < 1.1:
            raise ConfigError(
                f"the rotation {list(values[3:])} is not a unit quaternion (its length is {length:g}): "
                "give qx qy qz qw, such as 0 0 0 1 for none"
            )
        x, y, z, w = (value / length for value in values[3:])
        rotation = (
            (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
            (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
            (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
        )
        return cls(rotation, (values[0], values[1], values[2]))

    @classmethod
    def parse(cls, text: str) -> Transform:
        """From seven numbers in text, separated by spaces or commas. Raises ConfigError."""
        try:
            values = [float(word) for word in text.replace(",", " ").split()]
        except ValueError as error:
            raise ConfigError(f"{text!r} is not seven numbers: x y z qx qy qz qw") from error
        return cls.from_quaternion(values)

    def apply(self, point: Sequence[float]) -> Row:
        """A point, moved."""
        x, y, z = (
            row[0] * point[0] + row[1] * point[1] + row[2] * point[2] + shift
            for row, shift in zip(self.rotation, self.translation, strict=True)
        )
        return x, y, z

    def after(self, first: Transform) -> Transform:
        """``first``, then this."""
        columns = [Transform(self.rotation).apply(column) for column in zip(*first.rotation, strict=True)]
        a, b, c = zip(*columns, strict=True)
        return Transform((a, b, c), self.apply(first.translation))

    def inverse(self) -> Transform:
        """The way back."""
        a, b, c = zip(*self.rotation, strict=True)
        back = Transform((a, b, c))
        x, y, z = back.apply(self.translation)
        return Transform(back.rotation, (-x, -y, -z))


class TransformTree:
    """Frames by name, each with its parent and where it lies in it, as tf2 has them."""

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, Transform]] = {}

    def add(self, parent: str, child: str, transform: Transform) -> None:
        """Notes where ``child`` lies in ``parent``: the transform takes the child's coordinates to the
        parent's. It replaces what was known of the child."""
        self._parents[_name(child)] = (_name(parent), transform)

    def between(self, source: str, target: str) -> Transform | None:
        """The transform from the coordinates of ``source`` to those of ``target``; None where no chain of
        frames joins them."""
        up, down = self._to_ancestors(_name(source)), self._to_ancestors(_name(target))
        for frame, transform in up.items():
            if frame in down:
                return down[frame].inverse().after(transform)
        return None

    def _to_ancestors(self, frame: str) -> dict[str, Transform]:
        """The frame itself and its ancestors, nearest first, with the transform to each."""
        found = {frame: Transform()}
        transform = Transform()
        while frame in self._parents and len(found) < LONGEST_CHAIN:
            frame, step = self._parents[frame]
            if frame in found:
                break
            transform = step.after(transform)
            found[frame] = transform
        return found


def _name(frame: str) -> str:
    # tf of ROS 1 wrote the names with a slash before them.
    return frame.lstrip("/")
