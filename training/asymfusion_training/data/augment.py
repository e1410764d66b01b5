"""Changes carried out by OpenCV, a frame at a time: what the reading processes do.

The same geometry for all images and the label. Beyond the frame, and where something is cut out: the
modality's fill (grey, not measured), void in the label.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from asymfusion_ros.data.folder import Frame
from asymfusion_ros.data.labels import VOID
from asymfusion_ros.data.modality import Modality
from asymfusion_training.data.change import Augmentation, Change, Size
from asymfusion_training.data.copy_paste import with_copies
from asymfusion_training.data.depth_noise import with_holes, with_sensor_noise

Image = npt.NDArray[Any]


def augmented(frame: Frame, augmentation: Augmentation, rng: np.random.Generator) -> Frame:
    """A random zoom, crop, mirror and change of colours of ``frame``, its ranges made like a sensor's.

    frame: with the augmentation's modalities. The frame itself is left as it is.
    """
    change = augmentation.draw(frame.size, rng, frame.label)
    if change.copied:
        frame = with_copies(frame, augmentation.modalities, rng)
    images = {}
    for name, modality in augmentation.modalities.items():
        image = _window(
            _resized(frame.images[name], modality, change), change, augmentation.size, modality.fill
        )
        if change.mirrored and modality.vector:
            image = image.copy()
            image[..., 0] = 255 - image[..., 0]
        if modality.kind != "colour" or augmentation.recolours:
            image = _changed(image, modality, augmentation.units[name], change, rng)
        images[name] = np.ascontiguousarray(image)
        for hole in change.cut:
            if name in hole.modalities:
                rows, columns = (
                    slice(hole.top, hole.top + hole.height),
                    slice(hole.left, hole.left + hole.width),
                )
                images[name][rows, columns] = modality.fill
    if frame.label is None:
        return Frame(frame.name, images, None)
    label = cv2.resize(frame.label, change.scaled[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    label = np.ascontiguousarray(_window(label, change, augmentation.size, VOID))
    return Frame(frame.name, images, label.astype(np.uint8, copy=False))


def _resized(image: Image, modality: Modality, change: Change) -> Image:
    """To the change's ``scaled`` size, by means of neighbours where the modality allows them."""
    size = change.scaled[::-1]  # OpenCV names the width first
    if not modality.smooth:
        return cv2.resize(image, size, interpolation=cv2.INTER_NEAREST_EXACT)
    smooth = cv2.INTER_AREA if change.shrinks else cv2.INTER_LINEAR
    if image.dtype == np.uint8:
        return cv2.resize(image, size, interpolation=smooth)
    known = np.isfinite(image)
    total = cv2.resize(np.where(known, image, np.float32(0)), size, interpolation=smooth)
    if known.all():
        return total
    # As the engine's InputSpec does it: a mean over what was measured, if that is half of it.
    share = cv2.resize(known.astype(np.float32), size, interpolation=smooth)
    return np.where(share >= 0.5, total / np.maximum(share, np.float32(0.5)), np.float32(np.nan))


def _window(image: Image, change: Change, size: Size, fill: float) -> Image:
    """The change's window of a zoomed image, mirrored where it says so."""
    (height, width), top, left = size, change.top, change.left
    out = np.full((height, width, *image.shape[2:]), fill, image.dtype)
    y, x = max(top, 0), max(left, 0)
    part = image[y : top + height, x : left + width]
    out[y - top : y - top + part.shape[0], x - left : x - left + part.shape[1]] = part
    return out[:, ::-1] if change.mirrored else out


def _changed(
    image: Image, modality: Modality, unit: float, change: Change, rng: np.random.Generator
) -> Image:
    """What is done to the values of one kind of image."""
    if modality.kind == "colour":
        if change.blur:
            image = cv2.GaussianBlur(np.ascontiguousarray(image), (0, 0), change.blur)
        return _recoloured(image, change)
    if modality.kind == "range":
        if change.noisy:
            image = with_sensor_noise(image, unit, rng)
        if change.holed:
            image = with_holes(image, rng)
    return np.ascontiguousarray(image)


def _recoloured(rgb: npt.NDArray[np.uint8], change: Change) -> npt.NDArray[np.uint8]:
    """Another brightness, contrast, saturation and white balance."""
    x = rgb.astype(np.float32)
    grey = x.mean(axis=2, keepdims=True)
    x = grey + (x - grey) * np.float32(change.saturation)
    x = (x - x.mean()) * np.float32(change.contrast) + x.mean() * np.float32(change.brightness)
    return np.clip(x * change.balance, 0, 255).astype(np.uint8)
