"""The checkpoints that come with the package, chosen by name."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

DEFAULT = "default"


def packaged() -> dict[str, Path]:
    """The packaged checkpoints by name: the fast one, ``default``, and any other file beside it."""
    folder = Path(str(resources.files("asymfusion_ros"))) / "checkpoints"
    return {path.stem: path for path in sorted(folder.glob("*.safetensors"))}


def is_packaged(name: str | Path) -> bool:
    """Whether ``name`` names a packaged checkpoint rather than a file."""
    return str(name) in packaged()


def checkpoint_file(name: str | Path) -> Path:
    """The file that ``name`` means wherever a checkpoint is asked for: a packaged checkpoint's name, or a
    path, which need not exist."""
    return packaged().get(str(name), Path(name))
