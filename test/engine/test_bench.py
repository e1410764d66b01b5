"""`asymfusion bench`: its numbers are complete and add up; the node is timed on real topics."""

import json
import os
import signal
import subprocess
import sys

import pytest
from helpers import write_checkpoint

from asymfusion_ros.cli.main import main

STAGES = {"upload", "preprocess", "network", "postprocess", "download"}


def test_every_stage_is_timed(tmp_path, capsys):
    checkpoint, report = write_checkpoint(tmp_path / "tiny.safetensors"), tmp_path / "bench.json"
    arguments = [
        "--size",
        "96x64",
        "--frames",
        "3",
        "--warm-up",
        "1",
        "--device",
        "cpu",
        "--points",
        "--json",
        str(report),
    ]
    assert main(["bench", "--checkpoint", str(checkpoint), *arguments]) == 0
    numbers = json.loads(report.read_text())
    assert numbers["size"] == [96, 64]
    assert set(numbers["milliseconds"]) == STAGES | {"total"}
    total = numbers["milliseconds"]["total"]
    assert all(0 <= times["p50"] <= times["p95"] for times in numbers["milliseconds"].values())
    assert total["p50"] >= max(numbers["milliseconds"][stage]["p50"] for stage in STAGES)
    assert numbers["masks_per_second"] == pytest.approx(1000 / total["p50"], abs=0.01)
    assert set(numbers["geometry"]) == {"registration", "points"}
    printed = capsys.readouterr().out
    assert all(stage in printed for stage in (*STAGES, "registration", "points"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--size", "640"], "--size '640' is not WIDTHxHEIGHT"),
        (["--frames", "0"], "--frames 0"),
        (["--threads", "0"], "--threads 0"),
        (["--node", "--modalities", "rgb"], "not just rgb: leave out --modalities"),
        (["--outputs", "mask"], "--outputs goes with --node"),
        (["--modalities", "rgb", "sonar"], "--modalities sonar: the checkpoint has rgb, depth"),
    ],
)
def test_wrong_options_are_named(arguments, said, capsys):
    assert main(["bench", *arguments]) == 1
    assert said in capsys.readouterr().err


def node_bench(tmp_path, *arguments):
    """The command line and the environment: in a process of its own, since it starts and ends rclpy."""
    checkpoint = write_checkpoint(tmp_path / "tiny.safetensors")
    command = [sys.executable, "-m", "asymfusion_ros.cli.main", "bench", "--checkpoint", str(checkpoint)]
    command += ["--size", "96x64", "--warm-up", "1", "--threads", "1", "--node", *arguments]
    environment = {**os.environ, "ROS_DOMAIN_ID": str(1 + os.getpid() % 100)}
    return command, environment | {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}


def test_node_on_real_topics(tmp_path):
    report = tmp_path / "bench.json"
    command, environment = node_bench(
        tmp_path, "--frames", "3", "--outputs", "mask", "overlay", "--json", str(report)
    )
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    node = json.loads(report.read_text())["node"]
    assert min(node[part]["p50"] for part in ("loop", "engine", "transport")) > 0
    assert node["loop"]["p50"] > node["transport"]["p50"]
    assert node["outputs"] == ["mask", "overlay"]
    assert "ms from publishing a frame to having its mask, overlay" in done.stdout


def test_node_stopped_halfway(tmp_path):
    """Ctrl-C ends the threads that use ROS before ROS itself: one line, no traceback."""
    pytest.importorskip("rclpy")
    command, environment = node_bench(tmp_path, "--frames", "1000000")
    # The engine alone is timed first: skip that.
    command[1:3] = ["-c", STOPPABLE]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if "subscribed reliable" in line:  # by the first client: frames are on their way
                break
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=150)
    finally:
        process.kill()
    output = "".join(lines) + rest
    assert process.returncode == 130, output
    assert output.endswith("asymfusion bench: stopped\n")
    assert "Traceback" not in output


# A shell that runs the tests in the background lets its children ignore Ctrl-C.
STOPPABLE = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from asymfusion_ros.cli import bench
from asymfusion_ros.cli.main import main
stages = bench.measure
bench.measure = lambda *given: stages(*given[:-2], 1, 0)
sys.exit(main())
"""
