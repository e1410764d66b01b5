"""Files that are whole or not there, also where several processes write the same one."""

import os
import subprocess
import sys

import pytest

from asymfusion_ros.atomic_write import whole, write_whole
from asymfusion_ros.errors import UserError

WRITER = """
import pathlib, sys
from asymfusion_ros.atomic_write import write_whole
path, letter = pathlib.Path(sys.argv[1]), sys.argv[2].encode()
print("ready", flush=True)
for _ in range(300):
    write_whole(path, letter * 200_000)
"""


def test_processes_that_write_one_file_never_mix(tmp_path):
    path = tmp_path / "a"
    command = [sys.executable, "-c", WRITER, str(path)]
    writers = [subprocess.Popen([*command, letter], stdout=subprocess.PIPE) for letter in "ab"]
    try:
        for writer in writers:
            assert writer.stdout.readline() == b"ready\n"
        seen = set()
        while any(writer.poll() is None for writer in writers):
            if path.exists():
                content = path.read_bytes()
                assert len(content) == 200_000 and len(set(content)) == 1
                seen.add(content[:1])
        assert [writer.returncode for writer in writers] == [0, 0]  # and none lost its file to the other
        assert seen
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
            writer.stdout.close()
    assert [file.name for file in tmp_path.iterdir()] == ["a"]


def test_what_a_killed_process_left_is_no_obstacle(tmp_path):
    (tmp_path / "a.partial").write_bytes(b"half of something longer than what follows")
    write_whole(tmp_path / "a", b"whole")
    assert (tmp_path / "a").read_bytes() == b"whole" and os.listdir(tmp_path) == ["a"]


def test_a_failure_leaves_what_was_there(tmp_path):
    (tmp_path / "a").write_bytes(b"before")
    with pytest.raises(KeyError), whole(tmp_path / "a") as partial:
        partial.write_bytes(b"half")
        raise KeyError
    assert (tmp_path / "a").read_bytes() == b"before" and os.listdir(tmp_path) == ["a"]
    with pytest.raises(UserError, match="cannot write .*nowhere/a: No such file"):
        write_whole(tmp_path / "nowhere" / "a", b"")
