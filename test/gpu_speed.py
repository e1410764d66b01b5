"""The speed of each way to run a network on a GPU: `python test/gpu_speed.py --output runs/gpu`.

For the packaged network and for RefineNet-101 at 480x640 (random weights, which are as fast as trained ones)
it runs `asymfusion bench` once for each way, one after the other in processes of their own, and writes
speed.json: what each reported, and its ratios to torch's eager float32 without TF32. A way that fails is in
it with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import torch

from asymfusion_ros.checkpoint import save_checkpoint
from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.network import NetworkConfig, build_network

ASYMFUSION = (sys.executable, "-m", "asymfusion_ros.cli.main")
EAGER = {"ASYMFUSION_CUDA_GRAPHS": "0"}
TF32_OFF = {"NVIDIA_TF32_OVERRIDE": "0"}


@dataclass(frozen=True)
class Way:
    """How a network is run. environment: of the process. engine: whether TensorRT runs it."""

    name: str
    precision: str
    environment: dict[str, str] = field(default_factory=dict)
    engine: bool = False


BASE = Way("torch eager fp32, TF32 off", "fp32", {**EAGER, **TF32_OFF})
WAYS = (
    BASE,
    Way("torch eager fp32", "fp32", EAGER),
    Way("torch graphs fp32", "fp32"),
    Way("torch eager bf16", "bf16", EAGER),
    Way("torch graphs bf16", "bf16"),
    Way("torch graphs fp16", "fp16"),
    Way("tensorrt fp32", "fp32", engine=True),
    Way("tensorrt fp16", "fp16", engine=True),
)


def large_checkpoint(folder: Path) -> Path:
    """RefineNet-101 of RGB and depth at 480x640."""
    path = folder / "refinenet101.safetensors"
    if not path.exists():
        torch.manual_seed(0)
        config = NetworkConfig()
        labels = LabelSet("numbers", tuple(f"class {i}" for i in range(config.classes)))
        spec = InputSpec(height=480, width=640)
        save_checkpoint(path, build_network(config).state_dict(), config, labels, spec, {"data": "none"})
    return path


def main() -> int:
    """The exit code: 1 where a way failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--checkpoints", nargs="+", help="(default: default and RefineNet-101)")
    parser.add_argument("--ways", nargs="+", choices=[way.name for way in WAYS], help="(default: all)")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--frames", type=int, default=200)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    checkpoints = args.checkpoints or ["default", str(large_checkpoint(args.output))]
    ways = [way for way in WAYS if args.ways is None or way.name in args.ways]
    found = {one: {way.name: measure(one, way, args) for way in ways} for one in checkpoints}
    for results in found.values():
        add_ratios(results)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    report = {"device": device, "torch": torch.__version__, "cuda": torch.version.cuda, "networks": found}
    (args.output / "speed.json").write_text(json.dumps(report, indent=2) + "\n")
    show(found)
    return int(any("error" in one for results in found.values() for one in results.values()))


def measure(checkpoint: str, way: Way, args: argparse.Namespace) -> dict:
    """What `asymfusion bench` reports, or ``error``."""
    try:
        if way.engine:
            engine = args.output / f"{Path(checkpoint).stem}_{way.precision}.engine"
            call("export", checkpoint, "--output", engine, "--precision", way.precision)
            checkpoint = str(engine)
        report = args.output / "bench.json"
        options = ["--checkpoint", checkpoint, "--frames", args.frames, "--json", report]
        options += ["--warm-up", min(20, args.frames)]
        call("bench", *options, "--device", args.device, "--precision", way.precision, **way.environment)
        return json.loads(report.read_text())
    except subprocess.CalledProcessError as error:
        return {"error": (error.stderr.strip().splitlines() or [f"exit code {error.returncode}"])[-1]}


def call(*words: object, **environment: str) -> None:
    """Runs a subcommand."""
    print(*words, file=sys.stderr)
    subprocess.run(
        [*ASYMFUSION, *map(str, words)],
        env={**os.environ, **environment},
        check=True,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def add_ratios(results: dict[str, dict]) -> None:
    """How many times as fast as BASE the network and the whole way from bytes to mask are, by medians."""
    base = results.get(BASE.name, {"error": "not measured"})
    for one in results.values():
        if "error" not in one and "error" not in base:
            one["times_base"] = {
                stage: round(base["milliseconds"][stage]["p50"] / one["milliseconds"][stage]["p50"], 2)
                for stage in ("network", "total")
            }


def show(found: dict[str, dict[str, dict]]) -> None:
    """A table for each network."""
    for checkpoint, results in found.items():
        print(f"{checkpoint}\n{'':28} {'network ms':>10} {'total ms':>10} {'p95':>10} {'times base':>11}")
        for name, one in results.items():
            if "error" in one:
                print(f"{name:28} {one['error']}")
                continue
            network, total = (one["milliseconds"][stage] for stage in ("network", "total"))
            ratio = one.get("times_base", {}).get("total", "")
            print(f"{name:28} {network['p50']:10.2f} {total['p50']:10.2f} {total['p95']:10.2f} {ratio!s:>11}")


if __name__ == "__main__":
    sys.exit(main())
