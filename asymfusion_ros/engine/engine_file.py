"""A TensorRT engine file of `asymfusion export`: the checkpoint's whole description, and a plan for each set
of available modalities.

Its bytes: MAGIC, the header's length in eight bytes (little-endian), the header in JSON, the plans. A plan
runs on the GPU and the TensorRT version that built it. It holds machine code: open only files of your own.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asymfusion_ros.checkpoint.description import ModelDescription
from asymfusion_ros.data.text_file import parse_json
from asymfusion_ros.engine.export_metadata import parts_of
from asymfusion_ros.errors import CheckpointError, ConfigError

ENGINE_SUFFIX = ".engine"
MAGIC = b"asymfusion engine 1\n"
LONGEST_HEADER = 1 << 24


@dataclass(frozen=True)
class BuiltFor:
    """Where plans run: the version of TensorRT and the name of the GPU that they were built with.
    command: what builds them anew."""

    tensorrt: str
    gpu: str
    command: str

    def check(self, path: Path, tensorrt: str, gpu: str) -> None:
        """Raises ConfigError where this machine has another TensorRT or GPU."""
        wrong = []
        if tensorrt != self.tensorrt:
            wrong.append(f"TensorRT {self.tensorrt}, and this is {tensorrt}")
        if gpu != self.gpu:
            wrong.append(f"{self.gpu}, and this is {gpu}")
        if wrong:
            raise ConfigError(f"{path} was built for {'; for '.join(wrong)}. Build it anew: {self.command}")


@dataclass(frozen=True)
class Plan:
    """Where a plan is in the file, and its SHA-256."""

    offset: int
    size: int
    sha256: str


@dataclass(frozen=True)
class EngineModel(ModelDescription):
    """What an engine file says, and where its plans are; see ExportedModel for what both have.

    precision: fp32 or fp16. onnx_sha256: of the ONNX file that was built. plans: by ``plan_key``.
    """

    path: Path
    size: tuple[int, int]
    weights: Mapping[str, tuple[float, ...]]
    checkpoint_sha256: str
    checks: Mapping[str, Any]
    precision: str
    onnx_sha256: str
    built_for: BuiltFor
    plans: Mapping[str, Plan]

    def plan(self, key: str) -> bytes:
        """Raises CheckpointError where there is none or it is damaged."""
        if key not in self.plans:
            raise CheckpointError(f"{self.path} has no plan for {key}: {self.built_for.command}")
        place = self.plans[key]
        try:
            with self.path.open("rb") as file:
                file.seek(place.offset)
                data = file.read(place.size)
        except OSError as error:
            raise CheckpointError(f"{self.path} cannot be read: {error.strerror or error}") from error
        if hashlib.sha256(data).hexdigest() != place.sha256:
            raise CheckpointError(f"{self.path} is damaged: {self.built_for.command}")
        return data


def plan_key(available: str, branches: bool) -> str:
    """The name of the plan for a set of modalities (``available_key``), with or without their own logits."""
    return f"{available}:branches" if branches else available


def engine_bytes(
    metadata: Mapping[str, str],
    precision: str,
    onnx_sha256: str,
    built_for: BuiltFor,
    plans: Mapping[str, bytes],
) -> bytes:
    """The file with these plans. ``metadata``: as in an exported ONNX file."""
    listed, offset = {}, 0
    for key, data in plans.items():
        listed[key] = {"offset": offset, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        offset += len(data)
    header = {
        "metadata": dict(metadata),
        "precision": precision,
        "onnx_sha256": onnx_sha256,
        "tensorrt": built_for.tensorrt,
        "gpu": built_for.gpu,
        "command": built_for.command,
        "plans": listed,
    }
    text = json.dumps(header).encode()
    return b"".join([MAGIC, len(text).to_bytes(8, "little"), text, *plans.values()])


def load_engine(path: Path) -> EngineModel:
    """Reads the header. Raises CheckpointError for a file that is missing, damaged or not one of ours."""
    damaged = f"{path} is damaged or not an engine file of `asymfusion export`: build it anew"
    try:
        with path.open("rb") as file:
            whole = os.fstat(file.fileno()).st_size
            start = file.read(len(MAGIC) + 8)
            length = int.from_bytes(start[len(MAGIC) :], "little")
            if len(start) < len(MAGIC) + 8 or start[: len(MAGIC)] != MAGIC or length > LONGEST_HEADER:
                raise CheckpointError(damaged)
            text = file.read(length)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    first = len(start) + length
    try:
        header = parse_json(text.decode())
        metadata = {str(key): str(value) for key, value in header["metadata"].items()}
        precision, onnx_sha256 = str(header["precision"]), str(header["onnx_sha256"])
        built_for = BuiltFor(*(str(header[key]) for key in ("tensorrt", "gpu", "command")))
        plans = {
            str(key): Plan(first + int(one["offset"]), int(one["size"]), str(one["sha256"]))
            for key, one in header["plans"].items()
        }
    except (ArithmeticError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(damaged) from error
    if any(not first <= one.offset <= one.offset + one.size <= whole for one in plans.values()):
        raise CheckpointError(damaged)
    return EngineModel(
        **parts_of(metadata, path),
        precision=precision,
        onnx_sha256=onnx_sha256,
        built_for=built_for,
        plans=plans,
    )
