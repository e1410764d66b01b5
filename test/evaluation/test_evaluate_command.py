"""`asymfusion evaluate`: its files, comparisons between checkpoints, and what it refuses."""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from helpers import CLASSES, refused, tiny_checkpoint, tiny_config, write_checkpoint, write_folder

from asymfusion_ros import Segmenter
from asymfusion_ros.cli.main import main
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.labels import NYU40, customary_colours
from asymfusion_ros.data.metrics import ConfusionMatrix
from asymfusion_ros.errors import ConfigError
from asymfusion_training.evaluation.confusion_picture import row_shares, save_confusion
from asymfusion_training.evaluation.counts import FrameCounts, summed
from asymfusion_training.evaluation.report import absent_classes
from asymfusion_training.loop.devices import choose_processes


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("evaluate")


@pytest.fixture(scope="module")
def both(home):
    tiny_checkpoint(home)
    return home / "tiny.safetensors"


@pytest.fixture(scope="module")
def colour_alone(home):
    return write_checkpoint(home / "rgb.safetensors", tiny_config(("rgb",)))


@pytest.fixture(scope="module")
def data(home):
    return write_folder(home / "stripes", frames=4, size=(60, 96))


def report(tmp_path, *arguments):
    """The JSON that the command writes."""
    path = tmp_path / "report.json"
    arguments = ("evaluate", *arguments, "--split", "train", "--device", "cpu", "--json", path)
    assert main([str(argument) for argument in arguments]) == 0
    return json.loads(path.read_text())


def test_the_report_holds_what_it_was_made_of(both, data, tmp_path):
    found = report(tmp_path, both, "--data", data)
    assert (found["checkpoint"], found["data"], found["split"]) == (str(both), "stripes", "train")
    assert (found["frames"], found["modalities"]) == (4, ["rgb", "depth"])
    assert found["settings"] == {
        "scales": [1.0],
        "flip": False,
        "depth_holes": 0.0,
        "seed": 0,
        "boundary_ratio": 0.02,
    }
    assert found["precision"] == "fp32"
    for branch in found["branches"].values():
        matrix = ConfusionMatrix(3)
        matrix.counts += torch.tensor(branch["confusion"])
        assert matrix.counts.sum() == 4 * 60 * 96
        assert matrix.scores() == {key: branch[key] for key in matrix.scores()}
        assert branch["mean_iou_present"] == matrix.mean_iou_present()
        by_class = branch["class_boundary_iou"]
        assert list(by_class) == list(CLASSES)
        known = [iou for iou in by_class.values() if iou is not None]
        assert branch["boundary_iou"] == pytest.approx(sum(known) / len(known))
    assert "bootstrap" not in found


def test_classes_that_no_label_has_are_named():
    """floor is right in 6 pixels of 8, 2 are taken for box, which only the ensemble does."""
    rgb, ensemble = np.zeros((2, 3, 3), np.int64)
    rgb[1, 1], ensemble[1, 1:] = 8, (6, 2)
    scores = {
        output: summed(["x"], 3, [{"x": FrameCounts(confusion, np.zeros((2, 3), np.int64))}])["x"]
        for output, confusion in (("rgb", rgb), ("ensemble", ensemble))
    }
    assert absent_classes(scores, CLASSES) == (
        "predicted, but in no label: box; mean IoU without them: rgb 100.00, ensemble 75.00"
    )
    assert (scores["ensemble"].scores()["mean_iou"], scores["ensemble"].scores()["mean_iou_present"]) == (
        0.375,
        0.75,
    )
    assert absent_classes({"rgb": scores["rgb"]}, CLASSES) == ""


def test_settings_reach_the_scores(both, data, tmp_path):
    plain = report(tmp_path, both, "--data", data)
    options = ("--scales", 0.5, 1, "--flip", "--depth-holes", 0.5, "--seed", 3, "--boundary-ratio", 0.1)
    found = report(tmp_path, both, "--data", data, *options)
    assert found["settings"] == {
        "scales": [0.5, 1.0],
        "flip": True,
        "depth_holes": 0.5,
        "seed": 3,
        "boundary_ratio": 0.1,
    }
    for branch in ("rgb", "depth", "ensemble"):
        assert found["branches"][branch]["confusion"] != plain["branches"][branch]["confusion"]
    wider = report(tmp_path, both, "--data", data, "--boundary-ratio", 0.1)["branches"]["rgb"]
    assert wider["confusion"] == plain["branches"]["rgb"]["confusion"]
    assert wider["boundary_iou"] != plain["branches"]["rgb"]["boundary_iou"]


@pytest.mark.parametrize(("given", "other"), [("rgb", "depth"), ("depth", "rgb")])
def test_data_of_one_modality(both, tmp_path, given, other):
    data = write_folder(tmp_path / "stripes", frames=2)
    whole = report(tmp_path, both, "--data", data, "--modalities", given)
    (data / other).rename(tmp_path / "elsewhere")
    found = report(tmp_path, both, "--data", data, "--modalities", given)
    assert found == whole
    assert found["modalities"] == [given]
    assert list(found["branches"]) == [given, "ensemble"]


def test_the_ensemble_against_its_branches(both, data, tmp_path, capsys):
    found = report(tmp_path, both, "--data", data, "--bootstrap")
    drawn = found["bootstrap"]
    assert (drawn["frames"], drawn["resamples"], drawn["confidence"]) == (4, 10_000, 0.95)
    assert [(one["one"], one["other"]) for one in drawn["mean_iou"]] == [
        ("ensemble", "rgb"),
        ("ensemble", "depth"),
    ]
    branches = found["branches"]
    for one in drawn["mean_iou"]:
        value = branches["ensemble"]["mean_iou"] - branches[one["other"]]["mean_iou"]
        assert one["difference"] == pytest.approx(value)
        assert one["low"] <= one["high"]
        assert one["significant"] == (not one["low"] <= 0 <= one["high"])
    out = capsys.readouterr().out
    assert "ensemble - rgb" in out
    assert "significant" in out


def test_against_a_network_of_fewer_modalities(both, colour_alone, data, tmp_path, capsys):
    found = report(tmp_path, both, "--data", data, "--against", colour_alone)
    alone = report(tmp_path, colour_alone, "--data", data)
    assert found["branches"] == report(tmp_path, both, "--data", data)["branches"]
    assert found["against"] == {
        key: alone[key] for key in ("checkpoint", "modalities", "branches", "calibration")
    }
    (one,) = found["bootstrap"]["mean_iou"]
    assert (one["one"], one["other"]) == (str(both), str(colour_alone))
    value = found["branches"]["ensemble"]["mean_iou"] - alone["branches"]["ensemble"]["mean_iou"]
    assert one["difference"] == pytest.approx(value)
    assert f"{both} - {colour_alone}" in capsys.readouterr().out


def test_against_itself_nothing_is_significant(both, data, tmp_path, capsys):
    found = report(tmp_path, both, "--data", data, "--against", both, "--depth-holes", 0.4)
    (one,) = found["bootstrap"]["mean_iou"]
    assert (one["difference"], one["low"], one["high"], one["significant"]) == (0, 0, 0, False)
    assert "not significant: 0 lies inside the interval" in capsys.readouterr().out


def test_masks_are_the_engines_labels(both, data, tmp_path):
    masks = tmp_path / "new" / "masks"
    report(tmp_path, both, "--data", data, "--save-masks", masks)
    segmenter, folder = Segmenter.from_checkpoint(both, "cpu"), Folder(data)
    for name in folder.names("train"):
        frame = folder.read(name)
        mask = cv2.imread(str(masks / f"{name}.png"), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(mask, segmenter(**frame.images).numpy().labels)
        coloured = cv2.imread(str(masks / "colour" / f"{name}.png"))[..., ::-1]
        assert np.array_equal(coloured, np.array(customary_colours(3))[mask])
    assert len([path for path in masks.rglob("*") if path.is_file()]) == 8


def test_the_confusion_matrix_as_a_picture(both, data, tmp_path):
    path = tmp_path / "confusion.png"
    report(tmp_path, both, "--data", data, "--confusion", path)
    assert cv2.imread(str(path)).shape[0] > 100
    assert list(tmp_path.glob("*.partial")) == []


def test_rows_of_the_picture_by_hand():
    matrix = ConfusionMatrix(3)
    matrix.counts += torch.tensor([[3, 1, 0], [0, 0, 0], [0, 5, 5]])
    assert row_shares(matrix).tolist() == pytest.approx(
        np.array([[0.75, 0.25, 0], [np.nan] * 3, [0, 0.5, 0.5]]), nan_ok=True
    )


def test_a_picture_of_forty_classes_has_room_for_their_names(tmp_path):
    matrix = ConfusionMatrix(40)
    matrix.counts += torch.eye(40, dtype=torch.int64)
    save_confusion(tmp_path / "a.png", matrix, NYU40, "perfect")
    # a cell and its name are at least 30 pixels high
    assert min(cv2.imread(str(tmp_path / "a.png")).shape[:2]) > 40 * 30


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--scales", "1", "0"], "scoring: scales has 0.0; give one or more, each above 0"),
        (["--scales", "-0.5"], "scales has -0.5"),
        (["--scales", "nan"], "scoring: scales is (nan,); it must be a list, each a number"),
        (["--depth-holes", "1.5"], "depth_holes is 1.5; it must be 0 to 1"),
        (["--boundary-ratio", "0"], "boundary_ratio is 0.0; it must be 0 to 1 (0 excluded)"),
        (["--seed", "-1"], "seed is -1; it must be 0 or more"),
        (["--modalities", "thermal"], "'thermal' is not one of the checkpoint's rgb, depth"),
        (
            ["--modalities", "rgb", "--depth-holes", "0.1"],
            "--depth-holes changes nothing: depth is not",
        ),
        (["--modalities", "rgb", "--bootstrap"], "with rgb only, the ensemble is that modality"),
        (["--bootstrap", "--limit", "1"], "--bootstrap and --against need 2 or more"),
        (["--processes", "0"], "--processes is 0; it must be 1 or more"),
        (["--processes", "5"], "5 processes for 4 frames: use at most 4"),
        (["--confusion", "matrix.pdf"], "the picture is a PNG; name it .png"),
        (["--confusion", "/nowhere/a.png"], "cannot write /nowhere/a.png: there is no folder /nowhere"),
        (["--save-masks", "/dev/null/masks"], "cannot make the folder /dev/null/masks: Not a directory"),
    ],
)
def test_what_is_refused_before_any_work(both, data, capsys, arguments, named):
    line = refused(
        capsys, "evaluate", both, "--data", data, "--split", "train", "--device", "cpu", *arguments
    )
    assert named in line


def test_other_checkpoints_that_cannot_be_compared(both, home, data, capsys):
    four = write_checkpoint(home / "four.safetensors", tiny_config(classes=4), names=("a", "b", "c", "d"))
    line = refused(capsys, "evaluate", both, "--data", data, "--against", four)
    assert f"checkpoint {four} has 4 classes (tiny), but {data} has 3 (stripes)" in line
    renamed = write_checkpoint(home / "renamed.safetensors", names=("wall", "floor", "bag"))
    line = refused(capsys, "evaluate", both, "--data", data, "--against", renamed)
    assert f"class 2 is 'bag' in checkpoint {renamed}, but 'box' in {data}" in line
    depth = write_checkpoint(home / "depth.safetensors", tiny_config(("depth",)))
    line = refused(capsys, "evaluate", both, "--data", data, "--against", depth, "--modalities", "rgb")
    assert line.endswith(f"--against {depth} has depth, none of --modalities rgb")


def test_a_modality_that_no_folder_has(home, data, capsys):
    thermal = write_checkpoint(home / "thermal.safetensors", tiny_config(("rgb", "thermal")))
    line = refused(capsys, "evaluate", thermal, "--data", data)
    assert f"{data} has images of rgb, depth, not of thermal: list them under images" in line


def test_processes_and_gpus(monkeypatch):
    """Which device each process gets; nothing runs on it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)

    def chosen(device, count, **environment):
        found = choose_processes(device, count, "--processes", environment)
        return found.accelerator, found.devices, found.count

    ranks = {"TORCHELASTIC_RUN_ID": "1", "LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "6"}
    assert chosen("auto", 1) == ("cuda", 1, 1)
    assert chosen("auto", 2) == ("cuda", 2, 2)
    assert chosen("cuda:1", 1) == ("cuda", [1], 1)
    assert chosen("cpu", 3) == ("cpu", 3, 3)
    assert chosen("auto", 1, **ranks) == ("cuda", 2, 6)
    assert chosen("cpu", 1, **ranks) == ("cpu", 2, 6)
    for arguments, environment, why in (
        (("auto", 3), {}, "3 GPUs are asked for, but this machine has 2: lower --processes to 2"),
        (("cuda:1", 2), {}, "--processes 2 on cuda:1, which is one GPU"),
        (("cpu", 2), ranks, "--processes 2 under torchrun"),
        (("auto", 1), {**ranks, "LOCAL_WORLD_SIZE": "3"}, "3 GPUs are asked for"),
        (("cuda:3", 1), {}, "cuda:3"),
    ):
        with pytest.raises(ConfigError, match=why):
            chosen(*arguments, **environment)


@pytest.mark.parametrize("name", ["../../precious", "{here}/precious"])
def test_no_mask_is_written_outside_its_folder(both, tmp_path, capsys, name):
    """A list of frames that somebody else made may name any file."""
    data = write_folder(tmp_path / "data", frames=2)
    precious = tmp_path / "precious.png"
    precious.write_bytes((data / "label" / "frame0.png").read_bytes())
    before = precious.read_bytes()
    for part in ("rgb", "depth", "label"):  # so that the frame could be read
        shutil.copy(data / part / "frame0.png", data / part / "precious.png")
    (data / "val.txt").write_text(f"frame0\n{name.format(here=tmp_path)}\n")
    masks = tmp_path / "out" / "masks"
    line = refused(capsys, "evaluate", both, "--data", data, "--device", "cpu", "--save-masks", masks)
    assert "val.txt: " in line and "leads out of the folder" in line
    assert precious.read_bytes() == before
