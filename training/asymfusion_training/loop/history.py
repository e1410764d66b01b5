"""What a run leaves to look at: history.jsonl, TensorBoard's scalars, a plot of the curves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from torch.utils.tensorboard import SummaryWriter

from asymfusion_ros.atomic_write import write_whole
from asymfusion_ros.data.text_file import parse_json
from asymfusion_training.figures import save_figure
from asymfusion_training.tasks.base import Goal


class History:
    """A line an epoch in ``history.jsonl``, the same in ``tensorboard/``, and ``curves.png``."""

    def __init__(self, output: Path, goal: Goal, epochs_done: int = 0) -> None:
        """goal: the score that is drawn. epochs_done: of a run that is resumed; what was written later than
        that is dropped."""
        self.goal = goal
        self.path = output / "history.jsonl"
        self.lines: list[dict[str, Any]] = []
        if epochs_done and self.path.is_file():
            for text in self.path.read_text(errors="replace").splitlines():
                try:
                    line = parse_json(text)
                    if line["epoch"] <= epochs_done:
                        self.lines.append(line)
                except (ValueError, KeyError, TypeError):
                    break  # cut short when the run was killed
        self._write()
        self.board = SummaryWriter(str(output / "tensorboard"), purge_step=epochs_done + 1)

    def add(self, line: dict[str, Any]) -> None:
        """``epoch``, ``loss``, ``minutes`` and more numbers; ``val``: the scores of each output, or None."""
        self.lines.append(line)
        self._write()
        for name, value in line.items():
            if name not in ("epoch", "val"):
                self.board.add_scalar(f"train/{name}", value, line["epoch"])
        for output, scores in (line["val"] or {}).items():
            for name, value in scores.items():
                self.board.add_scalar(f"val_{name}/{output}", value, line["epoch"])
        self.board.flush()

    def add_picture(self, epoch: int, picture: npt.NDArray[np.uint8]) -> None:
        """H x W x 3 RGB, for TensorBoard."""
        self.board.add_image("val", picture, epoch, dataformats="HWC")

    def _write(self) -> None:
        write_whole(self.path, "".join(json.dumps(line) + "\n" for line in self.lines).encode())

    def plot(self) -> None:
        """The loss and the goal of each output over the epochs, as ``curves.png``."""
        # pyplot would keep figures and ask for a display
        from matplotlib.figure import Figure

        figure = Figure(figsize=(9, 4), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.plot(
            [line["epoch"] for line in self.lines], [line["loss"] for line in self.lines], color="black"
        )
        left.set(xlabel="epoch", ylabel="training loss")
        scored = [line for line in self.lines if line["val"]]
        for output in scored[-1]["val"] if scored else ():
            values = [100 * line["val"][output][self.goal.metric] for line in scored]
            right.plot([line["epoch"] for line in scored], values, marker="o", markersize=3, label=output)
        right.set(xlabel="epoch", ylabel=f"{self.goal.title} on val, %")
        if scored:
            right.legend()
        for axes in (left, right):
            axes.grid(alpha=0.3)
        save_figure(self.path.with_name("curves.png"), figure)

    def close(self) -> None:
        """Ends TensorBoard's file."""
        self.board.close()
