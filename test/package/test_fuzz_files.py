"""A few damaged files of each kind; `make fuzz-files` reads thousands, each in a process with limits."""

import os
import signal

import fuzz_files
import pytest

KINDS = [
    "checkpoint", "dataset.yaml", "split", "label png", "jpeg", "shard", "list of shards", "recipe", "pickle",
    "state", "soft labels", "teachers.json", "ROS 1 bag", "sqlite3", "mcap", "metadata.yaml", "CVAT zip",
    "Label Studio JSON",
]  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("files")


def test_damaged_files_are_taken_or_refused_in_one_line(root):
    counts, failures = fuzz_files.fuzz(root, range(8), 5, KINDS, run=fuzz_files.outcome)
    assert failures == []
    assert sum(count["refused"] for count in counts.values()) > 40


def test_a_case_is_the_same_each_time(root):
    kind = fuzz_files.Kind(root, lambda: None, fuzz_files.TEXT)
    made = [fuzz_files.mutated(kind, b"name: x\nlabels: [a, b]\n", "x", case, 0) for case in range(30)]
    again = [fuzz_files.mutated(kind, b"name: x\nlabels: [a, b]\n", "x", case, 0) for case in range(30)]
    assert made == again and len(set(made)) > 20


def test_what_is_not_a_refusal_is_found():
    def traceback():
        raise KeyError("x")

    class TwoLines(fuzz_files.UserError):
        def __str__(self):
            return "a\nb"

    def two_lines():
        raise TwoLines

    def memory():
        bytearray(1 << 40)  # more than an allocator can have kept from earlier tests

    assert fuzz_files.outcome(traceback).startswith("KeyError: \"'x'\" at ")
    assert fuzz_files.outcome(two_lines).startswith("no single line")
    assert fuzz_files.outcome(lambda: None) == "taken"
    assert fuzz_files.apart(memory) == "MemoryError: "
    assert fuzz_files.apart(lambda: os.kill(os.getpid(), signal.SIGKILL)) == "signal SIGKILL"
