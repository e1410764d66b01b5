"""An encoder of the timm package: built, fused in every resolution, trained a few steps, exported."""

import pytest
import torch
from torch.nn import functional as F

try:
    import timm
except (ImportError, RuntimeError) as error:  # torchvision raises RuntimeError beside another torch
    pytest.skip(f"timm cannot be imported: {error}", allow_module_level=True)

from asymfusion_ros.engine.fold import fold_norms
from asymfusion_ros.network import NetworkConfig, build_network
from asymfusion_ros.network.fusion.base import Fusion
from asymfusion_ros.network.layers.norms import PrivateBatchNorm2d
from asymfusion_training.weights.pretrained import load_imagenet

MODEL = "mobilenetv2_100"


def network_of(**settings):
    settings = {"modalities": ("rgb", "depth"), "decoder_channels": 8, "dropout": 0.0, **settings}
    return build_network(NetworkConfig("refinenet_lw", f"timm:{MODEL}", 5, **settings))


@pytest.mark.parametrize("fusion", ["asymmetric", "concat"])
@pytest.mark.parametrize("shared", [True, False])
def test_it_is_built_and_learns(fusion, shared):
    torch.manual_seed(0)
    network = network_of(fusion=fusion, shared_convs=shared)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    places = [name for name, module in network.named_modules() if isinstance(module, Fusion)]
    assert places == [f"encoder.body.blocks.{i}.conv_dw.fusion" for i in ("1.1", "2.2", "4.2", "6.0")]
    images = [torch.randn(2, 3, 64, 64) for _ in range(2)]
    label = torch.randint(5, (2, 16, 16))
    optimiser = torch.optim.SGD(network.parameters(), 0.05, momentum=0.9)
    losses = []
    for _ in range(6):
        optimiser.zero_grad()
        out = network(images)
        loss = sum(F.cross_entropy(logits, label) for logits in out.logits)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    norms = [module for module in network.modules() if isinstance(module, PrivateBatchNorm2d)]
    assert all(not torch.equal(norm.running_mean[0], norm.running_mean[1]) for norm in norms)


def test_weights_in_timms_layout_give_timms_features(tmp_path):
    torch.manual_seed(1)
    theirs = timm.create_model(MODEL, pretrained=False).eval()
    path = tmp_path / "weights.pth"
    torch.save(theirs.state_dict(), path)
    for shared in (True, False):
        network = network_of(fusion="none", shared_convs=shared).eval()
        load_imagenet(network, str(path))
        image = torch.randn(1, 3, 64, 64)
        with torch.inference_mode():
            expected = theirs.forward_intermediates(image, indices=(1, 2, 3, 4), intermediates_only=True)
            found = network.encoder(torch.cat([image, image]), (0, 1))
        for ours, feature in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, torch.cat([feature, feature]), rtol=1e-3, atol=1e-4)


def test_it_folds_and_exports():
    torch.manual_seed(2)
    network = network_of().eval()
    images = [torch.randn(1, 3, 33, 47) for _ in range(2)]
    with torch.no_grad():
        expected = network(images).ensemble
        fold_norms(network)
        torch.testing.assert_close(network(images).ensemble, expected, rtol=1e-4, atol=1e-5)

        class Ensemble(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.network = network

            def forward(self, *given):
                return self.network(list(given)).ensemble

        exported = torch.export.export(Ensemble(), tuple(images)).module()
        torch.testing.assert_close(exported(*images), expected, rtol=1e-4, atol=1e-5)
