"""Image translation on the one trainer: what is minimised, what a run leaves, what is refused."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from generated_views import prepared_views
from helpers import refused
from unets import TINY, register_tiny_unet, unet_config

from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.unit_image import as_uint8
from asymfusion_ros.errors import UserError
from asymfusion_ros.network import build_network
from asymfusion_training.loop.devices import make_fabric
from asymfusion_training.loop.state import FILE
from asymfusion_training.loop.trainer import RunOptions
from asymfusion_training.recipe import load_recipe
from asymfusion_training.run import make_trainer
from asymfusion_training.tasks.translation.discriminator import Discriminator
from asymfusion_training.tasks.translation.objectives import Adversaries, DiscriminatorLoss, GeneratorLoss
from asymfusion_training.tasks.translation.settings import TranslationSettings

RECIPE = f"""\
extends: taskonomy_unet
network: {{encoder: {TINY}}}
translation: {{discriminator_width: 2, domain_dropout: 0.3}}
loop: {{epochs: 2, batch: 2, accumulate: 2, ema: 0.9, validate_every: 2}}
"""


@pytest.fixture(autouse=True)
def tiny_unet(monkeypatch):
    register_tiny_unet(monkeypatch)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A prepared folder of generated views, and a recipe."""
    root = tmp_path_factory.mktemp("translation")
    prepared_views(root, ("shade", "depth"), views=4, size=64, train=4, val=2)
    (root / "r.yaml").write_text(RECIPE)
    return root


def trainer(made, output, *changes, resume=False, save_every=120.0):
    recipe = load_recipe(str(made / "r.yaml"), changes)
    fabric = make_fabric("cpu")
    fabric.launch()
    options = RunOptions(workers=0, save_every=save_every)
    return make_trainer(recipe, "r", Folder(made / "data"), output, fabric, options, resume)


@pytest.fixture(scope="module")
def whole(made):
    """A run from beginning to end."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        register_tiny_unet(monkeypatch)
        trainer(made, made / "whole").run()
    return made / "whole"


def test_each_of_the_discriminators_outputs_judges_70_pixels():
    judge = Discriminator(1, width=2).eval()
    x = torch.zeros(1, 3, 256, 256, requires_grad=True)
    logits = judge(x, x + torch.rand_like(x), (0,))
    assert tuple(logits.shape) == (1, 1, 30, 30)
    logits[0, 0, 15, 15].backward()
    rows, columns = (np.flatnonzero(x.grad.abs().sum((0, 1)).sum(axis) > 0) for axis in (1, 0))
    # worked out backwards: 1 -> 4 -> 7 -> 2 x 7 + 2 = 16 -> 34 -> 70
    assert (len(rows), len(columns)) == (70, 70)
    assert [c.kernel_size[0] for c in judge.convs] == [4] * 5
    assert Discriminator(1).convs[3].out_channels == 512


def objectives(**settings):
    torch.manual_seed(0)
    found = TranslationSettings(discriminator_width=2, **settings)
    networks = Adversaries(build_network(unet_config(dropout=0.0)), found)
    loss = GeneratorLoss(networks, found)
    return networks, loss, DiscriminatorLoss(networks.discriminator, loss.made)


def test_the_losses_by_hand():
    networks, loss, judging = objectives(ensemble_loss="images")
    inputs, truth = [torch.randn(1, 3, 256, 256) for _ in range(2)], torch.rand(1, 3, 256, 256) * 2 - 1
    found, parts = loss(inputs, truth)
    with torch.no_grad():
        images = networks.generator(inputs).images
        logits = networks.discriminator(torch.cat(inputs), torch.cat(images), (0, 1))
        wanted = sum(100 * (x - truth).abs().mean() for x in (*images, sum(images) / 2))
        for one in logits.chunk(2):  # -log D, D = sigmoid(logit)
            wanted = wanted - torch.sigmoid(one).log().mean()
        assert found.item() == pytest.approx(wanted.item(), rel=1e-4)
        assert parts["l1"].item() == pytest.approx(sum((x - truth).abs().mean() for x in images).item() / 2)
    judged, _ = judging(inputs, truth)
    with torch.no_grad():
        real = networks.discriminator(torch.cat(inputs), torch.cat([truth, truth]), (0, 1))
        wanted = 0.0
        for right, wrong in zip(real.chunk(2), logits.chunk(2)):
            wanted -= (torch.sigmoid(right).log().mean() + (1 - torch.sigmoid(wrong)).log().mean()) / 2
    assert judged.item() == pytest.approx(wanted.item(), rel=1e-3)


@pytest.mark.parametrize(("ensemble", "alpha"), [("weights", True), ("images", True), ("none", False)])
def test_each_loss_trains_its_own_part(ensemble, alpha):
    networks, loss, judging = objectives(ensemble_loss=ensemble)
    inputs, truth = [torch.randn(1, 3, 256, 256) for _ in range(2)], torch.rand(1, 3, 256, 256)

    def trained():
        found = {name for name, p in networks.named_parameters() if p.grad is not None and p.grad.any()}
        networks.zero_grad()
        return found

    loss(inputs, truth)[0].backward()
    everything = {f"generator.{name}" for name, _ in networks.generator.named_parameters()}
    assert trained() == everything - (set() if alpha else {"generator.ensemble.alpha"})
    judging(inputs, truth)[0].backward()
    assert trained() == {f"discriminator.{name}" for name, _ in networks.discriminator.named_parameters()}


def test_the_ensembles_weights_alone_learn_from_it():
    """Its L1 then changes no gradient but alpha's."""
    grads = {}
    for ensemble in ("weights", "none"):
        networks, loss, _ = objectives(ensemble_loss=ensemble, adversarial=False)
        torch.manual_seed(1)
        loss([torch.randn(1, 3, 256, 256) for _ in range(2)], torch.rand(1, 3, 256, 256))[0].backward()
        grads[ensemble] = {n: p.grad for n, p in networks.named_parameters() if p.grad is not None}
    assert grads["weights"].pop("generator.ensemble.alpha").any()
    assert all(torch.equal(grads["none"][name], grad) for name, grad in grads["weights"].items())


def test_what_a_run_leaves(made, whole):
    lines = [json.loads(line) for line in (whole / "history.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    told = {"l1", "l1_ensemble", "adversarial", "discriminator_real", "discriminator_made"}
    assert told <= set(lines[0]) and lines[1]["decoder_lr"] < lines[0]["decoder_lr"] == 2e-4
    assert list(lines[1]["val"]) == ["shade", "depth", "ensemble"]
    assert set(lines[1]["val"]["ensemble"]) == {"l1", "psnr", "ssim"}
    assert os.listdir(whole / "tensorboard") and (whole / "results.png").is_file()
    page = (whole / "results.html").read_text()
    for title in ("input: shade", "input: depth", "from shade", "from depth", "fused", "truth: rgb"):
        assert page.count(f"{title}</td>") == 2  # of two frames
    links = {part.split('"')[0] for part in page.split('src="')[1:]}
    assert len(links) == 12 and all((whole / link).is_file() for link in links)
    checkpoint = load_checkpoint(whole / "best.safetensors")
    assert checkpoint.target == "rgb" and checkpoint.provenance["settings"]["l1_weight"] == 100
    assert not any("discriminator" in name for name in checkpoint.state_dict)


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other))
    return one == other


def test_both_optimisers_and_the_averaged_weights_are_resumed_bit_for_bit(made, whole, tmp_path):
    broken = trainer(made, tmp_path, save_every=0.0)
    inputs = broken.task.inputs

    def failing(batch, step):
        if step == 3:
            raise UserError("stopped")
        return inputs(batch, step)

    broken.task.inputs = failing
    with pytest.raises(UserError, match="stopped"):
        broken.run()
    resumed = trainer(made, tmp_path, resume=True)
    assert resumed.step == 3
    resumed.run()
    ours, theirs = (torch.load(folder / FILE, weights_only=True) for folder in (tmp_path, whole))
    assert len(ours["optimiser"]) == 2
    for state in (ours, theirs):
        del state["minutes"]
    assert same(ours, theirs)
    told = [
        json.loads((folder / "history.jsonl").read_text().splitlines()[1]) for folder in (tmp_path, whole)
    ]
    assert told[0]["l1"] == told[1]["l1"] and told[0]["val"] == told[1]["val"]


def test_without_an_adversary(made, tmp_path):
    run = trainer(made, tmp_path, "adversarial=false", "epochs=1", "network.modalities=[depth]")
    assert len(run.optimisers) == 1
    run.run()
    line = json.loads((tmp_path / "history.jsonl").read_text())
    assert "adversarial" not in line and list(line["val"]) == ["depth", "ensemble"]
    assert line["val"]["depth"] == line["val"]["ensemble"]


def test_the_target_is_what_the_file_holds(made):
    """No change of colours by no factor, which rounds."""
    task = trainer(made, made / "unused", "scale=[1, 1]").task
    task.augmentation = replace(task.augmentation, scale=(1.0, 1.0))
    frames = task.frames()
    whole = frames.read(frames.names[0]).images["rgb"]
    assert (whole.shape[:2]) == (64, 64)
    batch = frames.__getitems__([(0, 0)])
    enlarged = batch.images["rgb"][0]
    # the window is 256 pixels of a frame enlarged to 256: its mean is that of the file's
    assert abs(enlarged.float().mean() - whole.astype(float).mean()) < 0.2
    _, truth = task.inputs(batch, 0)
    assert truth.min() >= -1 and truth.max() <= 1
    assert torch.equal(as_uint8(truth), batch.images["rgb"])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("colours=1.0", "colours is 1; it would change the rgb images that are to be made: set it to 0"),
        ("target=shade", "target shade is one of network.modalities"),
        ("target=normal", "has images of shade, depth, rgb, not of normal"),
        ("network.modalities=[edge]", "not of edge"),
        ("input.height=240", "input is 240 x 256; unet_tiny takes multiples of 256"),
        ("crop=[128, 128]", "crop is 128 x 128; unet_tiny takes multiples of 256"),
        ("pretrained=none", "pretrained is 'none', a setting of networks that make masks"),
        ("ensemble_loss=all", "ensemble_loss is 'all'; choose one of weights, images, none"),
    ],
)
def test_recipes_that_make_no_sense(made, tmp_path, capsys, change, named):
    words = ["train", "--data", made / "data", "--recipe", made / "r.yaml", "--output", tmp_path / "run"]
    assert named in refused(capsys, *words, "--device", "cpu", "--workers", 0, "--set", change)


def test_segmentation_on_a_folder_without_labels(made, tmp_path, capsys):
    line = refused(capsys, "train", "--data", made / "data", "--output", tmp_path / "run", "--device", "cpu")
    assert "has no labels, which segmentation needs" in line
