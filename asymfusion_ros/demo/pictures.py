"""Pictures for people: RGB, depth and overlay side by side, with a legend; a contact sheet; an animation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from asymfusion_ros.atomic_write import whole
from asymfusion_ros.data.colouring import UNKNOWN, colour_values, value_range
from asymfusion_ros.data.labels import VOID, LabelSet
from asymfusion_ros.demo.views import View

BACKGROUND, TEXT, FAINT = (24, 26, 30), (236, 238, 240), (150, 156, 164)
GAP = 12
LEGEND_CLASSES = 12  # the largest that the legend names
LEGEND_SHARE = 0.005  # smaller ones would read "0%"
SHEET_COLUMNS = 2


@dataclass(frozen=True)
class Caption:
    """The words on a picture: what is shown, and its numbers."""

    title: str
    numbers: str


class Painter:
    """Draws views with one label set and one depth range (metres), so that pictures can be compared."""

    def __init__(self, labels: LabelSet, views: Sequence[View]) -> None:
        self._labels = labels
        self._near, self._far = depth_range(views)

    def picture(self, view: View, caption: Caption, width: int = 640) -> Image.Image:
        """The view's three panels, each ``width`` pixels wide, under the caption and above the legend."""
        size = width / 640
        gap, small, large = (round(value * size) for value in (GAP, 20, 26))
        small, large = max(small, 12), max(large, 14)
        height = round(view.rgb.shape[0] * width / view.rgb.shape[1])
        header, label, legend = large + gap, small + gap, 2 * (small + gap)
        canvas = Image.new(
            "RGB", (3 * width + 4 * gap, gap + header + label + height + gap + legend), BACKGROUND
        )
        draw = ImageDraw.Draw(canvas)
        draw.text((gap, gap), caption.title, TEXT, _font(large))
        draw.text((canvas.width - gap, gap), caption.numbers, FAINT, _font(small), anchor="ra")
        depth = f"depth, {self._near:.1f} to {self._far:.1f} m" if view.depth is not None else "no depth"
        names = ("RGB", depth, "segmentation")
        top = gap + header + label
        for index, (name, pixels) in enumerate(zip(names, self._panels(view), strict=True)):
            left = gap + index * (width + gap)
            draw.text((left, top - label + gap // 2), name, FAINT, _font(small))
            resample = Image.Resampling.LANCZOS if name != depth else Image.Resampling.NEAREST
            canvas.paste(Image.fromarray(pixels).resize((width, height), resample), (left, top))
        self._legend(draw, view.mask, gap, top + height + gap, canvas.width - gap, small)
        return canvas

    def _panels(self, view: View) -> tuple[npt.NDArray[np.uint8], ...]:
        depth = np.full_like(view.rgb, UNKNOWN)
        if view.depth is not None:
            depth = colour_values(view.depth, self._near, self._far)
        overlay = Image.fromarray(view.overlay)
        draw, size = ImageDraw.Draw(overlay), max(12, round(overlay.width / 36))
        for name, x, y in places_for_names(view.mask, self._labels, size):
            half = draw.textlength(name, _font(size)) / 2 + 2
            x = round(min(max(x, half), overlay.width - half))
            draw.text((x, y), name, TEXT, _font(size), anchor="mm", stroke_width=2, stroke_fill=BACKGROUND)
        return view.rgb, depth, np.asarray(overlay)

    def _legend(
        self,
        draw: ImageDraw.ImageDraw,
        mask: npt.NDArray[np.uint8],
        left: int,
        top: int,
        right: int,
        size: int,
    ) -> None:
        """Swatch, name and share of the largest classes of a mask, in two lines."""
        font, x, y, line = _font(size), left, top, size + size // 2
        for name, share, colour in class_shares(mask, self._labels)[:LEGEND_CLASSES]:
            if share < LEGEND_SHARE:
                return
            words = f"{name} {share:.0%}"
            needed = size + size // 3 + draw.textlength(words, font) + size
            if x + needed > right:
                x, y = left, y + line
                if y > top + line:
                    return
            draw.rectangle((x, y + size // 8, x + size, y + size // 8 + size), colour, FAINT)
            draw.text((x + size + size // 3, y), words, TEXT, font)
            x += round(needed)


def places_for_names(mask: npt.NDArray[np.uint8], labels: LabelSet, size: int) -> list[tuple[str, int, int]]:
    """Where to write the names of the classes in a mask: name, x, y of its middle in pixels.

    In the largest region of each class, at the point farthest from its edge; none where letters of
    ``size`` pixels would not fit.
    """
    places = []
    for value in np.unique(mask[mask != VOID]):
        _, regions, boxes, _ = cv2.connectedComponentsWithStats((mask == value).astype(np.uint8))
        largest = 1 + int(boxes[1:, cv2.CC_STAT_AREA].argmax())
        # A border, so that the edge of the picture counts as one of the region.
        region = np.pad((regions == largest).astype(np.uint8), 1)
        depth = cv2.distanceTransform(region, cv2.DIST_L2, 3)
        if depth.max() >= size:
            y, x = np.unravel_index(int(depth.argmax()), depth.shape)
            places.append((labels.names[value], int(x) - 1, int(y) - 1))
    return places


def class_shares(
    mask: npt.NDArray[np.uint8], labels: LabelSet
) -> list[tuple[str, float, tuple[int, int, int]]]:
    """Name, share of the pixels (0 to 1) and colour of each class in a mask, the largest first."""
    values, counts = np.unique(mask, return_counts=True)
    palette = labels.palette
    shares = []
    for value, count in sorted(zip(values, counts, strict=True), key=lambda pair: -pair[1]):
        name = "unlabelled" if value == VOID else labels.names[value]
        red, green, blue = (int(channel) for channel in palette[value])
        shares.append((name, float(count / mask.size), (red, green, blue)))
    return shares


def depth_range(views: Sequence[View]) -> tuple[float, float]:
    """The 2nd and 98th percentile of all depths, in metres, so that a few far pixels cost no contrast."""
    # Every 8th pixel each way: a percentile needs no more.
    parts = [view.depth[::8, ::8].ravel() for view in views if view.depth is not None]
    return value_range(np.concatenate(parts) if parts else np.zeros(0, np.float32))


def contact_sheet(pictures: Sequence[Image.Image], heading: str, width: int = 960) -> Image.Image:
    """The pictures in two columns, each ``width`` pixels wide, under a heading."""
    small = [picture.resize((width, round(picture.height * width / picture.width))) for picture in pictures]
    columns = min(SHEET_COLUMNS, len(small))
    rows = [small[start : start + columns] for start in range(0, len(small), columns)]
    top = 56
    height = top + sum(max(picture.height for picture in row) for row in rows)
    sheet = Image.new("RGB", (columns * width, height), BACKGROUND)
    ImageDraw.Draw(sheet).text((GAP, GAP), heading, TEXT, _font(24))
    for row in rows:
        for column, picture in enumerate(row):
            sheet.paste(picture, (column * width, top))
        top += max(picture.height for picture in row)
    return sheet


def save_animation(pictures: Sequence[Image.Image], path: Path, seconds: Sequence[float]) -> None:
    """An endless animated WebP; each picture is shown for its number of seconds."""
    first, *rest = pictures
    milliseconds = [round(duration * 1000) for duration in seconds]
    options = {"append_images": rest, "duration": milliseconds, "loop": 0, "quality": 65, "method": 2}
    with whole(path) as partial:
        first.save(partial, "WEBP", save_all=True, **options)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
