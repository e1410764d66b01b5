"""What `asymfusion tune` found, as a file that the node reads."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from asymfusion_ros.atomic_write import write_whole
from asymfusion_ros.checkpoint.digest import sha256
from asymfusion_ros.data.size_text import wrong_size
from asymfusion_ros.data.yaml_file import read_yaml
from asymfusion_ros.errors import UserError
from asymfusion_ros.tuning.machine import differences, this_machine

FORMAT = 1
AGAIN = "run `asymfusion tune` again"


class TuningError(UserError):
    """A tuning file that cannot be used."""


@dataclass(frozen=True)
class Way:
    """A way to run the network. model: the file that the backend opens. threads: 0 is its own choice. size:
    WIDTHxHEIGHT of the network's inputs; empty: the checkpoint's own."""

    model: str
    backend: str
    device: str
    precision: str
    threads: int
    size: str = ""


@dataclass(frozen=True)
class Tuning:
    """checkpoint, exported: SHA-256 of the checkpoint that was tuned, and of ``choice.model`` where it is
    another file. machine: where it was measured. table: a line for each way that was tried, for people.
    """

    checkpoint: str
    machine: Mapping[str, str]
    choice: Way
    exported: str = ""
    table: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    def write(self, path: Path) -> None:
        """Whole or not at all. Raises OSError."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {"format": FORMAT, **asdict(self), "table": [dict(line) for line in self.table]}
        text = "# Of `asymfusion tune`: the fastest way to run the network on this machine.\n"
        write_whole(path, (text + yaml.safe_dump(content, sort_keys=False)).encode())

    def check(self, checkpoint: Path) -> None:
        """Raises TuningError unless it holds here: for this checkpoint, machine and exported file."""
        if sha256(checkpoint) != self.checkpoint:
            raise TuningError(f"it was made for another checkpoint than {checkpoint}: {AGAIN}")
        if found := differences(self.machine, this_machine()):
            raise TuningError(f"it was made elsewhere ({'; '.join(found)}): {AGAIN}")
        if self.exported:
            model = Path(self.choice.model)
            if not model.is_file():
                raise TuningError(f"its network {model} does not exist: {AGAIN}")
            if sha256(model) != self.exported:
                raise TuningError(f"its network {model} is not the one that was measured: {AGAIN}")


def standard_path() -> Path:
    """Where `asymfusion tune` writes, and the node looks, when told nothing else."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(home) / "asymfusion" / "tuning.yaml"


def read_tuning(path: Path) -> Tuning:
    """Raises TuningError for a file that is not one of this version's."""
    content = read_yaml(path, refusal=TuningError)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise TuningError(f"{path} is no tuning file of this version: {AGAIN}")
    wanted = {"checkpoint": str, "machine": dict, "choice": dict, "exported": str, "table": list}
    for name, kind in wanted.items():
        if not isinstance(content.get(name), kind):
            raise TuningError(f"{path}: {name} is missing or not a {kind.__name__}: {AGAIN}")
    kinds = {"model": str, "backend": str, "device": str, "precision": str, "threads": int, "size": str}
    choice = {"size": "", **content["choice"]}  # files before there was a choice of sizes have none
    if set(choice) != set(kinds) or not all(type(choice[name]) is kind for name, kind in kinds.items()):
        raise TuningError(f"{path}: choice must have {', '.join(kinds)}: {AGAIN}")
    if not 0 <= choice["threads"] <= 1024:
        raise TuningError(f"{path}: threads is {choice['threads']}, and must be 0 to 1024: {AGAIN}")
    if wrong := wrong_size(choice["size"]):
        raise TuningError(f"{path}: size {wrong}: {AGAIN}")
    machine = {str(name): str(value) for name, value in content["machine"].items()}
    return Tuning(content["checkpoint"], machine, Way(**choice), content["exported"], content["table"])
