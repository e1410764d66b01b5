"""Many recordings at once: in processes of this machine, and on a Dask cluster that loses a worker."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import write_checkpoint
from recorded import LABELS, SECOND, frames, image, picture, write_bag

from asymfusion_ros.cli.main import main
from asymfusion_ros.cli.replay import add_arguments, task_words
from asymfusion_ros.errors import UserError
from asymfusion_ros.recordings.bag_file import BagFile
from asymfusion_ros.replay import cluster, many
from asymfusion_ros.replay.lock import alone

T0 = 100 * SECOND
PIXELS = 48 * 64


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors")


def labelled(path: Path, count: int) -> Path:
    """A bag of ``count`` frames 1/100 s apart, each with labels."""
    recorded = frames(count, SECOND // 100)
    for index in range(count):
        stamp = T0 + index * SECOND // 100
        label = (picture(index)[..., 0] % 3).astype(np.uint8)
        recorded.append((LABELS, stamp + 3000, image(stamp, label, "mono8")))
    return write_bag(path, sorted(recorded, key=lambda one: one[1]))


def words(checkpoint, output, *more) -> list[str]:
    options = ["--checkpoint", checkpoint, "--device", "cpu", "--output", output]
    return [str(word) for word in ["replay", *more, *options]]


def stamps(folder: Path) -> list[int]:
    with BagFile(folder / "masks") as bag:
        found = [one.content.header.stamp for one in bag.messages(["/segmentation/mask"])]
    return [stamp.sec * SECOND + stamp.nanosec for stamp in found]


def until(condition, seconds: float = 90):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.005)
    return found


def processes(*said: str) -> list[int]:
    """Those whose command lines have all of these in their words."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_text()
            except (OSError, UnicodeDecodeError):
                continue
            if all(word in line for word in said):
                found.append(int(folder.name))
    return found


def counted(scores: dict) -> int:
    return int(np.sum(scores["branches"]["ensemble"]["confusion"]))


def test_two_processes_give_what_one_gives_after_another(tmp_path, checkpoint, capsys):
    bags = [labelled(tmp_path / name, count) for name, count in (("long", 5), ("short", 2))]
    at_once = words(checkpoint, tmp_path / "at_once", *bags, "--labels", LABELS, "--processes", "2")
    assert main(at_once) == 0
    shown = capsys.readouterr().out
    assert "long: 5 frames of 0.04 s" in shown and "all 2 recordings: 7 frames" in shown
    assert main(words(checkpoint, tmp_path / "in_turn", *bags, "--labels", LABELS)) == 0
    one, other = (json.loads((tmp_path / n / "summary.json").read_text()) for n in ("at_once", "in_turn"))
    assert counted(one["scores"]) == 7 * PIXELS
    for summary in (one, other, *one["recordings"].values(), *other["recordings"].values()):
        for timed in ("seconds", "frames_per_second", "latency_ms"):
            assert summary.pop(timed)
    assert one == other
    assert (one["frames"], one["images"], one["labelled"]) == (7, {"rgb": 7, "depth": 7}, 7)
    assert sorted(path.name for path in (tmp_path / "at_once").iterdir()) == ["long", "short", "summary.json"]
    # What is there is not written over, and what is not there is refused at once.
    assert main(at_once) == 1
    assert "at_once/long exists: name another folder" in capsys.readouterr().err
    assert main([*words(checkpoint, tmp_path / "new", bags[0], tmp_path / "gone"), "--processes", "2"]) == 1
    assert "gone does not exist: no recording has been replayed" in capsys.readouterr().err


STAND_IN = """
import os, pathlib, signal, sys, time
_, name, folder, _ = sys.argv
seen = pathlib.Path(folder, "seen_" + name)
seen.write_text(seen.read_text() + "x" if seen.exists() else "x")
if name == "always" or (name == "once" and seen.read_text() == "x"):
    os.kill(os.getpid(), signal.SIGKILL)
if name == "refused":
    print("something\\nasymfusion replay: error: why", file=sys.stderr)
    sys.exit(1)
if name == "endless":
    time.sleep(600)
"""


@pytest.fixture
def stand_in(tmp_path):
    """Tasks of a stand-in for the command, which does as they are called."""
    script = tmp_path / "stand_in.py"
    script.write_text(STAND_IN)
    return lambda name: many.Task(name, tmp_path, [name, str(tmp_path)], [str(script)])


def test_a_process_that_a_signal_ends_is_started_again(tmp_path, stand_in):
    ended = {}
    tasks = [stand_in(name) for name in ("once", "always", "refused", "well")]
    many.run_here(tasks, 2, 1, lambda task, reason: ended.update({task.name: reason}))
    assert ended["once"] == ended["well"] == "" and ended["refused"] == "why"
    log = tmp_path / "always.log"
    assert ended["always"] == f"its process was ended by signal 9, 3 times; {log} has what it said"
    seen = {task.name: len((tmp_path / f"seen_{task.name}").read_text()) for task in tasks}
    assert seen == {"once": 2, "always": 3, "refused": 1, "well": 1}
    assert sorted(path.name for path in tmp_path.glob("*.log")) == ["always.log", "refused.log"]
    line = str(many.failed({name: reason for name, reason in ended.items() if reason}, tmp_path))
    assert line.startswith("2 recordings failed: ") and "refused: why" in line and "--resume" in line


def test_whoever_stops_the_run_stops_its_processes(tmp_path, stand_in):
    def stop(task, reason):
        until((tmp_path / "seen_endless").exists)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        many.run_here([stand_in("endless"), stand_in("well"), stand_in("later")], 2, 1, stop)
    assert not processes("stand_in.py", str(tmp_path))


def test_a_task_is_told_all_that_its_run_is_told(tmp_path, monkeypatch):
    """The words of a task, read again, are the options that were given."""
    monkeypatch.chdir(tmp_path)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    options = (
        "a.bag b.bag --output out --processes 2 --threads 3 --checkpoint c.safetensors --precision fp32 "
        "--rgb /rgb --topic thermal=/t --topic infrared=/i --seconds 2.5 --slop 0.1 --rectified depth "
        "--depth-to-rgb=-0.1,0,0,0,0,0 --labels-dir labels --originals --png p --kitti k --rate 5"
    )
    given = parser.parse_args(shlex.split(options))
    (tmp_path / "a.bag").touch()
    read = parser.parse_args(task_words(given, Path("a.bag")))
    for name, value in vars(given).items():
        if name not in ("recordings", "resume", "patience", "processes", "threads"):
            placed = name in ("output", "labels_dir", "png", "kitti", "checkpoint")
            assert getattr(read, name) == (type(value)(tmp_path / value) if placed else value), name
    assert read.recordings == [tmp_path / "a.bag"] and read.resume
    built_in = parser.parse_args(["motorcycle", "--output", "out"])
    assert {"motorcycle", "--checkpoint=default"} <= set(task_words(built_in, Path("motorcycle")))


def test_whoever_comes_second_waits_for_the_first(tmp_path):
    path, order = tmp_path / ".walk.lock", []

    def first() -> None:
        with alone(path):
            held.set()
            time.sleep(0.3)
            order.append("first")

    held = threading.Event()
    thread = threading.Thread(target=first)
    thread.start()
    held.wait()
    with alone(path, patience=60):
        order.append("second")
    thread.join()
    assert order == ["first", "second"] and not path.exists()


# --- a cluster


def refusal(arguments: list[str], capsys) -> str:
    capsys.readouterr()
    assert main(arguments) == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "it/s" not in line and line.strip()]
    return line


def test_a_scheduler_that_does_not_answer_is_one_line(tmp_path, checkpoint, capsys, monkeypatch):
    pytest.importorskip("distributed", reason="needs the extra cluster")
    monkeypatch.setattr(cluster, "ANSWER", 1.0)
    bag = write_bag(tmp_path / "walk", frames(1))
    arguments = [*words(checkpoint, tmp_path / "out", bag), "--scheduler"]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for address in (f"tcp://127.0.0.1:{port}", "127.0.0.1:9", "nonsense://1", "127.0.0.1:no"):
            line = refusal([*arguments, address], capsys)
            assert f"--scheduler {address} does not answer (" in line, line
            assert "give the address that `dask scheduler` prints" in line


@pytest.fixture(scope="module")
def local_cluster():
    distributed = pytest.importorskip("distributed", reason="needs the extra cluster")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, silence_logs=50
    ) as found:
        yield found


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_worker_that_dies_costs_nothing_and_nothing_counts_twice(
    tmp_path, checkpoint, local_cluster, capsys
):
    bags = [labelled(tmp_path / "walk", 40), labelled(tmp_path / "short", 3)]
    output = tmp_path / "out"
    options = ["--labels", LABELS, "--scheduler", local_cluster.scheduler_address]
    killed: list[int] = []

    def kill() -> None:
        until((output / "walk.partial").exists)
        (process,) = processes(str(bags[0]), "--resume")
        os.kill(process, signal.SIGSTOP)  # it is to be in the middle of its recording, however fast it is
        if (output / "walk.partial").exists():
            killed.append(parent_of(process))
            os.kill(killed[0], signal.SIGKILL)
        os.kill(process, signal.SIGCONT)
        until(lambda: process not in processes(str(bags[0])))  # it ends with its worker

    watching = threading.Thread(target=kill)
    watching.start()
    assert main(words(checkpoint, output, *bags, *options)) == 0
    watching.join()
    assert killed and "all 2 recordings: 43 frames" in capsys.readouterr().out
    assert stamps(output / "walk") == [T0 + index * SECOND // 100 for index in range(40)]
    summary = json.loads((output / "summary.json").read_text())
    assert summary["frames"] == summary["labelled"] == 43
    assert counted(summary["scores"]) == 43 * PIXELS
    assert sorted(path.name for path in output.iterdir()) == ["short", "summary.json", "walk"]


def test_whoever_stops_the_run_stops_its_tasks(tmp_path, stand_in, local_cluster):
    def stop(task, reason):
        until((tmp_path / "seen_endless").exists)
        raise KeyboardInterrupt

    tasks = [stand_in("endless"), stand_in("refused")]
    with pytest.raises(KeyboardInterrupt):
        cluster.run_on_cluster(tasks, local_cluster.scheduler_address, 1, stop)
    until(lambda: not processes("stand_in.py", str(tmp_path)))


def test_a_cluster_says_what_failed_and_where(tmp_path, stand_in, local_cluster):
    ended = {}
    address = local_cluster.scheduler_address
    tasks = [stand_in("refused"), stand_in("well")]
    cluster.run_on_cluster(tasks, address, 0, lambda task, reason: ended.update({task.name: reason}))
    workers = local_cluster.scheduler_info["workers"]
    assert ended["well"] == "" and ended["refused"] in [f"why (on {worker})" for worker in workers]
    with pytest.raises(UserError, match="is a Nanny of Dask's: give the address of its scheduler"):
        cluster.run_on_cluster(tasks, next(iter(workers.values()))["nanny"], 0, lambda task, reason: None)
