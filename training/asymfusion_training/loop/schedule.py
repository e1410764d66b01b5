"""Learning rates as a function of the step alone, so that a resumed run needs no state of a schedule."""

from __future__ import annotations

import math

from asymfusion_training.loop.settings import LoopSettings

START_SHARE, END_SHARE = 1 / 25, 1e-5  # of the peak rate, where a one-cycle schedule begins and ends
POLY_POWER = 0.9


def learning_rates(settings: LoopSettings, step: int, steps_per_epoch: int) -> tuple[float, float]:
    """(encoder's, decoder's) learning rate at ``step``, counted from 0 over the whole run."""
    end = 0.0
    for epochs, encoder_lr, decoder_lr in settings.stages:
        end += epochs * steps_per_epoch
        if step < end:
            return encoder_lr, decoder_lr
    if settings.stages:
        return settings.stages[-1][1:]
    steps = settings.epochs * steps_per_epoch
    share = rate_share(settings.schedule, step, steps, settings.warmup, settings.constant_share)
    return settings.encoder_lr * share, settings.decoder_lr * share


def rate_share(schedule: str, step: int, steps: int, warmup: float, constant_share: float = 0.5) -> float:
    """The share of the peak rate at ``step`` of ``steps``.

    one_cycle: a cosine from 1/25 up to 1 over the share ``warmup`` of the steps, and one down to nearly
    nothing over the rest (Smith and Topin 2018; torch's own class divides by zero when the warm-up is a
    single step). cosine and poly: down from 1 over all steps. linear: 1 over the share ``constant_share`` of
    the steps, then down to 0. constant: 1.
    """
    done = min(step / steps, 1.0)
    if schedule == "constant":
        return 1.0
    if schedule == "linear":
        return min(1.0, (1 - done) / (1 - constant_share))
    if schedule == "cosine":
        return END_SHARE + (1 - END_SHARE) * (1 + math.cos(math.pi * done)) / 2
    if schedule == "poly":
        return (1 - done) ** POLY_POWER
    rise = max(warmup * steps, 1.0)
    if step < rise:
        return 1 + (START_SHARE - 1) * (1 + math.cos(math.pi * step / rise)) / 2
    fall = (step - rise) / max(steps - rise, 1.0)
    return END_SHARE + (1 - END_SHARE) * (1 + math.cos(math.pi * min(fall, 1.0))) / 2
