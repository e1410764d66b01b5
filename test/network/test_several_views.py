"""A network that averages several views of its inputs, against one plain call a view."""

import pytest
import torch
from torch.nn import functional as F

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.network import NetworkConfig, build_network
from asymfusion_ros.network.views import Views

HEIGHT, WIDTH = 48, 72


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    config = NetworkConfig("refinenet_lw", "efficientnet_lite0", 5, decoder_channels=8, dropout=0.0)
    made = build_network(config)
    with torch.no_grad():
        made.decoder.classifier.weight *= 3000  # a random decoder's logits hardly differ
    return made.eval()


@pytest.fixture
def inputs():
    rng = torch.Generator().manual_seed(1)
    coarse = torch.randn(2, 6, 6, 9, generator=rng)
    smooth = F.interpolate(coarse, (HEIGHT, WIDTH), mode="bicubic")
    return [smooth[:, :3], smooth[:, 3:]]


def averaged(network, inputs, sizes, flip, smooth):
    """Each output's mean probability at 12 x 18, a quarter of the inputs, with torch's own resizing."""
    network.views = Views()
    found = {}
    for size in sizes:
        for mirrored in (False, True) if flip else (False,):
            given = []
            for x, smoothly in zip(inputs, smooth):
                if x is not None and smoothly:
                    x = F.interpolate(x, size, mode="bilinear", antialias=True)
                elif x is not None:
                    x = F.interpolate(x, size, mode="nearest-exact")
                given.append(x.flip(-1) if mirrored and x is not None else x)
            output = network(given)
            for name, logits in zip(("rgb", "depth", "ensemble"), (*output.logits, output.ensemble)):
                if logits is not None:
                    logits = logits.flip(-1) if mirrored else logits
                    full = F.interpolate(logits, (HEIGHT // 4, WIDTH // 4), mode="bilinear")
                    found.setdefault(name, []).append(full.softmax(1))
    return {name: torch.stack(views).mean(0) for name, views in found.items()}


@pytest.mark.parametrize(
    ("scales", "flip", "sizes"),
    [
        ((1.0,), True, [(48, 72)]),
        ((1.0, 0.5), False, [(48, 72), (24, 32)]),  # 36 lies between two eights: the even one
        ((0.4, 0.7, 1.0), True, [(48, 72), (32, 48), (16, 32)]),  # 33.6 x 50.4 and 19.2 x 28.8
    ],
)
@pytest.mark.parametrize("missing", [None, 0, 1])
@torch.inference_mode()
def test_the_mean_of_the_views_probabilities(network, inputs, scales, flip, sizes, missing):
    if missing is not None:
        inputs[missing] = None
    expected = averaged(network, inputs, sizes, flip, (True, False))
    network.views = Views(scales, flip, (True, False))
    for once in (False, True):
        output = network(inputs, once=once)
        assert [one is None for one in output.logits] == [x is None for x in inputs]
        found = dict(zip(("rgb", "depth", "ensemble"), (*output.logits, output.ensemble)))
        for name, probabilities in expected.items():
            torch.testing.assert_close(found[name].exp(), probabilities, rtol=1e-3, atol=1e-4)
    assert torch.equal(network(inputs, branches=False, once=True).ensemble, output.ensemble)


@torch.inference_mode()
def test_with_flip_a_mirrored_frame_has_a_mirrored_result(network, inputs):
    network.views = Views((1.0, 0.75), True, (True, False))
    straight = network(inputs).ensemble
    mirrored = network([x.flip(-1) for x in inputs]).ensemble
    torch.testing.assert_close(mirrored.flip(-1), straight, rtol=1e-3, atol=1e-3)
    network.views = Views((1.0, 0.75), False, (True, False))
    assert not torch.allclose(network([x.flip(-1) for x in inputs]).ensemble.flip(-1), straight, atol=1e-2)


@pytest.mark.parametrize("lower", [False, True])
@torch.inference_mode()
def test_a_view_of_what_is_not_smooth_has_no_values_of_its_own(network, inputs, lower):
    seen = []
    network.views = Views((1.0, 0.5), True, (True, False))
    with_hook = network.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        with torch.autocast("cpu", torch.bfloat16, enabled=lower):
            network(inputs)
    finally:
        with_hook.remove()
    assert [tuple(one.shape[-2:]) for one in seen] == [(48, 72), (48, 72), (24, 32), (24, 32)]
    for stacked in seen:
        colour, depth = stacked.chunk(2)
        assert torch.isin(depth, inputs[1]).all()
        assert torch.isin(colour, inputs[0]).all() == (colour.shape[-1] == WIDTH)


def test_in_training_a_frame_is_one_view(network, inputs):
    network.views = Views((1.0, 0.5), True)
    seen = []
    hook = network.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        network.train()([x.requires_grad_() for x in inputs])
    finally:
        hook.remove()
        network.eval()
    assert [tuple(one.shape[-2:]) for one in seen] == [(HEIGHT, WIDTH)]


@torch.inference_mode()
def test_certainty_stays_a_finite_number(network, inputs):
    """In half precision the least probability would be 0, and its logarithm no number to interpolate."""
    classifier = network.decoder.classifier
    before = classifier.bias.clone()
    try:
        classifier.bias[0] += 1e6
        network.views = Views((1.0, 0.5))
        logits = network(inputs).ensemble
    finally:
        classifier.bias.copy_(before)
    assert torch.isfinite(logits).all()
    assert (logits.argmax(1) == 0).all()


def test_wrong_inputs_are_refused_as_without_views(network, inputs):
    network.views = Views((1.0, 0.5), True, (True, False))
    with pytest.raises(ConfigError, match="has 2 inputs"):
        network([*inputs, inputs[0]])
    with pytest.raises(ConfigError, match="all inputs are absent"):
        network([None, None])
    with pytest.raises(ConfigError, match="differ in shape"):
        network([inputs[0], inputs[1][..., :64]])
