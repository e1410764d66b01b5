"""What is wrong with a camera's streams, in words: for the log and for /diagnostics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from asymfusion_ros.ros.inputs.subscription import ImageInput
from asymfusion_ros.stream.health import StreamHealth
from asymfusion_ros.stream.lateness import MOST_BYTES, Late, Lateness

RECENT = 5.0  # seconds for which a thing of a moment (a jump, an image that was skipped) counts as a fault


def stream_faults(
    inputs: Mapping[str, ImageInput], health: StreamHealth, lateness: Lateness, slop: float, now: float
) -> dict[str, str]:
    """A line for each fault, by a key: the modality of a topic that is silent; else "<modality> rejected",
    "<modality> jump", "late", "pairing" or "missing_after".
    """
    found: dict[str, str] = {}
    silent = health.silent(now)
    for name, source in inputs.items():
        topic = health.topics[name]
        if name in silent:
            quiet = topic.silence(now)
            found[name] = f"{source.topic}: silent for {quiet:.0f} s: {source.advice()}"
        if topic.last_refusal and now - topic.last_refusal[0] < RECENT:
            found[f"{name} rejected"] = f"{source.topic}: image skipped: {topic.last_refusal[1]}"
        if topic.last_jump and now - topic.last_jump[0] < RECENT:
            found[f"{name} jump"] = jump_line(source.topic, topic.last_jump[1])
    late, offset = lateness.report(now), health.unpaired_offset(now)
    if late is not None:
        found["late"] = late_line(inputs[late.name].topic, inputs[late.partner].topic, late, lateness)
    elif offset is not None:
        found["pairing"] = _unpaired_line([inputs[name].topic for name in health.present(now)], slop, offset)
    for name, period in health.slow().items():
        found["missing_after"] = (
            f"missing_after = {health.missing_after:g} s is shorter than the {period:.2g} s between two "
            f"images of {inputs[name].topic}: frames without {name} come in between; set missing_after to "
            f"{2.5 * period:.2g} or more"
        )
    return found


def jump_line(topic: str, nanoseconds: int) -> str:
    """About stamps that went back (negative) or leapt ahead."""
    seconds = abs(nanoseconds) / 1e9
    if nanoseconds > 0:
        return f"{topic}: stamps jumped ahead by {seconds:.3g} s (a clock that was set?)"
    return (
        f"{topic}: stamps went back in time by {seconds:.3g} s (a recording that loops, or a driver that "
        "restarted?): what waited for a partner is forgotten"
    )


def late_line(topic: str, partner: str, late: Late, lateness: Lateness) -> str:
    """About images that come too long after those that they belong to."""
    line = f"{topic}: images come {late.seconds:.2g} s after those of {partner} with "
    if not late.equal:
        return line + (
            f"nearly the same stamp: give both cameras the same clock, or, if the images are late and the "
            f"clocks agree, set queue_size to {late.place + 2} or more"
        )
    line += "the same stamp"
    if late.place <= lateness.queue_size:
        return line + (
            f": up to {lateness.queue_size} images of each topic wait for their partner from now on; set "
            f"queue_size to {lateness.queue_size} to begin so, or find out what delays them"
        )
    return line + (
        f", after {late.place} others: only {max(lateness.bound, lateness.queue_size)} may wait (in "
        f"{MOST_BYTES >> 20} MiB a topic): find out what delays them, or set queue_size to {late.place + 2}"
    )


def _unpaired_line(topics: Sequence[str], slop: float, offset: int) -> str:
    names = "both topics" if len(topics) == 2 else f"the topics {', '.join(topics)}"
    return (
        f"{names} send images but none pair within slop = {slop:g} s; the newest stamps are "
        f"{offset / 1e9:.3f} s apart: give all cameras the same clock; raise slop only if the images "
        "are taken that far apart"
    )
