"""The processes that torchrun started, on one machine or several: each scores its part of the frames."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch.distributed

from asymfusion_ros.errors import UserError
from asymfusion_training.evaluation.tally import Tallies, merged


@dataclass(frozen=True)
class Ranks:
    """This process among torchrun's; 0 of 1 without it. ``local``: its number on this machine."""

    rank: int = 0
    world: int = 1
    local: int = 0

    def share_out(self, names: Sequence[str], score: Callable[[Sequence[str]], Tallies]) -> Tallies | None:
        """``score`` of all names, of which each rank does its part; None on every rank but 0.

        A UserError of any rank is raised on rank 0.
        """
        if self.world == 1:
            return score(names)
        mine: Tallies | UserError
        try:
            mine = score(names[self.rank :: self.world])
        except UserError as error:
            mine = error
        parts: list[Tallies | UserError] | None = [{}] * self.world if self.rank == 0 else None
        torch.distributed.gather_object(mine, parts)
        if parts is None:
            return None
        whole = []
        for part in parts:
            if isinstance(part, UserError):
                raise part
            whole.append(part)
        return merged(whole)


@contextmanager
def torchrun_ranks() -> Iterator[Ranks]:
    """Joins the processes of torchrun, if it started this one."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield Ranks()
        return
    rank, world, local = (int(os.environ[key]) for key in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    # Counts travel over the CPU. Who is done first waits for the slowest, however long that takes.
    torch.distributed.init_process_group("gloo", timeout=timedelta(days=7))
    try:
        yield Ranks(rank, world, local)
    finally:
        torch.distributed.destroy_process_group()
