"""In which number format to compute, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from asymfusion_ros.checkpoint.precision_check import PrecisionCheck, check_of
from asymfusion_ros.errors import ConfigError

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
# Where a graph computes in less than fp32, this many convolutions of each path stay in it, the first ones. An
# image's values have much in common, which the first norms take away, and then multiply what is left by up to
# a hundred, and what rounding lost with it. In the packaged network they are 3 % of the work; with them
# rounded to bf16, 2.3 % of the pixels change their class, without them 0.6 %.
EXACT_CONVOLUTIONS = 3
COMPUTES_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}  # the last is ARM's


@dataclass(frozen=True)
class Precision:
    """name: as in PRECISIONS. why: it was chosen, in a few words."""

    name: str
    why: str


def choose_precision(
    name: str, fast: Sequence[str], checks: Sequence[PrecisionCheck], way: str, subject: str
) -> Precision:
    """``name`` itself, or with ``auto`` the first of ``fast``, which ``subject`` computes in, that the
    checkpoint's own ``checks`` of this ``way`` have passed, and else fp32. Raises ConfigError."""
    if name != "auto":
        if name not in PRECISIONS:
            raise ConfigError(f"unknown precision {name!r}: use auto, {', '.join(PRECISIONS)}")
        return Precision(name, "as asked for")
    if not fast:
        return Precision("fp32", f"{subject} has nothing faster")
    why = []
    for one in fast:
        check = check_of(checks, way, one)
        if check is None:
            why.append(
                f"the checkpoint has no check of {one} (`asymfusion evaluate --check-precisions` makes one)"
            )
        elif check.passed:
            return Precision(one, f"the checkpoint's check passed: {check}")
        else:
            why.append(f"{one} did not pass the checkpoint's check: {check}")
    return Precision("fp32", "; ".join(why))


def fast_precisions(device: torch.device) -> tuple[str, ...]:
    """Those below fp32 that torch's kernels on ``device`` have instructions for, the better one first."""
    if device.type == "cuda":
        return ("fp16", "bf16") if torch.cuda.is_bf16_supported() else ("fp16",)
    return ("bf16",) if computes_bf16() else ()


def computes_bf16() -> bool:
    """Whether the processor has instructions for it; without, it is slower than float32."""
    return bool(COMPUTES_BF16 & set((processor("flags") or processor("Features")).split()))


def processor(field: str) -> str:
    """A field of the first processor in /proc/cpuinfo; empty where there is none."""
    path = Path("/proc/cpuinfo")
    for line in path.read_text().splitlines() if path.exists() else ():
        name, _, value = line.partition(":")
        if name.strip() == field:
            return value.strip()
    return ""
