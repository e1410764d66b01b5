"""What the tests of the node share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with random weights, whose masks differ from input to input."""
    from node_harness import make_checkpoint  # it needs rclpy, without which the tests skip themselves

    return make_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors")


@pytest.fixture
def make_rig(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Makes rigs, of the checkpoint unless another is given, and closes them."""
    from node_harness import HEIGHT, WIDTH, Rig

    from asymfusion_ros.ros import network

    monkeypatch.setattr(network, "WARM_UP_SIZE", (HEIGHT, WIDTH))
    rigs = []

    def make(path: Path = checkpoint, **options: Any) -> Any:
        rigs.append(Rig(path, **options))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()
