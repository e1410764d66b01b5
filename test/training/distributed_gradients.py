"""A program for test_distributed.py: the gradients of one step on this process's part of a batch.

Run by torchrun, or alone for the whole batch: distributed_gradients.py OUTPUT.
"""

import sys

import torch
from helpers import tiny_config

from asymfusion_ros.network import build_network
from asymfusion_training.loop.devices import make_fabric
from asymfusion_training.tasks.segmentation.model import TrainingModel
from asymfusion_training.tasks.segmentation.settings import SegmentationSettings


def main(output: str) -> None:
    torch.manual_seed(0)
    network = build_network(tiny_config())
    torch.nn.init.normal_(network.decoder.classifier.weight, std=0.3)
    inputs = [torch.randn(4, 3, 64, 64) * (3 * s + 1) + s for s in range(2)]
    label = torch.randint(3, (4, 64, 64), dtype=torch.uint8)
    label[::2, :40] = 255  # the parts differ in how many pixels are known
    teacher = torch.randint(256, (4, 3, 16, 16), dtype=torch.uint8)
    teacher[1::2, :, :12] = 0  # so do those of soft labels
    fabric = make_fabric("cpu")
    fabric.launch()
    weights = torch.tensor([0.5, 1.0, 2.0])
    settings = SegmentationSettings(temperature=2.0)
    model = TrainingModel(network, settings, weights, synced=fabric.world_size > 1)
    model = fabric.setup(model)
    part = slice(fabric.global_rank, None, fabric.world_size)
    for given in (inputs, [None, inputs[1]]):  # together, then one alone: gradients add up
        inputs_here = [None if x is None else x[part] for x in given]
        fabric.backward(model(inputs_here, label[part], teacher[part]))
    if fabric.is_global_zero:
        grads = {name: p.grad for name, p in network.named_parameters()}
        torch.save({"grads": grads, "buffers": dict(network.named_buffers())}, output)


if __name__ == "__main__":
    main(sys.argv[1])
