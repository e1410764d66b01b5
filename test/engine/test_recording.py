"""Recordings of a network's calls: the real network, on a CPU without a graph behind it."""

import copy

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from asymfusion_ros.checkpoint.description import available_sets
from asymfusion_ros.engine.backends.recording import Recorded, Recording
from asymfusion_ros.engine.backends.torch import to_precision
from asymfusion_ros.engine.fold import fold_norms
from asymfusion_ros.network import NetworkConfig, build_network

NAMES = ("rgb", "depth", "thermal")


def network(**options):
    torch.manual_seed(0)
    made = build_network(
        NetworkConfig(
            **{
                "architecture": "refinenet_lw",
                "encoder": "resnet18",
                "classes": 3,
                "modalities": NAMES,
                "decoder_channels": 8,
                "dropout": 0.0,
            }
            | options
        )
    ).eval()
    fold_norms(made)
    return made


def inputs(names, size=(32, 48), batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(batch, 3, *size, generator=generator) for name in names}


@pytest.fixture(scope="module")
def function():
    made = network()
    return lambda given: made([given.get(name) for name in NAMES])


class Counted(Recording):
    made = 0

    def _record(self):
        Counted.made += 1
        return super()._record()


@pytest.fixture
def recorded(function):
    Counted.made = 0
    return Recorded(function, Counted, most=3, idle=4)


@torch.inference_mode()
def test_each_set_and_size_has_its_recording_and_the_networks_answer(function, recorded):
    kinds = [(NAMES, (32, 48)), (("depth",), (32, 48)), (NAMES, (64, 32))]
    for seed in range(3):
        for names, size in kinds:
            given = inputs(names, size, seed=seed)
            output = recorded(given)
            torch.testing.assert_close(output.ensemble, function(given).ensemble)
            assert [one is None for one in output.logits] == [name not in names for name in NAMES]
    assert recorded.count == Counted.made == 3


@torch.inference_mode()
def test_the_callers_tensors_are_not_kept(recorded, function):
    first, second = inputs(NAMES, seed=1), inputs(NAMES, seed=2)
    expected = function(first).ensemble
    recorded(first)
    recorded(second)
    torch.testing.assert_close(recorded(first).ensemble, expected)


@torch.inference_mode()
def test_a_full_house_makes_room_only_for_what_replaces_an_idle_one(recorded, function):
    for batch in (1, 2, 3):
        recorded(inputs(("rgb",), batch=batch))
    new = inputs(("rgb",), batch=4)
    for _ in range(2):  # batches of 1 were used within the last 4 calls
        torch.testing.assert_close(recorded(new).ensemble, function(new).ensemble)
    assert Counted.made == recorded.count == 3
    for _ in range(2):
        recorded(inputs(("rgb",), batch=2))
    torch.testing.assert_close(recorded(new).ensemble, function(new).ensemble)
    assert (Counted.made, recorded.count) == (4, 3)
    recorded(inputs(("rgb",), batch=2))  # is still there
    assert Counted.made == 4
    recorded.clear()
    assert recorded.count == 0


@torch.inference_mode()
def test_what_cannot_be_recorded_runs_without_and_says_so_once(function, caplog):
    def refuses(function, inputs):
        raise RuntimeError("operation not permitted when stream is capturing")

    recorded = Recorded(function, refuses)
    for batch in (1, 2):
        given = inputs(NAMES, batch=batch)
        torch.testing.assert_close(recorded(given).ensemble, function(given).ensemble)
    assert [record.message for record in caplog.records] == [
        "the network runs without CUDA graphs, which is slower: operation not permitted when stream is "
        "capturing"
    ]


@torch.inference_mode()
def test_full_memory_is_left_to_the_caller(function):
    def full(function, inputs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        Recorded(function, full)(inputs(NAMES))


class NoHostData(TorchDispatchMode):
    """Fails where a tensor is made of Python's numbers, or a number is taken from a tensor: on a GPU the host
    and the device would wait for each other, and a graph can't be recorded."""

    FORBIDDEN = ("lift_fresh", "index.Tensor", "_local_scalar_dense", "nonzero", "masked_select")

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert not any(name in str(function) for name in self.FORBIDDEN), function
        return function(*args, **(kwargs or {}))


@torch.inference_mode()
@pytest.mark.parametrize(
    "fusion", ["asymmetric", "shuffle", "shift", "skip", "concat", "average", "attention", "mmf"]
)
def test_a_pass_takes_nothing_from_the_host(fusion):
    made = network(fusion=fusion)
    for names in available_sets(NAMES):
        given = inputs(names)
        with NoHostData():
            made([given.get(name) for name in NAMES])


@torch.inference_mode()
@pytest.mark.parametrize(("dtype", "least"), [(torch.float16, 0.995), (torch.bfloat16, 0.985)])
def test_weights_in_half_precision_give_the_same_classes(dtype, least):
    full = network()
    with torch.no_grad():
        full.decoder.classifier.weight *= 100  # a random decoder's logits hardly differ
    half = copy.deepcopy(full)
    to_precision(half, dtype)
    given = [torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    expected, found = full(given), half([x.to(dtype) for x in given])
    assert found.ensemble.dtype == dtype
    same = found.ensemble.argmax(1) == expected.ensemble.argmax(1)
    torch.testing.assert_close(found.weights, expected.weights)
    assert same.float().mean() > least


@torch.inference_mode()
def test_the_first_layers_weights_stay_exact_where_bfloat16_would_cost_labels():
    full = network(encoder="efficientnet_lite0")
    half = copy.deepcopy(full)
    half.encoder.lower = torch.bfloat16
    to_precision(half, torch.bfloat16)
    theirs = full.state_dict()
    for name, tensor in half.state_dict().items():
        first = name.startswith(("encoder.stem", "encoder.blocks.0.", "ensemble."))
        assert tensor.dtype == (torch.float32 if first else torch.bfloat16), name
        assert torch.equal(tensor, theirs[name].to(tensor.dtype)), name
    given = [torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(i)) for i in range(3)]
    made = {}
    for kind, one in (("full", full), ("half", half)):
        one.encoder.blocks[0].register_forward_hook(lambda _, x, y, kind=kind: made.update({kind: y.clone()}))
    found = half(given)
    full(given)
    assert found.ensemble.dtype == torch.bfloat16
    assert torch.equal(made["half"], made["full"])
