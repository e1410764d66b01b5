"""The headers of PNG and JPEG images: their size and pixels without decoding them.

PNG: https://www.w3.org/TR/png-3/#11IHDR. JPEG: ITU-T T.81, annex B.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from asymfusion_ros.data.bounds import check_encoded_size
from asymfusion_ros.errors import ImageError

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
# Start of frame: all of 0xC0 to 0xCF but the tables (DHT, JPG, DAC) among them.
JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
JPEG_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
MAX_SEGMENTS = 1000
PNG_ANIMATION = (b"acTL", b"fcTL", b"fdAT")
# PNG's colour types -> channels; a palette's entries are RGB.
PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}


@dataclass(frozen=True)
class Header:
    """codec: png or jpeg. channels: of the decoded image. bits: of each channel's value."""

    codec: str
    width: int
    height: int
    channels: int
    bits: int


def read_header(data: memoryview) -> Header:
    """The header of a whole PNG or JPEG image. Raises ImageError for anything else: another codec, an image
    that is cut short, a size out of bounds, pixels that no camera sends.
    """
    if data.nbytes == 0:
        raise ImageError("the message has no data")
    start = bytes(data[:8])
    if start == PNG_SIGNATURE:
        header = _png(data)
    elif start[:2] == JPEG_START:
        header = _jpeg(data)
    else:
        raise ImageError(
            f"the data is neither PNG nor JPEG (it begins with {start.hex(' ')}): set the camera's "
            "compression to one of them"
        )
    check_encoded_size(header.width, header.height, data.nbytes)
    return header


def _png(data: memoryview) -> Header:
    if data.nbytes < 33 or bytes(data[8:16]) != b"\0\0\0\x0dIHDR":
        raise ImageError("the PNG image has no whole header: the message is damaged or cut short")
    width, height, bits, colour = struct.unpack(">IIBB", data[16:26])
    if bits not in PNG_DEPTHS.get(colour, ()):
        raise ImageError(f"the PNG image has colour type {colour} with {bits} bits: the message is damaged")
    _walk_chunks(data)
    return Header("png", width, height, PNG_CHANNELS[colour], 16 if bits == 16 else 8)


def _walk_chunks(data: memoryview) -> None:
    """Raises ImageError unless every chunk up to the image's end is there. OpenCV 5 would allocate whatever
    length a chunk claims, up to 4 GiB, and some decoders fill in what is missing with grey, which would pass
    for measured.
    """
    position, end = len(PNG_SIGNATURE), data.nbytes
    while position + 12 <= end:
        length, name = (
            int.from_bytes(data[position : position + 4], "big"),
            bytes(data[position + 4 : position + 8]),
        )
        position += 12 + length
        if name == b"IEND" and position <= end:
            return
        if name in PNG_ANIMATION:
            raise ImageError("the PNG image is animated: send single images")
    raise ImageError("the PNG image has no end: the message is damaged or cut short")


def _jpeg(data: memoryview) -> Header:
    position, end = 2, data.nbytes
    for _ in range(MAX_SEGMENTS):
        # A marker may be filled up with any number of 0xFF.
        while position + 1 < end and data[position] == 0xFF == data[position + 1]:
            position += 1
        if position + 4 > end or data[position] != 0xFF:
            break
        marker = data[position + 1]
        if marker in JPEG_WITHOUT_LENGTH:
            position += 2
            continue
        if marker in (0xD9, 0xDA):  # its end, or its pixels, before a size
            break
        if marker in JPEG_FRAMES:
            return _jpeg_frame(data, position)
        position += 2 + max(2, int.from_bytes(data[position + 2 : position + 4], "big"))
    raise ImageError("the JPEG image has no header with its size: the message is damaged or cut short")


def _jpeg_frame(data: memoryview, position: int) -> Header:
    if position + 10 > data.nbytes:
        raise ImageError("the JPEG image has no whole header: the message is cut short")
    bits, height, width, channels = struct.unpack(">BHHB", data[position + 4 : position + 10])
    if bits != 8 or channels not in (1, 3, 4):
        raise ImageError(
            f"the JPEG image has {channels} channels of {bits} bits: 1 or 3 of 8 bits are what cameras send"
        )
    # A camera may pad its JPEG images, so that the end is not at the end.
    if bytes(data[position:]).rfind(JPEG_END) < 0:
        raise ImageError("the JPEG image has no end: the message is cut short")
    # Four are cyan, magenta, yellow and black, which are decoded to three.
    return Header("jpeg", width, height, 3 if channels == 4 else channels, bits)
