"""An OpenVINO model in two parts, so that the first can compute in another precision than the second."""

from __future__ import annotations

from typing import Any

CONVOLUTIONS = ("Convolution", "GroupConvolution")


def divide(model: Any, convolutions: int) -> tuple[Any, Any]:
    """Cuts an openvino.Model after the first so many convolutions that each input goes through.

    -> the model of what comes before, and that of the rest, which takes the first one's outputs in their
    order. ``model`` itself cannot be used afterwards.
    """
    import openvino
    from openvino import opset13

    # How many convolutions lie on the way from an input to an operation; constants are on no way.
    depths: dict[str, int] = {}
    for operation in model.get_ordered_ops():
        name = operation.get_friendly_name()
        before = [
            depths[found]
            for port in operation.inputs()
            if (found := port.get_source_output().get_node().get_friendly_name()) in depths
        ]
        if operation.get_type_name() == "Parameter":
            depths[name] = 0
        elif before:
            depths[name] = max(before) + (operation.get_type_name() in CONVOLUTIONS)
    cut: list[Any] = []
    entries = []
    for operation in model.get_ordered_ops():
        if depths.get(operation.get_friendly_name(), convolutions + 1) > convolutions:
            continue
        for output in operation.outputs():
            later = [
                target
                for target in output.get_target_inputs()
                if depths[target.get_node().get_friendly_name()] > convolutions
            ]
            if later:
                entry = opset13.parameter(output.get_partial_shape(), output.get_element_type())
                for target in later:
                    target.replace_source_output(entry.output(0))
                cut.append(output)
                entries.append(entry)
    return (
        openvino.Model([opset13.result(output) for output in cut], model.get_parameters()),
        openvino.Model(model.get_results(), entries),
    )
