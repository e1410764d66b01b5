"""`asymfusion ablate table3` on generated views: the rows, the scores without weights, what is refused."""

import csv

import pytest
from generated_views import prepared_views
from helpers import refused
from unets import TINY, register_tiny_unet

from asymfusion_ros.cli.main import main
from asymfusion_training.ablation.tables import TABLES

ROWS = ("shade+depth_average", "shade+depth_asymmetric")


@pytest.fixture(autouse=True)
def tiny_unet(monkeypatch):
    register_tiny_unet(monkeypatch)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("views")
    return prepared_views(root, ("depth", "shade"), views=2, size=32, train=2, val=2)


def arguments(data, *more):
    words = ["ablate", "table3", "--data", data, "--device", "cpu", "--workers", 0, "--rows", *ROWS]
    words += ["--set", f"network.encoder={TINY}", "--set", "epochs=1", "--set", "discriminator_width=2"]
    return [str(word) for word in (*words, *more)]


def test_rows_are_trained_scored_and_compared_by_l1(data, tmp_path, capsys):
    assert main(arguments(data, "--output", tmp_path, "--scores", "l1", "ssim")) == 0
    with (tmp_path / "table3.csv").open() as file:
        rows = {row["row"]: row for row in csv.DictReader(file)}
    assert list(rows) == list(TABLES["table3"].rows) and len(rows) == 20
    done = [rows[key] for key in ROWS]
    assert all(0 < float(row["l1"]) < 100 and float(row["psnr"]) > 0 for row in done)
    assert [row["paper_fid"] for row in done] == ["101.3", "82.5"]
    with (tmp_path / "table3_orderings.csv").open() as file:
        (found,) = csv.DictReader(file)
    # the better row's L1 is lower by so much
    gain = float(done[0]["l1"]) - float(done[1]["l1"])
    assert float(found["difference"]) == pytest.approx(gain, abs=0.002)
    assert float(found["low"]) <= float(found["difference"]) <= float(found["high"])
    assert float(found["paper_difference"]) == pytest.approx(101.3 - 82.5)
    text = (tmp_path / "table3.md").read_text()
    assert "how much less the better one has" in text and "paper: FID" in text
    capsys.readouterr()
    assert main(arguments(data, "--output", tmp_path, "--report")) == 0
    assert "asymmetric is better than average" in capsys.readouterr().out


def test_the_table_is_the_papers(capsys):
    assert main(["ablate", "table3", "--list"]) == 0
    printed = capsys.readouterr().out
    assert "54,418,821         82.5" in printed and "depth, texture, normal: MMF" in printed


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--recipe", "ablation_efficientnet_lite0"], "table3 compares networks that make images"),
        (["--scores", "fid"], "FID and KID need the weights of their Inception network"),
        (["--flip"], "--scales and --flip are of masks"),
        (["--rows", "normal+texture_concat"], "has images of depth, shade, rgb, not of normal, texture"),
    ],
)
def test_what_is_refused(data, tmp_path, capsys, options, named):
    words = ["ablate", "table3", "--data", data, "--output", tmp_path, "--device", "cpu", "--rows", ROWS[0]]
    assert named in refused(capsys, *words, *options)


def test_the_other_tables_are_of_masks(capsys, tmp_path):
    line = refused(capsys, "ablate", "table5", "--recipe", "taskonomy_unet", "--output", tmp_path, "--list")
    assert "table5 compares networks that make masks" in line
