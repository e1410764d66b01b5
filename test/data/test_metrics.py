"""Scores against a plain loop, and by hand where classes are absent."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassJaccardIndex,
)

from asymfusion_ros.data.metrics import ConfusionMatrix

VOID = 255


def plain_scores(labels, predictions, classes):
    """The same scores, counted pixel by pixel."""
    pairs = [(a, b) for a, b in zip(labels, predictions) if a != VOID]
    accuracies, ious = [], []
    for k in range(classes):
        hits = sum(a == b == k for a, b in pairs)
        in_labels = sum(a == k for a, _ in pairs)
        in_either = sum(k in pair for pair in pairs)
        if in_labels:
            accuracies.append(hits / in_labels)
        if in_either:
            ious.append(hits / in_either)
    return {
        "pixel_accuracy": sum(a == b for a, b in pairs) / len(pairs),
        "mean_accuracy": sum(accuracies) / len(accuracies),
        "mean_iou": sum(ious) / len(ious),
    }


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 6), st.integers(1, 40), st.integers(0, 10**6), st.floats(0, 0.9))
def test_scores_equal_a_plain_loop(classes, pixels, seed, void):
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (2, pixels), generator=random).to(torch.uint8)
    labels[torch.rand(2, pixels, generator=random) < void] = VOID
    labels[0, 0] = 0
    predictions = torch.randint(classes, (2, pixels), generator=random).to(torch.uint8)
    matrix = ConfusionMatrix(classes)
    for one, other in zip(labels, predictions):  # frame by frame: one matrix over all
        matrix.update(one, other)
    expected = plain_scores(labels.flatten().tolist(), predictions.flatten().tolist(), classes)
    assert matrix.scores() == pytest.approx(expected)


def test_absent_classes_by_hand():
    matrix = ConfusionMatrix(4)
    # class 0 right twice, once taken for 2, which no label has; class 1 right once; class 3 nowhere
    labels = torch.tensor([[0, 0, 0, 1, VOID, VOID]])
    matrix.update(labels, torch.tensor([[0, 0, 2, 1, 3, 1]]))
    assert matrix.counts.sum() == 4
    iou = matrix.iou().tolist()
    assert iou[:3] == pytest.approx([2 / 3, 1, 0])
    assert math.isnan(iou[3])
    scores = matrix.scores()
    assert scores["pixel_accuracy"] == 3 / 4
    assert scores["mean_accuracy"] == pytest.approx((2 / 3 + 1) / 2)  # over the classes in the labels
    assert scores["mean_iou"] == pytest.approx((2 / 3 + 1 + 0) / 3)  # over those in either
    assert matrix.mean_iou_present() == pytest.approx((2 / 3 + 1) / 2)  # over the classes in the labels


def test_counts_beyond_float_precision():
    matrix = ConfusionMatrix(2)
    matrix.counts[0, 0] = 2**40
    matrix.update(torch.zeros(1, 3, dtype=torch.uint8), torch.zeros(1, 3, dtype=torch.uint8))
    assert matrix.counts[0, 0] == 2**40 + 3


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.integers(0, 10**6), st.floats(0, 0.9))
def test_scores_equal_those_of_torchmetrics(classes, seed, void):
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (3, 12, 15), generator=random)
    predictions = torch.where(
        torch.rand(labels.shape, generator=random) < 0.5,
        labels,
        torch.randint(classes, labels.shape, generator=random),
    )
    labels[torch.rand(labels.shape, generator=random) < void] = VOID
    labels[0, 0, 0] = 0
    ours = ConfusionMatrix(classes)
    theirs = MulticlassConfusionMatrix(classes, ignore_index=VOID)
    for one, other in zip(labels, predictions):
        ours.update(one, other)
        theirs.update(other[None], one[None])
    assert torch.equal(ours.counts, theirs.compute())
    scores = ours.scores()
    kind = {"num_classes": classes, "ignore_index": VOID}
    known = ours.counts.sum(0) + ours.counts.sum(1) > 0
    iou = MulticlassJaccardIndex(average="none", **kind)(predictions, labels)
    assert ours.iou()[known].tolist() == pytest.approx(iou[known].tolist())
    mean_iou = MulticlassJaccardIndex(average="macro", **kind)(predictions, labels)
    assert scores["mean_iou"] == pytest.approx(mean_iou.item(), abs=1e-6)
    accuracy = MulticlassAccuracy(average="micro", **kind)(predictions, labels)
    assert scores["pixel_accuracy"] == pytest.approx(accuracy.item(), abs=1e-6)
