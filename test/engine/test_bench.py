"""`asymfusion bench`: its numbers are complete and add up; the node is timed on real topics."""

import json
import os
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


def test_node_on_real_topics(tmp_path):
    """In a process of its own: it starts and ends rclpy."""
    checkpoint, report = write_checkpoint(tmp_path / "tiny.safetensors"), tmp_path / "bench.json"
    arguments = ["--size", "96x64", "--frames", "3", "--warm-up", "1", "--threads", "1", "--node"]
    arguments += ["--outputs", "mask", "overlay"]
    environment = {**os.environ, "ROS_DOMAIN_ID": str(1 + os.getpid() % 100)}
    environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    command = [sys.executable, "-m", "asymfusion_ros.cli.main", "bench", "--checkpoint", str(checkpoint)]
    done = subprocess.run(
        [*command, *arguments, "--json", str(report)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    node = json.loads(report.read_text())["node"]
    assert min(node[part]["p50"] for part in ("loop", "engine", "transport")) > 0
    assert node["loop"]["p50"] > node["transport"]["p50"]
    assert node["outputs"] == ["mask", "overlay"]
    assert "ms from publishing a frame to having its mask, overlay" in done.stdout
