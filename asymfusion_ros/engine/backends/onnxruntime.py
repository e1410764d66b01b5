"""ONNX Runtime on the CPU; the extra ``onnxruntime`` brings it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asymfusion_ros.checkpoint.description import ModelDescription
from asymfusion_ros.engine.backends.graph import Array, GraphBackend
from asymfusion_ros.engine.backends.onnxruntime_masks import masks_as_convolutions
from asymfusion_ros.errors import ConfigError


class OnnxRuntimeBackend(GraphBackend):
    """See GraphBackend. Threads that wait don't spin: a robot's CPU has other work for them."""

    name = "onnxruntime"

    def __init__(
        self, model: ModelDescription, device: str = "auto", precision: str = "auto", threads: int = 0
    ) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ConfigError(
                "backend onnxruntime needs ONNX Runtime: pip install 'asymfusion_ros[onnxruntime]'"
            ) from error
        self._runtime = onnxruntime
        super().__init__(model, device, precision, threads)

    def compile(self, graph: bytes) -> Any:
        """See GraphBackend."""
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return self._runtime.InferenceSession(
            masks_as_convolutions(graph), options, providers=["CPUExecutionProvider"]
        )

    def run(self, session: Any, inputs: dict[str, Array]) -> Sequence[Array]:
        """See GraphBackend."""
        found: Sequence[Array] = session.run(None, inputs)
        return found
