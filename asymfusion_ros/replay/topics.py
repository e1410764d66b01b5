"""Which of a bag's topics is which modality's."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from asymfusion_ros.data.modality import Modality
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.recordings.bag import COMPRESSED, RAW, ImageTopic, choose_topic, describe_topic
from asymfusion_ros.recordings.bag_file import BagFile, BagTopic
from asymfusion_ros.replay.notes import Notes

DISPARITY = "stereo_msgs/msg/DisparityImage"
IMAGE_TYPES = (RAW, COMPRESSED, DISPARITY)
SUFFIXES = ("/compressedDepth", "/compressed")


def option_of(modality: str) -> str:
    """The option of the command line that names its topic."""
    return f"--{modality} " if modality in ("rgb", "depth") else f"--topic {modality}="


def choose_topics(
    bag: BagFile,
    modalities: Sequence[Modality],
    given: Mapping[str, str],
    labels: str | None,
    notes: Notes,
) -> dict[str, BagTopic]:
    """A topic for each modality that the bag has one of: the given one, or a guess that ``notes`` gets.

    Raises ConfigError, listing the bag's topics with their types, for a name that is none, and where nothing
    fits at all; and where several fit equally well.
    """
    for name, wanted in given.items():
        _check(bag, option_of(name), wanted)
    if labels is not None:
        _check(bag, "--labels ", labels)
    taken = {*given.values(), labels}
    described = [
        describe_topic(bag, topic)
        for topic in bag.topics.values()
        if topic.msgtype in (RAW, COMPRESSED) and topic.name not in taken
    ]
    found: dict[str, BagTopic] = {}
    for modality in modalities:
        name = given.get(modality.name) or _guess(bag, modality, described) or ""
        if not name:
            option = option_of(modality.name)
            notes(f"no topic of {modality.name} in {bag.path}: going on without ({option}TOPIC names one)")
            continue
        topic = found[modality.name] = bag.topics[name]
        if modality.name not in given:
            count = f"{topic.messages} message{'' if topic.messages == 1 else 's'}"
            notes(
                f"{modality.name}: {name} ({topic.msgtype}, {count}), guessed; {option_of(modality.name)}"
                "TOPIC takes another"
            )
    if not found:
        names = " or ".join(modality.name for modality in modalities)
        raise ConfigError(f"{bag.path} has no topic of {names}; it has {listing(bag)}")
    return found


def listing(bag: BagFile) -> str:
    """The topics that may be images, or where there is none all, with their types."""
    images = [topic for topic in bag.topics.values() if topic.msgtype in IMAGE_TYPES]
    found = images or list(bag.topics.values())
    return "; ".join(f"{topic.name} ({topic.msgtype}, {topic.messages})" for topic in found) or "none"


def without_suffix(topic: str) -> str:
    """The image topic that a transport's topic belongs to."""
    return next((topic.removesuffix(suffix) for suffix in SUFFIXES if topic.endswith(suffix)), topic)


def _check(bag: BagFile, option: str, topic: str) -> None:
    found = bag.topics.get(topic)
    if found is None:
        raise ConfigError(f"{option}{topic}: {bag.path} has no such topic; it has {listing(bag)}")
    if found.msgtype not in IMAGE_TYPES:
        raise ConfigError(f"{option}{topic} is {found.msgtype}, no images; {bag.path} has {listing(bag)}")


def _guess(bag: BagFile, modality: Modality, topics: list[ImageTopic]) -> str | None:
    if modality.name in ("rgb", "depth"):
        if any(topic.modality == modality.name for topic in topics):
            return choose_topic(topics, modality.name, None, f"{option_of(modality.name)}TOPIC").name
        disparities = [topic.name for topic in bag.topics.values() if topic.msgtype == DISPARITY]
        return disparities[0] if modality.kind == "range" and len(disparities) == 1 else None
    named = [topic.name for topic in topics if modality.name in re.split(r"[^a-z0-9]+", topic.name.lower())]
    if len(named) > 1:
        raise ConfigError(f"{option_of(modality.name)}TOPIC is needed: {', '.join(named)} fit equally well")
    return named[0] if named else None
