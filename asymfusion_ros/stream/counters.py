"""What became of the images: the numbers that the node keeps, publishes and logs at its end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Counters:
    """Images and frames of one camera since the node was made. Each field is written by one thread.

    received: images by modality. rejected: images refused for their encoding, size or stamp. paired: frames
    with an image of every modality. incomplete: frames without a modality that was missing. dropped: frames
    that gave way to a newer one before their turn came. skipped: frames left out by max_rate, or while the
    node was disabled. unsubscribed: frames not segmented because no output had a subscriber. failed: frames
    that could not be segmented. segmented: frames whose outputs were published. framed:
    images that became part of a frame. published: messages by output. done: what ``segmented`` is called.
    """

    received: dict[str, int] = field(default_factory=dict)
    rejected: int = 0
    paired: int = 0
    incomplete: int = 0
    dropped: int = 0
    unsubscribed: int = 0
    failed: int = 0
    segmented: int = 0
    framed: int = 0
    skipped: int = 0
    published: dict[str, int] = field(default_factory=dict)
    done: str = "segmented"

    def expect(self, modalities: Iterable[str]) -> None:
        """Counts images of these modalities from now on, and keeps what was counted before."""
        self.received = {name: self.received.get(name, 0) for name in (*self.received, *modalities)}

    @property
    def unpaired(self) -> int:
        """Usable images without a partner, those that may still get one included."""
        return max(0, sum(self.received.values()) - self.rejected - self.framed)

    def to_dict(self) -> dict[str, int]:
        """Every number under a name of its own: ``received_rgb``, ``rejected``, ..., ``published_mask``."""
        numbers = {f"received_{name}": count for name, count in self.received.items()}
        called = {"segmented": self.done}
        numbers |= {called.get(name, name): n for name, n in vars(self).items() if isinstance(n, int)}
        # Copied, because the thread that segments may add an output meanwhile.
        published = {f"published_{name}": count for name, count in dict(self.published).items()}
        return numbers | {"unpaired": self.unpaired} | published

    def summary(self) -> str:
        """One line for the log."""
        received = " and ".join(f"{count} {name}" for name, count in self.received.items()) or "no"
        return (
            f"received {received} images, rejected {self.rejected}, paired {self.paired}, "
            f"incomplete {self.incomplete}, {self.done} {self.segmented}, dropped for a newer frame "
            f"{self.dropped}, skipped {self.skipped}, without a subscriber {self.unsubscribed}, "
            f"failed {self.failed}"
        )
