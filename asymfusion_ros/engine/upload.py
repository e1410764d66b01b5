"""Camera bytes to the device: one upload an image, everything else is done there."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from asymfusion_ros.engine.raw_image import RawImage


class Uploader:
    """Copies images' raw bytes to the device, through page-locked memory where that is a GPU.

    The page-locked buffer is kept and reused; one uploader serves one input.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._pinned: Tensor | None = None
        self._copied: torch.cuda.Event | None = None

    def __call__(self, image: RawImage) -> Tensor:
        """The image's buffer as a flat uint8 tensor on the device; on a CPU it shares the image's memory."""
        data = image.data
        if self.device.type == "cpu":
            # torch takes no read-only memory (a bytes object), hence the copy there.
            return torch.from_numpy(data if data.flags.writeable else data.copy())
        if self._copied is not None:
            self._copied.synchronize()  # the last image has left the buffer
        if self._pinned is None or self._pinned.numel() < data.size:
            self._pinned = torch.empty(data.size, dtype=torch.uint8, pin_memory=True)
        staged = self._pinned[: data.size]
        np.copyto(staged.numpy(), data)
        uploaded = staged.to(self.device, non_blocking=True)
        self._copied = torch.cuda.Event()
        self._copied.record(torch.cuda.current_stream(self.device))
        return uploaded
