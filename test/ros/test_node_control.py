"""What is set while the node runs: ~/enable and the live parameters; which outputs and labels there are."""

import threading

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy")
pytest.importorskip("sensor_msgs.msg", reason="needs sensor_msgs")

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from node_harness import (
    HEIGHT,
    SECOND,
    call,
    distances,
    engine,
    expected_labels,
    make_checkpoint,
    picture,
    pixels_of,
)
from rcl_interfaces.srv import DescribeParameters, SetParameters
from rclpy.parameter import Parameter

from asymfusion_ros.ros import network
from asymfusion_ros.ros import node as node_module
from asymfusion_ros.ros import segmentation as segmentation_module

std_srvs = pytest.importorskip("std_srvs.srv", reason="needs std_srvs")


def enable(rig, data):
    return call(rig, std_srvs.SetBool, "enable", std_srvs.SetBool.Request(data=data))


def set_parameter(rig, name, value):
    request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
    (result,) = call(rig, SetParameters, "set_parameters", request).results
    return result


def change(rig, transition):
    return call(rig, ChangeState, "change_state", ChangeState.Request(transition=Transition(id=transition)))


def test_a_disabled_node_keeps_its_inputs_and_publishes_nothing_until_it_is_enabled(make_rig):
    rig = make_rig().start()
    rig.good_frame_is_segmented(SECOND)
    assert enable(rig, True).message == "was already enabled: frames are segmented"
    answer = enable(rig, False)
    assert answer.success and answer.message == "now disabled: no frame is segmented"
    rig.send_frame(2 * SECOND)
    rig.until(lambda: rig.counters.skipped == 1)
    assert rig.cameras["rgb"].get_subscription_count() == 1
    assert rig.counters.segmented == 1 and len(rig.received["mask"]) == 1
    reports = rig.node.status_parts.reports(0.0)
    assert reports["segmentation"].values["state"] == "active, disabled by ~/enable"

    # It stays so through deactivating, and says it.
    assert change(rig, Transition.TRANSITION_DEACTIVATE).success
    assert change(rig, Transition.TRANSITION_ACTIVATE).success
    rig.until(lambda: rig.logged("no frame is segmented: ~/enable has disabled the node"))
    rig.until(rig.connected)
    rig.send_frame(3 * SECOND)
    rig.until(lambda: rig.counters.skipped == 2)
    assert enable(rig, True).message == "now enabled: frames are segmented"
    rig.good_frame_is_segmented(4 * SECOND)
    assert rig.node.status_parts.reports(0.0)["segmentation"].values["state"] == "active"


def test_a_frame_under_way_is_not_published_once_the_node_is_disabled(make_rig):
    rig = make_rig().start()
    reached, go_on = threading.Event(), threading.Event()

    def wait():
        reached.set()
        go_on.wait(20)

    rig.network.before = wait
    rig.send_frame(SECOND)
    rig.until(reached.is_set)
    assert enable(rig, False).success
    go_on.set()
    assert change(rig, Transition.TRANSITION_DEACTIVATE).success  # it waits for the frame
    assert rig.counters.segmented == 0
    rig.network.before = lambda: None
    assert enable(rig, True).success
    assert change(rig, Transition.TRANSITION_ACTIVATE).success
    rig.until(rig.connected)
    rig.good_frame_is_segmented(2 * SECOND)
    assert len(rig.received["mask"]) == 1


def test_the_overlay_follows_its_opacity_while_active(make_rig, checkpoint):
    rig = make_rig(listen=("overlay",), overlay_opacity=0.0).start()
    rig.send_frame(SECOND)
    np.testing.assert_array_equal(pixels_of(rig.mask(SECOND, "overlay")), picture())
    assert set_parameter(rig, "overlay_opacity", 1.0).successful
    rig.send_frame(2 * SECOND)
    colours = engine(checkpoint).label_set.palette[expected_labels(checkpoint, picture(), distances())]
    np.testing.assert_array_equal(pixels_of(rig.mask(2 * SECOND, "overlay")), colours)
    rig.until(lambda: rig.logged("overlay_opacity is 1 from now on"))


def test_slop_changes_while_active_and_a_bad_value_is_refused_with_the_reason(make_rig):
    rig = make_rig().start()
    late = SECOND // 10
    rig.send_frame(SECOND, names=["rgb"])
    rig.send_frame(SECOND + late, names=["depth"])
    rig.until(lambda: rig.counters.received == {"rgb": 1, "depth": 1})
    assert rig.counters.paired == 0
    result = set_parameter(rig, "slop", 11.0)
    assert not result.successful and result.reason == "parameter slop is 11.0; it must be 0 to 10"
    assert set_parameter(rig, "slop", 0.2).successful
    rig.send_frame(3 * SECOND, names=["rgb"])
    rig.send_frame(3 * SECOND + late, names=["depth"])
    assert rig.mask(3 * SECOND).height == HEIGHT


def test_missing_after_changes_while_active(make_rig, checkpoint):
    rig = make_rig().start()
    rig.send_frame(SECOND, names=["rgb"])
    rig.spin(0.3)
    assert rig.counters.incomplete == 0
    assert set_parameter(rig, "missing_after", 0.1).successful
    stamp = 2 * SECOND
    while rig.counters.incomplete == 0:
        stamp += SECOND // 10
        rig.send_frame(stamp, names=["rgb"])
        rig.spin(0.1)
    rig.until(lambda: rig.received["mask"])


def test_at_max_rate_frames_in_between_are_skipped(make_rig):
    rig = make_rig(max_rate=0.01).start()
    rig.good_frame_is_segmented(SECOND)
    for stamp in (2, 3):
        rig.send_frame(stamp * SECOND)
    rig.until(lambda: rig.counters.skipped == 2)
    assert set_parameter(rig, "max_rate", 0.0).successful
    rig.good_frame_is_segmented(4 * SECOND)
    assert rig.counters.segmented == 2


def test_below_the_confidence_threshold_the_mask_is_unlabeled(make_rig, checkpoint):
    confidence = engine(checkpoint)(picture(), distances()).numpy().confidence
    labels = expected_labels(checkpoint, picture(), distances())
    threshold = float(np.median(confidence)) / 255 + 0.001
    rig = make_rig(listen=("mask", "color_mask")).start()
    rig.send_frame(SECOND)
    np.testing.assert_array_equal(pixels_of(rig.mask(SECOND)), labels)
    assert set_parameter(rig, "confidence_threshold", threshold).successful
    rig.send_frame(2 * SECOND)
    low = confidence < 255 * threshold
    assert low.any()
    np.testing.assert_array_equal(pixels_of(rig.mask(2 * SECOND)), np.where(low, 255, labels))
    assert not pixels_of(rig.mask(2 * SECOND, "color_mask"))[low].any()


def test_label_groups_are_what_is_published(make_rig, checkpoint, tmp_path, monkeypatch):
    published = []

    class LabelInfo:
        def __init__(self, node, log):
            pass

        def publish(self, header, names):
            published.append(names)

    monkeypatch.setattr(segmentation_module, "LabelInfoPublisher", LabelInfo)
    path = tmp_path / "robot.yaml"
    # The checkpoint's classes: wall, floor, door, chair, table, robot.
    path.write_text(
        "groups: {free: [floor], obstacle: [wall, chair, table], robot: [robot]}\n"
        "colours: {obstacle: [9, 8, 7]}\n"
    )
    rig = make_rig(label_groups=str(path), listen=("mask", "color_mask")).start()
    rig.send_frame(SECOND)
    labels = expected_labels(checkpoint, picture(), distances())
    groups = np.array([1, 0, 255, 1, 1, 2], np.uint8)[labels]
    np.testing.assert_array_equal(pixels_of(rig.mask(SECOND)), groups)
    assert (pixels_of(rig.mask(SECOND, "color_mask"))[groups == 1] == (9, 8, 7)).all()
    assert published == [("free", "obstacle", "robot")]
    rig.until(lambda: rig.logged("3 labels (robot)"))
    rig.until(lambda: rig.logged("unlabeled (255)", "door"))


def test_groups_of_unknown_classes_refuse_to_configure(make_rig, tmp_path):
    path = tmp_path / "robot.yaml"
    path.write_text("groups: {free: [flor], obstacle: [wall]}\n")
    rig = make_rig(label_groups=str(path))
    assert not rig.node.start()
    rig.until(lambda: rig.logged(str(path), "class 'flor' is unknown; did you mean 'floor'"))
    assert not rig.logged("Traceback")


def test_an_output_that_is_switched_off_has_no_topic(make_rig):
    rig = make_rig(publish_overlay=False, publish_confidence=False).start()
    rig.good_frame_is_segmented(SECOND)
    offered = {
        name.rsplit("/", 1)[1]
        for name, _ in rig.node.get_publisher_names_and_types_by_node("segmentation", rig.namespace)
    }
    assert {"mask", "color_mask"} <= offered
    assert not {"overlay", "confidence"} & offered


def test_a_file_that_is_not_there_is_refused_when_it_is_set(make_rig):
    rig = make_rig(autostart=False)
    for name in ("checkpoint", "label_groups"):
        result = set_parameter(rig, name, "/nope")
        assert not result.successful and "/nope does not exist" in result.reason
    assert set_parameter(rig, "checkpoint", "default").successful
    assert set_parameter(rig, "label_groups", "").successful


def test_another_checkpoint_is_taken_by_configuring_again(make_rig, tmp_path):
    rig = make_rig().start()
    rig.good_frame_is_segmented(SECOND)
    rgb_alone = make_checkpoint(tmp_path / "rgb.safetensors", ("rgb",))
    assert not set_parameter(rig, "checkpoint", str(rgb_alone)).successful
    assert change(rig, Transition.TRANSITION_DEACTIVATE).success
    assert change(rig, Transition.TRANSITION_CLEANUP).success
    assert set_parameter(rig, "checkpoint", str(rgb_alone)).successful
    rig.unplug("depth")
    assert rig.node.start()
    rig.until(rig.connected)
    rig.send_frame(2 * SECOND)
    np.testing.assert_array_equal(pixels_of(rig.mask(2 * SECOND)), expected_labels(rgb_alone, picture()))


def test_a_checkpoint_that_takes_long_to_load_is_said_to_be_loading(make_rig, monkeypatch):
    monkeypatch.setattr(node_module, "LOADING_PERIOD", 0.05)
    go_on = threading.Event()

    def load(settings):
        go_on.wait(0.2)
        return network.load_network(settings)

    rig = make_rig(load=load, autostart=False)
    assert change(rig, Transition.TRANSITION_CONFIGURE).success
    rig.until(lambda: rig.logged("loading checkpoint"))
    rig.until(lambda: rig.logged("still loading the checkpoint after"))


def test_descriptions_say_which_parameters_change_while_active(make_rig):
    rig = make_rig(autostart=False)
    request = DescribeParameters.Request(names=["max_rate", "device", "confidence_threshold"])
    rate, device, threshold = call(rig, DescribeParameters, "describe_parameters", request).descriptors
    assert rate.additional_constraints == "0 to 1000; can be set at any time"
    assert device.additional_constraints == "can be set while the node is unconfigured"
    (limits,) = threshold.floating_point_range
    assert (limits.from_value, limits.to_value) == (0, 1)
