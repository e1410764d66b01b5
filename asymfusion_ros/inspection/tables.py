"""An Anatomy as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from asymfusion_ros.inspection.anatomy import Anatomy
from asymfusion_ros.inspection.norms import DEFINITIONS
from asymfusion_ros.inspection.provenance import printable


def parameters(found: Anatomy) -> Iterator[str]:
    total = found.parameters
    yield "parameters"
    for share in found.shares:
        yield _count(printable(share.label), share.parameters, total)
    yield _count("total", total, total)
    yield _one(found, found.alone_parameters, total)


def flops(found: Anatomy) -> Iterator[str]:
    total = found.total_flops
    yield (
        f"FLOPs of a frame of {_names(found)}, {found.size[0]} x {found.size[1]} "
        "(2 a multiply-add; convolutions and matrix products; counted on shapes alone)"
    )
    for part, number in found.flops.items():
        yield _count(part, number, total)
    yield _count("total", total, total)
    yield _one(found, found.alone_flops, total)
    if found.sites:
        by_hand = "" if found.additions == 0 else f" with {_big(found.additions)} additions, counted by hand,"
        yield f"  fusion{by_hand} is {100 * found.fusion_share:.2g} % of the network"


def fusion(found: Anatomy) -> Iterator[str]:
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
    if found.alpha:
        rows = [("ensemble", "alpha", "weight")]
        for name, alpha in found.alpha.items():
            rows.append((f"  {printable(name)}", f"{alpha:.4f}", f"{found.weights[name]:.4f}"))
        yield from table(rows, left=1, indent="")


def norms(found: Anatomy) -> Iterator[str]:
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
            cell.ljust(width) if i < left else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))
        ]
        yield (indent + "  ".join(cells)).rstrip()


def _count(name: str, number: int, total: int) -> str:
    share = f"{100 * number / total:6.2f} %" if total else ""
    return f"  {name:24} {number:>17,} {share}".rstrip()


def _one(found: Anatomy, alone: int, total: int) -> str:
    modalities = found.config.modalities
    if len(modalities) == 1:
        return f"  {'of its one modality':24} {alone:>17,}"
    others = " + ".join(map(printable, modalities[1:]))
    more = f", {others} adds {100 * (total - alone) / alone:.2f} %" if alone else ""
    return f"  {printable(modalities[0]) + ' alone':24} {alone:>17,}{more}"


def _names(found: Anatomy, between: str = " + ") -> str:
    return between.join(map(printable, found.config.modalities))


def _big(number: float) -> str:
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return str(number)


def _several(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")


def _known(value: int | None) -> str:
    return "?" if value is None else str(value)
