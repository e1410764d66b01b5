"""The metadata of an exported file: a checkpoint's, and what the export adds to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from asymfusion_ros.checkpoint.description import ModelDescription
from asymfusion_ros.data.input_spec import MOST_PIXELS
from asymfusion_ros.data.text_file import parse_json
from asymfusion_ros.errors import CheckpointError

FILE_PRECISIONS = ("fp32", "int8")
EXPORT = "export"  # the metadata entry beside ModelDescription's


def parts_of(metadata: Mapping[str, str], path: Path) -> dict[str, Any]:
    """The arguments that ExportedModel and EngineModel have in common. Raises CheckpointError."""
    if EXPORT not in metadata:
        raise CheckpointError(
            f"{path} was not made by `asymfusion export`, so its inputs and classes are unknown: export a "
            "checkpoint"
        )
    described = ModelDescription.from_metadata(metadata, str(path))
    try:
        export = parse_json(metadata[EXPORT])
        height, width = (int(side) for side in export["size"])
        weights = {str(key): tuple(map(float, row)) for key, row in export["weights"].items()}
        source, checks = str(export["checkpoint_sha256"]), dict(export["checks"])
    except (ArithmeticError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"{path} is damaged: its description of the export is ({error!r})") from error
    if not (min(height, width) > 0 and height * width <= MOST_PIXELS):
        raise CheckpointError(
            f"{path} takes {width}x{height}; a network's input has at most {MOST_PIXELS} pixels"
        )
    return {one.name: getattr(described, one.name) for one in fields(described)} | {
        "path": path,
        "size": (height, width),
        "weights": weights,
        "checkpoint_sha256": source,
        "checks": checks,
    }


def precision_of(metadata: Mapping[str, str], path: Path) -> str:
    """One of FILE_PRECISIONS, after ``parts_of`` has read the rest; a file that says nothing is of float32.
    Raises CheckpointError."""
    found = parse_json(metadata[EXPORT]).get("precision", "fp32")
    if found not in FILE_PRECISIONS:
        raise CheckpointError(f"{path} is of precision {found!r:.60}, which this version does not know")
    return str(found)
