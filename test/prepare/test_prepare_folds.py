"""`asymfusion prepare folds`, and training on one of them."""

import json

import pytest
from helpers import refused, write_description, write_folder

from asymfusion_ros.cli.main import main
from asymfusion_ros.data.folder import Folder
from asymfusion_training.prepare.nyudv2_splits import facts, runs


def lists(root, folds):
    folder = Folder(root)
    return [(folder.names(f"fold{k}_train"), folder.names(f"fold{k}_val")) for k in range(folds)]


def check(made, names):
    """Disjoint within a fold; each frame is scored once."""
    for train, val in made:
        assert not set(train) & set(val) and sorted(train + val) == sorted(names)
    assert sorted(name for _, val in made for name in val) == sorted(names)


def fold(root, *more):
    assert main([str(word) for word in ("prepare", "folds", root, *more)]) == 0


def test_frames_without_known_scenes_are_cut_into_blocks(tmp_path, capsys):
    root = write_folder(tmp_path / "data", frames=8)
    (root / "train.txt").write_text("frame6\nframe0\nframe2\nframe3\nframe5\n")
    (root / "val.txt").write_text("frame1\nframe4\n")
    fold(root, "--folds", 3)
    assert "7 frames in 3 folds of 2, 2, 3 (blocks of names in order" in capsys.readouterr().out
    assert main(["prepare", "check", str(root)]) == 0
    assert "share" not in capsys.readouterr().out  # a fold is made of train and val
    made = lists(root, 3)
    check(made, [f"frame{i}" for i in range(7)])
    assert [val for _, val in made] == [
        ["frame0", "frame1"],
        ["frame2", "frame3"],
        ["frame4", "frame5", "frame6"],
    ]


def nyudv2(root, numbers):
    write_folder(root, frames=1)
    write_description(root, name="nyudv2")
    (root / "train.txt").write_text("".join(f"{number:06d}\n" for number in numbers[:-40]))
    (root / "val.txt").write_text("".join(f"{number:06d}\n" for number in numbers[-40:]))
    return root


def test_scenes_of_nyudv2_stay_whole(tmp_path, capsys):
    numbers = facts()["train"]
    root = nyudv2(tmp_path / "data", numbers)
    fold(root)
    out = capsys.readouterr().out
    assert "795 frames in 5 folds" in out and "whole scenes, seed 0" in out
    made = lists(root, 5)
    check(made, [f"{number:06d}" for number in numbers])
    for run in runs(numbers):
        assert sum(bool({f"{number:06d}" for number in run} & set(val)) for _, val in made) == 1
    assert all(abs(len(val) - 159) < 20 for _, val in made)
    fold(root, "--seed", 1)
    assert lists(root, 5) != made
    fold(root, "--seed", 0)
    assert lists(root, 5) == made


def test_what_is_refused(tmp_path, capsys):
    root = write_folder(tmp_path / "data", frames=3)
    assert "--folds is 1" in refused(capsys, "prepare", "folds", root, "--folds", 1)
    line = refused(capsys, "prepare", "folds", root, "--folds", 4)
    assert "train and val have 3 frames, too few for 4 folds" in line
    assert not list(root.glob("fold*"))


def test_a_run_on_a_fold(tmp_path, capsys):
    root = write_folder(tmp_path / "data", frames=8)
    fold(root, "--folds", 2)
    (tmp_path / "r.yaml").write_text(
        "network: {architecture: refinenet_lw, encoder: efficientnet_lite0, decoder_channels: 8}\n"
        "input: {height: 48, width: 64}\npretrained: none\nepochs: 1\nbatch: 4\n"
    )
    for name in ("train.txt", "val.txt"):  # read no more
        (root / name).unlink()
    chosen = ("--set", "train_split=fold1_train", "--set", "data.val_split=fold1_val")
    words = ("train", "--data", root, "--recipe", tmp_path / "r.yaml", *chosen, "--workers", 0)
    assert main([str(word) for word in (*words, "--device", "cpu", "--output", tmp_path / "run")]) == 0
    (line,) = (tmp_path / "run" / "history.jsonl").read_text().splitlines()
    assert json.loads(line)["val"]["ensemble"]["mean_iou"] >= 0
    words = (*words[:-6], "--set", "train_split=fold7", "--device", "cpu", "--output", tmp_path / "other")
    assert "split 'fold7' is missing" in refused(capsys, *words)


@pytest.mark.parametrize("numbers", [[3, 4, 9, 10, 12]])
def test_runs(numbers):
    assert runs(numbers) == [[3, 4], [9, 10], [12]]


def test_fewer_folds_leave_no_list_of_another_division(tmp_path, capsys):
    root = write_folder(tmp_path / "data", frames=8)
    fold(root, "--folds", 4)
    (root / "fold9_notes.txt").write_text("mine\n")
    (root / "fold_3_val.txt").write_text("frame0\n")
    capsys.readouterr()
    fold(root, "--folds", 2)
    removed = "fold2_train.txt, fold2_val.txt, fold3_train.txt, fold3_val.txt"
    assert f"removed {removed} of a division into more folds" in capsys.readouterr().out
    left = sorted(path.name for path in root.glob("fold*"))
    made = [f"fold{number}_{split}.txt" for number in (0, 1) for split in ("train", "val")]
    assert left == [*made, "fold9_notes.txt", "fold_3_val.txt"]
    check(lists(root, 2), [f"frame{i}" for i in range(8)])
    fold(root, "--folds", 2)
    assert "removed" not in capsys.readouterr().out
