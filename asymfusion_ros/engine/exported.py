"""A network exported by `asymfusion export`: an ONNX file with the checkpoint's whole description.

It holds one graph for each set of available modalities, over shared weights, for one input size. The graph of
a set has as outputs the ensemble's logits, ``logits:rgb+depth``, and each modality's,
``logits:rgb+depth:depth``. Of image translation they are images.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asymfusion_ros.checkpoint import Checkpoint, load_checkpoint
from asymfusion_ros.checkpoint.description import ModelDescription, available_key
from asymfusion_ros.checkpoint.digest import sha256
from asymfusion_ros.engine.engine_file import ENGINE_SUFFIX, EngineModel, load_engine
from asymfusion_ros.engine.export_metadata import parts_of, precision_of
from asymfusion_ros.errors import CheckpointError, ConfigError
from asymfusion_ros.packaged import checkpoint_file

if TYPE_CHECKING:
    from onnx import ModelProto

SUFFIX = ".onnx"


@dataclass(frozen=True)
class ExportedModel(ModelDescription):
    """What an exported file says, and its graphs.

    size: (height, width) of the network's inputs. weights: NetworkOutput's for each set of available
    modalities (``available_key``). checkpoint_sha256: of the file that it was exported from. precision: fp32,
    or int8 where the graphs have quantisers.
    checks: how it compared with that (any JSON), see ``asymfusion_ros.export.verify``.
    """

    path: Path
    size: tuple[int, int]
    weights: Mapping[str, tuple[float, ...]]
    checkpoint_sha256: str
    precision: str
    checks: Mapping[str, Any]
    model: ModelProto

    def is_of(self, checkpoint: Path) -> bool:
        """Whether it was exported from this file."""
        return self.checkpoint_sha256 == sha256(checkpoint)

    def graph(self, available: Sequence[str], branches: bool = False) -> bytes:
        """The ONNX graph for these modalities, in the network's order; with or without their own logits.

        Raises ConfigError where the file has none.
        """
        from onnx.utils import Extractor

        outputs = output_names(available, branches)
        there = {output.name for output in self.model.graph.output}
        if not there.issuperset(outputs):
            raise ConfigError(f"{self.path} has no graph for {available_key(available)}: export it anew")
        extracted: ModelProto = Extractor(self.model).extract_model(list(available), outputs)
        return extracted.SerializeToString()


def output_names(available: Iterable[str], branches: bool) -> list[str]:
    """The outputs of a set's graph: the ensemble's logits, then, with ``branches``, each modality's."""
    names = list(available)
    key = f"logits:{available_key(names)}"
    return [key, *(f"{key}:{name}" for name in names if branches)]


def load_model(path: str | Path) -> Checkpoint | ExportedModel | EngineModel:
    """A checkpoint, with its ``file``, or what was exported from one, by the file's suffix. Raises
    CheckpointError, and ConfigError where what reads it is not installed."""
    path = Path(path)
    if path.suffix == ENGINE_SUFFIX:
        return load_engine(path)
    if path.suffix == SUFFIX:
        return load_exported(path)
    return dataclasses.replace(load_checkpoint(path), file=checkpoint_file(path))


def scored_by(path: str | Path) -> str:
    """The backend for scores and labels that are not to depend on what is installed or lies beside the file:
    torch for a checkpoint, ``auto`` for what was exported."""
    return "auto" if Path(path).suffix in (SUFFIX, ENGINE_SUFFIX) else "torch"


def load_exported(path: Path) -> ExportedModel:
    """Raises CheckpointError for a file that is missing, damaged or not one of ours; ConfigError without the
    package onnx."""
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise ConfigError(f"{path} needs the package onnx: pip install 'asymfusion_ros[openvino]'") from error
    try:
        model = onnx.ModelProto.FromString(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error
    except DecodeError as error:
        raise CheckpointError(f"{path} is damaged or not an ONNX file: export it anew") from error
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    parts = parts_of(metadata, path)
    return ExportedModel(**parts, precision=precision_of(metadata, path), model=model)
