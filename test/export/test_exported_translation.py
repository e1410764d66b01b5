"""Image translation exported: the images of both runtimes are torch's, whichever domains are there."""

import numpy as np
import pytest
import torch
from helpers import refused, write_checkpoint
from unets import register_tiny_unet, unet_config, write_translation_checkpoint

from asymfusion_ros import Segmenter, Translator
from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.cli.main import main
from asymfusion_ros.engine.exported import load_exported
from asymfusion_ros.engine.fold import fold_norms
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.export.unstack import Graph, unstacked
from asymfusion_ros.export.verify_images import compare_images
from asymfusion_ros.network import build_network


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """(checkpoint, exported file)"""
    root = tmp_path_factory.mktemp("night")
    with pytest.MonkeyPatch.context() as patch:
        register_tiny_unet(patch)
        checkpoint = write_translation_checkpoint(root / "night.safetensors")
        assert (
            main(["export", str(checkpoint), "--output", str(root / "exported.onnx"), "--frames", "1"]) == 0
        )
        yield checkpoint, root / "exported.onnx"


def frame():
    rng = np.random.default_rng(4)
    depth = rng.integers(500, 6000, (15, 20), np.uint16).repeat(8, 0).repeat(8, 1)
    return {"depth": depth, "shade": rng.integers(0, 256, (120, 160), np.uint8)}


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
@pytest.mark.parametrize("names", [("depth", "shade"), ("depth",), ("shade",)])
def test_the_runtimes_make_the_checkpoints_images(files, backend, names):
    exported = Translator.from_checkpoint(files[1], backend=backend)
    reference = Translator.from_checkpoint(files[0], device="cpu", precision="fp32")
    assert (exported.backend.name, exported.target) == (backend, "rgb")
    given = {name: frame()[name] for name in names}
    ours, theirs = (one(**given, each=True).numpy() for one in (exported, reference))
    assert theirs.image.std() > 2  # no plain picture
    assert ours.image.shape == (120, 160, 3)
    assert tuple(ours.each) == names
    for mine, other in zip((ours.image, *ours.each.values()), (theirs.image, *theirs.each.values())):
        assert np.abs(mine.astype(int) - other).max() <= 1


def test_the_file_says_what_it_is_and_how_it_compared(files):
    model = load_exported(files[1])
    assert (model.target, model.size, model.config) == ("rgb", (256, 256), unet_config())
    checks = model.checks["openvino"]
    assert checks["frames"] == 1
    assert checks["mean"] <= checks["largest"] < 0.1


def test_another_networks_images_are_seen_to_differ(files):
    """In levels of 0 to 255, over every set and every image."""
    exported = Translator.from_checkpoint(files[1], backend="onnxruntime")
    checkpoint = load_checkpoint(files[0])
    name = "decoder.layers.7.conv.bias"
    checkpoint.state_dict[name] += 0.02
    found = compare_images(exported, Translator(checkpoint, "cpu", "fp32"), [(frame(), None)])
    # tanh is no steeper than 1
    assert 1 < found.largest <= 0.02 * 127.5 + 0.01
    assert 0 < found.mean < found.largest


def test_each_file_has_its_own_use(files, tmp_path, capsys):
    with pytest.raises(ConfigError, match="makes rgb images, no masks: it is for image translation"):
        Segmenter.from_checkpoint(files[1])
    masks = write_checkpoint(tmp_path / "masks.safetensors")
    line = refused(capsys, "translate", masks, tmp_path, "--output", tmp_path / "out")
    assert "labels pixels and makes no images" in line


@pytest.mark.parametrize("settings", [{"norm": "instance"}, {"fusion": "attention"}])
def test_other_fusions_and_norms_without_stacks(monkeypatch, settings):
    register_tiny_unet(monkeypatch)
    torch.manual_seed(0)
    network = build_network(unet_config(**settings)).eval().requires_grad_(False)
    fold_norms(network)
    graph = Graph(network, (0, 1), branches=True)
    images = (torch.randn(1, 3, 256, 256), torch.randn(1, 3, 256, 256))
    module = unstacked(graph, images)
    with torch.no_grad():
        for found, expected in zip(module(*images), graph(*images), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
