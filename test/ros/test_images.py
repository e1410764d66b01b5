"""sensor_msgs/Image to images and back, without a node."""

import numpy as np
import pytest

pytest.importorskip("sensor_msgs.msg", reason="needs sensor_msgs")
pytest.importorskip("rclpy", reason="needs rclpy")

from node_harness import image
from std_msgs.msg import Header

from asymfusion_ros.data.modality import KNOWN
from asymfusion_ros.data.pictures import picture
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.errors import ImageError
from asymfusion_ros.messages import conversion, raw
from asymfusion_ros.messages.conversion import CONVERTED_ENCODINGS, red_image
from asymfusion_ros.messages.measured import anything_valid
from asymfusion_ros.ros.inputs.raw import RawTransport
from asymfusion_ros.ros.messages import image_message
from asymfusion_ros.ros.outputs.images import blend

RGB = np.array([[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]], np.uint8)
GREY = RGB[..., 0]


def read(message, name):
    """The image of a message of a modality, where it needs no conversion."""
    return RawTransport(lambda line: pytest.fail(line)).decode(message, KNOWN[name]).read()


@pytest.fixture
def logged():
    return []


@pytest.fixture
def convert(logged):
    """Reads a colour image, converted where it has to be."""
    pytest.importorskip("rosbags.image", reason="needs rosbags-image")
    transport = RawTransport(logged.append)
    return lambda message: transport.decode(message, KNOWN["rgb"]).read()


def shown(image):
    return picture(image, KNOWN["rgb"])


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
    found = read(message, "rgb")
    np.testing.assert_array_equal(shown(found), RGB)
    assert np.shares_memory(found.data, np.frombuffer(message.data, np.uint8))


def test_grey_is_shown_in_all_three_channels():
    found = read(image(GREY, "mono8", 1, pad=3), "rgb")
    np.testing.assert_array_equal(shown(found), np.dstack([GREY] * 3))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("encoding, dtype", [("16UC1", "u2"), ("mono16", "u2"), ("32FC1", "f4")])
def test_depth_is_read_in_either_byte_order(encoding, dtype, order):
    metres = np.array([[0, 1, 258], [1000, 2.0, 4]]).astype(order + dtype)
    found = read(image(metres, encoding, 1, pad=4), "depth")
    np.testing.assert_array_equal(found.pixels(), metres)


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
    assert anything_valid(read(image(pixels, encoding, 1), "depth"), KNOWN["depth"]) is valid


def test_a_single_valid_pixel_is_found_wherever_it_is():
    for row in (0, 1, 16, 46):
        pixels = np.zeros((47, 3), np.uint16)
        pixels[row, 2] = 1
        assert anything_valid(read(image(pixels, "16UC1", 1, pad=5), "depth"), KNOWN["depth"])


def test_zero_is_a_temperature_like_any_other():
    nothing, zero = np.full((2, 2), np.nan, np.float32), np.zeros((2, 2), np.float32)
    assert not anything_valid(read(image(nothing, "32FC1", 1), "thermal"), KNOWN["thermal"])
    assert anything_valid(read(image(zero, "32FC1", 1), "thermal"), KNOWN["thermal"])


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
        (broken(image(GREY, "bayer_rggb16", 1)), "step is 2.*bayer_rggb16.*needs 4"),
    ],
)
def test_an_rgb_image_that_cannot_be_used_says_why(message, words):
    """When it arrives, before anything converts it."""
    transport = RawTransport(lambda line: pytest.fail(line))
    with pytest.raises(ImageError, match=words):
        transport.decode(message, KNOWN["rgb"])


@pytest.mark.parametrize(
    "message, words",
    [
        (image(RGB, "rgb8", 1), "'rgb8' is not one of depth's.*16UC1.*swapped"),
        (image(GREY, "bayer_rggb8", 1), "not one of depth's.*swapped"),
        (image(GREY, "64FC1", 1), "'64FC1' is not one of depth's.*republish"),
        (broken(image(GREY.astype(np.uint16), "16UC1", 1), height=9), "8 bytes.*cut short"),
    ],
)
def test_a_depth_image_that_cannot_be_used_says_why(message, words):
    with pytest.raises(ImageError, match=words):
        read(message, "depth")


@pytest.mark.parametrize("encoding", CONVERTED_ENCODINGS)
def test_every_converted_encoding_makes_red_of_red(encoding, convert, logged):
    message = red_image(encoding)
    found = convert(message)
    assert (found.encoding, found.height, found.width) == ("rgb8", 8, 8)
    assert found.pixels()[..., 0].min() > 220
    assert found.pixels()[..., 1:].max() < 30
    convert(message)
    assert len(logged) == 1 and encoding in logged[0]


def test_a_conversion_waits_until_the_image_is_read(monkeypatch):
    """In the inference thread: in the executor's it would hold up every other image."""

    def refuse(log):
        return lambda message: pytest.fail("it was converted when it arrived")

    monkeypatch.setattr(raw, "ColourConversion", refuse)
    decoded = RawTransport(print).decode(red_image("bayer_rggb8"), KNOWN["rgb"])
    with pytest.raises(pytest.fail.Exception):
        decoded.read()


def test_a_bayer_image_with_padding_comes_out_in_its_own_colours(convert):
    """Left half red, right half blue, in RGGB: rows end in bytes that must not be read as pixels."""
    mosaic = np.zeros((8, 16), np.uint8)
    mosaic[::2, :8:2] = 255
    mosaic[1::2, 9::2] = 255
    pixels = shown(convert(image(mosaic, "bayer_rggb8", 1, pad=7)))
    assert pixels[:, :6, 0].min() == 255 and pixels[:, :6, 2].max() == 0
    assert pixels[:, 10:, 2].min() == 255 and pixels[:, 10:, 0].max() == 0


def test_big_endian_16_bit_colour(convert):
    wide = np.full((2, 2, 3), (0xFF00, 0x00FF, 0x8000), ">u2")
    pixels = shown(convert(image(wide, "rgb16", 1)))
    # 0xFF00 x 255 / 65535 = 254.0, 0x00FF -> 0.99, 0x8000 -> 127.5, each rounded down
    assert np.abs(pixels[0, 0].astype(int) - (254, 0, 127)).max() <= 1


def test_an_odd_yuv_image_is_refused_in_one_line(convert):
    with pytest.raises(ImageError, match=r"3x3 yuyv cannot be converted.*republish it as rgb8") as caught:
        convert(image(np.zeros((3, 3, 2), np.uint8), "yuyv", 1))
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
    load, fault, convert, logged, monkeypatch
):
    monkeypatch.setattr(conversion, "load_cv_bridge", load)
    pixels = shown(convert(red_image("bayer_grbg8")))
    assert pixels[..., 0].min() == 255
    assert len(logged) == 1
    assert "rosbags-image" in logged[0] and fault in logged[0]


def test_a_cv_bridge_that_works_is_used(convert, logged, monkeypatch):
    def load():
        return lambda message: np.full((message.height, message.width, 3), (255, 0, 0), np.uint8)

    monkeypatch.setattr(conversion, "load_cv_bridge", load)
    convert(red_image("yuyv"))
    assert logged == ["yuyv images are converted to rgb8 by cv_bridge"]


def test_without_any_converter_the_error_says_what_to_install(convert, monkeypatch):
    def missing():
        raise ImportError("No module named 'cv2'")

    monkeypatch.setattr(conversion, "load_cv_bridge", missing)
    monkeypatch.setattr(conversion, "load_rosbags_image", missing)
    with pytest.raises(ImageError, match=r"'uyvy' needs a converter.*pip install rosbags-image"):
        convert(red_image("uyvy"))


def test_a_mask_message_has_no_padding():
    # Every second column of a wider array: rows that are not contiguous in memory.
    labels = np.arange(24, dtype=np.uint8).reshape(3, 8)[:, ::2]
    message = image_message(Header(frame_id="camera"), labels, "mono8")
    assert (message.height, message.width, message.step, message.encoding) == (3, 4, 4, "mono8")
    assert message.data.tolist() == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22]
    assert message.header.frame_id == "camera"
    assert image_message(Header(), RGB, "rgb8").step == 6


def test_the_overlay_blends_the_class_colours_with_the_image():
    colours = np.array([[[0, 0, 0], [200, 100, 50]]], np.uint8)
    below = np.array([[[255, 255, 255], [100, 51, 0]]], np.uint8)
    # 0.75 x 255 = 191.25; 0.75 x 100 + 0.25 x 200 = 125; 0.75 x 51 = 38.25, + 25; 0 + 12.5
    np.testing.assert_array_equal(blend(below, colours, 0.25), [[[191, 191, 191], [125, 63, 12]]])
    np.testing.assert_array_equal(blend(below, colours, 0.0), below)
    np.testing.assert_array_equal(blend(below, colours, 1.0), colours)
    white = np.full((1, 1, 3), 255, np.uint8)
    np.testing.assert_array_equal(blend(white, white, 0.3), white)


def test_depth_is_shown_in_grey_near_bright_and_invalid_black():
    depth = KNOWN["depth"]
    image = RawImage.from_array(np.array([[0, 1000, 4000]], np.uint16))
    # 255 - 200 x 1000 / 4000 and 255 - 200
    np.testing.assert_array_equal(picture(image, depth)[0, :, 0], [0, 205, 55])
    assert picture(RawImage.from_array(np.full((2, 2), np.nan, np.float32)), depth).max() == 0


def test_a_scalar_is_shown_in_grey_from_its_lowest_to_its_highest_value():
    image = RawImage.from_array(np.array([[280, 300, np.nan, 320]], np.float32))
    np.testing.assert_array_equal(picture(image, KNOWN["thermal"])[0, :, 1], [55, 155, 0, 255])
    assert (picture(RawImage.from_array(np.full((2, 2), 7, np.uint16)), KNOWN["thermal"]) == 55).all()
