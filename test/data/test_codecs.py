"""Compressed images against an encoder of image_transport's formats (test/encoders.py): no ROS, no node."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from encoders import compressed_depth, encoded, rvl

from asymfusion_ros.data.codecs import rvl as rvl_codec
from asymfusion_ros.data.codecs.compressed import Compressed
from asymfusion_ros.data.codecs.compressed_depth import CompressedDepth
from asymfusion_ros.data.codecs.disparity import check_geometry, depth_of
from asymfusion_ros.data.codecs.formats import Format
from asymfusion_ros.data.codecs.headers import Header, read_header
from asymfusion_ros.errors import ImageError

SMOOTH = cv2.resize(
    np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8), (40, 32), interpolation=cv2.INTER_CUBIC
)
BGR, RGB = SMOOTH, SMOOTH[..., ::-1]
GREY = SMOOTH[..., 0].copy()
WIDE = np.random.default_rng(1).integers(0, 65536, (32, 40), np.uint16)
MILLIMETRES = np.random.default_rng(2).integers(300, 9000, (32, 40), np.uint16)
MILLIMETRES[5:9, 7:30] = 0


@pytest.mark.parametrize(
    "text, expected",
    [
        ("rgb8; jpeg compressed bgr8", Format("rgb8", "jpeg", "bgr8", by_transport=True)),
        ("bgra16; png compressed bgra16", Format("bgra16", "png", "bgra16", by_transport=True)),
        ("mono16; png compressed ", Format("mono16", "png", by_transport=True)),
        ("bayer_rggb8; jpeg compressed mono8", Format("bayer_rggb8", "jpeg", "mono8", by_transport=True)),
        ("16UC1; compressedDepth", Format("16UC1", "png", depth=True, by_transport=True)),
        ("16UC1; compressedDepth rvl", Format("16UC1", "rvl", depth=True, by_transport=True)),
        ("32FC1; compressedDepth png", Format("32FC1", "png", depth=True, by_transport=True)),
        ("16UC1", Format("16UC1")),
        ("rgb8; png", Format("rgb8", "png")),
        ("jpeg", Format(codec="jpeg")),
        ("JPG", Format(codec="jpg")),
        ("", Format()),
        (";", Format()),
    ],
)
def test_formats(text, expected):
    assert Format.parse(text) == expected


def decoded(data, format, kind="colour"):
    return Compressed.check(memoryview(data), format, kind).decode()


@pytest.mark.parametrize(
    "format, pixels, expected, encoding",
    [
        ("rgb8; png compressed bgr8", BGR, BGR, "bgr8"),
        ("bgr8; png compressed bgr8", BGR, BGR, "bgr8"),
        ("png", BGR, BGR, "bgr8"),
        ("", BGR, BGR, "bgr8"),
        ("rgb8; png", BGR, BGR, "bgr8"),
        ("yuv422; png compressed bgr8", BGR, BGR, "bgr8"),
        # What an old publisher wrote without exchanging red and blue for OpenCV.
        ("rgb8; png compressed rgb8", RGB, RGB, "rgb8"),
        ("rgb8; png compressed ", RGB, RGB, "rgb8"),
        ("bgra8; png compressed bgra8", np.dstack([BGR, GREY]), np.dstack([BGR, GREY]), "bgra8"),
        ("mono8; png compressed ", GREY, GREY, "mono8"),
        ("png", GREY, GREY, "mono8"),
        # 16 bits a channel: 65535 is 255, 257 to a step.
        ("rgb16; png compressed bgr16", BGR.astype(np.uint16) * 257, BGR, "bgr8"),
        # Not a colour image, so that the mosaic is left as it is; or made grey, which nothing turns back.
        ("bayer_grbg8; png compressed ", GREY, GREY, "bayer_grbg8"),
        ("bayer_rggb16; png compressed ", WIDE, WIDE, "bayer_rggb16"),
        ("bayer_rggb8; png compressed mono8", GREY, GREY, "mono8"),
    ],
)
def test_png_of_colour_is_exact(format, pixels, expected, encoding):
    found, name = decoded(encoded(".png", np.ascontiguousarray(pixels)), format)
    assert name == encoding
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "format, pixels, encoding",
    [
        ("rgb8; jpeg compressed bgr8", BGR, "bgr8"),
        ("jpeg", BGR, "bgr8"),
        ("mono8; jpeg compressed mono8", GREY, "mono8"),
        ("bayer_rggb8; jpeg compressed mono8", GREY, "mono8"),
        ("bayer_rggb8; jpeg compressed bayer_rggb8", GREY, "bayer_rggb8"),
        ("bayer_rggb16; jpeg compressed ", GREY, "bayer_rggb8"),
    ],
)
@pytest.mark.parametrize("padding", [b"", bytes(3000)])
def test_jpeg_is_near_the_picture_that_was_compressed(format, pixels, encoding, padding):
    """Also where a camera fills the message up to a fixed length."""
    found, name = decoded(encoded(".jpg", pixels, cv2.IMWRITE_JPEG_QUALITY, 100) + padding, format)
    assert name == encoding and found.shape == pixels.shape
    # Chroma is halved, and the picture is smooth.
    assert np.abs(found.astype(int) - pixels).mean() < 3


def test_depth_and_scalars_as_png_are_exact():
    data = encoded(".png", MILLIMETRES)
    for format, kind in (
        ("16UC1; png compressed ", "range"),
        ("mono16; png compressed ", "range"),
        ("png", "range"),
        ("png", "scalar"),
    ):
        found, encoding = decoded(data, format, kind)
        assert encoding == "16UC1"
        np.testing.assert_array_equal(found, MILLIMETRES)
    found, encoding = decoded(encoded(".png", GREY), "mono8; png compressed ", "scalar")
    assert encoding == "mono8"
    np.testing.assert_array_equal(found, GREY)


PNG, JPEG = encoded(".png", BGR), encoded(".jpg", BGR)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def bomb(width: int, height: int, content: int = 10**6) -> bytes:
    """A PNG image of zeros whose header promises any size: a megabyte of pixels in a thousand bytes."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(content), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def big_jpeg(width: int, height: int) -> bytes:
    """The JPEG image with another size in its header."""
    at = JPEG.index(b"\xff\xc0")
    return JPEG[: at + 5] + struct.pack(">HH", height, width) + JPEG[at + 9 :]


@pytest.mark.parametrize(
    "data, format, kind, words",
    [
        (b"", "jpeg", "colour", "no data"),
        (b"\x00\x01\x02", "h264", "colour", r"neither PNG nor JPEG \(it begins with 00 01 02\)"),
        (b"II*\x00" + bytes(99), "rgb8; tiff compressed ", "colour", "neither PNG nor JPEG"),
        (PNG[:20], "png", "colour", "no whole header"),
        (PNG[:-12], "png", "colour", "PNG image has no end: the message is damaged or cut short"),
        (PNG[: len(PNG) // 2], "png", "colour", "no end"),
        # OpenCV 5 allocates what a chunk claims before it looks whether it is there.
        (PNG[:33] + b"\xff\xff\xff\xf0" + PNG[37:], "png", "colour", "no end"),
        (PNG[:33] + chunk(b"acTL", bytes(8)) + PNG[33:], "png", "colour", "animated"),
        (PNG[:8] + b"\0\0\1\x0d" + PNG[12:], "png", "colour", "no whole header"),
        (JPEG[: len(JPEG) // 2], "jpeg", "colour", "JPEG image has no end"),
        (JPEG[:4], "jpeg", "colour", "no header with its size"),
        (b"\xff\xd8\xff\xd9", "jpeg", "colour", "no header with its size"),
        (b"\xff\xd8" + b"\xff\xe0\x00\x02" * 5000 + JPEG[2:], "jpeg", "colour", "no header with its size"),
        (bomb(20000, 20000), "png", "colour", "20000x20000: that is more than"),
        (bomb(5000, 5000), "png", "colour", "can't hold the 5000x5000 pixels"),
        (bomb(1, 30000), "png", "colour", "1x30000: its longer side"),
        (bomb(0, 4), "png", "colour", "0x4: it has no pixels"),
        (big_jpeg(65000, 65000), "jpeg", "colour", "65000x65000: that is more than"),
        (big_jpeg(5000, 4000), "jpeg", "colour", "can't hold the 5000x4000"),
        (big_jpeg(0, 40), "jpeg", "colour", "0x40: it has no pixels"),
        (JPEG, "16UC1; jpeg compressed mono8", "range", "holds no distances.*16-bit png.*compressedDepth"),
        (encoded(".png", GREY), "16UC1; png compressed ", "range", "1 x 8 bits.*holds no distances"),
        (encoded(".png", MILLIMETRES), "16UC1; png compressed ", "colour", "not a colour image.*swapped"),
        (encoded(".png", MILLIMETRES), "png", "colour", "1 x 16 bits.*not a colour image"),
        (encoded(".jpg", GREY), "16UC1; jpeg compressed mono8", "colour", "not a colour image.*swapped"),
        (PNG, "rgb8; png compressed bgr8", "scalar", "more than one value a pixel"),
        (
            bytes(12) + PNG,
            "16UC1; compressedDepth png",
            "range",
            "set depth_image_transport to compressedDepth",
        ),
        (JPEG, "x" * 10**6, "range", r"\(1000000 characters\)"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_header(data, format, kind, words):
    """As a message arrives, before anything is decoded or allocated."""
    with pytest.raises(ImageError, match=words) as caught:
        Compressed.check(memoryview(data), format, kind)
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)


def test_what_only_decoding_shows_is_refused_then():
    damaged = bytearray(encoded(".png", WIDE))
    damaged[len(damaged) // 2] ^= 0xFF
    with pytest.raises(ImageError, match="png image does not decode"):
        decoded(damaged, "png", "scalar")


def test_headers():
    assert read_header(memoryview(PNG)) == Header("png", 40, 32, 3, 8)
    assert read_header(memoryview(JPEG)) == Header("jpeg", 40, 32, 3, 8)
    progressive = encoded(".jpg", GREY, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    assert read_header(memoryview(progressive)) == Header("jpeg", 40, 32, 1, 8)
    assert read_header(memoryview(encoded(".png", WIDE))) == Header("png", 40, 32, 1, 16)


# --- compressedDepth


def depth_of_message(data, format):
    return CompressedDepth.check(memoryview(data), format).decode()


@pytest.mark.parametrize(
    "format, codec",
    [
        ("16UC1; compressedDepth png", "png"),
        ("16UC1; compressedDepth rvl", "rvl"),
        ("16UC1; compressedDepth", "png"),
        ("16UC1", "png"),
        ("mono16; compressedDepth png", "png"),
    ],
)
def test_integer_depth_is_exact(format, codec):
    found, encoding = depth_of_message(compressed_depth(MILLIMETRES, codec), format)
    assert encoding == format.split(";")[0] and found.dtype == np.uint16
    np.testing.assert_array_equal(found, MILLIMETRES)


METRES = np.where(MILLIMETRES == 0, np.nan, MILLIMETRES / np.float32(1000)).astype(np.float32)
METRES[0, :3] = np.inf, 9.99, 10.5


@pytest.mark.parametrize("codec", ["png", "rvl"])
@pytest.mark.parametrize("quantization", [100.0, 20.0])
def test_float_depth_is_within_its_quantisation(codec, quantization):
    data = compressed_depth(METRES, codec, quantization=quantization)
    found, encoding = depth_of_message(data, f"32FC1; compressedDepth {codec}")
    assert encoding == "32FC1" and found.dtype == np.float32
    measured = np.isfinite(METRES) & (METRES < 10)
    assert (np.isfinite(found) == measured).all()
    # q = floor(a / d + b) and d' = a / (q - b): a / d' lies at most 1 below a / d, so d <= d' <
    # d / (1 - d / a), at most d^2 / (a - d) too far. With a = 100 x 101: 2.5 mm at 5 m. A little for float32.
    a = quantization * (quantization + 1)
    d = METRES[measured].astype(float)
    error = found[measured] - d
    assert error.min() > -1e-5 and (error < d**2 / (a - d) + 1e-5).all()


def test_float_depth_by_hand():
    # a = 100, b = 50: 150 is 1 m, 250 is 0.5 m; 0 was not measured.
    config = struct.pack("<iff", 0, 100.0, 50.0)
    data = config + encoded(".png", np.array([[0, 150, 250]], np.uint16))
    found, _ = depth_of_message(data, "32FC1; compressedDepth")
    assert np.isnan(found[0, 0]) and found[0, 1:].tolist() == [1.0, 0.5]


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((48, 64), np.uint16),
        np.full((48, 64), 65535, np.uint16),
        np.random.default_rng(3).integers(0, 65536, (48, 64), np.uint16),
        np.where(np.indices((48, 64)).sum(0) % 2, 0, 65535).astype(np.uint16),
        MILLIMETRES,
        np.array([[7]], np.uint16),
        np.array([[0]], np.uint16),
        np.array([[5, 0, 0], [0, 3, 0]], np.uint16),
    ],
    ids=["zeros", "ones", "noise", "chequered", "depth", "one pixel", "one hole", "ends in holes"],
)
def test_rvl_is_lossless(values):
    data = rvl(values)
    np.testing.assert_array_equal(rvl_codec.decode(memoryview(data), values.size), values.reshape(-1))


def test_rvl_by_hand():
    # 2 zeros, 2 others: 10 = 0 + 10 -> 20 = 0b010100 -> nibbles 4 (and more), 2; 9 = 10 - 1 -> 1.
    # Then 1 zero, 0 others.
    nibbles = "22" + "C2" + "1" + "10" + "0"
    data = bytes.fromhex(nibbles)[::-1]
    assert rvl_codec.decode(memoryview(data), 5).tolist() == [0, 0, 10, 9, 0]


RVL = compressed_depth(MILLIMETRES, "rvl")
FLOAT = compressed_depth(METRES)


@pytest.mark.parametrize(
    "data, format, words",
    [
        (b"", "16UC1; compressedDepth png", "0 bytes: no image is left behind its header"),
        (bytes(12), "16UC1; compressedDepth png", "12 bytes"),
        (bytes(12) + JPEG, "16UC1; compressedDepth png", "not PNG"),
        (bytes(12) + PNG, "16UC1; compressedDepth png", "3 x 8 bits holds no distances"),
        (bytes(12) + PNG[:-9], "16UC1; compressedDepth", "no end"),
        (bytes(12) + bomb(20000, 20000), "16UC1; compressedDepth", "more than"),
        (bytes(12) + FLOAT[12:], "32FC1; compressedDepth png", "a = 0, b = 0.*damaged"),
        (struct.pack("<iff", 0, 1, np.nan) + FLOAT[12:], "32FC1; compressedDepth png", "b = nan"),
        (RVL[:18], "16UC1; compressedDepth rvl", "no whole header"),
        (bytes(12) + struct.pack("<II", 0, 5) + RVL[20:], "16UC1; compressedDepth rvl", "no pixels"),
        (bytes(12) + struct.pack("<II", 65536, 65536) + RVL[20:], "16UC1; compressedDepth rvl", "more than"),
        (bytes(12) + struct.pack("<II", 4000, 4000) + bytes(9), "16UC1; compressedDepth rvl", "can't hold"),
        (RVL, "rgb8; jpeg compressed bgr8", "is not compressedDepth's"),
        (RVL, "16UC1; png compressed ", "is not compressedDepth's"),
        (RVL, "8UC1; compressedDepth png", "is not compressedDepth's"),
        (RVL, "16UC1; compressedDepth zstd", "names the codec 'zstd': use png or rvl"),
    ],
)
def test_compressed_depth_that_cannot_be_used_is_refused_by_its_header(data, format, words):
    with pytest.raises(ImageError, match=words):
        CompressedDepth.check(memoryview(data), format)


@pytest.mark.parametrize(
    "values, pixels",
    [
        (rvl(MILLIMETRES)[:-40], MILLIMETRES.size),
        (rvl(MILLIMETRES), MILLIMETRES.size - 1),
        (rvl(MILLIMETRES), MILLIMETRES.size + 1),
        (b"", 4),
        (b"\xff" * 400, 40),
        (bytes(400), 40),
    ],
    ids=["cut short", "too many", "too few", "nothing", "numbers without end", "runs of nothing"],
)
def test_rvl_that_does_not_fit_is_refused(values, pixels):
    with pytest.raises(ImageError, match="RVL image does not decode"):
        rvl_codec.decode(memoryview(values), pixels)


# --- disparity


def test_depth_of_disparity():
    # Z = 500 px x 0.12 m / d = 60 / d
    d = np.array([[60.0, 30.0, 4.0, 3.9], [0.0, -1.0, np.nan, np.inf]], np.float32)
    for disparity in (d, d.astype(">f4")):
        depth = depth_of(disparity, 500.0, 0.12, 4.0)
        assert depth.dtype == np.float32
        np.testing.assert_allclose(depth[0, :3], [1.0, 2.0, 15.0], rtol=1e-6)
        assert np.isnan(depth[0, 3]) and np.isnan(depth[1]).all()


@pytest.mark.parametrize("f, t", [(0.0, 0.1), (500.0, 0.0), (500.0, -0.1), (np.nan, 0.1), (500.0, np.inf)])
def test_a_stereo_camera_without_calibration_is_named(f, t):
    with pytest.raises(ImageError, match="both must be positive.*calibrated"):
        check_geometry(f, t)
