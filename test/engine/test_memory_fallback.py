"""A GPU whose memory is full: a real backend that refuses what would not fit."""

from types import SimpleNamespace

import pytest
import torch
from helpers import tiny_checkpoint

from asymfusion_ros.engine.backends.memory_fallback import DeviceMemoryError, MemoryFallback
from asymfusion_ros.engine.backends.torch import TorchBackend


class Small(TorchBackend):
    """The CPU as a device on which ``fit`` frames at once find room."""

    fit = 2

    def __init__(self, checkpoint, fit):
        super().__init__(checkpoint, "cpu", "fp32")
        self.fit = fit

    def outputs(self, inputs):
        if len(next(iter(inputs.values()))) > self.fit:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return super().outputs(inputs)

    __call__ = lambda self, inputs: self.outputs(inputs).ensemble  # noqa: E731


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def inputs():
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(5, 3, 48, 64, generator=generator) for name in ("rgb", "depth")}


def fallback(checkpoint, fit, cpu=False):
    """(the backend, its log); ``fit`` None: not even the network finds room."""
    said = []

    def open_on(device, precision):
        if device == "cpu":
            return TorchBackend(checkpoint, "cpu", precision)
        if fit is None:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return Small(checkpoint, fit)

    return MemoryFallback(open_on, "cuda", "fp32", cpu, said.append), said


def test_as_long_as_all_fits_nothing_is_different(checkpoint, inputs):
    backend, said = fallback(checkpoint, 5)
    expected = TorchBackend(checkpoint, "cpu")
    assert (backend(inputs) == expected(inputs)).all()
    assert (backend.name, backend.precision, backend.device) == ("torch", "fp32", torch.device("cpu"))
    assert backend.condition == "" and said == []


def test_batches_are_halved_until_they_fit_and_stay_so(checkpoint, inputs):
    backend, said = fallback(checkpoint, 1)
    expected = TorchBackend(checkpoint, "cpu")
    torch.testing.assert_close(backend(inputs), expected(inputs))
    assert backend.most == 1
    assert said == [
        "the GPU's memory is full: batches of 2 instead of 5",
        "the GPU's memory is full: batches of 1 instead of 2",
    ]
    assert backend.condition == said[-1]
    found, whole = backend.outputs(inputs), expected.outputs(inputs)
    for ours, theirs in zip(found.logits, whole.logits, strict=True):
        torch.testing.assert_close(ours, theirs)
    alone = backend.outputs({"depth": inputs["depth"]})
    assert alone.logits[0] is None and len(alone.logits[1]) == 5
    assert len(said) == 2


def test_the_cpu_takes_over_where_allowed(checkpoint, inputs):
    backend, said = fallback(checkpoint, 0, cpu=True)
    torch.testing.assert_close(backend(inputs), TorchBackend(checkpoint, "cpu")(inputs))
    assert "does not suffice for one frame: the network runs on the CPU" in said[-1]
    count = len(said)
    backend(inputs)
    assert len(said) == count


def test_without_leave_the_frame_is_refused_in_one_line_and_the_next_is_tried(checkpoint, inputs):
    backend, _ = fallback(checkpoint, 0)
    for _ in range(2):
        with pytest.raises(DeviceMemoryError, match="memory is full.*for one frame.*cpu_fallback"):
            backend(inputs)
    backend._backend.fit = 1  # another program has ended
    assert len(backend(inputs)) == 5


def test_a_network_that_cannot_be_loaded(checkpoint, inputs):
    with pytest.raises(DeviceMemoryError, match="to load the network.*cpu_fallback"):
        fallback(checkpoint, None)
    backend, said = fallback(checkpoint, None, cpu=True)
    assert "to load the network: the network runs on the CPU" in said[0]
    torch.testing.assert_close(backend(inputs), TorchBackend(checkpoint, "cpu")(inputs))


def test_the_diagnostics_warn_of_it(checkpoint, inputs):
    pytest.importorskip("rclpy", reason="needs rclpy")
    from asymfusion_ros.ros.node_status import faults
    from asymfusion_ros.stream.status import Fault, Level

    backend, said = fallback(checkpoint, 2)
    network = SimpleNamespace(backend=backend)
    assert faults(network) == () and faults(None) == ()
    backend(inputs)
    assert faults(network) == (Fault(Level.WARN, said[-1]),)
