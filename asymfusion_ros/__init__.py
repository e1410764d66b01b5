"""RGB-D segmentation for robots: AsymFusion (Wang et al., ACM Multimedia 2020) on live ROS 2 streams."""

from typing import TYPE_CHECKING

__version__ = "0.1.0"
__all__ = ["Segmenter", "__version__"]

if TYPE_CHECKING:
    from asymfusion_ros.engine import Segmenter


def __getattr__(name: str) -> object:
    # torch takes over a second to import; `asymfusion --help` and the launch files need none of it.
    if name == "Segmenter":
        from asymfusion_ros.engine import Segmenter

        return Segmenter
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
