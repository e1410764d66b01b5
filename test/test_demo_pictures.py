"""Pictures: colours and sizes that a person relies on, and the views that they are made of."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from asymfusion_demo.pictures import (
    BACKGROUND,
    UNKNOWN,
    Caption,
    Painter,
    class_shares,
    colour_depth,
    contact_sheet,
    depth_range,
    places_for_names,
    save_animation,
)
from asymfusion_demo.views import View, ViewAssembler, to_metres, to_rgb
from asymfusion_ros.data.labels import NYU40
from asymfusion_ros.errors import FrameError


def message(pixels: np.ndarray, encoding: str) -> SimpleNamespace:
    return SimpleNamespace(
        data=pixels.tobytes(),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        step=pixels.strides[0],
        is_bigendian=int(pixels.dtype.byteorder == ">"),
    )


def view(depth: float = 2.0) -> View:
    """Left half wall (0), right half floor (1), one corner void."""
    mask = np.zeros((60, 80), np.uint8)
    mask[:, 40:] = 1
    mask[:6, :8] = 255
    rgb = np.full((60, 80, 3), 90, np.uint8)
    return View(0, rgb, np.full((60, 80), depth, np.float32), mask, NYU40.palette[mask])


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8"])
def test_colours_are_shown_as_they_are(encoding):
    pixel = {"rgb8": [10, 20, 30], "bgr8": [30, 20, 10], "rgba8": [10, 20, 30, 0], "bgra8": [30, 20, 10, 0]}
    pixels = np.array([[pixel[encoding]]], np.uint8)
    assert to_rgb(message(pixels, encoding)).tolist() == [[[10, 20, 30]]]


def test_depth_is_shown_in_metres():
    assert to_metres(message(np.array([[1500]], "<u2"), "16UC1")).tolist() == [[1.5]]
    assert to_metres(message(np.array([[1500]], ">u2"), "mono16")).tolist() == [[1.5]]
    assert to_metres(message(np.array([[2.25]], "<f4"), "32FC1")).tolist() == [[2.25]]
    unknown = to_metres(message(np.array([[0, np.nan, np.inf, -1]], "<f4"), "32FC1"))
    assert np.isnan(unknown).all()


def test_a_view_takes_the_depth_image_nearest_in_time():
    assembler = ViewAssembler()
    rgb = np.zeros((4, 6, 3), np.uint8)
    for stamp, millimetres in ((80, 1000), (95, 2000), (130, 3000)):
        assembler.add("depth", stamp, message(np.full((4, 6), millimetres, np.uint16), "16UC1"))
    assembler.add("rgb", 100, message(rgb, "rgb8"))
    assembler.add("mask", 100, message(rgb[..., 0].copy(), "mono8"))
    assert not assembler.complete(100)
    assembler.add("overlay", 100, message(rgb, "rgb8"))
    assert assembler.complete(100)
    assert assembler.view(100).depth.tolist() == [[2.0] * 6] * 4


def test_a_depth_topic_without_depth_is_left_out_of_the_view():
    assembler = ViewAssembler()
    rgb = np.zeros((4, 6, 3), np.uint8)
    for topic in ("rgb", "depth", "overlay"):
        assembler.add(topic, 1, message(rgb, "rgb8"))
    assembler.add("mask", 1, message(rgb[..., 0].copy(), "mono8"))
    assert assembler.view(1).depth is None


def test_rare_encodings_are_converted_and_unknown_ones_named():
    assert to_rgb(message(np.full((4, 4), 77, np.uint8), "bayer_rggb8")).tolist() == [[[77] * 3] * 4] * 4
    with pytest.raises(FrameError, match="encoding xyz123 cannot be shown"):
        to_rgb(message(np.zeros((4, 4), np.uint8), "xyz123"))


def test_large_images_are_reduced():
    assembler = ViewAssembler()
    for kind in ("rgb", "overlay"):
        assembler.add(kind, 1, message(np.zeros((720, 1280, 3), np.uint8), "rgb8"))
    assembler.add("mask", 1, message(np.full((720, 1280), 7, np.uint8), "mono8"))
    reduced = assembler.view(1)
    assert reduced.rgb.shape == (360, 640, 3) and reduced.mask.shape == (360, 640)
    assert reduced.depth is None and (reduced.mask == 7).all()


def test_shares_of_the_classes():
    shares = {name: (share, colour) for name, share, colour in class_shares(view().mask, NYU40)}
    # Of 4800 pixels 2400 are floor, 48 void and the rest wall.
    assert shares["floor"] == (0.5, NYU40.colours[1])
    assert shares["wall"] == (0.49, NYU40.colours[0])
    assert shares["unlabelled"] == (0.01, (0, 0, 0))


def test_names_are_written_inside_their_class():
    mask = view().mask
    places = {name: (x, y) for name, x, y in places_for_names(mask, NYU40, size=10)}
    assert set(places) == {"wall", "floor"}
    assert mask[places["wall"][::-1]] == 0 and mask[places["floor"][::-1]] == 1
    # Too small for letters of 30 pixels
    assert places_for_names(mask, NYU40, size=30) == []


def test_near_is_red_far_is_blue_unknown_is_grey():
    colours = colour_depth(np.array([[1.0, 4.0, np.nan]], np.float32), 1.0, 4.0)[0].astype(int)
    assert colours[0][0] > 100 and colours[0][2] < 50
    assert colours[1][2] > colours[1][0]
    assert tuple(colours[2]) == UNKNOWN


def test_depth_range_is_the_same_for_all_pictures():
    assert depth_range([view(2.0), view(3.0)]) == (2.0, 3.0)
    # Nothing known at all must not divide by nothing.
    near, far = depth_range([view(np.nan)])
    assert far > near


def test_a_picture_shows_the_three_panels_side_by_side():
    picture = np.asarray(Painter(NYU40, [view()]).picture(view(), Caption("1.0 s", "10 ms"), width=640))
    row = picture[500]
    panels = {"rgb": row[12 + 200], "floor": row[2 * 652 + 12 + 500]}
    assert panels["rgb"].tolist() == [90, 90, 90]
    assert panels["floor"].tolist() == list(NYU40.colours[1])
    assert tuple(row[5]) == BACKGROUND


def test_sheet_and_animation(tmp_path):
    painter = Painter(NYU40, [view()])
    pictures = [painter.picture(view(), Caption(f"{n} s", ""), width=160) for n in range(3)]
    sheet = contact_sheet(pictures, "three", width=200)
    assert sheet.width == 400
    path = tmp_path / "animation.webp"
    pictures[1].paste((255, 0, 0), (0, 0, 100, 100))  # equal frames would be stored as one
    save_animation(pictures, path, [0.25, 0.5, 0.25])
    with Image.open(path) as animation:
        assert animation.n_frames == 3 and animation.info["loop"] == 0
        shown = []
        for frame in range(3):
            animation.seek(frame)
            animation.load()
            shown.append(animation.info["duration"])
    assert shown == [250, 500, 250]
