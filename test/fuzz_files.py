"""Damaged files of every kind that the project reads: `make fuzz-files`.

Each case is a file mutated by its own seed, read as the command or the node reads it, in a process of its own
with limits on time and memory. It may be taken or refused; a refusal is one line, of a UserError. Anything
else (a traceback, a signal, a limit) fails, and its file is kept with --keep.

    python test/fuzz_files.py --cases 500 --seed 0
    python test/fuzz_files.py --kinds checkpoint recipe --first 123 --cases 1    (one case again)
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import resource
import shutil
import signal
import struct
import sys
import tempfile
import time
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from generated_views import write_taskonomy
from helpers import CLASSES, write_checkpoint, write_engine, write_folder
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from asymfusion_ros import Segmenter
from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.cli.main import main as asymfusion
from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.modality import KNOWN
from asymfusion_ros.engine.engine_file import load_engine
from asymfusion_ros.errors import UserError
from asymfusion_ros.labelling.cvat import CvatWriter
from asymfusion_ros.labelling.label_studio import LabelStudioWriter
from asymfusion_ros.recordings.bag import BagRecording
from asymfusion_ros.recordings.bag_file import ros1_types
from asymfusion_ros.replay.frames import Frames, open_source
from asymfusion_ros.replay.notes import Notes
from asymfusion_ros.replay.options import ReadOptions
from asymfusion_training.data.shard_files import decoded, read_index, shard_frames
from asymfusion_training.data.soft_labels import SoftLabels
from asymfusion_training.loop.state import load_state, save_state
from asymfusion_training.recipe import FOLDER as RECIPES
from asymfusion_training.recipe import Recipe, load_recipe
from asymfusion_training.tasks.segmentation.teachers import read_description

SECONDS, MEMORY = 20, 1 << 30  # of a case: processor time; bytes beyond what the process had before
HANGING = 600  # seconds by the clock, which on a busy machine says little
LONGEST = 2000  # characters of a refusal

Mutation = Callable[[bytes, np.random.Generator], bytes]


@dataclass(frozen=True)
class Kind:
    """path: the file that is mutated. read: what reads it. mutations: besides those of bytes."""

    path: Path
    read: Callable[[], object]
    mutations: tuple[Mutation, ...] = field(default=())


# --- mutations


def flip(data: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes become others, more likely at the beginning, where headers are."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 12))):
        reach = len(data) if rng.random() < 0.5 else min(len(data), 512)
        changed[int(rng.integers(reach))] = int(rng.choice([0, 1, 0x7F, 0x80, 0xFF, int(rng.integers(256))]))
    return bytes(changed)


def cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(rng.integers(len(data)))]


def extend(data: bytes, rng: np.random.Generator) -> bytes:
    return data + rng.bytes(int(rng.integers(1, 200)))


def splice(data: bytes, rng: np.random.Generator) -> bytes:
    """A part of it again, or left out, at another place."""
    start, stop, at = sorted(int(value) for value in rng.integers(len(data), size=3))
    return data[:start] + (data[stop:] if rng.random() < 0.5 else data[stop:at] + data[start:])


def number(data: bytes, rng: np.random.Generator) -> bytes:
    """Four or eight bytes become a number that is often wrong."""
    value = int(rng.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 255, 65535]))
    size = int(rng.choice([4, 8]))
    at = int(rng.integers(max(len(data) - size, 1)))
    order = "little" if rng.random() < 0.5 else "big"
    return data[:at] + (value % 256**size).to_bytes(size, order) + data[at + size :]


def anything(data: bytes, rng: np.random.Generator) -> bytes:
    return rng.bytes(int(rng.integers(0, 300)))


BYTES: tuple[Mutation, ...] = (flip, flip, cut, extend, splice, number, anything)

# fmt: off
WORDS = (
    ".nan", ".inf", "-.inf", "null", "true", "[]", "{}", "[[]]", "{a: b}", "-1", "0", "1e400", "9" * 30,
    "2001-99-99", "0x", "1:99:99", "''", "../x", "/etc/passwd", "\u00e9", "*a", "&a", "!!python/object:a.b",
    "!!binary x", "!!bool x", "!!timestamp x", "|", ">", "?", "-", ":", "#", "%YAML", "[", "]", "{", "}", ",",
    "1e-400", "4096", "1000000", "<<:",
)
# fmt: on
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)  # fmt: skip


def words(data: bytes, rng: np.random.Generator) -> bytes:
    """A word of text becomes another that means something to a parser."""
    text = data.decode("utf-8", "replace")
    found = text.split(" ")
    for _ in range(int(rng.integers(1, 4))):
        found[int(rng.integers(len(found)))] = str(rng.choice(WORDS))
    return " ".join(found).encode()


def values(data: bytes, rng: np.random.Generator) -> bytes:
    """The value of a line of ``name: value`` becomes another."""
    lines = data.decode("utf-8", "replace").splitlines()
    at = int(rng.integers(len(lines)))
    name, colon, _ = lines[at].partition(":")
    lines[at] = f"{name}{colon} {rng.choice(WORDS)}"
    return "\n".join(lines).encode()


def bombs(data: bytes, rng: np.random.Generator) -> bytes:
    """What a few bytes can stand for: aliases of aliases, brackets in brackets, a number of 10,000 digits."""
    deep = int(rng.integers(10, 30000))
    return [
        data + b"\n" + BOMB.encode(),
        BOMB.encode() + b"labels: *a11\nname: *a11\nextends: *a11\n",
        data + b"\nname2: " + b"[" * deep,
        data + b"\nname2: " + b"{a: " * deep,
        data + b"\nx: " + b"9" * 10000,
        b"- " * deep,
        data + b"\nlabels: [" + b"a, " * deep + b"]",
    ][int(rng.integers(7))]


TEXT: tuple[Mutation, ...] = (words, values, words, values, bombs)


def metadata(data: bytes, rng: np.random.Generator) -> bytes:
    """A checkpoint's header with something else in its JSON, of a length that fits."""
    (size,) = struct.unpack("<Q", data[:8])
    header, rest = data[8 : 8 + size], data[8 + size :]
    pieces: list[tuple[bytes, bytes]] = [
        (b'"F32"', b'"F8_E4M3"'), (b'"F32"', b'"I64"'), (b'"F32"', b'"BOOL"'), (b'"F32"', b'"F8_E5M2"'),
        (b": 64", b": 4096"), (b": 48", b": 4096"), (b": 64", b": 1e400"), (b": 48", b": -8"),
        (b": 64", b": " + b"9" * 400), (b"null", b"[" * 3000), (b": {", b": " + b"[" * 2000),
        (b"asymfusion/1", b"asymfusion/2"), (b"refinenet_lw", b"refinenet"), (b"0.7", b"NaN"),
        (b"0.7", b"1e999"), (b": 3", b": 255"), (b": 3", b": 1000000"), (b"rgb", b"../../rgb"),
        (b": 8", b": 1000000000"), (b": 8", b": 2048"), (b"true", b"false"), (b"made", b"\xff\xfe"),
        (b'"wall"', b"5"), (b'"wall"', b"[1]"), (b"2.7", b'"2.7"'), (b"1.4", b"1e-320"), (b"{", b"["),
    ]  # fmt: skip
    for _ in range(int(rng.integers(1, 3))):
        old, new = pieces[int(rng.integers(len(pieces)))]
        escaped = old.replace(b'"', b'\\"')
        old, new = (escaped, new.replace(b'"', b'\\"')) if escaped in header else (old, new)
        places = [at for at in range(len(header)) if header.startswith(old, at)]
        if places:
            at = places[int(rng.integers(len(places)))]
            header = header[:at] + new + header[at + len(old) :]
    return struct.pack("<Q", len(header)) + header + rest


def weights(data: bytes, rng: np.random.Generator) -> bytes:
    """Numbers among a checkpoint's weights become others."""
    (size,) = struct.unpack("<Q", data[:8])
    values = np.frombuffer(data[8 + size :], "<f4").copy()
    places = rng.integers(len(values), size=int(rng.integers(1, 2000)))
    values[places] = rng.choice(np.array([np.nan, np.inf, -1, -1e-6, 1e38, 0, 1e-45], np.float32))
    return data[: 8 + size] + values.tobytes()


def png_chunks(data: bytes, rng: np.random.Generator) -> bytes:
    """A PNG's header with another size, depth or colours, under a checksum that is right."""
    head = bytearray(data)
    width, height = (int(value) for value in rng.choice([0, 1, 64, 20000, 2**20, 2**31 - 1, 2**32 - 1], 2))
    head[16:26] = struct.pack(
        ">IIBB", width, height, *(int(v) for v in rng.choice([0, 1, 2, 3, 6, 8, 16], 2))
    )
    head[29:33] = struct.pack(">I", zlib.crc32(bytes(head[12:29])))
    return bytes(head)


# --- what is read, and how


def quietly(*arguments: object) -> None:
    """A command; what it refuses is raised again as the line that it printed."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = asymfusion([str(argument) for argument in arguments])
    if code:
        raise UserError("\n".join(line for line in err.getvalue().splitlines() if line.strip()))


def use_checkpoint(path: Path) -> None:
    load_checkpoint(path)
    quietly("info", path, "--json", path.with_suffix(".json"))
    Segmenter.from_checkpoint(path, "cpu").warm_up(48, 64)


def use_engine(path: Path) -> None:
    model = load_engine(path)
    for key in model.plans:
        model.plan(key)


def use_folder(root: Path) -> None:
    folder = Folder(root)
    for name in folder.names("train")[:2]:
        folder.read(name)


def write_shard(root: Path) -> Path:
    """A shard of two views beside its list."""
    source = write_taskonomy(root / "taskonomy", views=2, size=8)
    words = ["prepare", "taskonomy", "--root", source, "--domains", "depth", "shade"]
    quietly(*words, "--shards", "2", "--output", root / "shards")
    return root / "shards" / "train-000000.tar"


def use_shards(root: Path) -> None:
    folder = Folder(root)
    for path in read_index(folder, "train").paths:
        for name, images in shard_frames(path, read=True):
            decoded(folder, path, name, images, ("depth", "shade", "rgb"))


def use_recipe(path: Path) -> None:
    recipe = load_recipe(str(path))
    recipe.network_config(3)
    recipe.input_spec()


def bag_messages(store: Any, ros1: bool) -> list[tuple[str, int, Any]]:
    types = store.types
    found = []
    for number in range(4):
        stamp = types["builtin_interfaces/msg/Time"](sec=100, nanosec=number * 10**8)
        sequence = {"seq": number} if ros1 else {}
        header = types["std_msgs/msg/Header"](**sequence, stamp=stamp, frame_id="camera")
        for topic, encoding, step in (("/camera/color", "rgb8", 18), ("/camera/depth", "16UC1", 12)):
            pixels = np.full(step * 4, number + 1, np.uint8)
            message = types["sensor_msgs/msg/Image"](
                header=header, height=4, width=6, encoding=encoding, is_bigendian=0, step=step, data=pixels
            )
            found.append((topic, number * 10**8, message))
    header = types["std_msgs/msg/Header"](**({"seq": 0} if ros1 else {}), stamp=stamp, frame_id="ir")
    found[1][2].header = header  # which has to be registered
    letters = "KDRP" if ros1 else "kdrp"
    matrices = [np.eye(3).ravel() * 6, np.zeros(5), np.eye(3).ravel(), np.eye(3, 4).ravel() * 6]
    info = types["sensor_msgs/msg/CameraInfo"](
        header=header, height=4, width=6, distortion_model="plumb_bob", binning_x=0, binning_y=0,
        roi=types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False), **dict(zip(letters, matrices)),
    )  # fmt: skip
    moved = types["geometry_msgs/msg/Transform"](
        types["geometry_msgs/msg/Vector3"](0.1, 0.0, 0.0),
        types["geometry_msgs/msg/Quaternion"](0.0, 0.0, 0.0, 1.0),
    )
    transform = types["geometry_msgs/msg/TransformStamped"](header, "camera", moved)
    found.append(("/camera/camera_info", 1, info))
    found.append(("/tf_static", 1, types["tf2_msgs/msg/TFMessage"]([transform])))
    return found


def use_bag(bag: Path) -> None:
    """As the demo plays it, and as it is replayed."""
    refusals = []
    modalities, options, notes = [KNOWN["rgb"], KNOWN["depth"]], ReadOptions(), Notes()
    for read in (
        lambda: BagRecording(bag),
        lambda: Frames(open_source(bag, modalities, options, notes), modalities, options, notes),
    ):
        try:
            list(read())
        except UserError as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]


def write_bag(folder: Path, storage: StoragePlugin | None) -> Path:
    """storage None: ROS 1. Returns the bag."""
    ros1 = storage is None
    store = ros1_types() if ros1 else get_typestore(Stores.ROS2_HUMBLE)
    path = folder / "a.bag" if ros1 else folder / "bag"
    with Writer1(path) if storage is None else Writer(path, version=9, storage_plugin=storage) as writer:
        connections: dict[str, Any] = {}
        for topic, at, message in bag_messages(store, ros1):
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store)
            raw = store.serialize_ros1(message, kind) if ros1 else store.serialize_cdr(message, kind)
            writer.write(connections[topic], at, raw)
    return path


def use_state(output: Path, recipe: Recipe) -> None:
    load_state(output, recipe, {"name": "stripes"})


def write_corrections(root: Path, data: Path) -> tuple[Path, Path]:
    """The labels of ``data`` as CVAT and as Label Studio export them."""
    folder = Folder(data)
    cvat, studio = CvatWriter(root / "cvat", folder.labels), LabelStudioWriter(root, folder.labels, "", "")
    for name in folder.names("train"):
        cvat.add(name, folder.read_label(name))
        studio.add(name, folder.read_label(name), 0.5)
    cvat.finish()
    studio.finish()
    tasks = root / "tasks.json"
    tasks.write_text(tasks.read_text().replace('"predictions"', '"annotations"'))
    return root / "cvat" / "annotations.zip", tasks


def make_kinds(root: Path) -> dict[str, Kind]:
    """A whole file of each kind below ``root``."""
    checkpoint = write_checkpoint(root / "tiny.safetensors")
    data = write_folder(root / "data", frames=2)
    jpeg = write_folder(root / "jpeg", frames=2)
    for path in sorted((jpeg / "rgb").glob("*.png")):
        cv2.imwrite(str(path.with_suffix(".jpg")), cv2.imread(str(path)))
        path.unlink()
    shard = write_shard(root)
    engine = write_engine(root)
    corrected = write_folder(root / "corrected", frames=2)
    cvat, studio = write_corrections(root / "corrections", corrected)
    recipe = root / "recipe.yaml"
    shutil.copy(RECIPES / "nyudv2_efficientnet_lite0.yaml", recipe)
    pickle = root / "released.pth"
    few = dict(list(load_checkpoint(checkpoint).state_dict.items())[:20])
    torch.save({"segmenter": few, "epoch": 3}, pickle)
    legacy = root / "legacy.pth"
    torch.save({"segmenter": few}, legacy, _use_new_zipfile_serialization=False)
    run, plain = root / "run", Recipe()
    run.mkdir()
    stored = {
        "recipe": plain.to_dict(), "data": {"name": "stripes"}, "step": 3, "best": 0.1, "epoch_loss": 1.0,
        "minutes": 1.0, "network": few, "optimiser": [{}], "averaged": None, "precision": {},
    }  # fmt: skip
    save_state(run, stored)
    cache = root / "cache"
    labels = SoftLabels(cache, len(CLASSES))
    labels.write("frame0", torch.full((len(CLASSES), 12, 16), 1 / 3))
    (cache / "teachers.json").write_text(
        '{"teachers": ["ab"], "scales": [1.0], "flip": true, "input": [4, 4]}'
    )
    found = {
        "checkpoint": Kind(
            checkpoint, lambda: use_checkpoint(checkpoint), (metadata, metadata, metadata, weights, weights)
        ),
        "engine": Kind(engine, lambda: use_engine(engine)),
        "dataset.yaml": Kind(data / "dataset.yaml", lambda: use_folder(data), TEXT),
        "split": Kind(data / "train.txt", lambda: use_folder(data), (words,)),
        "rgb png": Kind(data / "rgb" / "frame0.png", lambda: use_folder(data), (png_chunks,)),
        "depth png": Kind(data / "depth" / "frame0.png", lambda: use_folder(data), (png_chunks,)),
        "label png": Kind(data / "label" / "frame0.png", lambda: use_folder(data), (png_chunks,)),
        "jpeg": Kind(jpeg / "rgb" / "frame0.jpg", lambda: use_folder(jpeg)),
        "shard": Kind(shard, lambda: use_shards(shard.parent), (png_chunks,)),
        "list of shards": Kind(shard.parent / "train.shards.json", lambda: use_shards(shard.parent), TEXT),
        "recipe": Kind(recipe, lambda: use_recipe(recipe), TEXT),
        "pickle": Kind(pickle, lambda: quietly("convert", pickle, root / "converted.safetensors")),
        "legacy pickle": Kind(legacy, lambda: quietly("convert", legacy, root / "converted.safetensors")),
        "state": Kind(run / "state.pt", lambda: use_state(run, plain)),
        "soft labels": Kind(labels.path("frame0"), lambda: labels.read("frame0"), (png_chunks,)),
        "CVAT zip": Kind(cvat, lambda: quietly("label", "--corrections", cvat, "--into", corrected)),
        "Label Studio JSON": Kind(
            studio,
            lambda: quietly("label", "--corrections", studio, "--into", corrected),
            (words, bombs),
        ),
        "teachers.json": Kind(
            cache / "teachers.json", lambda: read_description(cache / "teachers.json"), (words, bombs)
        ),
    }
    for name, storage in (
        ("ROS 1 bag", None),
        ("sqlite3", StoragePlugin.SQLITE3),
        ("mcap", StoragePlugin.MCAP),
    ):
        folder = root / name.replace(" ", "")
        folder.mkdir()
        bag = write_bag(folder, storage)
        file = bag if storage is None else next(p for p in bag.iterdir() if p.suffix != ".yaml")
        found[name] = Kind(file, lambda bag=bag: use_bag(bag))  # type: ignore[misc]
        if storage is StoragePlugin.MCAP:
            found["metadata.yaml"] = Kind(
                bag / "metadata.yaml", lambda bag=bag: use_bag(bag), TEXT  # type: ignore[misc]
            )  # fmt: skip
    return found


# --- a case


def mutated(kind: Kind, whole: bytes, name: str, case: int, seed: int) -> bytes:
    """The file of a case: a function of these alone."""
    rng = np.random.default_rng((seed, case, zlib.crc32(name.encode())))
    mutations = (*BYTES, *kind.mutations, *kind.mutations)
    return mutations[int(rng.integers(len(mutations)))](whole, rng)


def outcome(read: Callable[[], object]) -> str:
    """``taken``, ``refused``, or what is wrong with how it was refused."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            read()
    except UserError as error:
        text = str(error)
        if not text or "\n" in text or len(text) > LONGEST or not text.isprintable():
            return f"no single line: {text[:300]!r} ({len(text)} characters)"
        return "refused"
    except MemoryError as error:
        return f"MemoryError: {error}"
    except BaseException as error:
        where = error.__traceback__
        while where is not None and where.tb_next is not None:
            where = where.tb_next
        place = f"{where.tb_frame.f_code.co_filename}:{where.tb_lineno}" if where is not None else ""
        return f"{type(error).__name__}: {str(error)[:200]!r} at {place}"
    return "taken"


def apart(read: Callable[[], object]) -> str:
    """``outcome`` in a process of its own, within the limits."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.close(ours)
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        signal.alarm(HANGING)
        os.write(theirs, outcome(read).encode())
        os._exit(0)
    os.close(theirs)
    with os.fdopen(ours, "rb") as pipe:
        told = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return f"signal {signal.Signals(os.WTERMSIG(status)).name}"
    return told or "no answer"


def fuzz(
    root: Path,
    cases: range,
    seed: int,
    kinds: list[str] | None = None,
    run: Callable[[Callable[[], object]], str] = apart,
    keep: Path | None = None,
) -> tuple[dict[str, Counter[str]], list[str]]:
    """Outcomes by kind, and a line for each failure. ``run`` reads a case: ``apart`` or ``outcome``."""
    made = make_kinds(root)
    counts: dict[str, Counter[str]] = {}
    failures = []
    for name in kinds or made:
        kind = made[name]
        whole = kind.path.read_bytes()
        # (what is converted would have to be 200 MB to be taken)
        assert outcome(kind.read) == ("refused" if "pickle" in name else "taken"), name
        counts[name] = Counter()
        for case in cases:
            data = mutated(kind, whole, name, case, seed)
            kind.path.write_bytes(data)
            found = run(kind.read)
            counts[name][found if found in ("taken", "refused") else "failed"] += 1
            if found not in ("taken", "refused"):
                failures.append(f"{name} {case}: {found}")
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{name.replace(' ', '_')}_{case}{kind.path.suffix}").write_bytes(data)
        kind.path.write_bytes(whole)
    return counts, failures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", type=int, default=300, help="of each kind (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", help="only these (default: all)")
    parser.add_argument("--keep", type=Path, help="a folder for the files of the cases that fail")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        cases = range(args.first, args.first + args.cases)
        counts, failures = fuzz(Path(folder), cases, args.seed, args.kinds, keep=args.keep)
    for name, count in counts.items():
        print(f"{name:15} taken {count['taken']:5}  refused {count['refused']:5}  failed {count['failed']:5}")
    for line in failures:
        print(line)
    total = sum(sum(count.values()) for count in counts.values())
    print(f"{total} files, {len(failures)} failed, {time.monotonic() - began:.0f} s, seed {args.seed}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
