"""OpenVINO: the fastest on x86 and ARM CPUs, and the extra ``openvino`` brings it."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from typing import Any

from asymfusion_ros.checkpoint.description import ModelDescription
from asymfusion_ros.engine.backends.graph import Array, GraphBackend
from asymfusion_ros.engine.backends.openvino_parts import divide
from asymfusion_ros.engine.precision import EXACT_CONVOLUTIONS
from asymfusion_ros.errors import ConfigError

HINTS = {"fp32": "f32", "int8": "f32", "bf16": "bf16", "fp16": "f16"}
CAPABILITIES = {"bf16": "BF16", "fp16": "FP16"}
_MAKING = threading.Lock()


def shared_core() -> Any:
    """The process's openvino.Core. Raises ConfigError where OpenVINO is not installed."""
    with _MAKING:  # a second one must not be made and dropped
        return _core()


@functools.cache
def _core() -> Any:
    """Never given up: a Core's CPU plugin gives the thread that made it a stack for signal handlers, and one
    that ends in another thread takes that stack's memory away without telling. The next signal that has a
    handler, Ctrl-C or a child's end, then kills the process (OpenVINO 2026.4)."""
    try:
        import openvino
    except ImportError as error:
        raise ConfigError(
            "backend openvino needs OpenVINO: pip install 'asymfusion_ros[openvino]'"
        ) from error
    return openvino.Core()


class OpenVinoBackend(GraphBackend):
    """See GraphBackend. The precision is pinned: by itself OpenVINO takes bf16 where the CPU has it. Below
    fp32 the first convolutions stay in float32 all the same: a session is one request, or two."""

    name = "openvino"

    def __init__(
        self, model: ModelDescription, device: str = "auto", precision: str = "auto", threads: int = 0
    ) -> None:
        self._core = shared_core()
        able = self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self.precisions = ("fp32", *(name for name, word in CAPABILITIES.items() if word in able))
        super().__init__(model, device, precision, threads)

    def compile(self, graph: bytes, **more: Any) -> tuple[Any, ...]:
        """See GraphBackend; with ``more`` of OpenVINO's settings."""
        model = self._core.read_model(graph)
        if self.precision in ("fp32", "int8"):  # beside quantisers, bf16 would cost more than it saves
            return (self._request(model, self.precision, more),)
        head, rest = divide(model, EXACT_CONVOLUTIONS)
        first, second = self._request(head, "fp32", more), self._request(rest, self.precision, more)
        for index in range(len(rest.inputs)):  # the same memory
            second.set_input_tensor(index, first.get_output_tensor(index))
        return first, second

    def counted(
        self, graph: bytes, inputs: dict[str, Array], runs: int
    ) -> Sequence[Sequence[tuple[str, float]]]:
        """See GraphBackend. What became part of another operation takes no time."""
        session = self.compile(graph, PERF_COUNT=True)
        found = []
        for _ in range(runs):
            self.run(session, inputs)
            found.append(
                [
                    (f"{one.node_type} {one.exec_type}", one.real_time.total_seconds() * 1000)
                    for request in session
                    for one in request.get_profiling_info()
                ]
            )
        return found

    def run(self, session: Any, inputs: dict[str, Array]) -> Sequence[Array]:
        """See GraphBackend."""
        first, *rest = session
        first.infer(inputs, share_inputs=True)
        for request in rest:
            request.infer()
        # Copies: the request's next frame is written where this one is.
        last = session[-1]
        return [last.get_output_tensor(index).data.copy() for index in range(len(last.model_outputs))]

    def _request(self, model: Any, precision: str, more: dict[str, Any]) -> Any:
        hints: dict[str, Any] = {
            **more,
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "PERFORMANCE_HINT": "LATENCY",
            # Two networks in one process would be bound to the same cores, and a robot's other programs too.
            "ENABLE_CPU_PINNING": False,
        }
        if self.threads:
            hints["INFERENCE_NUM_THREADS"] = self.threads
        return self._core.compile_model(model, "CPU", hints).create_infer_request()
