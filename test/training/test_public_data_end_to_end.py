"""From a data set as it is published to a mask: prepare, train, evaluate, Segmenter, node."""

import json

import cv2
import pytest
from helpers import refused
from miniatures import nyudv2_call, write_mat, write_tree

from asymfusion_ros import Segmenter
from asymfusion_ros.cli.main import main
from asymfusion_ros.data.folder import Folder

SIZE = (48, 64)
RECIPE = """\
network: {architecture: refinenet_lw, encoder: efficientnet_lite0, decoder_channels: 8}
input: {height: 48, width: 64}
pretrained: none
epochs: 2
batch: 2
validate_every: 2
"""


def run(*words):
    assert main([str(word) for word in words]) == 0


def trained(data, root):
    """A few steps on a prepared folder, scored: the best checkpoint and the report."""
    (root / "r.yaml").write_text(RECIPE)
    output, report = root / "run", root / "scores.json"
    run("train", "--data", data, "--recipe", root / "r.yaml", "--output", output, "--device", "cpu")
    best = output / "best.safetensors"
    masks = ("--save-masks", root / "masks", "--json", report)
    run("evaluate", best, "--data", data, "--split", "val", "--device", "cpu", *masks)
    return best, json.loads(report.read_text())


@pytest.fixture(scope="module")
def nyudv2(tmp_path_factory):
    root = tmp_path_factory.mktemp("nyudv2")
    call = nyudv2_call(root)
    write_mat(root / "nyu_depth_v2_labeled.mat", size=SIZE)
    run(*call)
    best, report = trained(root / "nyu", root)
    return root, best, report


def test_nyudv2_to_the_engine(nyudv2):
    root, best, report = nyudv2
    folder = Folder(root / "nyu")
    assert report["data"] == "nyudv2" and len(report["branches"]["ensemble"]["class_iou"]) == 40
    segmenter = Segmenter.from_checkpoint(best, device="cpu")
    assert segmenter.label_set.names[0] == "wall"
    names = folder.names("val")
    hits = known = 0
    for name in names:
        sample = folder.read(name)
        labels = segmenter(sample.images["rgb"], sample.images["depth"]).numpy().labels
        # what was scored is what the engine says
        mask = cv2.imread(str(root / "masks" / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert mask.shape == labels.shape == SIZE
        assert (mask == labels).mean() > 0.99
        hits += (mask == sample.label).sum()
        known += (sample.label != 255).sum()
    assert report["branches"]["ensemble"]["pixel_accuracy"] == pytest.approx(hits / known)


def test_nyudv2_to_the_node(nyudv2):
    pytest.importorskip("rclpy", reason="needs rclpy")
    from node_harness import SECOND, Rig, distances, expected_labels, picture, pixels_of

    _, best, _ = nyudv2
    rig = Rig(best).start()
    try:
        rig.send_frame(100 * SECOND, seed=3)
        mask = pixels_of(rig.mask(100 * SECOND))
    finally:
        rig.close()
    assert (mask == expected_labels(best, picture(3), distances(3))).all()


def test_cityscapes_to_a_checkpoint(tmp_path):
    tree = write_tree(tmp_path / "cityscapes", size=SIZE)
    run("prepare", "cityscapes", "--root", tree, "--output", tmp_path / "city", "--partial")
    best, report = trained(tmp_path / "city", tmp_path)
    assert (report["data"], report["frames"]) == ("cityscapes", 1)
    assert list(report["branches"]) == ["rgb", "depth", "ensemble"]
    assert len(report["branches"]["ensemble"]["class_iou"]) == 19
    assert Segmenter.from_checkpoint(best, device="cpu").label_set.names[0] == "road"


def test_training_before_preparing_is_told_so(tmp_path, capsys):
    call = nyudv2_call(tmp_path)
    line = refused(capsys, "train", "--data", call[call.index("--mat") + 1], "--output", tmp_path / "run")
    assert "is not a data set" in line
