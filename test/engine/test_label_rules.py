"""Groups of classes and the confidence threshold, after the network."""

import numpy as np
import pytest
import torch

from asymfusion_ros.data.label_groups import label_groups
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.engine.label_rules import LabelRules
from asymfusion_ros.engine.postprocess import confidence_at, labels_at

CLASSES = LabelSet("three", ("chair", "sofa", "floor"))
GROUPS = label_groups({"groups": {"floor": ["floor"], "seat": ["chair", "sofa"]}}, CLASSES)
PARTIAL = label_groups({"groups": {"floor": ["floor"], "seat": ["chair"]}}, CLASSES)
SIZE = (1, 2)
# Probabilities of the classes at two pixels of one row.
PIXELS = torch.tensor([[0.5, 0.1], [0.4, 0.2], [0.1, 0.7]]).log().view(3, 1, 2)


@pytest.fixture(scope="module")
def logits():
    torch.manual_seed(0)
    return 3 * torch.randn(3, 12, 16)


def test_without_rules_labels_and_confidence_are_the_networks_bit_by_bit(logits):
    labels, confidence = LabelRules()(logits, (48, 64), True, 1.5)
    torch.testing.assert_close(labels, labels_at(logits, (48, 64)), rtol=0, atol=0)
    torch.testing.assert_close(confidence, confidence_at(logits, (48, 64), 1.5), rtol=0, atol=0)
    assert LabelRules()(logits, (48, 64), False, 1.0)[1] is None


def test_a_group_is_given_out_with_the_sum_of_its_classes_probabilities():
    labels, confidence = LabelRules(GROUPS)(PIXELS, SIZE, True, 1.0)
    assert labels.tolist() == [[1, 0]] and labels.dtype == torch.uint8
    # chair or sofa: 0.9; floor: 0.7; in 255ths
    assert confidence.tolist() == [[round(0.9 * 255), round(0.7 * 255)]]


def test_a_class_without_a_group_is_unlabeled(logits):
    labels, _ = LabelRules(PARTIAL)(logits, (48, 64), False, 1.0)
    classes = labels_at(logits, (48, 64)).numpy()
    np.testing.assert_array_equal(labels.numpy(), np.array([1, 255, 0], np.uint8)[classes])


def test_confidence_below_the_threshold_is_unlabeled_and_is_asked_for_at_each_frame():
    threshold = [0.0]
    rules = LabelRules(None, lambda: threshold[0])
    found = []
    for value in (0.0, 0.4, 0.6, 0.8):
        threshold[0] = value
        found.append(rules(PIXELS, SIZE, False, 1.0)[0].tolist()[0])
    # The winners' probabilities are 0.5 and 0.7.
    assert found == [[0, 2], [0, 2], [255, 2], [255, 255]]


def test_the_threshold_goes_by_the_calibrated_probability_and_by_the_groups():
    # The first pixel's winner has 0.5; at temperature 0.25 it has 0.5^4 / (0.5^4 + 0.4^4 + 0.1^4) = 0.708.
    rules = LabelRules(None, lambda: 0.6)
    assert rules(PIXELS, SIZE, True, 1.0)[0].tolist() == [[255, 2]]
    assert rules(PIXELS, SIZE, True, 0.25)[0].tolist() == [[0, 2]]
    assert LabelRules(GROUPS, lambda: 0.8)(PIXELS, SIZE, True, 1.0)[0].tolist() == [[1, 255]]
