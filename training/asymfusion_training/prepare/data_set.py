"""What `asymfusion prepare` needs to know of a data set."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class DataSet:
    """A public data set.

    name: the subcommand. summary, description, examples: for its ``--help``. add_arguments: declares its own
    options; ``--output`` and ``--workers`` are every data set's. prepare: makes the folder ``args.output``
    and returns a summary; raises UserError naming what is missing or wrong.
    """

    name: str
    summary: str
    description: str
    examples: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    prepare: Callable[[argparse.Namespace], str]
