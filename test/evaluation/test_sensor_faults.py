"""The study of sensor faults: each fault and each rate by hand, and the whole of it on a small folder."""

import json

import cv2
import numpy as np
import pytest
from helpers import tiny_config, write_checkpoint, write_folder

from asymfusion_ros import Segmenter
from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.checkpoint.usual_disagreement import UsualDisagreement, histogram
from asymfusion_ros.cli.main import main as command
from asymfusion_ros.data.folder import Folder
from asymfusion_training.evaluation import sensor_study
from asymfusion_training.evaluation.sensor_example import examples, save_examples
from asymfusion_training.evaluation.sensor_faults import CLEAN, FAULTS, HARMLESS, half, scaled, shifted
from asymfusion_training.evaluation.sensor_rates import alarm_rate, cross_fitted, shares

DEPTH = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.float32)
OTHER = np.full((2, 4), 9, np.float32)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (shifted(1), [[0, 1, 2, 3], [0, 5, 6, 7]]),
        (shifted(3), [[0, 0, 0, 1], [0, 0, 0, 5]]),
        (half(0), [[0, 0, 3, 4], [0, 0, 7, 8]]),
        (half(0.5), [[0.5, 0.5, 3, 4], [0.5, 0.5, 7, 8]]),
        (scaled(10), [[10, 20, 30, 40], [50, 60, 70, 80]]),
    ],
)
def test_changes_by_hand(change, expected):
    before = DEPTH.copy()
    found = change(DEPTH, OTHER)
    assert found.tolist() == expected
    assert found.dtype == np.float32
    assert np.array_equal(before, DEPTH)


def test_each_fault_changes_one_modality():
    rng = np.random.default_rng(0)
    images = {"rgb": rng.integers(1, 256, (60, 90, 3), np.uint8)}
    images["depth"] = rng.uniform(1, 9, (60, 90)).astype(np.float32)
    others = {name: image[::-1].copy() for name, image in images.items()}
    for fault in (*FAULTS, *HARMLESS):
        found = fault(images, others)
        kept = "rgb" if fault.modality == "depth" else "depth"
        assert found[kept] is images[kept]
        assert found[fault.modality].shape == images[fault.modality].shape
        assert found[fault.modality].dtype == images[fault.modality].dtype
        assert not np.array_equal(found[fault.modality], images[fault.modality]), fault.name
    by_name = {fault.name: fault(images, others)["depth"] for fault in (*FAULTS, *HARMLESS, CLEAN)}
    assert np.array_equal(by_name["clean"], images["depth"])
    assert np.array_equal(by_name["depth mirrored"], images["depth"][:, ::-1])
    assert np.array_equal(by_name["depth of another scene"], others["depth"])
    assert (by_name["depth with 30 % of it not measured"] == 0).mean() == pytest.approx(0.3, abs=0.001)


def counts(*frames):
    """Of frames of ten pixels, so many of which are at level 200 and the rest at 0."""
    return np.stack([histogram(np.repeat(np.uint8([200, 0]), [high, 10 - high])) for high in frames])


def test_rates_by_hand():
    """No more than 5 % of the good frames' pixels are high, so that the level is 0 and shares are tenths."""
    good = counts(*[0] * 9, 1, *[0] * 10)
    bad = counts(*[1] * 10, *[0] * 5, *[2] * 5)
    assert shares(bad, 0) == [0.1] * 10 + [0.0] * 5 + [0.2] * 5
    halves = cross_fitted({"clean": good, "bad": bad}, "clean")
    assert [half.usual.level for half in halves] == [0, 0]
    assert [half.usual.quantile(1) for half in halves] == [0.0, 0.1]  # of the other half
    assert halves[0].shares["bad"] == [0.1] * 10
    # first half: all ten exceed 0; second half: its last five exceed 0.1
    assert alarm_rate(halves, "bad", 1.0, 1) == 15 / 20
    # means of five: all six windows; the second half's 0, .04, .08, .12, .16, .2 exceed 0.1 three times
    assert alarm_rate(halves, "bad", 1.0, 5) == 9 / 12
    assert alarm_rate(halves, "clean", 1.0, 1) == 1 / 20
    assert alarm_rate(halves, "clean", 1.0, 11) is None
    # the first half's good windows of five reach .02: the second half's last five exceed that, of its six
    assert alarm_rate(halves, "bad", 1.0, 5, own_threshold=True) == 11 / 12


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("study")


@pytest.fixture(scope="module")
def data(home):
    return write_folder(home / "stripes", frames=4, size=(48, 64))


@pytest.fixture(scope="module")
def tiny(home):
    return write_checkpoint(home / "tiny.safetensors")


def test_the_study(tiny, data, home, capsys):
    output, picture = home / "study.json", home / "study.png"
    words = [tiny, "--data", data, "--split", "train", "--device", "cpu", "--json", output]
    words += ["--plot", picture]
    assert sensor_study.main([str(word) for word in words]) == 0
    report = json.loads(output.read_text())
    conditions = [one.name for one in (CLEAN, *HARMLESS, *FAULTS)]
    assert report["frames"] == 4
    assert all(list(rates) == conditions for rates in report["rates"].values())
    assert all(list(rates) == conditions for rates in report["measures"].values())
    assert report["rates"]["0.95"]["depth mirrored"].keys() == {"1", "5", "10"}
    assert report["rates"]["0.95"]["depth mirrored"]["5"] is None
    table = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in table[2:]] == conditions
    assert cv2.imread(str(picture)).shape[1] > 800
    # the shares of a fault, by the Segmenter itself; the level is of the other half
    folder, segmenter = Folder(data), Segmenter.from_checkpoint(tiny, "cpu")
    for number, name in enumerate(folder.names("train")):
        frame = folder.read(name)
        images = {"rgb": frame.images["rgb"], "depth": frame.images["depth"][:, ::-1].copy()}
        apart = segmenter.segment(images, disagreement=True).numpy().disagreement
        level = report["halves"][number // 2]["level"]
        assert report["shares"]["depth mirrored"][number] == pytest.approx((apart > level).mean(), abs=1e-4)


def test_what_the_study_refuses(data, home, capsys):
    alone = write_checkpoint(home / "rgb.safetensors", tiny_config(("rgb",)))
    assert sensor_study.main([str(alone), "--data", str(data)]) == 1
    assert "rgb.safetensors takes no depth: the faults are of rgb and depth" in capsys.readouterr().err


def test_calibrate_measures_what_is_usual(tiny, data, home, capsys):
    output, path = home / "calibrated.safetensors", home / "calibrated.json"
    words = ("evaluate", tiny, "--data", data, "--split", "train", "--device", "cpu", "--calibrate", output)
    assert command([*map(str, words), "--json", str(path)]) == 0
    assert "rgb+depth usually disagree beyond" in capsys.readouterr().out
    segmenter, folder = Segmenter.from_checkpoint(tiny, "cpu"), Folder(data)
    frames = [folder.read(name).images for name in folder.names("train")]
    apart = [segmenter.segment(images, disagreement=True).numpy().disagreement for images in frames]
    beyond = [(np.stack(apart) > level).mean() for level in range(256)]
    level = next(level for level in range(256) if beyond[level] <= 0.05)
    expected = UsualDisagreement.measured([histogram(one) for one in apart])
    assert expected.level == level
    checkpoint = load_checkpoint(output)
    assert checkpoint.disagreements == {"rgb+depth": expected}
    assert json.loads(path.read_text())["calibrated"]["rgb+depth"]["disagreement"] == expected.to_dict()
    # sets that are not measured again keep theirs
    words = (*words[:1], output, *words[2:-1], home / "again.safetensors", "--modalities", "rgb")
    assert command([*map(str, words)]) == 0
    assert load_checkpoint(home / "again.safetensors").disagreements == {"rgb+depth": expected}
    assert command(["info", str(output)]) == 0
    out = capsys.readouterr().out
    assert f"rgb+depth usually beyond {level} of 255" in out
    assert f"rgb+depth {checkpoint.temperatures['rgb+depth']:.3f}" in out


def test_the_nodes_default_is_what_the_study_reports():
    from asymfusion_ros.ros.settings import NodeSettings

    assert NodeSettings().disagreement_alarm == sensor_study.QUANTILE


def test_the_default_checkpoint_on_a_scene_unlike_its_data(tmp_path):
    """The alarm's threshold tells good depth in the demo's recording from depth that is half blocked."""
    pytest.importorskip("skimage", reason="needs scikit-image, which ships the recording")
    segmenter = Segmenter.from_checkpoint("default", "cpu")
    usual = segmenter.checkpoint.usual_disagreement(("rgb", "depth"))
    blocked = next(fault for fault in FAULTS if fault.name == "depth half blocked: nothing measured")
    found = examples(segmenter, [CLEAN, blocked])
    good, bad = (usual.share(one.disagreement) for one in found)
    assert good < usual.quantile(sensor_study.QUANTILE) < bad
    save_examples(tmp_path / "a.png", found, usual.level)
    assert cv2.imread(str(tmp_path / "a.png")).shape[1] > 600
