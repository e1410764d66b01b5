"""The node on real DDS with cameras that compress, and stereo cameras."""

import array

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy")
pytest.importorskip("sensor_msgs.msg", reason="needs sensor_msgs")

import rclpy
from encoders import compressed_depth, encoded
from node_harness import (
    HEIGHT,
    SECOND,
    WIDTH,
    Rig,
    distances,
    engine,
    expected_labels,
    header,
    image,
    picture,
    pixels_of,
)
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage, Image

from asymfusion_ros.ros.segmentation import SegmentationNode

RGB_TOPIC, DEPTH_TOPIC = "rgb/image_rect_color", "depth_registered/image_rect"
RGB_NAME, DEPTH_NAME = f"/{RGB_TOPIC}/compressed", f"/{DEPTH_TOPIC}/compressedDepth"


def make_rig(checkpoint, topics, **values):
    """A rig whose cameras publish on ``topics``: modality -> (topic, message type)."""
    rig = Rig(checkpoint, load=lambda settings: engine(checkpoint), modalities=(), **values)
    for name, (topic, kind) in topics.items():
        rig.cameras[name] = rig.client.create_publisher(kind, topic, 10)
    return rig


@pytest.fixture(scope="module")
def shared_rig(checkpoint):
    topics = {
        "rgb": (f"{RGB_TOPIC}/compressed", CompressedImage),
        "depth": (f"{DEPTH_TOPIC}/compressedDepth", CompressedImage),
    }
    choice = {"image_transport": "compressed", "depth_image_transport": "compressedDepth"}
    rig = make_rig(checkpoint, topics, **choice).start()
    yield rig
    rig.close()


stamps = iter(range(100 * SECOND, 10**6 * SECOND, 10 * SECOND))


@pytest.fixture
def rig(shared_rig):
    shared_rig.log.clear()
    shared_rig.node.throttled_log.forget()
    return shared_rig


@pytest.fixture
def stamp():
    return next(stamps)


def packed(data, format, stamp):
    message = CompressedImage(header=header(stamp), format=format)
    message.data = array.array("B", data)
    return message


PICTURE = picture(3)
BGR = np.ascontiguousarray(PICTURE[..., ::-1])
JPEG = encoded(".jpg", BGR)


def colour(stamp):
    return packed(encoded(".png", BGR), "rgb8; png compressed bgr8", stamp)


def depth(stamp, codec="png"):
    return packed(compressed_depth(distances(), codec), f"16UC1; compressedDepth {codec}", stamp)


@pytest.mark.parametrize("codec", ["png", "rvl"])
def test_compressed_images_give_the_mask_of_the_same_images(rig, stamp, checkpoint, codec):
    rig.send(colour(stamp), depth(stamp, codec))
    labels = expected_labels(checkpoint, PICTURE, distances())
    np.testing.assert_array_equal(pixels_of(rig.mask(stamp)), labels)


def test_a_jpeg_gives_the_mask_of_the_picture_that_it_holds(rig, stamp, checkpoint):
    rig.send(packed(JPEG, "rgb8; jpeg compressed bgr8", stamp), depth(stamp))
    held = cv2.cvtColor(cv2.imdecode(np.frombuffer(JPEG, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
    np.testing.assert_array_equal(
        pixels_of(rig.mask(stamp)), expected_labels(checkpoint, np.ascontiguousarray(held), distances())
    )


@pytest.mark.parametrize("codec", ["png", "rvl"])
def test_float_depth_gives_the_mask_of_nearly_the_same_distances(rig, stamp, checkpoint, codec):
    metres = np.where(distances() == 0, np.nan, distances() / 1000).astype(np.float32)
    rig.send(colour(stamp), packed(compressed_depth(metres, codec), f"32FC1; compressedDepth {codec}", stamp))
    labels = expected_labels(checkpoint, PICTURE, distances())
    # Depth is up to d^2 / 10100 too far, 3.6 mm at 6 m: a pixel on the border of two classes may change.
    assert (pixels_of(rig.mask(stamp)) == labels).mean() > 0.98


@pytest.mark.parametrize(
    "data, format, words",
    [
        (b"", "jpeg", "no data"),
        (bytes(99), "jpeg", "neither PNG nor JPEG"),
        (JPEG[:-200], "jpeg", "cut short"),
        (encoded(".png", distances()), "16UC1; png compressed ", "swapped"),
        (encoded(".jpg", np.zeros((1, 4000), np.uint8)), "jpeg", "4000x1: its longer side"),
    ],
)
def test_a_bad_compressed_image_is_named_and_the_next_pair_is_segmented(rig, stamp, data, format, words):
    rejected = rig.counters.rejected
    rig.send(packed(data, format, stamp), depth(stamp))
    rig.send(colour(stamp + SECOND), depth(stamp + SECOND))
    assert rig.mask(stamp + SECOND).height == HEIGHT
    rig.until(lambda: rig.logged(RGB_NAME, "image skipped", words))
    assert rig.counters.rejected == rejected + 1


def test_a_bad_compressed_depth_image_is_named_and_the_next_pair_is_segmented(rig, stamp):
    rejected = rig.counters.rejected
    rig.send(colour(stamp), packed(compressed_depth(distances())[:-20], "16UC1; compressedDepth png", stamp))
    rig.send(colour(stamp + SECOND), depth(stamp + SECOND))
    assert rig.mask(stamp + SECOND).height == HEIGHT
    rig.until(lambda: rig.logged(DEPTH_NAME, "image skipped", "cut short"))
    assert rig.counters.rejected == rejected + 1


def test_an_image_that_turns_out_damaged_costs_its_frame_alone(rig, stamp):
    rvl = compressed_depth(distances(), "rvl")
    rig.send(colour(stamp), packed(rvl[:-8], "16UC1; compressedDepth rvl", stamp))
    rig.until(lambda: rig.logged("a frame was skipped", DEPTH_NAME, "RVL image does not decode"))
    rig.send(colour(stamp + SECOND), depth(stamp + SECOND))
    assert rig.mask(stamp + SECOND).width == WIDTH


def test_disparity_gives_the_mask_of_its_depth(checkpoint):
    messages = pytest.importorskip("stereo_msgs.msg", reason="needs stereo_msgs")
    topics = {"rgb": (RGB_TOPIC, Image), "depth": (DEPTH_TOPIC, messages.DisparityImage)}
    rig = make_rig(checkpoint, topics, depth_image_transport="disparity")
    try:
        rig.start()
        f, t = 500.0, 0.12
        with np.errstate(divide="ignore"):
            pixels = np.where(distances() == 0, -1, f * t / (distances() / 1000)).astype(np.float32)
        message = messages.DisparityImage(header=header(SECOND), f=f, t=t, min_disparity=0.5)
        message.image = image(pixels, "32FC1", SECOND)
        rig.send(image(PICTURE, "rgb8", SECOND), message)
        labels = expected_labels(checkpoint, PICTURE, distances())
        # Float metres and integer millimetres may differ in the last bit.
        assert (pixels_of(rig.mask(SECOND)) == labels).mean() > 0.99
    finally:
        rig.close()


def test_what_a_camera_publishes_instead_is_named_with_the_parameter_to_set(checkpoint):
    topics = {"rgb": (RGB_TOPIC, Image), "depth": (f"{DEPTH_TOPIC}/compressedDepth", CompressedImage)}
    rig = make_rig(checkpoint, topics, image_transport="compressed")
    try:
        assert rig.node.start()
        inputs = rig.node.cameras[0].inputs
        assert inputs["rgb"].topic.endswith(RGB_NAME) and inputs["depth"].topic.endswith(DEPTH_TOPIC)
        rig.until(lambda: "image_transport to raw" in inputs["rgb"].advice())
        base = f"{rig.namespace}/{RGB_TOPIC}"
        assert inputs["rgb"].advice() == (
            f"nobody publishes it, but {base} carries sensor_msgs/msg/Image: set image_transport to raw"
        )
        rig.until(lambda: "depth_image_transport to compressedDepth" in inputs["depth"].advice())
    finally:
        rig.close()


def test_a_stereo_camera_on_the_depth_topic_is_named_with_the_parameter_to_set(checkpoint):
    messages = pytest.importorskip("stereo_msgs.msg", reason="needs stereo_msgs")
    rig = make_rig(checkpoint, {})
    # One process's participant has one type for a topic.
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=rig.domain)
    driver = rclpy.create_node("stereo", namespace=rig.namespace, context=context)
    try:
        driver.create_publisher(messages.DisparityImage, DEPTH_TOPIC, 10)
        assert rig.node.start()
        depth = rig.node.cameras[0].inputs["depth"]
        rig.until(lambda: "to disparity" in depth.advice())
        assert depth.advice() == (
            "it carries stereo_msgs/msg/DisparityImage, not sensor_msgs/msg/Image: set depth_image_transport "
            "to disparity"
        )
    finally:
        driver.destroy_node()
        rclpy.try_shutdown(context=context)
        rig.close()


def test_the_suffix_follows_the_topic_that_the_image_topic_is_remapped_to(checkpoint):
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=1)
    values = {"checkpoint": str(checkpoint), "image_transport": "compressed"}
    node = SegmentationNode(
        context=context,
        cli_args=["--ros-args", "-r", f"{RGB_TOPIC}:=/front/image_raw", "-r", f"{DEPTH_TOPIC}:=/front/depth"],
        parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
        load=lambda settings: engine(checkpoint),
    )
    try:
        assert node.start()
        topics = {name: source.topic for name, source in node.cameras[0].inputs.items()}
        assert topics == {"rgb": "/front/image_raw/compressed", "depth": "/front/depth"}
        subscribed = {subscription.topic_name for subscription in node.subscriptions}
        assert set(topics.values()) <= subscribed
    finally:
        node.close()
        node.destroy_node()
        rclpy.try_shutdown(context=context)


def test_a_transport_that_there_is_not_is_refused_with_the_choices(checkpoint):
    rig = make_rig(checkpoint, {}, image_transport="theora")
    try:
        assert not rig.node.start()
        rig.until(lambda: rig.logged("image_transport is 'theora'", "choose one of raw, compressed"))
    finally:
        rig.close()
