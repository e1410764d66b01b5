"""What a finished row leaves: its scores, and the counts of each frame that intervals are made from."""

from __future__ import annotations

import io
import json
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from asymfusion_ros.atomic_write import write_whole
from asymfusion_ros.data.text_file import parse_json
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_training.recipe import Recipe

FILE = "outcome.json"
COUNTS = "counts.npz"


@dataclass(frozen=True)
class Outcome:
    """One row with one seed. made_from: recipe, data and scoring, which a later call is compared with.

    scores: by modality and of ``ensemble``: pixel_accuracy, mean_accuracy, mean_iou, as fractions; of images
    l1, psnr, ssim and what else was asked for.
    margins: likewise, F x 3 x K: of each frame the hits, the label's and the prediction's pixels; of images
    F x 3, the first three scores of each frame.
    """

    made_from: Mapping[str, Any]
    scores: Mapping[str, Mapping[str, float]]
    parameters: int
    minutes: float
    machine: str
    margins: Mapping[str, npt.NDArray[Any]]


def save_outcome(folder: Path, outcome: Outcome) -> None:
    """The counts before the scores: a row whose scores are there is whole."""
    content = io.BytesIO()
    np.savez_compressed(content, **dict(outcome.margins))  # type: ignore[arg-type]
    write_whole(folder / COUNTS, content.getvalue())
    values = asdict(outcome)
    del values["margins"]
    write_whole(folder / FILE, (json.dumps(values, indent=2) + "\n").encode())


def load_outcome(folder: Path, made_from: Mapping[str, Any]) -> Outcome | None:
    """The row in ``folder``, None where it has none yet.

    Raises ConfigError where it was made from something else, UserError where it cannot be read.
    """
    if not (folder / FILE).is_file():
        return None
    made_from = json.loads(json.dumps(made_from))  # lists for tuples, as what it is compared with has them
    try:
        values = parse_json((folder / FILE).read_text())
        with np.load(folder / COUNTS, allow_pickle=False) as counts:
            margins = {output: counts[output] for output in counts.files}
        outcome = Outcome(**values, margins=margins)
    except (OSError, ValueError, TypeError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        raise UserError(
            f"the outcome in {folder} cannot be read ({' '.join(str(error).split())}): remove that folder, "
            "and the row is done again"
        ) from error
    for group, now in made_from.items():
        before = outcome.made_from.get(group)
        if group == "recipe" and isinstance(before, Mapping):
            before = Recipe().upgraded(before)  # another version may have stored it
        if before == now:
            continue
        if isinstance(now, Mapping) and isinstance(before, Mapping):
            changed = next(key for key in sorted({*now, *before}) if now.get(key) != before.get(key))
            group, now, before = f"{group}: {changed}", now.get(changed), before.get(changed)
        raise ConfigError(
            f"{group} is {now!r}, but {folder} was made with {before!r}: set it back, "
            "or give another --output"
        )
    return outcome
