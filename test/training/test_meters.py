"""What a run measures of itself, with a clock and losses made by hand."""

import json
import math

import pytest
import torch

from asymfusion_ros.errors import UserError
from asymfusion_training.loop.history import History
from asymfusion_training.loop.meters import EpochTimer, LossMeter
from asymfusion_training.tasks.base import Goal


class Clock:
    def __init__(self):
        self.seconds = 100.0

    def __call__(self):
        return self.seconds


def test_images_per_second_are_those_of_the_epochs_own_steps():
    clock = Clock()
    timer = EpochTimer(clock)
    assert (timer.images_per_second, timer.waiting_share) == (0, 0)
    for wait, work in ((2, 2), (1, 3)):
        with timer.step(8):
            with timer.wait():
                clock.seconds += wait
            clock.seconds += work
        clock.seconds += 50  # scored, saved
    assert timer.images_per_second == pytest.approx(16 / 8)
    assert (timer.waiting, timer.waiting_share) == (3, pytest.approx(3 / 8))
    timer.restart()
    with timer.step(8):
        clock.seconds += 2
    assert (timer.images_per_second, timer.waiting) == (pytest.approx(4), 0)


def test_losses_add_up_and_are_checked_a_step_late():
    meter = LossMeter(1.0)
    meter.add(torch.tensor(2.0), ["a"])
    assert meter.total == 1.0
    meter.add(torch.tensor(4.0), ["b"])
    assert meter.total == 3.0
    assert (meter.settle(), meter.settle()) == (7.0, 7.0)
    assert (meter.restart(), meter.total) == (7.0, 0.0)
    meter.add(torch.tensor(math.nan), ["c", "d"])
    with pytest.raises(UserError, match="the loss is nan on frames c, d: look at these files, or lower"):
        meter.add(torch.tensor(1.0), ["e"])


def test_a_history_drops_what_came_after_the_state(tmp_path):
    goal = Goal("ensemble", "mean_iou", "mean IoU")
    scores = {"ensemble": {"mean_iou": 0.5}}
    history = History(tmp_path, goal)
    for epoch in (1, 2, 3):
        history.add({"epoch": epoch, "loss": 1.0, "val": scores})
    history.plot()
    history.close()
    with (tmp_path / "history.jsonl").open("a") as file:
        file.write('{"epoch": 4, "lo')
    History(tmp_path, goal, 2).close()
    lines = (tmp_path / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]
    assert (tmp_path / "curves.png").stat().st_size > 1000
