"""Copies between the host and a GPU that run beside its work: page-locked memory, own streams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Bytes = npt.NDArray[np.uint8]
BUFFERS = 2  # of one input: while one is copied, the next frame is written into the other


@dataclass
class _Buffer:
    memory: Tensor
    copied: torch.cuda.Event


class PinnedUpload:
    """Copies one input's bytes to ``device`` through page-locked buffers that are kept and used in turns.

    The copy runs on a stream of its own, beside what the GPU still computes of the last frame; the stream
    that is current at the call waits for it.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)
        self._buffers: list[_Buffer | None] = [None] * BUFFERS
        self._turn = 0

    def __call__(self, data: Bytes) -> Tensor:
        """Flat uint8 on the host -> the same on the device. ``data`` can be overwritten at once."""
        buffer = self._free(data.size)
        staged = buffer.memory[: data.size]
        np.copyto(staged.numpy(), data)
        current = torch.cuda.current_stream(self._device)
        with torch.cuda.stream(self._stream):
            uploaded = staged.to(self._device, non_blocking=True)
            buffer.copied.record(self._stream)
        current.wait_event(buffer.copied)
        uploaded.record_stream(current)  # its memory is the copying stream's
        return uploaded

    def _free(self, size: int) -> _Buffer:
        """The next buffer, once what was in it has left."""
        buffer = self._buffers[self._turn]
        if buffer is not None:
            buffer.copied.synchronize()
        if buffer is None or buffer.memory.numel() < size:
            buffer = _Buffer(torch.empty(size, dtype=torch.uint8, pin_memory=True), torch.cuda.Event())
            self._buffers[self._turn] = buffer
        self._turn = (self._turn + 1) % BUFFERS
        return buffer


class Download:
    """Tensors on their way to the host: begun when this is made, without waiting."""

    def __init__(self, tensors: Sequence[Tensor | None]) -> None:
        self._copied: torch.cuda.Event | None = None
        device = next((one.device for one in tensors if one is not None and one.is_cuda), None)
        if device is None:
            self._tensors = list(tensors)
            return
        stream, current = _download_stream(device), torch.cuda.current_stream(device)
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            self._tensors = [None if one is None else _begun(one, stream) for one in tensors]
            self._copied = torch.cuda.Event()
            self._copied.record(stream)

    def arrays(self) -> list[Bytes | None]:
        """Each on the host, after waiting for all of them."""
        if self._copied is not None:
            self._copied.synchronize()
        return [None if one is None else one.numpy() for one in self._tensors]


def _begun(tensor: Tensor, stream: torch.cuda.Stream) -> Tensor:
    if not tensor.is_cuda:
        return tensor
    # torch keeps page-locked memory that was freed, so this allocates none but for the first frames.
    host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
    host.copy_(tensor, non_blocking=True)
    tensor.record_stream(stream)
    return host


@lru_cache
def _download_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)
