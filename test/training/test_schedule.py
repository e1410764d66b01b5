"""Learning rates over a run."""

import pytest

from asymfusion_training.loop.schedule import learning_rates, rate_share
from asymfusion_training.loop.settings import LoopSettings


def test_one_cycle_rises_and_falls():
    shares = [rate_share("one_cycle", step, 100, 0.1) for step in range(100)]
    assert shares[0] == pytest.approx(1 / 25)
    assert shares[10] == pytest.approx(1.0)
    assert shares[5] == pytest.approx((1 + 1 / 25) / 2)  # halfway up the cosine
    assert shares[55] == pytest.approx(0.5, abs=1e-4)  # halfway down
    assert shares == sorted(shares[:10]) + sorted(shares[10:], reverse=True)
    assert shares[99] < 0.001


@pytest.mark.parametrize(("steps", "warmup"), [(1, 0.0), (1, 0.5), (10, 0.1), (20, 0.05), (5, 0.2), (3, 0.9)])
def test_one_cycle_of_few_steps(steps, warmup):
    """A warm-up of a single step is where torch's one-cycle schedule divides by zero."""
    assert all(0 < rate_share("one_cycle", step, steps, warmup) <= 1 for step in range(steps + 1))


def test_the_other_schedules_halfway():
    assert rate_share("constant", 50, 100, 0.1) == 1
    assert rate_share("cosine", 50, 100, 0.1) == pytest.approx(0.5, abs=1e-4)
    assert rate_share("poly", 50, 100, 0.1) == pytest.approx(0.5**0.9)
    linear = [rate_share("linear", step, 100, 0.1, 0.6) for step in (0, 60, 80, 100)]
    assert linear == pytest.approx([1, 1, 0.5, 0])
    assert rate_share("poly", 0, 100, 0.1) == rate_share("cosine", 0, 100, 0.1) == 1


def test_rates_of_encoder_and_decoder():
    settings = LoopSettings(epochs=10, encoder_lr=1e-3, decoder_lr=1e-2, schedule="cosine")
    # step 20 of 10 epochs with 4 steps each is halfway
    assert learning_rates(settings, 20, 4) == pytest.approx((0.5e-3, 0.5e-2), rel=1e-3)


def test_staged_rates_are_constant_within_a_stage():
    settings = LoopSettings(stages=((2, 5e-4, 3e-3), (1, 2e-4, 1e-3)))
    assert settings.total_epochs == 3
    rates = [learning_rates(settings, step, 5) for step in range(15)]
    assert rates == [(5e-4, 3e-3)] * 10 + [(2e-4, 1e-3)] * 5
