"""The node on real DDS with three modalities: each topic lost and back, and what the log has of it."""

import itertools

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy")
pytest.importorskip("sensor_msgs.msg", reason="needs sensor_msgs")

from node_harness import (
    HEIGHT,
    IMAGES,
    SECOND,
    WIDTH,
    Rig,
    distances,
    engine,
    expected_labels,
    header,
    image,
    kelvin,
    made,
    make_checkpoint,
    picture,
    pixels_of,
)

NAMES = ("rgb", "depth", "thermal")
MISSING_AFTER = 0.4
TOPICS = {
    "rgb": "/rgb/image_rect_color",
    "depth": "/depth_registered/image_rect",
    "thermal": "/thermal/image_rect",
}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A network of three modalities with random weights."""
    return make_checkpoint(tmp_path_factory.mktemp("checkpoint") / "three.safetensors", NAMES)


@pytest.fixture
def make_rig(checkpoint):
    rigs = []

    def make(**options):
        rigs.append(
            Rig(checkpoint, load=lambda settings: engine(checkpoint), **{"modalities": NAMES, **options})
        )
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


def labels_of(checkpoint, names, seed=0):
    """What the engine makes of the images of these modalities."""
    return expected_labels(checkpoint, **{name: IMAGES[name][0](seed) for name in names})


def test_the_three_images_of_an_instant_give_one_mask_with_the_stamp_of_rgb(make_rig, checkpoint):
    rig = make_rig(listen=("mask", "overlay"), slop=0.02).start()
    ms = SECOND // 1000
    rig.send(
        thermal=image(kelvin(4), "16UC1", 10 * SECOND - 9 * ms, "rgb_optical"),
        rgb=image(picture(4), "rgb8", 10 * SECOND, "rgb_optical"),
        depth=image(distances(4), "16UC1", 10 * SECOND + 9 * ms, "rgb_optical"),
    )
    mask = rig.mask(10 * SECOND)
    assert mask.header == header(10 * SECOND, "rgb_optical")
    np.testing.assert_array_equal(pixels_of(mask), labels_of(checkpoint, NAMES, 4))
    # Each of the three matters, or the tests below would show little.
    for pair in itertools.combinations(NAMES, 2):
        assert (pixels_of(mask) != labels_of(checkpoint, pair, 4)).any(), pair
    assert rig.counters.to_dict() == {
        **dict.fromkeys(("received_rgb", "received_depth", "received_thermal", "paired", "segmented"), 1),
        **dict.fromkeys(
            ("rejected", "incomplete", "dropped", "unsubscribed", "failed", "unpaired", "skipped"), 0
        ),
        **{"framed": 3, "published_mask": 1, "published_overlay": 1},
    }
    assert rig.logged("waiting for sets of images within 0.02 s of", *TOPICS.values())


def frames(rig, names, count, until):
    """Sends frames of ``names`` at 20 Hz until ``until(newest stamp)`` holds; returns the newest stamp."""
    for stamp in itertools.count(count * SECOND, SECOND // 20):
        rig.send_frame(stamp, names=names)
        rig.spin(0.05)
        if until(stamp):
            return stamp


@pytest.mark.parametrize("lost", NAMES)
def test_a_modality_that_is_lost_is_gone_on_without_and_used_again_when_it_is_back(
    make_rig, checkpoint, lost
):
    rig = make_rig(missing_after=MISSING_AFTER).start()
    rest = tuple(name for name in NAMES if name != lost)
    rig.good_frame_is_segmented(10 * SECOND)
    np.testing.assert_array_equal(pixels_of(rig.mask(10 * SECOND)), labels_of(checkpoint, NAMES))

    # On a busy machine an image of the others may come too late as well, once.
    without = labels_of(checkpoint, rest)
    frames(
        rig,
        rest,
        100,
        lambda stamp: (
            rig.counters.incomplete >= 3 and np.array_equal(pixels_of(rig.received["mask"][-1]), without)
        ),
    )
    rig.until(
        lambda: rig.logged(TOPICS[lost], "nothing usable for 0.4 s (missing_after)", " and ".join(rest))
    )

    stamp = frames(rig, NAMES, 200, lambda stamp: rig.counters.paired >= 4)
    rig.until(lambda: rig.received["mask"][-1].header.stamp == header(stamp).stamp)
    np.testing.assert_array_equal(pixels_of(rig.received["mask"][-1]), labels_of(checkpoint, NAMES))
    rig.until(lambda: rig.logged(TOPICS[lost], "it is back; going on with rgb, depth and thermal"))


@pytest.mark.parametrize("left", NAMES)
def test_with_two_of_three_lost_the_last_is_segmented(make_rig, checkpoint, left):
    rig = make_rig(missing_after=MISSING_AFTER).start()
    frames(rig, (left,), 10, lambda stamp: rig.counters.segmented >= 2)
    mask = rig.received["mask"][-1]
    assert (mask.height, mask.width) == (HEIGHT, WIDTH)
    np.testing.assert_array_equal(pixels_of(mask), labels_of(checkpoint, (left,)))
    rig.until(lambda: rig.logged(f"going on with only {left}"))


def test_a_third_topic_that_is_silent_from_the_start_costs_one_clear_line(make_rig, checkpoint, monkeypatch):
    monkeypatch.setattr("asymfusion_ros.stream.frame_maker.SILENT_AFTER", 0.5)
    rig = make_rig(missing_after=MISSING_AFTER, modalities=("rgb", "depth")).start()
    frames(rig, ("rgb", "depth"), 10, lambda stamp: rig.counters.incomplete >= 15)
    np.testing.assert_array_equal(
        pixels_of(rig.received["mask"][-1]), labels_of(checkpoint, ("rgb", "depth"))
    )
    rig.until(lambda: rig.logged("thermal"))
    (line,) = (line for line in rig.log if "thermal" in line and "waiting for" not in line)
    assert line.endswith(
        "/thermal/image_rect: nothing usable for 0.4 s (missing_after): going on with rgb and depth; nobody "
        "publishes it: start the camera, or remap the topic (see `ros2 topic list`)"
    )


def test_a_lost_modality_is_a_warning_in_the_diagnostics(make_rig, monkeypatch):
    monkeypatch.setattr("asymfusion_ros.stream.frame_maker.SILENT_AFTER", 1.0)
    messages = pytest.importorskip("diagnostic_msgs.msg", reason="needs diagnostic_msgs")
    rig = make_rig(missing_after=MISSING_AFTER, modalities=("rgb", "depth"))
    received = []
    rig.client.create_subscription(messages.DiagnosticArray, "/diagnostics", received.append, 10)
    name = f"{rig.namespace[1:]}/segmentation: segmentation"

    def newest():
        found = [status for array in received for status in array.status if status.name == name]
        return found[-1] if found else messages.DiagnosticStatus()

    rig.until(lambda: newest().message == "unconfigured")
    rig.start()
    rig.until(lambda: newest().message == "active")
    assert newest().level == messages.DiagnosticStatus.OK
    assert newest().hardware_id == f"{rig.namespace[1:]}/segmentation"
    frames(rig, ("rgb", "depth"), 10, lambda stamp: newest().level == messages.DiagnosticStatus.WARN)
    assert "/thermal/image_rect: silent for" in newest().message
    values = {one.key: one.value for one in newest().values}
    assert values["state"] == "active" and values["received_thermal"] == "0"
    assert int(values["received_rgb"]) > 5 and int(values["incomplete"]) > 0
    assert rig.node.trigger_deactivate()
    rig.until(lambda: newest().message == "inactive")


def test_a_thermal_image_that_measures_nothing_is_left_out(make_rig, checkpoint):
    rig = make_rig().start()
    nothing = np.full((HEIGHT, WIDTH), np.nan, np.float32)
    rig.send(made("rgb", SECOND), made("depth", SECOND), thermal=image(nothing, "32FC1", SECOND))
    np.testing.assert_array_equal(pixels_of(rig.mask(SECOND)), labels_of(checkpoint, ("rgb", "depth")))
    rig.until(lambda: rig.logged(TOPICS["thermal"], "no pixel of the 64x48 thermal image is valid"))
