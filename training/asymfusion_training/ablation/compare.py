"""What the rows' outcomes say about the orderings that the paper claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from asymfusion_training.ablation.measure import MEAN_IOU, OUTPUT, Measure
from asymfusion_training.ablation.outcome import Outcome
from asymfusion_training.ablation.tables import Claim, Table
from asymfusion_training.evaluation.bootstrap import all_resamples, interval

Outcomes = Mapping[str, Mapping[int, Outcome]]  # by row and seed


@dataclass(frozen=True)
class Ordering:
    """How much better one row's score is than another's, in the table's unit, mean over the seeds that both
    have.

    low, high: the interval of a paired bootstrap over the frames, seeds as they are. by_seed: of each seed.
    printed: the paper's difference, None where it prints none.
    """

    claim: Claim
    difference: float
    low: float
    high: float
    by_seed: tuple[float, ...]
    printed: float | None

    @property
    def result(self) -> str:
        """``holds`` or ``reversed`` only where the interval leaves zero out and every seed agrees."""
        if self.low > 0 and min(self.by_seed) > 0:
            return "holds"
        if self.high < 0 and max(self.by_seed) < 0:
            return "reversed"
        return "not significant"

    @property
    def qualified(self) -> str:
        """The result, with what weakens it."""
        single = len(self.by_seed) == 1 and self.result != "not significant"
        return self.result + (" (one seed)" if single else "")


class Bootstrap:
    """Scores of rows over the same draws of frames, which makes their differences paired; of a measure whose
    less is better, negative ones."""

    def __init__(self, outcomes: Outcomes, seed: int = 0, measure: Measure = MEAN_IOU) -> None:
        self.outcomes, self.measure = outcomes, measure
        frames = {len(found.margins[OUTPUT]) for by_seed in outcomes.values() for found in by_seed.values()}
        assert len(frames) <= 1  # made_from holds them together
        self.draws = list(all_resamples(frames.pop() if frames else 1, seed))
        self.found: dict[tuple[str, int], npt.NDArray[np.float64]] = {}

    def resampled(self, row: str, seed: int) -> npt.NDArray[np.float64]:
        """RESAMPLES of them, in the table's unit."""
        if (row, seed) not in self.found:
            margins = self.outcomes[row][seed].margins[OUTPUT]
            drawn = [self.measure.resampled(draws, margins) for draws in self.draws]
            self.found[row, seed] = self.measure.sign * np.concatenate(drawn)
        return self.found[row, seed]

    def score(self, row: str, seed: int) -> float:
        """Over all frames."""
        return self.measure.sign * self.outcomes[row][seed].scores[OUTPUT][self.measure.compared]

    def difference(self, one: str, other: str) -> tuple[float, float, float, tuple[float, ...]] | None:
        """(mean, low, high, by seed) of how much better one is; None where no seed has both rows."""
        seeds = sorted(self.outcomes.get(one, {}).keys() & self.outcomes.get(other, {}).keys())
        if not seeds:
            return None
        by_seed = tuple(self.score(one, seed) - self.score(other, seed) for seed in seeds)
        drawn = np.mean([self.resampled(one, seed) - self.resampled(other, seed) for seed in seeds], axis=0)
        low, high = interval(drawn)
        return float(np.mean(by_seed)), low, high, by_seed


def orderings(table: Table, outcomes: Outcomes, bootstrap: Bootstrap) -> list[Ordering]:
    """The table's claims whose two rows are both done."""
    found = []
    for claim in table.claims:
        difference = bootstrap.difference(claim.better, claim.worse)
        if difference is not None:
            printed = printed_difference(table, claim.better, claim.worse)
            found.append(Ordering(claim, *difference, printed))
    return found


def printed_difference(table: Table, one: str, other: str) -> float | None:
    """By how much the paper has one row better than another; None where it does not print both."""
    ours, theirs = (getattr(table.rows[key].printed, table.measure.printed_score) for key in (one, other))
    if ours is None or theirs is None:
        return None
    return float(ours - theirs) if table.measure.larger else float(theirs - ours)


@dataclass(frozen=True)
class Agreement:
    """Of all pairs of rows that the paper's scores order: how many come in the same order here, and of
    these and the others, how many are significant."""

    pairs: int
    same: int
    same_significant: int
    reversed_significant: int


def agreement(table: Table, outcomes: Outcomes, bootstrap: Bootstrap) -> Agreement:
    """How the rows that are done agree with the paper, over all pairs."""
    pairs = same = same_significant = reversed_significant = 0
    for one, other in combinations(table.rows, 2):
        printed = printed_difference(table, one, other)
        if not printed or (found := bootstrap.difference(one, other)) is None:
            continue
        if printed < 0:
            one, other = other, one
            found = bootstrap.difference(one, other)
            assert found is not None
        ordering = Ordering(Claim(one, other, ""), *found, abs(printed))
        pairs += 1
        same += ordering.difference > 0
        same_significant += ordering.result == "holds"
        reversed_significant += ordering.result == "reversed"
    return Agreement(pairs, same, same_significant, reversed_significant)


def spread(values: Sequence[float]) -> float | None:
    """Standard deviation over the seeds (N - 1); None of a single one."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
