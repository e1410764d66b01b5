"""RGB-D segmentation for robots: AsymFusion (Wang et al., ACM Multimedia 2020) on live ROS 2 streams."""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["Segmenter", "Translator", "__version__"]

if TYPE_CHECKING:
    from asymfusion_ros.engine import Segmenter, Translator


def __getattr__(name: str) -> object:
    # torch takes over a second to import; `asymfusion --help` and the launch files need none of it.
    if name in ("Segmenter", "Translator"):
        from asymfusion_ros import engine

        return getattr(engine, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
