"""Segments that killed processes left in /dev/shm: removed where nobody owns them, and only there."""

import fcntl
import os
import time

import pytest

from asymfusion_ros.ros.shared_memory import remove_unowned

OLD = time.time() - 60


@pytest.fixture
def make_segment(tmp_path):
    def make(name, size=8192, modified=OLD):
        for path, content in ((tmp_path / name, b"x" * size), (tmp_path / f"{name}_el", b"")):
            path.write_bytes(content)
            os.utime(path, (modified, modified))
        return tmp_path / name

    return make


@pytest.mark.parametrize("name", ["fastdds_0123456789abcdef", "fastrtps_0123456789abcdef"])
def test_what_no_process_owns_is_removed(make_segment, tmp_path, name):
    make_segment(name)
    assert remove_unowned(tmp_path) == 8192
    assert list(tmp_path.iterdir()) == []


def test_what_a_process_holds_locked_stays(make_segment, tmp_path):
    segment = make_segment("fastdds_0123456789abcdef")
    with open(f"{segment}_el") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert remove_unowned(tmp_path) == 0
        assert segment.exists()
    assert remove_unowned(tmp_path) == 8192


def test_what_is_just_being_made_and_what_is_no_segment_stay(make_segment, tmp_path):
    made = [
        make_segment("fastdds_0123456789abcdef", modified=time.time()),
        make_segment("fastdds_port7411"),
        make_segment("other_0123456789abcdef"),
    ]
    assert remove_unowned(tmp_path) == 0
    assert all(path.exists() for path in made)


def test_a_machine_without_shared_memory_has_nothing_to_remove(tmp_path):
    assert remove_unowned(tmp_path / "none") == 0
