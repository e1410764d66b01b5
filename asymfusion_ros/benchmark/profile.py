"""Where the network's time goes, by the kind of operation, as what runs it counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from asymfusion_ros.benchmark.stages import Frames
from asymfusion_ros.engine.backends import Backend
from asymfusion_ros.engine.backends.beside import BesideBackend
from asymfusion_ros.engine.backends.graph import GraphBackend, Operation
from asymfusion_ros.engine.segmenter import Segmenter
from asymfusion_ros.errors import UserError


def check_profile(backend: Backend) -> None:
    """Raises UserError for a backend whose operations nobody counts."""
    if backend.name == "tensorrt":
        raise UserError("--profile: tensorrt does not say what its operations take")


def network_profile(segmenter: Segmenter, frames: Frames, count: int) -> list[dict[str, Any]]:
    """``kind``, ``calls`` and ``ms`` of one frame, and ``share`` of their sum; the costliest first.

    Of ``count`` frames, after two others. The sum is not quite the network's time: counting takes some, and
    on several threads operations overlap or wait. Raises what ``check_profile`` does.
    """
    check_profile(segmenter.backend)
    given = segmenter.images(frames())
    with torch.inference_mode():
        inputs: dict[str, Tensor] = dict(segmenter.preprocess(given, segmenter.upload(given)))
        backend = segmenter.backend
        if isinstance(backend, BesideBackend):
            backend = backend.of(inputs)
        if isinstance(backend, GraphBackend):
            found = backend.operations(inputs, count)
        else:
            found = _torch_operations(segmenter, inputs, count)
    kinds: dict[str, list[float]] = {}
    for one in found:
        calls, total = kinds.get(one.kind, (0, 0.0))
        kinds[one.kind] = [calls + one.calls, total + one.milliseconds]
    whole = sum(total for _, total in kinds.values())
    return [
        {"kind": kind, "calls": round(calls, 1), "ms": round(total, 3), "share": round(total / whole, 4)}
        for kind, (calls, total) in sorted(kinds.items(), key=lambda item: -item[1][1])
        if total > 0
    ]


def _torch_operations(segmenter: Segmenter, inputs: Mapping[str, Tensor], count: int) -> list[Operation]:
    from torch.profiler import ProfilerActivity, profile

    cuda = segmenter.device.type == "cuda"
    for _ in range(2):
        segmenter.infer(inputs)
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]) as found:
        for _ in range(count):
            segmenter.infer(inputs)
        if cuda:
            torch.cuda.synchronize(segmenter.device)
    # On a GPU an operation's own row counts its kernels once more.
    rows = [
        one
        for one in found.key_averages()
        if not cuda or not (one.device_type.name == "CPU" or one.is_user_annotation)
    ]
    return [
        Operation(
            str(one.key),
            one.count / count,
            (one.self_device_time_total if cuda else one.self_cpu_time_total) / 1000 / count,
        )
        for one in rows
    ]
