"""~/disagreement and the alarm in /diagnostics, on real DDS."""

import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy")
pytest.importorskip("sensor_msgs.msg", reason="needs sensor_msgs")
pytest.importorskip("diagnostic_msgs.msg", reason="needs diagnostic_msgs")

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from node_harness import HEIGHT, SECOND, WIDTH, Rig, distances, engine, make_checkpoint, picture, pixels_of

from asymfusion_ros import Segmenter
from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.checkpoint.usual_disagreement import UsualDisagreement
from asymfusion_ros.engine.segmenter import HostResult
from asymfusion_ros.ros.disagreement import DisagreementMonitor
from asymfusion_ros.ros.settings import NodeSettings
from asymfusion_ros.stream import disagreement as stream
from asymfusion_ros.stream.status import Level, Report

CLEAN, OTHER = 0, 3  # seeds of a scene, and of another one


def levels(checkpoint, seed, depth_seed):
    """What the engine says of colour of a scene and depth of the same or another."""
    images = {"rgb": picture(seed), "depth": distances(depth_seed)}
    return engine(checkpoint).segment(images, disagreement=True).numpy().disagreement


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    """A network whose modalities differ, and that says what is usual: a bit more than for its own scene."""
    path = make_checkpoint(tmp_path_factory.mktemp("apart") / "apart.safetensors")
    loaded = load_checkpoint(path)
    state = dict(loaded.state_dict)
    # a random classifier's logits hardly differ
    state["decoder.classifier.weight"] = 300 * state["decoder.classifier.weight"]
    replace(loaded, state_dict=state).save(path)
    clean, other = levels(path, CLEAN, CLEAN), levels(path, CLEAN, OTHER)
    # the level at which the two differ the most, and a threshold between their shares
    shares = {level: [(one > level).mean() for one in (clean, other)] for level in range(255)}
    level = max(shares, key=lambda level: shares[level][1] - shares[level][0])
    low, high = shares[level]
    assert high > low + 0.02
    usual = UsualDisagreement(level, (0.0, float(low + high)))
    knowing = path.with_name("knowing.safetensors")
    replace(load_checkpoint(path), disagreements={"rgb+depth": usual}).save(knowing)
    return path, knowing


@pytest.fixture
def make_rig(monkeypatch):
    rigs = []
    monkeypatch.setattr(stream, "PERIOD", 0.0)

    def make(path, **options):
        rigs.append(Rig(path, load=lambda settings: engine(path), **options))
        rigs[-1].statuses = []
        rigs[-1].client.create_subscription(
            DiagnosticArray, "/diagnostics", lambda m: rigs[-1].statuses.extend(m.status), 10
        )
        return rigs[-1].start()

    yield make
    for rig in rigs:
        rig.close()


def fed(rig, depth_seed, first, count=stream.LOOKS):
    """Segments frames of the scene with its depth, or that of another one."""
    for second in range(first, first + count):
        rig.send_frame(second * SECOND, CLEAN, ("rgb",))
        rig.send_frame(second * SECOND, depth_seed, ("depth",))
        rig.mask(second * SECOND)


def test_the_image_has_the_masks_size_stamp_and_frame(apart, make_rig):
    rig = make_rig(apart[0], listen=("mask", "disagreement"))
    rig.send_frame(SECOND)
    mask, message = rig.mask(SECOND), rig.mask(SECOND, "disagreement")
    assert (message.header, message.encoding, message.step) == (mask.header, "mono8", WIDTH)
    expected = cv2.resize(levels(apart[0], 0, 0), (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    assert len(np.unique(expected)) > 20
    np.testing.assert_array_equal(pixels_of(message), expected)


def test_depth_of_another_scene_is_a_fault_and_its_own_is_none(apart, make_rig):
    rig = make_rig(apart[1], disagreement_alarm=0.5)
    fed(rig, CLEAN, 1, 8)
    rig.statuses.clear()
    rig.until(lambda: rig.statuses)
    status = rig.statuses[-1]
    assert status.level == DiagnosticStatus.OK, status.message
    values = {one.key: float(one.value) for one in status.values if one.key.startswith("disagreement")}
    usual = load_checkpoint(apart[1]).usual_disagreement(("rgb", "depth"))
    share = usual.share(levels(apart[1], CLEAN, CLEAN))
    assert values == {
        "disagreement": pytest.approx(share, abs=0.001),
        "disagreement_usual": pytest.approx(usual.quantile(0.5), abs=0.001),
        "disagreement_threshold": pytest.approx(usual.quantile(0.5), abs=0.001),
    }
    fed(rig, OTHER, 11, 12)
    rig.until(lambda: any("depth disagrees with colour in" in one.message for one in rig.statuses))
    status = rig.statuses[-1]
    assert status.level == DiagnosticStatus.WARN
    assert "unregistered, blocked, dirty or late?" in status.message


def test_off_is_off(apart, make_rig):
    rig = make_rig(apart[1], disagreement_alarm=0.0)
    fed(rig, OTHER, 1, 6)
    rig.statuses.clear()
    rig.until(lambda: rig.statuses)
    assert "disagree" not in rig.statuses[-1].message
    assert not any(one.key.startswith("disagreement") for one in rig.statuses[-1].values)


def test_a_checkpoint_that_does_not_know_what_is_usual_is_told_of_once(apart, make_rig):
    rig = make_rig(apart[0])
    rig.until(lambda: rig.logged("no alarm for modalities that disagree", "--calibrate"))
    fed(rig, OTHER, 1)
    assert sum("no alarm for modalities" in line for line in rig.log) == 1


def test_one_modality_alone_has_none_and_says_so_once(apart, make_rig):
    rig = make_rig(
        apart[0], listen=("mask", "disagreement"), modalities=("rgb",), missing_after=0.05, slop=0.0
    )
    seconds = itertools.count(1)

    def two_masks():  # a busy machine drops frames for newer ones, so there is always a next one
        rig.spin(0.06)
        rig.send_frame(next(seconds) * SECOND)
        return len(rig.received["mask"]) >= 2

    rig.until(two_masks)
    assert rig.received["disagreement"] == []
    rig.until(lambda: rig.logged("nothing on ~/disagreement for frames of rgb alone"))
    assert sum("~/disagreement" in line for line in rig.log) == 1


class Counting(Segmenter):
    """Notes whether it was asked for the disagreement."""

    def segment(self, given, confidence=True, disagreement=False):
        self.asked = [*getattr(self, "asked", []), disagreement]
        return super().segment(given, confidence, disagreement)


def test_it_is_computed_only_for_who_reads_it(apart, make_rig, monkeypatch):
    counting = Counting(load_checkpoint(apart[0]), device="cpu")
    monkeypatch.setitem(make_rig.__globals__, "engine", lambda path: counting)
    fed(make_rig(apart[0]), CLEAN, 1, 3)
    assert counting.asked == [False] * 3
    counting = Counting(load_checkpoint(apart[1]), device="cpu")
    monkeypatch.setattr(stream, "PERIOD", 3600.0)
    fed(make_rig(apart[1]), CLEAN, 1, 3)
    assert counting.asked == [True, False, False]  # the alarm's first look


def test_each_set_of_modalities_has_an_alarm_of_its_own(apart):
    usual = UsualDisagreement(100, (0.0, 0.5))
    checkpoint = replace(
        load_checkpoint(apart[0]), disagreements={"rgb+depth+thermal": usual, "depth+thermal": usual}
    )
    seconds = iter(range(20))
    monitor = DisagreementMonitor(checkpoint, NodeSettings(), pytest.fail, clock=lambda: next(seconds))
    half = np.array([[100, 101], [101, 100]], np.uint8)
    result = HostResult(np.zeros((4, 4), np.uint8), None, half)
    for names, said in (
        (("rgb", "depth", "thermal"), "colour, depth and thermal disagree in 50 % of pixels since "),
        (("depth", "thermal"), "thermal disagrees with depth in 50 % of pixels since "),
    ):
        for _ in range(stream.LOOKS - 1):
            monitor.look(names, result)
        assert monitor.report(10).faults == ()
        monitor.look(names, result)
        (fault,) = monitor.report(10).faults
        assert fault.level == Level.WARN
        assert fault.text.startswith(said)
        assert fault.text.endswith("(usually 25 %): unregistered, blocked, dirty or late?")
    monitor.look(("rgb",), result)
    assert monitor.report(10) == Report()
