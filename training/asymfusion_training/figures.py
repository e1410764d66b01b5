"""Matplotlib's figures as files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from asymfusion_ros.atomic_write import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def save_figure(path: Path, figure: Figure, dpi: int = 110) -> None:
    """Writes a PNG. Raises UserError where it cannot be written."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=dpi)
    write_whole(path, content.getvalue())
