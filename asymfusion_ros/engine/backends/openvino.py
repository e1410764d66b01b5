"""OpenVINO: the fastest on x86 and ARM CPUs, and the extra ``openvino`` brings it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from asymfusion_ros.checkpoint.description import ModelDescription
from asymfusion_ros.engine.backends.graph import Array, GraphBackend
from asymfusion_ros.errors import ConfigError

HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
CAPABILITIES = {"bf16": "BF16", "fp16": "FP16"}


class OpenVinoBackend(GraphBackend):
    """See GraphBackend. The precision is pinned: by itself OpenVINO takes bf16 where the CPU has it."""

    name = "openvino"

    def __init__(
        self, model: ModelDescription, device: str = "auto", precision: str = "auto", threads: int = 0
    ) -> None:
        try:
            import openvino
        except ImportError as error:
            raise ConfigError(
                "backend openvino needs OpenVINO: pip install 'asymfusion_ros[openvino]'"
            ) from error
        self._core = openvino.Core()
        able = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self.precisions = ("fp32", *(name for name, word in CAPABILITIES.items() if word in able))
        super().__init__(model, device, precision, threads)

    def compile(self, graph: bytes) -> Any:
        """See GraphBackend."""
        hints: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": HINTS[self.precision],
            "PERFORMANCE_HINT": "LATENCY",
        }
        if self.threads:
            hints["INFERENCE_NUM_THREADS"] = self.threads
        return self._core.compile_model(self._core.read_model(graph), "CPU", hints).create_infer_request()

    def run(self, session: Any, inputs: dict[str, Array]) -> Sequence[Array]:
        """See GraphBackend."""
        found = session.infer(inputs, share_inputs=True)
        # Copies: the request's next frame is written where this one is.
        return [found[port].copy() for port in session.model_outputs]
