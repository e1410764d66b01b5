"""`asymfusion prepare nyudv2` on a miniature of the file that NYU publishes."""

import os
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from helpers import refused
from scipy.io import savemat

from asymfusion_ros.cli import main
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.labels import NYU40
from asymfusion_ros.errors import UserError
from asymfusion_training.prepare.nyudv2_splits import cut, facts, read_halves

HEIGHT, WIDTH, FRAMES = 6, 10, 10
# Labels 1 to 5. NYU40: wall 1, otherprop 40, floor 2, otherstructure 38, otherfurniture 39.
NAMES = ["wall", "book", "floor", "dishwasher", "garbage bin"]
SCENES = [
    "cafe_0001a",
    "cafe_0001b",
    "den_1",
    "den_1",
    "office_3",
    "office_3",
    "study_7",
    "study_7",
    "foyer_2",
    "foyer_2",
]
TRAIN, TEST = [1, 2, 3, 4, 5, 6, 7, 8], [9, 10]


def cells(file, texts):
    """A MATLAB cell array of strings, as MATLAB stores it: 1 x N references to columns of UTF-16 codes."""
    group = file.require_group("#refs#")
    found = np.empty((1, len(texts)), h5py.ref_dtype)
    for index, text in enumerate(texts):
        codes = np.array([[ord(character)] for character in text], np.uint16)
        found[0, index] = group.create_dataset(f"{len(group):x}", data=codes).ref
    return found


def write_mat(path, names=NAMES, scenes=SCENES):
    rng = np.random.default_rng(3)
    shape = (FRAMES, WIDTH, HEIGHT)
    with h5py.File(path, "w", userblock_size=512) as file:
        file["images"] = rng.integers(0, 256, (FRAMES, 3, WIDTH, HEIGHT), np.uint8)
        file["depths"] = rng.uniform(0.7, 9.9, shape).astype(np.float32)
        file["rawDepths"] = np.zeros(shape, np.float32)
        file.create_dataset(
            "labels", data=rng.integers(0, len(NAMES) + 1, shape, np.uint16), compression="gzip"
        )
        file["names"] = cells(file, names)
        file["scenes"] = cells(file, scenes)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512))
    return path


def write_splits(path, train=TRAIN, test=TEST):
    columns = {"trainNdxs": train, "testNdxs": test}
    savemat(path, {name: np.array(numbers, np.uint16)[:, None] for name, numbers in columns.items()})
    return path


@pytest.fixture
def mat(tmp_path):
    return write_mat(tmp_path / "nyu_depth_v2_labeled.mat")


@pytest.fixture
def splits(tmp_path):
    return write_splits(tmp_path / "splits.mat")


@pytest.fixture
def call(mat, splits, tmp_path):
    """The arguments of a call that works."""
    return [
        "prepare",
        "nyudv2",
        "--mat",
        str(mat),
        "--splits",
        str(splits),
        "--output",
        str(tmp_path / "nyu"),
    ]


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
    assert sample.rgb.shape == (6, 10, 3)
    assert sample.rgb[2, 7].tolist() == [10, 20, 30]
    assert sample.depth[2, 7] == pytest.approx(1.234, abs=1e-6)
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
                        sample.rgb[row, column].tolist()
                        == file["images"][number - 1, :, column, row].tolist()
                    )
                    assert sample.depth[row, column] == pytest.approx(file["depths"][here], abs=0.00051)
                    assert sample.label[row, column] == nyu40[int(file["labels"][here])]
    assert folder.labels is NYU40
    assert folder.name == "nyudv2"


def test_raw_depth_has_holes(mat, call, tmp_path):
    # 0 and 10 m are what the camera's file holds where nothing was measured
    for column, metres in enumerate([2.5, 0.0, 10.0, np.nan, 9.999]):
        edit(mat, "rawDepths", (0, column, 0), metres)
    assert main([*call, "--raw-depth"]) == 0
    depth = Folder(tmp_path / "nyu").read("000001").depth
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


def test_a_wrong_frame_stops_no_other_and_a_rerun_makes_it_alone(mat, call, tmp_path, capsys):
    with h5py.File(mat) as file:
        sound = file["labels"][4]
    edit(mat, "labels", (4, 1, 1), 77)
    edit(mat, "labels", (5, 1, 1), 78)
    line = refused(capsys, *call)
    assert f"{mat}: frame 5 has label 77, but names has 5 classes (and 1 more frames are wrong)" in line
    root = tmp_path / "nyu"
    assert not (root / "dataset.yaml").exists()
    assert not list(root.glob("*.txt"))
    assert "nyu is unfinished" in refused(capsys, "prepare", "check", root)
    made = {path: path.stat().st_mtime_ns for path in root.glob("*/*.png")}
    assert len(made) == 3 * FRAMES - 2

    edit(mat, "labels", 4, sound)
    edit(mat, "labels", 5, sound)
    assert main(call) == 0
    assert "10 frames of 10x6, 2 of them made now" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in made} == made
    assert Folder(root).read("000005").label.shape == (HEIGHT, WIDTH)
    assert sorted(path.name for path in root.iterdir()) == [
        *("dataset.yaml", "depth", "label", "rgb", "test.txt", "train.txt", "trainval.txt", "val.txt")
    ]
    # a frame that is lost later is made again
    (root / "depth" / "000002.png").unlink()
    assert main(call) == 0
    assert "1 of them made now" in capsys.readouterr().out
    assert (root / "depth" / "000002.png").exists()


def test_kill_9_leaves_nothing_half_written(call, tmp_path, capsys):
    """A pipe in the place of a file being written holds the process there, for it to be killed."""
    root = tmp_path / "nyu"
    assert main(call) == 0
    whole = {path: path.read_bytes() for path in root.rglob("*.*")}
    for path in [path for path in whole if path.suffix == ".png"]:
        path.unlink()
    pipe = root / "depth" / "000006.png.part"
    os.mkfifo(pipe)
    before = root / "rgb" / "000006.png"
    running = subprocess.Popen(
        [sys.executable, "-m", "asymfusion_ros.cli", *call, "--workers", "1"], stderr=subprocess.DEVNULL
    )
    try:
        while not before.exists() and running.poll() is None:
            time.sleep(0.01)
    finally:
        running.kill()
        running.wait()
    made = list(root.rglob("*.png"))
    assert len(made) == 16  # five frames, and the image of the sixth
    assert all(path.read_bytes() == whole[path] for path in made)
    pipe.unlink()
    # an empty file is what a failing power supply leaves of one that was never synced
    (root / "label" / "000001.png").write_bytes(b"")
    (root / "label" / "000009.png.part").write_bytes(b"half")
    assert main(call) == 0
    assert {path: path.read_bytes() for path in root.rglob("*.*")} == whole


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full to stand for a full disk")
def test_a_full_disk(call, tmp_path, capsys):
    root = tmp_path / "nyu"
    assert main(call) == 0
    (root / "rgb" / "000003.png").unlink()
    (root / "rgb" / "000003.png.part").symlink_to("/dev/full")
    capsys.readouterr()
    assert f"the disk of {root} is full: free some space and run the same command again" in refused(
        capsys, *call
    )
    assert main(call) == 0
    assert Folder(root).read("000003").rgb.shape == (HEIGHT, WIDTH, 3)


def test_other_options_do_not_mix_with_what_is_there(call, tmp_path, capsys):
    assert main(call) == 0
    line = refused(capsys, *call, "--raw-depth")
    assert "dataset.yaml describes another data set, or one made with other options" in line
    other = tmp_path / "mine"
    (other / "rgb").mkdir(parents=True)
    assert "mine is not empty and was not made by this command" in refused(capsys, *call[:-1], other)
    assert f"cannot write {tmp_path / 'splits.mat'}" in refused(capsys, *call[:-1], tmp_path / "splits.mat")


def test_the_standard_split_is_for_the_whole_file(mat, tmp_path, capsys):
    line = refused(capsys, "prepare", "nyudv2", "--mat", mat, "--output", tmp_path / "nyu")
    assert f"{mat} has 10 frames of 10x6, not NYU's 1449 of 640x480" in line
    assert "--splits" in line
    assert not (tmp_path / "nyu").exists()


def damaged(mat, how):
    with h5py.File(mat, "r+") as file:
        how(file)


def replaced(name, make):
    def change(file):
        data = file[name][()]
        del file[name]
        file[name] = make(data)

    return change


def without(name):
    def change(file):
        del file[name]

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (without("depths"), "has no depths: it is not the nyu_depth_v2_labeled.mat"),
        (without("scenes"), "has no scenes"),
        (
            replaced("images", lambda x: x.transpose(3, 2, 1, 0)),
            "images is 6x10x3x10 of uint8, but NYU's file has it as Nx3xWxH",
        ),
        (replaced("images", lambda x: x.astype(np.float32)), "images is 10x3x10x6 of float32"),
        (replaced("labels", lambda x: x[:9]), "labels is 9x10x6 of uint16 (images: 10x3x10x6)"),
        (
            replaced("depths", lambda x: x.transpose(0, 2, 1)),
            "depths is 10x6x10 of float32 (images: 10x3x10x6)",
        ),
        (replaced("names", lambda x: np.arange(5)), "names is of int64, not a cell array of strings"),
        (replaced("scenes", lambda x: x[:, :9]), "scenes names 9 scenes for 10 frames"),
    ],
)
def test_a_file_of_another_form(mat, call, tmp_path, capsys, change, named):
    damaged(mat, change)
    line = refused(capsys, *call)
    assert str(mat) in line
    assert named in line
    assert not (tmp_path / "nyu").exists()


def test_a_class_that_nyu_does_not_have(mat, call, capsys):
    write_mat(mat, names=["wall", "book", "flor", "dishwasher", "hoverboard"])
    assert f"{mat}: class 'flor' is none of NYU's 894 (2 such names)" in refused(capsys, *call)


def test_a_file_that_is_cut_short_missing_or_another(mat, call, capsys):
    data = mat.read_bytes()
    mat.write_bytes(data[: len(data) // 2])
    assert f"{mat} is cut short, at {len(data) // 2:,} bytes: download it again" in refused(capsys, *call)
    mat.write_bytes(b"MATLAB 5.0 MAT-file" + bytes(600))
    assert f"{mat} (619 bytes) is no HDF5 file" in refused(capsys, *call)
    mat.unlink()
    assert f"{mat} is missing" in refused(capsys, *call)


def test_a_damaged_place_within_the_file(mat, call, tmp_path, capsys):
    with h5py.File(mat) as file:
        place = file["labels"].id.get_chunk_info(0)
    data = bytearray(mat.read_bytes())
    start = place.byte_offset + 512 * (data[place.byte_offset] != 0x78)  # HDF5 may count from the user block
    assert data[start] == 0x78  # zlib's first byte
    data[start : start + place.size] = bytes(place.size)
    mat.write_bytes(data)
    line = refused(capsys, *call)
    assert f"{mat}: labels of frame 1 cannot be read" in line
    assert "download the file again" in line


@pytest.mark.parametrize(
    ("train", "test", "named"),
    [
        ([1, 2, 11], [3], "lists frame 11, but the .mat has frames 1 to 10"),
        ([0, 2], [3], "lists frame 0, but"),
        ([1, 2, 3], [3, 4], "lists frame 3 twice"),
        ([1, 2], [], "leaves testNdxs empty"),
    ],
)
def test_splits_that_do_not_fit(tmp_path, train, test, named):
    path = write_splits(tmp_path / "splits.mat", train, test)
    with pytest.raises(UserError, match=f"splits.mat {named}"):
        read_halves(path, 10)


def test_splits_that_are_none(mat, tmp_path):
    path = tmp_path / "splits.mat"
    with pytest.raises(UserError, match="splits.mat is missing"):
        read_halves(path, 10)
    savemat(path, {"trainNdxs": [1]})
    with pytest.raises(UserError, match="not NYU's splits.mat.*testNdxs"):
        read_halves(path, 10)
    whole = write_splits(path).read_bytes()
    for data in (b"", b"text", whole[: len(whole) - 20], mat.read_bytes()):
        path.write_bytes(data)
        with pytest.raises(UserError, match="not NYU's splits.mat"):
            read_halves(path, 10)


def test_help_of_each_kind(capsys):
    for what in ("nyudv2", "cityscapes", "check"):
        with pytest.raises(SystemExit) as left:
            main(["prepare", what, "--help"])
        assert left.value.code == 0
        assert f"asymfusion prepare {what} " in capsys.readouterr().out.split("examples:")[1]
    assert "--workers is 0" in refused(capsys, "prepare", "check", ".", "--workers", "0")
