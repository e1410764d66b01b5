"""The network as it is trained: its loss as a forward pass, so that wrappers see one module."""

from __future__ import annotations

from torch import Tensor, nn

from asymfusion_ros.network import SegmentationNetwork
from asymfusion_ros.network.layers.norms import PrivateBatchNorm2d
from asymfusion_training.loop.synced_norm import synced_batch_norm
from asymfusion_training.tasks.segmentation.losses import segmentation_loss
from asymfusion_training.tasks.segmentation.settings import SegmentationSettings
from asymfusion_training.tasks.segmentation.teacher_loss import teacher_loss


class TrainingModel(nn.Module):
    """class_weights: K, or None for all alike. synced: there are several processes."""

    class_weights: Tensor | None

    def __init__(
        self,
        network: SegmentationNetwork,
        settings: SegmentationSettings,
        class_weights: Tensor | None = None,
        synced: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.settings = settings
        self.register_buffer("class_weights", class_weights, persistent=False)
        for norm in self.norms():
            norm.momentum = settings.norm_momentum
            if synced:
                norm.batch_norm = synced_batch_norm

    def norms(self) -> list[PrivateBatchNorm2d]:
        """Every batch norm of the network."""
        return [module for module in self.network.modules() if isinstance(module, PrivateBatchNorm2d)]

    def train(self, mode: bool = True) -> TrainingModel:
        """Frozen norms stay in evaluation mode."""
        super().train(mode)
        if self.settings.norms == "frozen":
            for norm in self.norms():
                norm.eval()
        return self

    def forward(self, inputs: list[Tensor | None], label: Tensor, teacher: Tensor | None = None) -> Tensor:
        """S inputs of N x 3 x H x W, None where absent, N x H x W labels, and a Batch's teacher -> the
        loss."""
        output = self.network(inputs)
        loss = segmentation_loss(
            self.network,
            output,
            label,
            self.settings.distillation,
            self.settings.temperature,
            self.class_weights,
            self.settings.loss_at,
        )
        if teacher is None:
            return loss
        taught = teacher_loss(self.network, output, teacher, self.settings.teacher_temperature)
        return loss + self.settings.teacher_weight * taught
