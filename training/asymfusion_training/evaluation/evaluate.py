"""Confusion matrices of a network over frames: of each modality and the ensemble, at the label's size."""

from __future__ import annotations

from collections.abc import Sequence

from tqdm import tqdm

from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.metrics import ConfusionMatrix
from asymfusion_ros.engine.backends.base import Backend
from asymfusion_ros.errors import UserError
from asymfusion_training.evaluation.counts import SplitScores, summed
from asymfusion_training.evaluation.scorer import Scorer
from asymfusion_training.evaluation.scoring_settings import ScoringSettings


def evaluate(
    backend: Backend,
    modalities: Sequence[str],
    spec: InputSpec,
    folder: Folder,
    names: Sequence[str],
    settings: ScoringSettings | None = None,
    progress: bool = True,
) -> dict[str, ConfusionMatrix]:
    """A confusion matrix for each modality and ``ensemble``, over the frames called ``names``.

    modalities: those given to the network, in its order; the others are absent, and need no files. Raises
    UserError for frames that cannot be read, or that have no label at all.
    """
    scorer = Scorer(backend, spec, folder, tuple(modalities), settings or ScoringSettings())
    frames = tqdm(
        scorer.frames(names), "evaluate", len(names), unit="frame", disable=not progress, leave=False
    )
    scores = summed(scorer.outputs, len(folder.labels), frames)
    check_labelled(scores, folder)
    return {output: counts.confusion for output, counts in scores.items()}


def check_labelled(scores: SplitScores, folder: Folder) -> None:
    """Raises UserError where there is nothing to score."""
    ensemble = scores["ensemble"]
    if not ensemble.confusion.counts.any():
        raise UserError(
            f"all pixels of the {len(ensemble.margins)} frames are void: look at {folder.root / 'label'} "
            "and at void in dataset.yaml"
        )
