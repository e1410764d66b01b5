"""The engine's norms and fusions compute what the network's do in evaluation mode."""

import copy

import pytest
import torch
from torch import nn

from asymfusion_ros.engine.fold import fold_norms
from asymfusion_ros.engine.sliced_fusion import slice_fusions
from asymfusion_ros.network import NetworkConfig, build_network
from asymfusion_ros.network.layers.norms import PrivateBatchNorm2d


@pytest.mark.parametrize("private", [True, False])
@pytest.mark.parametrize("present", [(0, 1, 2), (1,), (0, 2)])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_folded_norm(private, present, memory_format):
    torch.manual_seed(0)
    norm = PrivateBatchNorm2d(6, modalities=3, private=private, eps=1e-3).eval()
    for table in (norm.weight, norm.bias, norm.running_mean):
        nn.init.normal_(table)
    nn.init.uniform_(norm.running_var, 0.2, 3.0)
    if private:
        nn.init.normal_(norm.alone_mean)
        norm.alone_known[1] = 1
    holder = nn.Sequential(norm)
    x = torch.randn(2 * len(present), 6, 5, 7).contiguous(memory_format=memory_format)
    with torch.inference_mode():
        expected = norm(x.clone(), present)
        fold_norms(holder)
        torch.testing.assert_close(holder[0](x.clone(), present), expected)


@pytest.mark.parametrize(
    ("architecture", "encoder", "settings"),
    [
        ("refinenet_lw", "resnet50", {"fusion": "skip", "fusion_blocks": "all"}),
        ("refinenet", "resnet50", {"variant": "released"}),
        ("refinenet_lw", "efficientnet_lite0", {"fusion_blocks": "all", "direction": "depth_to_rgb"}),
        ("refinenet_lw", "resnet50", {}),
        ("refinenet_lw", "resnet18", {"fusion": "mmf"}),
        ("refinenet_lw", "efficientnet_lite0", {}),
        ("refinenet_lw", "efficientnet_lite0", {"fusion": "concat", "shared_convs": False}),
        ("deeplabv3plus", "resnet18", {"fusion": "attention"}),
        ("deeplabv3plus", "xception65", {}),
        ("deeplabv3plus", "xception65", {"fusion": "average", "shared_convs": False}),
        ("deeplabv3plus", "xception65", {"fusion_blocks": "all", "output_stride": 8}),
    ],
)
@pytest.mark.parametrize("absent", [None, 0, 1])
def test_a_folded_network_computes_the_same(architecture, encoder, settings, absent):
    """A norm or a fusion that overwrites a tensor which is read again, by a shortcut for one, would show
    here. The ensemble by itself, which takes one pass of the classifier, is the same."""
    torch.manual_seed(1)
    config = NetworkConfig(architecture, encoder, 5, decoder_channels=8, **settings)
    network = build_network(config).eval()
    for module in network.modules():
        if isinstance(module, PrivateBatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.normal_(module.bias, std=0.3)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.2, 1.0)
            if module.tells_alone:
                nn.init.normal_(module.alone_mean, std=0.1)
                nn.init.uniform_(module.alone_var, 0.2, 1.0)
                nn.init.ones_(module.alone_known)
    for name, parameter in network.decoder.named_parameters():
        if name.endswith("classifier.weight"):
            nn.init.normal_(parameter)
    folded = copy.deepcopy(network)
    fold_norms(folded)
    slice_fusions(folded)
    images = [None if i == absent else torch.randn(1, 3, 64, 96) for i in range(2)]
    with torch.inference_mode():
        expected = network(images)
        scale = 1e-4 * float(expected.ensemble.abs().max())
        for branches in (True, False):
            found = folded(images, branches, once=True)
            torch.testing.assert_close(found.ensemble, expected.ensemble, rtol=1e-4, atol=scale)
            torch.testing.assert_close(found.weights, expected.weights)
            logits = [pair for pair in zip(found.logits, expected.logits) if branches]
            assert all((one is None) == (other is None) for one, other in logits)
            for one, other in logits:
                if one is not None:
                    torch.testing.assert_close(one, other, rtol=1e-4, atol=scale)
