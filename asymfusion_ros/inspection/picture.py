"""How far the private norms have moved apart, as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import groupby
from typing import TYPE_CHECKING

from asymfusion_ros.inspection.norms import NormLayer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# quantity, title of its panel, how it is computed; norms.DEFINITIONS with the usual letters
PANELS = (
    ("scale", "scale (learnt)", r"$\langle|\gamma_1-\gamma_2|\rangle\,/\,\langle|\gamma|\rangle$"),
    ("bias", "bias (learnt)", r"$\langle|\beta_1-\beta_2|\rangle\,/\,\langle|\gamma|\rangle$"),
    ("mean", "running mean", r"$\langle|\mu_1-\mu_2|\rangle\,/\,\langle\sigma\rangle$"),
    ("std", "running std", r"$\langle|\ln(\sigma_1/\sigma_2)|\rangle$"),
)
LINEAR = 1e-3  # the axis is logarithmic above this and linear down to zero below: equal norms are there too
COLOURS = ("tab:blue", "tab:orange", "tab:green", "tab:red", "tab:purple", "tab:brown")
OUTSIDE = "outside blocks"
INCHES_A_NORM = 0.13
LEAST, MOST = 10.0, 22.0  # inches of width


def norm_picture(layers: Sequence[NormLayer], title: str) -> bytes:
    """A PNG with a panel for each of norms.DEFINITIONS, over the norms in the order in which they run.

    Norms with the same place in their blocks make a curve: neighbours differ more by that than by depth.
    Grey and white bands are the stages, hatched ones the blocks that exchange features. Imports matplotlib,
    which the extra `train` brings.
    """
    from matplotlib.figure import Figure

    width = min(max(LEAST, 2 + INCHES_A_NORM * len(layers)), MOST)
    figure = Figure(figsize=(width, 10), layout="constrained")
    panels = figure.subplots(len(PANELS), 1, sharex=True, sharey=True)
    roles = _roles(layers)
    for axes, (quantity, name, formula) in zip(panels, PANELS):
        _background(axes, layers)
        for role, colour in roles.items():
            places = [place for place, layer in enumerate(layers) if _role(layer) == role]
            values = [getattr(layers[place].distance, quantity) for place in places]
            style = {"linestyle": "none", "marker": "D"} if role == OUTSIDE else {"marker": "o"}
            axes.plot(places, values, color=colour, markersize=4, linewidth=1, label=role, **style)
        axes.set(xlim=(-0.5, len(layers) - 0.5))
        axes.set_yscale("symlog", linthresh=LINEAR, linscale=0.5)
        axes.yaxis.set_major_formatter("{x:g}")
        axes.set_ylabel(f"{name}\n{formula}")
        axes.grid(axis="y", color="0.85", linewidth=0.5)
    _name_stages(panels[0], layers)
    _name_curves(figure, panels[0])
    largest = max(getattr(layer.distance, quantity) for layer in layers for quantity, _, _ in PANELS)
    panels[0].set_ylim(-LINEAR / 5, max(1.0, 1.3 * largest))
    figure.supylabel("distance between modalities: 0 equal, 1 as large as the quantity itself", fontsize=10)
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    panels[-1].set_xlabel("private norms in the order in which they run")
    figure.suptitle(title, fontsize=12)
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=110)
    return drawn.getvalue()


def _role(layer: NormLayer) -> str:
    """A norm's place in its block, as in `depthwise_norm` or `downsample`."""
    if layer.block is None:
        return OUTSIDE
    inside = layer.name.removeprefix(f"{layer.block}.")
    return ".".join(step for step in inside.split(".") if not step.isdigit()) or inside


def _roles(layers: Sequence[NormLayer]) -> dict[str, str]:
    """role -> colour, in the order in which they run in the block that has most of them."""
    blocks: dict[str | None, list[str]] = {}
    for layer in layers:
        blocks.setdefault(layer.block, []).append(_role(layer))
    outside = {OUTSIDE: "black"} if blocks.pop(None, None) else {}
    longest_first = sorted(blocks.values(), key=len, reverse=True)
    roles = dict.fromkeys(role for block in longest_first for role in block)
    return {**outside, **{role: COLOURS[i % len(COLOURS)] for i, role in enumerate(roles)}}


def _background(axes: Axes, layers: Sequence[NormLayer]) -> None:
    for i, (first, last) in enumerate(_runs([layer.stage for layer in layers])):
        if i % 2 == 0:
            axes.axvspan(first - 0.5, last + 0.5, color="0.94", linewidth=0, zorder=0)
    for first, last in _runs([layer.block for layer in layers]):
        if layers[first].fused:
            axes.axvspan(
                first - 0.5,
                last + 0.5,
                facecolor="none",
                edgecolor="0.75",
                hatch="///",
                linewidth=0,
                label="block with fusion",
                zorder=0.5,
            )


def _name_stages(axes: Axes, layers: Sequence[NormLayer]) -> None:
    """Above the panel, at two heights in turn where names would meet."""
    raised = False
    reached = -1.0
    for first, last in _runs([layer.stage for layer in layers]):
        name = layers[first].stage.label.replace(" at ", "\n")
        centre = (first + last) / 2
        half = 0.35 * max(map(len, name.splitlines())) * len(layers) / 48
        raised = not raised and centre - half < reached
        reached = centre + half
        axes.annotate(
            name,
            (centre, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 26 if raised else 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=8,
        )


def _name_curves(figure: Figure, axes: Axes) -> None:
    handles, names = axes.get_legend_handles_labels()
    once = dict(zip(names, handles))
    figure.legend(once.values(), once.keys(), loc="outside lower center", ncols=len(once), frameon=False)


def _runs(keys: Sequence[object]) -> Iterator[tuple[int, int]]:
    """First and last place of each run of equal keys."""
    for _, run in groupby(range(len(keys)), key=lambda place: keys[place]):
        places = list(run)
        yield places[0], places[-1]
