"""`asymfusion top`: what it shows of statuses, and what it says where there is nothing to show."""

import pytest
from helpers import refused

from asymfusion_ros.cli import main as cli
from asymfusion_ros.cli.top_table import as_json, table
from asymfusion_ros.stream.board import Board, NodeStatus
from asymfusion_ros.stream.status import Level

VALUES = {
    "software": "asymfusion_ros 1.2.3",
    "state": "active",
    "rate_in_rgb": "30.0",
    "rate_in_depth": "29.9",
    "rate_out": "14.5",
    "latency_pipeline_p50_ms": "61.25",
    "latency_pipeline_p95_ms": "80.00",
    "pair_gap_p50_ms": "4.00",
    "dropped": "12",
    "unpaired": "3",
    "device": "cpu",
    "precision": "fp32",
    "memory_mb": "410",
    "latency_queue_p50_ms": "1.50",
    "latency_inference_p50_ms": "50.00",
    "latency_network_p50_ms": "48.00",
}


def status(
    name="robot/segmentation", task="segmentation", level=Level.OK, message="active", heard=0.0, **values
):
    return NodeStatus(f"{name}: {task}", name, level, message, values or VALUES, heard)


def test_a_node_is_a_row_and_what_is_wrong_stands_below():
    bad = status(
        "front/segmentation", level=Level.ERROR, message="rgb: silent; depth: silent", state="active"
    )
    lines = table([status(), bad])
    headings = "NODE LEVEL STATE IN /S OUT /S LATENCY P50 P95 MS GAP MS DROPPED UNPAIRED DEVICE MIB"
    assert " ".join(lines[0].split()) == headings
    row = "robot/segmentation OK active 30.0 + 29.9 14.5 61.25 80.00 4.00 12 3 cpu fp32 410"
    assert " ".join(lines[1].split()) == row
    assert lines[2].split() == ["front/segmentation", "ERROR", "active", *["-"] * 9]
    assert lines[3:] == [
        "",
        "robot/segmentation: segmentation",
        "  stages, p50 in ms: queue 1.50, network 48.00",
        "",
        "front/segmentation: segmentation",
        "  ERROR: rgb: silent",
        "  ERROR: depth: silent",
    ]


def test_a_screen_has_colours_and_no_line_wider_than_it():
    bad = status(level=Level.WARN, message="word " * 40)
    lines = table([bad], colours=True, width=60)
    plain = [line.replace("\x1b[33m", "").replace("\x1b[0m", "") for line in lines]
    assert max(map(len, plain)) <= 60
    assert lines[1].count("\x1b[33mWARN\x1b[0m") == 1
    assert plain[5].startswith("  WARN: word word") and plain[6].startswith("    word")
    assert " ".join(plain[5:]).count("word") == 40


def test_a_node_cannot_write_escape_codes_to_the_terminal():
    assert "\x1b" not in "\n".join(table([status("a\x1b[2J", level=Level.WARN, message="b\x1b[31m")]))


def test_numbers_are_numbers_in_json():
    (data,) = as_json([status(state="active", rate="29.9", dropped="12", odd="nan")])
    assert data["values"] == {"state": "active", "rate": 29.9, "dropped": 12, "odd": "nan"}
    assert (data["node"], data["level"]) == ("robot/segmentation", "OK")


def test_only_nodes_of_this_software_are_shown_with_all_their_tasks():
    board = Board("asymfusion_ros")
    board.hear(status())
    board.hear(status(task="front camera", rate="3"))
    board.hear(status("motors", task="left", rate="3"))
    names = [one.name for one in board.statuses(1.0)]
    assert names == ["robot/segmentation: front camera", "robot/segmentation: segmentation"]


def test_a_node_that_is_not_heard_is_stale_and_later_gone():
    board = Board("asymfusion_ros")
    board.hear(status(heard=10.0))
    assert [(one.level, one.silent) for one in board.statuses(14.0)] == [(Level.OK, 4.0)]
    (stale,) = board.statuses(15.0)
    assert (stale.level, stale.message) == (Level.STALE, "nothing heard of it for 5 s (it was OK)")
    assert board.statuses(70.0) == []


def test_names_without_end_do_not_fill_the_memory():
    board = Board("asymfusion_ros")
    for i in range(300):
        board.hear(status(f"node_{i:03}", heard=float(i) / 1000))
    names = [one.node for one in board.statuses(1.0)]
    assert len(names) == 200 and names[0] == "node_100"


def test_where_no_node_is_heard_it_says_so(capsys, monkeypatch):
    pytest.importorskip("rclpy", reason="needs rclpy")
    pytest.importorskip("diagnostic_msgs", reason="needs diagnostic_msgs")
    monkeypatch.setenv("ROS_DOMAIN_ID", "99")
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "OFF")
    line = refused(capsys, "top", "--once", "--wait", "0.3")
    assert "no asymfusion node was heard on /diagnostics within 0.3 s" in line
    assert "ROS_DOMAIN_ID is 99" in line


def test_without_ros_it_names_what_is_missing(capsys, monkeypatch):
    monkeypatch.setattr("asymfusion_ros.cli.top.importlib.util.find_spec", lambda name: None)
    assert "rclpy is not there: source a distribution" in refused(capsys, "top", "--once")


@pytest.mark.parametrize("wait", ["0", "-1", "nan"])
def test_waiting_takes_some_time(capsys, wait):
    assert "--wait" in refused(capsys, "top", "--wait", wait)


def test_top_is_a_subcommand():
    assert "top" in cli.SUBCOMMANDS
