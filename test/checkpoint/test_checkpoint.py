"""The checkpoint format: what comes back, and one clear line for every file that is none."""

import json
import os
import pickle
import shutil
from importlib import resources
from pathlib import Path

import pytest
import torch
from helpers import CLASSES, SPEC, refused, tiny_checkpoint, tiny_config, write_checkpoint
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from asymfusion_ros import __version__
from asymfusion_ros.checkpoint import load_checkpoint, save_checkpoint
from asymfusion_ros.data.labels import NYU40, LabelSet
from asymfusion_ros.errors import CheckpointError
from asymfusion_ros.network import build_network
from asymfusion_ros.packaged import checkpoint_file


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("written") / "tiny.safetensors")


@pytest.fixture
def path(tmp_path, written):
    return Path(shutil.copy(written, tmp_path))


def metadata(path):
    with safe_open(path, framework="pt") as file:
        return file.metadata()


def rewritten(path, **changed):
    """The file with other metadata; None takes a key out."""
    values = {**metadata(path), **changed}
    save_file(load_file(path), path, {key: value for key, value in values.items() if value is not None})


def test_everything_comes_back(tmp_path):
    config = tiny_config()
    network = build_network(config).eval()
    labels = LabelSet("mine", CLASSES, ((1, 2, 3), (4, 5, 6), (7, 8, 9)))
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, network.state_dict(), config, labels, SPEC, {"data": "x", "val": {"mean_iou": 0.5}})
    checkpoint = load_checkpoint(str(path))
    assert (checkpoint.config, checkpoint.labels, checkpoint.input_spec) == (config, labels, SPEC)
    assert checkpoint.provenance == {"data": "x", "val": {"mean_iou": 0.5}, "code_version": __version__}
    inputs = [torch.randn(1, 3, 32, 32) for _ in range(2)]
    rebuilt = checkpoint.build()
    assert not rebuilt.training
    with torch.inference_mode():
        assert torch.equal(network(inputs).ensemble, rebuilt(inputs).ensemble)


def test_half_precision_halves_the_file(tmp_path, path):
    half = tmp_path / "half.safetensors"
    full = load_checkpoint(path)
    save_checkpoint(
        half, full.state_dict, full.config, full.labels, full.input_spec, full.provenance, torch.float16
    )
    assert half.stat().st_size < 0.52 * path.stat().st_size
    built = load_checkpoint(half).build()
    for name, tensor in built.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, full.state_dict[name].half().float()), name


def test_a_failed_write_leaves_the_old_file_whole(path):
    before = path.read_bytes()
    checkpoint = load_checkpoint(path)
    names = (checkpoint.config, checkpoint.labels, checkpoint.input_spec, checkpoint.provenance)
    # a folder in the place of the file that is written first
    blocked = path.with_name(path.name + ".partial")
    blocked.mkdir()
    with pytest.raises(CheckpointError, match=r"cannot write .*tiny\.safetensors: Is a directory"):
        save_checkpoint(path, checkpoint.state_dict, *names)
    assert path.read_bytes() == before
    assert blocked.is_dir()
    assert load_checkpoint(path).config == checkpoint.config


@pytest.mark.parametrize("place", ["nowhere/a.safetensors", "file/a.safetensors", "folder"])
def test_where_nothing_can_be_written(tmp_path, path, place):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    checkpoint = load_checkpoint(path)
    names = (checkpoint.config, checkpoint.labels, checkpoint.input_spec, checkpoint.provenance)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(CheckpointError, match=f"cannot write .*{place}"):
        save_checkpoint(tmp_path / place, checkpoint.state_dict, *names)
    assert sorted(tmp_path.rglob("*")) == before  # nothing half-written stays


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 70000.0])
def test_weights_that_could_not_be_loaded_again_are_not_written(path, value):
    before = path.read_bytes()
    checkpoint = load_checkpoint(path)
    names = (checkpoint.config, checkpoint.labels, checkpoint.input_spec, checkpoint.provenance)
    weights = {**checkpoint.state_dict, "ensemble.alpha": torch.tensor([1.0, value])}
    with pytest.raises(CheckpointError, match=r"cannot write .*: ensemble\.alpha holds NaN, infinite"):
        save_checkpoint(path, weights, *names, dtype=torch.float16)  # whose range ends at 65504
    assert path.read_bytes() == before


class Trap:
    """Unpickled, it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def torch_file(path, zipped=True):
    torch.save({"x": torch.zeros(3)}, path, _use_new_zipfile_serialization=zipped)


def broken_files(path):
    """name -> (what makes the file, words of the message)."""
    whole = path.read_bytes()
    return {
        "empty": (lambda p: p.write_bytes(b""), "it is empty"),
        "text": (lambda p: p.write_text("no checkpoint at all"), "cut short or not a safetensors file"),
        "header alone": (lambda p: p.write_bytes(whole[:100]), "cut short"),
        "half": (lambda p: p.write_bytes(whole[: len(whole) // 2]), "cut short"),
        "one byte short": (lambda p: p.write_bytes(whole[:-1]), "cut short"),
        "torch.save": (torch_file, "is a pickle.*asymfusion convert"),
        "torch.save of old": (lambda p: torch_file(p, zipped=False), "is a pickle.*asymfusion convert"),
        "pickle": (lambda p: p.write_bytes(pickle.dumps([1])), "is a pickle"),
        "of another program": (lambda p: save_file({"x": torch.zeros(3)}, p), "lacks format 'asymfusion/1'"),
        "directory": (lambda p: p.mkdir(), "does not exist"),
        "missing": (
            lambda p: None,
            r"does not exist \(name a \.safetensors file, or 'accurate' or 'default'\)",
        ),
    }


@pytest.mark.parametrize("name", list(broken_files(Path("/dev/null"))))
def test_files_that_are_no_checkpoint(tmp_path, path, name, capsys):
    broken = tmp_path / "broken.safetensors"
    make, named = broken_files(path)[name]
    make(broken)
    with pytest.raises(CheckpointError, match=named) as caught:
        load_checkpoint(broken)
    assert str(broken) in str(caught.value)
    # the command says the same, on one line
    line = refused(capsys, "evaluate", broken, "--data", tmp_path)
    assert line.endswith(str(caught.value))


def test_a_pickle_is_not_run(tmp_path):
    trace = tmp_path / "ran"
    for number, save in enumerate((torch.save, lambda x, p: p.write_bytes(pickle.dumps(x)))):
        path = tmp_path / f"{number}.safetensors"
        save({"x": Trap(trace)}, path)
        with pytest.raises(CheckpointError, match="is a pickle"):
            load_checkpoint(path)
    assert not trace.exists()
    pickle.loads(path.read_bytes())  # the trap does work
    assert trace.exists()


def test_a_file_that_may_not_be_read():
    # an ordinary file that refuses to be read, even by root
    path = Path("/proc/self/mem")
    if not path.is_file():
        pytest.skip("there is no /proc/self/mem")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_checkpoint(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(path):
    path.chmod(0)
    with pytest.raises(CheckpointError, match="Permission denied"):
        load_checkpoint(path)
    path.chmod(0o600)
    path.parent.chmod(0)
    try:
        with pytest.raises(CheckpointError, match="Permission denied"):
            load_checkpoint(path)
    finally:
        path.parent.chmod(0o700)


def with_value(text, **values):
    return json.dumps({**json.loads(text), **values})


@pytest.mark.parametrize(
    ("key", "change", "named"),
    [
        ("network", lambda text: None, "lacks 'network'"),
        ("labels", lambda text: None, "lacks 'labels'"),
        ("input", lambda text: None, "lacks 'input'"),
        ("provenance", lambda text: None, "lacks 'provenance'"),
        ("network", lambda text: "{", "cannot build"),
        ("network", lambda text: "[1]", r"\[1\] is not a set of settings"),
        (
            "network",
            lambda text: with_value(text, encoder="resnet19"),
            "encoder is 'resnet19'; choose one of resnet18",
        ),
        ("network", lambda text: with_value(text, wings=2), "unknown setting wings"),
        ("network", lambda text: with_value(text, keep="most"), "keep is 'most'; it must be a number"),
        ("network", lambda text: with_value(text, modalities=[1, 2]), "modalities is .*each text"),
        ("network", lambda text: with_value(text, classes=4), "has 4 classes, but names 3"),
        ("network", lambda text: with_value(text, encoder="efficientnet_lite1"), "does not fit its own"),
        ("network", lambda text: with_value(text, decoder_channels=16), r"decoder\..* has shape"),
        ("network", lambda text: with_value(text, modalities=["rgb"]), r"has shape \(2, .*, the network "),
        ("labels", lambda text: "[]", "cannot build"),
        ("labels", lambda text: '{"name": "x"}', "names"),
        ("labels", lambda text: with_value(text, colours=[[0, 0, 300]] * 3), r"\(0, 0, 300\)"),
        ("input", lambda text: with_value(text, height="tall"), "height is 'tall'"),
        ("input", lambda text: with_value(text, rgb_std=[0, 0, 0]), "rgb_std"),
        ("format", lambda text: "asymfusion/9", "lacks format"),
    ],
)
def test_descriptions_that_do_not_fit(path, key, change, named):
    rewritten(path, **{key: change(metadata(path)[key])})
    with pytest.raises(CheckpointError, match=named) as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tensors_that_do_not_fit(path):
    tensors, description = load_file(path), metadata(path)
    for name, tensor, named in (
        ("ensemble.alpha", torch.zeros(3), r"ensemble\.alpha has shape \(3,\), the network \(2,\)"),
        ("extra", torch.zeros(1), r"extra has shape \(1,\), the network no such tensor"),
        ("ensemble.alpha", torch.tensor([0, torch.nan]), r"damaged: ensemble\.alpha holds NaN"),
    ):
        save_file({**tensors, name: tensor}, path, description)
        with pytest.raises(CheckpointError, match=named):
            load_checkpoint(path)
    del tensors["ensemble.alpha"]
    save_file(tensors, path, description)
    with pytest.raises(CheckpointError, match=r"ensemble\.alpha has shape none \(it is missing\)"):
        load_checkpoint(path)


def test_a_checkpoint_beside_the_default_is_chosen_by_its_name(tmp_path, monkeypatch):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in ("default", "accurate"):
        (folder / f"{name}.safetensors").touch()
    monkeypatch.setattr(resources, "files", lambda package: tmp_path)
    assert checkpoint_file("accurate") == folder / "accurate.safetensors"
    assert checkpoint_file("some/accurate") == Path("some/accurate")
    message = r"no\.safetensors does not exist \(name a \.safetensors file, or 'accurate' or 'default'\)"
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint("no.safetensors")


def test_the_package_carries_a_default():
    path = checkpoint_file("default")
    assert path.stat().st_size <= 16e6
    checkpoint = load_checkpoint("default")
    assert checkpoint.labels == NYU40
    assert checkpoint.config.modalities == ("rgb", "depth")
    assert {"data", "recipe", "val"} <= set(checkpoint.provenance)


def test_temperatures_come_back_and_belong_to_what_is_available(tmp_path):
    checkpoint = tiny_checkpoint(tmp_path)
    path = tmp_path / "calibrated.safetensors"
    save_checkpoint(
        path,
        checkpoint.state_dict,
        checkpoint.config,
        checkpoint.labels,
        checkpoint.input_spec,
        {},
        temperatures={"rgb+depth": 1.5, "depth": 2.0},
    )
    loaded = load_checkpoint(path)
    assert loaded.temperature(("rgb", "depth")) == 1.5
    assert loaded.temperature(("depth",)) == 2.0
    assert loaded.temperature(("rgb",)) == 1.0
    assert checkpoint.temperature(("rgb", "depth")) == 1.0


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), "warm"])
def test_a_temperature_that_cannot_be(tmp_path, wrong):
    checkpoint = tiny_checkpoint(tmp_path)
    path = tmp_path / "wrong.safetensors"
    save_checkpoint(
        path,
        checkpoint.state_dict,
        checkpoint.config,
        checkpoint.labels,
        checkpoint.input_spec,
        {},
        temperatures={"rgb+depth": wrong},
    )
    with pytest.raises(CheckpointError, match="cannot build"):
        load_checkpoint(path)
