"""Mutated messages through everything that reads messages: nothing but ImageError may come out of it.

    python test/fuzz_messages.py --messages 100000 --seed 0       (make fuzz)
    python test/fuzz_messages.py --seed 0 --only 4711             one of them again, with its traceback

A good message of each kind is changed in one to three places: a field takes a value from the edge of its type
or a text from another message; bytes of the data are changed, cut, repeated, or replaced by those of another
kind. The worker is a process of its own, so that a crash or a hang is a finding too.

What else reads messages joins with a line in TARGETS.
"""

from __future__ import annotations

import argparse
import array
import contextlib
import multiprocessing
import os
import resource
import sys
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from typing import Any

import numpy as np
import torch
from encoders import compressed_depth, encoded
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from asymfusion_ros.data.camera_model import CameraModel
from asymfusion_ros.data.codecs.headers import PNG_SIGNATURE
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.modality import KNOWN
from asymfusion_ros.errors import ImageError
from asymfusion_ros.messages.measured import anything_valid
from asymfusion_ros.ros.inputs.transports import TRANSPORTS

HEIGHT, WIDTH = 24, 32
HANGS_AFTER = 60.0  # seconds for one message
# The bound of asymfusion_ros/data/bounds.py: an image of 2^22 pixels may come of any message, and is held in
# a few forms at once; a larger one takes a byte for each 1100 of its pixels.
ALLOWED_BYTES, ALLOWED_PER_BYTE = 256 << 20, 1100 * 3 * 16
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Target:
    """make: a good message, of one of the forms that there are. read: what the node does with it. Raises
    ImageError."""

    make: Callable[[np.random.Generator], Any]
    read: Callable[[Any], None]


# --- good messages


def _picture(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(0, 256, (HEIGHT // 4, WIDTH // 4, 3), np.uint8).repeat(4, 0).repeat(4, 1)


def _depth(rng: np.random.Generator) -> np.ndarray:
    depth = rng.integers(300, 9000, (HEIGHT // 4, WIDTH // 4), np.uint16).repeat(4, 0).repeat(4, 1)
    depth[: int(rng.integers(HEIGHT))] = 0
    return depth


def _image(pixels: np.ndarray, encoding: str) -> Image:
    rows = np.ascontiguousarray(pixels).reshape(HEIGHT, -1).view(np.uint8)
    message = Image(height=HEIGHT, width=WIDTH, encoding=encoding, step=rows.shape[1])
    message.data = array.array("B", rows.tobytes())
    return message


def _raw(rng: np.random.Generator, name: str) -> Image:
    if name != "rgb":
        depth = _depth(rng)
        forms = [(depth, "16UC1"), (depth.astype(np.float32) / 1000, "32FC1"), (depth, "mono16")]
        return _image(*forms[rng.integers(len(forms))])
    picture = _picture(rng)
    grey = picture[..., 0]
    wide = grey.astype(np.uint16) * 257
    alpha = np.dstack([picture, grey])
    forms = [
        *((picture, encoding) for encoding in ("rgb8", "bgr8", "8UC3")),
        *((alpha, encoding) for encoding in ("rgba8", "bgra8")),
        *((grey, encoding) for encoding in ("mono8", "bayer_rggb8", "bayer_grbg8")),
        *((wide, encoding) for encoding in ("bayer_bggr16", "yuyv", "uyvy", "yuv422")),
        (picture.astype(np.uint16) * 257, "rgb16"),
    ]
    return _image(*forms[rng.integers(len(forms))])


def _packed(data: bytes, format: str) -> CompressedImage:
    return CompressedImage(format=format, data=array.array("B", data))


def _compressed(rng: np.random.Generator, name: str) -> CompressedImage:
    picture, depth = _picture(rng), _depth(rng)
    if name != "rgb":
        return _packed(encoded(".png", depth), ["16UC1; png compressed ", "png"][rng.integers(2)])
    alpha = np.dstack([picture, picture[..., 0]])
    forms = [
        (".jpg", picture, "rgb8; jpeg compressed bgr8"),
        (".jpg", picture[..., 0], "mono8; jpeg compressed mono8"),
        (".jpg", picture[..., 0], "bayer_rggb8; jpeg compressed bayer_rggb8"),
        (".jpg", picture, "jpeg"),
        (".png", picture, "bgr8; png compressed bgr8"),
        (".png", alpha, "rgba8; png compressed bgra8"),
        (".png", picture.astype(np.uint16) * 257, "rgb16; png compressed bgr16"),
        (".png", picture[..., 0], "bayer_grbg8; png compressed "),
    ]
    extension, pixels, format = forms[rng.integers(len(forms))]
    return _packed(encoded(extension, np.ascontiguousarray(pixels)), format)


def _compressed_depth(rng: np.random.Generator) -> CompressedImage:
    depth, codec = _depth(rng), ["png", "rvl"][rng.integers(2)]
    if rng.integers(2):
        return _packed(compressed_depth(depth, codec), f"16UC1; compressedDepth {codec}")
    metres = np.where(depth == 0, np.nan, depth / 1000).astype(np.float32)
    return _packed(compressed_depth(metres, codec), f"32FC1; compressedDepth {codec}")


def _disparity(rng: np.random.Generator) -> Any:
    from stereo_msgs.msg import DisparityImage

    message = DisparityImage(f=500.0, t=0.12, min_disparity=1.0, max_disparity=64.0)
    message.image = _image(rng.uniform(-1, 64, (HEIGHT, WIDTH)).astype(np.float32), "32FC1")
    return message


# --- what the node does with them


def _reader(transport: str, name: str) -> Callable[[Any], None]:
    """From the message to the network's input, as the two threads of the node do it between them."""
    modality, spec = KNOWN[name], InputSpec(HEIGHT, WIDTH)
    decoder = TRANSPORTS[transport].load()(lambda line: None)

    def read(message: Any) -> None:
        image = decoder.decode(message, modality).read()
        anything_valid(image, modality)
        found = modality.decode(torch.from_numpy(np.array(image.data)), image)
        made = spec.network_input(name, found, (HEIGHT, WIDTH))
        assert made.shape == (1, 3, HEIGHT, WIDTH) and made.dtype == torch.float32

    return read


def _images() -> Iterator[tuple[str, Target]]:
    for name in ("rgb", "depth", "thermal"):
        yield f"Image {name}", Target(lambda rng, name=name: _raw(rng, name), _reader("raw", name))
        yield (
            f"CompressedImage {name}",
            Target(lambda rng, name=name: _compressed(rng, name), _reader("compressed", name)),
        )
    yield "CompressedImage compressedDepth", Target(_compressed_depth, _reader("compressedDepth", "depth"))
    with contextlib.suppress(ModuleNotFoundError):  # of a machine without stereo_msgs
        yield "DisparityImage", Target(_disparity, _reader("disparity", "depth"))


def _camera_info(rng: np.random.Generator) -> Any:
    model = str(rng.choice(["plumb_bob", "rational_polynomial", "equidistant"]))
    count = {"plumb_bob": 5, "rational_polynomial": 8, "equidistant": 4}[model]
    message = CameraInfo(height=HEIGHT, width=WIDTH, distortion_model=model)
    message.d = [float(one) for one in rng.normal(0, 0.01, count)]
    message.k = [50.0, 0.0, WIDTH / 2, 0.0, 50.0, HEIGHT / 2, 0.0, 0.0, 1.0]
    message.p = [50.0, 0.0, WIDTH / 2, 0.0, 0.0, 50.0, HEIGHT / 2, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def _calibration(rectified: bool) -> Callable[[Any], None]:
    """From the message to the rays of an image's pixels, and back to pixels."""

    def read(message: Any) -> None:
        model = CameraModel.from_camera_info(message, rectified).scaled(WIDTH, HEIGHT)
        x, y = model.grid()
        assert x.shape == y.shape == (HEIGHT, WIDTH)
        model.project(x, y, torch.ones_like(x))

    return read


TARGETS: dict[str, Target] = {
    **dict(_images()),
    "CameraInfo": Target(_camera_info, _calibration(rectified=False)),
    "CameraInfo rectified": Target(_camera_info, _calibration(rectified=True)),
}


# --- mutations

INTEGERS = {
    f"{sign}int{bits}": (0 if sign else -(1 << bits - 1), (1 << bits) - 1 if sign else (1 << bits - 1) - 1)
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}
WORDS = [0, 1, 4096, 0x7FFF, 0x8000, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
FLOATS = [0.0, -0.0, 1.0, -1.0, 1e-38, 1e38, -1e38, np.nan, np.inf, -np.inf, 0.5, 1e-7]
TEXTS = [
    "", ";", "; ", "rgb8", "bgr8", "mono8", "mono16", "16UC1", "32FC1", "64FC1", "8UC4", "bayer_rggb8",
    "yuyv", "uyvy", "rgba16", "jpeg", "png", "h264", "tiff", "\0", "\n", "rgb8;", "é" * 40, "%s%n{}",
    "rgb8; jpeg compressed bgr8", "bayer_rggb16; png compressed ", "compressedDepth compressed png;;;",
    "16UC1; compressedDepth", "16UC1; compressedDepth rvl", "32FC1; compressedDepth png",
    "32FC1; compressedDepth rvl", "16UC1; compressedDepth zstd",
]  # fmt: skip


def mutate(message: Any, rng: np.random.Generator) -> None:
    """Changes a message in one to three places, all of it such as DDS would deliver."""
    for _ in range(int(rng.integers(1, 4))):
        _mutate_once(message, rng)


def _mutate_once(message: Any, rng: np.random.Generator) -> None:
    fields = message.get_fields_and_field_types()
    name = _chosen(list(fields), rng)
    # The data, where most of the reading is, as often as all the rest.
    if "data" in fields and rng.integers(2):
        name = "data"
    kind, value = fields[name], getattr(message, name)
    if kind == "sequence<uint8>":
        setattr(message, name, array.array("B", _mutated(value.tobytes(), rng)))
    elif kind in INTEGERS:
        setattr(message, name, _integer(value, *INTEGERS[kind], rng))
    elif kind in ("float", "double"):
        setattr(message, name, float(_chosen(FLOATS, rng)))
    elif kind == "boolean":
        setattr(message, name, bool(rng.integers(2)))
    elif kind.startswith("string"):
        long = _chosen(["x" * MEGABYTE, "16UC1; compressedDepth " * 1000], rng)
        setattr(message, name, long if rng.integers(50) == 0 else _chosen(TEXTS, rng))
    elif kind.startswith(("sequence<double", "double[")):
        setattr(message, name, _floats(list(value), "[" in kind, rng))
    else:
        _mutate_once(value, rng)


def _integer(value: int, low: int, high: int, rng: np.random.Generator) -> int:
    near = [value - 1, value + 1, value * 2, value // 2, value * 3, value ^ (1 << int(rng.integers(16)))]
    edges = [low, low + 1, 0, 1, 2, 3, 7, 255, 1 << 12, 1 << 16, 30000, 307200, high - 1, high, high // 2]
    return min(high, max(low, _chosen(near + edges, rng)))


def _floats(values: list[float], fixed: bool, rng: np.random.Generator) -> list[float]:
    if values:
        values[int(rng.integers(len(values)))] = float(_chosen(FLOATS, rng))
    if not fixed:
        values = values[: int(rng.integers(len(values) + 1))] + [1.0] * int(rng.integers(20))
    return values


def _mutated(data: bytes, rng: np.random.Generator) -> bytes:
    size = len(data)
    start = int(rng.integers(size + 1))
    # Headers are at the front.
    if rng.integers(2):
        start = min(start, int(rng.integers(64)))
    length = int(rng.integers(1, 1 << int(rng.integers(1, 10))))
    piece = data[start : start + length]
    what = int(rng.integers(10))
    if what == 0:
        return data[:start]
    if what == 1:
        return data[:start] + data[start + length :]
    if what == 2:
        return data[:start] + piece * int(rng.integers(2, 20)) + data[start + length :]
    if what == 3:
        return (
            data[:start] + _chosen([b"\0", b"\xff", b"\x88", b"\x0f"], rng) * length + data[start + length :]
        )
    if what == 4:
        return data[:start] + rng.bytes(length) + data[start + length :]
    if what == 5:
        edge = _chosen(WORDS, rng).to_bytes(4, _chosen(["big", "little"], rng))
        return data[:start] + edge + data[start + 4 :]
    if what == 6:
        other = TARGETS[_chosen(list(TARGETS), rng)].make(rng)
        return bytes(getattr(other, "data", b""))
    if what == 7 and rng.integers(20) == 0:
        return data + bytes(MEGABYTE)
    if what == 8 and PNG_SIGNATURE in data:
        return _with_chunk_changed(data, rng)
    flipped = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        if flipped:
            at = min(int(rng.integers(len(flipped))), start)
            flipped[at] ^= 1 << int(rng.integers(8))
    return bytes(flipped)


def _with_chunk_changed(data: bytes, rng: np.random.Generator) -> bytes:
    """A PNG image, whatever stands before it, with a byte of a chunk changed and its checksum right again, so
    that what lies behind the checksums is reached."""
    place = data.index(PNG_SIGNATURE) + len(PNG_SIGNATURE)
    made, chunks = data[:place], []
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        chunks.append((data[place + 4 : place + 8], bytearray(data[place + 8 : place + 8 + length])))
        place += 12 + length
    changed = int(rng.integers(max(1, len(chunks))))
    for number, (name, content) in enumerate(chunks):
        if number == changed and content:
            content[int(rng.integers(len(content)))] = int(rng.integers(256))
        checksum = zlib.crc32(name + content).to_bytes(4, "big")
        made += len(content).to_bytes(4, "big") + name + bytes(content) + checksum
    return made


def _chosen(values: list[Any], rng: np.random.Generator) -> Any:
    return values[int(rng.integers(len(values)))]


# --- running


def message_of(seed: int, number: int) -> tuple[str, Any]:
    """The target and the mutated message of a number; the same each time."""
    rng = np.random.default_rng([seed, number])
    name = _chosen(list(TARGETS), rng)
    message = TARGETS[name].make(rng)
    mutate(message, rng)
    return name, message


def size_of(message: Any) -> int:
    """About how many bytes a message takes on the wire."""
    total = 0
    for name, kind in message.get_fields_and_field_types().items():
        value = getattr(message, name)
        if hasattr(value, "get_fields_and_field_types"):
            total += size_of(value)
        else:
            total += len(value) if kind.startswith(("string", "sequence")) else 8
    return total


def peak() -> int:
    """Bytes of memory that this process has taken at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run(
    numbers: range, seed: int, started: Callable[[int], None] = lambda number: None
) -> tuple[list[str], Counter[str]]:
    """Reads the messages: what was wrong, a line each, and how often each target's was read or refused."""
    findings: list[str] = []
    counts: Counter[str] = Counter()
    for number in numbers:
        started(number)
        name, message = message_of(seed, number)
        before, began = peak(), time.monotonic()
        try:
            TARGETS[name].read(message)
            counts[f"{name}: read"] += 1
        except ImageError as error:
            counts[f"{name}: refused"] += 1
            if len(str(error)) > 1000 or "\n" in str(error):
                findings.append(f"{number} {name}: a message of {len(str(error))} characters")
        except Exception:
            findings.append(f"{number} {name}: {traceback.format_exc()}")
        if time.monotonic() - began > HANGS_AFTER:
            findings.append(f"{number} {name}: took {time.monotonic() - began:.1f} s")
        if (taken := peak() - before) > ALLOWED_BYTES + ALLOWED_PER_BYTE * size_of(message):
            findings.append(f"{number} {name}: took {taken >> 20} MiB for {size_of(message)} bytes")
    return findings, counts


def _work(numbers: range, seed: int, progress: Synchronized[int], answer: Connection) -> None:
    # What OpenCV and libpng say of each damaged image.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    torch.set_num_threads(1)

    def started(number: int) -> None:
        progress.value = number

    run(range(100), seed, started)  # loads what is loaded at the first use
    base = peak()
    findings, counts = run(numbers, seed, started)
    answer.send((findings, counts, base, peak()))


def main() -> int:
    parser = argparse.ArgumentParser(description="Read mutated messages as the node does.")
    parser.add_argument("--messages", type=int, default=100_000, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, metavar="NUMBER", help="one message again, with its traceback")
    args = parser.parse_args()
    if args.only is not None:
        name, message = message_of(args.seed, args.only)
        print(name, repr(message)[:3000], sep="\n")
        TARGETS[name].read(message)
        return 0
    context = multiprocessing.get_context("spawn")
    progress = context.Value("q", 0)
    receiver, sender = context.Pipe(duplex=False)
    worker = context.Process(target=_work, args=(range(args.messages), args.seed, progress, sender))
    began = time.monotonic()
    worker.start()
    last, since, shown = -1, began, began
    while worker.is_alive() and not receiver.poll(0.5):
        now = time.monotonic()
        if progress.value != last:
            last, since = progress.value, now
        if now - since > HANGS_AFTER:
            worker.kill()
            print(f"message {last} of seed {args.seed} hangs")
            return 1
        if now - shown > 30:
            shown = now
            print(f"{last} of {args.messages} after {now - began:.0f} s", flush=True)
    if not receiver.poll():
        print(f"message {progress.value} of seed {args.seed} ended the process ({worker.exitcode})")
        return 1
    findings, counts, base, highest = receiver.recv()
    worker.join()
    for name in TARGETS:
        print(f"{name}: {counts[f'{name}: read']} read, {counts[f'{name}: refused']} refused")
    print(f"{args.messages} messages of seed {args.seed} in {time.monotonic() - began:.0f} s")
    print(f"memory: {base >> 20} MiB at the start, {highest >> 20} MiB at most")
    print(f"{len(findings)} findings", *findings[:20], sep="\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
