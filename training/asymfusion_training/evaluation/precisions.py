"""What lower precisions cost a checkpoint, on the frames of a split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tqdm import tqdm

from asymfusion_ros.checkpoint import Checkpoint
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.export.precision import check_precisions
from asymfusion_ros.export.verify import Frame

PRECISIONS = ("fp16", "bf16")


def with_precision_checks(
    checkpoint: Checkpoint, folder: Folder, names: Sequence[str], split: str
) -> Checkpoint:
    """The same weights with the checks of the frames called ``names``; earlier ones are forgotten. Raises
    UserError for a frame that cannot be read."""
    folder.check_modalities(checkpoint.config.modalities)

    def frames() -> Iterator[Frame]:
        for name in tqdm(names, "check precisions", unit="frame", leave=False, disable=None):
            frame = folder.read(name, checkpoint.config.modalities)
            yield frame.images, frame.label

    checks = check_precisions(checkpoint, PRECISIONS, frames(), f"{folder.name} {split}")
    return replace(checkpoint, precision_checks=checks)


def precision_lines(checkpoint: Checkpoint) -> Iterator[str]:
    """A line for each check, for people."""
    for check in checkpoint.precision_checks:
        verdict = "passed" if check.passed else "not passed"
        yield f"{check.precision}, {check.way}: {verdict}: {check} ({check.computed_by})"
