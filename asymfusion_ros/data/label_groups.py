"""A robot's own few labels, each a group of a checkpoint's classes, from a YAML file.

groups:
  free: [floor, floor mat]
  obstacle: [wall, chair, table]
  person: [person]
colours:             # may be left out: a group has the colour of its first class
  person: [255, 0, 0]
others: obstacle     # the group of the classes that are not named; left out: they are unlabeled
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asymfusion_ros.data.labels import VOID, Colour, LabelSet
from asymfusion_ros.data.yaml_file import read_yaml
from asymfusion_ros.errors import ConfigError

KEYS = ("groups", "colours", "others")
SHOWN = 10  # names in one line of the log


@dataclass(frozen=True)
class LabelGroups:
    """labels: the groups in the file's order. index: the group of each of the checkpoint's classes, VOID
    where it has none. unlabeled: the names of those.
    """

    labels: LabelSet
    index: tuple[int, ...]
    unlabeled: tuple[str, ...]


def read_label_groups(path: str | Path, classes: LabelSet) -> LabelGroups:
    """The groups of ``classes`` in a file. Raises ConfigError for a file that can't be used."""
    where = f"label_groups: {path}"
    path = Path(path)
    values = read_yaml(path, where, ConfigError)
    try:
        return label_groups(values, classes, path.stem)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def label_groups(values: Any, classes: LabelSet, name: str = "groups") -> LabelGroups:
    """The groups of ``classes`` that the content of a file makes. Raises ConfigError."""
    if not isinstance(values, Mapping) or "groups" not in values:
        raise ConfigError(
            "there are no groups; write `groups:` and under it a line `name: [class, ...]` each"
        )
    _known(values, KEYS, "setting")
    groups = values["groups"]
    if not isinstance(groups, Mapping) or not groups:
        raise ConfigError(f"groups is {groups!r}; write a line `name: [class, ...]` for each")
    names = tuple(str(group) for group in groups)
    index = dict.fromkeys(classes.names, VOID)
    for number, (group, members) in enumerate(groups.items()):
        if not isinstance(members, list):
            raise ConfigError(f"group {group!r} is {members!r}; give a list of class names")
        _known(members, classes.names, f"group {group!r}: class")
        for member in map(str, members):
            if index[member] not in (VOID, number):
                other = names[index[member]]
                raise ConfigError(f"class {member!r} is in the groups {other!r} and {group!r}; keep one")
            index[member] = number
    if (others := values.get("others")) is not None:
        _known([others], names, "others: group")
        rest = names.index(str(others))
        index = {one: rest if number == VOID else number for one, number in index.items()}
    found = tuple(index.values())
    return LabelGroups(
        LabelSet(name, names, _colours(values.get("colours") or {}, names, found, classes)),
        found,
        tuple(one for one, number in index.items() if number == VOID),
    )


def _colours(
    given: Any, names: tuple[str, ...], index: tuple[int, ...], classes: LabelSet
) -> tuple[Colour, ...]:
    if not isinstance(given, Mapping):
        raise ConfigError(f"colours is {given!r}; write a line `group: [red, green, blue]` for each")
    _known(given, names, "colours: group")
    colours: list[Colour] = []
    for number, name in enumerate(names):
        colour = given.get(name)
        if colour is None:
            first = index.index(number) if number in index else None
            colours.append((0, 0, 0) if first is None else classes.colours[first])
        elif isinstance(colour, list) and len(colour) == 3 and all(type(part) is int for part in colour):
            colours.append((colour[0], colour[1], colour[2]))
        else:
            raise ConfigError(f"colours: {name!r} is {colour!r}; write [red, green, blue], each 0 to 255")
    return tuple(colours)


def _known(names: Iterable[Any], known: Iterable[str], what: str) -> None:
    """Raises ConfigError for the first name that isn't known, with those that are like it."""
    known = tuple(known)
    for name in names:
        if str(name) not in known:
            near = difflib.get_close_matches(str(name), known, n=3) or known[:SHOWN]
            more = ", ..." if len(near) == SHOWN < len(known) else ""
            raise ConfigError(
                f"{what} {str(name)!r} is unknown; did you mean {', '.join(map(repr, near))}{more}?"
            )
