"""ONNX Runtime on the CPU; the extra ``onnxruntime`` brings it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
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
        if self.precision == "int8":
            # NNCF gives each channel of a convolution by channels a range of its own, which it does not know.
            raise ConfigError(
                f"{self._model.path} is in int8, which onnxruntime does not run: use backend openvino, or "
                "export it in fp32"
            )

    def compile(self, graph: bytes, options: Any = None) -> Any:
        """See GraphBackend; with other settings in ``options``, where they are given."""
        options = options or self._runtime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return self._runtime.InferenceSession(
            masks_as_convolutions(graph), options, providers=["CPUExecutionProvider"]
        )

    def counted(
        self, graph: bytes, inputs: dict[str, Array], runs: int
    ) -> Sequence[Sequence[tuple[str, float]]]:
        """See GraphBackend."""
        options = self._runtime.SessionOptions()
        options.enable_profiling = True
        with tempfile.TemporaryDirectory() as folder:
            options.profile_file_prefix = str(Path(folder) / "profile")
            session = self.compile(graph, options)
            for _ in range(runs):
                session.run(None, inputs)
            events = json.loads(Path(session.end_profiling()).read_text())
        kernels = [one for one in events if one["name"].endswith("_kernel_time")]
        kernels.sort(key=lambda one: one["ts"])
        each = len(kernels) // runs
        operations = [(one["args"]["op_name"], one["dur"] / 1000) for one in kernels]
        return [operations[run * each : (run + 1) * each] for run in range(runs)]

    def run(self, session: Any, inputs: dict[str, Array]) -> Sequence[Array]:
        """See GraphBackend."""
        found: Sequence[Array] = session.run(None, inputs)
        return found
