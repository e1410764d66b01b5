"""What `asymfusion tune` found goes into the node's settings, unless the parameters say otherwise."""

from __future__ import annotations

from pathlib import Path

from asymfusion_ros.errors import UserError
from asymfusion_ros.packaged import checkpoint_file
from asymfusion_ros.ros.settings import NodeSettings
from asymfusion_ros.tuning import read_tuning, standard_path

AUTO, NONE = "auto", "none"
CHOSEN = (
    "device",
    "backend",
    "precision",
    "threads",
    "input_size",
)  # by the file, where all are as by default


def take_tuning(settings: NodeSettings) -> str:
    """Replaces the checkpoint and how it is run by what the tuning file says. Returns what to log, empty
    where there is no file to read.

    Raises UserError for a file that does not hold here: the settings are as they were then.
    """
    if settings.tuning == NONE:
        return ""
    path = standard_path() if settings.tuning == AUTO else Path(settings.tuning)
    if settings.tuning == AUTO and not path.is_file():
        return ""
    explicit = [name for name in CHOSEN if getattr(settings, name) not in (AUTO, 0, "")]
    if explicit:
        are = "is" if len(explicit) == 1 else "are"
        return f"tuning {path} is not used: {' and '.join(explicit)} {are} set"
    given = checkpoint_file(settings.checkpoint)
    if given.suffix != ".safetensors" or not given.is_file():
        return ""  # one that is exported was chosen already; one that is missing is refused when it is loaded
    try:
        tuning = read_tuning(path)
        tuning.check(given)
    except UserError as error:
        raise UserError(f"tuning {path} is not used: {error}") from error
    choice = tuning.choice
    settings.checkpoint = choice.model if tuning.exported else settings.checkpoint
    settings.device, settings.backend = choice.device, choice.backend
    settings.precision, settings.threads = choice.precision, choice.threads
    settings.input_size = "" if tuning.exported else choice.size  # an exported network is of its size
    size = f" at inputs of {choice.size}" if choice.size else ""
    return (
        f"tuning {path}: {choice.backend} on {choice.device}, {choice.precision}, {choice.threads} threads"
        f"{size}, the fastest that was measured here"
    )
