"""The tables of the documentation that are made, not written: scores from docs/scores.json, alarms
from docs/sensor_monitor.json, and settings.

    python docs/tables.py                         write every table anew
    python docs/tables.py --data data/nyudv2      score the package's checkpoints first, and update the JSON

A table stands between the lines `<!-- table: NAME -->` and `<!-- end of table -->`.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from asymfusion_ros.atomic_write import write_whole
from asymfusion_ros.data.input_spec import ImageDescription, InputSpec
from asymfusion_ros.network import NetworkConfig
from asymfusion_ros.network.choices import go_together
from asymfusion_ros.network.decoders.registry import DECODERS
from asymfusion_ros.network.encoders.registry import ENCODERS
from asymfusion_ros.ros.settings import NodeSettings
from asymfusion_ros.ros.translation_settings import TranslationSettings
from asymfusion_ros.settings import markdown_table
from asymfusion_training.evaluation.sensor_study import percent, rate_table
from asymfusion_training.recipe import settings_tables

FOLDER = Path(__file__).resolve().parent
SCORES = FOLDER / "scores.json"
SENSORS = FOLDER / "sensor_monitor.json"  # of asymfusion_training.evaluation.sensor_study
FILES = [FOLDER.parent / "README.md", FOLDER.parent / "MODEL_CARD.md", *FOLDER.glob("*.md")]
COLUMNS = {
    "pixel_accuracy": "pixel accuracy",
    "mean_accuracy": "mean accuracy",
    "mean_iou": "mean IoU",
    "boundary_iou": "boundary IoU",
}
NAMES = {"rgb": "RGB"}
BLOCK = re.compile(r"(<!-- table: ([\w ]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)


def score_table(rows: list[dict[str, Any]]) -> str:
    """One line for each prediction; the ensemble's with nothing left out or added stands out."""
    lines = [f"| available | prediction of | {' | '.join(COLUMNS.values())} |", "|---" * 6 + "|"]
    for row in rows:
        available = row["available"]
        for name, scores in row["branches"].items():
            cells = [NAMES.get(name, name), *(f"{100 * scores[key]:.2f}" for key in COLUMNS)]
            if name == "ensemble" and not row["options"]:
                cells = [f"**{cell}**" for cell in cells]
            lines.append(f"| {available} | {' | '.join(cells)} |")
            available = ""
    return "\n".join(lines) + "\n"


def difference_table(rows: list[dict[str, Any]]) -> str:
    """Differences in mean IoU, in points; significant where the interval leaves out zero."""
    lines = ["| A | B | A - B in points | 95 % interval | result |", "|---" * 5 + "|"]
    for row in rows:
        result = "A is better" if row["low"] > 0 else "B is better" if row["high"] < 0 else "not significant"
        value, low, high = (f"{100 * row[key]:+.2f}" for key in ("difference", "low", "high"))
        lines.append(f"| {row['one']} | {row['other']} | {value} | {low} to {high} | {result} |")
    return "\n".join(lines) + "\n"


def sensor_tables(report: dict[str, Any]) -> dict[str, str]:
    """Alarms on good and faulty frames: in windows, by quantile, by measure, and in the demo's recording."""
    by_quantile = {quantile: report["rates"][quantile] for quantile in report["rates"]}
    quantiles = [["alarms in %, one view", *(f"`{quantile}`" for quantile in by_quantile)]]
    measures = [["alarms in %, one view", *report["measures"]]]
    recording = [["first frame of the demo's recording", "% of pixels beyond the usual level", "alarm"]]
    threshold = report["recording"]["threshold"]
    for condition, share in report["recording"]["shares"].items():
        quantiles.append([condition, *(percent(rates[condition]["1"]) for rates in by_quantile.values())])
        measures.append([condition, *(percent(rates[condition]) for rates in report["measures"].values())])
        recording.append([condition, percent(share), "yes" if share > threshold else "no"])
    tables = {"sensor quantiles": quantiles, "sensor measures": measures, "sensor recording": recording}
    return {"sensor faults": rate_table(report) + "\n"} | {
        name: "".join(f"| {' | '.join(row)} |\n" for row in (rows[0], ["---"] * len(rows[0]), *rows[1:]))
        for name, rows in tables.items()
    }


def choice_table() -> str:
    """What is registered for each setting of a network, and which encoders go with which decoder."""
    lines = ["| decoder (`architecture`) | encoders that go with it |", "|---|---|"]
    for decoder in DECODERS:
        encoders = " ".join(f"`{encoder}`" for encoder in ENCODERS if go_together(decoder, encoder))
        lines.append(f"| `{decoder}` | {encoders} |")
    return "\n".join(lines) + "\n"


def commands(scores: dict[str, list[dict[str, Any]]]) -> str:
    """The commands that gave the scores of each checkpoint."""
    lines = [
        f"asymfusion evaluate {checkpoint} --data data/nyudv2 {row['options']}".rstrip()
        for checkpoint, rows in scores.items()
        for row in rows
    ]
    return "\n".join(["```sh", *lines, "```"]) + "\n"


def tables(scores: dict[str, Any]) -> dict[str, str]:
    """Every table by its name."""
    found = {f"val {checkpoint}": score_table(rows) for checkpoint, rows in scores["scores"].items()}
    found["commands"] = commands(scores["scores"])
    found |= {name: difference_table(differences) for name, differences in scores["differences"].items()}
    kinds = {
        "node": NodeSettings,
        "translation": TranslationSettings,
        "input": InputSpec,
        "images": ImageDescription,
        "network": NetworkConfig,
    }
    found |= {name: markdown_table(kind) for name, kind in kinds.items()}
    found |= sensor_tables(json.loads(SENSORS.read_text()))
    return found | {"recipe": settings_tables(), "choices": choice_table()}


def rendered(text: str, found: dict[str, str]) -> str:
    """``text`` with every table between markers made anew. Raises KeyError for an unknown table's name."""
    return BLOCK.sub(lambda block: block[1] + found[block[2]] + block[3], text)


def score_again(scores: dict[str, Any], data: str) -> None:
    """Replaces the scores of each row by what its command gives now."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "scores.json"
        for checkpoint, rows in scores["scores"].items():
            command = [sys.executable, "-m", "asymfusion_ros.cli", "evaluate", checkpoint, "--data", data]
            for row in rows:
                subprocess.run([*command, *row["options"].split(), "--json", str(report)], check=True)
                branches = json.loads(report.read_text())["branches"]
                for name in row["branches"]:
                    row["branches"][name] = {key: round(branches[name][key], 6) for key in COLUMNS}


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the tables of the documentation.")
    parser.add_argument("--data", help="score the package's checkpoints on this folder first")
    args = parser.parse_args()
    scores = json.loads(SCORES.read_text())
    if args.data:
        score_again(scores, args.data)
        write_whole(SCORES, (json.dumps(scores, indent=2) + "\n").encode())
    for path in FILES:
        write_whole(path, rendered(path.read_text(), tables(scores)).encode())


if __name__ == "__main__":
    main()
