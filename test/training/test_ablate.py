"""`asymfusion ablate` end to end on generated frames: a whole table, killed halfway, resumed, extended."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import cv2
import pytest
import torch
from helpers import refused, write_folder

from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.cli.main import main
from asymfusion_training.ablation.outcome import COUNTS, FILE
from asymfusion_training.ablation.tables import TABLES
from asymfusion_training.folder_lock import locked
from asymfusion_training.loop.state import FILE as STATE

RECIPE = """\
network: {architecture: refinenet_lw, encoder: efficientnet_lite0, decoder_channels: 8, dropout: 0.1}
input: {height: 48, width: 64}
pretrained: none
epochs: 2
batch: 4
modality_dropout: 0
validate_every: 2
"""
ROWS = TABLES["table5"].rows


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("ablate")
    (root / "r.yaml").write_text(RECIPE)
    write_folder(root / "data", frames=12)
    return root


def arguments(made, output, *more, table="table5"):
    words = ["ablate", table, "--data", made / "data", "--recipe", made / "r.yaml", "--output", output]
    return [str(word) for word in (*words, "--device", "cpu", "--workers", 0, *more)]


@pytest.fixture(scope="module")
def whole(made):
    """Table 5 in one go."""
    assert main(arguments(made, made / "whole")) == 0
    return made / "whole"


def folder(output, row, seed=0):
    return output / ROWS[row].variant.name / f"seed{seed}"


def outcome(output, row, seed=0):
    values = json.loads((folder(output, row, seed) / FILE).read_text())
    del values["minutes"]
    return values


def lines(output, name="table5.csv"):
    with (output / name).open() as file:
        return list(csv.DictReader(file))


def test_every_row_is_trained_and_tabled(whole):
    found = lines(whole)
    assert [line["row"] for line in found] == list(ROWS)
    for line in found:
        scores = outcome(whole, line["row"])["scores"]["ensemble"]
        assert float(line["mean_iou"]) == pytest.approx(100 * scores["mean_iou"], abs=1e-3)
        assert 0 < float(line["pixel_accuracy"]) <= 100
        assert line["seeds"] == "0"
    assert [line["paper_mean_iou"] for line in found] == [
        "47.3",
        "47.6",
        "49.3",
        "48.7",
        "50.5",
        "50.8",
        "49.4",
    ]
    text = (whole / "table5.md").read_text()
    assert all(row.title in text for row in ROWS.values())
    assert len(lines(whole, "table5_orderings.csv")) == len(TABLES["table5"].claims)
    assert cv2.imread(str(whole / "table5.png")).shape[1] > 1000


def test_rows_differ_in_their_setting_alone(whole):
    for key, row in ROWS.items():
        checkpoint = load_checkpoint(folder(whole, key) / "last.safetensors")
        assert checkpoint.config.fusion == row.variant.fusion
        settings = checkpoint.provenance["settings"]
        assert settings["distillation"] == (0.3 if row.variant.distilled else 0.0)
    made_from = [outcome(whole, key)["made_from"] for key in ROWS]
    for one in made_from:
        del one["recipe"]["network"], one["recipe"]["distillation"]
    assert all(one == made_from[0] for one in made_from)


def test_the_scores_are_those_of_evaluate(whole, made, tmp_path):
    """The last weights, as `asymfusion evaluate` scores them."""
    checkpoint = folder(whole, "both") / "last.safetensors"
    words = [
        "evaluate",
        checkpoint,
        "--data",
        made / "data",
        "--device",
        "cpu",
        "--json",
        tmp_path / "s.json",
    ]
    assert main([str(word) for word in words]) == 0
    branches = json.loads((tmp_path / "s.json").read_text())["branches"]
    scores = outcome(whole, "both")["scores"]
    for branch in ("rgb", "depth", "ensemble"):
        for metric in ("pixel_accuracy", "mean_accuracy", "mean_iou"):
            assert scores[branch][metric] == pytest.approx(branches[branch][metric])


def test_killed_and_resumed_it_redoes_only_the_row_it_was_in(made, whole, tmp_path):
    output = tmp_path / "killed"
    rows = ("none", "shuffle", "shift")
    wanted = arguments(made, output, "--save-every", 0, "--rows", *rows)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "asymfusion_ros.cli.main", *wanted]
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        deadline = time.monotonic() + 150
        step = 0
        while step < 2:  # in the middle of the second row
            assert process.poll() is None and time.monotonic() < deadline
            state = folder(output, "shuffle") / STATE
            if state.exists():
                step = torch.load(state, weights_only=True)["step"]
        os.killpg(process.pid, signal.SIGKILL)
    before = folder(output, "none") / FILE
    stamp = before.stat().st_mtime_ns
    assert not (folder(output, "shuffle") / FILE).exists()
    assert not folder(output, "shift").exists()

    assert main(arguments(made, output, "--rows", *rows)) == 0
    assert before.stat().st_mtime_ns == stamp
    for key in rows:
        assert outcome(output, key)["scores"] == outcome(whole, key)["scores"], key
        assert not (folder(output, key) / STATE).exists()


HOLDER = """
import os, pathlib, sys, time
from asymfusion_training.folder_lock import locked
with locked(pathlib.Path(sys.argv[1])) as ours:
    if os.fork():
        print(ours, flush=True)
    time.sleep(60)
"""


@contextmanager
def holder(path):
    """Another process that holds a row, with a child such as reads frames; both are gone in the end."""
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            assert process.stdout.readline() == "True\n"
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def test_a_row_is_free_once_its_process_is_killed(tmp_path):
    """Also while the processes that read its frames have not noticed yet."""
    with holder(tmp_path) as process:
        with locked(tmp_path) as ours:
            assert not ours
        process.kill()
        process.wait()
        with locked(tmp_path) as ours:
            assert ours


def test_calls_share_the_rows(made, whole, tmp_path, capsys):
    """A row that another call holds is left to it; one that it has finished is not made again."""
    rows = ("--rows", "none", "both")
    with holder(folder(tmp_path, "none")):
        assert main(arguments(made, tmp_path, *rows)) == 0
    assert "no fusion, seed 0: another process is training it" in capsys.readouterr().out
    assert not (folder(tmp_path, "none") / FILE).exists()
    assert outcome(tmp_path, "both")["scores"] == outcome(whole, "both")["scores"]
    before = (folder(tmp_path, "both") / FILE).stat().st_mtime_ns
    assert main(arguments(made, tmp_path, *rows)) == 0
    assert outcome(tmp_path, "none")["scores"] == outcome(whole, "none")["scores"]
    assert (folder(tmp_path, "both") / FILE).stat().st_mtime_ns == before


def test_another_seed_adds_to_what_is_there(made, whole, capsys):
    rows = ("--rows", "none", "both", "--seeds", 0, 1)
    before = (folder(whole, "both") / FILE).stat().st_mtime_ns
    assert main(arguments(made, whole, *rows)) == 0
    assert "run 1/2" in capsys.readouterr().out  # seed 0 of both rows was there
    assert (folder(whole, "both") / FILE).stat().st_mtime_ns == before
    found = {line["row"]: line for line in lines(whole)}
    assert found["shift"]["seeds"] == "0"  # what was not asked for this time stays in the table
    ious = [100 * outcome(whole, "both", seed)["scores"]["ensemble"]["mean_iou"] for seed in (0, 1)]
    assert found["both"]["seeds"] == "0 1"
    assert float(found["both"]["mean_iou"]) == pytest.approx(sum(ious) / 2, abs=1e-3)
    assert outcome(whole, "both", 1)["made_from"]["recipe"]["seed"] == 1


def test_a_row_of_two_tables_is_run_once(made, whole, capsys):
    assert main(arguments(made, whole, "--rows", "private_norms", table="table4")) == 0
    out = capsys.readouterr().out
    assert "run 1/" not in out
    (line,) = [line for line in lines(whole, "table4.csv") if line["row"] == "private_norms"]
    assert line["seeds"] == "0"


def test_a_report_trains_nothing(made, whole, tmp_path, capsys):
    assert main(arguments(made, tmp_path / "empty", "--report")) == 0
    assert "No two rows that the paper compares are done." in capsys.readouterr().out
    assert not list((tmp_path / "empty").glob("*/seed0"))


def test_the_list_needs_no_data(capsys):
    assert main(["ablate", "table1", "--list", "--recipe", "nyudv2_refinenet101"]) == 0
    out = capsys.readouterr().out
    assert "118,201,578" in out and "133,891,306" in out and "50.8" in out


def test_a_backbone_without_a_second_one_leaves_those_rows_out(capsys):
    assert main(["ablate", "table1", "--list", "--recipe", "nyudv2_refinenet152"]) == 0
    assert "second backbone" not in capsys.readouterr().out
    line = refused(
        capsys, "ablate", "table1", "--list", "--recipe", "nyudv2_refinenet152", "--rows", "rgb_larger"
    )
    assert "no larger encoder than resnet152" in line


@pytest.mark.parametrize(
    ("more", "named"),
    [
        (("--rows", "shufle"), "table5 has no row 'shufle'; it has none, distillation, shuffle,"),
        (("--seeds", 0, 0), "--seeds 0 0: give different numbers"),
        (("--seeds", -1), "--seeds -1: give different numbers of 0 or more"),
        (("--workers", -1), "--workers is -1"),
        (("--set", "distillation=0"), "add --set distillation=1"),
        (("--set", "network.encoder=vgg"), "encoder is 'vgg'; choose one of"),
        (("--seeds", 2**40), "give different numbers of 0 or more"),
        (
            ("--set", "network.fusion=mmf"),
            "--set network.fusion=mmf: the table's rows (or --seeds) decide that",
        ),
        (("--set", "seed=3"), "--set seed=3: the table's rows (or --seeds) decide that"),
        (("--split", "test"), "split 'test' is missing"),
        (("--scales", 0), "scoring: scales has 0.0; give one or more, each above 0"),
    ],
)
def test_what_is_refused_before_anything_is_trained(made, tmp_path, capsys, more, named):
    assert named in refused(capsys, *arguments(made, tmp_path / "out", *more))
    assert not list(tmp_path.glob("out/*"))


def test_data_must_be_named(capsys):
    assert "--data is missing" in refused(capsys, "ablate", "table5")


def test_rows_of_another_recipe_are_not_mixed_in(made, whole, capsys):
    line = refused(capsys, *arguments(made, whole, "--set", "epochs=3"))
    assert "recipe: epochs is 3, but" in line and "was made with 2: set it back" in line
    line = refused(capsys, *arguments(made, whole, "--flip"))
    assert "scoring: flip is True" in line


@pytest.mark.parametrize(("split", "named"), [("val", "frames_scored is"), ("train", "frames_trained is")])
def test_rows_of_other_frames_are_not_mixed_in(made, whole, tmp_path, capsys, split, named):
    """As many frames, but others: a paired comparison would pair what does not belong together."""
    shutil.copytree(made / "data", tmp_path / "data")
    names = (tmp_path / "data" / f"{split}.txt").read_text().split()
    (tmp_path / "data" / f"{split}.txt").write_text("\n".join([*names[1:], "frame11"]) + "\n")
    words = ["ablate", "table5", "--data", tmp_path / "data", "--recipe", made / "r.yaml", "--output", whole]
    line = refused(capsys, *words, "--rows", "none", "--device", "cpu")
    assert named in line and "was made with" in line


def test_a_row_goes_on_with_frames_as_it_began(made, tmp_path, capsys):
    """Frames that are held are filtered a little otherwise: a row is not to be half of each."""
    shared = ("--rows", "none", "--set", "depth_noise=0", "--set", "depth_holes=0")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    words = arguments(made, tmp_path, *shared, "--save-every", 0)
    command = [sys.executable, "-m", "asymfusion_ros.cli.main", *words]
    with subprocess.Popen(command, env=environment, start_new_session=True) as process:
        deadline = time.monotonic() + 120
        while not (folder(tmp_path, "none") / STATE).exists():
            assert process.poll() is None and time.monotonic() < deadline
        os.killpg(process.pid, signal.SIGKILL)
    line = refused(capsys, *words, "--hold-frames")
    assert "data: held is True, but the run in" in line


@pytest.mark.parametrize("name", [FILE, COUNTS])
def test_a_broken_outcome_is_named(made, whole, tmp_path, capsys, name):
    output = tmp_path / "copy"
    shutil.copytree(folder(whole, "none"), folder(output, "none"))
    (folder(output, "none") / name).write_bytes(b"{cut sho")
    line = refused(capsys, *arguments(made, output, "--rows", "none"))
    assert str(folder(output, "none")) in line and "remove that folder" in line


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("table1", ("rgb", "depth")),
        ("table4", ("individual", "shared_norms")),
        ("table6", ("individual_depth_to_rgb_attention", "shared_bidirectional_concat")),
        ("table6", ("shared_rgb_to_depth_average", "shared_rgb_to_depth_mmf")),
    ],
)
def test_rows_of_the_other_tables(made, tmp_path, capsys, table, rows):
    """One modality, individual convolutions, fusions with parameters: each is trained, scored and tabled, and
    its checkpoint is one like any other."""
    quick = ("--set", "network.encoder=resnet18", "--set", "epochs=1", "--rows", *rows)
    assert main(arguments(made, tmp_path, *quick, table=table)) == 0
    found = {line["row"]: line for line in lines(tmp_path, f"{table}.csv")}
    for key in rows:
        variant = TABLES[table].rows[key].variant
        checkpoint = load_checkpoint(tmp_path / variant.name / "seed0" / "last.safetensors")
        for field in ("modalities", "fusion", "direction", "shared_convs", "private_norms"):
            assert getattr(checkpoint.config, field) == getattr(variant, field)
        assert 0 < float(found[key]["mean_iou"]) <= 100
        parameters = sum(p.numel() for p in checkpoint.build().parameters())
        assert int(found[key]["parameters"]) == parameters
    if table == "table1":
        (ordering,) = lines(tmp_path, "table1_orderings.csv")
        assert (ordering["better"], ordering["worse"]) == ("rgb", "depth")
