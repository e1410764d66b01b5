"""Objects of a frame copied along their rows: images and label together, nearer things in front."""

from dataclasses import replace

import numpy as np
import pytest
from helpers import write_folder
from test_augment import IMAGES, PLAIN, augmentation

from asymfusion_ros.data.folder import Folder, Frame
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.modality import modality
from asymfusion_ros.errors import ConfigError
from asymfusion_training.data.augment import augmented
from asymfusion_training.data.copy_paste import with_copies
from asymfusion_training.data.frames import TrainingFrames

MODALITIES = {name: modality(name) for name in ("rgb", "depth")}
HEIGHT, WIDTH, FLOOR, CUP, PILLAR = 40, 60, 0, 3, 7


def scene(depth_of_pillar=1.0):
    """A cup of 4 x 5 pixels at 2 m on a floor at 3 m, and a pillar across all rows, which is too large."""
    label = np.full((HEIGHT, WIDTH), FLOOR, np.uint8)
    label[:, 40:52] = PILLAR
    label[20:24, 5:10] = CUP
    depth = np.select([label == CUP, label == PILLAR], [2.0, depth_of_pillar], 3.0).astype(np.float32)
    rgb = np.repeat(label[..., None] * 30, 3, 2)
    return Frame("scene", {"rgb": rgb, "depth": depth}, label)


def copies(frame, seeds=60, modalities=MODALITIES):
    return [with_copies(frame, modalities, np.random.default_rng(seed)) for seed in range(seeds)]


def test_a_copy_is_the_object_in_its_own_rows_in_all_images():
    frame, moved = scene(), 0
    for out in copies(frame):
        changed = out.label != frame.label
        moved += changed.any()
        assert set(np.nonzero(changed)[0]) <= set(range(20, 24))
        assert (out.label[changed] == CUP).all()
        assert (out.images["depth"][changed] == 2.0).all() and (out.images["rgb"][changed] == 90).all()
        for name in ("rgb", "depth"):
            np.testing.assert_array_equal(out.images[name][~changed], frame.images[name][~changed])
    assert moved > 40  # now and then a copy lies where the object is


def test_what_is_nearer_hides_a_copy_and_what_is_farther_is_hidden():
    near, far = copies(scene(1.0)), copies(scene(2.5))
    assert all((out.label[:, 40:52] == PILLAR).all() for out in near)
    assert any((out.label[:, 40:52] == CUP).any() for out in far)


@pytest.mark.parametrize("unknown", [0.0, np.nan])
def test_where_depth_was_not_measured_the_copy_is_in_front(unknown):
    frame = scene(unknown)
    assert any((out.label[:, 40:52] == CUP).any() for out in copies(frame))


def test_without_a_range_a_copy_is_in_front():
    frame = scene()
    frame = Frame("scene", {"rgb": frame.images["rgb"]}, frame.label)
    assert any(
        (out.label[:, 40:52] == CUP).any() for out in copies(frame, modalities={"rgb": modality("rgb")})
    )


def test_rare_classes_come_more_often():
    label = np.zeros((100, 100), np.uint8)
    label[10:30, 10:30], label[60:64, 60:64] = 1, 2  # 400 and 16 pixels: 25 to 1
    frame = Frame("two", {"rgb": np.repeat(label[..., None], 3, 2)}, label)
    first = {1: 0, 2: 0}
    for out in copies(frame, 400, {"rgb": modality("rgb")}):
        changed = np.unique(out.label[out.label != label])
        if len(changed) == 1 and changed[0] in first:  # frames of which only one class was copied
            first[int(changed[0])] += 1
    assert first[2] > 10 * first[1] and first[2] > 200


@pytest.mark.parametrize("value", [FLOOR, 255])
def test_a_frame_without_an_object_stays_as_it_is(value):
    frame = scene()
    frame = replace(frame, label=np.full_like(frame.label, value))
    for out in copies(frame, 5):
        np.testing.assert_array_equal(out.label, frame.label)
        np.testing.assert_array_equal(out.images["depth"], frame.images["depth"])


def test_the_frame_that_is_given_is_left_alone():
    frame, same = scene(), scene()
    copies(frame, 5)
    np.testing.assert_array_equal(frame.label, same.label)
    np.testing.assert_array_equal(frame.images["rgb"], same.images["rgb"])


def test_copies_come_before_the_other_changes():
    """With it on, a frame of every image of the network's goes through the whole."""
    frame = scene()
    frame.images["thermal"] = frame.images["depth"] * 10
    settings = replace(PLAIN, copy_paste=0.99)
    out = [
        augmented(frame, augmentation(settings, (HEIGHT, WIDTH), IMAGES), np.random.default_rng(seed))
        for seed in range(30)
    ]
    cups = [(one.label == CUP).sum() / max(1, (one.label != 255).sum()) for one in out]
    assert max(cups) > 1.5 * 20 / (HEIGHT * WIDTH)
    for one in out:
        inside = (one.label == CUP) & np.isfinite(one.images["thermal"])
        assert (one.images["depth"][inside] == 2.0).all()


def test_teachers_have_not_seen_the_copies(tmp_path):
    folder = Folder(write_folder(tmp_path, frames=2))
    with pytest.raises(ConfigError, match=r"copy_paste is 0\.3.*leave teachers out"):
        TrainingFrames(
            folder, "train", ["rgb"], InputSpec(48, 64), replace(PLAIN, copy_paste=0.3), teacher=object()
        )
