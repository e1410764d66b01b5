"""The files of Taskonomy, by view: DOMAIN/BUILDING/point_P_view_V_domain_DOMAIN.png."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from asymfusion_ros.errors import ConfigError, UserError

# Modality -> the official name of its domain; those in OTHERS are the same modality made another way.
DOMAINS = {
    "rgb": "rgb",
    "depth": "depth_zbuffer",
    "normal": "normal",
    "shade": "reshading",
    "edge": "edge_occlusion",
    "texture": "edge_texture",
}
OTHERS = {"depth_euclidean": "depth"}
TARGET = "rgb"
FILE = re.compile(r"(point_\d+_view_\d+)_domain_(\w+)\.png")


@dataclass(frozen=True)
class Missing:
    """Views that some domain lacks. count: of them. first: the path of one's missing file. domains: how many
    views each domain lacks, where it lacks any."""

    views: tuple[str, ...]
    first: Path
    domains: Mapping[str, int]


@dataclass(frozen=True)
class Tree:
    """root: the folder of the domains. domains: modality -> the name of its folder, the target's among them.
    views: BUILDING/point_P_view_V (or point_P_view_V, in a tree without buildings) that every domain has, in
    order. missing: of those that some domain lacks, None where there are none."""

    root: Path
    domains: Mapping[str, str]
    views: tuple[str, ...]
    missing: Missing | None

    def path(self, modality: str, view: str) -> Path:
        """A view's image."""
        return view_path(self.root, self.domains[modality], view)


def view_path(root: Path, domain: str, view: str) -> Path:
    """The official place of a view's image."""
    return root / domain / f"{view}_domain_{domain}.png"


def building(view: str) -> str:
    """Where it is; empty in a tree without buildings."""
    return view.rpartition("/")[0]


def chosen_domains(names: Iterable[str]) -> dict[str, str]:
    """Modality -> folder, of names of modalities or of official domains; the target's is added.

    Raises ConfigError for a name that is neither, or a modality that is there twice.
    """
    official = {folder: modality for modality, folder in DOMAINS.items()} | OTHERS
    found: dict[str, str] = {}
    for name in names:
        modality = official.get(name, name)
        if modality not in DOMAINS or modality == TARGET:
            known = [one for one in (*DOMAINS, *official) if official.get(one, one) != TARGET]
            raise ConfigError(
                f"--domains: {name!r} is no input of the translation to {TARGET}: use some of "
                f"{', '.join(dict.fromkeys(known))}"
            )
        if modality in found:
            raise ConfigError(f"--domains: {modality} is given twice ({found[modality]}, {name})")
        found[modality] = name if name in official else DOMAINS[modality]
    return {**found, TARGET: DOMAINS[TARGET]}


def find_views(root: Path, domains: Mapping[str, str], buildings: Sequence[str] | None = None) -> Tree:
    """The views below ``root``, found by listing: to ask for each of millions takes hours.

    buildings: only of these. Raises UserError for a domain or building that is not there, and where no view
    has all domains.
    """
    for folder in domains.values():
        if not (root / folder).is_dir():
            raise UserError(
                f"{root / folder} is missing: {root} must hold a folder for each domain "
                f"({', '.join(domains.values())}), as Taskonomy's downloads unpack"
            )
    listed = {modality: _listed(root, folder, buildings) for modality, folder in domains.items()}
    every = set().union(*listed.values())
    for name in buildings or ():
        if not any(building(view) == name for view in every):
            there = sorted({building(view) for view in _listed(root, domains[TARGET], None)})
            raise UserError(
                f"--buildings: {root} has no views of {name!r} (there are {', '.join(there[:8]) or 'none'}"
                f"{', ...' if len(there) > 8 else ''})"
            )
    whole = set.intersection(*listed.values())
    if not whole:
        counts = ", ".join(f"{folder} {len(listed[modality])}" for modality, folder in domains.items())
        raise UserError(
            f"no view of {root} has all of its domains (views found: {counts}): files are called "
            "DOMAIN/BUILDING/point_P_view_V_domain_DOMAIN.png"
        )
    return Tree(root, domains, tuple(sorted(whole)), _missing(root, domains, listed, every - whole))


def _missing(
    root: Path, domains: Mapping[str, str], listed: Mapping[str, set[str]], views: set[str]
) -> Missing | None:
    if not views:
        return None
    lacking = {modality: views - listed[modality] for modality in domains}
    counts = {domains[modality]: len(lacks) for modality, lacks in lacking.items() if lacks}
    first = min(views)
    folder = next(domains[modality] for modality, lacks in lacking.items() if first in lacks)
    return Missing(tuple(sorted(views)), view_path(root, folder, first), counts)


def _listed(root: Path, folder: str, buildings: Sequence[str] | None) -> set[str]:
    """The views that a domain has."""
    found = set()
    with os.scandir(root / folder) as entries:
        for entry in entries:
            if buildings is not None and entry.name not in buildings:
                continue
            if entry.is_dir():
                names, prefix = os.listdir(entry.path), f"{entry.name}/"
            else:
                names, prefix = [entry.name], ""
            for name in names:
                match = FILE.fullmatch(name)
                if match and match[2] == folder:
                    found.add(prefix + match[1])
    return found
