"""Messages of every transport to images, without a node."""

import array
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("sensor_msgs.msg", reason="needs sensor_msgs")
pytest.importorskip("rclpy", reason="needs rclpy")

from encoders import compressed_depth, encoded
from node_harness import SECOND, header, image
from sensor_msgs.msg import CompressedImage, Image

from asymfusion_ros.data.modality import KNOWN
from asymfusion_ros.data.pictures import picture
from asymfusion_ros.errors import ConfigError, ImageError
from asymfusion_ros.ros.inputs import transports
from asymfusion_ros.ros.inputs.compressed import CompressedTransport
from asymfusion_ros.ros.inputs.raw import RawTransport
from asymfusion_ros.ros.inputs.transports import TRANSPORTS, Entry, load_transports, names, parameter_of

MODALITIES = [KNOWN["rgb"], KNOWN["depth"], KNOWN["thermal"]]


def compressed_message(data, format):
    message = CompressedImage(header=header(SECOND), format=format)
    message.data = array.array("B", data)
    return message


def choice(image="raw", depth="raw"):
    return SimpleNamespace(image_transport=image, depth_image_transport=depth)


def test_each_modality_has_the_transport_of_its_parameter():
    found = load_transports(MODALITIES, choice("compressed", "compressedDepth"), print)
    suffixes = {name: transport.suffix for name, transport in found.items()}
    assert suffixes == {"rgb": "/compressed", "depth": "/compressedDepth", "thermal": "/compressed"}
    assert [parameter_of(one) for one in MODALITIES] == [
        "image_transport",
        "depth_image_transport",
        "image_transport",
    ]


def test_a_parameter_offers_what_carries_its_images():
    assert names("colour", "scalar") == ("raw", "compressed")
    assert names("range") == ("raw", "compressed", "compressedDepth", "disparity")


def test_a_transport_whose_package_is_missing_is_named(monkeypatch):
    def missing():
        raise ModuleNotFoundError("No module named 'stereo_msgs'", name="stereo_msgs.msg")

    monkeypatch.setitem(TRANSPORTS, "disparity", Entry(missing, ("range",)))
    with pytest.raises(ConfigError, match="depth_image_transport disparity needs stereo_msgs, which is not"):
        load_transports(MODALITIES, choice(depth="disparity"), print)
    load_transports(MODALITIES, choice(), print)
    assert "disparity" not in transports.others_of(KNOWN["depth"], RawTransport)


def test_without_opencv_compressed_images_are_refused_when_the_node_is_configured(monkeypatch):
    monkeypatch.setattr("asymfusion_ros.data.codecs.opencv.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="image_transport compressed needs OpenCV: pip install"):
        load_transports(MODALITIES, choice("compressed"), print)


def test_a_bayer_mosaic_as_png_comes_out_in_its_own_colours():
    """Left half red, right half blue, in RGGB."""
    pytest.importorskip("rosbags.image", reason="needs rosbags-image")
    mosaic = np.zeros((8, 16), np.uint8)
    mosaic[::2, :8:2] = 255
    mosaic[1::2, 9::2] = 255
    lines = []
    for wide in (False, True):
        pixels = mosaic.astype(np.uint16) * 257 if wide else mosaic
        message = compressed_message(
            encoded(".png", pixels), f"bayer_rggb{16 if wide else 8}; png compressed "
        )
        found = CompressedTransport(lines.append).decode(message, KNOWN["rgb"]).read()
        shown = picture(found, KNOWN["rgb"])
        assert shown[:, :6, 0].min() == 255 and shown[:, :6, 2].max() == 0
        assert shown[:, 10:, 2].min() == 255 and shown[:, 10:, 0].max() == 0
    assert ["bayer_rggb8 images are converted" in lines[0], "bayer_rggb16 images" in lines[1]] == [True, True]


def test_what_waits_to_be_decoded_is_not_decoded_when_it_arrives(monkeypatch):
    """In the inference thread: in the executor's it would hold up every other image."""
    arrived = CompressedTransport(print).decode(
        compressed_message(encoded(".png", np.ones((4, 4, 3), np.uint8)), "png"), KNOWN["rgb"]
    )
    monkeypatch.setattr(
        "asymfusion_ros.data.codecs.opencv.decode", lambda *arguments: pytest.fail("decoded", pytrace=False)
    )
    CompressedTransport(print).decode(
        compressed_message(encoded(".png", np.ones((4, 4, 3), np.uint8)), "png"), KNOWN["rgb"]
    )
    with pytest.raises(pytest.fail.Exception):
        arrived.read()


def test_a_depth_message_is_read_with_its_own_stamp():
    depth = np.array([[0, 1234], [9000, 11000]], np.uint16)
    transport = load_transports(MODALITIES, choice(depth="compressedDepth"), print)["depth"]
    message = compressed_message(compressed_depth(depth, "rvl"), "16UC1; compressedDepth rvl")
    found = transport.decode(message, KNOWN["depth"])
    assert found.header == message.header
    # Beyond the publisher's depth_max of 10 m nothing is left.
    assert found.read().pixels().tolist() == [[0, 1234], [9000, 0]]


@pytest.mark.parametrize(
    "encoding, value", [("mono8", np.uint8), ("bayer_rggb16", np.uint16), ("yuyv", np.uint16)]
)
@pytest.mark.parametrize("shape", [(30000, 1), (2, 80)])
def test_a_long_thin_raw_image_is_refused_as_it_arrives(encoding, value, shape):
    with pytest.raises(ImageError, match=f"{shape[1]}x{shape[0]}: its longer side is more than 32 times"):
        RawTransport(print).decode(image(np.zeros(shape, value), encoding, 1), KNOWN["rgb"])


@pytest.mark.parametrize("name", ["rgb", "depth", "thermal"])
def test_an_encoding_of_a_megabyte_is_one_short_line(name):
    message = image(np.zeros((2, 2), np.uint8), "x" * 10**6, 1)
    with pytest.raises(ImageError, match=r"encoding 'xxx.*\(1000000 characters\) is not one of") as caught:
        RawTransport(print).decode(message, KNOWN[name])
    assert len(str(caught.value)) < 500


def disparity_message(pixels, **fields):
    messages = pytest.importorskip("stereo_msgs.msg", reason="needs stereo_msgs")
    message = messages.DisparityImage(
        header=header(SECOND), image=image(pixels, "32FC1", SECOND), f=500.0, t=0.12, min_disparity=4.0
    )
    for name, value in fields.items():
        setattr(message, name, value)
    return message


def test_disparity_is_read_as_depth():
    # Z = 500 px x 0.12 m / d
    pixels = np.array([[60, 30], [3, np.nan]], np.float32)
    message = disparity_message(pixels)
    transport = load_transports(MODALITIES, choice(depth="disparity"), print)["depth"]
    found = transport.decode(message, KNOWN["depth"])
    assert found.header == header(SECOND)
    depth = found.read()
    assert depth.encoding == "32FC1"
    np.testing.assert_allclose(depth.pixels(), [[1, 2], [np.nan, np.nan]], rtol=1e-6)
    padded = disparity_message(pixels, image=image(pixels.astype(">f4"), "32FC1", SECOND, pad=8))
    np.testing.assert_array_equal(transport.decode(padded, KNOWN["depth"]).read().pixels(), depth.pixels())


@pytest.mark.parametrize(
    "fields, words",
    [
        ({"f": 0.0}, "focal length f is 0"),
        ({"t": -0.1}, "baseline T is -0.1"),
        ({"image": image(np.zeros((2, 2), np.int16), "16SC1", 1)}, "encoding is '16SC1'"),
        ({"image": image(np.zeros((1, 40), np.float32), "32FC1", 1)}, "its longer side"),
        ({"image": Image(encoding="32FC1")}, "no pixels"),
    ],
)
def test_disparity_that_cannot_be_used_is_refused_as_it_arrives(fields, words):
    message = disparity_message(np.ones((2, 2), np.float32), **fields)
    transport = load_transports(MODALITIES, choice(depth="disparity"), print)["depth"]
    with pytest.raises(ImageError, match=words):
        transport.decode(message, KNOWN["depth"])
