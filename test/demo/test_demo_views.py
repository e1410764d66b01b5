"""Views: what the pictures are made of shows the images as the node reads them."""

import numpy as np
import pytest

pytest.importorskip("sensor_msgs.msg", reason="needs sensor_msgs")

from sensor_msgs.msg import Image

from asymfusion_ros.data.modality import KNOWN
from asymfusion_ros.data.pictures import measurements, picture
from asymfusion_ros.demo.assembler import ViewAssembler
from asymfusion_ros.errors import ImageError
from asymfusion_ros.messages.fields import data_of
from asymfusion_ros.ros.inputs.raw import RawTransport


def message(pixels: np.ndarray, encoding: str, pad: int = 0) -> Image:
    """``pixels`` H x W (x C) with ``pad`` bytes of 255 after each row."""
    height, width = pixels.shape[:2]
    rows = np.ascontiguousarray(pixels).reshape(height, -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, pad)), constant_values=255)
    image = Image(height=height, width=width, encoding=encoding, step=rows.shape[1])
    image.is_bigendian = int(pixels.dtype.byteorder == ">")
    image.data = data_of(rows)
    return image


def rgb_of(image: Image) -> list:
    read = RawTransport(lambda line: None).decode(image, KNOWN["rgb"]).read()
    return picture(read, KNOWN["rgb"]).tolist()


COLOURS = {
    "rgb8": [10, 20, 30],
    "bgr8": [30, 20, 10],
    "rgba8": [10, 20, 30, 0],
    "bgra8": [30, 20, 10, 0],
    "8UC3": [30, 20, 10],  # OpenCV's order
    "8UC4": [30, 20, 10, 0],
}


@pytest.mark.parametrize("pad", [0, 5])
@pytest.mark.parametrize("encoding", COLOURS)
def test_colours_are_shown_as_they_are(encoding, pad):
    pixels = np.zeros((2, 2, len(COLOURS[encoding])), np.uint8)
    pixels[:, 0] = COLOURS[encoding]
    assert rgb_of(message(pixels, encoding, pad)) == [[[10, 20, 30], [0, 0, 0]]] * 2


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey_is_shown_as_grey(encoding):
    grey = np.array([[7, 8], [9, 10]], np.uint8)
    assert rgb_of(message(grey, encoding, pad=3)) == [[[7] * 3, [8] * 3], [[9] * 3, [10] * 3]]


@pytest.mark.parametrize("pad", [0, 6])
def test_rare_encodings_are_converted(pad):
    pytest.importorskip("rosbags.image", reason="needs rosbags-image")
    assert rgb_of(message(np.full((4, 4), 77, np.uint8), "bayer_rggb8", pad)) == [[[77] * 3] * 4] * 4
    # U Y V Y of red in BT.601, limited range; rounding leaves a little of the other channels.
    red = np.tile(np.array([[90, 81], [240, 81]], np.uint8), (4, 3, 1))
    shown = np.array(rgb_of(message(red, "uyvy", pad)))
    assert shown.shape == (4, 6, 3)
    assert shown[..., 0].min() > 220 and shown[..., 1:].max() < 30


@pytest.mark.parametrize(
    "image, words",
    [
        (message(np.zeros((4, 4), np.uint8), "xyz123"), "'xyz123' is not one of rgb's"),
        (message(np.zeros((4, 4), np.uint16), "16UC1"), "swapped"),
        (Image(height=4, width=4, step=8, encoding="uyvy"), "cut short"),
        (Image(encoding="rgb8"), "no pixels"),
    ],
    ids=["unknown", "depth", "short", "empty"],
)
def test_what_cannot_be_shown_is_named(image, words):
    with pytest.raises(ImageError, match=words):
        rgb_of(image)


@pytest.mark.parametrize(
    ("pixels", "encoding", "pad", "metres"),
    [
        (np.array([[1500]], "<u2"), "16UC1", 0, [[1.5]]),
        (np.array([[1500], [250]], ">u2"), "mono16", 2, [[1.5], [0.25]]),
        (np.array([[2.25]], "<f4"), "32FC1", 0, [[2.25]]),
        (np.array([[0, np.nan, np.inf, -1]], "<f4"), "32FC1", 0, [[np.nan] * 4]),
    ],
)
def test_depth_is_shown_in_metres(pixels, encoding, pad, metres):
    depth = RawTransport(lambda line: None).decode(message(pixels, encoding, pad), KNOWN["depth"])
    np.testing.assert_allclose(measurements(depth.read(), KNOWN["depth"]), metres, rtol=1e-6)


def assembled(height: int, width: int, mask: int = 0) -> ViewAssembler:
    """The RGB, mask and overlay images of stamp 100."""
    assembler = ViewAssembler(lambda line: None)
    for name in ("rgb", "overlay"):
        assembler.add(name, 100, message(np.zeros((height, width, 3), np.uint8), "rgb8"))
    assembler.add("mask", 100, message(np.full((height, width), mask, np.uint8), "mono8"))
    return assembler


def test_a_view_is_complete_when_rgb_mask_and_overlay_are_there():
    assembler = ViewAssembler(lambda line: None)
    for name in ("rgb", "mask", "overlay"):
        assert not assembler.complete(100)
        assembler.add(name, 100, message(np.zeros((4, 6), np.uint8), "mono8"))
    assert assembler.complete(100) and not assembler.complete(101)


def test_a_view_takes_the_depth_image_nearest_in_time():
    assembler = assembled(4, 6)
    for stamp, millimetres in ((80, 1000), (95, 2000), (130, 3000)):
        assembler.add("depth", stamp, message(np.full((4, 6), millimetres, np.uint16), "16UC1"))
    assert assembler.view(100).depth.tolist() == [[2.0] * 6] * 4


def test_a_depth_topic_without_depth_is_left_out_of_the_view():
    assembler = assembled(4, 6)
    assembler.add("depth", 100, message(np.zeros((4, 6, 3), np.uint8), "rgb8"))
    assert assembler.view(100).depth is None


def test_large_images_are_reduced():
    reduced = assembled(720, 1280, mask=7).view(100)
    assert reduced.rgb.shape == reduced.overlay.shape == (360, 640, 3)
    assert reduced.mask.shape == (360, 640) and (reduced.mask == 7).all()
    assert assembled(100, 2000).view(100).mask.shape == (32, 640)
