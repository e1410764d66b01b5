"""Does the node survive? Some two hundred kinds of faults on real DDS, with the node in a process of its own.

    make faults                                          all; exit code 1 where one failed
    make faults FAULTS_ARGS="--only clock camera"          those whose name has one of the words
    make faults FAULTS_ARGS="--patience 4"                 on a machine that is busy with other things
    make faults FAULTS_ARGS="--table docs/reliability.md"  with --only: those rows, the others stay

After each fault the next good frame must give a mask within LIMIT seconds, and where the node had to say
something, its log or /diagnostics must have it.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
from lifecycle_msgs.msg import Transition
from malformed import MALFORMED, SETTINGS, Malformed
from node_harness import distances
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from senders import make_rvl
from sensor_msgs.msg import CompressedImage, Image
from small_memory import full, measured_inside
from world import (
    BEST_EFFORT,
    DOMAIN,
    FRAME,
    MODALITIES,
    RELIABLE,
    SECOND,
    Failed,
    Skipped,
    World,
    image,
    made,
)

from asymfusion_ros.data.topics import image_topic

LIMIT = 2.0  # seconds from the next good frame to its mask
LATCHED = QoSProfile(
    depth=5, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)
MS = SECOND // 1000


@dataclass(frozen=True)
class Fault:
    """``run(world)`` does it, and may return the seconds to the next mask where it measures them itself.
    says: what the log or /diagnostics must have. settings: of the node. shared_memory: the MiB of a /dev/shm
    for this fault alone; 0: the machine's own.
    """

    name: str
    run: Callable[[World], float | None]
    says: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    shared_memory: int = 0


# Messages


def malformed(one: Malformed, world: World) -> None:
    """With a good partner, so that what is only found out later is tried too."""
    stamp = world.tick()
    for name in MODALITIES:
        world.publish(name, (one if name == one.modality else world.senders[name]).make(stamp))
    world.spin(0.1)


def burst(world: World) -> None:
    for _ in range(200):
        world.send_frame()


def sizes(world: World) -> None:
    """Depth of another size with each frame."""
    for k in range(60):
        stamp = world.tick()
        world.publish("rgb", made("rgb", stamp))
        world.publish("depth", image(distances(0, 48 + 8 * (k % 40), 64), "16UC1", stamp))
        world.spin(0.03)
    lines = len(re.findall("is resized to", world.log()))
    if lines > 3:
        raise Failed(f"{lines} lines in the log about 60 frames")


def resolution(makers: dict[str, Callable[..., Any]], world: World) -> None:
    """``makers``: of modalities that are sent otherwise than the world's cameras do."""
    for height in (96, 24):
        stamp = world.tick()
        for name in MODALITIES:
            make = makers.get(name, world.senders[name].make)
            world.publish(name, make(stamp, 1, height, 2 * height))
        world.until(lambda: any(s == stamp for s, _ in world.masks), LIMIT, "a mask of the new size")  # noqa: B023


def twice(world: World) -> None:
    for _ in range(10):
        stamp = world.tick()
        world.send_frame(stamp)
        world.send_frame(stamp)
        world.spin(FRAME)


def disorder(world: World) -> None:
    """Every second frame comes after the next one. What is published must not go back."""
    for _ in range(10):
        first, second = world.tick(), world.tick()
        world.send_frame(second)
        world.send_frame(first)
        world.spin(2 * FRAME)
    stamps = [stamp for stamp, _ in world.masks]
    if stamps != sorted(stamps):
        raise Failed("masks went back in time")


# Cameras


def restarted(before: QoSProfile, after: QoSProfile, world: World) -> None:
    world.plug_in(qos=before)
    world.matched()
    world.stream(0.5)
    world.unplug()
    world.spin(0.3)
    world.plug_in(qos=after)
    world.matched()


def gone(names: tuple[str, ...], seconds: float, world: World) -> None:
    """The others go on; masks must come meanwhile where ``missing_after`` lets them."""
    rest = [name for name in MODALITIES if name not in names]
    world.stream(0.3)
    world.unplug(*names)
    world.spin(0.2)
    world.masks.clear()
    world.stream(seconds, rest)
    if rest and world.settings.get("missing_after") and len(world.masks) < 5:
        raise Failed(f"{len(world.masks)} masks of {rest[0]} alone")
    world.plug_in(*names)
    world.matched()


def killed(before: dict[str, str], after: dict[str, str], world: World) -> float:
    """A camera process is killed, and another comes; seconds from its first frame to the next mask."""
    world.unplug()
    world.spin(0.2)
    for options in (before, after):
        camera = world.camera_process(*MODALITIES, start=world.tick(10 * SECOND) // SECOND, **options)
        try:
            world.until(lambda: "first " in camera.log, 60, "the camera's start")  # noqa: B023
            first = float(re.search(r"first (\S+)", camera.log).group(1))
            came: list[float] = []

            def mask_came(first: float = first, came: list[float] = came) -> bool:
                came[:] = [at for stamp, at in world.masks if stamp >= world.stamp - SECOND and at > first]
                return bool(came)

            world.until(mask_came, 20, "a mask of the camera process")
            world.spin(0.5)
        finally:
            camera.end()
    world.stamp += 100 * SECOND
    world.plug_in()
    world.matched()
    return came[0] - first


def frozen_camera(world: World) -> None:
    world.unplug()
    camera = world.camera_process(*MODALITIES, start=world.tick(10 * SECOND) // SECOND)
    try:
        world.until(lambda: "first " in camera.log, 60, "the camera's start")
        world.masks.clear()
        world.until(lambda: world.masks, 20, "a mask of the camera process")
        camera.send(signal.SIGSTOP)
        world.spin(3.5)
        world.masks.clear()
        camera.send(signal.SIGCONT)
        world.until(lambda: world.masks, LIMIT, "a mask after SIGCONT")
    finally:
        camera.end()
    world.stamp += 100 * SECOND
    world.plug_in()
    world.matched()


def other_type(world: World) -> None:
    """Another node publishes CompressedImage on the depth topic."""
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    other = rclpy.create_node("compressing", namespace=world.namespace, context=context)
    publisher = other.create_publisher(CompressedImage, image_topic("depth"), RELIABLE)
    for _ in range(5):
        publisher.publish(CompressedImage(format="jpeg", data=b"\xff\xd8"))
        world.stream(0.1)
    other.destroy_node()
    rclpy.try_shutdown(context=context)


# Time


def jump(seconds: float, names: tuple[str, ...], world: World) -> None:
    """Stamps of ``names`` jump; those of the others follow half a second later."""
    world.stream(0.3)
    offset = round(seconds * SECOND)
    for k in range(30):
        stamp = world.tick()
        for name in MODALITIES:
            world.publish(name, made(name, stamp + offset if name in names or k > 15 else stamp))
        world.spin(FRAME)
    world.stamp += offset


def looped(world: World) -> None:
    for _ in range(3):
        begin = world.stamp
        world.stream(1.0)
        world.stamp = begin


def skewed(world: World) -> None:
    """Clocks 550 ms apart. With missing_after the first camera's masks go on."""
    for _ in range(60):
        stamp = world.tick()
        world.publish("rgb", made("rgb", stamp))
        world.publish("depth", made("depth", stamp + 550 * MS))
        world.spin(FRAME)
    if world.settings.get("missing_after") and len(world.masks) < 20:
        raise Failed(f"{len(world.masks)} masks of 60")
    world.stamp += SECOND


def late(world: World) -> None:
    """Equal stamps, depth half a second later."""
    frames = [world.tick() for _ in range(90)]
    for k in range(len(frames) + 15):
        if k < len(frames):
            world.publish("rgb", made("rgb", frames[k]))
        if k >= 15:
            world.publish("depth", made("depth", frames[k - 15]))
        world.spin(FRAME)
    if len(world.masks) < 45:
        raise Failed(f"{len(world.masks)} masks of 90")


def slow(world: World) -> None:
    """1 Hz, with missing_after = 0.5 s: depth must be used all the same."""
    for _ in range(4):
        stamp = world.tick(SECOND)
        world.publish("rgb", made("rgb", stamp))
        world.spin(0.05)
        world.publish("depth", made("depth", stamp))
        world.spin(0.95)
    if "going on with only" in world.log():
        raise Failed("depth was left out")


def sim_time(value: bool) -> Parameter:
    return parameter("use_sim_time", ParameterType.PARAMETER_BOOL, bool_value=value)


def clock(steps: list[float], world: World) -> None:
    """/clock shows ``steps`` one after another, and then nothing more for two seconds."""
    publisher = world.client.create_publisher(Clock, "/clock", 10)
    world.set_parameters(sim_time(True))
    for step in steps:
        nanoseconds = round(step * SECOND)
        publisher.publish(Clock(clock=Time(sec=nanoseconds // SECOND, nanosec=nanoseconds % SECOND)))
        world.stream(0.1)
    world.stream(2.0)
    if not world.masks:
        raise Failed("no masks while the clock stood still")
    world.recovery(LIMIT * world.patience)
    world.spin(1.0)
    world.client.destroy_publisher(publisher)
    world.set_parameters(sim_time(False))


# Requests


def parameter(name: str, kind: int, **value: Any) -> Parameter:
    return Parameter(name=name, value=ParameterValue(type=kind, **value))


def unknown_type(kind: int, atomically: bool, world: World) -> None:
    """Nothing can answer it: rclpy raises. It must not end the node."""
    world.set_parameters(parameter("slop", kind), atomically=atomically, answered=False)


def refused(name: str, kind: int, value: dict[str, Any], world: World) -> None:
    answer = world.set_parameters(parameter(name, kind, **value))
    if any(result.successful for result in answer.results):
        raise Failed("it was accepted")


def lifecycle_rounds(rounds: int, world: World) -> None:
    """Deactivated, cleaned up, configured and activated under load; every second round cleans up."""
    for k in range(rounds):
        steps = [Transition.TRANSITION_DEACTIVATE]
        if k % 2:
            steps += [Transition.TRANSITION_CLEANUP, Transition.TRANSITION_CONFIGURE]
        for step in [*steps, Transition.TRANSITION_ACTIVATE]:
            world.send_frame()
            if not world.change(step):
                raise Failed(f"transition {step} of round {k} failed")
    world.matched()


def wrong_transitions(world: World) -> None:
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE, 255):
        if world.change(transition):
            raise Failed(f"transition {transition} of an active node was accepted")


def checkpoint(contents: bytes | None, world: World) -> None:
    """The file is replaced while the node runs; what it has loaded goes on, and the new one is refused."""
    good = world.checkpoint.read_bytes()
    try:
        if contents is None:
            world.checkpoint.unlink()
        else:
            world.checkpoint.write_bytes(contents)
        world.recovery(LIMIT * world.patience)
        world.change(Transition.TRANSITION_DEACTIVATE)
        world.change(Transition.TRANSITION_CLEANUP)
        if world.change(Transition.TRANSITION_CONFIGURE):
            raise Failed("junk was accepted")
    finally:
        world.checkpoint.write_bytes(good)
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        if not world.change(transition):
            raise Failed(f"transition {transition} failed with the good file back")
    world.matched()


# Processes and listeners


def ended(number: int, code: int | None, world: World) -> None:
    """The node is ended under load, and started again."""
    world.stream(0.5)
    assert world.node is not None
    got = world.node.end(number)
    if code is not None and got != code:
        raise Failed(f"exit code {got}")
    world.start(**world.settings)
    world.matched()


def stopped(world: World) -> None:
    """The node doesn't get to run for three seconds (SIGSTOP)."""
    assert world.node is not None
    world.node.send(signal.SIGSTOP)
    world.stream(3.0)
    world.node.send(signal.SIGCONT)


TINY, ROOMY = 8, 256  # MiB of shared memory: not enough for one process, enough for three


def started_anew(world: World) -> None:
    assert world.node is not None
    world.node.end(signal.SIGTERM)  # which takes its own segment away
    world.start(**world.settings)
    world.matched()


def started_full(world: World) -> float:
    """The seconds to the next mask while /dev/shm is full."""
    assert world.node is not None
    world.node.end(signal.SIGTERM)
    with full(ROOMY):
        world.start(**world.settings)
        world.matched()
        return world.recovery(10 * world.patience)


def filled(world: World) -> float:
    """Masks must go on, and another camera's must come; the seconds to its first one."""
    world.stream(0.5)
    with full(ROOMY):
        world.masks.clear()
        world.stream(2.0)
        if len(world.masks) < 10:
            raise Failed(f"{len(world.masks)} masks in 2 s after /dev/shm was full")
        reliable = {"reliability": "RELIABLE"}
        return killed(reliable, reliable, world)


def subscribers(count: int, world: World) -> None:
    """``count`` subscribers of the mask, one of which never reads. Those that read must get masks."""
    got = [0] * count
    nodes = [world.client.create_subscription(Image, "segmentation/mask", lambda m, k=k: got.__setitem__(k, got[k] + 1), RELIABLE) for k in range(count - 1)]  # noqa: E501  # fmt: skip
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=DOMAIN)
    slow_node = rclpy.create_node("slow", namespace=world.namespace, context=context)
    slow_node.create_subscription(Image, "segmentation/mask", print, QoSProfile(depth=1))
    world.stream(3.0, rate=15)
    served = sum(number > 5 for number in got)
    slow_node.destroy_node()
    rclpy.try_shutdown(context=context)
    for one in nodes:
        world.client.destroy_subscription(one)
    if served < count - 1:
        raise Failed(f"{served} of {count - 1} subscribers were served: {got}")


def kinds() -> Iterator[Fault]:
    """All of them, grouped by the node's settings: it is started anew where they change."""
    for transport, messages in MALFORMED.items():
        for one in messages():
            run = partial(malformed, one)
            yield Fault(f"message, {transport}, {one.name}", run, one.says, SETTINGS[transport])
        makers: dict[str, dict[str, Any]] = {"": {}}
        if transport == "compressedDepth":
            makers = {"png: ": {}, "rvl: ": {"depth": make_rvl}}
        for codec, make in makers.items() if transport != "raw" else ():
            name = f"message, {transport}, {codec}resolution changed midway"
            yield Fault(name, partial(resolution, make), "", SETTINGS[transport])
    yield Fault("message, 200 frames at once", burst)
    yield Fault("message, depth of another size with each frame", sizes, "is resized to")
    yield Fault("message, resolution changed midway", partial(resolution, {}))
    yield Fault("message, each frame sent twice", twice)
    yield Fault("message, frames out of order", disorder)

    for name, atomically in (("SetParameters", False), ("set_parameters_atomically", True)):
        for kind in (77, 99):
            run = partial(unknown_type, kind, atomically)
            # The others come so soon that their lines are held back.
            says = "" if atomically or kind == 99 else "not handled"
            yield Fault(f"request, {name} with type {kind}", run, says)
    double, text = ParameterType.PARAMETER_DOUBLE, ParameterType.PARAMETER_STRING
    yield Fault("request, slop = -1", partial(refused, "slop", double, {"double_value": -1.0}))
    yield Fault("request, slop = abc", partial(refused, "slop", text, {"string_value": "abc"}))
    yield Fault("request, a transition that does not apply", wrong_transitions)

    profiles = {"reliable": RELIABLE, "best effort": BEST_EFFORT, "transient local": LATCHED}
    for before, after in (
        ("reliable", "best effort"),
        ("best effort", "reliable"),
        ("reliable", "transient local"),
        ("transient local", "best effort"),
    ):
        run = partial(restarted, profiles[before], profiles[after])
        yield Fault(f"camera, {before}, restarted {after}", run)
    reliable, best = {"reliability": "RELIABLE"}, {"reliability": "BEST_EFFORT"}
    latched = {"durability": "TRANSIENT_LOCAL"}
    for name, one, other in (
        ("reliable, back best effort", reliable, best),
        ("best effort, back reliable", best, reliable),
        ("reliable, back transient local", reliable, latched),
        ("best effort, back the same", best, best),
    ):
        yield Fault(f"camera, killed, {name}", partial(killed, one, other))
    yield Fault("camera, frozen for 3.5 s", frozen_camera, "silent for")
    yield Fault("camera, another type on its topic", other_type)
    for names in (("rgb",), ("depth",), MODALITIES):
        yield Fault(f"camera, {' and '.join(names)} gone and back", partial(gone, names, 3.7), "silent for")

    yield Fault("time, all stamps an hour back", partial(jump, -3600, MODALITIES), "went back in time")
    yield Fault("time, all stamps an hour ahead", partial(jump, 3600, MODALITIES), "jumped ahead")
    yield Fault("time, rgb's stamps back, then depth's", partial(jump, -60, ("rgb",)), "went back in time")
    yield Fault("time, depth's stamps ahead, then rgb's", partial(jump, 60, ("depth",)), "jumped ahead")
    yield Fault("time, a recording of one second loops three times", looped, "went back in time")
    yield Fault("time, clocks 550 ms apart", skewed, "none pair|nearly the same stamp")
    yield Fault("time, depth arrives half a second late", late, "with the same stamp")
    yield Fault("time, /clock absent", partial(clock, []), "nothing has come on /clock")
    yield Fault("time, /clock paused", partial(clock, [10, 10.1, 10.2]), "has stood still at 10.200 s")
    yield Fault("time, /clock goes back", partial(clock, [100, 50]), "/clock jumped by -50 s")
    yield Fault("time, /clock leaps ahead", partial(clock, [100, 3700]), r"/clock jumped by \+3.6e\+03 s")

    yield Fault("listeners, 20 subscribers of which one is slow", partial(subscribers, 20))
    yield Fault("lifecycle, 50 rounds under load", partial(lifecycle_rounds, 50))
    yield Fault("checkpoint, replaced by junk", partial(checkpoint, b"junk" * 1000), "checkpoint")
    yield Fault("checkpoint, replaced by an empty file", partial(checkpoint, b""), "checkpoint")
    yield Fault("checkpoint, deleted", partial(checkpoint, None), "does not exist")
    yield Fault("process, stopped for 3 s (SIGSTOP)", stopped)
    for number, code in ((signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGKILL, None)):
        yield Fault(f"process, {number.name} and started again", partial(ended, number, code))
    no_room = "Unable to Register SHM Transport"
    yield Fault(f"shared memory, /dev/shm of {TINY} MiB", started_anew, no_room, {}, TINY)
    yield Fault("shared memory, full when the node starts", started_full, no_room, {}, ROOMY)
    yield Fault("shared memory, fills up, and another camera comes", filled, "", {}, ROOMY)

    missing = {"missing_after": 0.5}
    for names in (("rgb",), ("depth",), MODALITIES):
        run = partial(gone, names, 2.0)
        says = "going on with only" if len(names) == 1 else ""
        yield Fault(f"missing_after, {' and '.join(names)} gone and back", run, says, missing)
    yield Fault("missing_after, clocks 550 ms apart", skewed, "none of its images has paired", missing)
    yield Fault("missing_after, images at 1 Hz", slow, "missing_after = 0.5 s is shorter", missing)


def measure(fault: Fault, world: World, limit: float) -> float:
    """Seconds to the next mask. Raises Failed."""
    world.start(**fault.settings)
    if set(world.cameras) != set(MODALITIES):
        world.plug_in()
    world.matched()
    world.recovery(10 * world.patience)
    world.mark()
    taken = fault.run(world)
    found = world.recovery(limit)
    if taken is not None:
        if taken > limit:
            raise Failed(f"{taken:.1f} s to the next mask")
        found = taken

    def said() -> bool:
        return bool(re.search(fault.says, world.log() + "\n".join(world.faults)))

    world.until(said, 3.0, f"{fault.says!r} in the log or /diagnostics")
    if any(len(line) > 5000 for line in world.log().splitlines()):
        raise Failed("a line of more than 5000 characters in the log")
    return found


@dataclass(frozen=True)
class Result:
    """seconds: to the next mask; None where there was none. why: what went wrong, or why it was skipped."""

    fault: Fault
    seconds: float | None
    why: str = ""
    skipped: bool = False

    @property
    def failed(self) -> bool:
        return self.seconds is None and not self.skipped


def run(faults: list[Fault], patience: float, inside: bool = False) -> list[Result]:
    """inside: whether this process has the small /dev/shm that the faults ask for."""
    folder = Path(tempfile.mkdtemp(prefix="asymfusion_faults_"))
    world = World(folder, patience)
    results: list[Result] = []
    try:
        for fault in faults:
            began = time.monotonic()
            try:
                if fault.shared_memory and not inside:
                    seconds = measured_inside(fault.name, fault.shared_memory, patience)
                else:
                    seconds = measure(fault, world, LIMIT * patience)
                results.append(Result(fault, seconds))
                print(f"{seconds:6.2f} s  {fault.name}  ({time.monotonic() - began:.0f} s)", flush=True)
            except Skipped as error:
                results.append(Result(fault, None, str(error), skipped=True))
                print(f"skipped   {fault.name}: {error}", flush=True)
            except Failed as error:
                results.append(Result(fault, None, str(error)))
                print(f"FAILED    {fault.name}: {error}", flush=True)
                if world.node is not None:
                    print("  | " + "\n  | ".join(world.log()[-1500:].splitlines()), flush=True)
                world.stop()
                world.unplug()
    finally:
        world.close()
        shutil.rmtree(folder)
    return results


ROW = re.compile(r"\| (?P<name>.*?) \| (?P<time>.*?) \|.*")


def rows(results: list[Result]) -> dict[str, str]:
    """The table's rows by the names of their faults."""
    found = {}
    for one in results:
        said = one.fault.says.replace("\\", "").replace("|", " or ")
        if one.seconds is not None:
            time_to_mask = f"{one.seconds:.2f} s"
        else:
            time_to_mask = f"skipped: {one.why}" if one.skipped else f"**{one.why}**"
        found[one.fault.name] = f"| {one.fault.name} | {time_to_mask} | {said} |"
    return found


def write_table(path: Path, results: list[Result]) -> None:
    """In place of the rows that the file has of these faults; those of others stay, all in the order of
    ``kinds``. A row that was measured stays where its fault was skipped now."""
    before = path.read_text()
    pattern = re.compile(r"(<!-- faults: made by make faults -->\n).*?(<!-- end of faults -->)", re.DOTALL)
    place = pattern.search(before)
    if place is None:
        raise SystemExit(f"{path} has no place for the table: {pattern.pattern}")
    kept = {found["name"]: found[0] for found in map(ROW.fullmatch, place[0].splitlines()) if found}
    skipped = {one.fault.name for one in results if one.skipped}
    new = {name: row for name, row in rows(results).items() if not (name in skipped and name in kept)}
    lines = [kept.get("fault", "| fault | next mask | the node says |"), "|---|---|---|"]
    lines += [row for one in kinds() if (row := (kept | new).get(one.name)) is not None]
    text = "".join(f"{line}\n" for line in lines)
    path.write_text(before[: place.end(1)] + text + before[place.start(2) :])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD")
    parser.add_argument("--patience", type=float, default=1.0, help="factor on every limit of time")
    parser.add_argument("--table", type=Path, help="write the rows into the table of this file")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)  # what small_memory.py calls
    given = parser.parse_args()
    faults = [one for one in kinds() if not given.only or any(word in one.name for word in given.only)]
    results = run(faults, given.patience, given.inside is not None)
    if given.inside:
        (one,) = results
        given.inside.write_text(json.dumps([one.why, one.seconds]))
    failed, skipped = sum(one.failed for one in results), sum(one.skipped for one in results)
    print(f"{len(results)} faults, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    if given.table:
        write_table(given.table, results)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
