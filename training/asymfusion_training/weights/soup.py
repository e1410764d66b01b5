"""A soup: the mean of the weights of several checkpoints of one network (Wortsman et al. 2022).

It costs no more to run than one of them, and is often better than each, where they began with the same
weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from asymfusion_ros.checkpoint import Checkpoint
from asymfusion_ros.errors import UserError

State = Mapping[str, Tensor]


def check_alike(checkpoints: Mapping[str, Checkpoint]) -> None:
    """checkpoints: by their paths. Raises UserError where two are not of one network, with the same classes
    and inputs."""
    (first, ours), *others = checkpoints.items()
    for path, theirs in others:
        for what, one, other in (
            ("network", ours.config.to_dict(), theirs.config.to_dict()),
            ("labels", ours.labels.to_dict(), theirs.labels.to_dict()),
            ("input", ours.input_spec.to_dict(), theirs.input_spec.to_dict()),
        ):
            name = next((name for name in {**one, **other} if one.get(name) != other.get(name)), None)
            if name is not None:
                raise UserError(
                    f"{path} differs from {first} in {what}.{name}: only weights of the same network, with "
                    "the same classes and inputs, can be averaged"
                )


def mean_state(checkpoints: Sequence[Checkpoint]) -> dict[str, Tensor]:
    """The mean of weights and running statistics, float32.

    The statistics of a modality alone count as known where all checkpoints know them.
    """
    states = [checkpoint.build().state_dict() for checkpoint in checkpoints]
    mean = {}
    for name in states[0]:
        stacked = torch.stack([state[name].float() for state in states])
        mean[name] = stacked.amin(0) if name.endswith("alone_known") else stacked.mean(0)
    return mean


def greedy(
    checkpoints: Sequence[Checkpoint], score: Callable[[State], float]
) -> tuple[list[int], float, list[float]]:
    """Which checkpoints to average, the score of their mean, and the score of each.

    They are tried in the order of their own scores, best first; one stays if the mean with it scores no less
    than without.
    """
    own = [score(mean_state([checkpoint])) for checkpoint in checkpoints]
    first, *others = sorted(range(len(own)), key=lambda index: -own[index])
    kept, reached = [first], own[first]
    for index in others:
        found = score(mean_state([checkpoints[one] for one in (*kept, index)]))
        if found >= reached:
            kept, reached = [*kept, index], found
    return kept, reached, own
