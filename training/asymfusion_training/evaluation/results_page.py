"""results.html: of each frame the inputs, every domain's image, the fused one and the truth."""

from __future__ import annotations

import html
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import numpy as np

from asymfusion_ros.atomic_write import make_folder, write_whole
from asymfusion_ros.data.colouring import png
from asymfusion_training.evaluation.image_scores import IMAGE_SCORES
from asymfusion_training.evaluation.picture_rows import Picture, in_rows, shown
from asymfusion_training.evaluation.translation_scorer import ENSEMBLE, Translated, TranslationScorer

PAGE, IMAGES = "results.html", "results"
STYLE = (
    "body { font: 14px sans-serif; margin: 24px } td { text-align: center; padding: 4px } "
    "img { width: 256px; display: block }"
)


def images_of(found: Translated, scorer: TranslationScorer) -> dict[str, Picture]:
    """H x W x 3 uint8 by title: inputs, what each domain gave, the ensemble (where there are several), the
    truth."""
    images = {
        f"input: {name}": shown(found.frame.images[name], scorer.spec, name) for name in scorer.modalities
    }
    for name, image in found.images.items():
        if name != ENSEMBLE:
            images[f"from {name}"] = _rows(image.numpy())
        elif len(scorer.modalities) > 1:
            images["fused"] = _rows(image.numpy())
    images[f"truth: {scorer.target}"] = _rows(found.truth.numpy())
    return images


def _rows(image: np.ndarray) -> Picture:
    return np.ascontiguousarray(image.transpose(1, 2, 0))


def results_picture(scorer: TranslationScorer, names: Iterable[str]) -> Picture:
    """A row for each frame, H x W x 3 uint8 RGB."""
    return in_rows([list(images_of(scorer.translate(name), scorer).values()) for name in names])


class ResultsPage:
    """Writes the images of each frame as they come, and then the page. Raises UserError where it cannot."""

    def __init__(self, folder: Path, title: str, scorer: TranslationScorer) -> None:
        self.folder, self.title, self.scorer = folder, title, scorer
        self.rows: list[str] = []

    def add(self, found: Translated) -> None:
        """A frame."""
        cells = []
        for title, image in images_of(found, self.scorer).items():
            name = f"{found.frame.name}_{title.replace(': ', '_').replace(' ', '_')}.png"
            path = self.folder / IMAGES / name
            make_folder(path.parent)
            write_whole(path, png(image))
            link = quote(f"{IMAGES}/{name}")
            cells.append(f'<td><a href="{link}"><img src="{link}"></a>{html.escape(title)}</td>')
        numbers = ", ".join(
            f"{score.title} {value:.3f}"
            for score, value in zip(IMAGE_SCORES.values(), found.scores()[ENSEMBLE].tolist())
        )
        heading = f"{html.escape(found.frame.name)}: {html.escape(numbers)}"
        self.rows.append(f"<h3>{heading}</h3>\n<table><tr>{''.join(cells)}</tr></table>")

    def write(self) -> Path:
        """The page of the frames so far."""
        title = html.escape(self.title)
        head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        path = self.folder / PAGE
        page = "\n".join(["<!DOCTYPE html>", f"<html><head>{head}</head><body><h1>{title}</h1>", *self.rows])
        write_whole(path, f"{page}\n</body></html>\n".encode())
        return path
