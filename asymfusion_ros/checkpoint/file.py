"""The one checkpoint format: a safetensors file that describes itself.

Its metadata holds the NetworkConfig, the label set, the InputSpec and where the weights came from, each as
JSON. Loading one builds the network from that description and runs no code from the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from asymfusion_ros import __version__
from asymfusion_ros.atomic_write import check_place, write_whole
from asymfusion_ros.checkpoint.description import ModelDescription
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.data.text_file import one_line
from asymfusion_ros.errors import CheckpointError, ConfigError
from asymfusion_ros.network import NetworkConfig, SegmentationNetwork, build_network
from asymfusion_ros.network.layers.norms import is_variance, may_be_missing
from asymfusion_ros.network.shapes import shapes_alone
from asymfusion_ros.packaged import checkpoint_file, packaged

SUFFIX = ".safetensors"
FORMATS = {"F16": torch.float16, "BF16": torch.bfloat16, "F32": torch.float32, "F64": torch.float64}


@dataclass(frozen=True)
class Checkpoint(ModelDescription):
    """Weights and everything needed to use them. file: where ``load_model`` read them, beside which there may
    be what was exported of them; None for any other checkpoint."""

    state_dict: Mapping[str, Tensor]
    file: Path | None = None

    def build(self) -> SegmentationNetwork:
        """The network in evaluation mode, float32, on the CPU."""
        network = build_network(self.config)
        network.views = self.views
        # strict: load_checkpoint has compared every name and shape
        network.load_state_dict({name: tensor.float() for name, tensor in self.state_dict.items()})
        return network.eval()

    def at_input_size(self, height: int, width: int) -> Checkpoint:
        """The same weights for inputs of another size, multiples of 8. Raises ConfigError for a size that is
        not possible."""
        return replace(self, input_spec=replace(self.input_spec, height=height, width=width), file=None)

    def save(self, path: str | Path) -> None:
        """As it is, each tensor in the format that it has: see ``save_checkpoint``."""
        _write(Path(path), self, self.state_dict)


def check_output(path: Path, option: str = "--output") -> None:
    """For a command that will write a checkpoint in the end. Raises ConfigError for another suffix, which
    would be read as another kind of file, and UserError for a place that cannot be written."""
    if path.suffix != SUFFIX:
        raise ConfigError(f"{option} {path}: name the checkpoint to write, a {SUFFIX} file")
    check_place(path)


def save_checkpoint(
    path: str | Path,
    state_dict: Mapping[str, Tensor],
    config: NetworkConfig,
    labels: LabelSet,
    input_spec: InputSpec,
    provenance: Mapping[str, Any],
    dtype: torch.dtype = torch.float32,
    temperatures: Mapping[str, float] | None = None,
    target: str | None = None,
) -> None:
    """Writes beside ``path``, then renames: the file is whole or not there.

    ``dtype`` float16 halves the size. ``provenance`` is any JSON: data set, recipe, metrics.
    ``temperatures``, ``target``: ModelDescription's; with a target, ``labels`` are NO_LABELS. Raises
    CheckpointError for weights that are not numbers (or too large for ``dtype``), which load_checkpoint would
    refuse, and for a path that cannot be written.
    """
    provenance = {"code_version": __version__, **provenance}
    described = ModelDescription(
        config, labels, input_spec, provenance, temperatures=temperatures or {}, target=target
    )
    _write(
        Path(path), described, {name: tensor.detach().to("cpu", dtype) for name, tensor in state_dict.items()}
    )


def _write(path: Path, described: ModelDescription, tensors: Mapping[str, Tensor]) -> None:
    broken = _impossible(tensors)
    if broken is not None:
        raise CheckpointError(f"cannot write {path}: {broken}")
    whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
    write_whole(path, save(whole, described.to_metadata()), CheckpointError)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Reads and checks a checkpoint; a name such as ``default`` means one in the package.

    Raises CheckpointError with one clear line for a file that is missing, cut short, of another kind (a
    pickle above all), or whose tensors do not fit the network it describes.
    """
    path = checkpoint_file(path)
    try:
        there = path.is_file()
    except OSError as error:  # a folder on the way that may not be entered
        raise CheckpointError(f"checkpoint {path} cannot be read: {error.strerror}") from error
    if not there:
        names = " or ".join(f"'{name}'" for name in packaged())
        raise CheckpointError(f"checkpoint {path} does not exist (name a .safetensors file, or {names})")
    try:
        with safe_open(path, framework="pt") as file:
            described = ModelDescription.from_metadata(file.metadata() or {}, f"checkpoint {path}")
            # Before a tensor is read: a header of a few bytes can speak of gigabytes.
            _compare(path, described.config, file)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    except (SafetensorError, OSError, MemoryError, OverflowError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {_kind(path, error)}") from error
    broken = _impossible(tensors)
    if broken is not None:
        raise CheckpointError(f"checkpoint {path} is damaged: {broken}")
    parts = {one.name: getattr(described, one.name) for one in fields(described)}
    return Checkpoint(**parts, state_dict=tensors)


def _compare(path: Path, config: NetworkConfig, file: Any) -> None:
    """file: of safe_open. Raises CheckpointError where the tensors' names, shapes or formats are others."""
    with shapes_alone():
        expected = {name: tuple(t.shape) for name, t in build_network(config).state_dict().items()}
    slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118  (no mapping)
    found = {name: tuple(one.get_shape()) for name, one in slices.items()}
    for name in sorted(expected.keys() | found.keys()):
        if name not in found and may_be_missing(name):
            continue
        if expected.get(name) != found.get(name):
            raise CheckpointError(
                f"checkpoint {path} does not fit its own description: {one_line(name)} has shape "
                f"{found.get(name, 'none (it is missing)')}, "
                f"the network {expected.get(name, 'no such tensor')}"
            )
        if (dtype := slices[name].get_dtype()) not in FORMATS:
            raise CheckpointError(
                f"checkpoint {path}: {name} is stored as {dtype}; weights are one of {', '.join(FORMATS)}"
            )


def _impossible(tensors: Mapping[str, Tensor]) -> str | None:
    """What keeps these from being a network's weights, or None."""
    for name, tensor in tensors.items():
        values = tensor.float()  # as they are used: float64 holds what float32 does not
        if not torch.isfinite(values).all():
            return f"{name} holds NaN, infinite values, or such beyond {tensor.dtype}'s range"
        if is_variance(name) and values.numel() and values.min() < 0:
            return f"{name} holds a variance of {values.min().item():g}, and none can be below 0"
    return None


def _kind(path: Path, error: Exception) -> str:
    """What a file is that safetensors refuses."""
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as refused:
        return refused.strerror or str(refused)
    if head[:2] == b"PK" or head[:1] == b"\x80":
        return (
            "it is a pickle, which could run code; if it comes from the authors' code, "
            "turn it into a checkpoint with `asymfusion convert`"
        )
    if path.stat().st_size == 0:
        return "it is empty"
    return f"it is cut short or not a safetensors file ({one_line(error)})"
