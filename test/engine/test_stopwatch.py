"""The stages of a call: timed by an injected clock, and given with the segmenter's result."""

from pathlib import Path

import numpy as np
import pytest
from helpers import write_checkpoint

from asymfusion_ros import Segmenter
from asymfusion_ros.engine.memory import device_bytes, resident_bytes
from asymfusion_ros.engine.stopwatch import Stopwatch


def test_a_lap_ends_a_stage_and_a_stage_that_comes_again_adds_up():
    times = iter([10.0, 10.5, 12.0, 12.25])
    watch = Stopwatch(lambda: next(times))
    for stage in ("read", "network", "read"):
        watch.lap(stage)
    assert watch.seconds == {"read": 0.75, "network": 1.5}
    assert (watch.started, watch.total) == (10.0, 2.25)


def test_a_segmenter_on_a_cpu_says_what_its_stages_took(tmp_path):
    segmenter = Segmenter.from_checkpoint(write_checkpoint(tmp_path / "tiny.safetensors"), device="cpu")
    result = segmenter(np.zeros((48, 64, 3), np.uint8)).numpy()
    assert list(result.seconds) == ["upload", "network", "postprocess"]
    assert all(value > 0 for value in result.seconds.values())
    assert segmenter.backend.name == "torch"
    assert device_bytes(segmenter.device) is None


def test_resident_memory_is_what_the_kernel_says():
    status = Path("/proc/self/status")
    if not status.exists():
        pytest.skip("needs Linux's /proc")
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
    assert resident_bytes() == pytest.approx(1024 * int(line.split()[1]), rel=0.1)
