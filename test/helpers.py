"""What several tests make: a small checkpoint, a data set that can be learnt, a call that is refused."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import torch

from asymfusion_ros.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from asymfusion_ros.cli.main import main
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.engine.engine_file import BuiltFor, engine_bytes
from asymfusion_ros.engine.export_metadata import EXPORT
from asymfusion_ros.network import NetworkConfig, build_network

CLASSES = ("wall", "floor", "box")
COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200))  # RGB of each class in made frames
METRES = (1.0, 2.0, 3.0)  # depth of each class in made frames
SPEC = InputSpec(height=48, width=64)
EXPORTED = NetworkConfig("refinenet_lw", "resnet18", 3, decoder_channels=8, dropout=0.0)


def tiny_config(modalities=("rgb", "depth"), classes=3):
    return NetworkConfig(
        architecture="refinenet_lw",
        encoder="efficientnet_lite0",
        classes=classes,
        modalities=modalities,
        decoder_channels=8,
        dropout=0.0,
    )


def write_checkpoint(path, config=None, spec=SPEC, names=CLASSES, **changed):
    """A checkpoint of a tiny network with random weights; the tensors in ``changed`` replace its own."""
    config = config or tiny_config()
    torch.manual_seed(0)
    state = build_network(config).state_dict()
    # a random decoder's logits hardly differ: spread them, for confidence and precision to show
    state["decoder.classifier.weight"] = 3000 * state["decoder.classifier.weight"]
    save_checkpoint(path, {**state, **changed}, config, LabelSet("tiny", names), spec, {"data": "made"})
    return path


PLANS = {"rgb+depth": b"first plan", "rgb+depth:branches": b"second", "rgb": b"", "depth": b"\x00" * 9}
TARGET = BuiltFor("10.3.0", "Orin", "asymfusion export tiny.safetensors --output tiny.engine")


def write_engine(folder: Path) -> Path:
    """A file as of `asymfusion export --format tensorrt`, but for what its plans are."""
    export = {"size": [48, 64], "weights": {"rgb": [1, 0]}, "checkpoint_sha256": "ab", "checks": {"x": 1}}
    metadata = {**tiny_checkpoint(folder).to_metadata(), EXPORT: json.dumps(export)}
    path = folder / "tiny.engine"
    path.write_bytes(engine_bytes(metadata, "fp16", "cd", TARGET, PLANS))
    return path


def tiny_checkpoint(folder, **options) -> Checkpoint:
    return load_checkpoint(write_checkpoint(folder / "tiny.safetensors", **options))


def write_folder(root: Path, frames=8, size=(48, 64), labels=CLASSES, void=255) -> Path:
    """Frames of vertical stripes whose colour and depth both tell the class; splits train and val."""
    rng = np.random.default_rng(7)
    for part in ("rgb", "depth", "label"):
        (root / part).mkdir(parents=True)
    names = [f"frame{i}" for i in range(frames)]
    for name in names:
        label = np.repeat(rng.integers(0, len(CLASSES), size[1] // 16), 16)[None].repeat(size[0], 0)
        rgb = np.array(COLOURS, np.uint8)[label]
        depth = (np.array(METRES)[label] * 1000).astype(np.uint16)
        cv2.imwrite(str(root / "rgb" / f"{name}.png"), rgb[..., ::-1])
        cv2.imwrite(str(root / "depth" / f"{name}.png"), depth)
        cv2.imwrite(str(root / "label" / f"{name}.png"), label.astype(np.uint8))
    (root / "train.txt").write_text("\n".join(names) + "\n")
    (root / "val.txt").write_text("\n".join(names[:2]) + "\n")
    write_description(root, labels=list(labels), void=void)
    return root


def write_exported(root: Path, name: str, *options: object, frames=3) -> tuple[Path, Path, Path]:
    """(a checkpoint of EXPORTED, what is exported of it as ``name`` for images of 64x48, the folder of frames
    that it was compared on)"""
    checkpoint = write_checkpoint(root / "tiny.safetensors", EXPORTED)
    folder = write_folder(root / "data", frames)
    arguments = ["export", checkpoint, "--output", root / name, "--size", "64x48", "--data", folder, *options]
    assert main([str(one) for one in arguments]) == 0
    return checkpoint, root / name, folder


def random_frame(height=48, width=64):
    """Images of noise, as Segmenter.segment takes them."""
    rng = np.random.default_rng(3)
    return {
        "rgb": rng.integers(0, 256, (height, width, 3), np.uint8),
        "depth": rng.integers(500, 4000, (height, width), np.uint16),
    }


def write_description(root: Path, **values) -> None:
    values = {"name": "stripes", "labels": list(CLASSES), "depth_scale": 0.001, "void": 255, **values}
    lines = [f"{key}: {value}" for key, value in values.items() if value is not None]
    (root / "dataset.yaml").write_text("\n".join(lines) + "\n")


def refused(capsys, *arguments) -> str:
    """The line that the command prints when it refuses: exit code 1, one line, no traceback."""
    assert main([str(argument) for argument in arguments]) == 1
    err = capsys.readouterr().err.splitlines()
    lines = [line for line in err if line.strip() and "%|" not in line]  # but for progress bars
    assert len(lines) == 1, lines
    assert lines[0].startswith(f"asymfusion {arguments[0]}: error: ")
    return lines[0]
