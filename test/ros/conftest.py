"""What the tests of the node share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network with random weights, whose masks differ from input to input."""
    from node_harness import make_checkpoint  # it needs rclpy, without which the tests skip themselves

    return make_checkpoint(tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors")
