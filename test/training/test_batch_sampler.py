"""Which frames make up which batch."""

import pytest

from asymfusion_ros.errors import ConfigError
from asymfusion_training.data.batch_sampler import BatchSampler
from asymfusion_training.loop.settings import LoopSettings

LOOP = LoopSettings(epochs=3, batch=4, seed=5)


def test_every_epoch_sees_each_frame_once_in_another_order():
    batches = list(BatchSampler(12, LOOP))
    assert len(batches) == len(BatchSampler(12, LOOP)) == 9
    orders = []
    for epoch in range(3):
        keys = [key for batch in batches[3 * epoch : 3 * epoch + 3] for key in batch]
        assert {key[0] for key in keys} == {epoch}
        orders.append([key[1] for key in keys])
        assert sorted(orders[-1]) == list(range(12))
    assert len({tuple(order) for order in orders}) == 3


def test_what_does_not_fill_a_batch_is_left_out():
    batches = list(BatchSampler(14, LOOP))
    assert [len(batch) for batch in batches] == [4] * 9
    left_out = [
        set(range(14)) - {index for batch in batches[3 * e : 3 * e + 3] for _, index in batch}
        for e in range(3)
    ]
    assert all(len(names) == 2 for names in left_out)


@pytest.mark.parametrize("first", [0, 1, 4, 8, 9])
def test_a_resumed_run_sees_the_rest(first):
    assert list(BatchSampler(14, LOOP, first)) == list(BatchSampler(14, LOOP))[first:]
    assert len(BatchSampler(14, LOOP, first)) == 9 - first


@pytest.mark.parametrize("accumulate", [1, 2])
def test_processes_share_a_batch(accumulate):
    loop = LoopSettings(epochs=3, batch=4, seed=5, accumulate=accumulate)
    whole = list(BatchSampler(12, LOOP))
    parts = [list(BatchSampler(12, loop, rank=rank, processes=2)) for rank in range(2)]
    assert len(parts[0]) == len(parts[1]) == 9 * accumulate
    for step, batch in enumerate(whole):
        own = [
            key
            for part in parts
            for forward in part[step * accumulate : (step + 1) * accumulate]
            for key in forward
        ]
        assert sorted(own) == sorted(batch)


def test_a_batch_that_cannot_be_shared_is_refused():
    with pytest.raises(ConfigError, match="batch of 4 cannot be shared by 3 processes"):
        BatchSampler(12, LOOP, processes=3)
