"""Calibration as `asymfusion evaluate` and a training run have it, against the Segmenter's own confidence."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers import refused, tiny_config, write_checkpoint, write_folder
from safetensors.torch import load_file
from torch.nn import functional as F

from asymfusion_ros import Segmenter
from asymfusion_ros.checkpoint import Checkpoint, load_checkpoint
from asymfusion_ros.cli.main import main
from asymfusion_ros.data.folder import Folder
from asymfusion_training.evaluation.calibrate import Fitted, with_temperatures
from asymfusion_training.evaluation.calibration import BINS

SETS = ("rgb+depth", "rgb", "depth")


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("calibration")


@pytest.fixture(scope="module")
def tiny(home) -> Path:
    return write_checkpoint(home / "tiny.safetensors")


@pytest.fixture(scope="module")
def data(home, tiny) -> Path:
    """Four frames whose labels are what the network says, most of the time; one has void pixels."""
    root = write_folder(home / "stripes", frames=4, size=(60, 96))
    segmenter, folder, rng = Segmenter.from_checkpoint(tiny, "cpu"), Folder(root), np.random.default_rng(3)
    for name in folder.names("train"):
        images = folder.read(name).images
        masks = [segmenter(**{name: images[name] for name in key.split("+")}).numpy().labels for key in SETS]
        choices = np.stack([*masks, rng.integers(0, 3, (60, 96), np.uint8)])
        label = np.take_along_axis(choices, rng.integers(0, 4, (1, 60, 96)), 0)[0]
        if name == "frame1":
            label[:, 20:50] = 255
        cv2.imwrite(str(root / "label" / f"{name}.png"), label)
    return root


@pytest.fixture(scope="module")
def calibrated(tiny, data, home):
    """The report of a run with --calibrate, and what it wrote."""
    output, path = home / "calibrated.safetensors", home / "calibrated.json"
    assert main(words(tiny, data, "--calibrate", output, "--json", path)) == 0
    return json.loads(path.read_text()), output


def words(checkpoint, data, *more):
    arguments = ("evaluate", checkpoint, "--data", data, "--split", "train", "--device", "cpu", *more)
    return [str(word) for word in arguments]


def report(tmp_path, *arguments):
    path = tmp_path / "report.json"
    assert main(words(*arguments, "--json", path)) == 0
    return json.loads(path.read_text())


def pixels(checkpoint, data, modalities=("rgb", "depth")):
    """(right, confidence 0 to 255) of each labelled pixel, from the Segmenter's results."""
    segmenter, folder = Segmenter.from_checkpoint(checkpoint, "cpu"), Folder(data)
    right, confidence = [], []
    for name in folder.names("train"):
        frame = folder.read(name)
        found = segmenter(**{name: frame.images[name] for name in modalities}).numpy()
        known = frame.label != 255
        right.append((found.labels == frame.label)[known])
        confidence.append(found.confidence[known])
    return np.concatenate(right), np.concatenate(confidence)


def calibration_error(right, confidence) -> float:
    """Bin by bin, over the pixels themselves."""
    probability = confidence / 255
    total = 0.0
    for number in range(BINS):
        low, high = number / BINS, (number + 1) / BINS
        inside = (probability >= low) & ((probability < high) | (number == BINS - 1))
        if inside.any():
            total += inside.sum() * abs(right[inside].mean() - probability[inside].mean())
    return total / len(right)


def area(right, confidence) -> float:
    """Threshold by threshold."""
    total, before = 0.0, 0.0
    for threshold in range(255, -1, -1):
        passing = confidence >= threshold
        if passing.any():
            total += (passing.mean() - before) * (~right[passing]).mean()
            before = passing.mean()
    return total


def cross_entropy(checkpoint: Checkpoint, data, modalities, temperature) -> float:
    """The ensemble's over all pixels of the decoder's resolution."""
    segmenter, folder = Segmenter(checkpoint, "cpu"), Folder(data)
    total, count = 0.0, 0
    for name in folder.names("train"):
        frame = folder.read(name)
        images = segmenter.images({name: frame.images[name] for name in modalities})
        logits = segmenter.infer(segmenter.preprocess(images, segmenter.upload(images)))
        label = torch.from_numpy(frame.label)[None, None].float()
        target = F.interpolate(label, logits.shape[-2:], mode="nearest-exact")[0].long()
        total += float(F.cross_entropy(logits / temperature, target, ignore_index=255, reduction="sum"))
        count += int((target != 255).sum())
    return total / count


@pytest.mark.parametrize("given", [("rgb", "depth"), ("depth",)])
def test_the_report_is_of_the_segmenters_confidence(tiny, data, tmp_path, capsys, given):
    found = report(tmp_path, tiny, data, "--modalities", *given)["calibration"]
    right, confidence = pixels(tiny, data, given)
    assert len(np.unique(confidence)) > 20
    error, curve = calibration_error(right, confidence), area(right, confidence)
    assert found == {"ece": pytest.approx(error), "aurc": pytest.approx(curve), "temperature": 1.0}
    assert (
        f"confidence of the ensemble: calibration error {100 * error:.2f} %, area under risk-coverage "
        f"{100 * curve:.2f} %, temperature 1" in capsys.readouterr().out
    )


def test_calibrated_weights_and_description_are_the_same(tiny, calibrated):
    ours, theirs = load_checkpoint(tiny), load_checkpoint(calibrated[1])
    assert load_file(tiny).keys() == load_file(calibrated[1]).keys()
    assert all(torch.equal(ours.state_dict[name], theirs.state_dict[name]) for name in ours.state_dict)
    assert (ours.config, ours.labels, ours.input_spec) == (theirs.config, theirs.labels, theirs.input_spec)
    where = {"data": "stripes", "split": "train", "frames": 4}
    assert theirs.provenance == {**ours.provenance, "calibrated": where}
    assert set(theirs.temperatures) == set(SETS)


def test_half_precision_stays(tiny, tmp_path):
    loaded = load_checkpoint(tiny)
    half = {name: tensor.half() for name, tensor in loaded.state_dict.items()}
    mixed = {**half, "ensemble.alpha": loaded.state_dict["ensemble.alpha"]}
    again = Checkpoint(loaded.config, loaded.labels, loaded.input_spec, loaded.provenance, mixed)
    fitted = [Fitted(("rgb",), 2.0, 0.2, 0.1)]
    with_temperatures(again, fitted, "a", "val", 1).save(tmp_path / "a.safetensors")
    found = load_checkpoint(tmp_path / "a.safetensors")
    assert {name: tensor.dtype for name, tensor in found.state_dict.items()} == {
        name: tensor.dtype for name, tensor in mixed.items()
    }
    assert found.temperatures == {"rgb": 2.0}


def test_calibration_errors_before_and_after_are_the_segmenters(tiny, data, calibrated, tmp_path):
    told, output = calibrated
    temperatures = load_checkpoint(output).temperatures
    for key, found in told["calibrated"].items():
        given = key.split("+")
        assert found["temperature"] == temperatures[key]
        assert found["ece_before"] == pytest.approx(calibration_error(*pixels(tiny, data, given)))
        assert found["ece_after"] == pytest.approx(calibration_error(*pixels(output, data, given)))
    again = report(tmp_path, output, data)["calibration"]
    assert again["ece"] == told["calibrated"]["rgb+depth"]["ece_after"]
    assert again["temperature"] == temperatures["rgb+depth"] != 1
    assert told["calibration"]["temperature"] == 1


def test_no_other_temperature_has_less_cross_entropy(tiny, data, calibrated):
    checkpoint = load_checkpoint(calibrated[1])
    for key in SETS:
        given, fitted = key.split("+"), checkpoint.temperatures[key]
        assert 0.25 < fitted < 4.5
        best = cross_entropy(checkpoint, data, given, fitted)
        for other in (1.0, fitted * 0.9, min(5.0, fitted * 1.1)):
            assert best <= cross_entropy(checkpoint, data, given, other) + 1e-5


def test_labels_stay_the_same(tiny, data, calibrated):
    assert np.array_equal(pixels(tiny, data)[0], pixels(calibrated[1], data)[0])


def test_sets_that_are_not_given_keep_their_temperatures(calibrated, data, tmp_path, capsys):
    before = load_checkpoint(calibrated[1]).temperatures
    output = tmp_path / "again.safetensors"
    options = ("--modalities", "rgb", "--limit", 1, "--calibrate", output)
    assert main(words(calibrated[1], data, *options)) == 0
    after = load_checkpoint(output)
    assert {key: after.temperatures[key] for key in ("rgb+depth", "depth")} == {
        key: before[key] for key in ("rgb+depth", "depth")
    }
    assert after.temperatures["rgb"] != before["rgb"]
    assert after.provenance["calibrated"]["frames"] == 1
    out = capsys.readouterr().out
    assert "calibration error in %, before and after" in out
    assert out.endswith(f"written to {output}\n")


def test_processes_agree(tiny, data, calibrated, tmp_path):
    output = tmp_path / "two.safetensors"
    found = report(tmp_path, tiny, data, "--processes", 2, "--calibrate", output)
    assert found == calibrated[0]
    assert load_checkpoint(output).to_metadata() == load_checkpoint(calibrated[1]).to_metadata()


def test_another_checkpoint_has_its_own(tiny, data, calibrated, tmp_path):
    found = report(tmp_path, tiny, data, "--against", calibrated[1])
    assert found["calibration"] == calibrated[0]["calibration"]
    assert found["against"]["calibration"]["ece"] == calibrated[0]["calibrated"]["rgb+depth"]["ece_after"]


def test_several_views_have_none(tiny, data, tmp_path, capsys):
    for options in (("--flip",), ("--scales", 0.5), ("--scales", 0.5, 1)):
        assert report(tmp_path, tiny, data, *options)["calibration"] is None
    assert "confidence of the ensemble" not in capsys.readouterr().out


def test_the_picture(tiny, data, tmp_path):
    assert main(words(tiny, data, "--reliability", tmp_path / "a.png")) == 0
    height, width = cv2.imread(str(tmp_path / "a.png")).shape[:2]
    assert width > height > 300
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (
            ["--calibrate", "default"],
            "--calibrate default: name the checkpoint to write, a .safetensors file",
        ),
        (
            ["--calibrate", "/nowhere/a.safetensors"],
            "cannot write /nowhere/a.safetensors: there is no folder",
        ),
        (["--calibrate", "a.safetensors", "--flip"], "--calibrate takes the frames as they are"),
        (
            ["--calibrate", "a.safetensors", "--depth-holes", "0.1"],
            "leave out --scales, --flip and --depth-h",
        ),
        (["--reliability", "a.pdf"], "--reliability a.pdf: the picture is a PNG; name it .png"),
        (["--reliability", "a.png", "--scales", "0.5"], "leave out --scales and --flip"),
    ],
)
def test_what_is_refused_before_any_work(tiny, data, capsys, monkeypatch, tmp_path, arguments, named):
    monkeypatch.chdir(tmp_path)
    assert named in refused(capsys, *words(tiny, data, *arguments))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_what_was_there(tiny, data, tmp_path, capsys):
    """/dev/full answers every write as a full disk does."""
    output = tmp_path / "a.safetensors"
    output.write_bytes(b"before")
    (tmp_path / "a.safetensors.partial").symlink_to("/dev/full")
    options = ("--limit", 1, "--modalities", "rgb", "--calibrate", output)
    assert main(words(tiny, data, *options)) == 1
    assert f"cannot write {output}: No space left on device" in capsys.readouterr().err
    assert output.read_bytes() == b"before"


def test_a_network_of_one_modality(home, data, tmp_path):
    checkpoint = write_checkpoint(home / "depth.safetensors", tiny_config(("depth",)))
    found = report(tmp_path, checkpoint, data, "--calibrate", tmp_path / "a.safetensors")
    assert list(found["calibrated"]) == ["depth"]
    assert list(load_checkpoint(tmp_path / "a.safetensors").temperatures) == ["depth"]
