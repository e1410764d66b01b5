"""The fast part of the faults (soak/faults.py): malformed messages, late depth, clocks, what is raised."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("rclpy", reason="needs rclpy")
pytest.importorskip("sensor_msgs.msg", reason="needs sensor_msgs")

from node_harness import HEIGHT, SECOND, Rig, engine
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters
from senders import senders
from soak.malformed import MALFORMED, SETTINGS

from asymfusion_ros.ros import main, watchdog
from asymfusion_ros.ros.inputs.subscription import ImageInput
from asymfusion_ros.ros.inputs.transports import TRANSPORTS
from asymfusion_ros.ros.log import LONGEST_TEXT, shortened
from asymfusion_ros.ros.worker import InferenceWorker

PERIOD = SECOND // 30


@pytest.fixture
def make_rig(checkpoint):
    rigs = []

    def make(publishers=None, **options):
        options |= {} if publishers is None else {"modalities": ()}
        rig = Rig(checkpoint, load=lambda settings: engine(checkpoint), **options)
        rigs.append(rig)
        for name, sender in (publishers or {}).items():
            rig.cameras[name] = rig.client.create_publisher(sender.load(), sender.topic, rig.qos)
        return rig.start()

    yield make
    for rig in rigs:
        rig.close()


def test_every_transport_has_malformed_messages():
    assert set(MALFORMED) == set(SETTINGS) == set(TRANSPORTS)


@pytest.mark.parametrize("transport", MALFORMED)
def test_after_each_malformed_message_the_next_good_frame_gives_a_mask(make_rig, transport):
    if transport == "disparity":
        pytest.importorskip("stereo_msgs.msg", reason="needs stereo_msgs")
    good = senders(SETTINGS[transport])
    rig = make_rig(good, **SETTINGS[transport])
    stamp = 1000 * SECOND
    for one in MALFORMED[transport]():
        stamp += 2 * SECOND
        rig.send(**{name: (one if name == one.modality else good[name]).make(stamp) for name in good})
        stamp += SECOND
        rig.send(**{name: sender.make(stamp) for name, sender in good.items()})
        assert rig.mask(stamp).height == HEIGHT
    assert max(map(len, rig.log)) < 2000


def test_depth_that_is_late_pairs_once_it_has_been_noticed(make_rig):
    rig = make_rig()
    stamps = [1000 * SECOND + k * PERIOD for k in range(60)]
    for k, stamp in enumerate(stamps):
        rig.send_frame(stamp, names=["rgb"])
        if k >= 15:
            rig.send_frame(stamps[k - 15], names=["depth"])
        rig.spin(0.005)
    rig.until(lambda: rig.counters.paired > 30)
    assert rig.logged("with the same stamp", "set queue_size to")


def test_a_failed_start_leaves_no_subscription_behind(make_rig, monkeypatch):
    rig = make_rig()
    rig.node.trigger_deactivate()
    subscribe, calls = ImageInput.__init__, []

    def fails_at_the_second(self, *arguments):
        calls.append(self)
        if len(calls) == 2:
            raise RuntimeError("no more subscriptions")
        subscribe(self, *arguments)

    monkeypatch.setattr(ImageInput, "__init__", fails_at_the_second)
    rig.node.trigger_activate()
    assert not [one for one in rig.node.subscriptions if "image_rect" in one.topic_name]


@pytest.mark.parametrize("time_of_clock", ["absent", "paused"])
def test_simulated_time_that_does_not_run_is_a_fault_and_stops_nothing(make_rig, time_of_clock):
    from builtin_interfaces.msg import Time
    from rosgraph_msgs.msg import Clock

    rig = make_rig(use_sim_time=True)
    says = "nothing has come on /clock"
    if time_of_clock == "paused":
        says = "stood still at 7.000 s"
        clock = rig.client.create_publisher(Clock, "/clock", 10)
        rig.until(lambda: clock.get_subscription_count() == 1)
        clock.publish(Clock(clock=Time(sec=7)))
    (one,) = rig.node.cameras
    rig.until(lambda: says in one.faults(time.monotonic()).get("clock", ""))
    rig.good_frame_is_segmented(10 * SECOND)


def test_what_a_request_raises_in_rclpy_is_logged_and_the_node_goes_on(make_rig):
    rig = make_rig()
    client = rig.client.create_client(SetParameters, "segmentation/set_parameters")
    rig.until(client.service_is_ready)
    for kind in (77, 99):
        client.call_async(
            SetParameters.Request(parameters=[Parameter(name="slop", value=ParameterValue(type=kind))])
        )
    end = time.monotonic() + 20
    while not rig.logged("was not handled", "Traceback") and time.monotonic() < end:
        main._spin_once(rig.executor, rig.node)
    assert rig.logged("was not handled", "Traceback")
    for _ in range(20):
        main._spin_once(rig.executor, rig.node)
    rig.good_frame_is_segmented(10 * SECOND)


def test_a_worker_survives_what_ends_threads_and_says_that_a_device_hangs(monkeypatch):
    monkeypatch.setattr(watchdog, "SAY_AFTER", 0.05)
    monkeypatch.setattr(watchdog, "GIVE_UP_AFTER", 0.1)
    errors, lines, hang, taken = [], [], threading.Event(), threading.Event()

    def process(items):
        if items[0][1] == "exit":
            raise SystemExit
        taken.set()
        hang.wait()

    with ThreadPoolExecutor(1) as thread:
        worker = InferenceWorker(process, errors.append, thread)
        worker.slots.put("", "exit")
        while not errors:
            time.sleep(0.001)
        assert "SystemExit" in errors[0]
        worker.slots.put("", "hang")
        taken.wait()
        assert not worker.stop(lines.append)
        assert len(lines) == 2 and "device hangs" in lines[0] and "given up" in lines[1]
        hang.set()


def test_a_long_text_is_cut_in_its_middle():
    assert shortened("short") == "short"
    text = shortened("begin" + "x" * (1 << 20) + "end")
    assert text.startswith("begin") and text.endswith("end") and len(text) < LONGEST_TEXT + 50
    assert "1048084 more" in text
