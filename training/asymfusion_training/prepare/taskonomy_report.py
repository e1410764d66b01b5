"""What is told of a prepared Taskonomy: in its dataset.yaml, and to the user."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from asymfusion_training.prepare.taskonomy_images import UNITS
from asymfusion_training.prepare.taskonomy_splits import Splits, Wanted
from asymfusion_training.prepare.taskonomy_tree import Tree, building

SKIPPED = "skipped.tsv"
DESCRIPTION = """\
# Taskonomy, made by `asymfusion prepare taskonomy`. A frame's name is BUILDING/point_P_view_V.
# Of its domains {domains}.
# Depth is 0 where the scan has no surface.
# Drawn or listed: {frames}{form} (lists' sha256: {digest})
name: taskonomy
images:
{images}
"""


def description(tree: Tree, splits: Splits, shards: int | None) -> str:
    """The text of dataset.yaml; that of other splits or forms is another."""
    images = [
        f"  {modality}: {{unit: {UNITS[modality]}}}" if modality in UNITS else f"  {modality}: {{}}"
        for modality in tree.domains
    ]
    text = "".join(f"{split} {view}\n" for split, views in splits.items() for view in views)
    return DESCRIPTION.format(
        domains=", ".join(
            f"{folder} ({modality})" for modality, folder in tree.domains.items() if folder != modality
        ),
        frames=", ".join(f"{split} {len(views)}" for split, views in splits.items()),
        form=f", train in shards of {shards}" if shards else "",
        digest=hashlib.sha256(text.encode()).hexdigest()[:16],
        images="\n".join(images),
    )


def summary(
    output: Path,
    kept: Splits,
    new: int,
    reasons: Mapping[str, str],
    copied: bool,
    wanted: Wanted | None,
) -> str:
    """What `asymfusion prepare` prints. wanted: how many views were to be drawn, where they were."""

    def told(split: str, views: Sequence[str]) -> str:
        count = len({building(view) for view in views})
        return f"{split} {len(views)} of {count} building{'s' * (count > 1)}"

    lines = [
        f"{output}: {sum(map(len, kept.values()))} views, {new} of them made now",
        "  " + ", ".join(told(split, views) for split, views in kept.items()),
    ]
    if wanted is not None:
        for split, views in kept.items():
            want = wanted.of(split)
            if want is not None and len(views) < want:
                lines.append(f"  {split} has {len(views)} views, fewer than the {want} asked for")
    if reasons:
        first = min(reasons)
        lines.append(
            f"  {len(reasons)} views are left out (listed in {output / SKIPPED}), the first {first}: "
            f"{reasons[first]}"
        )
    if copied:
        lines.append(f"  files are copied: {output} cannot hold hard links to the tree")
    return "\n".join(lines)
