"""A network without stacks computes what the network does, whatever its layers."""

import pytest
import torch
from torch import nn

from asymfusion_ros.engine.fold import fold_norms
from asymfusion_ros.export.unstack import Graph, unstacked
from asymfusion_ros.network import NetworkConfig, build_network
from asymfusion_ros.network.views import Views

SIZE = (33, 47)
THREE = ("rgb", "depth", "thermal")
ALL, LAST = slice(None), slice(-1, None)


def network_of(architecture, encoder, **settings):
    torch.manual_seed(0)
    network = build_network(NetworkConfig(architecture, encoder, 5, decoder_channels=8, **settings)).eval()
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d) and name.startswith("decoder"):
            nn.init.normal_(module.weight, std=0.1)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_mean"):
            tensor.normal_(std=0.3)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
    fold_norms(network)
    return network.requires_grad_(False)


@pytest.mark.parametrize(
    ("architecture", "encoder", "settings", "available"),
    [
        ("refinenet", "resnet18", {"fusion": "shuffle"}, ALL),
        ("refinenet", "resnet50", {"variant": "released"}, ALL),
        ("refinenet", "resnet50", {"variant": "released"}, LAST),
        ("refinenet_lw", "resnet18", {"fusion": "mmf", "direction": "depth_to_rgb"}, ALL),
        ("refinenet_lw", "efficientnet_lite0", {}, ALL),
        ("refinenet_lw", "efficientnet_lite0", {}, LAST),
        ("refinenet_lw", "resnet18", {"modalities": THREE, "fusion": "skip"}, ALL),
        ("refinenet_lw", "resnet18", {"modalities": THREE}, slice(1, None)),
        ("refinenet_lw", "resnet18", {"fusion": "concat", "shared_convs": False}, ALL),
        ("refinenet_lw", "resnet18", {"fusion": "none", "private_norms": False}, ALL),
        ("deeplabv3plus", "resnet18", {"fusion": "attention", "fusion_blocks": "all"}, ALL),
        ("deeplabv3plus", "xception65", {"fusion": "average"}, ALL),
    ],
)
def test_the_answer_is_the_networks(architecture, encoder, settings, available):
    network = network_of(architecture, encoder, **settings)
    chosen = tuple(range(len(network.config.modalities)))[available]
    graph = Graph(network, chosen, branches=True)
    images = tuple(torch.randn(1, 3, *SIZE) for _ in chosen)
    module = unstacked(graph, images)
    with torch.no_grad():
        for found, expected in zip(module(*images), graph(*images), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


def test_several_views_are_in_the_graph_without_antialiasing():
    """Few runtimes know that; RGB is resized with it, depth by nearest neighbour."""
    network = network_of("refinenet_lw", "efficientnet_lite0")
    network.views = Views((1.0, 0.6), True, (True, False))
    graph = Graph(network, (0, 1), branches=True)
    images = tuple(torch.randn(1, 3, 48, 64) for _ in range(2))
    module = unstacked(graph, images)
    with torch.no_grad():
        for found, expected in zip(module(*images), graph(*images), strict=True):
            torch.testing.assert_close(found.exp(), expected.exp(), rtol=1e-4, atol=1e-6)
    used = {str(node.target) for node in module.graph.nodes if node.op == "call_function"}
    assert not any("_aa" in one or "nearest" in one for one in used)


def test_each_modality_has_its_own_convolutions_and_no_stack_is_left():
    network = network_of("refinenet_lw", "efficientnet_lite0")
    images = (torch.randn(1, 3, *SIZE), torch.randn(1, 3, *SIZE))
    module = unstacked(Graph(network, (0, 1), branches=True), images)
    count = sum(isinstance(layer, nn.Conv2d) for layer in network.modules())
    convolutions = [node for node in module.graph.nodes if node.target is torch.ops.aten.conv2d.default]
    calls = [node for node in convolutions if "exchange" not in node.args[1].target]
    assert len(calls) == 2 * count + 1  # the ensemble's classifier, see below
    # In each of four stages each modality's pixels are shifted; see test_exchange.
    assert len(convolutions) - len(calls) == 2 * 4
    targets = {node.target for node in module.graph.nodes}
    assert not targets & {torch.ops.aten.cat.default, torch.ops.aten.slice.Tensor}
    # Both modalities' convolutions read the same weights.
    assert len({node.args[1].target for node in calls}) == count


def test_the_ensemble_alone_needs_one_classifier():
    network = network_of("refinenet_lw", "efficientnet_lite0")
    network.ensemble.alpha.copy_(torch.tensor([0.3, 1.7]))
    images = (torch.randn(1, 3, *SIZE), torch.randn(1, 3, *SIZE))
    module = unstacked(Graph(network, (0, 1)), images)
    convolutions = [node for node in module.graph.nodes if node.target is torch.ops.aten.conv2d.default]
    assert sum("classifier" in node.args[1].target for node in convolutions) == 1
    with torch.no_grad():
        found, logits = module(*images)[0], network(images).logits
    alpha = torch.tensor([0.3, 1.7]).softmax(0)
    torch.testing.assert_close(found, alpha[0] * logits[0] + alpha[1] * logits[1], rtol=1e-4, atol=1e-4)
