"""What the backends that run an exported file have in common: a session for each set of modalities."""

from __future__ import annotations

import statistics
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from asymfusion_ros.checkpoint.description import ModelDescription, available_key
from asymfusion_ros.engine.backends.base import Inputs
from asymfusion_ros.engine.exported import ExportedModel
from asymfusion_ros.engine.precision import Precision, choose_precision
from asymfusion_ros.errors import ConfigError, ImageError
from asymfusion_ros.network import NetworkOutput

Array = npt.NDArray[np.float32]


class Operation(NamedTuple):
    """What a runtime does of one kind (its own name for it) in a frame: how often, and how long in all."""

    kind: str
    calls: float
    milliseconds: float


class GraphBackend(ABC):
    """Runs the graphs of an exported file on the CPU. Raises ConfigError for what is not one, a device that
    is not the CPU, or a precision that is not there.

    threads: that compute a frame; 0: the runtime's choice.

    A set's session is made when that set is first seen: ``Segmenter.warm_up`` goes through all.
    """

    name: str
    precisions: tuple[str, ...] = ("fp32",)

    def __init__(
        self, model: ModelDescription, device: str = "auto", precision: str = "auto", threads: int = 0
    ) -> None:
        if not isinstance(model, ExportedModel):
            raise ConfigError(
                f"backend {self.name} runs exported files, not checkpoints: `asymfusion export` makes one"
            )
        if device not in ("auto", "cpu"):
            raise ConfigError(f"backend {self.name} has no device {device!r}: use auto or cpu")
        self.device = torch.device("cpu")
        chosen = self._choose(model, precision)
        self.precision, self.precision_reason = chosen.name, chosen.why
        self.threads = threads
        self._model = model
        self._weights = {key: torch.tensor(row) for key, row in model.weights.items()}
        self._sessions: dict[tuple[tuple[str, ...], bool], Any] = {}

    def _choose(self, model: ExportedModel, precision: str) -> Precision:
        if model.precision == "int8":
            if precision not in ("auto", "int8"):
                raise ConfigError(f"{model.path} was exported in int8, not {precision!r}: use auto or int8")
            return Precision("int8", "the file has it so")
        if precision != "auto" and precision not in self.precisions:
            known = ", ".join(self.precisions)
            raise ConfigError(f"backend {self.name} has no precision {precision!r} here: use auto, {known}")
        subject = f"{self.name} on this processor"
        return choose_precision(precision, self.precisions[1:], model.precision_checks, "compiled", subject)

    def __call__(self, inputs: Inputs) -> Tensor:
        """See Backend."""
        return self._infer(inputs, branches=False)[0]

    def outputs(self, inputs: Inputs) -> NetworkOutput:
        """See Backend."""
        ensemble, *branches = self._infer(inputs, branches=True)
        available = self._available(inputs)
        of = dict(zip(available, branches))
        logits = tuple(of.get(name) for name in self._model.config.modalities)
        return NetworkOutput(logits, ensemble, self._weights[available_key(available)])

    def operations(self, inputs: Inputs, frames: int) -> list[Operation]:
        """What the runtime does for the ensemble's logits of ``inputs``, each operation's median of so many
        frames, after two others. It is compiled for this anew: counting costs time."""
        available = self._available(inputs)
        given = {
            name: x[:1].float().contiguous().numpy() for name in available if (x := inputs[name]) is not None
        }
        runs = self.counted(self._model.graph(available, False), given, 2 + frames)[2:]
        return [
            Operation(same[0][0], 1, statistics.median(milliseconds for _, milliseconds in same))
            for same in zip(*runs, strict=True)
        ]

    @abstractmethod
    def counted(
        self, graph: bytes, inputs: dict[str, Array], runs: int
    ) -> Sequence[Sequence[tuple[str, float]]]:
        """Of each run of a graph: its operations in one order, as (kind, milliseconds)."""

    @abstractmethod
    def compile(self, graph: bytes) -> Any:
        """An ONNX graph -> a session."""

    @abstractmethod
    def run(self, session: Any, inputs: dict[str, Array]) -> Sequence[Array]:
        """The graph's outputs, in its order."""

    def _available(self, inputs: Inputs) -> tuple[str, ...]:
        return tuple(name for name in self._model.config.modalities if inputs.get(name) is not None)

    def _infer(self, inputs: Inputs, branches: bool) -> list[Tensor]:
        available = self._available(inputs)
        given = {name: x for name in available if (x := inputs[name]) is not None}
        sizes = {tuple(x.shape[-2:]) for x in given.values()}
        if sizes - {self._model.size}:
            (wrong, *_), (height, width) = sizes - {self._model.size}, self._model.size
            raise ImageError(
                f"{self._model.path} was exported for network inputs of {width}x{height}, and this frame "
                f"makes {wrong[1]}x{wrong[0]} of its other aspect ratio: export it with --size of the camera"
            )
        key = (available, branches)
        if key not in self._sessions:
            self._sessions[key] = self.compile(self._model.graph(available, branches))
        # A frame at a time: the graphs have a batch of one.
        rows = zip(*(x.float().split(1) for x in given.values()))
        results = [
            self.run(self._sessions[key], {name: x.contiguous().numpy() for name, x in zip(available, row)})
            for row in rows
        ]
        return [torch.from_numpy(np.concatenate(parts)) for parts in zip(*results)]
