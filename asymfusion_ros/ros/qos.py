"""Quality of service: what the inputs ask of their publishers, and what the outputs offer.

A subscriber that asks for reliable delivery hears nothing of a best-effort publisher, and one that asks for
best effort loses large images for no reason. So an input starts best effort, which any publisher satisfies,
and becomes reliable as soon as every publisher of its topic offers that. Where all of them have left, it
stays as it is: images of theirs may still wait in its queue.
"""

from __future__ import annotations

from collections.abc import Iterable

from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy

# Slack for a third of a second in which the executor doesn't get to run.
INPUT_DEPTH = 10
OUTPUT_DEPTH = 2


def matching_reliability(offered: Iterable[ReliabilityPolicy]) -> ReliabilityPolicy:
    """The strongest reliability that every publisher satisfies, given what each of them offers."""
    offers = list(offered)
    if offers and all(offer == ReliabilityPolicy.RELIABLE for offer in offers):
        return ReliabilityPolicy.RELIABLE
    return ReliabilityPolicy.BEST_EFFORT


def input_profile(reliability: ReliabilityPolicy) -> QoSProfile:
    """What an image subscription asks of its publishers."""
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST,
        depth=INPUT_DEPTH,
        reliability=reliability,
        durability=DurabilityPolicy.VOLATILE,
    )


OUTPUT_PROFILE = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=OUTPUT_DEPTH,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.VOLATILE,
)

# Kept for whoever subscribes later: the label names are published once.
LATCHED_PROFILE = QoSProfile(
    history=HistoryPolicy.KEEP_LAST,
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)
