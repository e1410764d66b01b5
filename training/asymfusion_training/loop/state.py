"""What an interrupted run goes on from, in one file that is whole or not there."""

from __future__ import annotations

import io
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from asymfusion_ros.atomic_write import write_whole
from asymfusion_ros.checkpoint.pickles import quiet
from asymfusion_ros.data.text_file import one_line
from asymfusion_ros.errors import DAMAGED, ConfigError, UserError
from asymfusion_training.loop.settings import RunRecipe

FILE = "state.pt"
PARTS: dict[str, type | tuple[type, ...]] = {
    "recipe": dict, "data": dict, "step": int, "network": dict, "optimiser": (dict, list),
}  # fmt: skip


def save_state(output: Path, state: Mapping[str, Any]) -> None:
    """``state``: tensors, numbers, text, and lists and dicts of them. Raises UserError on a full disk."""
    content = io.BytesIO()
    torch.save(dict(state), content)
    try:
        write_whole(output / FILE, content.getvalue())
    except UserError as error:
        if not (output / FILE).exists():
            raise
        raise UserError(f"{error}; the state before is still whole, and --resume goes on from it") from error


def load_state(output: Path, recipe: RunRecipe, data: Mapping[str, Any]) -> dict[str, Any]:
    """The state of the run in ``output``, on the CPU; nothing in the file is executed.

    Raises UserError where there is none or it is broken, ConfigError where it is of another recipe or data.
    """
    path = output / FILE
    if not path.is_file():
        raise UserError(f"there is no run to resume in {output}: no {path}")
    try:
        with quiet():
            state = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, *DAMAGED) as error:
        raise UserError(
            f"{path} cannot be read ({one_line(error)}): remove it to begin that run again"
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(state.get(name), kinds) for name, kinds in PARTS.items()
    ):
        raise UserError(f"{path} is not the state of a run: remove it to begin that run again")
    try:
        stored = recipe.upgraded(state["recipe"])
    except ConfigError as error:
        raise UserError(f"{path} is damaged, or of a newer version: {error}") from error
    for what, now, before in (
        ("recipe", recipe.to_dict(), stored),
        ("data", data, state["data"]),
    ):
        changed = [name for name in sorted({*now, *before}) if now.get(name) != before.get(name)]
        if changed:
            name = changed[0]
            raise ConfigError(
                f"{what}: {name} is {now.get(name)!r}, but the run in {output} began with "
                f"{before.get(name)!r}: set it back, or start another run with another --output"
            )
    numbers = ("step", "best", "minutes", "epoch_loss")
    wrong = next((name for name in numbers if not isinstance(state.get(name, 0), int | float)), None)
    if wrong is not None or state["step"] < 0:
        raise UserError(f"{path} is damaged: its {wrong or 'step'} cannot be that of a run")
    if isinstance(state["optimiser"], dict):  # of a version that knew only one
        state["optimiser"] = [state["optimiser"]]
    return state


@contextmanager
def restoring(output: Path) -> Iterator[None]:
    """Around the loading of a state's parts. Raises UserError where one does not fit the run: of a file that
    is damaged and still loads."""
    try:
        yield
    except DAMAGED as error:
        raise UserError(
            f"{output / FILE} does not fit this run ({one_line(error)}): remove it to begin that run again"
        ) from error
