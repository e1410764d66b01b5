"""The data sets that `asymfusion prepare` turns into the folder format: a file and a line each."""

from __future__ import annotations

from asymfusion_training.prepare.cityscapes import CITYSCAPES
from asymfusion_training.prepare.data_set import DataSet
from asymfusion_training.prepare.nyudv2 import NYUDV2
from asymfusion_training.prepare.taskonomy import TASKONOMY

DATA_SETS: tuple[DataSet, ...] = (
    NYUDV2,
    CITYSCAPES,
    TASKONOMY,
)
