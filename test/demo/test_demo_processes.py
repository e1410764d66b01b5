"""The demo's processes: none of their events is lost, and none outlives the demo."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from asymfusion_ros.child import Child
from asymfusion_ros.demo.summary import Statistics


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def late(tmp_path: Path) -> Iterator[Child]:
    """A player that has ended; its last event comes once a file named "go" is there."""
    event = '{"event": "finished"}'
    script = f"(while [ ! -e go ]; do sleep 0.02; done; echo '{event}') & exit 0"
    with Child(
        "player", ["sh", "-c", f"cd {tmp_path}; {script}"], tmp_path / "log", read_events=True
    ) as child:
        child.process.wait()
        yield child
        (tmp_path / "go").touch()


def test_a_process_has_ended_when_its_last_event_is_there(late, tmp_path):
    assert not late.running and not late.ended and not list(late.events())
    (tmp_path / "go").touch()
    until(lambda: late.ended)
    assert list(late.events()) == [{"event": "finished"}]


def run_of(player: Child, node: Child):
    pytest.importorskip("rclpy", reason="the demo needs ROS 2 for Python")
    from asymfusion_ros.demo.streaming import Run

    return Run(Statistics(), 1, node, player, 0.01, lambda line: None)


def test_a_player_whose_last_event_is_still_read_has_not_failed(late, tmp_path):
    with Child("node", ["sleep", "60"], tmp_path / "node.log") as node:
        run = run_of(late, node)
        run.look()
        assert not run.is_over()
        (tmp_path / "go").touch()

        def over() -> bool:
            run.look()
            return run.is_over()

        until(over)


def test_a_player_that_ends_early_has_failed(tmp_path):
    command = ["sh", "-c", "echo reason >&2"]
    with (
        Child("node", ["sleep", "60"], tmp_path / "node.log") as node,
        Child("player", command, tmp_path / "player.log", read_events=True) as player,
    ):
        run = run_of(player, node)
        from asymfusion_ros.demo.streaming import DemoError

        with pytest.raises(DemoError, match=r"the player failed; the end of .*player\.log:\n    reason"):
            until(lambda: run.look())


def alive(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(")")[2].split()[0] != "Z"  # ended, but nobody has asked how


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv (util-linux)")
def test_a_process_ends_where_the_demo_is_killed(tmp_path):
    program = f"""
import time
from pathlib import Path
from asymfusion_ros.child import Child
child = Child("node", ["sleep", "600"], Path({str(tmp_path / "log")!r}))
print(child.process.pid, flush=True)
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    # It is asked to end with its parent just before it becomes the command.
    until(lambda: Path(f"/proc/{child}/comm").read_text() == "sleep\n")
    parent.kill()
    parent.communicate()
    try:
        until(lambda: not alive(child))
    finally:
        if alive(child):
            os.kill(child, signal.SIGKILL)
