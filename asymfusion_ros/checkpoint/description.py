"""What a model is, apart from its weights: the metadata of a checkpoint, and of what is exported from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.errors import CheckpointError, ConfigError
from asymfusion_ros.network import NetworkConfig

FORMAT = "asymfusion/1"


@dataclass(frozen=True)
class ModelDescription:
    """The network's layers, what its classes mean, what its inputs are, and where it came from (any JSON)."""

    config: NetworkConfig
    labels: LabelSet
    input_spec: InputSpec
    provenance: Mapping[str, Any]

    def to_metadata(self) -> dict[str, str]:
        """Text by name, each a JSON value but ``format``."""
        return {
            "format": FORMAT,
            "network": json.dumps(self.config.to_dict()),
            "labels": json.dumps(self.labels.to_dict()),
            "input": json.dumps(self.input_spec.to_dict()),
            "provenance": json.dumps(dict(self.provenance)),
        }

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], where: str) -> ModelDescription:
        """Raises CheckpointError, which begins with ``where``, for text that describes no model of ours."""
        if metadata.get("format") != FORMAT:
            raise CheckpointError(
                f"{where} is a safetensors file, but not one of asymfusion "
                f"(its metadata lacks format {FORMAT!r}): train one, or convert the authors' with "
                "`asymfusion convert`"
            )
        lacking = [key for key in ("network", "labels", "input", "provenance") if key not in metadata]
        if lacking:
            raise CheckpointError(f"{where} does not describe itself: its metadata lacks {lacking[0]!r}")
        try:
            config = NetworkConfig.from_dict(json.loads(metadata["network"]))
            labels = LabelSet.from_dict(json.loads(metadata["labels"]))
            input_spec = InputSpec.from_dict(json.loads(metadata["input"]))
            provenance = json.loads(metadata["provenance"])
        except (ConfigError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{where} describes a network that this version cannot build: {error}"
            ) from error
        if len(labels) != config.classes:
            raise CheckpointError(f"{where} has {config.classes} classes, but names {len(labels)}")
        return cls(config, labels, input_spec, provenance)
