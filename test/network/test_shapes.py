"""Networks of shapes alone."""

from torch import nn
from torch.overrides import TorchFunctionMode

from asymfusion_ros.network import NetworkConfig, build_network
from asymfusion_ros.network.shapes import shapes_alone

SMALL = NetworkConfig("refinenet_lw", "efficientnet_lite0", classes=3)


class Initialised(TorchFunctionMode):
    """Counts the calls of torch.nn.init, and of the random numbers that it is made of."""

    calls = 0

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.calls += getattr(func, "__module__", "") == nn.init.__name__ or func.__name__ == "normal_"
        return func(*args, **(kwargs or {}))


def test_shapes_alone_are_those_of_the_network_and_nothing_is_initialised():
    with Initialised() as counted, shapes_alone():
        shapes = build_network(SMALL).state_dict()
    assert counted.calls == 0
    with Initialised() as counted:
        network = build_network(SMALL).state_dict()
    assert counted.calls > 50
    assert {name: (one.shape, one.dtype) for name, one in shapes.items()} == {
        name: (one.shape, one.dtype) for name, one in network.items()
    }
    assert all(one.is_meta for one in shapes.values())
