"""Frames come ten times as fast as the node can segment them, for as long as you like.

    make overload OVERLOAD_ARGS="--minutes 10"

Checked: the node's memory grows by less than 2 % after the warm-up; the latency of what is published stays
below three times that of an idle node; afterwards each of 20 single frames is answered.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from node_harness import distances, image, picture
from world import BEST_EFFORT, RELIABLE, Failed, World

GROWTH = 0.02
LATENCY = 3.0  # times that of the idle node
WARM_UP = 0.3  # share of the time
SINGLE = 20
HEIGHT, WIDTH = 480, 640


class Load:
    """A camera of 640x480 whose stamps are the time of sending."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._messages = {
            "rgb": image(picture(0, HEIGHT, WIDTH), "rgb8", 0),
            "depth": image(distances(0, HEIGHT, WIDTH), "16UC1", 0),
        }

    def send(self) -> int:
        """A frame of now; its stamp."""
        stamp = time.monotonic_ns()
        for name, message in self._messages.items():
            message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp, 10**9)
            self._world.publish(name, message)
        return stamp

    def single(self, seconds: float) -> float | None:
        """Latency of a frame that is sent alone; None where no mask comes within ``seconds``."""
        stamp = self.send()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._world.executor.spin_once(timeout_sec=0.05)
            for found, arrived in self._world.masks:
                if found == stamp:
                    return arrived - stamp / 1e9
        return None

    def flood(self, rate: float, seconds: float) -> tuple[list[float], list[float], int]:
        """Frames at ``rate``: the latencies of the masks, the node's memory each second, frames sent."""
        world, latencies, memory, sent = self._world, [], [], 0
        began = time.monotonic()
        world.masks.clear()
        while (passed := time.monotonic() - began) < seconds:
            self.send()
            sent += 1
            while (left := began + sent / rate - time.monotonic()) > 0:
                world.executor.spin_once(timeout_sec=left)
            world.executor.spin_once(timeout_sec=0)
            latencies += [arrived - stamp / 1e9 for stamp, arrived in world.masks]
            world.masks.clear()
            if passed > len(memory):
                memory.append(world.node.memory())
        return latencies, memory, sent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--factor", type=float, default=10.0, help="frames sent for one segmented")
    parser.add_argument("--patience", type=float, default=1.0, help="factor on every limit of time")
    parser.add_argument("--qos", choices=["reliable", "best-effort"], default="best-effort")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="asymfusion_overload_"))
    world = World(folder, given.patience)
    world.checkpoint = "default"
    try:
        wrong = overload(world, given)
    except Failed as error:
        wrong = [str(error)]
    finally:
        world.close()
        shutil.rmtree(folder)
    for line in wrong:
        print(f"FAILED    {line}")
    return 1 if wrong else 0


def overload(world: World, given: argparse.Namespace) -> list[str]:
    """What was wrong, a line each."""
    qos = RELIABLE if given.qos == "reliable" else BEST_EFFORT
    world.start()
    world.plug_in(qos=qos)
    world.matched()
    load = Load(world)
    while load.single(2.0 * given.patience) is None:
        pass
    idle = statistics.median(load.single(10.0 * given.patience) or 10.0 for _ in range(SINGLE))
    rate = given.factor / idle
    seconds = 60 * given.minutes
    print(f"idle: {1000 * idle:.0f} ms; now {rate:.0f} frames a second for {seconds:.0f} s", flush=True)
    latencies, memory, sent = load.flood(rate, seconds)
    if not latencies or not memory:
        return ["no mask at all"]
    settled = memory[int(WARM_UP * len(memory)) :]
    part = max(1, len(settled) // 4)
    before, after = statistics.median(settled[:part]), statistics.median(settled[-part:])
    latency = statistics.median(latencies)
    p95 = sorted(latencies)[int(0.95 * len(latencies))]
    print(
        f"sent {sent} ({sent / seconds:.0f} a second), masks {len(latencies)}; latency "
        f"{1000 * latency:.0f} ms (p95 {1000 * p95:.0f} ms), {latency / idle:.1f} times idle; "
        f"memory {before:.0f} MiB, then "
        f"{after:.0f} MiB ({100 * (after / before - 1):+.1f} %)",
        flush=True,
    )
    world.spin(2.0)
    again = answered(load, given.patience)
    # Publishers made anew, as of a driver that restarts.
    world.unplug()
    world.plug_in(qos=qos)
    world.matched()
    world.spin(1.0)
    anew = answered(load, given.patience)
    print(f"single frames answered afterwards: {again} of {SINGLE}; of new publishers: {anew} of {SINGLE}")
    checks = {
        f"memory grew by {100 * (after / before - 1):.1f} %": after < (1 + GROWTH) * before,
        f"latency is {latency / idle:.1f} times the idle node's": latency < LATENCY * idle,
        f"{again} of {SINGLE} single frames were answered": again == SINGLE,
        f"{anew} of {SINGLE} single frames of new publishers were answered": anew == SINGLE,
    }
    return [line for line, good in checks.items() if not good]


def answered(load: Load, patience: float) -> int:
    """How many of SINGLE frames give a mask."""
    return sum(load.single(2.0 * patience) is not None for _ in range(SINGLE))


if __name__ == "__main__":
    sys.exit(main())
