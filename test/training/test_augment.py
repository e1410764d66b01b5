"""Augmentation: all images and the label keep together, whatever is done to them.

The frames here carry their own coordinates: depth says the pixel's number, thermal its row, the label its
16 x 16 tile.
"""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from helpers import write_folder

from asymfusion_ros.data.folder import Folder, Frame
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.modality import modality
from asymfusion_training.data.augment import augmented
from asymfusion_training.data.augment_on_device import augmented_on_device
from asymfusion_training.data.change import Augmentation
from asymfusion_training.data.frames import TrainingFrames
from asymfusion_training.data.settings import DataSettings

HEIGHT, WIDTH = 96, 128
WITHOUT_NOISE = {"depth_holes": 0.0, "depth_noise": 0.0}
PLAIN = DataSettings(**WITHOUT_NOISE)
IMAGES = ("rgb", "depth", "thermal")


def coordinates(names=IMAGES):
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    tile = y // 16 * (WIDTH // 16) + x // 16
    # 48 tiles: 4 shades of red by 4 of green by 3 of blue, far enough apart to survive new colours
    rgb = np.stack([tile % 4 * 60, tile // 4 % 4 * 60, tile // 16 * 80], 2).astype(np.uint8) + 20
    images = {"rgb": rgb, "depth": (y * WIDTH + x + 1).astype(np.float32), "thermal": y.astype(np.float32)}
    return Frame("coordinates", {name: images[name] for name in names}, tile.astype(np.uint8))


def augmentation(settings=PLAIN, size=(HEIGHT, WIDTH), names=IMAGES):
    units = {"rgb": 1.0, "depth": 0.001, "thermal": 0.01}
    return Augmentation(settings, {name: modality(name) for name in names}, units, (HEIGHT, WIDTH), size)


def changed(settings=PLAIN, size=(HEIGHT, WIDTH), seed=0, names=IMAGES):
    return augmented(coordinates(names), augmentation(settings, size, names), np.random.default_rng(seed))


def tile_of(depth):
    number = depth.astype(int) - 1
    return number // WIDTH // 16 * (WIDTH // 16) + number % WIDTH // 16


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("size", [(96, 128), (64, 96), (150, 150)])
def test_depth_thermal_and_label_show_the_same_place(seed, size):
    out = changed(size=size, seed=seed)
    rgb, depth, thermal = (out.images[name] for name in IMAGES)
    assert rgb.shape == (*size, 3)
    assert depth.shape == thermal.shape == out.label.shape == size
    assert (rgb.dtype, depth.dtype, thermal.dtype) == (np.uint8, np.float32, np.float32)
    assert out.label.dtype == np.uint8
    inside = depth > 0
    assert (out.label[~inside] == 255).all()  # beyond the frame: no depth, void
    assert np.isnan(thermal[~inside]).all() and np.isfinite(thermal[inside]).all()
    assert (out.label[inside] == tile_of(depth[inside])).all()
    rows = (depth[inside].astype(int) - 1) // WIDTH
    assert np.abs(thermal[inside] - rows).max() <= 1  # the mean of its neighbours
    assert inside.mean() > 0.2


@pytest.mark.parametrize("seed", range(12))
def test_colour_shows_the_same_place(seed):
    """Within a tile, away from its border, all pixels have one colour: so the tiles line up."""
    out = changed(seed=seed)
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
        pixels = out.images["rgb"][same & (out.label == tile)].astype(int)
        assert np.ptp(pixels, axis=0).max() <= 2
        colours.append(tuple(pixels[0] // 4))
    assert len(set(colours)) > len(tiles) / 2


def test_mirroring_happens_to_half_of_the_frames_and_to_all_images_alike():
    mirrored = 0
    for seed in range(40):
        depth = changed(seed=seed).images["depth"]
        column = (depth.astype(int) - 1) % WIDTH
        row = int(np.argmax((depth > 0).sum(1)))
        known = column[row][depth[row] > 0]
        mirrored += known[0] > known[-1]
    assert 10 <= mirrored <= 30


def test_zoom_stays_within_its_limits_and_leaves_depth_values_alone():
    values = set(coordinates().images["depth"].flatten().tolist()) | {0.0}
    for scale, seed in (((1.0, 1.0), 0), ((2.0, 2.0), 1), ((0.5, 0.5), 2)):
        depth = changed(DataSettings(scale=scale, **WITHOUT_NOISE), seed=seed).images["depth"]
        assert set(depth.flatten().tolist()) <= values
        # the part of the frame that can be seen: all, a quarter, all on a quarter of the window
        seen = len(set(depth.flatten().tolist()) - {0.0}) / (HEIGHT * WIDTH)
        assert seen == pytest.approx({1.0: 1, 2.0: 0.25, 0.5: 0.25}[scale[0]], rel=0.05)
        assert (depth > 0).mean() == pytest.approx({1.0: 1, 2.0: 1, 0.5: 0.25}[scale[0]], rel=0.05)


def test_the_same_seed_gives_the_same_frame():
    settings = DataSettings(depth_holes=0.9, blur=0.5, cutout=0.5)
    one, same, other = (changed(settings, (64, 64), seed) for seed in (3, 3, 4))
    assert np.array_equal(one.label, same.label) and not np.array_equal(one.label, other.label)
    for name in IMAGES:
        assert np.array_equal(one.images[name], same.images[name], equal_nan=True)
        assert not np.array_equal(one.images[name], other.images[name], equal_nan=True)


def test_the_frame_given_is_left_alone():
    frame, untouched = coordinates(), coordinates()
    settings = DataSettings(depth_holes=0.9, blur=0.9, cutout=0.9)
    augmented(frame, augmentation(settings), np.random.default_rng(0))
    assert (frame.label == untouched.label).all()
    assert all((frame.images[name] == untouched.images[name]).all() for name in IMAGES)


def test_a_frame_depends_on_seed_epoch_and_index_alone(tmp_path):
    folder = Folder(write_folder(tmp_path / "stripes", frames=2))
    spec = InputSpec(height=48, width=64)

    def frames(seed):
        return TrainingFrames(folder, "train", ("rgb", "depth"), spec, DataSettings(), seed)

    first = frames(0)
    _ = first[0, 1]  # what was read before does not matter
    rgb = first[0, 0].images["rgb"]
    assert (rgb == frames(0)[0, 0].images["rgb"]).all()
    for other in (frames(1)[0, 0], first[1, 0], first[0, 1]):
        assert (rgb != other.images["rgb"]).any()


def test_a_frame_is_never_made_smaller_than_the_shortest_side_asked_for():
    depth = changed(DataSettings(scale=(0.5, 0.5), shortest=72, **WITHOUT_NOISE)).images["depth"]
    # 96 x 128 at 0.5 would be 48 x 64: it becomes 72 x 96
    assert (depth > 0).any(1).sum() == 72
    assert (depth > 0).any(0).sum() == 96


def difference(more, seed, names=IMAGES):
    """A frame with and without what ``more`` adds, which is drawn last: all else is the same."""
    one, other = (
        changed(DataSettings(**WITHOUT_NOISE, **given), seed=seed, names=names) for given in ({}, more)
    )
    assert (one.label == other.label).all()
    return one.images, other.images


def test_blur_smooths_colours_alone():
    blurred = 0
    for seed in range(20):
        one, other = difference({"blur": 0.5}, seed)
        for name in ("depth", "thermal"):
            assert np.array_equal(one[name], other[name], equal_nan=True)
        if (one["rgb"] != other["rgb"]).any():
            blurred += 1
            sharp, soft = (cv2.Laplacian(image["rgb"], cv2.CV_32F).std() for image in (one, other))
            assert soft < sharp
    assert 4 <= blurred <= 16


def test_cutout_takes_one_modality_or_all_and_leaves_the_label():
    fills = {"rgb": 127, "depth": 0, "thermal": np.nan}
    seen = set()
    for seed in range(60):
        one, other = difference({"cutout": 0.9}, seed)
        cut = {}
        for name, fill in fills.items():
            new = ~((one[name] == other[name]) | (np.isnan(one[name]) & np.isnan(other[name])))
            cut[name] = new.any(2) if new.ndim == 3 else new
            assert np.array_equal(
                other[name][cut[name]], np.full_like(other[name][cut[name]], fill), equal_nan=True
            )
            assert cut[name].mean() <= 0.46  # three rectangles of 15 %
        seen.add(tuple(name for name in IMAGES if cut[name].any()))
    assert {("rgb",), ("depth",), ("thermal",), IMAGES} <= seen


def test_a_rectangle_of_one_modality_is_that_modality_s():
    """With a single modality there is nothing to choose from."""
    cut = 0
    for seed in range(20):
        one, other = difference({"cutout": 0.9}, seed, ("depth",))
        cut += (one["depth"] != other["depth"]).any()
    assert cut >= 14


def test_what_is_cut_out_by_hand():
    drawn = augmentation(DataSettings(cutout=0.99), (96, 128))
    rectangles = [r for seed in range(200) for r in drawn.draw((96, 128), np.random.default_rng(seed)).cut]
    areas = np.array([r.height * r.width for r in rectangles]) / (96 * 128)
    assert 0.005 < areas.min() < 0.015 and 0.1 < areas.max() <= 0.16
    assert all(r.top + r.height <= 96 and r.left + r.width <= 128 for r in rectangles)
    shares = [sum(r.modalities == which for r in rectangles) for which in (("rgb",), ("depth",), IMAGES)]
    assert np.allclose(np.array(shares) / len(rectangles), 0.25, atol=0.07)


@pytest.mark.parametrize("scale", [0.5, 1.5])
def test_a_scalar_s_hole_stays_a_hole_of_its_size(scale):
    """As the engine resizes it: a pixel is there where at least half of what it is made of was measured."""
    frame = coordinates(("thermal",))
    frame.images["thermal"][32:64, 32:64] = np.nan
    settings = DataSettings(scale=(scale, scale), **WITHOUT_NOISE)
    size = (round(96 * scale), round(128 * scale))
    out = augmented(frame, augmentation(settings, size, ("thermal",)), np.random.default_rng(0))
    assert np.isnan(out.images["thermal"]).sum() == pytest.approx((32 * scale) ** 2, rel=0.08)


def test_class_crops_have_a_pixel_of_each_class_as_often():
    """A window of a quarter of the frame has 2 pixels in a corner about as often as the rest."""
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    label[0, :2], label[:, WIDTH - 1] = 5, 255
    rgb = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    frame = Frame("corner", {"rgb": rgb}, label)
    shares = []
    for chance in (0.0, 0.999):
        settings = replace(PLAIN, scale=(1.0, 1.0), class_crops=chance)
        drawn = augmentation(settings, (HEIGHT // 2, WIDTH // 2), ("rgb",))
        out = [augmented(frame, drawn, np.random.default_rng(seed)).label for seed in range(300)]
        assert all(one.shape == (HEIGHT // 2, WIDTH // 2) for one in out)
        shares.append(np.mean([(one == 5).any() for one in out]))
    assert shares[0] < 0.05
    assert 0.4 < shares[1] < 0.6  # two classes: each window is drawn for one of them


@pytest.mark.parametrize("value", [255, 4])
@pytest.mark.parametrize("size", [(48, 64), (150, 150)])
def test_class_crops_of_one_class_or_none_are_windows_as_ever(value, size):
    frame = coordinates()
    frame = Frame(frame.name, frame.images, np.full_like(frame.label, value))
    drawn = augmentation(replace(PLAIN, class_crops=0.9), size)
    for seed in range(20):
        change = drawn.draw((HEIGHT, WIDTH), np.random.default_rng(seed), frame.label)
        for start, have, want in zip((change.top, change.left), change.scaled, size):
            assert min(0, have - want) <= start <= max(0, have - want)


def test_class_crops_without_changing_the_rest_of_the_draw():
    """The zoom, the colours and the noise of a frame are those that it has without."""
    for seed in range(10):
        plain, cropped = (
            augmentation(replace(PLAIN, class_crops=chance), (48, 64)).draw(
                (HEIGHT, WIDTH), np.random.default_rng(seed), coordinates().label
            )
            for chance in (0.0, 0.9)
        )
        assert (plain.scaled, plain.mirrored, plain.contrast) == (
            cropped.scaled,
            cropped.mirrored,
            cropped.contrast,
        )


@pytest.mark.parametrize("on_device", [False, True])
def test_a_mirrored_normal_looks_the_other_way(on_device):
    """A wall that faces left faces right in the mirror; up, and towards the camera, stay what they are."""
    faces = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    faces[:, : WIDTH // 2], faces[:, WIDTH // 2 :] = (0, 200, 90), (250, 200, 90)
    settings = DataSettings(scale=(1, 1), colours=0, **WITHOUT_NOISE)
    one = {"normal": modality("normal")}
    plan = Augmentation(settings, one, {"normal": 1.0}, (HEIGHT, WIDTH), (HEIGHT, WIDTH), recolours=False)
    frame = Frame("wall", {"normal": faces}, np.zeros((HEIGHT, WIDTH), np.uint8))
    found = set()
    for seed in range(8):
        if on_device:
            change = plan.draw((HEIGHT, WIDTH), np.random.default_rng(seed))
            image = torch.from_numpy(faces).permute(2, 0, 1)
            made, _ = augmented_on_device(
                [{"normal": image}], [torch.from_numpy(frame.label)], [change], plan
            )
            out = made["normal"][0].permute(1, 2, 0).numpy()
        else:
            out = augmented(frame, plan, np.random.default_rng(seed)).images["normal"]
        found.add((tuple(out[0, 0].tolist()), tuple(out[0, -1].tolist())))
    plain = ((0, 200, 90), (250, 200, 90))
    assert found == {plain, ((5, 200, 90), (255, 200, 90))}
    assert faces[0, 0, 0] == 0  # the frame itself stays
