"""CutMix: a rectangle of another frame of the batch, the same in images, label and soft labels."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import write_folder

from asymfusion_ros.data.folder import Folder
from asymfusion_training.data.batch import Batch
from asymfusion_training.loop.devices import make_fabric
from asymfusion_training.loop.trainer import RunOptions
from asymfusion_training.recipe import load_recipe
from asymfusion_training.run import make_trainer
from asymfusion_training.tasks.segmentation.cutmix import cut_and_mixed

SIZES = [(48, 64), (50, 66)]  # the second is no multiple of the soft labels' stride


def numbered(count, height, width):
    """Every value of frame i is i, but for the soft labels' own pixels."""
    own = torch.arange(count)
    return Batch(
        [f"frame{index}" for index in range(count)],
        {
            "rgb": own[:, None, None, None].expand(-1, 3, height, width).to(torch.uint8),
            "depth": own[:, None, None, None].expand(-1, 1, height, width).float(),
        },
        own[:, None, None].expand(-1, height, width).to(torch.uint8),
        own[:, None, None, None].expand(-1, 5, -(-height // 4), -(-width // 4)).to(torch.uint8),
    )


def mixed(chance=0.99, seed=0, count=4, size=SIZES[0]):
    return cut_and_mixed(numbered(count, *size), chance, np.random.default_rng(seed))


def bounds(mask):
    rows, columns = np.nonzero(mask)
    return rows.min(), rows.max() + 1, columns.min(), columns.max() + 1


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(20))
def test_one_rectangle_of_one_other_frame_in_all_that_a_frame_has(seed, size):
    out = mixed(seed=seed, size=size)
    for index in range(4):
        label = out.label[index].numpy()
        inside = label != index
        if not inside.any():
            continue
        top, bottom, left, right = bounds(inside)
        assert inside[top:bottom, left:right].all()
        assert len(set(label[inside])) == 1
        # By definition 10 to 50 % of the frame, within what rounding to a grid of 12 x 16 changes.
        assert 0.07 < inside.mean() < 0.56
        for name in ("rgb", "depth"):
            assert (out.images[name][index].numpy() == label).all(), name


@pytest.mark.parametrize("seed", range(20))
def test_a_soft_label_is_of_the_frame_that_its_pixels_are_of(seed):
    out = mixed(seed=seed)
    expected = out.label.reshape(4, 12, 4, 16, 4)
    assert (expected.amin((2, 4)) == expected.amax((2, 4))).all()  # no soft label's pixel is cut in two
    assert (out.teacher == expected.amin((2, 4))[:, None]).all()


def test_the_chance_is_that_of_a_frame():
    changed = sum(int((mixed(0.25, seed).label.float().std((1, 2)) > 0).sum()) for seed in range(500))
    assert 0.22 < changed / 2000 < 0.28  # 4 standard deviations are 0.039


def test_a_rectangle_can_lie_anywhere():
    """Over many draws each pixel is covered, the middle most often."""
    often = sum((mixed(seed=seed).label[0] != 0).float() for seed in range(300)) / 300
    assert often.min() > 0 and often[20:28, 28:36].mean() > 0.3


def test_the_given_batch_is_left_alone_and_a_batch_of_one_stays_as_it_is():
    batch = numbered(3, 48, 64)
    out = cut_and_mixed(batch, 0.99, np.random.default_rng(0))
    assert (out.label != batch.label).any() and out.names == batch.names
    fresh = numbered(3, 48, 64)
    assert (batch.label == fresh.label).all() and (batch.images["rgb"] == fresh.images["rgb"]).all()
    assert (batch.teacher == fresh.teacher).all()
    alone = mixed(count=1)
    assert (alone.label == 0).all() and (alone.images["depth"] == 0).all()


def test_without_a_teacher_there_is_none():
    batch = numbered(2, 48, 64)
    out = cut_and_mixed(Batch(batch.names, batch.images, batch.label), 0.99, np.random.default_rng(1))
    assert out.teacher is None and (out.label != batch.label).any()


def trainer_of(tmp_path, name, *changes):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "network: {architecture: refinenet_lw, encoder: efficientnet_lite0, decoder_channels: 8}\n"
        "input: {height: 48, width: 64}\npretrained: none\nepochs: 1\nbatch: 4\nmodality_dropout: 0\n"
    )
    fabric = make_fabric("cpu")
    fabric.launch()
    folder = Folder(tmp_path / "data")
    return make_trainer(
        load_recipe(str(recipe), list(changes)),
        "mine",
        folder,
        tmp_path / name,
        fabric,
        RunOptions(workers=0),
    )


def inputs(tmp_path, name, *changes):
    """What the network of a run gets in its third step."""
    trainer = trainer_of(tmp_path, name, *changes)
    batch = next(iter(trainer.loader))
    return batch, trainer.task.inputs(batch, 3)


def test_a_run_gives_its_network_mixed_frames_the_same_ones_again(tmp_path):
    write_folder(tmp_path / "data", frames=4)
    batch, (_, label, _) = inputs(tmp_path, "without")
    assert (label == batch.label).all()
    _, (given, mixed_label, _) = inputs(tmp_path, "with", "cutmix=0.9")
    assert (mixed_label != batch.label).any()
    _, (again, label_again, _) = inputs(tmp_path, "again", "cutmix=0.9")
    assert (label_again == mixed_label).all() and all((a == b).all() for a, b in zip(given, again))
    _, (_, other, _) = inputs(tmp_path, "other", "cutmix=0.9", "seed=1")
    assert (other != mixed_label).any()


def test_the_parts_of_a_step_have_rectangles_of_their_own(tmp_path):
    """The same images in both, under other names: only the rectangles can differ."""
    write_folder(tmp_path / "data", frames=4)
    batch, _ = inputs(tmp_path, "plain")
    task = trainer_of(tmp_path, "parts", "cutmix=0.9").task
    other = replace(batch, names=[f"other_{name}" for name in batch.names])
    (_, one, _), (_, two, _) = (task.inputs(part, 3) for part in (batch, other))
    assert (one != two).any()
