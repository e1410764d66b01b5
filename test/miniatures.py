"""Miniatures of public data sets in their official form: NYU's HDF5 file and a Cityscapes tree."""

import json

import cv2
import h5py
import numpy as np
from scipy.io import savemat

HEIGHT, WIDTH, FRAMES = 6, 10, 10
# Labels 1 to 5. NYU40: wall 1, otherprop 40, floor 2, otherstructure 38, otherfurniture 39.
NAMES = ["wall", "book", "floor", "dishwasher", "garbage bin"]
SCENES = [
    "cafe_0001a",
    "cafe_0001b",
    "den_1",
    "den_1",
    "bar_3",
    "bar_3",
    "spa_7",
    "spa_7",
    "gym_2",
    "gym_2",
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


def write_mat(path, names=NAMES, scenes=SCENES, size=(HEIGHT, WIDTH)):
    rng = np.random.default_rng(3)
    shape = (FRAMES, *size[::-1])
    with h5py.File(path, "w", userblock_size=512) as file:
        file["images"] = rng.integers(0, 256, (FRAMES, 3, *size[::-1]), np.uint8)
        file["depths"] = rng.uniform(0.7, 9.9, shape).astype(np.float32)
        file["rawDepths"] = np.zeros(shape, np.float32)
        labels = rng.integers(0, len(NAMES) + 1, shape, np.uint16)
        file.create_dataset("labels", data=labels, compression="gzip")
        file["names"] = cells(file, names)
        file["scenes"] = cells(file, scenes)
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512))
    return path


def write_splits(path, train=TRAIN, test=TEST):
    columns = {"trainNdxs": train, "testNdxs": test}
    savemat(path, {name: np.array(numbers, np.uint16)[:, None] for name, numbers in columns.items()})
    return path


def nyudv2_call(folder):
    """The arguments of a call that works: folder/nyu_depth_v2_labeled.mat -> folder/nyu."""
    mat, splits = write_mat(folder / "nyu_depth_v2_labeled.mat"), write_splits(folder / "splits.mat")
    files = {"--mat": mat, "--splits": splits, "--output": folder / "nyu"}
    return ["prepare", "nyudv2", *(str(word) for pair in files.items() for word in pair)]


CITY_SIZE = (3, 8)
# split -> frames
CITIES = {
    "train": ["aachen_000000_000019", "aachen_000001_000019", "bochum_000000_000313"],
    "val": ["frankfurt_000000_000294"],
    "test": ["berlin_000000_000019"],
}
CAMERA = {"extrinsic": {"baseline": 0.2, "pitch": 0.04}, "intrinsic": {"fx": 2000.0, "fy": 2000.0}}


def place(root, kind, split, name, ending):
    path = root / kind / split / name.split("_")[0] / f"{name}_{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_tree(root, size=CITY_SIZE):
    rng = np.random.default_rng(5)
    for split, names in CITIES.items():
        for name in names:
            rgb = rng.integers(0, 256, (*size, 3), np.uint8)
            # the labels of test are not public: its files say that all of it is out of the region of interest
            ids = np.full(size, 3, np.uint8) if split == "test" else rng.integers(0, 34, size, np.uint8)
            disparity = rng.integers(0, 30000, size, np.uint16)
            cv2.imwrite(str(place(root, "leftImg8bit", split, name, "leftImg8bit.png")), rgb)
            cv2.imwrite(str(place(root, "gtFine", split, name, "gtFine_labelIds.png")), ids)
            cv2.imwrite(str(place(root, "gtFine", split, name, "gtFine_instanceIds.png")), disparity)
            cv2.imwrite(str(place(root, "disparity", split, name, "disparity.png")), disparity)
            place(root, "camera", split, name, "camera.json").write_text(json.dumps(CAMERA))
    return root
