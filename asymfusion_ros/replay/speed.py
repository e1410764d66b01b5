"""What replay adds to the engine's work: `python -m asymfusion_ros.replay.speed --help`.

The frames of a recording are segmented by the engine alone, one after another from memory, and replayed from
their bag with everything that replay writes, as many at once as the command takes, in turns, so that what
else the machine does meets both alike.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from asymfusion_ros.data.modality import Modality
from asymfusion_ros.engine.exported import load_model
from asymfusion_ros.engine.segmenter import Segmenter
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.replay import messages
from asymfusion_ros.replay.built_in_source import NAME
from asymfusion_ros.replay.frames import Frames, RecordedFrame, open_source
from asymfusion_ros.replay.job import Job
from asymfusion_ros.replay.notes import Notes
from asymfusion_ros.replay.options import ReadOptions
from asymfusion_ros.replay.replay import Replay
from asymfusion_ros.replay.split_bag import SplitBag
from asymfusion_ros.replay.streams import open_streams


def main() -> int:
    """Prints each turn and the medians of their ratios."""
    parser = argparse.ArgumentParser(
        prog="python -m asymfusion_ros.replay.speed",
        description="Time replay against the engine alone on the same frames.",
        epilog="example: python -m asymfusion_ros.replay.speed --checkpoint default.onnx --turns 5",
    )
    parser.add_argument(
        "--recording", type=Path, metavar="BAG", help="a bag (default: one of the built-in recording)"
    )
    parser.add_argument("--checkpoint", default="default")
    parser.add_argument("--backend", default="auto")
    parser.add_argument(
        "--threads", type=int, default=0, help="of the network (default: the backend's choice)"
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="of the recording, a turn (default: 2)")
    parser.add_argument("--turns", type=int, default=3, help="default: 3")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    model = load_model(args.checkpoint)
    threads = args.threads or torch.get_num_threads()
    segmenter = Segmenter(model, backend=args.backend, threads=threads)
    streams = open_streams(model, backend=args.backend, threads=threads)
    with tempfile.TemporaryDirectory() as folder:
        bag = args.recording or write_built_in(Path(folder) / "recording", segmenter, args.seconds)
        options = ReadOptions(seconds=args.seconds)
        frames = read(bag, segmenter, options)
        if len(frames) < 2:
            raise ConfigError(f"{bag} has {len(frames)} frames in {args.seconds:g} s: give more of them")
        alone(segmenter, frames[:1])  # warms up
        turns = []
        for turn in range(args.turns):
            torch.set_num_threads(threads)
            engine = alone(segmenter, frames)
            torch.set_num_threads(max(1, threads // len(streams)))
            job = Job(bag, Path(folder) / f"turn{turn}", options, args.checkpoint)
            job.output.mkdir()
            replay = replayed(streams, job)
            turns.append({"engine": asdict(engine), "replay": asdict(replay)})
            print(f"engine {engine}; replay {replay}", flush=True)
    both = [(turn["engine"], turn["replay"]) for turn in turns]
    rate = statistics.median(r["frames_per_second"] / e["frames_per_second"] for e, r in both)
    work = statistics.median(e["core_ms"] / r["core_ms"] for e, r in both)
    print(
        f"{len(frames)} frames, {args.turns} turns, medians: replay at {rate:.3f} of the engine's rate; the "
        f"engine's share of its processor time is {work:.3f}"
    )
    if args.json is not None:
        args.json.write_text(
            json.dumps({"frames": len(frames), "turns": turns, "rate": rate, "work": work}) + "\n"
        )
    return 0


def write_built_in(folder: Path, segmenter: Segmenter, seconds: float) -> Path:
    """A bag of the built-in recording's images, 640x480."""
    modalities = modalities_of(segmenter)
    source = open_source(Path(NAME), modalities, ReadOptions(seconds=seconds), Notes())
    bag = SplitBag(folder)
    for frame in Frames(source, modalities, ReadOptions(), Notes()):
        for name, image in frame.images.items():
            bag.write(source.topics[name], frame.time, messages.raw_image(frame.header, image))
    bag.finish()
    return folder


def read(bag: Path, segmenter: Segmenter, options: ReadOptions) -> list[RecordedFrame]:
    """All frames."""
    modalities = modalities_of(segmenter)
    return list(Frames(open_source(bag, modalities, options, Notes()), modalities, options, Notes()))


def modalities_of(segmenter: Segmenter) -> list[Modality]:
    """As a source takes them."""
    spec = segmenter.checkpoint.input_spec
    return [spec.modality(name) for name in segmenter.modalities]


@dataclass(frozen=True)
class Cost:
    """Frames a second, and milliseconds of processor time (of all threads) a frame. Where every core is busy
    the latter limits the former; other programs change it little."""

    frames_per_second: float
    core_ms: float

    def __str__(self) -> str:
        return f"{self.frames_per_second:.2f} frames a second, {self.core_ms:.0f} ms of processor time each"


def alone(segmenter: Segmenter, frames: Sequence[RecordedFrame]) -> Cost:
    """The engine: labels and confidence of each frame, on the host."""
    began, worked = time.perf_counter(), time.process_time()
    for frame in frames:
        segmenter.segment(frame.images, geometry=frame.geometry).numpy()
    worked = time.process_time() - worked
    return Cost(len(frames) / (time.perf_counter() - began), 1000 * worked / len(frames))


def replayed(streams: Sequence[Segmenter], job: Job) -> Cost:
    """A replay, by its summary; the processor time is what a frame adds to a replay of the first alone, which
    has the opening of the bag and the plots too."""
    once = replace(job, output=job.output / "once", read=replace(job.read, seconds=1e-3))
    found = []
    for one in (once, job):
        one.output.mkdir(exist_ok=True)
        worked = time.process_time()
        summary = Replay(streams, one).run().summary
        found.append((summary["segmented"], time.process_time() - worked))
    (few, less), (many, more) = found
    return Cost(summary["frames_per_second"], 1000 * (more - less) / (many - few))


if __name__ == "__main__":
    raise SystemExit(main())
