"""Frames in, labels out, all on one device; no ROS."""

from typing import TYPE_CHECKING

from asymfusion_ros.engine.raw_image import RawImage

__all__ = ["HostResult", "RawImage", "Result", "Segmenter"]

if TYPE_CHECKING:
    from asymfusion_ros.engine.segmenter import HostResult, Result, Segmenter


def __getattr__(name: str) -> object:
    # Frames need no torch: a program that only sends images starts seconds sooner without it.
    if name in __all__:
        from asymfusion_ros.engine import segmenter

        return getattr(segmenter, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
