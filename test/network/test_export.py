"""Every network exports with torch.export, as the engine runs it: norms folded, any modality missing."""

import pytest
import torch
from torch import nn

from asymfusion_ros.engine.fold import fold_norms
from asymfusion_ros.network import NetworkConfig, build_network

SIZE = (33, 47)
NAMES = ("rgb", "depth", "thermal")


class Logits(nn.Module):
    """Tensors in, tensors out: what a graph has."""

    def __init__(self, network, available):
        super().__init__()
        self.network, self.available = network, available

    def forward(self, *images):
        given = dict(zip(self.available, images))
        out = self.network([given.get(i) for i in range(len(self.network.config.modalities))])
        return out.ensemble, *(logits for logits in out.logits if logits is not None)


ALL, ONE = slice(None), slice(-1, None)


@pytest.mark.parametrize(
    ("architecture", "encoder", "settings", "shown", "folded"),
    [
        ("refinenet", "resnet18", {"fusion": "shuffle"}, ALL, True),
        ("refinenet", "resnet18", {"fusion": "shuffle"}, ALL, False),
        ("refinenet", "resnet50", {"variant": "released"}, ONE, True),
        ("refinenet_lw", "resnet18", {"fusion": "mmf", "direction": "depth_to_rgb"}, ALL, True),
        ("refinenet_lw", "efficientnet_lite0", {}, ALL, True),
        ("refinenet_lw", "efficientnet_lite0", {}, ONE, False),
        ("refinenet_lw", "resnet18", {"modalities": NAMES, "fusion": "skip"}, slice(1, None), True),
        ("refinenet_lw", "resnet18", {"fusion": "concat", "shared_convs": False}, ALL, True),
        ("refinenet_lw", "resnet18", {"fusion": "none", "private_norms": False}, ALL, True),
        ("deeplabv3plus", "resnet18", {"fusion": "attention", "fusion_blocks": "all"}, ALL, True),
        ("deeplabv3plus", "xception65", {"fusion": "average"}, ALL, True),
    ],
)
def test_a_network_exports(architecture, encoder, settings, shown, folded):
    torch.manual_seed(0)
    network = build_network(NetworkConfig(architecture, encoder, 5, decoder_channels=8, **settings)).eval()
    for module in network.decoder.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, std=0.1)
    if folded:
        fold_norms(network)
    available = tuple(range(len(network.config.modalities)))[shown]
    images = tuple(torch.randn(1, 3, *SIZE) for _ in available)
    model = Logits(network, available)
    with torch.no_grad():
        exported = torch.export.export(model, images).module()
        other = tuple(image + 1 for image in images)  # values of the example are not in the graph
        for found, expected in zip(exported(*other), model(*other), strict=True):
            scale = float(expected.abs().max())
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * scale)
