"""What a watcher learns of the node: /diagnostics, ~/debug, the status line, `asymfusion top`."""

import json
import os
import re
import subprocess
import sys
import time
import types

import pytest

pytest.importorskip("rclpy", reason="needs rclpy")
pytest.importorskip("diagnostic_msgs.msg", reason="needs diagnostic_msgs")

import rclpy
from diagnostic_msgs import msg as messages
from node_harness import BEST_EFFORT, RELIABLE, SECOND, Rig, engine, header, made
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Float64

from asymfusion_ros.errors import UserError
from asymfusion_ros.ros.log import ThrottledLog
from asymfusion_ros.ros.qos_check import QosCheck
from asymfusion_ros.stream.status import Level

OK, WARN, ERROR = (getattr(messages.DiagnosticStatus, name) for name in ("OK", "WARN", "ERROR"))
MILLISECOND = SECOND // 1000
LATCHED_IMAGES = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Watched(Rig):
    """A rig that hears the diagnostics of its node."""

    def __init__(self, checkpoint, **options):
        super().__init__(checkpoint, load=lambda settings: engine(checkpoint), **options)
        self.statuses = []
        self.client.create_subscription(messages.DiagnosticArray, "/diagnostics", self._on_array, 10)

    def _on_array(self, array):
        name = f"{self.namespace[1:]}/segmentation: segmentation"
        self.statuses += [status for status in array.status if status.name == name]

    def status(self, condition):
        """Waits for a status, from now on, that meets the condition."""
        self.statuses.clear()
        self.until(lambda: any(map(condition, self.statuses)))
        return next(filter(condition, self.statuses))

    def pairs(self, condition, gap=0, age=0, period=0.02):
        """Sends pairs ``gap`` ns apart, stamped ``age`` ns ago, until a status meets the condition."""

        def send():
            stamp = time.time_ns() - age
            self.send(made("rgb", stamp), made("depth", stamp + gap))
            self.spin(period)
            return any(map(condition, self.statuses))

        self.statuses.clear()
        self.until(send)
        return next(filter(condition, self.statuses))


def values_of(status):
    return {one.key: one.value for one in status.values}


@pytest.fixture
def make_rig(checkpoint, monkeypatch):
    monkeypatch.setattr("asymfusion_ros.ros.node_status.PERIOD", 0.1)
    rigs = []

    def make(**options):
        rigs.append(Watched(checkpoint, **options))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


def test_the_diagnostics_have_the_numbers_of_a_healthy_node(make_rig):
    rig = make_rig(listen=("mask", "overlay")).start()
    status = rig.pairs(lambda status: int(values_of(status).get("segmented", 0)) >= 10, gap=4 * MILLISECOND)
    status = rig.status(lambda status: int(values_of(status)["segmented"]) >= 10)
    assert (status.level, status.message) == (OK, "active")
    assert status.hardware_id == f"{rig.namespace[1:]}/segmentation"
    values = values_of(status)
    known = {"state": "active", "backend": "torch", "device": "cpu", "precision": "fp32"}
    known |= {"available": "rgb, depth", "incompatible_qos": "none", "rejected": "0", "unpaired": "0"}
    # 4 ms apart, and a fifth more is 4.8: to the millisecond above.
    known |= {"pair_gap_p50_ms": "4.00", "pair_gap_p95_ms": "4.00", "slop": "0.015", "slop_to_set": "0.005"}
    assert {key: values[key] for key in known} == known
    assert values["published_mask"] == values["published_overlay"] == values["segmented"]
    assert int(values["framed"]) == 2 * int(values["paired"])
    assert 10 < int(values["memory_mb"]) < 100_000
    for name in ("rate_in_rgb", "rate_in_depth", "rate_out", "rate_out_mask", "rate_out_overlay"):
        assert float(values[name]) > 0
    stages = {}
    for stage in ("pairing", "queue", "read", "upload", "network", "postprocess", "publish", "pipeline"):
        median, p95 = (float(values[f"latency_{stage}_p{percent}_ms"]) for percent in (50, 95))
        assert 0 <= median <= p95
        stages[stage] = median
    # Both are of the same frames, and the network is a part of the way from the stamp to the mask.
    assert float(values["latency_network_p50_ms"]) < float(values["latency_processing_p95_ms"])
    assert float(values["latency_inference_p50_ms"]) < float(values["latency_pipeline_p95_ms"])


def test_a_camera_whose_clock_is_off_shows_by_how_much(make_rig):
    rig = make_rig().start()
    status = rig.pairs(lambda status: "clock_offset_depth_ms" in values_of(status), gap=300 * MILLISECOND)
    assert 250 < float(values_of(status)["clock_offset_depth_ms"]) < 350


def test_stamps_of_another_clock_are_no_latency(make_rig):
    rig = make_rig(max_latency_ms=100.0, consecutive=1, status_period=0.3).start()
    status = rig.pairs(lambda status: "latency_processing_p50_ms" in values_of(status), age=SECOND * 7200)
    values = values_of(status)
    assert values["stamps"] == "of another clock, 7200 s behind this node's"
    assert "latency_pipeline_p50_ms" not in values
    assert "stamps are not of this node's clock: set use_sim_time" in status.message
    rig.pairs(lambda status: rig.logged("processing p50"), age=SECOND * 7200)


def test_latency_over_its_limit_is_a_warning_and_for_long_an_error(make_rig):
    rig = make_rig(max_latency_ms=5000.0, consecutive=4).start()
    late = time.time_ns() - 60 * SECOND
    rig.send_frame(late)
    status = rig.status(lambda status: status.level != OK)
    assert status.level == WARN
    assert ", max_latency_ms = 5000 (frames over it in a row: 1)" in status.message
    for i in range(1, 4):
        rig.send_frame(late + i * SECOND // 30)
        rig.mask(late + i * SECOND // 30)
    rig.status(lambda status: status.level == ERROR and "in a row: 4)" in status.message)
    rig.pairs(lambda status: status.level == OK)


def test_fewer_masks_than_min_rate_are_an_error(make_rig, monkeypatch):
    monkeypatch.setattr("asymfusion_ros.ros.camera_status.SETTLED_AFTER", 0.5)
    rig = make_rig(min_rate=500.0).start()
    status = rig.pairs(lambda status: "masks a second" in status.message)
    assert status.level == ERROR and "are under min_rate = 500" in status.message


def test_without_a_subscriber_no_masks_are_missed(make_rig, monkeypatch):
    monkeypatch.setattr("asymfusion_ros.ros.camera_status.SETTLED_AFTER", 0.3)
    rig = make_rig(min_rate=500.0, listen=()).start()
    rig.pairs(lambda status: int(values_of(status).get("unsubscribed", 0)) >= 30)
    assert {status.level for status in rig.statuses} == {OK}


def test_topics_that_bring_no_frame_at_all_are_an_error(make_rig, monkeypatch):
    monkeypatch.setattr("asymfusion_ros.stream.frame_maker.SILENT_AFTER", 0.5)
    monkeypatch.setattr("asymfusion_ros.ros.camera_status.NO_FRAME_AFTER", 1.0)
    rig = make_rig().start()
    status = rig.status(lambda status: status.level != OK)
    assert status.level == WARN and "/depth_registered/image_rect: silent" in status.message
    rig.status(lambda status: status.level == ERROR)
    rig.pairs(lambda status: status.level == OK)


def test_frames_that_all_fail_are_an_error_and_rejected_images_a_fault_of_their_own(make_rig):
    rig = make_rig().start()

    def fail():
        raise UserError("out of order")

    rig.network.before = fail
    status = rig.pairs(lambda status: "frames not segmented since the last report: " in status.message)
    assert status.level == ERROR
    rig.network.before = lambda: None
    rig.pairs(lambda status: status.level == OK)
    rig.send(depth=made("depth", 5 * SECOND))  # a good one, without a partner
    wrong = made("depth", 6 * SECOND)
    wrong.encoding = "rgb8"
    rig.send(depth=wrong)
    status = rig.status(lambda status: "images rejected since the last report: 1" in status.message)
    assert status.level == WARN  # frames came just now
    assert int(values_of(status)["unpaired"]) >= 1


def test_a_subscriber_that_asks_for_more_than_the_outputs_offer_is_named(make_rig):
    rig = make_rig().start()
    viewer = rclpy.create_node("viewer", namespace="/desk", context=rig.context)
    try:
        viewer.create_subscription(Image, f"{rig.namespace}/segmentation/mask", print, LATCHED_IMAGES)
        status = rig.status(lambda status: "/desk/viewer" in status.message)
        assert status.level == WARN
        topic = f"{rig.namespace}/segmentation/mask"
        assert status.message == (
            f"{topic}: /desk/viewer gets nothing: it asks for transient local and this node offers volatile: "
            "subscribe volatile there"
        )
        assert values_of(status)["incompatible_qos"] == f"/desk/viewer on {topic}"
        rig.until(lambda: rig.logged("/desk/viewer gets nothing"))
    finally:
        viewer.destroy_node()
    rig.status(lambda status: status.level == OK)


@pytest.mark.parametrize(
    ("offered", "asked", "words"),
    [
        (BEST_EFFORT, RELIABLE, ("best effort", "reliable")),
        (RELIABLE, LATCHED_IMAGES, ("volatile", "transient local")),
        (RELIABLE, QoSProfile(depth=1, deadline=rclpy.duration.Duration(seconds=2)), None),
        (LATCHED_IMAGES, BEST_EFFORT, ()),
    ],
)
def test_publishers_that_offer_less_than_this_node_asks_for_are_named(offered, asked, words):
    if words is None:
        words = ("no deadline", "a deadline of 2 s")
    context = rclpy.Context()
    rclpy.init(context=context)
    try:
        name = f"robot_{os.getpid()}"
        robot = rclpy.create_node("watched", namespace=name, context=context)
        camera = rclpy.create_node("camera", namespace=name, context=context)
        robot.create_subscription(Image, "image", print, asked)
        camera.create_publisher(Image, "image", offered)
        check = QosCheck(robot, ThrottledLog(robot.get_logger()))
        end = time.monotonic() + 20
        while not robot.count_publishers("image"):
            assert time.monotonic() < end
            time.sleep(0.01)
        assert check(0.0).faults == ()  # it may still follow: see ImageInput
        faults = check(1.0).faults
        if words:
            (fault,) = faults
            assert fault.level == Level.WARN
            assert fault.text == (
                f"/{name}/image: nothing of /{name}/camera is heard: it offers {words[0]} and this node asks "
                f"for {words[1]}: publish {words[1]} there"
            )
        else:
            assert faults == ()
    finally:
        rclpy.try_shutdown(context=context)


def test_debug_topics_have_autowares_names(make_rig):
    rig = make_rig()
    received = {}
    for name in ("processing_time_ms", "pipeline_latency_ms", "cyclic_time_ms"):
        kept = received.setdefault(name, [])
        rig.client.create_subscription(Float64, f"segmentation/debug/{name}", kept.append, 10)
    rig.start()
    rig.until(lambda: all(rig.client.count_publishers(f"segmentation/debug/{name}") for name in received))
    stamp = time.time_ns() - 60 * SECOND

    def sent():
        nonlocal stamp
        stamp += 40 * MILLISECOND
        rig.send_frame(stamp)
        rig.mask(stamp)
        return all(len(kept) > 2 for kept in received.values())

    rig.until(sent)
    assert all(60_000 - 10_000 < message.data < 90_000 for message in received["pipeline_latency_ms"])
    for name in ("processing_time_ms", "cyclic_time_ms"):
        assert all(0 < message.data < 20_000 for message in received[name])
    assert rig.logged("~/debug/*_ms are std_msgs/Float64", "autoware_internal_debug_msgs is not installed")


class Float64Stamped(Float64):
    """Stands in for Autoware's message, which has no wheel: what it is made with."""

    stamps = []  # noqa: RUF012

    def __init__(self, *, data, stamp):
        super().__init__(data=data)
        self.stamps.append(stamp)


def test_where_autowares_message_is_installed_it_bears_the_stamp_of_the_frame(make_rig, monkeypatch):
    package = types.ModuleType("autoware_internal_debug_msgs")
    package.msg = types.ModuleType("autoware_internal_debug_msgs.msg")
    package.msg.Float64Stamped = Float64Stamped
    monkeypatch.setitem(sys.modules, "autoware_internal_debug_msgs", package)
    monkeypatch.setitem(sys.modules, "autoware_internal_debug_msgs.msg", package.msg)
    rig = make_rig()
    received = []
    rig.client.create_subscription(Float64, "segmentation/debug/processing_time_ms", received.append, 10)
    rig.start()
    rig.until(lambda: rig.client.count_publishers("segmentation/debug/processing_time_ms"))
    rig.until(lambda: rig.node.count_subscribers("segmentation/debug/processing_time_ms") or True)
    number = 0

    def sent():
        nonlocal number
        number += 1
        rig.good_frame_is_segmented(number * SECOND)
        return received

    rig.until(sent)
    assert Float64Stamped.stamps[-1] in [header(i * SECOND).stamp for i in range(1, number + 1)]
    assert not rig.logged("autoware_internal_debug_msgs")


def test_a_line_of_the_log_has_the_numbers_now_and_then(make_rig):
    rig = make_rig(status_period=0.3).start()
    rig.pairs(lambda status: rig.logged("status OK: ", "masks a second of", "pipeline p50"))
    (line, *_) = (line for line in rig.log if "pipeline p50" in line)
    assert " rgb, " in line and " depth images a second" in line
    assert re.search(r"in the last \d+ s \d+ frames dropped for a newer one, \d+ images unpaired$", line)


def test_top_prints_a_running_node(make_rig):
    rig = make_rig().start()
    environment = {**os.environ, "ROS_DOMAIN_ID": str(rig.domain)}
    top = [sys.executable, "-m", "asymfusion_ros.cli.main", "top", "--once", "--wait", "60"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with (
        subprocess.Popen([*top, "--json"], env=environment, **pipes) as with_json,
        subprocess.Popen(top, env=environment, **pipes) as with_table,
    ):
        both = (with_json, with_table)
        rig.pairs(lambda status: all(process.poll() is not None for process in both))
        (text, error), (lines, _) = (process.communicate() for process in both)
    assert [process.returncode for process in both] == [0, 0], error
    (status,) = json.loads(text)
    assert status["name"] == f"{rig.namespace[1:]}/segmentation: segmentation"
    assert status["level"] == "OK" and status["values"]["state"] == "active"
    assert status["values"]["segmented"] > 0 and status["values"]["rate_in_rgb"] > 0
    lines = lines.splitlines()
    assert lines[0].split()[:3] == ["NODE", "LEVEL", "STATE"]
    assert lines[1].split()[:3] == [f"{rig.namespace[1:]}/segmentation", "OK", "active"]
    assert "stages, p50 in ms: pairing " in lines[4] and "network " in lines[4]
