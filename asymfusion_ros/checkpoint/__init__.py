"""The one checkpoint format, and the ways into it."""

from asymfusion_ros.checkpoint.file import (
    Checkpoint,
    check_output,
    load_checkpoint,
    save_checkpoint,
)
from asymfusion_ros.checkpoint.released import convert_released, released_config

__all__ = [
    "Checkpoint",
    "check_output",
    "convert_released",
    "load_checkpoint",
    "released_config",
    "save_checkpoint",
]
