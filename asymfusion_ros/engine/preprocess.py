"""Camera bytes to tensors on the device: one upload a frame, everything else done there."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from asymfusion_ros.engine.raw_image import COLOUR_ENCODINGS, DEPTH_ENCODINGS, RawImage
from asymfusion_ros.errors import ImageError

MILLIMETRE = 0.001


class Uploader:
    """Copies frames' raw bytes to the device, through page-locked memory where that is a GPU.

    The page-locked buffer is kept and reused; one uploader serves one input.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._pinned: Tensor | None = None
        self._copied: torch.cuda.Event | None = None

    def __call__(self, frame: RawImage) -> Tensor:
        """The frame's buffer as a flat uint8 tensor on the device; on a CPU it shares the frame's memory."""
        data = frame.data
        if self.device.type == "cpu":
            # torch takes no read-only memory (a bytes object), hence the copy there.
            return torch.from_numpy(data if data.flags.writeable else data.copy())
        if self._copied is not None:
            self._copied.synchronize()  # the last frame has left the buffer
        if self._pinned is None or self._pinned.numel() < data.size:
            self._pinned = torch.empty(data.size, dtype=torch.uint8, pin_memory=True)
        staged = self._pinned[: data.size]
        np.copyto(staged.numpy(), data)
        uploaded = staged.to(self.device, non_blocking=True)
        self._copied = torch.cuda.Event()
        self._copied.record(torch.cuda.current_stream(self.device))
        return uploaded


def decode_rgb(buffer: Tensor, frame: RawImage) -> Tensor:
    """Flat bytes -> 1 x 3 x H x W uint8, RGB. Raises ImageError where the frame is a depth image."""
    if frame.encoding not in COLOUR_ENCODINGS:
        raise ImageError(
            f"encoding {frame.encoding!r} is no colour image: use one of {', '.join(COLOUR_ENCODINGS)}"
        )
    shape = (frame.height, frame.width, frame.channels)
    image = buffer.as_strided(shape, (frame.step, frame.channels, 1)).permute(2, 0, 1)[None]
    if frame.channels == 1:
        return image.expand(-1, 3, -1, -1)
    if frame.encoding.startswith("bgr"):
        return image[:, [2, 1, 0]]
    return image[:, :3]


def decode_depth(buffer: Tensor, frame: RawImage) -> Tensor:
    """Flat bytes -> 1 x 1 x H x W float32 metres; 0, NaN and Inf (invalid) stay what they are."""
    if frame.encoding not in DEPTH_ENCODINGS:
        raise ImageError(
            f"encoding {frame.encoding!r} is no depth image: use one of {', '.join(DEPTH_ENCODINGS)}"
        )
    size = frame.pixel_bytes
    raw = buffer.as_strided((frame.height, frame.width, size), (frame.step, size, 1))
    if frame.bigendian:
        raw = raw.flip(2)
    # No copy where the rows are packed. Flat first: view() would mind the step even of a single row.
    values = raw.reshape(-1).view(torch.float32 if size == 4 else torch.uint16)
    values = values.view(frame.height, frame.width)
    metres = values if size == 4 else values.to(torch.float32) * MILLIMETRE
    return metres[None, None]
