"""DeepLabv3+: its decoder, dilated ResNets, and the norms that the modalities share."""

import pytest
import torch
from torch import nn

from asymfusion_ros.network import NetworkConfig, build_network
from asymfusion_ros.network.decoders.deeplab import ImagePooling
from asymfusion_ros.network.fusion.symmetric import SymmetricFusion
from asymfusion_ros.network.layers.norms import PrivateBatchNorm2d


def config(encoder="resnet18", modalities=("rgb", "depth"), **settings):
    settings = {"classes": 5, "decoder_channels": 8, **settings}
    return NetworkConfig("deeplabv3plus", encoder, modalities=modalities, **settings)


@pytest.mark.parametrize("encoder", ["resnet18", "resnet50"])
@pytest.mark.parametrize("output_stride", [16, 8])
def test_a_dilated_resnet_is_the_strided_one_read_more_densely(encoder, output_stride):
    """Every second (fourth) pixel of its features is a pixel of the plain ResNet's at 1/32."""
    torch.manual_seed(0)
    plain = build_network(NetworkConfig("refinenet_lw", encoder, 5, fusion="none")).eval()
    for module in plain.modules():
        if isinstance(module, PrivateBatchNorm2d):
            nn.init.normal_(module.bias, std=0.1)
    dilated = build_network(config(encoder, fusion="none", output_stride=output_stride)).eval()
    dilated.encoder.load_state_dict(plain.encoder.state_dict())
    images = torch.randn(2, 3, 100, 70)
    with torch.inference_mode():
        expected, found = (network.encoder(images, (0, 1)) for network in (plain, dilated))
    sizes = {16: [(25, 18), (13, 9), (7, 5), (7, 5)], 8: [(25, 18), (13, 9), (13, 9), (13, 9)]}
    assert [tuple(feature.shape[-2:]) for feature in found] == sizes[output_stride]
    steps = {16: (1, 1, 1, 2), 8: (1, 1, 2, 4)}[output_stride]
    for feature, other, step in zip(found, expected, steps):
        torch.testing.assert_close(feature[..., ::step, ::step], other, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("encoder", ["resnet18", "xception65"])
@pytest.mark.parametrize("size", [(33, 47), (64, 96), (75, 100)])
def test_logits_are_a_quarter_of_any_size(encoder, size):
    network = build_network(config(encoder)).eval()
    with torch.inference_mode():
        out = network([torch.randn(1, 3, *size) for _ in range(2)])
    assert tuple(out.ensemble.shape) == (1, 5, -(-size[0] // 4), -(-size[1] // 4))


@pytest.mark.parametrize("encoder", ["resnet18", "xception65"])
def test_bfloat16_and_channels_last(encoder):
    torch.manual_seed(1)
    network = build_network(config(encoder)).eval()
    nn.init.normal_(network.decoder.classifier.weight)
    images = [torch.randn(1, 3, 64, 64) for _ in range(2)]
    with torch.inference_mode():
        expected = network(images).ensemble
        network.to(memory_format=torch.channels_last)
        last = [image.contiguous(memory_format=torch.channels_last) for image in images]
        scale = float(expected.abs().max())
        torch.testing.assert_close(network(last).ensemble, expected, rtol=1e-3, atol=1e-4 * scale)
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(images).ensemble.float()
        torch.testing.assert_close(rough, expected, rtol=0, atol=0.05 * scale)


def norms(module):
    return [part for part in module.modules() if isinstance(part, PrivateBatchNorm2d)]


def test_the_decoders_norms_are_shared():
    """Section 4.2: norms are private in the encoder alone; individual decoders each have their own."""
    network = build_network(config())
    assert {len(norm.weight) for norm in norms(network.encoder)} == {2}
    assert {len(norm.weight) for norm in norms(network.decoder)} == {1}
    individual = build_network(config(shared_convs=False))
    assert len(norms(individual.decoder)) == 2 * len(norms(network.decoder))


def test_dimensions_of_the_baselines():
    """The decoder reads a ResNet's first stage as a skip, and no fused block of Xception65."""
    found = {}
    for encoder in ("resnet50", "xception65"):
        for fusion in ("attention", "mmf"):
            with torch.device("meta"):
                network = build_network(config(encoder, fusion=fusion))
            blocks = [m.blocks.of(0) for m in network.modules() if isinstance(m, SymmetricFusion)]
            found[encoder, fusion] = [
                block.down.out_channels if fusion == "attention" else block.pool.out_channels
                for block in blocks
            ]
    assert found == {
        ("resnet50", "attention"): [21, 16, 32, 64],  # 128 / 6, 256 / 16, 512 / 16, 1024 / 16
        ("resnet50", "mmf"): [64, 128, 256, 512],
        ("xception65", "attention"): [91, 91, 192],  # 1456 / 16, 1456 / 16, 3072 / 16
        ("xception65", "mmf"): [256, 256, 512],
    }


def test_image_pooling_of_one_sample_in_training():
    """One value a channel has no variance: the running statistics serve, and stay."""
    torch.manual_seed(2)
    pooling = ImagePooling(6, 4).train()
    nn.init.normal_(pooling.norm.running_mean)
    nn.init.uniform_(pooling.norm.running_var, 0.5, 2.0)
    mean, x = pooling.norm.running_mean.clone(), torch.randn(1, 6, 5, 7)
    one = pooling(x)
    assert one.shape == (1, 4, 5, 7) and torch.equal(pooling.norm.running_mean, mean)
    one.sum().backward()
    assert pooling.norm.bias.grad.any()
    pooling.eval()
    torch.testing.assert_close(pooling(x), one)

    pooling.train()(torch.randn(2, 6, 5, 7))
    assert not torch.equal(pooling.norm.running_mean, mean)


@pytest.mark.parametrize("shared", [True, False])
def test_a_batch_of_one_sample_of_one_modality_trains(shared):
    network = build_network(config(shared_convs=shared))
    network([torch.randn(1, 3, 64, 64), None]).ensemble.sum().backward()
