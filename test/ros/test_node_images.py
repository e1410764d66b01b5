"""The node on real DDS: what goes in, what comes out, and what bad input does to it."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy")
pytest.importorskip("sensor_msgs.msg", reason="needs sensor_msgs")

from node_harness import (
    HEIGHT,
    SECOND,
    WIDTH,
    Rig,
    distances,
    expected_labels,
    header,
    image,
    picture,
    pixels_of,
)

OUTPUTS = ("mask", "confidence", "color_mask", "overlay")


@pytest.fixture(scope="module")
def shared_rig(checkpoint):
    """One node for all tests that only send images; each uses stamps of its own."""
    rig = Rig(checkpoint, listen=OUTPUTS).start()
    yield rig
    rig.close()


stamps = iter(range(100 * SECOND, 10**6 * SECOND, 10 * SECOND))


@pytest.fixture
def rig(shared_rig):
    shared_rig.log.clear()
    shared_rig.node.throttled_log.forget()  # each test sees its own lines, however soon it follows another
    return shared_rig


@pytest.fixture
def stamp():
    return next(stamps)


def test_all_outputs_carry_the_mask_of_the_pair_and_the_rgb_images_stamp_and_frame(
    rig,
    stamp,
    checkpoint,
):
    rgb, depth = picture(7), distances(7)
    rig.send(
        image(rgb, "rgb8", stamp + 123, "rgb_optical"),
        image(depth, "16UC1", stamp + 5_000_000, "rgb_optical"),
    )
    outputs = {topic: rig.mask(stamp + 123, topic) for topic in OUTPUTS}
    for topic, message in outputs.items():
        assert message.header == header(stamp + 123, "rgb_optical"), topic
        assert (message.height, message.width) == (HEIGHT, WIDTH), topic
        assert message.is_bigendian == 0, topic
    assert outputs["mask"].encoding == outputs["confidence"].encoding == "mono8"
    assert outputs["mask"].step == outputs["confidence"].step == WIDTH
    assert outputs["color_mask"].encoding == outputs["overlay"].encoding == "rgb8"
    labels = expected_labels(checkpoint, rgb, depth)
    assert len(np.unique(labels)) > 2
    np.testing.assert_array_equal(pixels_of(outputs["mask"]), labels)
    colours = np.array([[128, 0, 0], [0, 128, 0], [128, 128, 0], [0, 0, 128], [128, 0, 128], [0, 128, 128]])
    np.testing.assert_array_equal(pixels_of(outputs["color_mask"]), colours[labels])
    np.testing.assert_array_equal(pixels_of(outputs["overlay"]), rgb // 2 + colours[labels] // 2)
    assert pixels_of(outputs["confidence"]).std() > 0


RGB = picture(3)
GREY = picture(4)[..., 0]
ALPHA = np.full_like(GREY, 9)
COLOURS = {
    "rgb8": (RGB, RGB),
    "bgr8": (RGB[..., ::-1], RGB),
    "rgba8": (np.dstack([RGB, ALPHA]), RGB),
    "bgra8": (np.dstack([RGB[..., ::-1], ALPHA]), RGB),
    "mono8": (GREY, np.dstack([GREY] * 3)),
}


@pytest.mark.parametrize("pad", [0, 13])
@pytest.mark.parametrize("encoding", COLOURS)
def test_every_colour_encoding_gives_the_mask_of_the_same_rgb_picture(
    rig,
    stamp,
    checkpoint,
    encoding,
    pad,
):
    pixels, same = COLOURS[encoding]
    rig.send(image(pixels, encoding, stamp, pad=pad), image(distances(), "16UC1", stamp))
    labels = expected_labels(checkpoint, same, distances())
    np.testing.assert_array_equal(pixels_of(rig.mask(stamp)), labels)


METRES = np.where(distances() == 0, np.nan, distances() / 1000)


@pytest.mark.parametrize("pad", [0, 12])
@pytest.mark.parametrize(
    "encoding, pixels",
    [
        ("16UC1", distances().astype("<u2")),
        ("16UC1", distances().astype(">u2")),
        ("mono16", distances()),
        ("32FC1", METRES.astype("<f4")),
        ("32FC1", METRES.astype(">f4")),
        ("32FC1", np.where(np.isnan(METRES), -np.inf, METRES).astype("<f4")),
    ],
    ids=["16UC1", "16UC1-big", "mono16", "32FC1", "32FC1-big", "32FC1-inf"],
)
def test_every_depth_encoding_gives_the_mask_of_the_same_distances(
    rig,
    stamp,
    checkpoint,
    encoding,
    pixels,
    pad,
):
    rig.send(image(RGB, "rgb8", stamp), image(pixels, encoding, stamp, pad=pad))
    labels = expected_labels(checkpoint, RGB, distances())
    # Float metres and integer millimetres may differ in the last bit, and so may a pixel on the border.
    assert (pixels_of(rig.mask(stamp)) == labels).mean() > 0.99


def test_a_bayer_image_is_converted_and_the_log_says_by_what(rig, stamp):
    pytest.importorskip("rosbags.image", reason="needs rosbags-image")
    rig.send(image(GREY, "bayer_rggb8", stamp), image(distances(), "16UC1", stamp))
    assert rig.mask(stamp).width == WIDTH
    rig.until(lambda: rig.logged("bayer_rggb8 images are converted to rgb8 by"))


def test_an_image_that_cannot_be_converted_is_named_and_the_next_pair_is_segmented(rig, stamp):
    pytest.importorskip("rosbags.image", reason="needs rosbags-image")
    rig.send(image(GREY[:, :3], "yuyv", stamp, pad=9), image(distances(), "16UC1", stamp))
    rig.until(lambda: rig.logged("a frame was skipped", RGB_NAME, "republish it as rgb8"))
    rig.good_frame_is_segmented(stamp + SECOND)


def changed(message, **fields):
    for name, value in fields.items():
        setattr(message, name, value)
    return message


RGB_NAME, DEPTH_NAME = "/rgb/image_rect_color", "/depth_registered/image_rect"
BAD_RGB = {
    "encoding": ({"encoding": "h264"}, "encoding 'h264' is not one of rgb's"),
    "depth on rgb": ({"encoding": "16UC1"}, "swapped"),
    "short data": ({"height": HEIGHT + 1}, "cut short"),
    "short step": ({"step": WIDTH}, "step is 64"),
    "no pixels": ({"height": 0, "width": 0}, "no pixels"),
    "zero stamp": ({"header": header(0)}, "stamp is zero"),
    "negative stamp": ({"header": header(-3 * SECOND)}, "stamp is negative (-3 s)"),
}
BAD_DEPTH = {
    "encoding": ({"encoding": "8UC3"}, "'8UC3' is not one of depth's"),
    "short data": ({"height": HEIGHT + 1}, "cut short"),
    "no pixels": ({"width": 0}, "no pixels"),
    "zero stamp": ({"header": header(0)}, "stamp is zero"),
    "negative stamp": ({"header": header(-3 * SECOND)}, "stamp is negative (-3 s)"),
}


@pytest.mark.parametrize("fault", BAD_RGB)
def test_a_bad_rgb_image_is_named_and_the_next_pair_is_segmented(rig, stamp, fault):
    fields, words = BAD_RGB[fault]
    rejected = rig.counters.rejected
    rig.send(changed(image(RGB, "rgb8", stamp), **fields), image(distances(), "16UC1", stamp))
    rig.good_frame_is_segmented(stamp + SECOND)
    rig.until(lambda: rig.logged(RGB_NAME, "image skipped", words))
    assert rig.counters.rejected == rejected + 1


@pytest.mark.parametrize("fault", BAD_DEPTH)
def test_a_bad_depth_image_is_named_and_the_next_pair_is_segmented(rig, stamp, fault):
    fields, words = BAD_DEPTH[fault]
    rejected = rig.counters.rejected
    rig.send(image(RGB, "rgb8", stamp), changed(image(distances(), "16UC1", stamp), **fields))
    rig.good_frame_is_segmented(stamp + SECOND)
    rig.until(lambda: rig.logged(DEPTH_NAME, "image skipped", words))
    assert rig.counters.rejected == rejected + 1


def test_a_stream_of_bad_images_is_one_line_not_many(rig, stamp):
    before = rig.counters.rejected
    for k in range(20):
        rig.send(image(RGB, "nonsense", stamp + k), None)
        rig.until(lambda: rig.counters.rejected == before + k + 1)  # noqa: B023
    rig.good_frame_is_segmented(stamp + SECOND)
    rig.until(lambda: rig.logged("nonsense"))
    assert sum("nonsense" in line for line in rig.log) == 1


@pytest.mark.parametrize(
    "depth, encoding",
    [
        (np.zeros((HEIGHT, WIDTH), np.uint16), "16UC1"),
        (np.full((HEIGHT, WIDTH), np.nan, np.float32), "32FC1"),
        (np.full((HEIGHT, WIDTH), np.inf, np.float32), "32FC1"),
    ],
    ids=["zero", "NaN", "Inf"],
)
def test_depth_without_a_valid_pixel_is_left_out(
    rig,
    stamp,
    checkpoint,
    depth,
    encoding,
):
    rig.send(image(RGB, "rgb8", stamp), image(depth, encoding, stamp))
    np.testing.assert_array_equal(pixels_of(rig.mask(stamp)), expected_labels(checkpoint, RGB, None))
    words = (DEPTH_NAME, "no pixel of the 64x48 depth image is valid", "going on with only rgb")
    rig.until(lambda: rig.logged(*words))
    rig.good_frame_is_segmented(stamp + SECOND)


def test_depth_of_another_size_is_resized_to_rgb_and_logged_once(rig, stamp):
    small = distances(0, 24, 32)
    for k in range(3):
        at = stamp + k * SECOND
        rig.send(image(RGB, "rgb8", at), image(small, "16UC1", at))
        assert (rig.mask(at).height, rig.mask(at).width) == (HEIGHT, WIDTH)
    rig.until(lambda: rig.logged("32x24 depth is resized to 64x48 rgb"))
    rig.good_frame_is_segmented(stamp + 5 * SECOND)
    assert sum("is resized" in line for line in rig.log) == 1


def test_images_of_changing_size(rig, stamp):
    for k, (height, width) in enumerate([(48, 64), (56, 40), (8, 8), (120, 160)]):
        at = stamp + k * SECOND
        rig.send(
            image(picture(1, height, width), "rgb8", at), image(distances(1, height, width), "16UC1", at)
        )
        assert pixels_of(rig.mask(at)).shape == (height, width)


def test_depth_in_another_frame_is_pointed_out(rig, stamp):
    rig.send(image(RGB, "rgb8", stamp, "rgb_optical"), image(distances(), "16UC1", stamp, "depth_optical"))
    assert rig.mask(stamp).header.frame_id == "rgb_optical"
    rig.until(lambda: rig.logged("'depth_optical'", "'rgb_optical'", "registered"))


def test_a_recording_that_starts_over_is_segmented_again(rig, stamp):
    """With full queues, so that without the clearing every new image would be dropped as the oldest."""
    before = sum(rig.counters.received.values())
    for k in range(12):
        at = stamp + 2 * SECOND + k * SECOND // 10
        rig.send(image(RGB, "rgb8", at), image(distances(), "16UC1", at + SECOND // 20))
        rig.until(lambda: sum(rig.counters.received.values()) >= before + 2 * k + 2)  # noqa: B023
    rig.good_frame_is_segmented(stamp)
    rig.good_frame_is_segmented(stamp + SECOND // 30)
    rig.until(
        lambda: rig.logged(RGB_NAME, "went back in time") and rig.logged(DEPTH_NAME, "went back in time")
    )


def test_an_engine_that_fails_costs_one_frame_and_logs_the_traceback(rig, stamp):
    def fail():
        rig.network.before = lambda: None
        raise RuntimeError("CUDA out of memory")

    rig.network.before = fail
    rig.send_frame(stamp)
    rig.until(lambda: rig.logged("a frame was not segmented", "Traceback", "CUDA out of memory"))
    rig.good_frame_is_segmented(stamp + SECOND)
