"""Frames of recordings: paired and located as the node does it, and what became of the images."""

from __future__ import annotations

from dataclasses import fields

import cv2
import numpy as np
import pytest
from recorded import (
    DEPTH,
    HEIGHT,
    RGB,
    SECOND,
    STORE1,
    WIDTH,
    camera_info,
    compressed,
    distances,
    frames,
    image,
    picture,
    static_transform,
    write_bag,
    write_ros1_bag,
)
from rosbags.rosbag2 import StoragePlugin

from asymfusion_ros.data.modality import KNOWN
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_ros.replay.frames import Frames, open_source, read_frames
from asymfusion_ros.replay.notes import Notes
from asymfusion_ros.replay.options import ReadOptions
from asymfusion_ros.ros.settings import NodeSettings
from asymfusion_ros.settings import declared

BOTH = [KNOWN["rgb"], KNOWN["depth"]]
T0 = 100 * SECOND


def read(path, modalities=BOTH, notes=None, **options):
    """The frames of a recording, and their Frames."""
    notes, given = notes or Notes(), ReadOptions(**options)
    made = Frames(open_source(path, modalities, given, notes), modalities, given, notes)
    return list(made), made


def test_the_defaults_are_the_nodes():
    node = {one.name: one.default for one in declared(NodeSettings)}
    for field in fields(ReadOptions):
        if field.name in ("slop", "queue_size", "missing_after", "rectified"):
            assert field.default == node[field.name]
    assert node["depth_to_rgb"] == "tf"  # None here


@pytest.mark.parametrize("kind", ["mcap", "sqlite3", "ros1", "one file"])
def test_frames_of_every_kind_of_bag(tmp_path, kind):
    if kind == "ros1":
        path = write_ros1_bag(tmp_path / "a.bag", frames(3, types=STORE1.types))
    else:
        storage = StoragePlugin.SQLITE3 if kind == "sqlite3" else StoragePlugin.MCAP
        path = write_bag(tmp_path / "a", frames(3), storage)
        path = path / "a.mcap" if kind == "one file" else path
    notes = Notes()
    found, made = read(path, notes=notes)
    assert [frame.number for frame in found] == [0, 1, 2]
    assert [frame.stamp for frame in found] == [T0, T0 + SECOND // 10, T0 + SECOND // 5]
    for index, frame in enumerate(found):
        np.testing.assert_array_equal(frame.images["rgb"].pixels(), picture(index))
        np.testing.assert_array_equal(frame.images["depth"].pixels(), distances(index))
        assert frame.frame_id == "camera" and frame.geometry is None
    assert made.source.name == "a"
    assert any(
        line.startswith(f"rgb: {RGB} (sensor_msgs/msg/Image, 3 messages), guessed") for line in notes.lines
    )


def test_compressed_transports_are_read(tmp_path):
    messages = [
        ("/c/compressed", T0, compressed(T0, picture(1)[..., ::-1], "rgb8; png compressed bgr8")),
        ("/d/compressedDepth", T0, compressed(T0, distances(1), "16UC1; compressedDepth png")),
    ]
    (frame,), _ = read(write_bag(tmp_path / "a", messages))
    assert frame.images["rgb"].encoding == "bgr8"
    np.testing.assert_array_equal(frame.images["rgb"].pixels()[..., ::-1], picture(1))
    np.testing.assert_array_equal(frame.images["depth"].pixels(), distances(1))


def test_stamps_pair_within_the_slop_and_the_rest_is_told(tmp_path):
    path = write_bag(
        tmp_path / "a",
        [*frames(4, apart=20_000_000), (RGB, T0 + SECOND, image(T0 + SECOND, picture(9), "rgb8"))],
    )
    found, made = read(path)
    assert not found
    line = made.tally.never_paired()
    assert f"{RGB} and {DEPTH} never pair within slop = 0.015 s" in line
    # The colour's stamps are 0.02 s apart from the nearest of the depth's, of which there are fewer.
    assert "0.020 s apart" in line and "--slop 0.024" in line
    found, made = read(path, slop=0.024)
    assert [frame.stamps["depth"] - frame.stamps["rgb"] for frame in found] == [20_000_000] * 4
    assert made.tally.unpaired() == {"rgb": 1, "depth": 0}
    assert "1 of rgb found no partner within slop = 0.024 s" in made.tally.reason()


def test_a_camera_that_stays_away_is_done_without_after_a_while(tmp_path):
    messages = [m for m in frames(30) if m[0] == RGB or m[1] < T0 + SECOND]
    found, made = read(write_bag(tmp_path / "a", messages), missing_after=0.25)
    sets = [tuple(frame.images) for frame in found]
    assert sets[:10] == [("rgb", "depth")] * 10 and sets[-10:] == [("rgb",)] * 10
    assert made.tally.to_dict()["incomplete"] == sets.count(("rgb",)) >= 15
    found, made = read(write_bag(tmp_path / "b", messages))  # never, as in the node
    assert len(found) == 10 and made.tally.unpaired() == {"rgb": 20, "depth": 0}


def test_depth_of_another_camera_is_located_by_what_the_bag_says(tmp_path):
    messages = [
        ("/tf_static", T0, static_transform("base", "colour", 0.1)),
        ("/tf_static", T0, static_transform("base", "ir", 0.15)),
        ("/camera/color/camera_info", T0, camera_info("colour", 50.0)),
        ("/camera/depth/camera_info", T0, camera_info("ir", 60.0)),
        (RGB, T0, image(T0, picture(1), "rgb8", "colour")),
        (DEPTH, T0, image(T0, distances(1), "16UC1", "ir")),
    ]
    notes = Notes()
    (frame,), _ = read(write_bag(tmp_path / "a", messages), notes=notes)
    geometry = frame.geometry
    assert geometry.depth == "depth" and geometry.camera.fx == 50 and frame.camera == geometry.camera
    assert geometry.unregistered.camera.fx == 60
    np.testing.assert_allclose(geometry.unregistered.to_reference.translation, (0.05, 0, 0), atol=1e-12)
    assert "depth is projected into rgb's camera ('ir' to 'colour')" in notes.lines
    notes = Notes()
    (frame,), _ = read(write_bag(tmp_path / "b", messages[2:]), notes=notes)
    assert frame.geometry is None
    assert any("/tf_static does not join 'ir' and 'colour'" in line for line in notes.lines)


def test_images_that_cannot_be_used_are_counted_with_the_reason(tmp_path):
    messages = frames(3)
    messages[0][2].encoding = "nonsense"
    messages[3][2].header.stamp.sec = messages[3][2].header.stamp.nanosec = 0
    messages[5] = (
        DEPTH,
        messages[5][1],
        image(T0 + SECOND // 5, np.zeros((HEIGHT, WIDTH), np.uint16), "16UC1"),
    )
    notes = Notes()
    found, made = read(write_bag(tmp_path / "a", messages), notes=notes, rectified="none")
    assert [tuple(frame.images) for frame in found] == [
        ("rgb",)
    ]  # the third, of whose depth nothing is known
    refused = made.tally.refusals()
    assert any("nonsense" in why for why in refused["rgb"]) and any("zero" in why for why in refused["depth"])
    assert any(
        "no pixel of the 64x48 depth image is valid: going on with only rgb" in line for line in notes.lines
    )


def test_a_wrong_topic_lists_those_that_there_are_with_their_types(tmp_path):
    path = write_bag(tmp_path / "a", frames(1))
    listed = f"{RGB} \\(sensor_msgs/msg/Image, 1\\); {DEPTH} \\(sensor_msgs/msg/Image, 1\\)"
    with pytest.raises(ConfigError, match=f"--rgb /nowhere: .* has no such topic; it has {listed}"):
        read(path, topics={"rgb": "/nowhere"})
    other = [*frames(1), ("/info", T0, camera_info("c", 50.0))]
    with pytest.raises(ConfigError, match=r"--depth /info is sensor_msgs/msg/CameraInfo, no images"):
        read(write_bag(tmp_path / "b", other), topics={"depth": "/info"})
    with pytest.raises(ConfigError, match=r"has no topic of rgb or depth; it has /info"):
        read(write_bag(tmp_path / "c", other[2:]))


def test_a_bag_of_one_modality_goes_on_with_it(tmp_path):
    notes = Notes()
    found, _ = read(write_bag(tmp_path / "a", frames(2)[::2]), notes=notes)
    assert [tuple(frame.images) for frame in found] == [("rgb",)] * 2
    assert any("no topic of depth" in line and "--depth TOPIC" in line for line in notes.lines)


def test_reading_ahead_gives_the_same_and_raises_what_was_raised(tmp_path):
    path = write_bag(tmp_path / "a", frames(20))
    options, notes = ReadOptions(), Notes()
    with read_frames(open_source(path, BOTH, options, notes), BOTH, options, notes) as ahead:
        assert [frame.number for frame in ahead] == list(range(20))
    assert ahead.tally.frames == 20
    with read_frames(open_source(path, BOTH, options, notes), BOTH, options, notes) as ahead:
        next(iter(ahead))  # and leaves the rest
    (path / "a.mcap").write_bytes((path / "a.mcap").read_bytes()[:60_000])
    with (
        pytest.raises(UserError),
        read_frames(open_source(tmp_path / "gone", BOTH, options, notes), BOTH, options, notes) as ahead,
    ):
        list(ahead)


def test_what_is_whole_of_a_bag_that_was_cut_off_is_read(tmp_path):
    path = write_bag(tmp_path / "a", frames(200))
    file = path / "a.mcap"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    notes = Notes()
    for cut in (path, file):
        found, made = read(cut, notes=notes)
        assert 50 < len(found) < 200
        np.testing.assert_array_equal(found[7].images["depth"].pixels(), distances(7))
        assert "cut off: " in made.source.lost
    assert any("cut off: " in line for line in notes.lines)


def test_a_ros1_bag_that_was_cut_off_has_its_fixed_frames_too(tmp_path):
    tf = static_transform("ir", "colour", 0.05, STORE1.types)
    path = write_ros1_bag(tmp_path / "a.bag", [("/tf_static", T0, tf), *frames(100, types=STORE1.types)])
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    found, made = read(path)
    assert 20 < len(found) < 100 and "cut off: " in made.source.lost
    assert made.source.transforms.between("ir", "colour").translation == (-0.05, 0.0, 0.0)


def test_a_folder_pairs_by_names_or_by_the_times_that_files_are_called_by(tmp_path):
    for name in ("rgb", "depth"):
        (tmp_path / "names" / name).mkdir(parents=True)
        (tmp_path / "times" / name).mkdir(parents=True)
    for index in (2, 9, 10):
        cv2.imwrite(str(tmp_path / "names/rgb" / f"frame{index}.png"), picture(index)[..., ::-1])
        cv2.imwrite(str(tmp_path / "names/depth" / f"frame{index}.png"), distances(index))
    (tmp_path / "names/depth/frame9.png").unlink()
    found, made = read(tmp_path / "names")
    np.testing.assert_array_equal(found[0].images["rgb"].pixels(), picture(2))
    np.testing.assert_array_equal(found[1].images["rgb"].pixels(), picture(10))
    np.testing.assert_allclose(found[1].images["depth"].pixels(), distances(10) / 1000, rtol=1e-6)
    assert made.tally.unpaired() == {"rgb": 1, "depth": 0}
    assert made.source.frame_name("rgb", found[1].stamp) == "frame10"
    cv2.imwrite(str(tmp_path / "times/rgb/1305031102.175304.png"), picture(1))
    cv2.imwrite(str(tmp_path / "times/depth/1305031102.180000.png"), distances(1))
    (frame,), _ = read(tmp_path / "times")
    assert frame.stamps == {"rgb": 1305031102175304000, "depth": 1305031102180000000}
    with pytest.raises(ConfigError, match=r"has no images in rgb/ or depth/"):
        (tmp_path / "empty").mkdir()
        read(tmp_path / "empty")
