"""What a model is, apart from its weights: the metadata of a checkpoint, and of what is exported from it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from asymfusion_ros.checkpoint.precision_check import PrecisionCheck, read_checks
from asymfusion_ros.checkpoint.usual_disagreement import UsualDisagreement
from asymfusion_ros.data.input_spec import GRANULE, InputSpec
from asymfusion_ros.data.labels import NO_LABELS, LabelSet
from asymfusion_ros.data.text_file import one_line, parse_json
from asymfusion_ros.errors import CheckpointError, ConfigError
from asymfusion_ros.network import NetworkConfig
from asymfusion_ros.network.views import Views

FORMAT = "asymfusion/1"


def available_key(modalities: Iterable[str]) -> str:
    """The name of a set of available modalities, in the network's order: ``rgb+depth``."""
    return "+".join(modalities)


def available_sets(modalities: Sequence[str]) -> list[tuple[str, ...]]:
    """Every set of modalities that may be available, the largest first, each in the network's order."""
    counts = range(len(modalities), 0, -1)
    return [names for count in counts for names in combinations(modalities, count)]


@dataclass(frozen=True)
class ModelDescription:
    """The network's layers, what its classes mean, what its inputs are, and where it came from (any JSON).

    temperatures: what the logits are divided by before a softmax gives the confidence, for each set of
    available modalities (``available_key``) that was calibrated (Guo et al. 2017).
    disagreements: how far the modalities usually disagree, for each such set of two and more.
    target: of a network that makes images, the modality that they are of; its labels are NO_LABELS. None
    otherwise.
    precision_checks: what lower precisions cost it, those that were compared.
    """

    config: NetworkConfig
    labels: LabelSet
    input_spec: InputSpec
    provenance: Mapping[str, Any]
    temperatures: Mapping[str, float] = field(default_factory=dict, kw_only=True)
    disagreements: Mapping[str, UsualDisagreement] = field(default_factory=dict, kw_only=True)
    target: str | None = field(default=None, kw_only=True)
    precision_checks: Sequence[PrecisionCheck] = field(default=(), kw_only=True)

    @property
    def views(self) -> Views:
        """Those of a frame that the network predicts. Raises ConfigError where they are not possible."""
        return views_of(self.config, self.input_spec)

    @property
    def view_sizes(self) -> list[tuple[int, int]]:
        """(height, width) of each view, at the input's own size. Raises ConfigError as ``views`` does."""
        return self.views.sizes((self.input_spec.height, self.input_spec.width))

    def temperature(self, modalities: Iterable[str]) -> float:
        """Of these available modalities, in the network's order; 1 where they were not calibrated."""
        return self.temperatures.get(available_key(modalities), 1.0)

    def usual_disagreement(self, modalities: Iterable[str]) -> UsualDisagreement | None:
        """Of these available modalities, in the network's order; None where it was not measured."""
        return self.disagreements.get(available_key(modalities))

    def to_metadata(self) -> dict[str, str]:
        """Text by name, each a JSON value but ``format``."""
        calibration: dict[str, Any] = {"temperatures": dict(self.temperatures)}
        if self.disagreements:
            calibration["disagreements"] = {key: one.to_dict() for key, one in self.disagreements.items()}
        checks = [check.to_dict() for check in self.precision_checks]
        return {
            "format": FORMAT,
            "network": json.dumps(self.config.to_dict()),
            **(
                {"labels": json.dumps(self.labels.to_dict())}
                if self.target is None
                else {"target": json.dumps(self.target)}
            ),
            "input": json.dumps(self.input_spec.to_dict()),
            "provenance": json.dumps(dict(self.provenance)),
            **({"calibration": json.dumps(calibration)} if self.temperatures or self.disagreements else {}),
            **({"precision_checks": json.dumps(checks)} if checks else {}),
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
        meaning = "target" if "target" in metadata else "labels"
        lacking = [key for key in ("network", meaning, "input", "provenance") if key not in metadata]
        if lacking:
            raise CheckpointError(f"{where} does not describe itself: its metadata lacks {lacking[0]!r}")
        try:
            config = NetworkConfig.from_dict(parse_json(metadata["network"]))
            labels, target = NO_LABELS, None
            if meaning == "labels":
                labels = LabelSet.from_dict(parse_json(metadata["labels"]))
            else:
                target = str(parse_json(metadata["target"]))
            input_spec = InputSpec.from_dict(parse_json(metadata["input"]))
            if target is not None:
                check_target(target, input_spec)
            views_of(config, input_spec)
            provenance = parse_json(metadata["provenance"])
            if not isinstance(provenance, dict):
                raise ConfigError("provenance is not a set of values by name")
            calibration = parse_json(metadata.get("calibration", '{"temperatures": {}}'))
            temperatures, disagreements = _temperatures(calibration), _disagreements(calibration)
            checks = read_checks(parse_json(metadata.get("precision_checks", "[]")))
        except (ArithmeticError, AttributeError, ConfigError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"{where} describes a network that this version cannot build: {one_line(error)}"
            ) from error
        if config.makes_images != (target is not None):
            wanted, has = ("target", "labels") if config.makes_images else ("labels", "a target")
            raise CheckpointError(
                f"{where} is of {config.architecture}, which has {wanted}, but it names {has}"
            )
        if target is None and len(labels) != config.classes:
            raise CheckpointError(f"{where} has {config.classes} classes, but names {len(labels)}")
        return cls(
            config,
            labels,
            input_spec,
            provenance,
            temperatures=temperatures,
            disagreements=disagreements,
            target=target,
            precision_checks=checks,
        )


def check_target(target: str, spec: InputSpec) -> None:
    """Raises ConfigError for a modality that a network cannot make images of."""
    if (kind := spec.modality(target).kind) != "colour":
        raise ConfigError(
            f"target: {target} is a {kind} image; translation makes colour images: use rgb, or normal"
        )


def views_of(config: NetworkConfig, spec: InputSpec) -> Views:
    """The views of a frame that the network predicts. Raises ConfigError where they are not possible."""
    if not spec.several_views:
        return Views()
    modalities = [spec.modality(name) for name in config.modalities]
    views = Views(spec.view_scales, spec.view_flip, tuple(one.smooth for one in modalities), GRANULE)
    if config.makes_images:
        raise ConfigError(
            f"input: view_scales and view_flip average masks, and {config.architecture} makes images: leave "
            "them out"
        )
    turning = next((one.name for one in modalities if one.vector), None)
    if views.flip and turning is not None:
        raise ConfigError(
            f"input: view_flip: a mirror image of {turning} shows other directions, not the scene mirrored: "
            "leave it out"
        )
    return views


def _temperatures(calibration: Any) -> dict[str, float]:
    found = {str(name): float(value) for name, value in calibration["temperatures"].items()}
    wrong = next((value for value in found.values() if not (math.isfinite(value) and value > 0)), None)
    if wrong is not None:
        raise ConfigError(f"calibration: a temperature of {wrong} is not a number above 0")
    return found


def _disagreements(calibration: Any) -> dict[str, UsualDisagreement]:
    found = calibration.get("disagreements", {})
    if not isinstance(found, Mapping):
        raise ConfigError(f"calibration: disagreements are {found!r:.60}, not a set by modalities")
    return {str(name): UsualDisagreement.from_dict(values) for name, values in found.items()}
