"""How the viewer is arranged: which views there are, and where."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import rerun as rr
import rerun.blueprint as rrb

OPACITY = 0.55  # of the mask over the picture
TITLES = {"rgb": "RGB", "mask": "mask", "truth": "labels", "errors": "errors"}


def arranged(kinds: Collection[str], modalities: Sequence[str], distance: float | None) -> rrb.Blueprint:
    """The views of what is there. ``kinds``: of FrameLog; ``modalities``: in the network's order. distance:
    of the middle of the scene, metres, or None where it is not known."""
    seen = [name for name in modalities if name in kinds]
    base = "rgb" if "rgb" in seen else next(iter(seen), None)
    rows: list[Any] = []
    top: list[Any] = []
    if base is not None and "mask" in kinds:
        top.append(_image_view("overlay", base, "mask"))
    elif base is not None:
        top.append(_image_view(TITLES.get(base, base), base))
    if "points" in kinds:
        top.append(_cloud_view(base, distance or 2.0))
    if top:
        rows.append((3.0, rrb.Horizontal(*top)))
    images = [_image_view(TITLES.get(name, name), name) for name in seen]
    images += [_image_view(TITLES[name], name) for name in ("mask", "truth", "errors") if name in kinds]
    levels: list[Any] = [_image_view(name, name) for name in ("confidence", "disagreement") if name in kinds]
    if "truth" in kinds and len(levels) > 1:
        levels = [rrb.Tabs(*levels)]
    if images or levels:
        rows.append((1.45, rrb.Horizontal(*images, *levels)))
    curves: list[tuple[float, Any]] = []
    if "class_shares" in kinds:
        curves.append((2.0, _curves("class shares, %", "class_shares")))
    if "means" in kinds:
        means = _curves("confidence and disagreement", "means", (0.0, 1.0))
        curves.append((1.2, means))
    if "latency" in kinds:
        curves.append((1.0, _curves("image to mask, ms", "latency")))
    if "notes" in kinds:
        curves.append((1.0, rrb.TextLogView(origin="notes", name="notes")))
    if curves:
        shares = [share for share, _ in curves]
        rows.append((1.6, rrb.Horizontal(*(view for _, view in curves), column_shares=shares)))
    return rrb.Blueprint(
        rrb.Vertical(*(row for _, row in rows), row_shares=[share for share, _ in rows]),
        rrb.BlueprintPanel(state="collapsed"),
        rrb.SelectionPanel(state="collapsed"),
        rrb.TimePanel(state="collapsed", timeline="stamp"),
        auto_views=False,
    )


def _image_view(title: str, *names: str) -> rrb.Spatial2DView:
    """The images of ``names``, the later ones over the first."""
    over: dict[Any, Any] = {
        f"camera/{name}": rr.SegmentationImage.from_fields(opacity=OPACITY).visualizer() for name in names[1:]
    }
    return rrb.Spatial2DView(
        origin="camera", contents=[f"camera/{name}" for name in names], name=title, overrides=over
    )


def _cloud_view(base: str | None, distance: float) -> rrb.Spatial3DView:
    """The cloud and the camera before it, seen from behind, to the left and above."""
    return rrb.Spatial3DView(
        origin="/",
        contents=["points", "camera", *([] if base is None else [f"camera/{base}"])],
        name="cloud",
        background=(18, 20, 24),
        line_grid=False,
        eye_controls=rrb.EyeControls3D(
            position=(-0.75 * distance, -0.55 * distance, -0.45 * distance),
            look_target=(0.0, 0.0, 0.9 * distance),
            eye_up=(0.0, -1.0, 0.0),
        ),
    )


def _curves(title: str, origin: str, extent: tuple[float, float] | None = None) -> rrb.TimeSeriesView:
    axis = None if extent is None else rrb.ScalarAxis(range=extent)
    return rrb.TimeSeriesView(origin=origin, name=title, axis_y=axis, plot_legend=rrb.Corner2D.LeftTop)
