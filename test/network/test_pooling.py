"""The network's own max-pooling against torch's."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from asymfusion_ros.network.layers.pooling import max_pool_5x5


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([torch.float32, torch.bfloat16]), st.booleans())
def test_it_is_torchs_at_every_size(height, width, dtype, last):
    x = torch.randn(2, 3, height, width).to(dtype)
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    before = x.clone()
    with torch.no_grad():
        found = max_pool_5x5(x)
    assert torch.equal(found, F.max_pool2d(x, 5, 1, 2))
    assert torch.equal(x, before)


def test_a_value_that_is_no_number_spreads_as_torch_has_it():
    x = torch.zeros(1, 1, 8, 9)
    x[0, 0, 3, 4] = float("nan")
    with torch.inference_mode():
        found = max_pool_5x5(x)
    assert torch.equal(found.isnan(), F.max_pool2d(x, 5, 1, 2).isnan())


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_its_gradient_is_torchs(layout):
    x = torch.randn(2, 3, 11, 7, dtype=torch.float64)  # no two values are equal
    x = x.contiguous(memory_format=layout).requires_grad_()
    weights = torch.randn(2, 3, 11, 7, dtype=torch.float64)
    (ours,) = torch.autograd.grad((max_pool_5x5(x) * weights).sum(), x)
    (theirs,) = torch.autograd.grad((F.max_pool2d(x, 5, 1, 2) * weights).sum(), x)
    torch.testing.assert_close(ours, theirs)


def test_a_graph_that_is_exported_keeps_the_pooling():
    class Pool(torch.nn.Module):
        def forward(self, x):
            return max_pool_5x5(x)

    with torch.no_grad():
        exported = torch.export.export(Pool(), (torch.zeros(1, 1, 8, 8),))
    names = [str(node.target) for node in exported.graph.nodes if node.op == "call_function"]
    assert sum("max_pool2d" in name for name in names) == 2
    assert not any("maximum" in name for name in names)


@pytest.mark.parametrize("shape", [(1, 2, 5, 1), (1, 2, 1, 5)])
def test_by_hand(shape):
    x = torch.tensor([[5.0, 1, 0, 2, 9], [0, 0, 7, 0, 0]]).reshape(shape)
    expected = torch.tensor([[5.0, 5, 9, 9, 9], [7, 7, 7, 7, 7]]).reshape(shape)
    with torch.no_grad():
        assert torch.equal(max_pool_5x5(x), expected)
