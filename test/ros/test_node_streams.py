"""The node on real DDS: which images pair, absent topics, quality of service, and who listens."""

import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy")
pytest.importorskip("sensor_msgs.msg", reason="needs sensor_msgs")

import rclpy
from builtin_interfaces.msg import Time
from node_harness import (
    BEST_EFFORT,
    RELIABLE,
    SECOND,
    Rig,
    distances,
    engine,
    expected_labels,
    image,
    make_checkpoint,
    picture,
    pixels_of,
)
from rclpy.qos import ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image

from asymfusion_ros.ros import camera
from asymfusion_ros.ros.outputs import OUTPUTS
from asymfusion_ros.ros.qos import matching_reliability
from asymfusion_ros.stream import frame_maker

MS = 1_000_000
RGB, DEPTH = picture(5), distances(5)


@pytest.fixture
def make_rig(checkpoint):
    """Nodes that are closed at the end. Loading is not what is tested here: they share one engine."""
    rigs = []

    def make(path=checkpoint, **options):
        rigs.append(Rig(path, load=lambda settings: engine(path), **options))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


def rgb_at(stamp):
    return image(RGB, "rgb8", stamp)


def depth_at(stamp):
    return image(DEPTH, "16UC1", stamp)


def stamps_of(messages):
    return [m.header.stamp.sec * SECOND + m.header.stamp.nanosec for m in messages]


def test_with_slop_0_only_equal_stamps_pair(make_rig):
    rig = make_rig(slop=0).start()  # an integer, as people write it
    rig.send(rgb_at(10 * SECOND), depth_at(10 * SECOND))
    rig.mask(10 * SECOND)
    rig.send(rgb_at(11 * SECOND), depth_at(11 * SECOND + 1))
    rig.send(rgb_at(12 * SECOND), depth_at(12 * SECOND))
    rig.mask(12 * SECOND)
    assert stamps_of(rig.received["mask"]) == [10 * SECOND, 12 * SECOND]
    assert rig.counters.paired == 2


def test_within_slop_they_pair_whichever_comes_first(make_rig):
    rig = make_rig(slop=0.03).start()
    rig.send(None, depth_at(10 * SECOND))
    rig.until(lambda: rig.counters.received["depth"] == 1)
    rig.send(rgb_at(10 * SECOND + 29 * MS), None)
    rig.mask(10 * SECOND + 29 * MS)
    rig.send(rgb_at(20 * SECOND), None)
    rig.until(lambda: rig.counters.received["rgb"] == 2)
    rig.send(None, depth_at(20 * SECOND + 31 * MS))
    rig.until(lambda: rig.counters.received["depth"] == 2)
    rig.send(None, depth_at(20 * SECOND - 29 * MS))
    rig.mask(20 * SECOND)
    assert rig.counters.paired == 2


def test_a_silent_topic_is_named_with_what_to_do_and_pairs_once_it_comes(make_rig, monkeypatch):
    monkeypatch.setattr(frame_maker, "SILENT_AFTER", 0.3)
    rig = make_rig()
    rig.unplug("depth")
    rig.start()
    for k in range(1, 4):
        rig.send(rgb_at(k * SECOND), None)
    rig.until(lambda: rig.logged("/depth_registered/image_rect: silent for", "nobody publishes it"))
    assert rig.received["mask"] == []
    rig.plug_in("depth")
    rig.until(lambda: rig.cameras["depth"].get_subscription_count() == 1)
    rig.good_frame_is_segmented(5 * SECOND)


def test_a_silent_publisher_and_one_of_another_type_get_other_advice(make_rig, monkeypatch):
    monkeypatch.setattr(frame_maker, "SILENT_AFTER", 0.3)
    rig = make_rig()
    rig.unplug("depth")
    assert rig.node.start()
    # From a process of its own, as it were: within one, DDS refuses a second type on a topic.
    other = rclpy.Context()
    rclpy.init(context=other, domain_id=rig.domain)
    compressing = rclpy.create_node("compressing_camera", namespace=rig.namespace, context=other)
    compressing.create_publisher(CompressedImage, "depth_registered/image_rect", RELIABLE)
    try:
        rig.until(lambda: rig.logged("/rgb/image_rect_color: silent", "a publisher, but nothing arrives"))
        rig.until(lambda: rig.node.count_publishers("depth_registered/image_rect"))
        rig.node.throttled_log.forget()  # that nobody is there may have been logged already
        rig.until(
            lambda: rig.logged("/depth_registered/image_rect: silent", "sensor_msgs/msg/CompressedImage")
        )
    finally:
        compressing.destroy_node()
        rclpy.try_shutdown(context=other)


def test_streams_that_never_pair_are_reported_with_the_offset_of_their_stamps(make_rig, monkeypatch):
    monkeypatch.setattr(frame_maker, "UNPAIRED_AFTER", 0.3)
    rig = make_rig(slop=0.02).start()
    stamp = 10 * SECOND

    def unpaired():
        nonlocal stamp
        stamp += 33 * MS
        rig.send(rgb_at(stamp), depth_at(stamp + 500 * MS))
        rig.spin(0.03)
        return rig.logged("none pair within slop = 0.02 s", "0.500 s apart")

    rig.until(unpaired)
    assert rig.counters.paired == 0


@pytest.mark.parametrize("silent", ["depth", "rgb"])
def test_after_missing_after_only_the_other_modality_is_segmented(
    make_rig,
    checkpoint,
    silent,
):
    rig = make_rig(missing_after=0.2).start()
    rig.spin(0.25)
    if silent == "depth":
        rig.send(rgb_at(10 * SECOND), None)
        labels = expected_labels(checkpoint, RGB, None)
    else:
        rig.send(None, depth_at(10 * SECOND))
        labels = expected_labels(checkpoint, None, DEPTH)
    mask = rig.mask(10 * SECOND)
    np.testing.assert_array_equal(pixels_of(mask), labels)
    assert mask.header.frame_id == "camera"
    rig.until(
        lambda: rig.logged(f"{silent}", "nothing usable for 0.2 s (missing_after)", "going on with only")
    )
    assert rig.counters.incomplete == 1


def test_a_checkpoint_of_one_modality_needs_no_partner(make_rig, tmp_path):
    path = make_checkpoint(tmp_path / "rgb.safetensors", ("rgb",))
    rig = make_rig(path, modalities=("rgb",)).start()
    rig.send(rgb_at(SECOND))
    np.testing.assert_array_equal(pixels_of(rig.mask(SECOND)), expected_labels(path, RGB))
    assert rig.node.count_subscribers("depth_registered/image_rect") == 0


def test_nobody_subscribed_no_work(make_rig, monkeypatch):
    rig = make_rig(listen=()).start()
    rig.send_frame(10 * SECOND)
    rig.until(lambda: rig.counters.unsubscribed == 1)
    assert rig.counters.segmented == 0
    rig.listen("mask")
    rig.until(rig.connected)
    made = []
    for output in OUTPUTS:
        message = output.message
        noted = lambda self, scene, message=message: (made.append(self.topic), message(self, scene))[1]  # noqa: E731
        monkeypatch.setattr(output, "message", noted)
    rig.good_frame_is_segmented(11 * SECOND)
    assert made == ["~/mask"]  # and neither colours nor confidence


def test_a_slow_engine_gets_the_newest_pair(make_rig):
    rig = make_rig().start()
    waiting = []

    def wait_once():
        if not waiting:
            waiting.append(True)
            while rig.counters.paired < 6:  # the first frame takes as long as five more need to come
                time.sleep(0.001)

    rig.network.before = wait_once
    rig.send_frame(10 * SECOND)
    rig.until(lambda: waiting)
    for k in range(1, 6):
        rig.send_frame(10 * SECOND + k * SECOND)
    rig.mask(15 * SECOND)
    assert stamps_of(rig.received["mask"]) == [10 * SECOND, 15 * SECOND]
    counters = rig.counters
    rig.until(lambda: counters.segmented == 2)  # counted once it is published
    assert (counters.paired, counters.dropped) == (6, 4)


def test_the_reliability_that_satisfies_every_publisher():
    reliable, best_effort = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
    assert matching_reliability([]) == best_effort
    assert matching_reliability([reliable, reliable]) == reliable
    assert matching_reliability([reliable, best_effort]) == best_effort


def input_reliability(rig, topic):
    infos = rig.client.get_subscriptions_info_by_topic(topic)
    return {info.qos_profile.reliability for info in infos if info.node_name == "segmentation"}


@pytest.mark.parametrize("qos", [RELIABLE, BEST_EFFORT], ids=["reliable", "best effort"])
def test_inputs_take_the_reliability_of_their_publishers(make_rig, qos):
    rig = make_rig(qos=qos).start()
    rig.until(lambda: input_reliability(rig, "rgb/image_rect_color") == {qos.reliability})
    rig.until(lambda: input_reliability(rig, "depth_registered/image_rect") == {qos.reliability})
    rig.good_frame_is_segmented(10 * SECOND)


def test_reliability_follows_publishers_that_come_and_go_without_losing_or_doubling_an_image(make_rig):
    rig = make_rig()
    rig.unplug("rgb")
    rig.start()
    topic = "rgb/image_rect_color"
    assert input_reliability(rig, topic) == {ReliabilityPolicy.BEST_EFFORT}
    rig.plug_in("rgb")
    rig.until(lambda: rig.cameras["rgb"].get_subscription_count() == 1)
    # A camera sends from its first match on, while the node still changes over.
    stamp = 10 * SECOND

    def send_until(reliability):
        nonlocal stamp
        while input_reliability(rig, topic) != {reliability}:
            stamp += SECOND
            rig.send_frame(stamp)
            rig.mask(stamp)
            rig.spin(0.02)

    send_until(ReliabilityPolicy.RELIABLE)
    sensor = rig.client.create_publisher(Image, "rgb/image_rect_color", BEST_EFFORT)
    send_until(ReliabilityPolicy.BEST_EFFORT)
    rig.client.destroy_publisher(sensor)
    send_until(ReliabilityPolicy.RELIABLE)
    sent = (stamp - 10 * SECOND) // SECOND
    assert rig.counters.paired == rig.counters.received["rgb"] == sent
    assert stamps_of(rig.received["mask"]) == [10 * SECOND + k * SECOND for k in range(1, sent + 1)]
    rig.until(
        lambda: rig.logged(topic, "subscribed reliable") and rig.logged(topic, "subscribed best effort")
    )


def test_outputs_are_reliable(make_rig):
    rig = make_rig(listen=("mask", "overlay")).start()
    for topic in ("mask", "overlay"):
        (info,) = rig.client.get_publishers_info_by_topic(f"segmentation/{topic}")
        assert info.qos_profile.reliability == ReliabilityPolicy.RELIABLE


def test_a_clock_that_goes_back_empties_the_queues(make_rig):
    rig = make_rig(use_sim_time=True).start()
    clock = rig.client.create_publisher(Clock, "/clock", 10)
    rig.until(lambda: clock.get_subscription_count() == 1)

    def set_clock(seconds):
        clock.publish(Clock(clock=Time(sec=seconds)))
        rig.until(lambda: rig.node.get_clock().now().nanoseconds == seconds * SECOND)

    set_clock(100)
    rig.send(rgb_at(100 * SECOND), None)
    rig.until(lambda: rig.counters.received["rgb"] == 1)
    set_clock(50)
    rig.send(None, depth_at(100 * SECOND))
    rig.until(lambda: rig.counters.received["depth"] == 1)
    assert rig.counters.paired == 0
    rig.good_frame_is_segmented(50 * SECOND)


def test_an_image_that_has_arrived_when_the_reliability_changes_is_not_lost(make_rig, monkeypatch):
    monkeypatch.setattr(camera, "LOOK_PERIOD", 1000.0)  # the change is made here, not by the timer
    rig = make_rig()
    rig.unplug("rgb")
    rig.start()
    source = rig.node.cameras[0].inputs["rgb"]
    rig.plug_in("rgb")
    rig.until(
        lambda: rig.cameras["rgb"].get_subscription_count() == 1 and rig.node.count_publishers(source.topic)
    )
    rig.send_frame(10 * SECOND)
    for name in ("rgb", "depth"):
        rig.wait_unread(name)
    assert source.follow_publishers()
    rig.mask(10 * SECOND)
    rig.until(lambda: rig.cameras["rgb"].get_subscription_count() == 2)
    rig.good_frame_is_segmented(11 * SECOND)
    source.follow_publishers()
    rig.until(lambda: rig.cameras["rgb"].get_subscription_count() == 1)
    rig.good_frame_is_segmented(12 * SECOND)
    assert rig.counters.received["rgb"] == 3


def test_an_image_that_both_subscriptions_got_is_taken_once(make_rig, monkeypatch):
    monkeypatch.setattr(camera, "LOOK_PERIOD", 1000.0)
    rig = make_rig()
    rig.unplug("rgb")
    rig.start()
    source, counters = rig.node.cameras[0].inputs["rgb"], rig.counters
    rig.plug_in("rgb")
    rig.until(lambda: rig.node.count_publishers(source.topic))
    assert source.follow_publishers()
    rig.until(lambda: rig.cameras["rgb"].get_subscription_count() == 2)
    rig.send(rgb_at(10 * SECOND), None)
    rig.until(lambda: counters.received["rgb"] and source.changed_over)
    rig.send(rgb_at(11 * SECOND), None)
    rig.wait_unread("rgb")  # in both queues
    rig.until(lambda: counters.received["rgb"] == 2)
    source.follow_publishers()  # the old subscription goes, and a copy may wait in the new one's queue
    rig.until(lambda: rig.cameras["rgb"].get_subscription_count() == 1)
    rig.good_frame_is_segmented(12 * SECOND)
    assert counters.received["rgb"] == 3
    # From the next look at the publishers on, an image may come again: a recording that loops.
    source.follow_publishers()
    rig.send(rgb_at(11 * SECOND), None)
    rig.until(lambda: counters.received["rgb"] == 4)


def test_an_input_stays_as_it_is_when_its_last_publisher_leaves(make_rig, monkeypatch):
    monkeypatch.setattr(camera, "LOOK_PERIOD", 1000.0)
    rig = make_rig().start()
    source = rig.node.cameras[0].inputs["rgb"]
    source.follow_publishers()
    rig.until(lambda: input_reliability(rig, "rgb/image_rect_color") == {ReliabilityPolicy.RELIABLE})
    rig.until(lambda: rig.cameras["rgb"].get_subscription_count() == 1)
    rig.send_frame(10 * SECOND)
    for name in ("rgb", "depth"):
        rig.wait_unread(name)
    rig.unplug("rgb")
    end = time.monotonic() + 20
    while rig.node.count_publishers(source.topic) and time.monotonic() < end:
        time.sleep(0.01)
    assert rig.node.count_publishers(source.topic) == 0
    assert source.follow_publishers() is None
    assert source.reliability == ReliabilityPolicy.RELIABLE
    rig.mask(10 * SECOND)
    rig.plug_in("rgb", BEST_EFFORT)
    rig.until(lambda: rig.node.count_publishers(source.topic))
    assert source.follow_publishers() == "subscribed best effort, as its publishers offer"
    rig.until(lambda: rig.cameras["rgb"].get_subscription_count() == 1)
    rig.good_frame_is_segmented(11 * SECOND)


def test_unpaired_depth_without_a_valid_pixel_is_skipped_and_its_topic_named(make_rig):
    rig = make_rig(missing_after=0.2).start()
    rig.spin(0.25)
    rig.send(None, image(np.zeros_like(DEPTH), "16UC1", 10 * SECOND))
    rig.until(lambda: rig.logged("/depth_registered/image_rect: no pixel", "uncover the depth camera"))
    rig.until(lambda: rig.counters.failed == 1)
    rig.send(None, depth_at(11 * SECOND))
    rig.mask(11 * SECOND)
