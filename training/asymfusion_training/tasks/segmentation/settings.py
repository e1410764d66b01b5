"""The recipe's section ``task`` of segmentation: where the network starts and what its loss is."""

from __future__ import annotations

from dataclasses import dataclass

from asymfusion_ros.errors import ConfigError
from asymfusion_ros.settings import check_limits, setting


@dataclass(frozen=True)
class SegmentationSettings:
    """Raises ConfigError for a value that is impossible."""

    pretrained: str = setting(
        "imagenet",
        "imagenet, the path of such a file, or none; default (the package's checkpoint) or another "
        ".safetensors file to fine-tune it",
    )
    norms: str = setting(
        "live",
        "live statistics of each batch, or frozen ones of the pretrained weights",
        choices=("live", "frozen"),
    )
    norm_momentum: float = setting(
        0.1, "share of a step's statistics in the running ones that evaluation uses", above=0, maximum=1
    )
    class_balance: float = setting(
        0.0,
        "class c weighs (median frequency / its frequency) ** class_balance in the cross entropy, within "
        "0.1 to 10; 0: all alike",
        minimum=0,
    )
    modality_dropout: float = setting(
        0.4,
        "chance of a step that sees only one modality, so that the network serves when a camera is lost",
        minimum=0,
        below=1,
    )
    cutmix: float = setting(
        0.0,
        "chance of a frame in which a rectangle is another frame's of its step, in all images and labels",
        minimum=0,
        below=1,
    )
    loss_at: str = setting(
        "half",
        "resolution of the loss: half the labels' costs a quarter of the labels' own",
        choices=("half", "labels"),
    )
    distillation: float = setting(
        0.3, "weight of the KL divergence from the detached ensemble to each modality", minimum=0
    )
    temperature: float = setting(1.0, "of the distillation", above=0)
    teachers: tuple[str, ...] = setting(
        (),
        "checkpoints whose mean prediction each modality learns to give too; it is made once, before "
        "training, and kept in the output's folder teachers",
    )
    teacher_weight: float = setting(
        1.0, "weight of the KL divergence from the teachers to each modality and the ensemble", minimum=0
    )
    teacher_temperature: float = setting(1.0, "of the teachers' distillation", above=0)
    teacher_scales: tuple[float, ...] = setting(
        (0.75, 1.0, 1.25), "input sizes to average the teachers' predictions over, as factors"
    )
    teacher_flip: bool = setting(True, "average the teachers' predictions over mirror images too")

    def __post_init__(self) -> None:
        check_limits(self, "recipe: ")
        if not self.teacher_scales or min(self.teacher_scales) <= 0:
            raise ConfigError(
                f"recipe: teacher_scales is {list(self.teacher_scales)}; give one or more, each above 0, as "
                "[0.75, 1.0, 1.25]"
            )
