"""The options of `asymfusion ablate`."""

from __future__ import annotations

import argparse
from pathlib import Path

from asymfusion_training.ablation.tables import TABLES
from asymfusion_training.cli.evaluate_options import add_views
from asymfusion_training.cli.evaluate_translation import add_scores
from asymfusion_training.cli.run_options import add_run_options

SEGMENTATION, TRANSLATION = "ablation_efficientnet_lite0", "taskonomy_unet"
EXAMPLES = """\
  asymfusion ablate table5 --list
  asymfusion ablate table5 --data data/nyudv2 --output runs/ablation --seeds 0 1 2
  asymfusion ablate table6 --data data/nyudv2 --output runs/ablation --device cuda --workers 12
  asymfusion ablate table4 --data data/nyudv2 --output runs/refinenet --recipe nyudv2_refinenet101 \\
      --scales 0.75 1.0 1.25 --flip
  asymfusion ablate table2 --data data/cityscapes --output runs/city --devices 8 \\
      --recipe cityscapes_deeplabv3plus
  asymfusion ablate table1 --data data/nyudv2 --output runs/released --recipe released_refinenet101 \\
      --rows rgb depth asymfusion
  asymfusion ablate table5 --data data/nyudv2 --output runs/short --set epochs=12 --rows none both all
  asymfusion ablate table5 --data data/nyudv2 --output runs/ablation --report
  asymfusion ablate table3 --data data/taskonomy --output runs/table3 --device cuda --seeds 0 1 2 \\
      --scores l1 ssim fid kid --inception weights-inception-2015-12-05-6726825d.pth
  asymfusion ablate table3 --data data/taskonomy --output runs/small --scores l1 ssim \\
      --recipe taskonomy_unet16

Interrupted, the same command goes on in the row that it was in. Rows that two tables have in common are run
once where both have the same --output. Several commands with one --output share its rows, each on a GPU of
its own (--device cuda:1).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See ``asymfusion ablate --help``."""
    add = parser.add_argument
    add("table", choices=sorted(TABLES), help="the paper's table to rerun")
    add("--data", type=Path, help="a folder in the folder format, with splits train and val")
    add(
        "--output",
        type=Path,
        default=Path("runs/ablation"),
        help="where the runs and the tables go (default: %(default)s)",
    )
    add(
        "--recipe",
        help="a recipe of the package, or a YAML file: encoder, decoder, schedule (default: "
        f"{SEGMENTATION}; of table3 {TRANSLATION})",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change a setting of the recipe, e.g. epochs=12 or input.height=160",
    )
    add(
        "--seeds",
        type=int,
        nargs="+",
        default=[0],
        metavar="N",
        help="one run of each row for each (default: 0)",
    )
    add("--rows", nargs="+", metavar="ROW", help="only these (--list shows their names; default: all)")
    add("--list", action="store_true", help="show the table's rows, train nothing")
    add("--report", action="store_true", help="write the table of what is done, train nothing")

    group = parser.add_argument_group("scoring")
    group.add_argument("--split", default="val", help="the frames to score (default: %(default)s)")
    add_views(group)
    add_scores(group)

    add_run_options(parser.add_argument_group("where it runs"))
