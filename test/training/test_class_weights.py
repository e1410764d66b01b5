"""Class weights against counts made by hand."""

import cv2
import numpy as np
import pytest
import torch
from helpers import write_folder

from asymfusion_ros.data.folder import Folder
from asymfusion_training.tasks.segmentation.class_weights import class_weights


@pytest.fixture
def folder(tmp_path):
    root = write_folder(tmp_path / "made", frames=2, labels=["a", "b", "c", "d"])
    label = np.full((48, 64), 255, np.uint8)
    label[:8], label[8:10], label[10:42] = 0, 1, 2  # rows: 8 of a, 2 of b, 32 of c, none of d
    for name in ("frame0", "frame1"):
        cv2.imwrite(str(root / "label" / f"{name}.png"), label)
    return Folder(root)


def test_by_hand(folder):
    # the median of 8, 2 and 32 rows is 8; void counts for nothing, and d is never seen
    weights = class_weights(folder, "train", 1.0, progress=False)
    torch.testing.assert_close(weights, torch.tensor([1.0, 4.0, 0.25, 1.0]))
    weights = class_weights(folder, "train", 0.5, progress=False)
    torch.testing.assert_close(weights, torch.tensor([1.0, 2.0, 0.5, 1.0]))


def test_weights_have_limits(folder):
    weights = class_weights(folder, "train", 4.0, progress=False)
    torch.testing.assert_close(weights, torch.tensor([1.0, 10.0, 0.1, 1.0]))
