"""`asymfusion top`."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from asymfusion_ros.cli.top_table import as_json, table
from asymfusion_ros.errors import UserError
from asymfusion_ros.stream.board import Board, NodeStatus

if TYPE_CHECKING:
    from asymfusion_ros.ros.status_listener import StatusListener

EXAMPLES = """\
  asymfusion top
  asymfusion top --once
  asymfusion top --once --json | jq '.[].values.rate_out'
  ROS_DOMAIN_ID=7 asymfusion top --wait 20
"""
SOFTWARE = "asymfusion_ros"
REFRESH = 1.0  # seconds, as often as a node reports
CLEAR = "\x1b[H\x1b[2J"  # ANSI: cursor to the top left, then an empty screen


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of the subcommand."""
    parser.add_argument("--once", action="store_true", help="print one table and end")
    parser.add_argument("--json", action="store_true", help="print JSON instead: a list of statuses a line")
    parser.add_argument(
        "--wait",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="how long to wait for a first node before saying that there is none (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Shows every asymfusion node that publishes /diagnostics; the exit code. Raises UserError."""
    if not args.wait > 0:
        raise UserError(f"--wait {args.wait:g} must be above 0 seconds")
    for package in ("rclpy", "diagnostic_msgs"):
        if importlib.util.find_spec(package) is None:
            raise UserError(
                f"it needs ROS 2, and {package} is not there: source a distribution, or "
                "pip install 'asymfusion_ros[ros-wheels]'"
            )
    from asymfusion_ros.ros.status_listener import StatusListener

    board = Board(SOFTWARE)
    listener = StatusListener(board)
    try:
        return _once(args, board, listener) if args.once else _live(args, board, listener)
    except BrokenPipeError:  # `| head` has read enough; what Python flushes at its end goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    finally:
        listener.close()


def _once(args: argparse.Namespace, board: Board, listener: StatusListener) -> int:
    end = time.monotonic() + args.wait
    while not board.statuses(now := time.monotonic()):
        if now >= end:
            raise UserError(_nothing(args.wait))
        listener.listen(min(0.1, end - now))
    # Every node reports once a second: the others are heard meanwhile.
    listener.listen(1.5 * REFRESH)
    _print(board.statuses(time.monotonic()), args.json)
    return 0


def _live(args: argparse.Namespace, board: Board, listener: StatusListener) -> int:
    started = time.monotonic()
    screen = sys.stdout.isatty() and not args.json
    try:
        while True:
            listener.listen(REFRESH)
            now = time.monotonic()
            statuses = board.statuses(now)
            if screen:
                sys.stdout.write(CLEAR)
                print(f"asymfusion top  {time.strftime('%H:%M:%S')}  (Ctrl-C ends)\n")
            if statuses or args.json:
                _print(statuses, args.json, screen)
            elif screen and now - started < args.wait:
                print("listening ...", flush=True)
            elif now - started >= args.wait:
                print(_nothing(round(now - started)), flush=True)
    except KeyboardInterrupt:  # how it is meant to end
        return 0


def _print(statuses: Sequence[NodeStatus], as_data: bool, screen: bool = False) -> None:
    if as_data:
        print(json.dumps(as_json(statuses)), flush=True)
        return
    width = shutil.get_terminal_size().columns if screen else None
    print("\n".join(table(statuses, colours=screen, width=width)), flush=True)


def _nothing(seconds: float) -> str:
    domain = os.environ.get("ROS_DOMAIN_ID") or "0"
    return (
        f"no asymfusion node was heard on /diagnostics within {seconds:g} s: is one running (see `ros2 node "
        f"list`), in this domain (ROS_DOMAIN_ID is {domain}) and discovery range, where diagnostic_msgs is "
        "installed?"
    )
