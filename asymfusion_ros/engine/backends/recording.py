"""A network's call recorded once for each kind of input, and played back: on a GPU a CUDA graph.

A network of some hundred small kernels takes the host longer to launch than a GPU to run; a graph is launched
at once. It reads and writes the same memory each time.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from asymfusion_ros.network import NetworkOutput

LOG = logging.getLogger(__name__)

Tensors = Mapping[str, Tensor]
Function = Callable[[Tensors], NetworkOutput]
Key = tuple[object, ...]

MOST = 16  # recordings: for two modalities, every set of them in batches of one to five
IDLE = 300  # calls without it after which a recording makes room for another
WARM_UP = 3  # calls before recording: libraries choose their algorithms in them


class Recording:
    """A call with inputs of these shapes. This one computes anew each time, in the same memory as a graph
    would; ``GraphRecording`` is for GPUs.

    What it returns is overwritten by the next call of any recording.
    """

    def __init__(self, function: Function, inputs: Tensors) -> None:
        self._function = function
        self._inputs = {name: x.clone() for name, x in inputs.items()}
        self._output = self._record()

    def __call__(self, inputs: Tensors) -> NetworkOutput:
        """The function of these."""
        for name, x in inputs.items():
            self._inputs[name].copy_(x, non_blocking=True)
        self._replay()
        return self._output

    def _record(self) -> NetworkOutput:
        return self._function(self._inputs)

    def _replay(self) -> None:
        self._output = self._function(self._inputs)


class GraphRecording(Recording):
    """A CUDA graph. All of one ``pool`` share their memory: outputs are to be copied before another runs."""

    def __init__(self, function: Function, inputs: Tensors, pool: Any) -> None:
        self._pool = pool
        self._graph = torch.cuda.CUDAGraph()
        super().__init__(function, inputs)  # which records; nothing is computed by that

    def _record(self) -> NetworkOutput:
        device = next(iter(self._inputs.values())).device
        with torch.cuda.device(device):
            stream, current = torch.cuda.Stream(), torch.cuda.current_stream()
            stream.wait_stream(current)
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP):
                    self._function(self._inputs)
            current.wait_stream(stream)
            # Other threads of the program may use CUDA meanwhile.
            with torch.cuda.graph(self._graph, self._pool, stream, capture_error_mode="thread_local"):
                output = self._function(self._inputs)
        return output

    def _replay(self) -> None:
        self._graph.replay()


@dataclass
class _Entry:
    recording: Recording
    last: int  # the number of the call that used it last


class Recorded:
    """``function``, played back from recordings: one for each set of names, shapes and types of its inputs.

    At most ``most`` are kept, for each holds memory. Where there is no room, a recording that was not used in
    the last ``idle`` calls is given up for the new one; otherwise the new kind of input is computed without
    one, for recording takes as long as several calls.
    """

    def __init__(
        self,
        function: Function,
        record: Callable[[Function, Tensors], Recording] = Recording,
        most: int = MOST,
        idle: int = IDLE,
    ) -> None:
        self._function = function
        self._record = record
        self._most = most
        self._idle = idle
        self._calls = 0
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()  # the one used last at the end
        self._refused = False

    def __call__(self, inputs: Tensors) -> NetworkOutput:
        """The function of these; to be copied before the next call."""
        self._calls += 1
        key = tuple((name, tuple(x.shape), x.dtype) for name, x in inputs.items())
        entry = self._entries.get(key)
        if entry is None:
            if self._refused or not self._make_room():
                return self._function(inputs)
            entry = self._new(inputs)
            if entry is None:
                return self._function(inputs)
            self._entries[key] = entry
        entry.last = self._calls
        self._entries.move_to_end(key)
        return entry.recording(inputs)

    @property
    def count(self) -> int:
        """How many recordings there are."""
        return len(self._entries)

    def clear(self) -> None:
        """Gives up all recordings, and their memory."""
        self._entries.clear()

    def _make_room(self) -> bool:
        if len(self._entries) < self._most:
            return True
        key, oldest = next(iter(self._entries.items()))
        if self._calls - oldest.last <= self._idle:
            return False
        del self._entries[key]
        return True

    def _new(self, inputs: Tensors) -> _Entry | None:
        try:
            return _Entry(self._record(self._function, inputs), self._calls)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:  # of the driver or a library that cannot be recorded
            self._refused = True
            LOG.warning("the network runs without CUDA graphs, which is slower: %s", error)
            return None


def graphs(device: torch.device) -> Callable[[Function, Tensors], Recording]:
    """What records as CUDA graphs on ``device``."""
    with torch.cuda.device(device):
        pool = torch.cuda.graph_pool_handle()
    return lambda function, inputs: GraphRecording(function, inputs, pool)
