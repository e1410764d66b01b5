"""Whose frame is segmented next, of several cameras."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("rclpy", reason="needs rclpy")

from asymfusion_ros.ros.worker import InferenceWorker, NewestSlots


def test_a_fast_camera_does_not_starve_the_others():
    slots = NewestSlots()
    served = []
    for i in range(12):
        # The fast camera leaves several frames before each turn, the others one each.
        for repeat in range(3):
            slots.put("fast", f"{i}.{repeat}")
        slots.put("slow", i)
        slots.put("slower", i)
        served += [source for source, _ in slots.take()]
    assert served == ["fast", "slow", "slower"] * 4


def test_the_newest_of_each_is_kept_and_several_are_taken_at_once():
    slots = NewestSlots()
    assert [slots.put("a", 1), slots.put("b", 2), slots.put("a", 3), slots.put("c", 4)] == [
        False,
        False,
        True,
        False,
    ]
    assert slots.take(2) == [("a", 3), ("b", 2)]
    assert slots.take(9) == [("c", 4)]
    slots.put("a", 5)
    slots.close()
    assert slots.take() == []


def test_what_one_batch_raises_does_not_end_the_work():
    seen, errors = [], []
    failed, done = threading.Event(), threading.Event()

    def process(items):
        seen.append(items)
        if len(seen) == 1:
            raise RuntimeError("no such kernel")
        done.set()

    def on_error(trace):
        errors.append(trace)
        failed.set()

    with ThreadPoolExecutor(1) as executor:
        worker = InferenceWorker(process, on_error, executor, batch=2)
        worker.slots.put("a", 1)
        assert failed.wait(20)
        worker.slots.put("b", 2)
        assert done.wait(20)
        worker.stop(print)
    assert "no such kernel" in errors[0]
    assert seen == [[("a", 1)], [("b", 2)]]
