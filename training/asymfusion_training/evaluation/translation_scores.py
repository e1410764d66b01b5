"""The scores of a translation checkpoint over a split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from asymfusion_ros.checkpoint import Checkpoint
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.engine.backends.torch import TorchBackend
from asymfusion_training.evaluation.bootstrap import all_resamples, interval
from asymfusion_training.evaluation.image_scores import IMAGE_SCORES
from asymfusion_training.evaluation.inception_scores import (
    INCEPTION_SCORES,
    check_inception,
    inception_scores,
)
from asymfusion_training.evaluation.results_page import ResultsPage
from asymfusion_training.evaluation.translation_scorer import TranslationScorer

Values = npt.NDArray[np.float64]
SHOWN = 200  # frames on a page


@dataclass(frozen=True)
class TranslationScores:
    """values: F x 3 of each output, IMAGE_SCORES by frame. inception: FID and KID of each, as asked for."""

    values: Mapping[str, Values]
    inception: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def means(self) -> dict[str, dict[str, float]]:
        """Every score of each output over the split."""
        return {
            output: {**dict(zip(IMAGE_SCORES, rows.mean(0).tolist())), **self.inception.get(output, {})}
            for output, rows in self.values.items()
        }


def translation_scores(
    checkpoint: Checkpoint,
    folder: Folder,
    names: Sequence[str],
    modalities: Sequence[str],
    scores: Sequence[str],
    inception: Path | None = None,
    device: str = "auto",
    precision: str = "fp32",
    results: Path | None = None,
    progress: bool = True,
) -> TranslationScores:
    """modalities: given to the network, in its order. scores: of IMAGE_SCORES and INCEPTION_SCORES, the
    latter with their weights. results: a folder for results.html. Raises UserError."""
    wanted = [score for score in scores if score in INCEPTION_SCORES]
    weights = check_inception(inception) if wanted else None
    assert checkpoint.target is not None
    backend = TorchBackend(checkpoint, device, precision)
    scorer = TranslationScorer(backend, checkpoint.input_spec, folder, tuple(modalities), checkpoint.target)
    page = None if results is None else ResultsPage(results, f"{folder.name}: {checkpoint.target}", scorer)
    rows: dict[str, list[Tensor]] = {output: [] for output in scorer.outputs}
    images: dict[str, list[Tensor]] = {output: [] for output in ("truth", *scorer.outputs)}
    for number, found in enumerate(scorer.translated(names, progress)):
        for output, numbers in found.scores().items():
            rows[output].append(numbers)
        if weights is not None:
            for output, image in {**found.images, "truth": found.truth}.items():
                images[output].append(image)
        if page is not None and number < SHOWN:
            page.add(found)
    if page is not None:
        page.write()
    values = {output: torch.stack(of_frames).numpy() for output, of_frames in rows.items()}
    if weights is None:
        return TranslationScores(values)
    cuda = backend.device.type == "cuda"
    return TranslationScores(
        values,
        {
            output: inception_scores(images[output], images["truth"], wanted, weights, cuda)
            for output in scorer.outputs
        },
    )


def mean_difference(one: Values, other: Values, seed: int = 0) -> tuple[float, float, float]:
    """(difference of the means, low, high) of a paired bootstrap over the frames; F numbers each."""
    apart = one - other
    drawn = [draws @ apart / len(apart) for draws in all_resamples(len(apart), seed)]
    return float(apart.mean()), *interval(np.concatenate(drawn))
