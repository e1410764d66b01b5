"""A pair of images to published masks: everything that happens in the inference thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sensor_msgs.msg import Image

from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.errors import ImageError, UserError
from asymfusion_ros.ros.images import has_valid_depth, read_depth, read_rgb
from asymfusion_ros.ros.inputs.conversion import ColourConversion
from asymfusion_ros.ros.log import ThrottledLog
from asymfusion_ros.ros.outputs import Outputs
from asymfusion_ros.ros.pairs import Pair
from asymfusion_ros.stream.counters import Counters


class PairSegmenter:
    """Segments pairs with ``segmenter`` (asymfusion_ros.Segmenter) and publishes on ``outputs``.

    ``topics``: the resolved names of the topics "rgb" and "depth", for the log.
    """

    def __init__(
        self,
        segmenter: Any,
        outputs: Outputs,
        topics: Mapping[str, str],
        counters: Counters,
        say: ThrottledLog,
    ) -> None:
        self._segmenter = segmenter
        self._outputs = outputs
        self._topics = topics
        self._counters = counters
        self._say = say
        self._convert = ColourConversion(lambda text: say.info_once(text, text))

    def __call__(self, pair: Pair) -> None:
        """Does nothing where nobody subscribes to any output. A pair that can't be used is logged and
        counted; what else goes wrong is raised.
        """
        wanted = self._outputs.wanted()
        if not wanted:
            self._counters.unwatched += 1
            return
        try:
            self._segment(pair, wanted)
        except UserError as error:
            self._counters.failed += 1
            self._say.warning("failed", f"a pair was skipped: {error}")
        except BaseException:
            self._counters.failed += 1
            raise
        else:
            self._counters.segmented += 1

    def _segment(self, pair: Pair, wanted: frozenset[str]) -> None:
        rgb = None if pair.rgb is None else self._usable_rgb(pair.rgb)
        depth = None if pair.depth is None else self._usable_depth(pair.depth, alone=rgb is None)
        if pair.rgb is not None and pair.depth is not None:
            self._compare(pair.rgb, pair.depth)
        result = self._segmenter(rgb, depth, confidence="confidence" in wanted).numpy()
        picture, source = (depth, pair.depth) if rgb is None else (rgb, pair.rgb)
        assert picture is not None and source is not None  # a pair has at least one image
        self._outputs.publish(wanted, source.header, picture, result)

    def _usable_rgb(self, message: Image) -> RawImage:
        try:
            return read_rgb(message, self._convert)
        except ImageError as error:
            raise ImageError(f"{self._topics['rgb']}: {error}") from error

    def _usable_depth(self, message: Image, alone: bool) -> RawImage | None:
        depth = read_depth(message)
        if has_valid_depth(depth):
            return depth
        reason = (
            f"{self._topics['depth']}: no pixel of the {depth.width}x{depth.height} depth image is valid "
            "(all 0, NaN or Inf)"
        )
        if alone:
            raise ImageError(f"{reason}, and there is no RGB image: uncover the depth camera")
        self._say.warning(
            "invalid depth", f"{reason}: RGB is segmented alone; is the depth camera covered or too close?"
        )
        return None

    def _compare(self, rgb: Image, depth: Image) -> None:
        if (rgb.width, rgb.height) != (depth.width, depth.height):
            sizes = f"{depth.width}x{depth.height} depth is resized to {rgb.width}x{rgb.height} RGB"
            self._say.warning_once(sizes, f"{sizes}: both must show the same view")
        if rgb.header.frame_id != depth.header.frame_id:
            self._say.warning_once(
                "frames",
                f"depth is in frame {depth.header.frame_id!r}, RGB in {rgb.header.frame_id!r}: use depth "
                "that is registered to RGB (the register node of depth_image_proc makes it)",
            )
