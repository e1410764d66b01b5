"""The sizes of images that are taken.

A wrong header must not cost more memory and time than any camera's image: an image is refused by its size
before anything is allocated for it.
"""

from __future__ import annotations

from asymfusion_ros.errors import ImageError

MAX_PIXELS = 1 << 25  # 33.5 million; 8K video (7680 x 4320) has 33.2
# The network's input keeps the image's shape at about the same number of pixels, and resizing its logits
# takes a matrix that grows with the longer side. A lidar's range image of 2048 x 64 is the longest in use.
MAX_ASPECT = 32
# No codec of a camera's images makes more than this many pixels of a byte (deflate expands 1032 times at
# most), but for small images, where one value everywhere is a few bytes.
MAX_PIXELS_A_BYTE = 1100
SMALL = 1 << 22


def check_size(width: int, height: int) -> None:
    """Raises ImageError for an image without pixels, with too many of them, or that is too long and thin."""
    size = f"the image is {width}x{height}"
    if height <= 0 or width <= 0:
        raise ImageError(f"{size}: it has no pixels")
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"{size}: that is more than {MAX_PIXELS} pixels: set the camera to a smaller image, or resize it"
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError(
            f"{size}: its longer side is more than {MAX_ASPECT} times the shorter: crop it, or cut it into "
            "pieces"
        )


def check_encoded_size(width: int, height: int, encoded_bytes: int) -> None:
    """The same for what the header of an encoded image promises, given how many bytes there are of it."""
    check_size(width, height)
    if width * height > max(SMALL, MAX_PIXELS_A_BYTE * encoded_bytes):
        raise ImageError(
            f"{encoded_bytes} bytes can't hold the {width}x{height} pixels that their header promises: the "
            "message is damaged or cut short"
        )
