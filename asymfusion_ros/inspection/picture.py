"""How far the private norms have moved apart, as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import groupby
from typing import TYPE_CHECKING

from asymfusion_ros.inspection.norms import NormLayer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A panel for what training learns, one for what it counts: quantity, colour, marker, what the legend says
Curve = tuple[str, str, str, str]
LEARNT: tuple[Curve, ...] = (
    ("scale", "tab:blue", "o", r"scale: $\langle|\gamma_1-\gamma_2|\rangle\,/\,\langle|\gamma|\rangle$"),
    ("bias", "tab:orange", "s", r"bias: $\langle|\beta_1-\beta_2|\rangle\,/\,\langle|\gamma|\rangle$"),
)
COUNTED: tuple[Curve, ...] = (
    ("mean", "tab:green", "o", r"mean: $\langle|\mu_1-\mu_2|\rangle\,/\,\langle\sigma\rangle$"),
    ("std", "tab:red", "s", r"std: $\langle|\ln(\sigma_1/\sigma_2)|\rangle$"),
)
INCHES_A_NORM = 0.11


def norm_picture(layers: Sequence[NormLayer], title: str) -> bytes:
    """A PNG: the distances of norms.DEFINITIONS over the norms in the order in which they run.

    Grey and white bands are the stages, hatched ones the blocks that exchange features. Imports matplotlib,
    which the extra `train` brings.
    """
    from matplotlib.figure import Figure

    width = min(max(9.0, 3 + INCHES_A_NORM * len(layers)), 22.0)
    figure = Figure(figsize=(width, 7), layout="constrained")
    learnt, counted = figure.subplots(2, 1, sharex=True)
    for axes, curves, ylabel in (
        (learnt, LEARNT, "what training learns"),
        (counted, COUNTED, "running statistics"),
    ):
        _background(axes, layers)
        for quantity, colour, marker, label in curves:
            values = [getattr(layer.distance, quantity) for layer in layers]
            axes.plot(values, color=colour, marker=marker, markersize=3.5, linewidth=0.9, label=label)
        axes.set(ylabel=f"distance: {ylabel}", xlim=(-0.5, len(layers) - 0.5))
        axes.set_ylim(bottom=0)
        axes.grid(axis="y", color="0.85", linewidth=0.5)
        axes.legend(loc="upper right", framealpha=0.9)
    for first, last, layer in _runs(layers, [layer.stage for layer in layers]):
        learnt.annotate(
            layer.stage.label.replace(" at ", "\n"),
            ((first + last) / 2, 1.01),
            xycoords=("data", "axes fraction"),
            ha="center",
            va="bottom",
            fontsize=7,
        )
    counted.set_xlabel("private norm, in the order in which they run")
    figure.suptitle(title, fontsize=11)
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=120)
    return drawn.getvalue()


def _background(axes: Axes, layers: Sequence[NormLayer]) -> None:
    for i, (first, last, _) in enumerate(_runs(layers, [layer.stage for layer in layers])):
        if i % 2 == 0:
            axes.axvspan(first - 0.5, last + 0.5, color="0.95", linewidth=0, zorder=0)
    label = "block with fusion"
    for first, last, layer in _runs(layers, [layer.block for layer in layers]):
        if layer.fused:
            axes.axvspan(
                first - 0.5, last + 0.5, facecolor="none", edgecolor="0.6", hatch="///", linewidth=0, label=label, zorder=0.5
            )
            label = "_"  # once in the legend


def _runs(layers: Sequence[NormLayer], keys: Sequence[object]) -> Iterator[tuple[int, int, NormLayer]]:
    """First and last place of each run of equal keys, and its first layer."""
    for _, places in groupby(range(len(layers)), key=lambda place: keys[place]):
        first, *rest = places
        yield first, rest[-1] if rest else first, layers[first]
