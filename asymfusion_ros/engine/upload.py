"""Camera bytes to the device: one upload an image, everything else is done there."""

from __future__ import annotations

import torch
from torch import Tensor

from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.engine.staging import PinnedUpload


class Uploader:
    """Copies images' raw bytes to the device, beside its work where that is a GPU (staging.py); one uploader
    serves one input.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._copy = None if device.type == "cpu" else PinnedUpload(device)

    def __call__(self, image: RawImage) -> Tensor:
        """The image's buffer as a flat uint8 tensor on the device; on a CPU it shares the image's memory."""
        data = image.data
        if self._copy is None:
            # torch takes no read-only memory (a bytes object), hence the copy there.
            return torch.from_numpy(data if data.flags.writeable else data.copy())
        return self._copy(data)
