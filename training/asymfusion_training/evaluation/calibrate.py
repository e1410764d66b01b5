"""A checkpoint's temperatures and how far its modalities usually disagree, from the frames of a split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tqdm import tqdm

from asymfusion_ros import Segmenter
from asymfusion_ros.checkpoint import Checkpoint
from asymfusion_ros.checkpoint.description import available_key, available_sets
from asymfusion_ros.checkpoint.usual_disagreement import UsualDisagreement, histogram
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.engine.disagreement import disagreement
from asymfusion_ros.engine.postprocess import confidence_at, labels_at
from asymfusion_training.evaluation.calibration import (
    Counts,
    TemperatureFit,
    confidence_counts,
    expected_calibration_error,
    summed,
)
from asymfusion_training.evaluation.predict import view_logits
from asymfusion_training.evaluation.scorer import Scorer


@dataclass(frozen=True)
class Fitted:
    """The temperature of a set of available modalities; before, after: the calibration error on the frames
    that it was fitted to, a fraction. usual: how far two and more modalities disagree, else None."""

    modalities: tuple[str, ...]
    temperature: float
    before: float
    after: float
    usual: UsualDisagreement | None = None

    @property
    def key(self) -> str:
        """Its name in a checkpoint."""
        return available_key(self.modalities)


def calibrate(
    segmenter: Segmenter,
    folder: Folder,
    names: Sequence[str],
    modalities: Sequence[str],
    progress: bool = True,
) -> list[Fitted]:
    """A temperature for every set of these modalities, which are in the network's order, all of them first,
    and their usual disagreement.

    The frames called ``names`` are looked at twice for each set. Raises UserError for one that cannot be
    read, ValueError where no pixel is labelled.
    """
    sets = available_sets(modalities)
    with tqdm(
        total=2 * len(sets) * len(names), desc="calibrate", unit="frame", disable=not progress, leave=False
    ) as bar:
        return [_fitted(segmenter, folder, names, given, bar) for given in sets]


def with_temperatures(
    checkpoint: Checkpoint, fitted: Sequence[Fitted], data: str, split: str, frames: int
) -> Checkpoint:
    """The same weights with what was fitted; sets that were not keep theirs."""
    return replace(
        checkpoint,
        temperatures={**checkpoint.temperatures, **{one.key: one.temperature for one in fitted}},
        disagreements={
            **checkpoint.disagreements,
            **{one.key: one.usual for one in fitted if one.usual is not None},
        },
        provenance={**checkpoint.provenance, "calibrated": {"data": data, "split": split, "frames": frames}},
    )


def calibration_table(fitted: Sequence[Fitted]) -> str:
    """A line for each set of modalities, for people."""
    column = max(len("modalities"), *(len(one.key) for one in fitted)) + 2
    lines = ["modalities".ljust(column) + "temperature   calibration error in %, before and after"]
    for one in fitted:
        errors = f"{100 * one.before:.2f}".rjust(10) + f"{100 * one.after:.2f}".rjust(10)
        lines.append(one.key.ljust(column) + f"{one.temperature:.3f}".rjust(11) + errors)
    for one in fitted:
        if one.usual is not None:
            lines.append(disagreement_line(one.key, one.usual))
    return "\n".join(lines)


def disagreement_line(key: str, usual: UsualDisagreement) -> str:
    """For people."""
    return (
        f"{key} usually disagree beyond {usual.level} of 255 in {100 * usual.quantile(0.5):.1f} % of pixels, "
        f"in 95 of 100 frames in at most {100 * usual.quantile(0.95):.1f} %"
    )


def _fitted(
    segmenter: Segmenter,
    folder: Folder,
    names: Sequence[str],
    modalities: tuple[str, ...],
    bar: tqdm[None],
) -> Fitted:
    spec = segmenter.checkpoint.input_spec
    scorer = Scorer(segmenter.backend, spec, folder, modalities)
    apart = []

    def tables(temperature: float, fit: TemperatureFit | None = None) -> Iterator[Counts]:
        for frame in scorer.read_ahead(names):
            label = frame.label
            assert label is not None
            found = view_logits(scorer.backend, spec, scorer.images(frame))
            logits = found["ensemble"][0]
            if fit is not None:
                fit.add(logits, label)
                if len(modalities) > 1:
                    levels = disagreement([found[name][0] for name in modalities])
                    apart.append(histogram(levels.cpu().numpy()))
            height, width = label.shape
            labels = labels_at(logits, (height, width)).cpu().numpy()
            confidence = confidence_at(logits, (height, width), temperature).cpu().numpy()
            bar.update()
            yield confidence_counts(label, labels, confidence)

    fit = TemperatureFit(len(names))
    before = summed(tables(segmenter.checkpoint.temperature(modalities), fit))
    temperature = fit.temperature()
    after = summed(tables(temperature))
    return Fitted(
        modalities,
        temperature,
        expected_calibration_error(before),
        expected_calibration_error(after),
        UsualDisagreement.measured(apart) if apart else None,
    )
