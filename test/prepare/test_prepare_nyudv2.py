"""`asymfusion prepare nyudv2`: what it makes of a miniature of the file that NYU publishes."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers import refused
from miniatures import FRAMES, HEIGHT, TEST, TRAIN, WIDTH, nyudv2_call

from asymfusion_ros.cli.main import main
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.labels import NYU40
from asymfusion_ros.errors import UserError
from asymfusion_training.prepare.nyudv2_splits import cut, facts


@pytest.fixture
def call(tmp_path):
    return nyudv2_call(tmp_path)


@pytest.fixture
def mat(call):
    return Path(call[call.index("--mat") + 1])


def edit(mat, name, index, value):
    with h5py.File(mat, "r+") as file:
        file[name][index] = value


def test_pixels_by_hand(mat, call, tmp_path):
    # frame 4 is index 3; the file's axes are channel, column, row: column 7, row 2 here
    edit(mat, "images", (3, slice(None), 7, 2), [10, 20, 30])
    edit(mat, "depths", (3, 7, 2), 1.2344)
    edit(mat, "labels", (3, 7, 2), 5)
    edit(mat, "labels", (3, 0, 5), 0)
    edit(mat, "labels", (3, 9, 0), 1)
    assert main(call) == 0
    sample = Folder(tmp_path / "nyu").read("000004")
    assert sample.images["rgb"].shape == (6, 10, 3)
    assert sample.images["rgb"][2, 7].tolist() == [10, 20, 30]
    assert sample.images["depth"][2, 7] == pytest.approx(1.234, abs=1e-6)
    assert sample.label[2, 7] == NYU40.names.index("otherfurniture")  # garbage bin
    assert sample.label[5, 0] == 255  # unlabelled
    assert sample.label[0, 9] == NYU40.names.index("wall")


def test_every_pixel_of_every_frame(mat, call, tmp_path):
    assert main(call) == 0
    folder = Folder(tmp_path / "nyu")
    nyu40 = {0: 255, 1: 0, 2: 39, 3: 1, 4: 37, 5: 38}
    with h5py.File(mat) as file:
        for number in range(1, FRAMES + 1):
            sample = folder.read(f"{number:06d}")
            for row in range(HEIGHT):
                for column in range(WIDTH):
                    here = (number - 1, column, row)
                    assert (
                        sample.images["rgb"][row, column].tolist()
                        == file["images"][number - 1, :, column, row].tolist()
                    )
                    assert sample.images["depth"][row, column] == pytest.approx(
                        file["depths"][here], abs=0.00051
                    )
                    assert sample.label[row, column] == nyu40[int(file["labels"][here])]
    assert folder.labels is NYU40
    assert folder.name == "nyudv2"


def test_raw_depth_has_holes(mat, call, tmp_path):
    # 0 and 10 m are what the camera's file holds where nothing was measured
    for column, metres in enumerate([2.5, 0.0, 10.0, np.nan, 9.999]):
        edit(mat, "rawDepths", (0, column, 0), metres)
    assert main([*call, "--raw-depth"]) == 0
    depth = Folder(tmp_path / "nyu").read("000001").images["depth"]
    assert depth[0, :5].tolist() == pytest.approx([2.5, 0, 0, 0, 9.999])
    assert not depth[1:].any()


def test_splits_share_no_scene(call, tmp_path, capsys):
    assert main(call) == 0
    folder = Folder(tmp_path / "nyu")
    numbers = {
        split: [int(name) for name in folder.names(split)] for split in ("train", "val", "trainval", "test")
    }
    assert numbers["trainval"] == TRAIN
    assert numbers["test"] == TEST
    assert sorted(numbers["train"] + numbers["val"]) == TRAIN
    # four rooms, the fourth is val; cafe_0001a and cafe_0001b are one room
    assert numbers["val"] == [7, 8]
    assert "10 frames of 10x6, 10 of them made now" in capsys.readouterr().out


def test_two_recordings_of_a_room_stay_together():
    scenes = ["den_1", "cafe_0001a", "den_1", "cafe_0001b", "foyer_1"]
    chosen = cut([1, 2, 3, 4], [5], scenes)
    assert (chosen.train, chosen.val) == ((1, 3), (2, 4))
    with pytest.raises(UserError, match="all 2 training frames show cafe_0001"):
        cut([2, 4], [5], scenes)


def test_the_standard_split():
    train, test = facts()["train"], facts()["test"]
    assert (len(train), len(test)) == (795, 654)
    assert sorted(train + test) == list(range(1, 1450))
    chosen = cut(train, test, ["room"] * 1449)
    assert (len(chosen.train), len(chosen.val)) == (686, 109)
    assert chosen.val[:7] == (22, 23, 24, 25, 26, 27, 130)
    assert chosen.val[-1] == 1363
    assert list(chosen.trainval) == train
    assert list(chosen.test) == test


def test_the_class_mapping():
    classes = facts()["classes"]
    names = list(classes)
    assert len(names) == 894
    # widely used labels of the file
    assert {1: "book", 4: "ceiling", 5: "chair", 11: "floor", 21: "wall"}.items() <= dict(
        enumerate(names, 1)
    ).items()
    own = [name for name in NYU40.names if not name.startswith("other")]
    assert len(own) == 37
    assert all(classes[name] == NYU40.names.index(name) + 1 for name in own)
    # whatever has no class of its own is otherstructure, otherfurniture or otherprop
    assert {classes[name] for name in names if name not in own} == {38, 39, 40}


def test_help_of_each_kind(capsys):
    for what in ("nyudv2", "cityscapes", "check"):
        with pytest.raises(SystemExit) as left:
            main(["prepare", what, "--help"])
        assert left.value.code == 0
        assert f"asymfusion prepare {what} " in capsys.readouterr().out.split("examples:")[1]
    assert "--workers is 0" in refused(capsys, "prepare", "check", ".", "--workers", "0")
