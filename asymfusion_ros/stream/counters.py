"""What became of the images: the numbers that the node keeps and logs at its end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Counters:
    """Images and pairs since the node was made. Each field is written by one thread."""

    received_rgb: int = 0
    received_depth: int = 0
    rejected: int = 0  # images refused: encoding, size, stamp
    paired: int = 0
    alone: int = 0  # images segmented without the other modality, which was silent
    replaced: int = 0  # pairs dropped for a newer one before their turn came
    unwatched: int = 0  # pairs not segmented because nobody subscribed to any output
    failed: int = 0  # pairs that the engine refused
    segmented: int = 0

    def received(self, kind: str) -> None:
        """Counts an image of ``kind`` "rgb" or "depth"."""
        if kind == "rgb":
            self.received_rgb += 1
        else:
            self.received_depth += 1

    def summary(self) -> str:
        """One line for the log."""
        return (
            f"received {self.received_rgb} rgb and {self.received_depth} depth images, "
            f"rejected {self.rejected}, paired {self.paired}, without a partner {self.alone}, "
            f"segmented {self.segmented}, dropped for a newer pair {self.replaced}, "
            f"not asked for {self.unwatched}, failed {self.failed}"
        )
