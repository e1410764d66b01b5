"""What only a GPU shows: graphs, copies beside the work, full memory, TensorRT. Skipped without one."""

import numpy as np
import pytest
import torch
from helpers import tiny_checkpoint

from asymfusion_ros import Segmenter
from asymfusion_ros.checkpoint.description import available_sets
from asymfusion_ros.cli.main import main
from asymfusion_ros.engine.backends.memory_fallback import DeviceMemoryError
from asymfusion_ros.engine.backends.torch import GRAPHS
from asymfusion_ros.engine.segmenter import Wanted

pytestmark = pytest.mark.cuda


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))


def frame(seed, height=96, width=128):
    rng = np.random.default_rng(seed)
    rgb = np.kron(rng.integers(0, 256, (height // 8, width // 8, 3)), np.ones((8, 8, 1))).astype(np.uint8)
    depth = np.kron(rng.integers(500, 9000, (height // 8, width // 8)), np.ones((8, 8))).astype(np.uint16)
    return {"rgb": rgb, "depth": depth}


def of(names, seed):
    return {name: image for name, image in frame(seed).items() if name in names}


@pytest.fixture(params=["1", "0"], ids=["graphs", "eager"])
def gpu(request, checkpoint, monkeypatch):
    monkeypatch.setenv(GRAPHS, request.param)
    # TF32, which cuDNN uses for float32 by itself, is another answer than the CPU's.
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    return Segmenter(checkpoint, "cuda", "fp32")


def agreement(ours, theirs):
    return float((ours.labels == theirs.labels).mean())


def test_every_set_of_modalities_gives_the_cpus_answer_frame_after_frame(gpu, checkpoint):
    cpu = Segmenter(checkpoint, "cpu", "fp32")
    for seed in range(4):
        for names in available_sets(gpu.modalities):
            ours = gpu.segment(of(names, seed), disagreement=True).numpy()
            theirs = cpu.segment(of(names, seed), disagreement=True).numpy()
            assert agreement(ours, theirs) > 0.999
            assert abs(ours.confidence.astype(int) - theirs.confidence).max() <= 1
            assert (ours.disagreement is None) == (theirs.disagreement is None)


@pytest.mark.parametrize(("precision", "least"), [("fp16", 0.99), ("bf16", 0.97)])
def test_half_precision(checkpoint, precision, least):
    half, cpu = Segmenter(checkpoint, "cuda", precision), Segmenter(checkpoint, "cpu", "fp32")
    found = [agreement(half.segment(frame(i)).numpy(), cpu.segment(frame(i)).numpy()) for i in range(6)]
    assert np.mean(found) > least


def test_several_cameras_in_a_batch(gpu):
    frames = [(of(names, seed), Wanted()) for seed, names in enumerate(available_sets(gpu.modalities) * 2)]
    together = [result.numpy() for result in gpu.segment_batch(frames)]
    for (images, _), result in zip(frames, together, strict=True):
        assert agreement(result, gpu.segment(images).numpy()) > 0.999


def test_the_next_frame_does_not_overwrite_what_is_on_its_way(gpu):
    alone = [gpu.segment(frame(seed)).numpy() for seed in range(8)]
    began = [gpu.segment(frame(seed)).to_host() for seed in range(8)]
    for ours, theirs in zip(began, alone, strict=True):
        assert (ours.wait().labels == theirs.labels).all()


def test_warm_up_records_all_that_a_node_of_three_cameras_needs(checkpoint):
    segmenter = Segmenter(checkpoint, "cuda")
    segmenter.warm_up(96, 128, 3)
    recorded = segmenter.backend._backend._recorded
    counts = [one.count for one in recorded]
    # With the modalities' own logits one to three frames of both; the ensemble alone of the three sets too.
    assert counts == [3, 5]
    segmenter.segment_batch([(frame(1), Wanted())] * 3)
    segmenter.segment(of(("rgb",), 1))
    assert [one.count for one in recorded] == counts


def test_full_memory(checkpoint):
    """Of a device of which this process may have next to nothing."""
    segmenter = Segmenter(checkpoint, "cuda", cpu_fallback=True)
    refusing = Segmenter(checkpoint, "cuda")
    images = segmenter.images(frame(0))
    inputs = segmenter.preprocess(images, segmenter.upload(images))
    inputs = {name: x.repeat(1, 1, 16, 16) for name, x in inputs.items()}
    used = torch.cuda.memory_reserved() + (64 << 20)
    torch.cuda.set_per_process_memory_fraction(used / torch.cuda.get_device_properties(0).total_memory)
    try:
        with pytest.raises(DeviceMemoryError, match="cpu_fallback"):
            refusing.backend(inputs)
        logits = segmenter.backend(inputs)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert logits.is_cuda
    assert "runs on the CPU" in segmenter.backend.condition


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_tensorrt(checkpoint, tmp_path, precision):
    pytest.importorskip("tensorrt", reason="needs TensorRT")
    pytest.importorskip("onnxscript", reason="needs the extra export")
    checkpoint.save(tmp_path / "tiny.safetensors")
    output = tmp_path / "tiny.engine"
    words = ["export", tmp_path / "tiny.safetensors", "--output", output, "--size", "128x96"]
    assert main([*map(str, words), "--precision", precision]) == 0
    engine, cpu = Segmenter.from_checkpoint(output), Segmenter(checkpoint, "cpu", "fp32")
    assert (engine.backend.name, engine.backend.precision) == ("tensorrt", precision)
    for seed in range(3):
        for names in available_sets(cpu.modalities):
            ours = engine.segment(of(names, seed), disagreement=True).numpy()
            assert agreement(ours, cpu.segment(of(names, seed)).numpy()) > 0.99
            assert (ours.disagreement is None) == (len(names) == 1)
