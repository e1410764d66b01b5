"""What the network and its discriminator minimise, in turns on each batch.

The network's turn comes first: what it made there is what the discriminator then learns to tell from the
truth, so that each image is made once. (pix2pix has the other order. As they take turns all the time, the two
differ in the first step alone.)
"""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asymfusion_ros.network import SegmentationNetwork
from asymfusion_ros.network.layers.norms import Available, PrivateBatchNorm2d
from asymfusion_ros.network.layers.per_modality import stack
from asymfusion_training.loop.synced_norm import synced_batch_norm
from asymfusion_training.tasks.translation.discriminator import Discriminator
from asymfusion_training.tasks.translation.settings import TranslationSettings

Found = tuple[Tensor, dict[str, Tensor]]


class Adversaries(nn.Module):
    """All that learns: the network, and what judges its images, None where nothing does."""

    def __init__(self, generator: SegmentationNetwork, settings: TranslationSettings) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = None
        if settings.adversarial:
            domains, instance = len(generator.config.modalities), generator.config.norm == "instance"
            self.discriminator = Discriminator(domains, settings.discriminator_width, instance)

    def compile(self, *args: object, **options: object) -> None:
        """Of the parts, which are called one by one."""
        for part in (self.generator, self.discriminator):
            if part is not None:
                part.compile(*args, **options)

    def norms(self) -> list[PrivateBatchNorm2d]:
        """Every batch norm."""
        return [module for module in self.modules() if isinstance(module, PrivateBatchNorm2d)]


class GeneratorLoss(nn.Module):
    """The sum over the domains of the adversarial loss and l1_weight x L1; and the ensemble's L1."""

    def __init__(self, networks: Adversaries, settings: TranslationSettings, synced: bool = False) -> None:
        """synced: there are several processes."""
        super().__init__()
        self.network = networks.generator
        self.settings = settings
        self.judge = [networks.discriminator]  # not a module's own: the other objective trains it
        self.made: deque[tuple[Tensor, Tensor, Available]] = deque()
        if synced:
            for norm in networks.norms():
                norm.batch_norm = synced_batch_norm

    def forward(self, inputs: list[Tensor | None], truth: Tensor) -> Found:
        """S inputs of N x 3 x H x W, None where absent, and the images that they should become, -1 to 1."""
        output = self.network(inputs)
        available = tuple(i for i, x in enumerate(inputs) if x is not None)
        given = stack([x for x in inputs if x is not None])
        images = [x.float() for x in output.logits if x is not None]
        distances = [F.l1_loss(image, truth) for image in images]
        parts = {"l1": torch.stack(distances).mean().detach()}
        loss = self.settings.l1_weight * torch.stack(distances).sum()
        (judge,) = self.judge
        if judge is not None:
            judge.requires_grad_(False)
            logits = judge(given, stack(images), available)
            adversarial = len(available) * _cross_entropy(logits, real=True)
            parts["adversarial"] = adversarial.detach() / len(available)
            loss = loss + adversarial
            self.made.append((given, stack(images).detach(), available))
        distance = F.l1_loss(self._ensemble(output.logits).float(), truth)
        parts["l1_ensemble"] = distance.detach()
        if self.settings.ensemble_loss != "none":
            loss = loss + self.settings.l1_weight * distance
        return loss, parts

    def _ensemble(self, images: tuple[Tensor | None, ...]) -> Tensor:
        if self.settings.ensemble_loss == "weights":
            images = tuple(None if x is None else x.detach() for x in images)
        ensemble, _ = self.network.ensemble(images)
        return ensemble


class DiscriminatorLoss(nn.Module):
    """Half of the cross entropy of the truth and of what the network has just made, over the domains."""

    def __init__(self, judge: Discriminator, made: deque[tuple[Tensor, Tensor, Available]]) -> None:
        """made: GeneratorLoss's."""
        super().__init__()
        self.judge = judge
        self.made = made

    def forward(self, inputs: list[Tensor | None], truth: Tensor) -> Found:
        """As GeneratorLoss, whose turn with the same inputs came before."""
        self.judge.requires_grad_(True)
        given, images, available = self.made.popleft()
        real = _cross_entropy(self.judge(given, truth.repeat(len(available), 1, 1, 1), available), real=True)
        fake = _cross_entropy(self.judge(given, images, available), real=False)
        parts = {"discriminator_real": real.detach(), "discriminator_made": fake.detach()}
        return len(available) * (real + fake) / 2, parts


def _cross_entropy(logits: Tensor, real: bool) -> Tensor:
    logits = logits.float()
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))
