"""The quick part of `make fuzz`."""

import pytest

pytest.importorskip("rclpy", reason="needs rclpy")
pytest.importorskip("sensor_msgs.msg", reason="needs sensor_msgs")
pytest.importorskip("rosbags.image", reason="needs rosbags-image")

import fuzz_messages


def test_mutated_messages_are_read_or_refused_and_nothing_else():
    findings, counts = fuzz_messages.run(range(2000), seed=1)
    assert findings == []
    # The mutations are neither harmless nor all fatal.
    for name in fuzz_messages.TARGETS:
        assert counts[f"{name}: read"] > 20 and counts[f"{name}: refused"] > 20, (name, counts)


def test_a_message_of_a_number_is_the_same_each_time():
    for number in range(50):
        # As text, in which NaN equals itself.
        assert repr(fuzz_messages.message_of(7, number)) == repr(fuzz_messages.message_of(7, number))
