"""The authors' training: what a step of the released recipes does, and its settings one by one."""

import numpy as np
import pytest
import torch
from helpers import tiny_config
from test_augment import coordinates
from torch.nn import functional as F

from asymfusion_ros.network import build_network
from asymfusion_training.data.augment import augmented, draw_change
from asymfusion_training.loop.optimiser import make_optimiser
from asymfusion_training.loop.schedule import learning_rates
from asymfusion_training.recipe import Recipe, load_recipe
from asymfusion_training.tasks.segmentation.losses import segmentation_loss
from asymfusion_training.tasks.segmentation.model import TrainingModel

PLAIN = {"depth_holes": 0.0, "depth_noise": 0.0}


@pytest.mark.parametrize(("encoder", "epochs"), [("resnet50", 100), ("resnet101", 100), ("resnet152", 150)])
def test_the_three_recipes(encoder, epochs):
    recipe = load_recipe(f"released_refinenet{encoder.removeprefix('resnet')}")
    config = recipe.network_config(40)
    assert (config.variant, config.encoder, config.modalities) == ("released", encoder, ("rgb", "depth"))
    assert (recipe.norms, recipe.distillation, recipe.total_epochs) == ("frozen", 0.0, 3 * epochs)
    steps = 10
    rates = [learning_rates(recipe, stage * epochs * steps, steps) for stage in range(3)]
    assert rates == [(5e-4, 3e-3), (2.5e-4, 1.5e-3), (1e-4, 7e-4)]
    assert learning_rates(recipe, epochs * steps - 1, steps) == rates[0]  # constant within a stage
    spec = recipe.input_spec()
    # stored millimetres / 5000, whatever they are; nothing where there is no depth
    metres = torch.tensor([0.0, 1.0, 5.0, 60.0]).view(1, 1, 2, 2)
    made = spec.network_input("depth", metres, (2, 2))[0, 0]
    assert made.flatten().tolist() == pytest.approx([0.0, 0.2, 1.0, 12.0])


def test_one_step_of_the_released_recipe():
    """Statistics of the norms stay, scales and biases learn, and alpha learns from the ensemble alone."""
    torch.manual_seed(0)
    recipe = load_recipe("released_refinenet50", ["network.decoder_channels=16", "network.dropout=0"])
    network = build_network(recipe.network_config(5))
    model = TrainingModel(network, recipe).train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    inputs = [torch.randn(2, 3, 64, 64) for _ in range(2)]
    label = torch.randint(5, (2, 64, 64), dtype=torch.uint8)
    optimiser = make_optimiser(network, recipe)
    loss = model(inputs, label)

    # The plain sum of three cross entropies at the labels' own resolution.
    output = network(inputs)
    logits = [
        F.interpolate(branch, (64, 64), mode="bilinear", align_corners=False) for branch in output.logits
    ]
    mixed = sum(w * branch.detach() for w, branch in zip(network.ensemble.alpha.softmax(0), logits))
    expected = sum(F.cross_entropy(x, label.long()) for x in (*logits, mixed))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)

    loss.backward()
    alone = torch.autograd.grad(F.cross_entropy(mixed, label.long()), network.ensemble.alpha)[0]
    torch.testing.assert_close(network.ensemble.alpha.grad, alone, rtol=1e-4, atol=1e-7)
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())
    optimiser.step()
    after = network.state_dict()
    for name, tensor in before.items():
        if name.rpartition(".")[2].startswith(("running", "alone")):
            assert torch.equal(tensor, after[name]), name


def test_the_loss_at_half_and_at_the_labels_resolution():
    network = build_network(tiny_config(("rgb",)))
    output = network([torch.randn(2, 3, 32, 32)])
    label = torch.randint(3, (2, 32, 32), dtype=torch.uint8)
    (branch,) = output.logits
    for at, side in (("half", 16), ("labels", 32)):
        enlarged = F.interpolate(branch, (side, side), mode="bilinear", align_corners=False)
        target = F.interpolate(label[:, None].float(), (side, side), mode="nearest-exact")[:, 0].long()
        expected = 2 * F.cross_entropy(enlarged, target)  # the one branch and its ensemble
        loss = segmentation_loss(network, output, label, 0.0, at=at)
        assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(("decay_all", "decayed"), [(True, True), (False, False)])
def test_what_weight_decay_reaches(decay_all, decayed):
    network = build_network(tiny_config())
    optimiser = make_optimiser(network, Recipe(weight_decay=0.1, decay_all=decay_all))
    decay = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    assert len(decay) == len(list(network.parameters()))
    for parameter in network.parameters():
        convolution = parameter.ndim == 4
        assert decay[id(parameter)] == (0.1 if convolution or decayed else 0.0)


def test_without_colours_the_pixels_stay():
    sample = coordinates()
    recipe = Recipe(scale=(1.0, 1.0), colours=0.0, **PLAIN)
    seen = set()
    for seed in range(8):
        out = augmented(sample, recipe, (96, 128), (96, 128), np.random.default_rng(seed)).rgb
        straight, mirrored = (out == sample.rgb).all(), (out == sample.rgb[:, ::-1]).all()
        assert straight or mirrored
        seen.add(bool(straight))
    assert seen == {True, False}


@pytest.mark.parametrize(("law", "mean"), [("uniform", 1.25), ("log", 1.5 / np.log(4))])
def test_zooms_follow_their_law(law, mean):
    """Means of 0.5 to 2: (0.5 + 2) / 2 drawn evenly, (2 - 0.5) / ln 4 drawn evenly on a log scale."""
    recipe = Recipe(scale=(0.5, 2.0), scale_law=law)
    rng = np.random.default_rng(0)
    zooms = [
        draw_change(recipe, (960, 1280), (960, 1280), (96, 96), rng).scaled[0] / 960 for _ in range(4000)
    ]
    assert np.mean(zooms) == pytest.approx(mean, abs=0.03)
    assert 0.499 < min(zooms) < 0.51 and 1.98 < max(zooms) <= 2.001
