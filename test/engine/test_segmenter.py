"""The engine from frames to labels, against the same pipeline written out."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import CLASSES, SPEC, tiny_checkpoint, tiny_config, write_folder
from torch.nn import functional as F

from asymfusion_ros import Segmenter
from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.data.folder import Folder, Frame
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.engine import RawImage
from asymfusion_ros.errors import ConfigError, ImageError
from asymfusion_training.data.batch import collate


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture(scope="module")
def segmenter(checkpoint):
    return Segmenter(checkpoint, device="cpu")


def random_pair(height=96, width=128, seed=0):
    """Blobs of colour and of depth in uint16 millimetres, with holes in the depth."""
    rng = np.random.default_rng(seed)
    rgb = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    depth = rng.integers(500, 9000, (height // 8 + 1, width // 8 + 1)).astype(np.uint16)
    depth[rng.random(depth.shape) < 0.2] = 0
    grow = np.ones((8, 8), np.uint8)
    return np.kron(rgb, grow[..., None])[:height, :width], np.kron(depth, grow)[:height, :width].astype("u2")


def by_hand(checkpoint, rgb, depth, size):
    """Logits at the frame's size, every step written out; depth in metres; None where absent."""
    spec, inputs = checkpoint.input_spec, []
    if rgb is not None:
        x = torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float()
        if x.shape[-2:] != (spec.height, spec.width):
            x = F.interpolate(x, (spec.height, spec.width), mode="bilinear", antialias=True)
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (spec.rgb_mean, spec.rgb_std))
        inputs.append((x - mean) / std)
    else:
        inputs.append(None)
    if depth is not None:
        rows = [int((y + 0.5) * depth.shape[0] / spec.height) for y in range(spec.height)]
        columns = [int((x + 0.5) * depth.shape[1] / spec.width) for x in range(spec.width)]
        plane = np.full((spec.height, spec.width), spec.depth_invalid, np.float32)
        for y, row in enumerate(rows):
            for x, column in enumerate(columns):
                metres = depth[row, column]
                if math.isfinite(metres) and metres > 0:
                    plane[y, x] = (min(metres, spec.depth_max) - spec.depth_mean) / spec.depth_std
        inputs.append(torch.from_numpy(plane)[None, None].repeat(1, 3, 1, 1))
    else:
        inputs.append(None)
    with torch.inference_mode():
        logits = checkpoint.build()(inputs).ensemble
        return logits[0], F.interpolate(logits, size, mode="bilinear", align_corners=False)[0]


def assert_labels_of(result, logits):
    """The labels are the winners, but for pixels where the two best differ by rounding alone."""
    best = logits.topk(2, 0).values
    clear = best[0] - best[1] > 1e-3
    assert (result.labels == logits.argmax(0))[clear].all()
    assert clear.float().mean() > 0.95
    assert len(result.labels.unique()) > 1  # a network that says something


@pytest.mark.parametrize("given", ["both", "rgb", "depth"])
@pytest.mark.parametrize("size", [(96, 128), (48, 64)])
def test_the_whole_pipeline_by_hand(checkpoint, segmenter, given, size):
    rgb, depth = random_pair(*size)
    rgb = rgb if given != "depth" else None
    depth = depth if given != "rgb" else None
    result = segmenter(rgb, depth)
    metres = None if depth is None else depth.astype(np.float32) * np.float32(0.001)
    coarse, logits = by_hand(checkpoint, rgb, metres, size)
    assert_labels_of(result, logits)
    winning = coarse.softmax(0).amax(0)
    confidence = 255 * F.interpolate(winning[None, None], size, mode="bilinear", align_corners=False)[0, 0]
    assert (result.confidence.float() - confidence).abs().max() <= 0.51


@pytest.mark.parametrize("size", [(1, 1), (2, 50), (37, 3), (33, 47), (100, 60), (123, 321)])
@pytest.mark.parametrize("given", ["both", "rgb", "depth"])
def test_any_size(segmenter, size, given):
    rgb, depth = random_pair(*size)
    result = segmenter(rgb if given != "depth" else None, depth if given != "rgb" else None)
    assert result.labels.shape == result.confidence.shape == size
    assert result.labels.dtype == result.confidence.dtype == torch.uint8
    assert result.labels.max() < len(CLASSES)


def test_the_result_on_the_host(segmenter):
    rgb, depth = random_pair()
    result = segmenter(rgb, depth)
    host = result.numpy()
    assert (host.labels.dtype, host.confidence.dtype) == (np.uint8, np.uint8)
    assert (host.labels == result.labels.numpy()).all()
    plain = segmenter(rgb, depth, confidence=False)
    assert plain.confidence is None
    assert plain.numpy().confidence is None
    assert torch.equal(plain.labels, result.labels)


def test_depth_of_another_size_than_colour(segmenter):
    rgb, depth = random_pair(96, 128)
    result = segmenter(rgb, depth[::2, ::2])
    assert result.labels.shape == (96, 128)
    # every second pixel, doubled, is the same depth image to a network that takes 48 x 64
    doubled = np.kron(depth[::2, ::2], np.ones((2, 2), np.uint16)).astype(np.uint16)
    assert torch.equal(result.labels, segmenter(rgb, doubled).labels)


def test_millimetres_and_metres_are_the_same(segmenter):
    rgb, depth = random_pair()
    metres = depth.astype(np.float32) * np.float32(0.001)
    metres[depth == 0] = np.nan
    one, other = segmenter(rgb, depth), segmenter(rgb, metres)
    assert torch.equal(one.labels, other.labels)
    assert torch.equal(one.confidence, other.confidence)


def test_every_layout_of_a_frame_gives_the_same(segmenter):
    rgb, depth = random_pair()
    expected = segmenter(rgb, depth)
    padded = np.zeros((96, 128 * 4 + 5), np.uint8)
    padded[:, : 128 * 4].reshape(96, 128, 4)[..., :3] = rgb[..., ::-1]
    colour = RawImage.from_buffer(padded.tobytes(), 96, 128, "bgra8", padded.shape[1])
    big = RawImage.from_buffer(depth.astype(">u2").tobytes(), 96, 128, "mono16", 256, bigendian=True)
    assert torch.equal(segmenter(colour, big).labels, expected.labels)


@pytest.mark.parametrize("fill", [0.0, np.nan, np.inf, -np.inf, -1.0])
def test_depth_without_one_valid_pixel(segmenter, fill):
    rgb, _ = random_pair()
    blind = np.full((96, 128), fill, np.float32)
    result = segmenter(rgb, blind)
    assert torch.equal(result.labels, segmenter(rgb, np.zeros((96, 128), np.uint16)).labels)
    assert segmenter(None, blind).labels.shape == (96, 128)


def test_frames_are_independent(segmenter):
    first, second = random_pair(seed=1), random_pair(seed=2)
    alone = segmenter(*first).labels.clone()
    segmenter(*second)
    assert torch.equal(segmenter(*first).labels, alone)
    assert not torch.equal(segmenter(*second).labels, alone)


def test_what_scoring_feeds_the_network_is_what_the_engine_feeds(tmp_path, segmenter):
    folder = Folder(write_folder(tmp_path / "stripes", frames=1, size=(96, 128)))
    read = folder.read("frame0").images
    millimetres = (read["depth"] * 1000).round().astype(np.uint16)
    images = segmenter.images({"rgb": read["rgb"], "depth": millimetres})
    ours = segmenter.preprocess(images, segmenter.upload(images))
    batch = collate([Frame("frame0", read, np.zeros((96, 128), np.uint8))])
    for name, image in batch.images.items():
        assert torch.equal(ours[name], SPEC.network_input(name, image, SPEC.network_size(96, 128)))


@pytest.mark.parametrize("modality", ["rgb", "depth"])
def test_a_checkpoint_of_one_modality(tmp_path, modality):
    segmenter = Segmenter(tiny_checkpoint(tmp_path, config=tiny_config((modality,))), "cpu")
    assert segmenter.modalities == (modality,)
    segmenter.warm_up(48, 64)
    pair = dict(zip(("rgb", "depth"), random_pair()))
    alone = segmenter(
        pair["rgb"] if modality == "rgb" else None, pair["depth"] if modality == "depth" else None
    )
    assert torch.equal(segmenter(**pair).labels, alone.labels)  # the other image is ignored
    other = {name: None if name == modality else image for name, image in pair.items()}
    with pytest.raises(ImageError, match=f"no image: give at least one of {modality}"):
        segmenter(**other)


def test_modalities_in_another_order(tmp_path, checkpoint):
    swapped = Segmenter(tiny_checkpoint(tmp_path, config=tiny_config(("depth", "rgb"))), "cpu")
    rgb, depth = random_pair()
    images = swapped.images({"rgb": rgb, "depth": depth})
    given = Segmenter(checkpoint, "cpu").preprocess(images, swapped.upload(images))
    made = swapped.preprocess(images, swapped.upload(images))
    assert list(images) == ["depth", "rgb"]
    assert all(torch.equal(made[name], given[name]) for name in images)


def test_a_third_modality(tmp_path):
    names = ("rgb", "depth", "thermal")
    segmenter = Segmenter(tiny_checkpoint(tmp_path, config=tiny_config(names)), "cpu")
    segmenter.warm_up(48, 64)
    rgb, depth = random_pair()
    warm = np.linspace(280, 310, depth.size, dtype=np.float32).reshape(depth.shape)
    images = {"rgb": rgb, "depth": depth, "thermal": warm}
    results = {}
    for available in (names, ("rgb", "depth"), ("rgb", "thermal"), ("depth", "thermal"), ("thermal",)):
        results[available] = segmenter(**{name: images[name] for name in available}).labels
        assert results[available].shape == depth.shape
    assert len({tuple(labels.flatten().tolist()) for labels in results.values()}) == len(results)
    # Counts of a hundredth of a kelvin are the same temperatures.
    counts = segmenter(thermal=np.round(warm * 100).astype(np.uint16)).labels
    assert (counts == results[("thermal",)]).float().mean() > 0.99
    with pytest.raises(ImageError, match="at least one of rgb, depth, thermal"):
        segmenter(infrared=warm)


def test_a_modality_of_an_unknown_kind_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="modality 'lidar' is unknown: use one of rgb, depth"):
        Segmenter(tiny_checkpoint(tmp_path, config=tiny_config(("rgb", "lidar"))), "cpu")
    spec = InputSpec(height=48, width=64, images={"lidar": {"kind": "range"}})
    described = Segmenter(tiny_checkpoint(tmp_path, config=tiny_config(("rgb", "lidar")), spec=spec), "cpu")
    assert described(lidar=random_pair()[1]).labels.shape == (96, 128)


def test_the_confidence_is_tempered_by_what_is_available(checkpoint, segmenter):
    tempered = Segmenter(replace(checkpoint, temperatures={"rgb+depth": 4.0}), "cpu")
    rgb, depth = random_pair()
    plain, cooled = segmenter(rgb, depth), tempered(rgb, depth)
    assert torch.equal(plain.labels, cooled.labels)
    assert (cooled.confidence <= plain.confidence).all() and (cooled.confidence < plain.confidence).any()
    assert torch.equal(tempered(rgb).confidence, segmenter(rgb).confidence)


def test_an_unknown_backend_is_refused(checkpoint):
    with pytest.raises(ConfigError, match="unknown backend 'tensorflow'; use auto, torch"):
        Segmenter(checkpoint, "cpu", backend="tensorflow")


def test_the_backend_gives_every_modality_s_logits(checkpoint, segmenter):
    images = segmenter.images(dict(zip(("rgb", "depth"), random_pair())))
    inputs = segmenter.preprocess(images, segmenter.upload(images))
    output = segmenter.backend.outputs(inputs)
    assert torch.equal(output.ensemble, segmenter.backend(inputs))
    assert len(output.logits) == 2 and all(branch.shape == output.ensemble.shape for branch in output.logits)
    alone = segmenter.backend.outputs({"depth": inputs["depth"]})
    assert alone.logits[0] is None and torch.equal(alone.logits[1], alone.ensemble)


def test_a_network_input_far_from_the_default(tmp_path):
    spec = InputSpec(height=32, width=96, depth_mean=0, depth_std=5, depth_max=65.5)
    segmenter = Segmenter(tiny_checkpoint(tmp_path, spec=spec), "cpu")
    assert segmenter(*random_pair(64, 192)).labels.shape == (64, 192)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_precisions_on_a_cpu(checkpoint, segmenter, precision):
    lower = Segmenter(checkpoint, "cpu", precision)
    rgb, depth = random_pair()
    agree = (lower(rgb, depth).labels == segmenter(rgb, depth).labels).float().mean()
    assert agree > 0.95


def test_in_bf16_the_first_layers_are_exact(checkpoint, segmenter):
    """The stem and the first block give what they give in fp32; what follows computes in bf16."""
    lower, made = Segmenter(checkpoint, "cpu", "bf16"), {}
    for kind, one in (("fp32", segmenter), ("bf16", lower)):
        blocks = one.backend._network.encoder.blocks
        for place in (0, 1):
            blocks[place].register_forward_hook(
                lambda _, x, y, key=(kind, place): made.update({key: (x[0].clone(), y.clone())})
            )
    rgb, depth = random_pair()
    assert (lower(rgb, depth).labels == segmenter(rgb, depth).labels).float().mean() > 0.95
    assert torch.equal(made["bf16", 0][1], made["fp32", 0][1])
    assert made["bf16", 1][0].dtype == torch.bfloat16
    assert torch.equal(made["bf16", 1][0], made["fp32", 1][0].bfloat16())


def test_what_it_says_of_itself(checkpoint, segmenter):
    assert segmenter.modalities == ("rgb", "depth")
    assert segmenter.label_set.names == CLASSES
    assert segmenter.checkpoint.provenance["data"] == "made"
    segmenter.warm_up(48, 64)


@pytest.mark.parametrize(
    ("rgb", "depth", "named"),
    [
        (None, None, "no image: give at least one of rgb, depth"),
        (np.zeros((4, 4), np.uint16), None, "'16UC1' is not that of a colour image"),
        (None, np.zeros((4, 4, 3), np.uint8), "'rgb8' is not that of a range image"),
        (None, np.zeros((4, 4), np.float64), "float64"),
        (np.zeros((0, 4, 3), np.uint8), None, "no pixels"),
    ],
)
def test_images_that_cannot_be_used(segmenter, rgb, depth, named):
    with pytest.raises(ImageError, match=named):
        segmenter(rgb, depth)
    assert segmenter(*random_pair()).labels.shape == (96, 128)  # the next good pair is fine


@pytest.mark.parametrize("device", ["gpu", "cuda:99", "mps", ""])
def test_devices_that_are_not_there(checkpoint, device):
    with pytest.raises(ConfigError, match=f"device '{device}'"):
        Segmenter(checkpoint, device)


def test_settings_that_cannot_be(checkpoint):
    with pytest.raises(ConfigError, match="unknown precision 'int4': use auto, fp32, fp16, bf16"):
        Segmenter(checkpoint, "cpu", "int4")


def test_from_a_file(tmp_path, checkpoint):
    path = tmp_path / "tiny.safetensors"
    tiny_checkpoint(tmp_path)
    segmenter = Segmenter.from_checkpoint(path, device="cpu", precision="fp32")
    assert segmenter.checkpoint.config == load_checkpoint(path).config
