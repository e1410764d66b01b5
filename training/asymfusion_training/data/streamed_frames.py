"""Frames in shards as batches for the training loop: tar files are read from one end to the other.

An epoch is one order of all frames, which depends on the seed alone, as that of a BatchSampler does: not on
the processes that share it, nor on their readers. The tar files are laid end to end in an order drawn for the
epoch and cut into LANES pieces of one length, which are read side by side; frame n of the epoch comes from
piece n % LANES. So each process, and each of its readers, reads pieces of its own, and neighbours in a batch
come from different files. Within a piece, BLOCK frames at a time change places (in its file, a frame's place
is random to begin with: `asymfusion prepare` shuffles). A run that is resumed passes over what it has seen,
which in a tar file takes no reading.
"""

from __future__ import annotations

import hashlib
import math
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from asymfusion_ros.data.folder import SHARDS, Folder
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.errors import ConfigError, UserError
from asymfusion_training.data.augment import augmented
from asymfusion_training.data.batch import Batch, collate, joined
from asymfusion_training.data.batch_sampler import BatchSampler
from asymfusion_training.data.frames import TrainingFrames, as_it_is, augmentation, one_thread
from asymfusion_training.data.settings import DataSettings
from asymfusion_training.data.shard_files import Shards, decoded, read_index, shard_frames

LANES = 24  # for 1, 2, 3, 4, 6, 8, 12 or 24 processes; other numbers have more
BLOCK = 16  # frames: LANES x BLOCK of them, as PNGs, wait in the readers of a run, about 0.4 GB


class StreamedFrames:
    """Augmented frames of a split in shards; what is done to one depends only on seed, epoch and frame."""

    def __init__(
        self,
        folder: Folder,
        split: str,
        modalities: Sequence[str],
        spec: InputSpec,
        settings: DataSettings,
        seed: int = 0,
    ) -> None:
        """modalities: that are read.

        Raises UserError for a split whose shards are damaged or missing, ConfigError for modalities that the
        folder lacks and for settings that need labels.
        """
        for name in ("copy_paste", "class_crops"):
            if value := getattr(settings, name):
                raise ConfigError(f"recipe: {name} is {value:g}, and shards have no labels: set it to 0")
        self.folder, self.split, self.seed = folder, split, seed
        self.augmentation = augmentation(folder, modalities, spec, settings)
        self.shards = read_index(folder, split)

    def __len__(self) -> int:
        return self.shards.frames

    def digest(self) -> str:
        """What tells this list of frames from another."""
        listed = [f"{path.name} {count}" for path, count in zip(self.shards.paths, self.shards.counts)]
        return hashlib.sha256("\n".join(listed).encode()).hexdigest()

    def loader(self, sampler: BatchSampler, workers: int, pin_memory: bool) -> StreamLoader:
        """Batches of this process, or the UserError in a batch's place, for what the sampler says of the run.

        At most as many ``workers`` are started as divide the pieces of this process.
        """
        return StreamLoader(self, sampler, workers, pin_memory)

    def read(self, plan: Plan, epoch: int, lane: int, done: int) -> Iterator[Batch]:
        """The frames of a piece, each as a batch of one, without the first ``done``.

        Raises UserError for one that cannot be read.
        """
        starts, order = self.shards.starts, plan.shard_order(epoch, self.shards)
        first, length = plan.piece(lane)
        begin = done - done % BLOCK  # blocks that are done are passed over whole
        files = islice(_from(self.shards, order, first + begin), length - begin)
        for number in range(begin // BLOCK, math.ceil(length / BLOCK)):
            block = list(islice(files, BLOCK))
            places = np.random.default_rng((self.seed, epoch, lane, number)).permutation(len(block))
            for place in places[max(done - number * BLOCK, 0) :]:
                shard, offset, name, images = block[place]
                path, modalities = self.shards.paths[shard], tuple(self.augmentation.modalities)
                frame = decoded(self.folder, path, name, images, modalities)
                rng = np.random.default_rng((self.seed, epoch, starts[shard] + offset))
                yield collate([augmented(frame, self.augmentation, rng)])


@dataclass(frozen=True)
class Plan:
    """Which frame of an epoch comes from where.

    seed: the run's. frames: of an epoch's batches. lanes: pieces. rank: of this process among ``processes``,
    whose frames are rank, rank + processes, ...
    """

    seed: int
    frames: int
    lanes: int
    rank: int
    processes: int

    @classmethod
    def of(cls, sampler: BatchSampler) -> Plan:
        """For a run."""
        frames = sampler.steps_per_epoch * sampler.settings.batch
        lanes = math.lcm(LANES, sampler.processes)
        return cls(sampler.settings.seed, frames, lanes, sampler.rank, sampler.processes)

    @property
    def own_lanes(self) -> int:
        """Pieces that this process reads."""
        return self.lanes // self.processes

    @property
    def own_frames(self) -> int:
        """Of an epoch."""
        return self.frames // self.processes

    def lane(self, number: int) -> int:
        """The piece that frame ``number`` of this process comes from."""
        return (self.rank + number * self.processes) % self.lanes

    def piece(self, lane: int) -> tuple[int, int]:
        """(first, length) of a piece in the epoch's order of the shards' frames."""
        each, more = divmod(self.frames, self.lanes)
        return lane * each + min(lane, more), each + (lane < more)

    def shard_order(self, epoch: int, shards: Shards) -> list[int]:
        """The shards' indices, end to end."""
        return [int(one) for one in np.random.default_rng((self.seed, epoch)).permutation(len(shards.paths))]


def _from(
    shards: Shards, order: Sequence[int], first: int
) -> Iterator[tuple[int, int, str, dict[str, bytes]]]:
    """(shard, number in it, name, PNGs by modality) of each frame from ``first`` on, shards in this order."""
    ends = list(accumulate(shards.counts[shard] for shard in order))
    place = bisect_right(ends, first)
    skipped = first - (ends[place - 1] if place else 0)
    for shard in order[place:]:
        path, count = shards.paths[shard], shards.counts[shard]
        found = skipped
        for name, images in shard_frames(path, skipped, read=True):
            if found < count:
                yield shard, found, name, dict(images)
            found += 1
        if found != count:
            raise UserError(
                f"{path} has {found} frames, not {count} as its list says: prepare the data again"
            )
        skipped = 0


class _Frames(IterableDataset[Any]):
    """Those of one process from where its run is, which its readers share in turn."""

    def __init__(self, frames: StreamedFrames, plan: Plan, sampler: BatchSampler) -> None:
        self.frames, self.plan = frames, plan
        self.epochs = sampler.settings.total_epochs
        self.first = sampler.first_step * sampler.settings.batch // plan.processes

    def __iter__(self) -> Iterator[Batch | UserError]:
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        try:
            for epoch in range(self.first // max(self.plan.own_frames, 1), self.epochs):
                yield from self._epoch(epoch, worker, workers)
        except UserError as error:  # raised in a reader, it would arrive as a traceback
            yield error

    def _epoch(self, epoch: int, worker: int, workers: int) -> Iterator[Batch]:
        plan, begin = self.plan, epoch * self.plan.own_frames
        first = max(self.first - begin, 0)
        lanes: dict[int, Iterator[Batch]] = {}
        # The loader asks its readers in turn, the first one for the run's first frame.
        start = first + (worker - (begin + first - self.first)) % workers
        for number in range(start, plan.own_frames, workers):
            lane = plan.lane(number)
            if lane not in lanes:
                lanes[lane] = self.frames.read(plan, epoch, lane, number // plan.own_lanes)
            yield next(lanes[lane])


class StreamLoader:
    """The batches of one process; in the place of a DataLoader over keys."""

    def __init__(self, frames: StreamedFrames, sampler: BatchSampler, workers: int, pin_memory: bool) -> None:
        settings = sampler.settings
        plan = Plan.of(sampler)
        self.each = settings.batch // (settings.accumulate * sampler.processes)
        self.pin_memory = pin_memory
        workers = max((one for one in range(1, workers + 1) if plan.own_lanes % one == 0), default=0)
        self.frames = DataLoader(
            _Frames(frames, plan, sampler),
            batch_size=None,
            num_workers=workers,
            collate_fn=as_it_is,
            worker_init_fn=one_thread,
            prefetch_factor=4 * self.each if workers else None,
        )

    def __iter__(self) -> Iterator[Batch | UserError]:
        parts: list[Batch] = []
        for one in self.frames:
            if isinstance(one, UserError):
                yield one
                return
            parts.append(one)
            if len(parts) == self.each:
                batch, parts = joined(parts), []
                yield batch.pin_memory() if self.pin_memory else batch


def frames_of(
    folder: Folder, split: str, modalities: Sequence[str], spec: InputSpec, settings: DataSettings, seed: int
) -> TrainingFrames | StreamedFrames:
    """The split's frames: streamed where it is in shards. Raises UserError and ConfigError as these do."""
    streamed = (folder.root / SHARDS.format(split)).is_file()
    return (StreamedFrames if streamed else TrainingFrames)(folder, split, modalities, spec, settings, seed)
