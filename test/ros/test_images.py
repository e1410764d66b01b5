"""sensor_msgs/Image to frames and back, without a node."""

import numpy as np
import pytest

pytest.importorskip("sensor_msgs.msg", reason="needs sensor_msgs")
pytest.importorskip("rclpy", reason="needs rclpy")

from node_harness import image
from std_msgs.msg import Header

from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.errors import ImageError
from asymfusion_ros.ros.drawing import LabelPainter
from asymfusion_ros.ros.images import (
    CONVERTED_ENCODINGS,
    check_rgb,
    has_valid_depth,
    image_message,
    read_depth,
    read_rgb,
    rgb_pixels,
)
from asymfusion_ros.ros.inputs import conversion
from asymfusion_ros.ros.inputs.conversion import ColourConversion, red_image

RGB = np.array([[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]], np.uint8)
GREY = RGB[..., 0]


def no_conversion(message):
    raise AssertionError(f"{message.encoding} needs no conversion")


@pytest.fixture
def said():
    return []


@pytest.fixture
def convert(said):
    pytest.importorskip("rosbags.image", reason="needs rosbags-image")
    return ColourConversion(said.append)


LAYOUTS = {
    "rgb8": RGB,
    "bgr8": RGB[..., ::-1],
    "rgba8": np.dstack([RGB, GREY]),
    "bgra8": np.dstack([RGB[..., ::-1], GREY]),
    "8UC3": RGB[..., ::-1],
}


@pytest.mark.parametrize("pad", [0, 5])
@pytest.mark.parametrize("encoding", LAYOUTS)
def test_colour_orders_and_padding_give_the_same_picture(encoding, pad):
    message = image(LAYOUTS[encoding], encoding, 1, pad=pad)
    frame = read_rgb(message, no_conversion)
    np.testing.assert_array_equal(rgb_pixels(frame), RGB)
    assert np.shares_memory(frame.data, np.frombuffer(message.data, np.uint8))


def test_grey_is_shown_in_all_three_channels():
    frame = read_rgb(image(GREY, "mono8", 1, pad=3), no_conversion)
    np.testing.assert_array_equal(rgb_pixels(frame), np.dstack([GREY] * 3))


@pytest.mark.parametrize("kind", ["<", ">"])
@pytest.mark.parametrize("encoding, dtype", [("16UC1", "u2"), ("mono16", "u2"), ("32FC1", "f4")])
def test_depth_is_read_in_either_byte_order(encoding, dtype, kind):
    metres = np.array([[0, 1, 258], [1000, 2.0, 4]]).astype(kind + dtype)
    frame = read_depth(image(metres, encoding, 1, pad=4))
    np.testing.assert_array_equal(frame.pixels(), metres)


@pytest.mark.parametrize(
    "pixels, encoding, valid",
    [
        (np.zeros((2, 3), np.uint16), "16UC1", False),
        (np.array([[0, 0], [0, 1]], ">u2"), "16UC1", True),
        (np.array([[np.nan, np.inf], [-np.inf, 0]], np.float32), "32FC1", False),
        (np.array([[np.nan, -1]], np.float32), "32FC1", False),
        (np.array([[np.nan, 0.5]], ">f4"), "32FC1", True),
    ],
)
def test_whether_any_depth_is_valid(pixels, encoding, valid):
    assert has_valid_depth(read_depth(image(pixels, encoding, 1))) is valid


def broken(message, **fields):
    for name, value in fields.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(
    "message, words",
    [
        (image(RGB, "rgb9", 1), "'rgb9'.*republish"),
        (image(RGB, "", 1), "''.*republish"),
        (image(GREY.astype(np.uint16), "16UC1", 1), "'16UC1'.*swapped"),
        (broken(image(RGB, "rgb8", 1), height=3), "12 bytes.*cut short"),
        (broken(image(RGB, "rgb8", 1), width=0), "0x2.*no pixels"),
        (broken(image(RGB, "rgb8", 1), height=0), "2x0.*no pixels"),
        (broken(image(RGB, "rgb8", 1), step=5), "step is 5.*needs 6"),
        (broken(image(GREY, "bayer_rggb8", 1), step=4, height=4), "4 bytes.*cut short"),
        (broken(image(GREY, "bayer_rggb16", 1)), "bayer_rggb16.*step is 2.*needs 4"),
    ],
)
def test_an_rgb_image_that_cannot_be_used_says_why(message, words):
    with pytest.raises(ImageError, match=words):
        check_rgb(message)
    with pytest.raises(ImageError, match=words):
        read_rgb(message, no_conversion)


@pytest.mark.parametrize(
    "message, words",
    [
        (image(RGB, "rgb8", 1), "'rgb8' is not depth.*swapped"),
        (image(GREY, "bayer_rggb8", 1), "not depth.*swapped"),
        (image(GREY, "64FC1", 1), "'64FC1' is not depth.*republish"),
        (broken(image(GREY.astype(np.uint16), "16UC1", 1), height=9), "8 bytes.*cut short"),
    ],
)
def test_a_depth_image_that_cannot_be_used_says_why(message, words):
    with pytest.raises(ImageError, match=words):
        read_depth(message)


@pytest.mark.parametrize("encoding", CONVERTED_ENCODINGS)
def test_every_converted_encoding_makes_red_of_red(encoding, convert, said):
    message = red_image(encoding)
    check_rgb(message)
    frame = read_rgb(message, convert)
    assert (frame.encoding, frame.height, frame.width) == ("rgb8", 8, 8)
    assert frame.pixels()[..., 0].min() > 220
    assert frame.pixels()[..., 1:].max() < 30
    read_rgb(message, convert)
    assert len(said) == 1 and encoding in said[0]


def test_a_bayer_image_with_padding_comes_out_in_its_own_colours(convert):
    """Left half red, right half blue, in RGGB: rows end in bytes that must not be read as pixels."""
    mosaic = np.zeros((8, 16), np.uint8)
    mosaic[::2, :8:2] = 255
    mosaic[1::2, 9::2] = 255
    picture = rgb_pixels(read_rgb(image(mosaic, "bayer_rggb8", 1, pad=7), convert))
    assert picture[:, :6, 0].min() == 255 and picture[:, :6, 2].max() == 0
    assert picture[:, 10:, 2].min() == 255 and picture[:, 10:, 0].max() == 0


def test_big_endian_16_bit_colour(convert):
    wide = np.full((2, 2, 3), (0xFF00, 0x00FF, 0x8000), ">u2")
    picture = rgb_pixels(read_rgb(image(wide, "rgb16", 1), convert))
    # 0xFF00 x 255 / 65535 = 254.0, 0x00FF -> 0.99, 0x8000 -> 127.5, each rounded down
    assert np.abs(picture[0, 0].astype(int) - (254, 0, 127)).max() <= 1


def test_an_odd_yuv_image_is_refused_in_one_line(convert):
    with pytest.raises(ImageError, match=r"3x3 yuyv cannot be converted.*republish it as rgb8") as caught:
        read_rgb(image(np.zeros((3, 3, 2), np.uint8), "yuyv", 1), convert)
    assert "\n" not in str(caught.value)


def cv_bridge_of_numpy_1():
    def convert(message):
        raise AttributeError("_ARRAY_API not found")

    return convert


def cv_bridge_that_swaps_channels():
    return lambda message: np.full((message.height, message.width, 3), (0, 0, 255), np.uint8)


@pytest.mark.parametrize(
    "load, fault",
    [(cv_bridge_of_numpy_1, "_ARRAY_API not found"), (cv_bridge_that_swaps_channels, "did not come out red")],
)
def test_a_cv_bridge_that_does_not_work_is_passed_over_and_the_log_says_so(
    load, fault, convert, said, monkeypatch
):
    monkeypatch.setattr(conversion, "load_cv_bridge", load)
    picture = rgb_pixels(read_rgb(red_image("bayer_grbg8"), convert))
    assert picture[..., 0].min() == 255
    assert len(said) == 1
    assert "rosbags-image" in said[0] and fault in said[0]


def test_a_cv_bridge_that_works_is_used(convert, said, monkeypatch):
    def load():
        return lambda message: np.full((message.height, message.width, 3), (255, 0, 0), np.uint8)

    monkeypatch.setattr(conversion, "load_cv_bridge", load)
    read_rgb(red_image("yuyv"), convert)
    assert said == ["yuyv images are converted to rgb8 by cv_bridge"]


def test_without_any_converter_the_error_says_what_to_install(convert, monkeypatch):
    def missing():
        raise ImportError("No module named 'cv2'")

    monkeypatch.setattr(conversion, "load_cv_bridge", missing)
    monkeypatch.setattr(conversion, "load_rosbags_image", missing)
    with pytest.raises(ImageError, match=r"'uyvy' needs a converter.*pip install rosbags-image"):
        read_rgb(red_image("uyvy"), convert)


def test_a_mask_message_has_no_padding():
    # Every second column of a wider array: rows that are not contiguous in memory.
    labels = np.arange(24, dtype=np.uint8).reshape(3, 8)[:, ::2]
    message = image_message(Header(frame_id="camera"), labels, "mono8")
    assert (message.height, message.width, message.step, message.encoding) == (3, 4, 4, "mono8")
    assert message.data.tolist() == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22]
    assert message.header.frame_id == "camera"
    assert image_message(Header(), RGB, "rgb8").step == 6


def test_class_colours_and_overlay():
    palette = np.zeros((256, 3), np.uint8)
    palette[1] = (200, 100, 50)
    labels = np.array([[0, 1]], np.uint8)
    picture = np.array([[[255, 255, 255], [100, 51, 0]]], np.uint8)
    painter = LabelPainter(palette, opacity=0.25)
    colours = painter.colours(labels)
    np.testing.assert_array_equal(colours, [[[0, 0, 0], [200, 100, 50]]])
    # 0.75 x 255 = 191.25; 0.75 x 100 + 0.25 x 200 = 125; 0.75 x 51 = 38.25, + 25; 0 + 12.5
    np.testing.assert_array_equal(painter.blend(picture, colours), [[[191, 191, 191], [125, 63, 12]]])
    np.testing.assert_array_equal(LabelPainter(palette, 0.0).blend(picture, colours), picture)
    np.testing.assert_array_equal(LabelPainter(palette, 1.0).blend(picture, colours), colours)
    white = np.full((1, 1, 3), 255, np.uint8)
    np.testing.assert_array_equal(LabelPainter(palette, 0.3).blend(white, white), white)


def test_depth_is_shown_in_grey_near_bright_and_invalid_black():
    frame = RawImage.from_array(np.array([[0, 1000, 4000]], np.uint16))
    # 255 - 200 x 1000 / 4000 and 255 - 200
    np.testing.assert_array_equal(rgb_pixels(frame)[0, :, 0], [0, 205, 55])
    assert rgb_pixels(RawImage.from_array(np.full((2, 2), np.nan, np.float32))).max() == 0
