"""The managed node's transitions, over its own services on real DDS, and its parameters."""

import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="needs rclpy")
pytest.importorskip("lifecycle_msgs.srv", reason="needs lifecycle_msgs")

import yaml
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from node_harness import SECOND, call, make_checkpoint
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter

from asymfusion_ros import Segmenter
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.ros import network
from asymfusion_ros.ros.common_settings import configuration_file
from asymfusion_ros.ros.parameters import by_name, read
from asymfusion_ros.ros.segmentation import SegmentationNode
from asymfusion_ros.ros.settings import NodeSettings


def change(rig, transition):
    return call(rig, ChangeState, "change_state", ChangeState.Request(transition=Transition(id=transition)))


def state(rig):
    return call(rig, GetState, "get_state", GetState.Request()).current_state.label


def test_a_manager_takes_the_node_through_every_state(make_rig):
    rig = make_rig(autostart=False)
    assert state(rig) == "unconfigured"
    assert rig.cameras["rgb"].get_subscription_count() == 0
    assert change(rig, Transition.TRANSITION_CONFIGURE).success
    assert state(rig) == "inactive"
    assert rig.cameras["rgb"].get_subscription_count() == 0

    assert change(rig, Transition.TRANSITION_ACTIVATE).success
    rig.until(rig.connected)
    rig.good_frame_is_segmented(10 * SECOND)

    assert change(rig, Transition.TRANSITION_DEACTIVATE).success
    assert state(rig) == "inactive"
    rig.until(lambda: rig.cameras["rgb"].get_subscription_count() == 0)
    rig.send_frame(11 * SECOND)
    rig.spin(0.2)
    assert rig.counters.paired == 1

    assert change(rig, Transition.TRANSITION_ACTIVATE).success
    rig.until(rig.connected)
    rig.good_frame_is_segmented(12 * SECOND)

    assert change(rig, Transition.TRANSITION_DEACTIVATE).success
    assert change(rig, Transition.TRANSITION_CLEANUP).success
    assert state(rig) == "unconfigured"
    rig.until(lambda: rig.client.count_publishers("segmentation/mask") == 0)

    assert change(rig, Transition.TRANSITION_CONFIGURE).success
    assert change(rig, Transition.TRANSITION_ACTIVATE).success
    rig.until(rig.connected)
    rig.good_frame_is_segmented(13 * SECOND)

    assert change(rig, Transition.TRANSITION_ACTIVE_SHUTDOWN).success
    assert state(rig) == "finalized"
    assert rig.cameras["rgb"].get_subscription_count() == 0
    assert rig.counters.segmented == 3


def test_a_bad_checkpoint_refuses_to_configure_and_another_can_be_set(make_rig, tmp_path):
    pickle = tmp_path / "model.pth"
    pickle.write_bytes(b"\x80\x04anything")
    rig = make_rig(pickle, autostart=False)
    assert not change(rig, Transition.TRANSITION_CONFIGURE).success
    assert state(rig) == "unconfigured"
    rig.until(lambda: rig.logged(str(pickle), "pickle"))
    assert not rig.logged("Traceback")
    good = make_checkpoint(tmp_path / "good.safetensors")
    rig.node.set_parameters([Parameter("checkpoint", value=str(good))])
    assert change(rig, Transition.TRANSITION_CONFIGURE).success


def test_what_nobody_foresaw_in_configure_is_logged_with_its_traceback(make_rig, monkeypatch):
    def fail(path, **options):
        raise RuntimeError("the driver is gone")

    rig = make_rig(autostart=False)
    with monkeypatch.context() as patch:
        patch.setattr("asymfusion_ros.Segmenter.from_checkpoint", fail)
        assert not change(rig, Transition.TRANSITION_CONFIGURE).success
    rig.until(lambda: rig.logged("on_configure failed", "Traceback", "the driver is gone"))
    assert state(rig) == "unconfigured"
    assert change(rig, Transition.TRANSITION_CONFIGURE).success


def set_parameter(rig, name, value):
    request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
    (result,) = call(rig, SetParameters, "set_parameters", request).results
    return result


@pytest.mark.parametrize("given", [{}, {"slop": 0}, {"slop": 0.1}])
def test_parameters_are_checked_when_set_and_kept_while_configured(make_rig, given):
    rig = make_rig(autostart=False, **given)
    result = set_parameter(rig, "overlay_opacity", 1.5)
    assert not result.successful and result.reason == "parameter overlay_opacity is 1.5; it must be 0 to 1"
    assert set_parameter(rig, "slop", 0).successful
    assert set_parameter(rig, "slop", 0.01).successful
    assert set_parameter(rig, "queue_size", 5).successful
    assert change(rig, Transition.TRANSITION_CONFIGURE).success
    result = set_parameter(rig, "queue_size", 6)
    assert not result.successful and "clean up the node first" in result.reason
    assert rig.node.get_parameter("queue_size").value == 5


def test_a_wrong_value_at_start_refuses_to_configure_and_a_misspelt_name_is_pointed_out(make_rig):
    rig = make_rig(queue_size=0, slopp=0.1)
    assert not rig.node.start()
    rig.until(lambda: rig.logged("parameter queue_size is 0; it must be 1 to 1000"))
    rig.until(lambda: rig.logged("there is no parameter slopp"))


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("slop", "fast", "slop is 'fast'; it must be a number"),
        ("slop", float("nan"), "slop is nan; it must be a number"),
        ("slop", -0.1, "slop is -0.1; it must be 0 to 10"),
        ("slop", True, "slop is True; it must be a number"),
        ("queue_size", 2.5, "queue_size is 2.5; it must be a whole number"),
        ("autostart", 1, "autostart is 1; it must be true or false"),
        ("checkpoint", "", "checkpoint is empty"),
        ("missing_after", None, "missing_after is None"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(name, value, words):
    node = SimpleNamespace(get_parameter=lambda asked: Parameter(asked, value=given[asked]))
    given = {one.name: one.default for one in by_name(NodeSettings).values()} | {name: value}
    with pytest.raises(ConfigError, match=words):
        read(node, NodeSettings)


def test_the_defaults_pass_their_own_checks():
    assert all(one.check(one.default, "") == one.default for one in by_name(NodeSettings).values())
    assert all(one.help for one in by_name(NodeSettings).values())


def test_the_configuration_file_lists_every_parameter_with_its_default():
    path = Path(__file__).parents[2] / "config" / "segmentation.yaml"
    written = yaml.safe_load(path.read_text())["/**"]["ros__parameters"]
    defaults = {one.name: one.default for one in by_name(NodeSettings).values()}
    assert written == defaults | {"cameras": [""]}
    # python -m asymfusion_ros.ros.settings > config/segmentation.yaml
    assert path.read_text() == configuration_file(NodeSettings, "segmentation")


def test_descriptions_reach_ros2_param_describe(make_rig):
    rig = make_rig(autostart=False, slop=0.03)
    for name in ("slop", "queue_size"):  # given and not given
        assert rig.node.describe_parameter(name).description == by_name(NodeSettings)[name].help
    (limits,) = rig.node.describe_parameter("slop").floating_point_range
    assert (limits.from_value, limits.to_value) == (0, 10)
    (whole,) = rig.node.describe_parameter("queue_size").integer_range
    assert (whole.from_value, whole.to_value) == (1, 1000)


def test_the_configuration_file_starts_the_node(make_rig):
    path = Path(__file__).parents[2] / "config" / "segmentation.yaml"
    rig = make_rig(autostart=False)
    rig.node.destroy_node()
    arguments = ["--ros-args", "--params-file", str(path), "-p", "slop:=0.5"]
    rig.node = SegmentationNode(context=rig.context, cli_args=arguments)
    assert rig.node.get_parameter("slop").value == 0.5
    assert rig.node.get_parameter("queue_size").value == 10


def test_one_thread_loads_and_runs_the_network_through_every_state(make_rig, monkeypatch):
    """Two threads that compute would have an OpenMP pool each, and slow each other down by half."""
    threads = []
    postprocess = Segmenter.postprocess

    def load(settings):
        threads.append(threading.get_ident())
        return network.load_network(settings)

    def noted(self, *arguments, **options):
        threads.append(threading.get_ident())
        return postprocess(self, *arguments, **options)

    monkeypatch.setattr(Segmenter, "postprocess", noted)
    rig = make_rig(load=load).start()
    rig.good_frame_is_segmented(SECOND)
    for transition in (
        Transition.TRANSITION_DEACTIVATE,
        Transition.TRANSITION_CLEANUP,
        Transition.TRANSITION_CONFIGURE,
        Transition.TRANSITION_ACTIVATE,
    ):
        assert change(rig, transition).success
    rig.until(rig.connected)
    rig.good_frame_is_segmented(2 * SECOND)
    assert len(set(threads)) == 1
    assert threads[0] != threading.get_ident()
    assert len(threads) == 2 * (1 + 3) + 2  # two loads with three warm-up calls each, two pairs
