"""FID (Heusel et al. 2017) and KID (Binkowski et al. 2018) by torch-fidelity, with checked weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from asymfusion_ros.checkpoint.digest import sha256
from asymfusion_ros.errors import ConfigError, UserError

INCEPTION_SCORES = {"fid": "FID", "kid": "KID"}
# torch-fidelity's and pytorch-fid's file of the Inception network of the FID paper.
WEIGHTS = "weights-inception-2015-12-05-6726825d.pth"
WEIGHTS_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
SUBSET = 1000  # images of which KID takes the mean over many; half of them where there are fewer


def check_inception(path: Path | None) -> Path:
    """The file, which is the published one to the last bit: torch-fidelity would unpickle any other, too.

    Raises ConfigError where no file is named, or torch-fidelity is missing, UserError for another file.
    """
    if path is None:
        raise ConfigError(f"FID and KID need the weights of their Inception network: --inception {WEIGHTS}")
    try:
        found = sha256(path)
    except OSError as error:
        raise UserError(f"--inception {path} cannot be read: {error.strerror or error}") from error
    if found != WEIGHTS_SHA256:
        raise UserError(
            f"--inception {path} has SHA-256 {found[:16]}..., not {WEIGHTS_SHA256[:16]}...: it is not "
            f"opened; name torch-fidelity's {WEIGHTS}"
        )
    _calculate()
    return path


def _calculate() -> Any:
    try:
        from torch_fidelity import calculate_metrics
    except ImportError as error:
        raise ConfigError(
            f"FID and KID need torch-fidelity and torchvision ({error}): pip install 'asymfusion_ros[fid]', "
            "with the torchvision of this torch; --scores l1 psnr ssim needs neither"
        ) from error
    return calculate_metrics


class _Images(Dataset[Tensor]):
    def __init__(self, images: Sequence[Tensor]) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        return self.images[index]


def inception_scores(
    made: Sequence[Tensor], truth: Sequence[Tensor], scores: Sequence[str], weights: Path, cuda: bool
) -> dict[str, float]:
    """3 x H x W uint8 images -> ``fid`` and ``kid`` as asked for. weights: of ``check_inception``."""
    found = _calculate()(
        input1=_Images(made),
        input2=_Images(truth),
        fid="fid" in scores,
        kid="kid" in scores,
        kid_subset_size=min(SUBSET, max(len(truth) // 2, 1)),
        feature_extractor_weights_path=str(weights),
        cuda=cuda,
        cache=False,
        verbose=False,
    )
    names = {"fid": "frechet_inception_distance", "kid": "kernel_inception_distance_mean"}
    return {score: float(found[names[score]]) for score in scores}
