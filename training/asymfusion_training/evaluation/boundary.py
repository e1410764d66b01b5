"""Boundary IoU (Cheng et al., CVPR 2021), for all classes of a label map at once.

A class's boundary region is what of it lies within d pixels of its contour; boundary IoU is the intersection
over union of the two boundary regions. As in the authors' code, d is a share of the image's diagonal,
distance is measured along the axes (the larger of the two: a square), and the image's edge is a contour.

Void pixels of the label are blank in both maps: they are counted nowhere, and an edge against void is no
contour. So an object is not rewarded or punished for where the annotator stopped, while two objects with a
strip of void between them still have their boundaries, as long as the strip is narrower than d.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.labels import VOID

Labels = npt.NDArray[np.uint8]


def boundary_width(shape: tuple[int, int], ratio: float) -> int:
    """d in pixels: ``ratio`` of the diagonal, rounded, at least 1."""
    return max(1, round(ratio * math.hypot(*shape)))


def boundary_counts(label: Labels, prediction: Labels, classes: int, width: int) -> npt.NDArray[np.int64]:
    """2 x K pixels: intersection and union of each class's boundary regions.

    label, prediction: H x W uint8, void in the label. width: d in pixels.
    """
    known = label != VOID
    shown = np.where(known, prediction, np.uint8(VOID))
    of_label = boundary(label, width) & known
    of_prediction = boundary(shown, width) & known

    def counted(where: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        return np.bincount(label[where], minlength=classes)

    intersection = counted(of_label & of_prediction & (label == prediction))
    either = counted(of_label) + np.bincount(prediction[of_prediction], minlength=classes)
    return np.stack([intersection, either - intersection])


def boundary(labels: Labels, width: int) -> npt.NDArray[np.bool_]:
    """H x W: where another class, or the image's edge, is within ``width`` pixels. Void is no class.

    A pixel is inside its object where the smallest and the largest class of the square around it agree,
    which takes two passes for all classes together instead of one for each.
    """
    square = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    smallest = cv2.erode(labels, square)
    # One more than the class, so that void becomes 0 and never is the largest.
    largest = cv2.dilate((labels + np.uint8(1)).astype(np.uint8), square)
    found: npt.NDArray[np.bool_] = smallest.astype(np.int16) + 1 != largest
    found[:width] = found[-width:] = True
    found[:, :width] = found[:, -width:] = True
    return found


def boundary_iou(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """2 x K -> K: NaN for a class with a boundary in neither labels nor predictions."""
    intersection, union = counts.astype(np.float64)
    return np.divide(intersection, union, out=np.full(len(union), np.nan), where=union > 0)
