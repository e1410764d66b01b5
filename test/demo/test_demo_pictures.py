"""Pictures: colours and sizes that a person relies on."""

import numpy as np
from PIL import Image

from asymfusion_ros.data.colouring import UNKNOWN, colour_values
from asymfusion_ros.data.labels import NYU40
from asymfusion_ros.demo.pictures import (
    BACKGROUND,
    Caption,
    Painter,
    class_shares,
    contact_sheet,
    depth_range,
    places_for_names,
    save_animation,
)
from asymfusion_ros.demo.views import View


def view(depth: float = 2.0) -> View:
    """Left half wall (0), right half floor (1), one corner void."""
    mask = np.zeros((60, 80), np.uint8)
    mask[:, 40:] = 1
    mask[:6, :8] = 255
    rgb = np.full((60, 80, 3), 90, np.uint8)
    return View(0, rgb, np.full((60, 80), depth, np.float32), mask, NYU40.palette[mask])


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
    colours = colour_values(np.array([[1.0, 4.0, np.nan]], np.float32), 1.0, 4.0)[0].astype(int)
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
