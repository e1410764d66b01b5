"""Masks in the formats of others, read back as those formats say."""

import json

import cv2
import numpy as np

from asymfusion_ros.data.labels import LabelSet, label_set
from asymfusion_ros.replay.exports import CITYSCAPES_IDS, Coco, Kitti, Pngs

LABELS = LabelSet("three", ("wall", "floor", "box"))
MASK = np.array([[0, 0, 2, 2], [0, 0, 2, 255], [1, 1, 1, 1]], np.uint8)
PICTURE = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)


def stored(path):
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return image[..., ::-1] if image.ndim == 3 else image


def test_pngs_hold_the_classes_and_their_colours(tmp_path):
    Pngs(tmp_path, LABELS).add(0, "scene/7", PICTURE, MASK)
    np.testing.assert_array_equal(stored(tmp_path / "scene/7.png"), MASK)
    np.testing.assert_array_equal(stored(tmp_path / "colour/scene/7.png"), LABELS.palette[MASK])


def test_coco_panoptic_describes_each_segment(tmp_path):
    coco = Coco(tmp_path, LABELS)
    coco.finish([json.loads(json.dumps(coco.add(7, "a", PICTURE, MASK)))])  # as a part keeps it
    content = json.loads((tmp_path / "panoptic.json").read_text())
    assert content["images"] == [{"id": 7, "file_name": "a.png", "height": 3, "width": 4}]
    assert [(one["id"], one["name"], one["isthing"]) for one in content["categories"]] == [
        (1, "wall", 0),
        (2, "floor", 0),
        (3, "box", 0),
    ]
    (annotation,) = content["annotations"]
    assert (annotation["image_id"], annotation["file_name"]) == (7, "a.png")
    # x, y, width, height
    assert annotation["segments_info"] == [
        {"id": 1, "category_id": 1, "area": 4, "bbox": [0, 0, 2, 2], "iscrowd": 0},
        {"id": 2, "category_id": 2, "area": 4, "bbox": [0, 2, 4, 1], "iscrowd": 0},
        {"id": 3, "category_id": 3, "area": 3, "bbox": [2, 0, 2, 2], "iscrowd": 0},
    ]
    encoded = stored(tmp_path / "panoptic/a.png").astype(int)
    ids = encoded[..., 0] + 256 * encoded[..., 1] + 65536 * encoded[..., 2]
    np.testing.assert_array_equal(ids, np.where(MASK == 255, 0, MASK + 1))
    np.testing.assert_array_equal(stored(tmp_path / "semantic/a.png"), ids)
    np.testing.assert_array_equal(stored(tmp_path / "images/a.png"), PICTURE)


def test_kitti_has_its_own_ids_where_the_classes_are_its_own(tmp_path):
    kitti = Kitti(tmp_path / "own", LABELS)
    kitti.add(12, "a", PICTURE, MASK)
    kitti.finish([{}])
    training = tmp_path / "own/training"
    np.testing.assert_array_equal(stored(training / "semantic/000012_10.png"), MASK)
    np.testing.assert_array_equal(stored(training / "semantic_rgb/000012_10.png"), LABELS.palette[MASK])
    np.testing.assert_array_equal(stored(training / "image_2/000012_10.png"), PICTURE)
    assert (tmp_path / "own/labels.txt").read_text() == "0 wall\n1 floor\n2 box\n"

    cityscapes = Kitti(tmp_path / "city", label_set("cityscapes19"))
    cityscapes.add(0, "a", PICTURE, MASK)
    cityscapes.finish([{}])
    # road is 7, sidewalk 8, building 11; nothing is 0
    expected = np.array([7, 8, 11, *[0] * 253])[MASK]
    np.testing.assert_array_equal(stored(tmp_path / "city/training/semantic/000000_10.png"), expected)
    lines = (tmp_path / "city/labels.txt").read_text().splitlines()
    assert len(CITYSCAPES_IDS) == len(lines) == 19 and lines[0] == "7 road" and lines[-1] == "33 bicycle"
