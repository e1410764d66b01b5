"""`asymfusion convert`: from a file of the authors' code to a checkpoint, and files that are none."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import refused
from test_checkpoint import Trap
from test_released import BLOCKS, released_weights

from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.checkpoint.pickles import load_tensors
from asymfusion_ros.cli.main import main


def test_a_file_as_the_authors_save_it(tmp_path, capsys):
    weights = released_weights(1, BLOCKS["resnet50"], classes=40)
    source, target = tmp_path / "model-best.pth.tar", tmp_path / "ours.safetensors"
    # their training script saves a numpy score beside the weights
    torch.save({"segmenter": weights, "best_val": np.float64(0.5), "epoch_start": 3}, source)
    assert main(["convert", str(source), str(target)]) == 0
    assert "RefineNet with resnet50, 40 classes (nyu40), rgb" in capsys.readouterr().out
    checkpoint = load_checkpoint(target)
    assert checkpoint.labels.name == "nyu40"
    assert checkpoint.config.variant == "released"
    assert checkpoint.provenance["converted_from"] == "model-best.pth.tar"
    assert torch.equal(checkpoint.state_dict["decoder.classifier.weight"], weights["clf_conv.module.weight"])
    # their network sees stored depth / 5000: 2.5 m, stored as 2500 mm, becomes 0.5
    depth = checkpoint.input_spec.network_input("depth", torch.full((1, 1, 8, 8), 2.5), (8, 8))
    assert depth.unique().tolist() == [0.5]


def saved(path, content, **options):
    torch.save(content, path, **options)


FILES = {
    "missing": (lambda p: None, "does not exist"),
    "directory": (lambda p: p.mkdir(), "does not exist"),
    "empty": (lambda p: p.write_bytes(b""), "is damaged or not a torch file"),
    "text": (lambda p: p.write_text("hello"), "not a torch file"),
    "safetensors": (lambda p: p.write_bytes(b"\x02\0\0\0\0\0\0\0{}"), "torch file"),
    "a list": (lambda p: saved(p, [1, 2]), "holds no state dict"),
    "numbers": (lambda p: saved(p, {"a": 1}), "holds no state dict"),
    "no tensors": (lambda p: saved(p, {}), "not weights of the authors' RefineNet"),
    "another network": (lambda p: saved(p, {"fc.weight": torch.zeros(2)}), "not weights of the authors'"),
    "a whole module": (lambda p: saved(p, torch.nn.Linear(2, 2)), "could run code"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_cannot_be_converted(tmp_path, capsys, name):
    make, named = FILES[name]
    source, target = tmp_path / "source.pth", tmp_path / "ours.safetensors"
    make(source)
    line = refused(capsys, "convert", source, target)
    assert named in line
    assert not target.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_files_cut_short(tmp_path, capsys, zipped):
    source = tmp_path / "source.pth"
    saved(source, {"w": torch.arange(100.0), "n": {"x": 1}}, _use_new_zipfile_serialization=zipped)
    whole = source.read_bytes()
    for share in range(1, 20):
        source.write_bytes(whole[: len(whole) * share // 20])
        assert str(source) in refused(capsys, "convert", source, tmp_path / "ours.safetensors")


def test_code_in_a_file_is_not_run(tmp_path, capsys):
    trace, source = tmp_path / "ran", tmp_path / "source.pth"
    for save in (torch.save, lambda x, p: Path(p).write_bytes(pickle.dumps(x))):
        save({"state_dict": Trap(trace)}, source)
        assert "could run code" in refused(capsys, "convert", source, tmp_path / "ours.safetensors")
        assert not trace.exists()


def test_state_dicts_under_the_usual_keys(tmp_path):
    for content in ({"w": torch.ones(2)}, {"state_dict": {"w": torch.ones(2)}, "epoch": 3}):
        saved(tmp_path / "a.pth", content)
        assert load_tensors(tmp_path / "a.pth")["w"].tolist() == [1, 1]


def test_junk_is_told_from_a_torch_file_without_a_bare_key(tmp_path, capsys):
    """A legacy pickle that looks up what it never stored: the unpickler says no more than a KeyError."""
    source = tmp_path / "source.pth"
    for junk in (b"\x80\x02h\x05.", b"\x80\x02]q\x00(h\x63e.", b"junk\n" * 10, b"\x80\x02X\xff\xff\xff\x7f."):
        source.write_bytes(junk)
        line = refused(capsys, "convert", source, tmp_path / "ours.safetensors")
        assert f"{source} is" in line and "KeyError" not in line and not line.rstrip().endswith("error: 5")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({1: torch.zeros(2)}, "1 is no tensor's name"),
        ({"a": torch.zeros(2).to_sparse()}, "is a tensor of torch.float32, torch.sparse_coo"),
        ({"a": torch.zeros(2, dtype=torch.complex64)}, "a is a tensor of torch.complex64"),
        ({"a": torch.zeros(2, device="meta")}, "on meta"),
        (
            {"alpha": torch.zeros(2), "clf_conv.module.weight": torch.tensor(1.0)},
            "not weights of the authors'",
        ),
    ],
)
def test_tensors_that_are_no_weights(tmp_path, capsys, content, named):
    source = tmp_path / "source.pth"
    torch.save(content, source)
    assert named in refused(capsys, "convert", source, tmp_path / "ours.safetensors")
