"""A report of `asymfusion bench` in lines for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

COLUMNS = ("p50", "p95", "p99", "best")
# name in the report -> (heading, what tells its rows apart)
SWEEPS = {
    "sizes": ("network inputs", "input"),
    "modality_sets": ("modalities", "modalities"),
    "cameras": ("cameras in one call", "cameras"),
    "streams": ("segmenters at once", "streams"),
}
SHOWN = ("network", "total")
MOST_KINDS = 15  # of operations in a profile's table


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """Of the whole report."""
    width, height = report["size"]
    yield (
        f"{report['checkpoint']} on {report['device']}, {report['backend']} {report['precision']}, "
        f"{report['threads']} threads: "
        f"{' + '.join(report['modalities'])} {width}x{height}, {report['frames']} frames"
    )
    yield f"{report['precision']}: {report['precision_reason']}"
    yield _row("stage", [f"{column} ms" for column in COLUMNS])
    for part, values in {**report["milliseconds"], **report.get("geometry", {})}.items():
        yield _times(part, values) + ("" if part in report["milliseconds"] else "  (not in the total)")
    yield from _figures(report)
    if "profile" in report:
        yield from _profile(report["profile"])
    if "loaded" in report:
        loaded = report["loaded"]
        yield f"beside {loaded['processes']} busy processes:"
        for part in SHOWN:
            yield _times(part, loaded["milliseconds"][part])
        yield from _figures(loaded)
    memory = report["peak_memory"]
    yield "memory at most: " + ", ".join(f"{memory[name]:.0f} MiB ({name[:-4]})" for name in memory)
    if "node" in report:
        yield _node(report["node"])
        for name in ("stream", "stream_loaded"):
            if name in report["node"]:
                yield _stream(report["node"][name])


def _profile(rows: list[dict[str, Any]]) -> Iterator[str]:
    width = max(len(row["kind"]) for row in rows[:MOST_KINDS])
    yield f"where the network's time goes, {sum(row['ms'] for row in rows):.1f} ms as the runtime counts it:"
    yield f"{'operation':{width}}{'calls':>8}{'ms':>9}{'share':>8}"
    for row in rows[:MOST_KINDS]:
        yield f"{row['kind']:{width}}{row['calls']:8g}{row['ms']:9.2f}{row['share']:8.1%}"
    if rest := rows[MOST_KINDS:]:
        left = sum(row["share"] for row in rest)
        yield f"{f'{len(rest)} others':{width}}{'':8}{sum(row['ms'] for row in rest):9.2f}{left:8.1%}"


def sweep_label(name: str, row: Mapping[str, Any]) -> str:
    """What a row of a sweep is of: 640x480, rgb+depth, 4."""
    value = row[SWEEPS[name][1]]
    return "x".join(map(str, value)) if isinstance(value, list) else str(value)


def _figures(figures: Mapping[str, Any]) -> Iterator[str]:
    """What is measured in each condition."""
    said = f"{figures['masks_per_second']} masks a second (from the median of the total)"
    if "plain_eager" in figures:
        plain = figures["plain_eager"]["p50"]
        said += f", {figures['times_plain_eager']} times plain eager fp32 ({plain:.0f} ms)"
    yield said
    machine, share = figures["machine"], figures["share"]
    yield (
        f"the network: {share['gflop']:.2f} GFLOP at {share['gflops']:.0f} GFLOP/s, "
        f"{share['of_matrix_rate']:.0%} of what this machine does ({machine['precision']}: matrices "
        f"{machine['matrix_gflops']:.0f}, convolutions {machine['convolution_gflops']:.0f}); its layers' "
        f"reads and writes are {share['of_copy_bandwidth']:.0%} of a copy's "
        f"{machine['copy_gb_per_second']:.1f} GB/s"
    )
    for name, (heading, _) in SWEEPS.items():
        if name in figures:
            yield from _sweep(name, heading, figures[name])


def _sweep(name: str, heading: str, rows: list[dict[str, Any]]) -> Iterator[str]:
    label = max([len(heading), *(len(sweep_label(name, row)) for row in rows)]) + 2
    parts = [part for part in SHOWN if part in rows[0]["milliseconds"]]
    heads = "".join(f"{f'{part} p50, p95 ms':>24}" for part in parts)
    yield heading.ljust(label) + heads + ("   of the matrix rate" if "share" in rows[0] else "     masks/s")
    for row in rows:
        times = "".join(
            f"{'{:.2f}, {:.2f}'.format(*(row['milliseconds'][part][p] for p in ('p50', 'p95'))):>24}"
            for part in parts
        )
        last = (
            f"{row['share']['of_matrix_rate']:21.0%}"
            if "share" in row
            else f"{row['masks_per_second']:12.2f}"
        )
        yield sweep_label(name, row).ljust(label) + times + last


def _times(name: str, values: Mapping[str, float]) -> str:
    return _row(name, [f"{values[column]:.2f}" for column in COLUMNS])


def _row(name: str, values: list[str]) -> str:
    return "".join([f"{name:12}", *(f" {value:>9}" for value in values)])


def _node(node: Mapping[str, Any]) -> str:
    return (
        f"node: {node['loop']['p50']:.2f} ms from publishing a frame to having its "
        f"{', '.join(node['outputs'])} = engine "
        f"{node['engine']['p50']:.2f} + transport {node['transport']['p50']:.2f} + the node's own "
        f"{node['own_ms']:.2f} ({100 * node['own_share']:.1f} % of the engine)"
    )


def _stream(stream: Mapping[str, Any]) -> str:
    beside = f", beside {stream['processes']} busy processes" if "processes" in stream else ""
    times = ", ".join(f"{column} {stream['milliseconds'][column]:.0f}" for column in COLUMNS)
    return (
        f"a camera of {stream['rate']:g} frames a second{beside}: "
        f"{stream['masks_per_second']} masks a second for {stream['seconds']:g} s; "
        f"from sending a frame to its mask in ms: {times}"
    )
