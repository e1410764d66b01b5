"""Frames in, labels or images out, all on one device; no ROS."""

import importlib
from typing import TYPE_CHECKING

from asymfusion_ros.engine.raw_image import RawImage

__all__ = ["HostResult", "RawImage", "Result", "Segmenter", "Translation", "Translator"]

if TYPE_CHECKING:
    from asymfusion_ros.engine.segmenter import HostResult, Result, Segmenter
    from asymfusion_ros.engine.translator import Translation, Translator


def __getattr__(name: str) -> object:
    # Frames need no torch: a program that only sends images starts seconds sooner without it.
    if name in __all__:
        module = "translator" if name.startswith("Transl") else "segmenter"
        return getattr(importlib.import_module(f"asymfusion_ros.engine.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
