"""What a fusion needs to know, apart from the block that it is in."""

from __future__ import annotations

from dataclasses import dataclass

Route = tuple[int, int]


@dataclass(frozen=True)
class FusionConfig:
    """The exchange of features inside an encoder; NetworkConfig says what each setting means.

    method: a name in FUSIONS. route: (source, target) as indices of modalities, None where every one
    receives. dropout: inside a fusion that has one.
    stages, blocks: where it happens, see ``place``. Stages count from 1; ``skips`` are those whose output
    the decoder reads as a skip, ``coarsest`` is the last one.
    """

    method: str = "asymmetric"
    modalities: int = 2
    route: Route | None = None
    keep: float = 0.7
    variant: str = "paper"
    dropout: float = 0.5
    stages: tuple[int, ...] | None = None
    blocks: str = "last"
    skips: tuple[int, ...] = (1, 2, 3)
    coarsest: int = 4

    def place(self, stage: int, last: bool, fits: bool) -> int | None:
        """The stage that a block fuses in: the last block of its stage does, or with ``blocks="all"`` every
        one that fits. None for a block that doesn't.

        fits: the features have the same shape at both places, where the exchange begins and where what was
        exchanged is added. They have not where a stride or another width lies in between: in a bottleneck or
        an inverted residual with a stride, and in the first block of Xception65's exit flow. (The stride of a
        block of two 3 x 3 convolutions comes before both places, that of an Xception block after both.)
        """
        if self.stages is not None and stage not in self.stages:
            return None
        return stage if last or (self.blocks == "all" and fits) else None
