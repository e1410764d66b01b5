"""Tables 1 to 6 of the paper: their rows, the numbers it prints, and the orderings it claims.

Numbers are those of the paper, in percent and millions. A row without them is ours, for comparison.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from asymfusion_training.ablation.measure import MEAN_IOU, Measure, image_measure
from asymfusion_training.ablation.variant import Variant


@dataclass(frozen=True)
class Printed:
    """What the paper prints for a row; None where it prints nothing."""

    pixel_accuracy: float | None = None
    mean_accuracy: float | None = None
    mean_iou: float | None = None
    parameters: float | None = None  # millions
    fid: float | None = None


@dataclass(frozen=True)
class Row:
    """title: as in the paper. note: what sets a row apart that the paper does not have."""

    title: str
    variant: Variant
    printed: Printed = field(default_factory=Printed)
    note: str = ""


@dataclass(frozen=True)
class Claim:
    """The paper says that row ``better`` has the better score than row ``worse`` (keys of the rows)."""

    better: str
    worse: str
    text: str


@dataclass(frozen=True)
class Table:
    """rows: by a short key, in the paper's order. source: data set and network of the printed numbers.
    measure: what they are compared by."""

    name: str
    title: str
    source: str
    rows: Mapping[str, Row]
    claims: tuple[Claim, ...]
    measure: Measure = MEAN_IOU


RGB, DEPTH = (Variant(modalities=(name,)) for name in ("rgb", "depth"))  # any fusion is none
FULL = Variant()  # the paper's method
DIRECTIONS = {"depth_to_rgb": "Depth→RGB", "rgb_to_depth": "RGB→Depth", "bidirectional": "Bidirectional"}

TABLE_1 = Table(
    "table1",
    "Comparison on NYUDv2",
    "NYUDv2, RefineNet, test half, several scales",
    {
        "rgb": Row("RefineNet, RGB", RGB, Printed(73.8, 59.0, 46.5, 118.10)),
        "depth": Row("RefineNet, depth", DEPTH, Printed(64.0, 45.6, 34.3, 118.10)),
        "asymfusion": Row("AsymFusion, RGB-D", FULL, Printed(76.6, 63.5, 50.8, 118.20)),
        "mmf": Row(
            "MMF (RDFNet's fusion), RGB-D",
            replace(FULL, fusion="mmf", shared_convs=False),
            note="RDFNet itself, which fuses into its decoder: 75.6 / 62.2 / 49.1, 366.71 M",
        ),
        "rgb_larger": Row(
            "RefineNet, RGB, second backbone",
            replace(RGB, larger=True),
            Printed(74.4, 59.6, 47.6, 133.74),
            note="printed from RefineNet's own paper",
        ),
        "asymfusion_larger": Row(
            "AsymFusion, RGB-D, second backbone",
            replace(FULL, larger=True),
            Printed(77.0, 64.0, 51.2, 133.89),
        ),
    },
    (
        Claim("rgb", "depth", "RGB alone is better than depth alone"),
        Claim("asymfusion", "rgb", "two modalities are better than RGB alone"),
        Claim("asymfusion_larger", "rgb_larger", "and with the second backbone"),
        Claim("asymfusion_larger", "asymfusion", "the larger backbone is better"),
        Claim("asymfusion", "mmf", "asymmetric fusion is better than MMF (the paper has RDFNet itself)"),
    ),
)

TABLE_2 = Table(
    "table2",
    "Comparison on Cityscapes",
    "Cityscapes val, DeepLabv3+ with Xception65, several scales",
    {
        "rgb": Row("DeepLabv3+, RGB", RGB, Printed(mean_iou=79.4, parameters=43.48)),
        "depth": Row("DeepLabv3+, depth", DEPTH, Printed(mean_iou=62.3, parameters=43.48)),
        "asymfusion": Row("AsymFusion, RGB-D", FULL, Printed(mean_iou=82.1, parameters=43.52)),
        "attention": Row(
            "Attention (SSMA's fusion), RGB-D",
            replace(FULL, fusion="attention", shared_convs=False),
            note="SSMA itself, another network with coarse labels too: 82.2, 56.44 M",
        ),
    },
    (
        Claim("rgb", "depth", "RGB alone is better than depth alone"),
        Claim("asymfusion", "rgb", "two modalities are better than RGB alone"),
    ),
)


def _table_4(name: str, source: str, printed: tuple[Printed, Printed, Printed]) -> Table:
    return Table(
        name,
        "What the modalities share",
        source,
        {
            "individual": Row(
                "individual convolutions, private norms", replace(FULL, shared_convs=False), printed[0]
            ),
            "shared_norms": Row(
                "shared convolutions, shared norms", replace(FULL, private_norms=False), printed[1]
            ),
            "private_norms": Row("shared convolutions, private norms", FULL, printed[2]),
        },
        (
            Claim("private_norms", "shared_norms", "private norms are better than shared ones"),
            Claim("private_norms", "individual", "shared convolutions are better than individual ones"),
            Claim("individual", "shared_norms", "individual networks are better than all shared"),
        ),
    )


TABLE_4 = _table_4(
    "table4",
    "NYUDv2, RefineNet with ResNet-101",
    (
        Printed(76.1, None, 50.5, 236.20),
        Printed(72.2, None, 46.3, 118.10),
        Printed(76.6, None, 50.8, 118.20),
    ),
)
TABLE_4_CITYSCAPES = _table_4(
    "table4",
    "Cityscapes, DeepLabv3+ with Xception65",
    (Printed(96.8, None, 81.9, 87.04), Printed(95.3, None, 78.7, 43.48), Printed(97.0, None, 82.1, 43.52)),
)

TABLE_5 = Table(
    "table5",
    "Components of the asymmetric fusion",
    "NYUDv2, RefineNet with ResNet-101",
    {
        "none": Row(
            "no fusion", replace(FULL, fusion="none", distilled=False), Printed(74.0, 58.9, 47.3, 118.20)
        ),
        "distillation": Row("distillation", replace(FULL, fusion="none"), Printed(74.3, 59.3, 47.6, 118.20)),
        "shuffle": Row(
            "shuffle", replace(FULL, fusion="shuffle", distilled=False), Printed(75.2, 62.5, 49.3, 118.20)
        ),
        "shift": Row(
            "shift", replace(FULL, fusion="shift", distilled=False), Printed(74.8, 61.7, 48.7, 118.20)
        ),
        "both": Row("shuffle and shift", replace(FULL, distilled=False), Printed(76.4, 63.1, 50.5, 118.20)),
        "all": Row("shuffle, shift and distillation", FULL, Printed(76.6, 63.5, 50.8, 118.20)),
        "skip": Row(
            "shuffle, and skips without the shift",
            replace(FULL, fusion="skip", distilled=False),
            Printed(75.5, 62.7, 49.4, 118.20),
            note="Section 4.4",
        ),
    },
    (
        Claim("shuffle", "none", "the shuffle helps"),
        Claim("shift", "none", "the shift helps"),
        Claim("shuffle", "shift", "the shuffle helps more than the shift"),
        Claim("both", "shuffle", "the shift helps beside the shuffle"),
        Claim("both", "shift", "the shuffle helps beside the shift"),
        Claim("both", "none", "both together help"),
        Claim("both", "skip", "it is the shift that helps, not its skip connections (Section 4.4)"),
        Claim("distillation", "none", "distillation helps without fusion"),
        Claim("all", "both", "distillation helps with it"),
    ),
)

# Pixel accuracy, mean IoU: sharing of the convolutions, direction, method.
_TABLE_6: dict[tuple[bool, str, str], tuple[float, float]] = {
    (False, "depth_to_rgb", "concat"): (74.9, 48.6),
    (False, "depth_to_rgb", "average"): (74.7, 48.2),
    (False, "depth_to_rgb", "attention"): (75.3, 49.1),
    (False, "depth_to_rgb", "asymmetric"): (75.2, 49.3),
    (False, "rgb_to_depth", "concat"): (74.0, 47.1),
    (False, "rgb_to_depth", "average"): (73.6, 46.6),
    (False, "rgb_to_depth", "attention"): (74.6, 48.5),
    (False, "rgb_to_depth", "asymmetric"): (74.9, 48.7),
    (False, "bidirectional", "concat"): (74.7, 48.0),
    (False, "bidirectional", "average"): (74.2, 47.7),
    (False, "bidirectional", "attention"): (74.9, 48.7),
    (False, "bidirectional", "asymmetric"): (76.2, 50.5),
    (True, "depth_to_rgb", "concat"): (75.3, 48.9),
    (True, "depth_to_rgb", "average"): (74.9, 48.5),
    (True, "depth_to_rgb", "attention"): (75.5, 49.4),
    (True, "depth_to_rgb", "asymmetric"): (75.4, 49.4),
    (True, "rgb_to_depth", "concat"): (74.2, 47.3),
    (True, "rgb_to_depth", "average"): (73.9, 46.8),
    (True, "rgb_to_depth", "attention"): (74.8, 48.6),
    (True, "rgb_to_depth", "asymmetric"): (75.2, 49.1),
    (True, "bidirectional", "concat"): (75.0, 48.4),
    (True, "bidirectional", "average"): (74.6, 48.2),
    (True, "bidirectional", "attention"): (75.1, 48.9),
    (True, "bidirectional", "asymmetric"): (76.6, 50.8),
}
METHODS = {
    "concat": "concatenation",
    "average": "average",
    "attention": "attention",
    "asymmetric": "asymmetric",
    "mmf": "MMF",
}
SYMMETRIC = ("concat", "average", "attention")


def _key(shared: bool, direction: str, method: str) -> str:
    return f"{'shared' if shared else 'individual'}_{direction}_{method}"


def _table_6() -> Table:
    rows, claims = {}, []
    for shared in (False, True):
        sharing = "shared" if shared else "individual"
        for direction, arrow in DIRECTIONS.items():
            for method, title in METHODS.items():
                accuracy, iou = _TABLE_6.get((shared, direction, method), (None, None))
                rows[_key(shared, direction, method)] = Row(
                    f"{sharing}, {arrow}, {title}",
                    replace(FULL, fusion=method, direction=direction, shared_convs=shared),
                    Printed(accuracy, None, iou),
                    "not in the paper's table" if iou is None else "",
                )
        for method in (*SYMMETRIC, "asymmetric"):
            claims.append(
                Claim(
                    _key(shared, "depth_to_rgb", method),
                    _key(shared, "rgb_to_depth", method),
                    f"{sharing}, {METHODS[method]}: depth into RGB is better than RGB into depth",
                )
            )
        for method in SYMMETRIC:
            claims.append(
                Claim(
                    _key(shared, "depth_to_rgb", method),
                    _key(shared, "bidirectional", method),
                    f"{sharing}, {METHODS[method]}: depth into RGB is better than both ways (sometimes)",
                )
            )
        claims.append(
            Claim(
                _key(shared, "bidirectional", "asymmetric"),
                _key(shared, "depth_to_rgb", "asymmetric"),
                f"{sharing}, asymmetric: both ways are better than depth into RGB alone",
            )
        )
        for method in SYMMETRIC:
            claims.append(
                Claim(
                    _key(shared, "bidirectional", "asymmetric"),
                    _key(shared, "bidirectional", method),
                    f"{sharing}, both ways: asymmetric is better than {METHODS[method]}",
                )
            )
    return Table(
        "table6",
        "Methods and directions of fusion",
        "NYUDv2, RefineNet with ResNet-101",
        rows,
        tuple(claims),
    )


# FID of each method, by domains.
_METHODS_3 = ("concat", "average", "attention", "mmf", "asymmetric")
_TABLE_3: dict[tuple[str, ...], tuple[float, ...]] = {
    ("shade", "depth"): (96.5, 101.3, 87.3, 92.0, 82.5),
    ("normal", "texture"): (88.9, 93.0, 83.3, 85.9, 77.8),
    ("depth", "texture", "normal"): (86.4, 90.2, 81.5, 82.1, 75.1),
    ("shade", "normal", "edge"): (92.8, 94.4, 85.6, 88.6, 79.4),
}


def _table_3() -> Table:
    rows, claims = {}, []
    for domains, numbers in _TABLE_3.items():
        key = "+".join(domains)
        for method, fid in zip(_METHODS_3, numbers, strict=True):
            rows[f"{key}_{method}"] = Row(
                f"{', '.join(domains)}: {METHODS[method]}",
                replace(FULL, modalities=domains, fusion=method),
                Printed(fid=fid),
            )
        for method in _METHODS_3[:-1]:
            claims.append(
                Claim(
                    f"{key}_asymmetric",
                    f"{key}_{method}",
                    f"{', '.join(domains)}: asymmetric is better than {METHODS[method]}",
                )
            )
    return Table(
        "table3",
        "Image translation to RGB",
        "Taskonomy, U-Net, 1000 images",
        rows,
        tuple(claims),
        image_measure(),
    )


TABLES = {t.name: t for t in (TABLE_1, TABLE_2, _table_3(), TABLE_4, TABLE_5, _table_6())}


def table_of(name: str, labels: str) -> Table:
    """The table called ``name``, with the numbers of the data set whose label set is called ``labels`` where
    the paper has it for two."""
    return TABLE_4_CITYSCAPES if name == "table4" and labels == "cityscapes19" else TABLES[name]
