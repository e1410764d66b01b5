"""Whether an exported network is near enough to its checkpoint to be written."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from asymfusion_ros.checkpoint.precision_check import LEAST_AGREEMENT
from asymfusion_ros.engine.runner import FrameRunner
from asymfusion_ros.engine.segmenter import Segmenter
from asymfusion_ros.engine.translator import Translator
from asymfusion_ros.errors import UserError
from asymfusion_ros.export.verify import Agreement, Frame, compare
from asymfusion_ros.export.verify_images import MOST_LEVELS, compare_images

MOST_LOST_BY_INT8 = 0.005  # of the mean IoU


def accepted(exported: FrameRunner, reference: FrameRunner, frames: Iterable[Frame]) -> dict[str, Any]:
    """How the two compare, for the file's metadata. Raises UserError where they are too far apart."""
    if isinstance(exported, Translator) and isinstance(reference, Translator):
        difference = compare_images(exported, reference, frames)
        if not difference.largest <= MOST_LEVELS:
            raise UserError(
                f"the exported network's images differ from the checkpoint's by {difference.largest:.3g} of "
                f"255 levels, more than {MOST_LEVELS:g}: it is not written; please report it"
            )
        return dataclasses.asdict(difference)
    assert isinstance(exported, Segmenter) and isinstance(reference, Segmenter)
    agreement = compare(exported, reference, frames)
    check_agreement(agreement, exported.backend.precision)
    return {key: value for key, value in dataclasses.asdict(agreement).items() if value is not None}


def check_agreement(found: Agreement, precision: str) -> None:
    """Raises UserError where a network in ``precision`` gives too many other classes, or in int8 loses too
    much of the mean IoU."""
    advice = "please report it"
    if precision == "int8":
        advice = "give it more and other frames with --calibration-frames"
    if found.agreement < (least := LEAST_AGREEMENT[precision]):
        raise UserError(
            f"the exported network gives the checkpoint's class in {found.agreement:.2%} of the "
            f"pixels, below {least:.1%}: it is not written; {advice}"
        )
    if precision == "int8" and found.mean_iou is not None and found.mean_iou_of_checkpoint is not None:
        lost = found.mean_iou_of_checkpoint - found.mean_iou
        if lost > MOST_LOST_BY_INT8:
            raise UserError(
                f"in int8 it loses {lost:.2%} of the mean IoU, more than {MOST_LOST_BY_INT8:.1%}: it is not "
                f"written; {advice}"
            )
