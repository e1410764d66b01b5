"""Scores of a network on a split: every branch and the ensemble, at the label's own resolution."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from tqdm import tqdm

from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.metrics import ConfusionMatrix
from asymfusion_ros.engine.postprocess import labels_at
from asymfusion_ros.errors import UserError
from asymfusion_ros.network import SegmentationNetwork
from asymfusion_training.frames import collate


@torch.inference_mode()
def evaluate(
    network: SegmentationNetwork,
    spec: InputSpec,
    folder: Folder,
    names: Iterable[str],
    modalities: Sequence[str] | None = None,
    progress: bool = True,
) -> dict[str, ConfusionMatrix]:
    """A confusion matrix for each branch and ``ensemble``, over the frames called ``names``.

    ``modalities``: those given to the network (None: all it has); the others are absent. Raises UserError
    for frames that cannot be read, or that have no label at all.
    """
    was_training = network.training
    network.eval()
    device = next(network.parameters()).device
    every = network.config.modalities
    present = tuple(every if modalities is None else modalities)
    matrices = {branch: ConfusionMatrix(network.config.classes) for branch in (*present, "ensemble")}
    names = list(names)
    for name in tqdm(names, desc="evaluate", unit="frame", disable=not progress, leave=False):
        batch = collate([folder.read(name)])
        size = spec.network_size(*batch.label.shape[-2:])
        inputs = batch.inputs(every, spec, size)
        output = network(
            [x.to(device) if modality in present else None for modality, x in zip(every, inputs)]
        )
        branches = {modality: output.logits[every.index(modality)] for modality in present}
        for branch, logits in {**branches, "ensemble": output.ensemble}.items():
            predictions = labels_at(logits[0], batch.label.shape[-2:]).cpu()[None]
            matrices[branch].update(batch.label, predictions)
    network.train(was_training)
    if not matrices["ensemble"].counts.any():
        raise UserError(
            f"all pixels of the {len(names)} frames are void: look at {folder.root / 'label'} "
            "and at void in dataset.yaml"
        )
    return matrices
