"""The kernel itself; importing this needs Triton. See the package's description."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from asymfusion_ros.data.labels import VOID
from asymfusion_ros.engine.fused.rule import LabelRule

PIXELS = 256  # of one program


def labels_and_confidence(
    logits: Tensor, size: tuple[int, int], rule: LabelRule, confidence: bool, temperature: float
) -> tuple[Tensor, Tensor | None]:
    """See ``fused_labels``. The logits may have any strides and be of any float type."""
    frames, classes, rows, columns = logits.shape
    height, width = size
    labels = torch.empty((frames, height, width), dtype=torch.uint8, device=logits.device)
    probability = confidence or rule.threshold > 0
    levels = torch.empty_like(labels) if confidence else labels
    grouped = rule.lookup is not None
    grid = (triton.cdiv(height * width, PIXELS), frames)
    with torch.cuda.device_of(logits):  # which Triton launches on
        _upsampled_labels[grid](
            logits,
            labels,
            levels,
            rule.rows if grouped else labels,
            rule.lookup if grouped else labels,
            *logits.stride(),
            classes,
            rows,
            columns,
            height,
            width,
            rows / height,
            columns / width,
            1.0 / temperature,
            255.0 * rule.threshold,
            void=VOID,
            probability=probability,
            confidence=confidence,
            threshold=rule.threshold > 0,
            grouped=grouped,
            pixels=PIXELS,
        )
    return labels, levels if confidence else None


@triton.jit
def _upsampled_labels(
    logits,  # N x K x h x w
    labels,  # N x H x W, uint8
    levels,  # the same, the confidence; unused without it
    group_rows,  # K, int64; unused without groups
    lookup,  # K, uint8; likewise
    frame_stride,
    class_stride,
    row_stride,
    column_stride,
    classes,
    rows,
    columns,
    height,
    width,
    row_scale,  # h / H
    column_scale,  # w / W
    sharpness,  # 1 / temperature
    least,  # 255 times the probability below which a pixel is void
    void: tl.constexpr,
    probability: tl.constexpr,
    confidence: tl.constexpr,
    threshold: tl.constexpr,
    grouped: tl.constexpr,
    pixels: tl.constexpr,
):
    frame = tl.program_id(1).to(tl.int64)
    place = tl.program_id(0) * pixels + tl.arange(0, pixels)
    inside = place < height * width
    y = place // width
    x = place % width
    # Pixel centres are aligned (align_corners=False): where pixel y lies between the grid's rows.
    down = tl.maximum((y.to(tl.float32) + 0.5) * row_scale - 0.5, 0.0)
    across = tl.maximum((x.to(tl.float32) + 0.5) * column_scale - 0.5, 0.0)
    top = tl.minimum(down.to(tl.int32), rows - 1)
    left = tl.minimum(across.to(tl.int32), columns - 1)
    below = tl.minimum(top + 1, rows - 1)
    right = tl.minimum(left + 1, columns - 1)
    down = tl.minimum(down - top.to(tl.float32), 1.0)
    across = tl.minimum(across - left.to(tl.float32), 1.0)
    # The four grid points, a to d: top left, top right, bottom left, bottom right.
    base = logits + frame * frame_stride
    at_a = base + top * row_stride + left * column_stride
    at_b = base + top * row_stride + right * column_stride
    at_c = base + below * row_stride + left * column_stride
    at_d = base + below * row_stride + right * column_stride

    best = tl.full([pixels], float("-inf"), tl.float32)
    winner = tl.zeros([pixels], tl.int32)
    if probability:
        most_a = tl.full([pixels], float("-inf"), tl.float32)
        most_b = tl.full([pixels], float("-inf"), tl.float32)
        most_c = tl.full([pixels], float("-inf"), tl.float32)
        most_d = tl.full([pixels], float("-inf"), tl.float32)
        if grouped:
            first_a = tl.zeros([pixels], tl.int32)
            first_b = tl.zeros([pixels], tl.int32)
            first_c = tl.zeros([pixels], tl.int32)
            first_d = tl.zeros([pixels], tl.int32)
    for k in range(classes):
        a = tl.load(at_a + k * class_stride, mask=inside, other=0.0).to(tl.float32)
        b = tl.load(at_b + k * class_stride, mask=inside, other=0.0).to(tl.float32)
        c = tl.load(at_c + k * class_stride, mask=inside, other=0.0).to(tl.float32)
        d = tl.load(at_d + k * class_stride, mask=inside, other=0.0).to(tl.float32)
        upper = (1.0 - across) * a + across * b
        lower = (1.0 - across) * c + across * d
        value = (1.0 - down) * upper + down * lower
        winner = tl.where(value > best, k, winner)
        best = tl.maximum(best, value)
        if probability:
            if grouped:
                first_a = tl.where(a > most_a, k, first_a)
                first_b = tl.where(b > most_b, k, first_b)
                first_c = tl.where(c > most_c, k, first_c)
                first_d = tl.where(d > most_d, k, first_d)
            most_a = tl.maximum(most_a, a)
            most_b = tl.maximum(most_b, b)
            most_c = tl.maximum(most_c, c)
            most_d = tl.maximum(most_d, d)

    label = winner.to(tl.uint8)
    if grouped:
        label = tl.load(lookup + winner, mask=inside, other=void)
    if probability:
        # The probability of each grid point's winner (or of its group), from a second look at the logits.
        sum_a = tl.zeros([pixels], tl.float32)
        sum_b = tl.zeros([pixels], tl.float32)
        sum_c = tl.zeros([pixels], tl.float32)
        sum_d = tl.zeros([pixels], tl.float32)
        if grouped:
            own_a = tl.zeros([pixels], tl.float32)
            own_b = tl.zeros([pixels], tl.float32)
            own_c = tl.zeros([pixels], tl.float32)
            own_d = tl.zeros([pixels], tl.float32)
            row_a = tl.load(group_rows + first_a)
            row_b = tl.load(group_rows + first_b)
            row_c = tl.load(group_rows + first_c)
            row_d = tl.load(group_rows + first_d)
        for k in range(classes):
            a = tl.load(at_a + k * class_stride, mask=inside, other=0.0).to(tl.float32)
            b = tl.load(at_b + k * class_stride, mask=inside, other=0.0).to(tl.float32)
            c = tl.load(at_c + k * class_stride, mask=inside, other=0.0).to(tl.float32)
            d = tl.load(at_d + k * class_stride, mask=inside, other=0.0).to(tl.float32)
            a = tl.exp((a - most_a) * sharpness)
            b = tl.exp((b - most_b) * sharpness)
            c = tl.exp((c - most_c) * sharpness)
            d = tl.exp((d - most_d) * sharpness)
            sum_a += a
            sum_b += b
            sum_c += c
            sum_d += d
            if grouped:
                row = tl.load(group_rows + k)
                own_a += tl.where(row_a == row, a, 0.0)
                own_b += tl.where(row_b == row, b, 0.0)
                own_c += tl.where(row_c == row, c, 0.0)
                own_d += tl.where(row_d == row, d, 0.0)
        if grouped:
            upper = (1.0 - across) * (own_a / sum_a) + across * (own_b / sum_b)
            lower = (1.0 - across) * (own_c / sum_c) + across * (own_d / sum_d)
        else:
            upper = (1.0 - across) / sum_a + across / sum_b
            lower = (1.0 - across) / sum_c + across / sum_d
        level = tl.floor(((1.0 - down) * upper + down * lower) * 255.0 + 0.5)
        level = tl.minimum(tl.maximum(level, 0.0), 255.0)
        if threshold:
            label = tl.where(level < least, void, label).to(tl.uint8)
        if confidence:
            tl.store(levels + frame * height * width + place, level.to(tl.uint8), mask=inside)
    tl.store(labels + frame * height * width + place, label, mask=inside)
