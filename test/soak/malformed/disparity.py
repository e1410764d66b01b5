"""Malformed stereo_msgs/DisparityImage."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from node_harness import HEIGHT, WIDTH
from senders import disparity_image

from .message import HARMLESS, REFUSED, Malformed
from .raw import CHANGES, UNUSUAL, change_fields

GEOMETRY = "both must be positive"


def disparity() -> Iterator[Malformed]:
    """The image within it is changed as a raw one is; and what turns disparities into distances."""
    for what, change in {**CHANGES, "16UC1": {"encoding": "16UC1"}}.items():
        says = HARMLESS if what in UNUSUAL else REFUSED
        yield Malformed(f"depth: {what}", "depth", partial(_changed, change), says)
    yield Malformed("depth: a row is missing", "depth", _cut)
    for name in ("f", "t"):
        for what, value in {"zero": 0.0, "NaN": np.nan, "infinite": np.inf, "negative": -1.0}.items():
            make = partial(_constant, 8.0, **{name: float(value)})
            yield Malformed(f"depth: {name.upper()} is {what}", "depth", make, GEOMETRY)
    huge = partial(_constant, 8.0, f=3e38, t=3e38)
    yield Malformed("depth: F and T are 3e38", "depth", huge, HARMLESS)
    nothing = partial(_constant, 8.0, min_disparity=float("nan"))
    yield Malformed("depth: the least disparity is NaN", "depth", nothing, HARMLESS)
    values = {"zero": 0.0, "NaN": np.nan, "infinite": np.inf, "negative": -1.0, "1e-45": 1e-45}
    for what, value in values.items():
        yield Malformed(f"disparity that is {what} everywhere", "depth", partial(_constant, value), HARMLESS)


def _constant(value: float, stamp: int, **fields: Any) -> Any:
    return disparity_image(np.full((HEIGHT, WIDTH), value, np.float32), stamp, **fields)


def _changed(change: dict[str, Any], stamp: int) -> Any:
    message = _constant(8.0, stamp)
    change_fields(message.image, message.header, change)
    return message


def _cut(stamp: int) -> Any:
    message = _constant(8.0, stamp)
    message.image.data = message.image.data[: -WIDTH * 4]
    return message
