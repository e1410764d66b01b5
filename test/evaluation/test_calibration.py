"""Calibration error, risk over coverage and the fitted temperature, against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from asymfusion_training.evaluation.calibration import (
    TemperatureFit,
    area_under_risk_coverage,
    confidence_counts,
    expected_calibration_error,
    risk_coverage,
)


def counts_of(*pixels: tuple[int, bool]) -> np.ndarray:
    """pixels: (confidence 0 to 255, right or wrong)."""
    confidence = np.array([[level for level, _ in pixels]], np.uint8)
    right = np.array([[ok for _, ok in pixels]])
    label = np.zeros(confidence.shape, np.uint8)
    return confidence_counts(label, np.where(right, label, 1).astype(np.uint8), confidence)


def test_counts_leave_void_out():
    label = np.array([[0, 255, 2]], np.uint8)
    prediction = np.array([[0, 0, 1]], np.uint8)
    counts = confidence_counts(label, prediction, np.array([[10, 20, 255]], np.uint8))
    assert counts[1, 10] == 1 and counts[0, 255] == 1 and counts.sum() == 2


def test_calibration_error_by_hand():
    # Bin of 255: confidence 1, 3 of 4 right: 4 x 0.25. Bin of 51: confidence 0.2, 1 of 1 right: 1 x 0.8.
    counts = counts_of((255, True), (255, True), (255, True), (255, False), (51, True))
    assert expected_calibration_error(counts) == pytest.approx((4 * 0.25 + 0.8) / 5)


def test_within_a_bin_over_and_under_confidence_cancel_and_across_bins_they_do_not():
    same = counts_of((250, True), (250, False), (254, True), (254, False))
    assert expected_calibration_error(same) == pytest.approx((250 + 254) / 2 / 255 - 0.5)
    apart = counts_of((0, True), (255, False))
    assert expected_calibration_error(apart) == pytest.approx(1.0)


def test_nothing_to_calibrate():
    with pytest.raises(ValueError, match="no labelled pixel"):
        expected_calibration_error(np.zeros((2, 256), np.int64))


def test_risk_over_coverage_by_hand():
    counts = counts_of((255, True), (200, False), (200, True), (10, False))
    coverage, risk = risk_coverage(counts)
    steps = {(round(c, 6), round(r, 6)) for c, r in zip(coverage, risk)}
    assert steps == {(0.25, 0.0), (0.75, round(1 / 3, 6)), (1.0, 0.5)}
    assert area_under_risk_coverage(counts) == pytest.approx(0.25 * 0 + 0.5 / 3 + 0.25 * 0.5)


@pytest.mark.parametrize("true", [0.5, 1.0, 2.5])
def test_the_temperature_that_labels_were_drawn_with_is_found(true: float):
    rng = torch.Generator().manual_seed(3)
    logits = 3 * torch.randn(5, 60, 80, generator=rng)
    probabilities = (logits / true).softmax(0).flatten(1).t()
    label = torch.multinomial(probabilities, 1, generator=rng).view(60, 80).to(torch.uint8).numpy()
    fit = TemperatureFit(frames=1)
    fit.add(logits, label)
    assert fit.temperature() == pytest.approx(true, rel=0.05)


def test_void_teaches_nothing():
    fit = TemperatureFit(frames=1)
    fit.add(torch.randn(3, 4, 4), np.full((8, 8), 255, np.uint8))
    assert fit.temperature() == 1.0


def test_a_temperature_makes_the_confidence_the_softmax_of_the_divided_logits():
    from asymfusion_ros.engine.postprocess import confidence_at

    logits = torch.tensor([2.0, 0.0]).view(2, 1, 1)
    expected = round(255 / (1 + math.exp(-2 / 4)))
    assert confidence_at(logits, (3, 3), temperature=4.0).unique().tolist() == [expected]
