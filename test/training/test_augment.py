"""Augmentation: colour, depth and label keep together, whatever is done to them.

The frames here carry their own coordinates: depth says the pixel's number, the label its 16 x 16 tile.
"""

import numpy as np
import pytest
from helpers import write_folder

from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_training.data.augment import Sample, augmented
from asymfusion_training.data.frames import TrainingFrames
from asymfusion_training.recipe import Recipe

HEIGHT, WIDTH = 96, 128
PLAIN = Recipe(depth_holes=0.0, depth_noise=0.0)


def coordinates():
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    tile = y // 16 * (WIDTH // 16) + x // 16
    # 48 tiles: 4 shades of red by 4 of green by 3 of blue, far enough apart to survive new colours
    rgb = np.stack([tile % 4 * 60, tile // 4 % 4 * 60, tile // 16 * 80], 2).astype(np.uint8) + 20
    depth = (y * WIDTH + x + 1).astype(np.float32)
    return Sample("coordinates", rgb, depth, tile.astype(np.uint8))


def tile_of(depth):
    number = depth.astype(int) - 1
    return number // WIDTH // 16 * (WIDTH // 16) + number % WIDTH // 16


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("size", [(96, 128), (64, 96), (150, 150)])
def test_depth_and_label_show_the_same_place(seed, size):
    out = augmented(coordinates(), PLAIN, (96, 128), size, np.random.default_rng(seed))
    assert out.rgb.shape == (*size, 3)
    assert out.depth.shape == out.label.shape == size
    assert (out.rgb.dtype, out.depth.dtype, out.label.dtype) == (np.uint8, np.float32, np.uint8)
    inside = out.depth > 0
    assert (out.label[~inside] == 255).all()  # beyond the frame: no depth, void
    assert (out.label[inside] == tile_of(out.depth[inside])).all()
    assert inside.mean() > 0.2


@pytest.mark.parametrize("seed", range(12))
def test_colour_shows_the_same_place(seed):
    """Within a tile, away from its border, all pixels have one colour: so the tiles line up."""
    out = augmented(coordinates(), PLAIN, (96, 128), (96, 128), np.random.default_rng(seed))
    same = np.ones(out.label.shape, bool)
    for axis in (0, 1):
        for shift in range(-4, 5):
            same &= np.roll(out.label, shift, axis) == out.label
    same &= out.label != 255
    same[:4] = same[-4:] = same[:, :4] = same[:, -4:] = False
    tiles = np.unique(out.label[same])
    assert len(tiles) > 3
    colours = []
    for tile in tiles:
        pixels = out.rgb[same & (out.label == tile)].astype(int)
        assert np.ptp(pixels, axis=0).max() <= 2
        colours.append(tuple(pixels[0] // 4))
    assert len(set(colours)) > len(tiles) / 2


def test_mirroring_happens_to_half_of_the_frames_and_to_all_images_alike():
    mirrored = 0
    for seed in range(40):
        out = augmented(coordinates(), PLAIN, (96, 128), (96, 128), np.random.default_rng(seed))
        column = (out.depth.astype(int) - 1) % WIDTH
        row = int(np.argmax((out.depth > 0).sum(1)))
        known = column[row][out.depth[row] > 0]
        mirrored += known[0] > known[-1]
    assert 10 <= mirrored <= 30


def test_zoom_stays_within_its_limits_and_leaves_depth_values_alone():
    values = set(coordinates().depth.flatten().tolist()) | {0.0}
    for scale, seed in (((1.0, 1.0), 0), ((2.0, 2.0), 1), ((0.5, 0.5), 2)):
        recipe = Recipe(scale=scale, depth_holes=0.0, depth_noise=0.0)
        out = augmented(coordinates(), recipe, (96, 128), (96, 128), np.random.default_rng(seed))
        assert set(out.depth.flatten().tolist()) <= values
        # the part of the frame that can be seen: all, a quarter, all on a quarter of the window
        seen = len(set(out.depth.flatten().tolist()) - {0.0}) / (HEIGHT * WIDTH)
        assert seen == pytest.approx({1.0: 1, 2.0: 0.25, 0.5: 0.25}[scale[0]], rel=0.05)
        assert (out.depth > 0).mean() == pytest.approx({1.0: 1, 2.0: 1, 0.5: 0.25}[scale[0]], rel=0.05)


def test_the_same_seed_gives_the_same_frame():
    recipe = Recipe(depth_holes=0.9)
    one, same, other = (
        augmented(coordinates(), recipe, (96, 128), (64, 64), np.random.default_rng(seed))
        for seed in (3, 3, 4)
    )
    for name in ("rgb", "depth", "label"):
        assert (getattr(one, name) == getattr(same, name)).all()
        assert (getattr(one, name) != getattr(other, name)).any()


def test_the_frame_given_is_left_alone():
    sample, untouched = coordinates(), coordinates()
    augmented(sample, Recipe(depth_holes=0.9), (96, 128), (96, 128), np.random.default_rng(0))
    for name in ("rgb", "depth", "label"):
        assert (getattr(sample, name) == getattr(untouched, name)).all()


def test_a_frame_depends_on_seed_epoch_and_index_alone(tmp_path):
    folder = Folder(write_folder(tmp_path / "stripes", frames=2))
    spec = InputSpec(height=48, width=64)

    def frames(seed):
        return TrainingFrames(folder, "train", Recipe(seed=seed), spec)

    first = frames(0)
    _ = first[0, 1]  # what was read before does not matter
    rgb = first[0, 0].rgb
    assert (rgb == frames(0)[0, 0].rgb).all()
    for other in (frames(1)[0, 0], first[1, 0], first[0, 1]):
        assert (rgb != other.rgb).any()


def test_a_frame_is_never_made_smaller_than_the_shortest_side_asked_for():
    recipe = Recipe(scale=(0.5, 0.5), shortest=72, depth_holes=0.0, depth_noise=0.0)
    out = augmented(coordinates(), recipe, (96, 128), (96, 128), np.random.default_rng(0))
    # 96 x 128 at 0.5 would be 48 x 64: it becomes 72 x 96
    assert (out.depth > 0).any(1).sum() == 72
    assert (out.depth > 0).any(0).sum() == 96
