"""The fused kernel: on a GPU where there is one, else in Triton's interpreter on the CPU (conftest.py)."""

import os
import subprocess
import sys

import pytest
import torch
from torch.nn import functional as F

pytest.importorskip("triton", reason="needs triton (pip install triton; 1 GB)")

from asymfusion_ros.data.label_groups import label_groups
from asymfusion_ros.data.labels import VOID, LabelSet
from asymfusion_ros.engine.fused import LabelRule, fused_labels
from asymfusion_ros.engine.label_rules import LabelRules

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
CLASSES = LabelSet("seven", tuple("abcdefg"))
GROUPS = label_groups({"groups": {"vowels": ["a", "e"], "others": ["b", "c", "d"]}}, CLASSES)
# K, h, w, H, W: upwards by odd ratios, one cell, one row, downwards, and more pixels than a program has
SHAPES = [(3, 4, 5, 17, 23), (7, 1, 1, 5, 3), (7, 1, 6, 1, 29), (5, 12, 9, 7, 4), (2, 5, 7, 40, 53)]


def made(*shape, spread=3.0, seed=0):
    return (spread * torch.randn(shape, generator=torch.Generator().manual_seed(seed))).to(DEVICE)


def assert_equal_but_ties(logits, found, plain):
    """The plain labels wherever the two best upsampled logits differ at all."""
    full = F.interpolate(logits[None].double(), plain.shape, mode="bilinear", align_corners=False)[0]
    best = full.topk(2, dim=0).values
    clear = best[0] - best[1] > 1e-4
    assert (found == plain)[clear].all()
    assert clear.float().mean() > 0.9


@pytest.mark.parametrize("shape", SHAPES)
def test_the_labels_and_confidence_of_plain_upsampling(shape):
    classes, *rest = shape
    (h, w), size = rest[:2], tuple(rest[2:])
    frames = made(2, classes, h, w)
    labels, levels = fused_labels(frames, size, LabelRule(), True, 1.3)
    assert labels.shape == levels.shape == (2, *size)
    assert labels.dtype == levels.dtype == torch.uint8
    for logits, ours, level in zip(frames, labels, levels):
        plain, confidence = LabelRules()(logits.cpu(), size, True, 1.3)
        assert_equal_but_ties(logits.cpu(), ours.cpu(), plain)
        assert (level.cpu().int() - confidence.int()).abs().max() <= 1  # where it is rounded
    assert fused_labels(frames, size, LabelRule(), False, 1.0)[1] is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_channels_last_and_half_precision(dtype):
    frames = made(1, 5, 6, 8).to(dtype).contiguous(memory_format=torch.channels_last)
    labels, levels = fused_labels(frames, (15, 21), LabelRule(), True, 1.0)
    plain, confidence = LabelRules()(frames[0].cpu().float(), (15, 21), True, 1.0)
    assert_equal_but_ties(frames[0].cpu().float(), labels[0].cpu(), plain)
    assert (levels[0].cpu().int() - confidence.int()).abs().max() <= 1


@pytest.mark.parametrize("threshold", [0.0, 0.8])
@pytest.mark.parametrize("groups", [None, GROUPS])
def test_groups_and_threshold(groups, threshold):
    logits = made(7, 5, 6, seed=3)
    ours, rules = LabelRules(groups, lambda: threshold, DEVICE), LabelRules(groups, lambda: threshold)
    rule = LabelRule(threshold, *((ours._rows, ours._lookup) if groups else ()))
    labels, levels = (found[0].cpu() for found in fused_labels(logits[None], (18, 25), rule, True, 0.8))
    plain, confidence = rules(logits.cpu(), (18, 25), True, 0.8)
    # Random logits have no ties, and where the confidence is rounded otherwise the threshold may be too.
    sure = levels == confidence
    assert sure.float().mean() > 0.99
    assert (labels == plain)[sure].all()
    assert (levels.int() - confidence.int()).abs().max() <= 1
    assert (VOID in plain) == (groups is not None or threshold > 0)
    alone = fused_labels(logits[None], (18, 25), rule, False, 0.8)[0][0].cpu()
    assert (alone == labels).all()


def test_by_hand():
    # halfway between the two points the classes have (2, 2, 2.6)
    logits = torch.tensor([[[4.0, 0.0]], [[0.0, 4.0]], [[2.6, 2.6]]], device=DEVICE)
    assert fused_labels(logits[None], (1, 8), LabelRule(), False, 1.0)[0][0].tolist() == [
        [0, 0, 0, 2, 2, 1, 1, 1]
    ]
    # of equal logits the first is taken, and three of them have a third each
    equal = torch.zeros(1, 3, 2, 2, device=DEVICE)
    labels, levels = fused_labels(equal, (3, 3), LabelRule(), True, 1.0)
    assert labels.unique().tolist() == [0]
    assert levels.unique().tolist() == [85]


COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from asymfusion_ros.engine.fused.kernel import _upsampled_labels as kernel

CONSTANTS = dict(void=255, probability=True, confidence=True, threshold=True, grouped=True, pixels=256)
POINTERS = dict(logits="*fp16", labels="*u8", levels="*u8", group_rows="*i64", lookup="*u8")
FLOATS = dict.fromkeys(("row_scale", "column_scale", "sharpness", "least"), "fp32")
types = {name: "i32" for name in kernel.arg_names} | POINTERS | FLOATS
types |= dict.fromkeys(CONSTANTS, "constexpr")
values = {(kernel.arg_names.index(name),): value for name, value in CONSTANTS.items()}
for capability in (75, 87, 90):
    source = ASTSource(fn=kernel, signature=types, constexprs=values)
    assert triton.compile(source, target=GPUTarget("cuda", capability, 32)).asm["cubin"]
print("compiled")
"""


def test_it_compiles_for_gpus_that_are_not_here(tmp_path):
    """Turing, Jetson Orin and Hopper: Triton brings the assembler, and no GPU is needed for that."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    run = subprocess.run(
        [sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True, check=False
    )
    assert run.stdout.strip() == "compiled", run.stderr
