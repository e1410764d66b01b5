"""An Anatomy as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from asymfusion_ros.inspection.anatomy import Anatomy
from asymfusion_ros.inspection.norms import DEFINITIONS
from asymfusion_ros.inspection.provenance import printable

UNITS = ((10**9, "G"), (10**6, "M"), (10**3, "k"), (1, ""))


def parameters(found: Anatomy) -> Iterator[str]:
    """The lines about parameters."""
    yield "parameters"
    yield from _counts(
        found, {share.label: share.parameters for share in found.shares}, found.alone_parameters
    )


def flops(found: Anatomy) -> Iterator[str]:
    """The lines about FLOPs."""
    total = found.total_flops
    size, unit = next((pair for pair in UNITS if total >= pair[0]), UNITS[-1])
    yield (
        f"{unit}FLOP of a frame of {_names(found)}, {found.size[0]} x {found.size[1]} "
        "(2 a multiply-add of convolutions and matrix products; counted on shapes alone)"
    )
    yield from _counts(found, found.flops, found.alone_flops, size)
    if found.sites:
        by_hand = f" with {found.additions:,} additions, counted by hand," if found.additions else ""
        yield f"  fusion{by_hand} is {100 * found.fusion_share:.2g} % of the network"


def fusion(found: Anatomy) -> Iterator[str]:
    """The lines about where fusion happens."""
    if not found.sites:
        reason = "one modality" if len(found.config.modalities) == 1 else "fusion is none"
        yield f"fusion: nothing is exchanged ({reason})"
        return
    yield f"fusion in {_several(len(found.sites), 'block')}"
    rows = [("block", "stage", "channels", "kept", "height x width", "additions", "FLOPs")]
    for site in found.sites:
        rows.append(
            (
                site.block,
                site.stage,
                _known(site.channels),
                "-" if site.kept is None else str(site.kept),
                f"{_known(site.height)} x {_known(site.width)}",
                "-" if site.additions is None else f"{site.additions:,}",
                f"{site.flops:,}",
            )
        )
    yield from table(rows, left=2)


def ensemble(found: Anatomy) -> Iterator[str]:
    """The lines about the ensemble's weights."""
    if found.alpha:
        rows = [("ensemble", "alpha", "weight")]
        for name, alpha in found.alpha.items():
            rows.append((f"  {printable(name)}", f"{alpha:.4f}", f"{found.weights[name]:.4f}"))
        yield from table(rows, left=1, indent="")


def norms(found: Anatomy) -> Iterator[str]:
    """The lines about the distances between private norms."""
    if not found.norms:
        reason = "one modality" if len(found.config.modalities) == 1 else "all modalities share them"
        yield f"norms: none private ({reason})"
        return
    pairs = len(list(combinations(found.config.modalities, 2)))
    what = f"{_names(found, ' and ')}" if pairs == 1 else f"modalities, mean of {pairs} pairs"
    yield f"private norms: distance between {what} (0: equal; 1: as large as the quantity itself)"
    rows = [("stage", "norms", *DEFINITIONS)]
    for group in found.norm_groups:
        values = (getattr(group.distance, quantity) for quantity in DEFINITIONS)
        rows.append((group.name, str(group.layers), *(f"{value:.3f}" for value in values)))
    yield from table(rows, left=1)


def layers(found: Anatomy) -> Iterator[str]:
    """A line for each layer."""
    yield "layers, in the order in which they run (output: samples of all modalities x channels x h x w)"
    rows = [("name", "kind", "output", "parameters", "FLOPs")]
    for layer in found.layers:
        output = "-" if layer.output is None else " x ".join(map(str, layer.output))
        rows.append((layer.name, layer.kind, output, f"{layer.parameters:,}", f"{layer.flops:,}"))
    rows.append(("total", "", "", f"{found.parameters:,}", f"{found.total_flops:,}"))
    yield from table(rows, left=2)


def table(rows: Sequence[Sequence[str]], left: int, indent: str = "  ") -> Iterator[str]:
    """Columns as wide as their longest entry, the first ``left`` of them flush left."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths))
        ]
        yield (indent + "  ".join(cells)).rstrip()


def _counts(found: Anatomy, parts: Mapping[str, int], alone: int, unit: int = 1) -> Iterator[str]:
    """Each part and its share, the total, and what the first modality alone would have."""
    total = sum(parts.values())
    rows = [
        (printable(name), _number(number, unit), f"{100 * number / total:.2f} %" if total else "")
        for name, number in [*parts.items(), ("total", total)]
    ]
    first, *others = map(printable, found.config.modalities)
    more = ""
    if others and alone:
        rows.append((f"{first} alone", _number(alone, unit), ""))
        verb = "adds" if len(others) == 1 else "add"
        more = f"  {' and '.join(others)} {verb} {100 * (total - alone) / alone:.2f} %"
    *lines, last = table(rows, left=1)
    yield from lines
    yield last + more


def _number(number: int, unit: int) -> str:
    return f"{number:,}" if unit == 1 else f"{number / unit:,.3f}"


def _names(found: Anatomy, between: str = " + ") -> str:
    return between.join(map(printable, found.config.modalities))


def _several(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")


def _known(value: int | None) -> str:
    return "?" if value is None else str(value)
