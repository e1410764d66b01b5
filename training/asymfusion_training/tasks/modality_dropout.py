"""Training steps that see only one modality."""

from __future__ import annotations

import numpy as np

from asymfusion_ros.network import NetworkConfig
from asymfusion_ros.network.fusion.registry import FUSIONS


def only_modality(modalities: int, chance: float, seed: int, step: int) -> int | None:
    """The index of the only modality that this step sees, None where it sees all; all processes agree."""
    rng = np.random.default_rng((seed, step, 1))
    if modalities == 1 or rng.random() >= chance:
        return None
    return int(rng.integers(modalities))


def leaves_parameters_out(config: NetworkConfig, chance: float) -> bool:
    """Whether a step can leave parameters without a gradient: the layers that belong to one modality, where
    the step does not see it."""
    own = not config.shared_convs or FUSIONS[config.fusion].parametric
    return own and len(config.modalities) > 1 and chance > 0
