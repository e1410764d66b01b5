"""Norms made cheap for inference: each becomes one multiply and add, in place.

The convolutions are shared, so a norm cannot be folded into the one before it as is usual: its scale is
another for each modality.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from asymfusion_ros.network.layers.norms import Available, PrivateBatchNorm2d


class FoldedNorm(nn.Module):
    """What a PrivateBatchNorm2d computes in evaluation mode. It overwrites its input, but not in an
    exported graph."""

    scale: Tensor
    shift: Tensor
    alone_scale: Tensor
    alone_shift: Tensor

    def __init__(self, norm: PrivateBatchNorm2d) -> None:
        super().__init__()
        self.private = norm.private
        for prefix, alone in (("", False), ("alone_", True)):
            for name, table in zip(("scale", "shift"), norm.affine(alone)):
                self.register_buffer(prefix + name, table.detach())

    def forward(self, x: Tensor, available: Available) -> Tensor:
        """(P N) x C x H x W -> the same shape; by default the input itself, changed in place."""
        rows = list(available) if self.private else [0]
        everyone = len(rows) == self.scale.shape[0]  # then available is 0..S-1, and there is nothing to pick
        alone = self.private and len(rows) == 1
        tables: tuple[Tensor, ...] = (
            (self.alone_scale, self.alone_shift) if alone else (self.scale, self.shift)
        )
        if torch.compiler.is_compiling():
            # One modality at a time: what compiles a graph folds constants into the convolution before, and
            # decides itself where memory is reused.
            parts = x.chunk(len(rows))
            return torch.cat(
                [_affine(part, *(table[row] for table in tables)) for row, part in zip(rows, parts)]
            )
        shape = (len(rows), 1, x.shape[1], 1, 1)
        if not everyone:  # by slices: a list of indices would be copied to a GPU at each frame
            tables = tuple(torch.cat([table[row : row + 1] for row in rows]) for table in tables)
        scale, shift = (table.view(shape).to(x.dtype) for table in tables)
        parts = x.unflatten(0, (len(rows), -1))
        torch.addcmul(shift, parts, scale, out=parts)
        return x


def _affine(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    scale, shift = (vector.view(1, -1, 1, 1).to(x.dtype) for vector in (scale, shift))
    return x * scale + shift


def fold_norms(module: nn.Module) -> None:
    """Replaces every PrivateBatchNorm2d below ``module``, which afterwards can only infer."""
    for name, child in module.named_children():
        if isinstance(child, PrivateBatchNorm2d):
            module.add_module(name, FoldedNorm(child))
        else:
            fold_norms(child)
