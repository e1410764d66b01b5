"""YAML that a user wrote, read within bounds: the one reader of dataset.yaml, recipes and label groups.

A few hundred bytes of YAML can stand for gigabytes (aliases of aliases) or exhaust the stack (brackets in
brackets). Both are seen in the parser's events, before a value is made of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from asymfusion_ros.data.text_file import one_line, read_text
from asymfusion_ros.errors import UserError

LARGEST = 256 * 1024  # bytes: 255 classes and every setting there is take a tenth of that
MOST_VALUES = 50_000  # with what aliases stand for
DEEPEST = 32  # lists and mappings inside each other

Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is much faster, where it is there
# What making a value of a scalar raises besides YAMLError: a date of the 99th month, `!!bool x`, a number of
# more digits than Python reads, a list as a key.
_NO_VALUE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def read_yaml(path: Path, what: str | None = None, refusal: type[UserError] = UserError) -> Any:
    """The value in a file of one YAML document; None where it is empty.

    what: begins the message, the path where it is left out. Raises ``refusal`` where the file cannot be read,
    is not YAML, or goes beyond the bounds above.
    """
    what = str(path) if what is None else what
    return parse_yaml(read_text(path, LARGEST, what, refusal), what, refusal)


def parse_yaml(text: str, what: str, refusal: type[UserError] = UserError) -> Any:
    """The same for text."""
    try:
        excess = _excess(text)
        if excess is None:
            return yaml.load(text, Loader)  # both are safe loaders
    except (yaml.YAMLError, *_NO_VALUE) as error:
        raise refusal(f"{what} is not YAML: {one_line(error)}") from error
    raise refusal(f"{what} {excess}")


def _excess(text: str) -> str | None:
    """What is too much of, or None. Raises YAMLError."""
    sizes: list[int] = [0]  # of the collections that are open: values inside
    anchors: dict[str, int] = {}
    names: list[str | None] = []  # the anchor of each open collection
    for event in yaml.parse(text, Loader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in anchors:
                return f"has an alias *{event.anchor} to what is not whole before it: write it out"
            sizes[-1] += anchors[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            sizes[-1] += 1
            if event.anchor is not None:
                anchors[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            names.append(event.anchor)
            sizes.append(1)
        elif isinstance(event, yaml.CollectionEndEvent):
            size, anchor = sizes.pop(), names.pop()
            sizes[-1] += size
            if anchor is not None:
                anchors[anchor] = size
        if len(sizes) > DEEPEST:
            return f"has lists or mappings inside each other, more than {DEEPEST} deep: write it flatter"
        if sizes[-1] > MOST_VALUES:
            return f"stands for more than {MOST_VALUES} values: leave out aliases, or what is not a setting"
    return None
