"""How far modalities disagree: divergences worked out by hand, and the Segmenter's against its outputs."""

import math

import numpy as np
import pytest
import torch
from helpers import tiny_checkpoint, tiny_config
from torch.nn import functional as F

from asymfusion_ros import Segmenter
from asymfusion_ros.engine import disagreement as module
from asymfusion_ros.engine.disagreement import disagreement

SURE = 1e4  # a logit that leaves the other classes nothing


def logits(*pixels):
    """Probabilities of the classes at each pixel of a 2 x 2 image, row by row -> K x 2 x 2."""
    logs = [[math.log(p) if p > 0 else -SURE for p in pixel] for pixel in pixels]
    return torch.tensor(logs).t().reshape(-1, 2, 2)


def test_two_branches_by_hand():
    # bits: H(.75, .25) - (1 + 0) / 2 = .8113 - .5; H(.5, .5) - H(.9, .1) = 1 - .4690
    one = logits((0.3, 0.7), (1, 0), (0.5, 0.5), (0.9, 0.1))
    other = logits((0.3, 0.7), (0, 1), (1, 0), (0.1, 0.9))
    expected = [[0, 255], [round(255 * 0.31128), round(255 * 0.53100)]]
    assert disagreement([one, other]).tolist() == disagreement([other, one]).tolist() == expected
    assert disagreement([one, other]).dtype == torch.uint8


def test_three_branches_by_hand():
    # each sure of its own class of three: log 3 of log 3; two alike: H(2/3, 1/3) = .63651 nats of log 3
    one = logits((1, 0, 0), (1, 0, 0), (0.2, 0.3, 0.5), (1, 0, 0))
    two = logits((0, 1, 0), (1, 0, 0), (0.2, 0.3, 0.5), (1, 0, 0))
    three = logits((0, 0, 1), (0, 1, 0), (0.2, 0.3, 0.5), (1, 0, 0))
    found = disagreement([one, two, three])
    assert found.tolist() == [[255, round(255 * 0.63651 / math.log(3))], [0, 0]]


def test_bands_change_nothing(monkeypatch):
    torch.manual_seed(0)
    branches = [3 * torch.randn(5, 7, 9) for _ in range(2)]
    whole = disagreement(branches)
    monkeypatch.setattr(module, "BAND_VALUES", 100)  # two rows
    torch.testing.assert_close(disagreement(branches), whole, rtol=0, atol=1)
    half = [branch.half() for branch in branches]
    torch.testing.assert_close(disagreement(half), whole, rtol=0, atol=1)


def test_one_branch_has_nothing_to_disagree_with():
    with pytest.raises(ValueError, match="one modality"):
        disagreement([torch.zeros(2, 2, 2)])


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory):
    return Segmenter(tiny_checkpoint(tmp_path_factory.mktemp("checkpoint")), device="cpu")


def frame():
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (60, 80, 3), np.uint8)
    return {"rgb": rgb, "depth": rng.integers(500, 6000, (60, 80)).astype(np.uint16)}


def test_the_segmenters_is_of_its_own_outputs(segmenter):
    images = segmenter.images(frame())
    found = segmenter.backend.outputs(segmenter.preprocess(images, segmenter.upload(images)))
    p, q = (branch[0].double().softmax(0) for branch in found.logits)
    mean = (p + q) / 2
    divergence = (F.kl_div(mean.log(), p, reduction="none") + F.kl_div(mean.log(), q, reduction="none")) / 2
    expected = 255 * divergence.sum(0) / math.log(2)
    result = segmenter.segment(frame(), disagreement=True).numpy()
    assert result.disagreement.shape == tuple(found.ensemble.shape[-2:])
    assert np.abs(result.disagreement - expected.numpy()).max() <= 0.51
    assert len(np.unique(result.disagreement)) > 5


def test_it_changes_nothing_else_and_is_not_there_unasked(segmenter):
    plain, asked = segmenter.segment(frame()), segmenter.segment(frame(), disagreement=True)
    assert torch.equal(plain.labels, asked.labels)
    assert torch.equal(plain.confidence, asked.confidence)
    assert plain.disagreement is None
    assert plain.numpy().disagreement is None


def test_there_is_none_of_one_modality(segmenter, tmp_path):
    assert segmenter.segment({"rgb": frame()["rgb"]}, disagreement=True).disagreement is None
    alone = Segmenter(tiny_checkpoint(tmp_path, config=tiny_config(("rgb",))), device="cpu")
    assert alone.segment({"rgb": frame()["rgb"]}, disagreement=True).disagreement is None
