"""What `asymfusion translate` does: a recording's frames to images, as PNGs, and of a bag as a bag."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from asymfusion_ros.atomic_write import make_folder, write_whole
from asymfusion_ros.data.colouring import png
from asymfusion_ros.data.text_file import parse_json, read_text
from asymfusion_ros.engine.translator import Asked, HostTranslation, Translator
from asymfusion_ros.errors import UserError
from asymfusion_ros.replay import messages
from asymfusion_ros.replay.folder_source import FolderSource, file_name
from asymfusion_ros.replay.frames import SKIPPED, RecordedFrame, open_source, read_frames
from asymfusion_ros.replay.notes import Notes
from asymfusion_ros.replay.options import ReadOptions
from asymfusion_ros.replay.split_bag import SplitBag

SETTINGS = "translation.json"
TOPIC = "/translation/image"  # on which the node publishes it
LARGEST = 1 << 20  # bytes of SETTINGS

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class TranslateJob:
    """path: a bag, a folder or the built-in recording. output: the folder to make. each: every modality's own
    image too. png: PNGs of a bag too; of a folder there always are. split, rate: see open_source."""

    path: Path
    output: Path
    read: ReadOptions
    checkpoint: str
    each: bool = False
    png: bool = False
    split: str | None = None
    rate: float = 30.0

    def settings(self) -> dict[str, Any]:
        """What the images depend on."""
        return json.loads(json.dumps({k: v for k, v in asdict(self).items() if k != "output"}, default=str))


@dataclass
class Translated:
    """Numbers of frames: translated now, there before, and without an image that could be used."""

    new: int = 0
    kept: int = 0
    failed: int = 0


def translate(
    translator: Translator, job: TranslateJob, say: Callable[[str], None], progress: bool = False
) -> str:
    """Translates every frame and returns a summary.

    Given again after it was interrupted, it goes on: PNGs that are there are whole and stay; a bag is
    written anew. Raises UserError for an output folder that holds anything else.
    """
    notes = Notes(say)
    spec = translator.checkpoint.input_spec
    modalities = [spec.modality(name) for name in translator.modalities]
    source = open_source(job.path, modalities, job.read, notes, job.split, job.rate)
    _begin(job)
    bag = None if isinstance(source, FolderSource) else SplitBag(job.output / "bag")
    done = Translated()
    frames = read_frames(source, modalities, job.read, notes)
    total = max(source.images.values())
    try:
        with (
            frames,
            tqdm(total=total, desc="translate", unit="frame", disable=not progress) as bar,
        ):
            for frame in frames:
                name = file_name(source, next(iter(frame.images)), frame.stamp)
                paths = _paths(job, translator, frame, name) if bag is None or job.png else {}
                if bag is None and all(path.is_file() for path in paths.values()):
                    done.kept += 1
                else:
                    _translate(translator, job, frame, paths, bag)
                    done.new += 1
                bar.update()
        tally = frames.tally
        if not done.new + done.kept:
            skipped = [line for line in notes.lines if line.startswith(SKIPPED)]
            raise UserError(f"{job.path}: {skipped[0] if skipped else tally.never_paired()}")
        if bag is not None:
            bag.finish()
    except OSError as error:
        raise UserError(f"cannot write {error.filename or job.output}: {error.strerror or error}") from error
    finally:
        if bag is not None:
            bag.abandon()
    done.failed = tally.frames - done.new - done.kept
    return _summary(job, translator, done, bag is not None)


def _translate(
    translator: Translator,
    job: TranslateJob,
    frame: RecordedFrame,
    paths: Mapping[str, Path],
    bag: SplitBag | None,
) -> None:
    (made_of,) = translator.translate_batch([(frame.images, Asked(job.each, frame.geometry))])
    made = _named(translator.target, made_of.numpy())
    for name, path in paths.items():
        make_folder(path.parent)
        write_whole(path, png(made[name]))
    if bag is not None:
        for name, pixels in made.items():
            topic = TOPIC if name == translator.target else f"/translation/{name}"
            bag.write(topic, frame.time, messages.image(frame.header, pixels, "rgb8"))


def _named(target: str, result: HostTranslation) -> dict[str, Pixels]:
    """The images by what their folders are called."""
    return {target: result.image, **{f"{target}_from_{name}": one for name, one in result.each.items()}}


def _paths(job: TranslateJob, translator: Translator, frame: RecordedFrame, name: str) -> dict[str, Path]:
    folders = [translator.target]
    if job.each:
        folders += [f"{translator.target}_from_{modality}" for modality in frame.images]
    return {folder: job.output / folder / f"{name}.png" for folder in folders}


def _begin(job: TranslateJob) -> None:
    """Makes the folder, or finds the one of this job."""
    make_folder(job.output)
    path = job.output / SETTINGS
    if path.is_file():
        try:
            before = parse_json(read_text(path, LARGEST))
        except ValueError:
            before = None
        if before != job.settings():
            raise UserError(
                f"{job.output} holds a translation of other settings ({path}): give another --output, or "
                "delete it"
            )
        shutil.rmtree(job.output / "bag", ignore_errors=True)
    elif any(job.output.iterdir()):
        raise UserError(f"{job.output} is not empty and was not made by this command: give another --output")
    else:
        write_whole(path, (json.dumps(job.settings(), indent=2) + "\n").encode())


def _summary(job: TranslateJob, translator: Translator, done: Translated, bag: bool) -> str:
    text = f"{job.output}: {done.new} frames translated to {translator.target}"
    if done.kept:
        text += f", {done.kept} were there"
    if done.failed:
        text += f", {done.failed} without an image that could be used"
    places = [f"{TOPIC} in {job.output / 'bag'}"] if bag else []
    places += [f"{job.output / translator.target}/NAME.png"] if job.png or not bag else []
    return f"{text}\n  {', '.join(places)}"
