"""An exported graph whose convolutions compute in 8 bits."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx

from asymfusion_ros.engine.precision import EXACT_CONVOLUTIONS
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.export.depth import after_the_network, convolution_depths

Inputs = Mapping[str, npt.NDArray[np.float32]]


def require_int8() -> None:
    """Raises ConfigError where a package that it needs is missing."""
    # Without this NNCF reports its use to its makers.
    os.environ.setdefault("NNCF_CI", "1")
    try:
        import nncf  # noqa: F401
        import onnxruntime  # noqa: F401
        import openvino  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"--precision int8 needs {error.name}: pip install 'asymfusion_ros[export,int8]'"
        ) from error


def to_int8(model: onnx.ModelProto, frames: Sequence[Inputs]) -> onnx.ModelProto:
    """A float32 model of ``to_onnx`` -> the same with quantisers before its convolutions.

    frames: what each modality's input is on some frames, 1 x 3 x H x W, as the camera gives them. The ranges
    of all tensors are taken from them, and what rounding does to each convolution's mean is put right (fast
    bias correction), for each graph and each modality apart: shared weights get a range for each modality's
    norm. The first EXACT_CONVOLUTIONS of each path stay in float32, and so do the probabilities that are
    averaged over several views. The argument is left as it is.
    """
    require_int8()
    import nncf

    nncf.set_log_level(logging.WARNING)
    merged = _merged(model)
    depths = convolution_depths(merged)
    exact = [node.name for node in merged.graph.node if depths[node.output[0]] <= EXACT_CONVOLUTIONS]
    exact = list(dict.fromkeys([*exact, *after_the_network(merged)]))
    return nncf.quantize(
        merged,
        nncf.Dataset([dict(frame) for frame in frames]),
        preset=nncf.QuantizationPreset.PERFORMANCE,  # symmetric: what CPUs have instructions for
        subset_size=len(frames),
        ignored_scope=nncf.IgnoredScope(names=exact),
    )


def _merged(model: onnx.ModelProto) -> onnx.ModelProto:
    """With norms within the convolutions: between a convolution and its norm there is nothing to quantise,
    and a quantiser there keeps OpenVINO from computing in int8."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "merged.onnx")
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        merged = onnx.load(options.optimized_model_filepath)
    for number, node in enumerate(merged.graph.node):
        node.name = f"{node.op_type}_{number}"
    return merged
