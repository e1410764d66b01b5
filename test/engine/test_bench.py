"""`asymfusion bench`: its numbers are complete and add up; the node is timed on real topics."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import tiny_config, write_checkpoint
from torch import nn

from asymfusion_ros import Segmenter
from asymfusion_ros.benchmark.figures import summary
from asymfusion_ros.benchmark.load import busy
from asymfusion_ros.benchmark.machine_rate import MachineRate, Work, network_work, shares
from asymfusion_ros.benchmark.plain import PlainEager
from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.cli.main import main
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.network.views import Views

STAGES = {"upload", "preprocess", "network", "postprocess", "download"}


def test_what_the_networks_time_goes_to(tmp_path, capsys):
    checkpoint, report = write_checkpoint(tmp_path / "tiny.safetensors"), tmp_path / "bench.json"
    arguments = ["--size", "96x64", "--frames", "2", "--warm-up", "1", "--device", "cpu", "--no-plain"]
    arguments += ["--precision", "fp32", "--profile", "--json", str(report)]
    assert main(["bench", "--checkpoint", str(checkpoint), *arguments]) == 0
    rows = json.loads(report.read_text())["profile"]
    convolutions = [row for row in rows if row["kind"] == "aten::conv2d"]
    # Both modalities go through a convolution at once, and the ensemble through its classifier.
    layers = [one for one in load_checkpoint(checkpoint).build().modules() if isinstance(one, nn.Conv2d)]
    assert sum(row["calls"] for row in convolutions) == pytest.approx(len(layers))
    assert sum(row["share"] for row in rows) == pytest.approx(1, abs=0.01)
    printed = capsys.readouterr().out
    assert "where the network's time goes, " in printed and rows[0]["kind"] in printed


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
        "--load",
        "2",
        "--json",
        str(report),
    ]
    assert main(["bench", "--checkpoint", str(checkpoint), *arguments]) == 0
    numbers = json.loads(report.read_text())
    assert numbers["size"] == [96, 64]
    assert set(numbers["milliseconds"]) == STAGES | {"total"}
    total = numbers["milliseconds"]["total"]
    for times in numbers["milliseconds"].values():
        assert 0 <= times["best"] <= times["p50"] <= times["p95"] <= times["p99"]
    assert total["p50"] >= max(numbers["milliseconds"][stage]["p50"] for stage in STAGES)
    assert numbers["masks_per_second"] == pytest.approx(1000 / total["p50"], abs=0.01)
    assert numbers["plain_eager"]["best"] > 0
    assert numbers["times_plain_eager"] == pytest.approx(
        numbers["plain_eager"]["p50"] / total["p50"], abs=0.01
    )
    loaded = numbers["loaded"]
    assert loaded["processes"] == 2
    assert loaded["masks_per_second"] == pytest.approx(
        1000 / loaded["milliseconds"]["total"]["p50"], abs=0.01
    )
    assert numbers["peak_memory"]["host_mib"] > 50
    assert set(numbers["geometry"]) == {"registration", "points"}
    printed = capsys.readouterr().out
    assert all(stage in printed for stage in (*STAGES, "registration", "points", "beside 2 busy processes"))


def test_without_the_plain_network_there_is_no_ratio(tmp_path, capsys):
    checkpoint, report = write_checkpoint(tmp_path / "tiny.safetensors"), tmp_path / "bench.json"
    options = ["--size", "96x64", "--frames", "1", "--device", "cpu", "--no-plain", "--json", str(report)]
    assert main(["bench", "--checkpoint", str(checkpoint), *options]) == 0
    assert not {"plain_eager", "times_plain_eager", "loaded"} & set(json.loads(report.read_text()))
    assert "plain eager" not in capsys.readouterr().out


def test_how_the_cost_grows(tmp_path, capsys):
    checkpoint, report = write_checkpoint(tmp_path / "tiny.safetensors"), tmp_path / "bench.json"
    words = ["--size", "96x64", "--frames", "1", "--warm-up", "0", "--device", "cpu", "--no-plain"]
    words += ["--sizes", "96x64", "192x128", "--modality-sets", "--cameras", "1", "3"]
    words += ["--streams", "2", "--json", str(report), "--plot", str(tmp_path / "b.png")]
    assert main(["bench", "--checkpoint", str(checkpoint), *words]) == 0
    figures = json.loads(report.read_text())
    assert [row["input"] for row in figures["sizes"]] == [[96, 64], [192, 128]]
    small, large = (row["share"]["gflop"] for row in figures["sizes"])
    assert 3 < large / small < 4.2  # four times the pixels, rounded up at each stage
    assert [row["modalities"] for row in figures["modality_sets"]] == ["rgb+depth", "rgb", "depth"]
    both, *alone = (row["share"]["gflop"] for row in figures["modality_sets"])
    assert alone == [pytest.approx(both / 2, rel=0.02)] * 2
    assert [row["cameras"] for row in figures["cameras"]] == [1, 3]
    for row in figures["cameras"]:
        total = row["milliseconds"]["total"]["p50"]
        assert row["masks_per_second"] == pytest.approx(1000 * row["cameras"] / total, rel=0.01)
    assert figures["streams"][0]["streams"] == 2 and figures["streams"][0]["masks_per_second"] > 0
    assert figures["machine"]["matrix_gflops"] > 0 and figures["machine"]["copy_gb_per_second"] > 0
    assert 0 < figures["share"]["of_matrix_rate"] < 1.5
    assert (tmp_path / "b.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "cameras in one call" in printed and "segmenters at once" in printed


def test_what_a_network_asks_of_the_machine_by_hand():
    config = tiny_config()
    one, both = (network_work(config, (48, 64), names) for names in (("depth",), ("rgb", "depth")))
    assert both.gflop == pytest.approx(2 * one.gflop, rel=1e-6)
    assert one.elements < both.elements < 2 * one.elements  # the weights are read once
    # 64 x 64 pixels, 32 x 32, and both mirrored: 2 x (1 + 1/4) times the work of one view
    single, several = (
        network_work(config, (64, 64), ("depth",), views)
        for views in (Views(), Views((1.0, 0.5), True, (True, False)))
    )
    assert several.gflop == pytest.approx(2.5 * single.gflop, rel=1e-6)
    rate = MachineRate("fp32", matrix=100.0, convolution=50.0, copy=10.0)
    # 2 GFLOP in 40 ms are 50 GFLOP/s; 0.02 thousand million elements of 4 bytes are 2 GB/s.
    assert shares(Work(2.0, 0.02), rate, 40.0) == {
        "gflop": 2.0,
        "gflops": 50.0,
        "of_matrix_rate": 0.5,
        "of_copy_bandwidth": 0.2,
    }


def test_another_input_size_is_the_checkpoint_of_that_size(tmp_path):
    """The network is the same, and its weights are not copied."""
    small = write_checkpoint(tmp_path / "small.safetensors")
    large = write_checkpoint(tmp_path / "large.safetensors", spec=InputSpec(height=64, width=96))
    segmenter, expected = (Segmenter.from_checkpoint(path, "cpu", "fp32") for path in (small, large))
    resized = segmenter.at_input_size(64, 96)
    assert resized.backend is segmenter.backend
    rgb = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    assert (resized(rgb).numpy().labels == expected(rgb).numpy().labels).all()
    assert segmenter.checkpoint.input_spec.width == 64


def test_a_summary_by_hand():
    assert summary([4.0, 1.0, 2.0, 3.0, 5.0]) == {"p50": 3.0, "p95": 4.8, "p99": 4.96, "best": 1.0}


def test_the_plain_network_gives_the_engines_labels(tmp_path):
    """With the engine's weights in the place of random ones."""
    checkpoint = write_checkpoint(tmp_path / "tiny.safetensors")
    segmenter = Segmenter.from_checkpoint(checkpoint, device="cpu", precision="fp32")
    plain = PlainEager(segmenter)
    plain._network.load_state_dict(load_checkpoint(checkpoint).state_dict)
    rng = np.random.default_rng(0)
    given = {
        "rgb": rng.integers(0, 256, (48, 64, 3), np.uint8),
        "depth": rng.integers(500, 4000, (48, 64), np.uint16),
    }
    for names in (("rgb", "depth"), ("depth",)):
        images = segmenter.images({name: given[name] for name in names})
        labels = plain(images).numpy()
        expected = segmenter.segment({name: given[name] for name in names}).numpy().labels
        assert (labels == expected).mean() > 0.99


def test_busy_processes_are_there_meanwhile_and_gone_afterwards():
    def children():
        return [
            int(pid) for pid in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
        ]

    before = children()
    with pytest.raises(RuntimeError, match="an error amid it"), busy(2):
        there = set(children()) - set(before)
        assert len(there) == 2
        raise RuntimeError("an error amid it")
    assert not any(Path(f"/proc/{pid}").exists() for pid in there)


def test_busy_processes_end_with_the_one_that_began_them():
    text = (
        "import os\nfrom asymfusion_ros.benchmark.load import busy\nwith busy(1):\n os.kill(os.getpid(), 9)"
    )
    script = f"exec({text!r})"
    pids = {int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()}
    subprocess.run([sys.executable, "-c", script], check=False)
    for _ in range(600):
        left = [
            path
            for path in Path("/proc").iterdir()
            if path.name.isdigit() and int(path.name) not in pids and b"100_000" in command_line(path)
        ]
        if not left:
            return
        time.sleep(0.1)
    raise AssertionError(left)


def command_line(path):
    try:
        return (path / "cmdline").read_bytes()
    except OSError:
        return b""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--size", "640"], "--size '640' is not WIDTHxHEIGHT"),
        (["--frames", "0"], "--frames 0"),
        (["--threads", "0"], "--threads 0"),
        (["--load", "0"], "--load 0"),
        (["--node", "--modalities", "rgb"], "not just rgb: leave out --modalities"),
        (["--outputs", "mask"], "--outputs goes with --node"),
        (["--rate", "30"], "--rate goes with --node"),
        (["--node", "--rate", "0"], "--rate 0.0 must be 1 to 1000"),
        (["--cameras", "1", "9"], "--cameras 9 must be 1 to 8"),
        (["--streams", "0"], "--streams 0 must be 1 to 8"),
        (["--sizes", "64x48", "tall"], "--sizes 'tall' is not WIDTHxHEIGHT"),
        (["--sizes", "64x50"], "multiples of 8"),
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
        tmp_path, "--frames", "3", "--outputs", "mask", "overlay", "--json", str(report), "--no-plain"
    )
    command += ["--rate", "10", "--seconds", "1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    node = json.loads(report.read_text())["node"]
    assert min(node[part]["p50"] for part in ("loop", "engine", "transport")) > 0
    assert node["loop"]["p50"] > node["transport"]["p50"]
    assert node["outputs"] == ["mask", "overlay"]
    assert "ms from publishing a frame to having its mask, overlay" in done.stdout
    stream = node["stream"]
    assert 2 <= stream["sent"] <= 10 and 1 <= stream["masks"] <= stream["sent"] + 5
    assert stream["masks_per_second"] == pytest.approx(stream["masks"], abs=0.01)
    assert 0 < stream["milliseconds"]["best"] <= stream["milliseconds"]["p95"]
    assert "a camera of 10 frames a second: " in done.stdout


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
from dataclasses import replace
signal.signal(signal.SIGINT, signal.default_int_handler)
from asymfusion_ros.cli import bench
from asymfusion_ros.cli.main import main
from asymfusion_ros.data.input_spec import InputSpec
measured = bench.measured
bench.measured = lambda segmenter, make, plan: measured(segmenter, make, replace(plan, frames=1, warm_up=0))
sys.exit(main())
"""
