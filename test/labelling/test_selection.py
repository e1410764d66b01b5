"""Which frames are chosen, with scores worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from asymfusion_ros.data.modality import modality
from asymfusion_ros.labelling.descriptor import UNKNOWN, describe, distances
from asymfusion_ros.labelling.labelling import divided
from asymfusion_ros.labelling.look import Look
from asymfusion_ros.labelling.selection import choose, standing

BOTH = {name: modality(name) for name in ("rgb", "depth")}


def look(number, uncertainty, disagreement, new=False, value=None):
    descriptor = np.full(4, 50 * number if value is None else value, np.uint8)
    return Look(0, number, number, uncertainty, disagreement, 0.0, new, descriptor)


def test_the_highest_score_comes_first_with_its_reasons():
    looks = [look(0, 0.1, 0.4, new=True), look(1, 0.2, 0.3), look(2, 0.3, 0.2), look(3, 0.4, 0.1)]
    chosen = choose(looks, 4, 0.1)
    # (0 + 1 + 1) / 3, then (1/3 + 2/3) / 3, (2/3 + 1/3) / 3, (1 + 0) / 3: alike, in the order of the frames
    assert [one.look.number for one in chosen] == [0, 1, 2, 3]
    assert [one.score for one in chosen] == pytest.approx([2 / 3, 1 / 3, 1 / 3, 1 / 3])
    assert chosen[0].reasons == ("modalities disagree", "change of scene")
    assert [one.reasons for one in chosen[1:]] == [("another view",), ("another view",), ("low confidence",)]
    assert [one.look.number for one in choose(looks, 2, 0.1)] == [0, 1]


def test_no_two_look_alike():
    looks = [look(0, 0.9, 0, value=100), look(1, 0.8, 0, value=105), look(2, 0.7, 0, value=130)]
    # 5 of 254 steps apart is 0.0197; 25 of 254 is 0.098
    assert [one.look.number for one in choose(looks, 3, 0.02)] == [0, 2]
    assert [one.look.number for one in choose(looks, 3, 0.019)] == [0, 1, 2]


def test_equal_values_stand_where_half_of_them_would():
    np.testing.assert_allclose(standing([3.0, 1.0, 3.0, 2.0]), [2.5 / 3, 0, 2.5 / 3, 1 / 3])
    np.testing.assert_array_equal(standing([0.5, 0.5]), [0, 0])  # one modality: nothing stands out


def test_a_descriptor_is_the_mean_of_each_cell_and_leaves_out_what_was_not_measured():
    rgb = torch.zeros(1, 3, 12, 16, dtype=torch.uint8)
    rgb[0, 0] = 255
    depth = torch.full((1, 1, 12, 16), 5.0)
    depth[..., :2, :2] = 0  # the first cell has none; of the second a quarter is missing
    depth[..., 0, 2] = torch.nan
    found = describe({"rgb": rgb, "depth": depth}, BOTH)
    assert found.shape == (4 * 48,)
    np.testing.assert_array_equal(found[:48], 254)
    np.testing.assert_array_equal(found[48:144], 0)
    assert found[144] == UNKNOWN and (found[145:] == 127).all()  # 5 of 10 m
    nearer = describe({"rgb": rgb, "depth": torch.full((1, 1, 12, 16), 2.5)}, BOTH)
    # 47 of 191 cells that both know differ by 127 - 64 (63.5 rounds to the even) of 254 steps
    assert distances(found, nearer[None])[0] == pytest.approx(47 * 63 / (191 * 254), rel=1e-6)
    assert distances(np.full(3, UNKNOWN), np.zeros((2, 3), np.uint8)).tolist() == [1, 1]


def test_the_last_frames_of_each_recording_are_for_val():
    frames = [(f"a{i}", 0) for i in range(5)] + [(f"b{i}", 1) for i in range(10)]
    splits = divided(frames, 0.2)
    assert splits["val"] == ["a4", "b8", "b9"] and len(splits["train"]) == 12
    assert divided([("a", 0), ("b", 0)], 0.2) == {"train": ["a"], "val": ["b"]}
    assert divided([("a", 0)], 0.2) == {"train": ["a"]}
    assert divided([("a", 0), ("b", 0)], 1.0) == {"train": ["a"], "val": ["b"]}
