"""Scores of a network on a split: every branch and the ensemble, at the label's own resolution."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tqdm import tqdm

from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.metrics import ConfusionMatrix
from asymfusion_ros.errors import UserError
from asymfusion_ros.network import SegmentationNetwork
from asymfusion_training.evaluation.scorer import Scorer, Scores
from asymfusion_training.evaluation.settings import Settings
from asymfusion_training.evaluation.tally import Tallies, summed

PLAIN = Settings()


def evaluate(
    network: SegmentationNetwork,
    spec: InputSpec,
    folder: Folder,
    names: Iterable[str],
    modalities: Sequence[str] | None = None,
    progress: bool = True,
    settings: Settings = PLAIN,
) -> dict[str, ConfusionMatrix]:
    """A confusion matrix for each branch and ``ensemble``, over the frames called ``names``.

    The network stays on its device and comes back in the mode that it was in. ``modalities``: those given to
    it (None: all it has); the others are absent, and need no files. Raises UserError for frames that cannot
    be read, or that have no label at all.
    """
    present = network.config.modalities if modalities is None else modalities
    names = list(names)
    was_training = network.training
    network.eval()
    try:
        scorer = Scorer(network, spec, folder, tuple(present), settings)
        tallies = summed(with_progress(scorer.frames(names), len(names), progress))
    finally:
        network.train(was_training)
    check_labelled(tallies, folder)
    return {branch: tally.confusion for branch, tally in tallies.items()}


def with_progress(frames: Iterator[Scores], total: int, progress: bool = True) -> Iterator[Scores]:
    yield from tqdm(frames, "evaluate", total, unit="frame", disable=not progress, leave=False)


def check_labelled(tallies: Tallies, folder: Folder) -> None:
    """Raises UserError where there is nothing to score."""
    ensemble = tallies["ensemble"]
    if not ensemble.confusion.counts.any():
        raise UserError(
            f"all pixels of the {len(ensemble.margins)} frames are void: look at {folder.root / 'label'} "
            "and at void in dataset.yaml"
        )
