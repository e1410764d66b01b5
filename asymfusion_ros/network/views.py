"""Several views of a frame, smaller ones and mirror images, and the mean of what is predicted of them: the
paper's multi-scale evaluation, as a part of the network, so that whatever runs the network does it too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from asymfusion_ros.network.output import NetworkOutput

# The least probability whose logarithm is taken, half precision's smallest normal number: of less, a runtime
# may make 0, whose logarithm is no number.
LEAST = 2.0**-14

Inputs = Sequence[Tensor | None]


@dataclass(frozen=True)
class Views:
    """Which views of its inputs a network predicts.

    scales: the views' height and width as factors of the inputs', 1 among them and none larger. flip: the
    mirror image of each too. smooth: for each modality whether a pixel of a smaller view may be a mean of its
    neighbours; all of them where it is empty. step: a view's sides are multiples of it.
    """

    scales: tuple[float, ...] = (1.0,)
    flip: bool = False
    smooth: tuple[bool, ...] = ()
    step: int = 8

    @property
    def single(self) -> bool:
        """Whether the inputs are predicted as they are, and nothing else."""
        return self.scales == (1.0,) and not self.flip

    def __iter__(self) -> Iterator[tuple[float, bool]]:
        """(scale, whether mirrored) of each, the largest first."""
        for scale in sorted(self.scales, reverse=True):
            for mirrored in (False, True)[: 1 + self.flip]:
                yield scale, mirrored

    def sizes(self, size: Sequence[int]) -> list[tuple[int, int]]:
        """(height, width) of each view of inputs of this size."""
        return [scaled(size, scale, self.step) for scale, _ in self]

    def mean(self, predict: Callable[[Inputs], NetworkOutput], inputs: Inputs) -> NetworkOutput:
        """What ``predict`` makes of the views of ``inputs``, N x 3 x H x W each: in the logits' place the
        logarithm of the mean of the views' softmax, at the resolution of what it makes of the largest."""
        made = [predict(self._view(inputs, scale, mirrored)) for scale, mirrored in self]
        mirrored = [mirrored for _, mirrored in self]
        branches = [
            [one for one in branch if one is not None] for branch in zip(*(one.logits for one in made))
        ]
        return replace(
            made[0],
            logits=tuple(_log_mean(branch, mirrored) if branch else None for branch in branches),
            ensemble=_log_mean([one.ensemble for one in made], mirrored),
        )

    def _view(self, inputs: Inputs, scale: float, mirrored: bool) -> list[Tensor | None]:
        smooth = self.smooth or (True,) * len(inputs)
        return [
            None if x is None else _resampled(x, scaled(x.shape[-2:], scale, self.step), mirrored, own)
            for x, own in zip(inputs, smooth, strict=True)
        ]


def scaled(size: Sequence[int], scale: float, step: int) -> tuple[int, int]:
    """The (height, width) of a view of inputs of this size, in multiples of ``step``."""
    height, width = (max(step, round(side * scale / step) * step) for side in size)
    return height, width


def _resampled(x: Tensor, size: tuple[int, int], mirrored: bool, smooth: bool) -> Tensor:
    """N x C x H x W -> N x C x size: bilinearly with antialiasing, or by nearest neighbour."""
    if tuple(x.shape[-2:]) != size:
        if torch.compiler.is_compiling():
            for along, (source, target) in enumerate(zip(x.shape[-2:], size)):
                x = _in_a_graph(x, along - 2, source, target, smooth)
        else:
            mode = "bilinear" if smooth else "nearest-exact"
            x = F.interpolate(x, size, mode=mode, antialias=smooth)
    return x.flip(-1) if mirrored else x


def _in_a_graph(x: Tensor, along: int, source: int, target: int, smooth: bool) -> Tensor:
    """The same along one dimension, by a product with constants or a choice of pixels: antialiasing is known
    to few of the runtimes that graphs are exported for."""
    if not smooth:
        numbers = torch.arange(source, dtype=torch.float32, device=x.device)[None, None]
        return x.index_select(along, F.interpolate(numbers, target, mode="nearest-exact")[0, 0].long())
    # Row i holds what each of ``source`` pixels in a line adds to the i-th of ``target``.
    unit = torch.eye(source, device=x.device)[None, None]
    rows = F.interpolate(unit, (target, source), mode="bilinear", antialias=True)[0, 0].to(x.dtype)
    return rows @ x if along == -2 else x @ rows.mT


def _log_mean(views: Sequence[Tensor], mirrored: Sequence[bool]) -> Tensor:
    """Logits of each view -> the logarithm of their mean probabilities, at the first's resolution."""
    size, made = views[0].shape[-2:], []
    for logits, back in zip(views, mirrored, strict=True):
        one = logits.float().flip(-1) if back else logits.float()
        if one.shape[-2:] != size:
            one = F.interpolate(one, size, mode="bilinear", align_corners=False)
        made.append(one.softmax(1))
    return (sum(made[1:], made[0]) / len(made)).clamp(min=LEAST).log()
