"""`asymfusion prepare nyudv2`: files that are not what NYU publishes."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers import refused
from miniatures import nyudv2_call, write_mat, write_splits
from scipy.io import savemat

from asymfusion_ros.errors import UserError
from asymfusion_training.prepare.nyudv2_splits import read_halves


@pytest.fixture
def call(tmp_path):
    return nyudv2_call(tmp_path)


@pytest.fixture
def mat(call):
    return Path(call[call.index("--mat") + 1])


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


def test_the_standard_split_is_for_the_whole_file(mat, tmp_path, capsys):
    line = refused(capsys, "prepare", "nyudv2", "--mat", mat, "--output", tmp_path / "nyu")
    assert f"{mat} has 10 frames of 10x6, not NYU's 1449 of 640x480" in line
    assert "--splits" in line
    assert not (tmp_path / "nyu").exists()


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
    assert f"{mat}: class 'flor' is not one of NYU's 894 (2 such names)" in refused(capsys, *call)


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
    path = tmp_path / "other_splits.mat"
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
