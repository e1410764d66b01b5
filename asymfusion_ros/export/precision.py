"""Whether a checkpoint keeps its labels in lower precision, on a machine that need not compute in it."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from itertools import product

import torch
from torch import Tensor, nn

from asymfusion_ros.checkpoint import Checkpoint
from asymfusion_ros.checkpoint.precision_check import WAYS, PrecisionCheck
from asymfusion_ros.engine.backends.torch import TorchBackend
from asymfusion_ros.engine.precision import PRECISIONS
from asymfusion_ros.engine.segmenter import Segmenter
from asymfusion_ros.errors import UserError
from asymfusion_ros.export.verify import Frame, compare_several


class RoundedBackend(TorchBackend):
    """Computes in float32 on the CPU, and rounds to another precision what hardware would that multiplies in
    it, adds up in float32 and stores in it: weights, and what each layer gives. ``way`` compiled: a norm and
    what follows it are within the convolution before them, so what the next convolution takes is rounded. In
    bf16 the encoder's first layers are exact, as the backends have it."""

    def __init__(self, checkpoint: Checkpoint, precision: str, way: str) -> None:
        super().__init__(checkpoint, "cpu", "fp32")
        dtype = PRECISIONS[precision]

        def rounded(value: object) -> object:
            return value.to(dtype).float() if isinstance(value, Tensor) else value

        encoder = self._network.encoder
        names = encoder.exact if dtype == torch.bfloat16 else ()
        exact = {id(module) for name in names for module in encoder.get_submodule(name).modules()}
        for module in self._network.modules():
            if id(module) in exact:
                continue
            convolves = isinstance(module, nn.Conv2d | nn.Linear)
            if way == "compiled" and convolves:
                module.register_forward_pre_hook(lambda _, given: tuple(map(rounded, given)))
            elif way == "torch" and not list(module.children()):
                module.register_forward_hook(lambda _, given, output: rounded(output))
            for parameter in module.parameters(recurse=False) if convolves else ():
                parameter.data = parameter.data.to(dtype).float()


def check_precisions(
    checkpoint: Checkpoint, precisions: Sequence[str], frames: Iterable[Frame], frames_from: str
) -> list[PrecisionCheck]:
    """Each precision, each way. ``frames``: labelled ones. Raises UserError where no pixel is labelled."""
    kinds = list(product(WAYS, precisions))
    reference = Segmenter(checkpoint, "cpu", "fp32", "torch")
    others = []
    for way, precision in kinds:
        other = copy.copy(reference)
        other.backend = RoundedBackend(checkpoint, precision, way)
        others.append(other)
    checks = []
    for (way, precision), found in zip(kinds, compare_several(others, reference, frames)):
        if found.mean_iou is None or found.mean_iou_of_checkpoint is None:
            raise UserError(
                f"no pixel of the frames of {frames_from} is labelled: there is nothing to compare"
            )
        shares = (found.agreement, found.mean_iou, found.mean_iou_of_checkpoint)
        agreement, ours, theirs = (round(share, 6) for share in shares)
        checks.append(
            PrecisionCheck(
                way,
                precision,
                found.frames,
                agreement,
                ours,
                theirs,
                frames_from,
                "float32 on the CPU, rounded",
            )
        )
    return checks
