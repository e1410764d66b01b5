"""Everything that is measured under one condition: idle, or beside other work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from asymfusion_ros.benchmark import sweeps
from asymfusion_ros.benchmark.figures import summary
from asymfusion_ros.benchmark.machine_rate import MachineRate, machine_rate, network_work, shares
from asymfusion_ros.benchmark.plain import PlainEager
from asymfusion_ros.benchmark.profile import network_profile
from asymfusion_ros.benchmark.stages import PLAIN, Frames, Times, measure
from asymfusion_ros.checkpoint.description import available_key
from asymfusion_ros.engine.segmenter import Segmenter


@dataclass(frozen=True)
class Plan:
    """What to measure. height, width: of the images. modalities: of each frame. sizes: (height, width) of the
    network's inputs; modality_sets, cameras, streams: see ``sweeps``; empty ones are left out."""

    height: int
    width: int
    modalities: Sequence[str]
    frames: int = 60
    warm_up: int = 10
    plain: bool = True
    sizes: Sequence[sweeps.Size] = ()
    modality_sets: Sequence[tuple[str, ...]] = ()
    cameras: Sequence[int] = ()
    streams: Sequence[int] = ()
    profile: bool = False


def measured(segmenter: Segmenter, make: Callable[[], Segmenter], plan: Plan) -> dict[str, Any]:
    """``make``: opens the same segmenter once more. What is there, as JSON can hold it."""

    def frames(names: Sequence[str] = plan.modalities, of: Segmenter = segmenter) -> Frames:
        return Frames(of, names, plan.height, plan.width)

    precision = segmenter.backend.precision
    # torch has no plain matrices of int8 to measure on a CPU.
    rate = machine_rate(segmenter.device, "fp32" if precision == "int8" else precision)
    plain = PlainEager(segmenter) if plan.plain else None
    found = _stages(measure(segmenter, plain, frames(), plan.frames, plan.warm_up))
    size = segmenter.checkpoint.input_spec.network_size(plan.height, plan.width)
    found["machine"] = {
        "precision": rate.precision,
        "matrix_gflops": round(rate.matrix, 1),
        "convolution_gflops": round(rate.convolution, 1),
        "copy_gb_per_second": round(rate.copy, 2),
    }
    found["share"] = _share(segmenter, size, plan.modalities, rate, found)
    if plan.sizes:
        by_size = sweeps.sizes(segmenter, frames(), plan.sizes, plan.frames)
        found["sizes"] = [
            {
                "input": [width, height],
                **one,
                "share": _share(segmenter, (height, width), plan.modalities, rate, one),
            }
            for (height, width), one in by_size.items()
        ]
    if plan.modality_sets:
        by_set = sweeps.modality_sets(
            segmenter, {names: frames(names) for names in plan.modality_sets}, plan.frames
        )
        found["modality_sets"] = [
            {"modalities": available_key(names), **one, "share": _share(segmenter, size, names, rate, one)}
            for names, one in by_set.items()
        ]
    if plan.cameras:
        by_count = sweeps.cameras(segmenter, frames(), plan.cameras, plan.frames)
        found["cameras"] = [{"cameras": count, **one} for count, one in by_count.items()]
    if plan.streams:
        by_count = sweeps.streams(make, lambda one: frames(of=one), plan.streams, plan.frames)
        found["streams"] = [{"streams": count, **one} for count, one in by_count.items()]
    if plan.profile:
        found["profile"] = network_profile(segmenter, frames(), plan.frames)
    return found


def _stages(times: Times) -> dict[str, Any]:
    found = {stage: summary(values) for stage, values in times.items()}
    plain = found.pop(PLAIN, None)
    figures: dict[str, Any] = {
        "milliseconds": found,
        "masks_per_second": round(1000 / found["total"]["p50"], 2),
    }
    if plain is not None:
        figures["plain_eager"] = plain
        figures["times_plain_eager"] = round(plain["p50"] / found["total"]["p50"], 2)
    return figures


def _share(
    segmenter: Segmenter,
    size: tuple[int, int],
    available: Sequence[str],
    rate: MachineRate,
    figures: dict[str, Any],
) -> dict[str, float]:
    checkpoint = segmenter.checkpoint
    work = network_work(checkpoint.config, size, available, checkpoint.views)
    return shares(work, rate, figures["milliseconds"]["network"]["p50"])
