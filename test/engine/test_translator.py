"""The Translator: what the network makes of a frame's images."""

import cv2
import numpy as np
import pytest
import torch
from helpers import write_checkpoint
from unets import register_tiny_unet, unet_config, write_translation_checkpoint

from asymfusion_ros import Segmenter, Translator
from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.engine import RawImage
from asymfusion_ros.engine.translator import Asked
from asymfusion_ros.errors import ConfigError, ImageError


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        register_tiny_unet(patch)
        yield write_translation_checkpoint(tmp_path_factory.mktemp("night") / "night.safetensors")


@pytest.fixture(scope="module")
def translator(path):
    return Translator.from_checkpoint(path, device="cpu", precision="fp32")


def frame(seed=0, height=256, width=256):
    rng = np.random.default_rng(seed)
    depth = rng.integers(500, 6000, (height // 8, width // 8), np.uint16).repeat(8, 0).repeat(8, 1)
    return {"depth": depth, "shade": rng.integers(0, 256, (height, width), np.uint8)}


def by_hand(path, depth=None, shade=None):
    """The network's own images of inputs normalised by hand, 0 to 255: (the ensemble's, each one's)."""
    inputs = [
        None if depth is None else (np.minimum(depth / 1000, 10) - 2.7) / 1.4,
        None if shade is None else shade / 127.5 - 1,
    ]
    tensors = [None if x is None else torch.tensor(x).float().expand(1, 3, -1, -1) for x in inputs]
    with torch.no_grad():
        output = load_checkpoint(path).build()(tensors)

    def seen(image):
        return np.rint((image[0].permute(1, 2, 0).numpy() + 1) * 127.5)

    return seen(output.ensemble), [None if one is None else seen(one) for one in output.images]


def test_the_image_is_the_networks(path, translator):
    given = frame()
    result = translator(**given, each=True).numpy()
    ensemble, (of_depth, of_shade) = by_hand(path, **given)
    assert result.image.dtype == np.uint8 and result.image.shape == (256, 256, 3)
    assert result.image.std() > 5  # no plain picture
    # folded norms round otherwise
    assert np.abs(result.image - ensemble).max() <= 1
    assert list(result.each) == ["depth", "shade"]
    assert np.abs(result.each["depth"] - of_depth).max() <= 1
    assert np.abs(result.each["shade"] - of_shade).max() <= 1
    assert translator(**given).numpy().each == {}
    assert set(result.seconds) == {"upload", "network", "postprocess"}


@pytest.mark.parametrize("name", ["depth", "shade"])
def test_any_modality_may_be_absent(path, translator, name):
    given = {name: frame()[name]}
    expected, _ = by_hand(path, **given)
    assert np.abs(translator(**given).numpy().image - expected).max() <= 1
    both = translator(**frame()).numpy().image
    assert np.abs(both.astype(int) - translator(**given).numpy().image).mean() > 1


def test_a_camera_of_another_size_and_shape(translator):
    """Resized to what the U-Net takes, and back."""
    given = frame(3, 120, 160)
    image = translator(**given).numpy().image
    assert image.shape == (120, 160, 3)
    small = {"depth": np.full((256, 256), 2000, np.uint16), "shade": np.full((256, 256), 90, np.uint8)}
    plain = {"depth": np.full((480, 640), 2000, np.uint16), "shade": np.full((480, 640), 90, np.uint8)}
    square = translator(**small).numpy().image
    expected = cv2.resize(square, (640, 480), interpolation=cv2.INTER_LINEAR)
    assert np.abs(translator(**plain).numpy().image.astype(int) - expected).mean() < 2


def test_encodings_that_say_the_same(translator):
    given = frame()
    expected = translator(**given).numpy().image
    metres = {"depth": (given["depth"] / 1000).astype(np.float32), "shade": given["shade"].astype(np.float32)}
    assert np.abs(translator(**metres).numpy().image.astype(int) - expected).max() <= 1
    raw = {name: RawImage.from_array(image) for name, image in given.items()}
    np.testing.assert_array_equal(translator(**raw).numpy().image, expected)


def test_several_frames_together_are_those_alone(translator):
    asked = [(frame(1), Asked()), ({"depth": frame(2)["depth"]}, Asked(each=True)), (frame(3), Asked())]
    found = [one.numpy() for one in translator.translate_batch(asked)]
    for (given, _), one in zip(asked, found):
        assert np.abs(translator(**given).numpy().image.astype(int) - one.image).max() <= 1
    assert [list(one.each) for one in found] == [[], ["depth"], []]


def test_images_that_cannot_be_used(translator):
    with pytest.raises(ImageError, match="no image: give at least one of depth, shade"):
        translator()
    with pytest.raises(ImageError, match="not that of a scalar image"):
        translator(shade=np.zeros((256, 256, 3), np.uint8))


def test_warming_up_runs_every_set_of_modalities(translator):
    translator.warm_up(64, 64, 2)


def test_each_checkpoint_has_its_own_use(path, tmp_path):
    with pytest.raises(ConfigError, match="makes rgb images, no masks: it is for image translation"):
        Segmenter.from_checkpoint(path)
    masks = write_checkpoint(tmp_path / "masks.safetensors")
    with pytest.raises(ConfigError, match=r"labels pixels and makes no images: use it with .*Segmenter"):
        Translator.from_checkpoint(masks)


def test_three_domains(tmp_path, path):
    three = unet_config(("depth", "normal", "edge"))
    translator = Translator(load_checkpoint(write_translation_checkpoint(tmp_path / "3.safetensors", three)))
    rng = np.random.default_rng(0)
    normal, edge = rng.integers(0, 256, (64, 64, 3), np.uint8), np.zeros((64, 64), np.float32)
    result = translator(normal=normal, edge=edge, each=True).numpy()
    assert result.image.shape == (64, 64, 3)
    assert list(result.each) == ["normal", "edge"]
