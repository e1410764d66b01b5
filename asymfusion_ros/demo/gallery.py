"""The files that a run of the demo leaves: a picture a second, a contact sheet, an animation."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from asymfusion_ros.atomic_write import whole
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.demo.pictures import Caption, Painter, contact_sheet, save_animation
from asymfusion_ros.demo.summary import Statistics, Summary
from asymfusion_ros.recordings.recording import NANOSECONDS

if TYPE_CHECKING:  # it loads rclpy, which must find its environment set
    from asymfusion_ros.demo.collector import Collector


def write_pictures(collector: Collector, labels: LabelSet, summary: Summary, output: Path) -> dict[str, str]:
    """Writes what was collected under ``output``; returns names for people -> paths."""
    statistics, stills, moving = collector.statistics, collector.pictures.views, collector.animation.views
    if not stills:  # masks came, but no overlay or RGB image with their stamps
        return {}
    painter = Painter(labels, stills)
    pictures = [painter.picture(view, caption(statistics, view.stamp)) for view in stills]
    paths = [output / f"second_{number:02d}.png" for number in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        with whole(path) as partial:
            picture.save(partial, "PNG", compress_level=1)  # much faster, little larger
    heading = f"AsymFusion: {summary.masks} masks of {summary.rgb_sent} RGB-D frames over ROS 2 topics"
    if summary.latency_median_ms is not None:
        heading += f"; from image to mask {summary.latency_median_ms:.0f} ms (median)"
    sheet, animation = output / "contact_sheet.png", output / "animation.webp"
    with whole(sheet) as partial:
        contact_sheet(pictures, heading).save(partial, "PNG")
    frames = [painter.picture(view, caption(statistics, view.stamp), view.rgb.shape[1]) for view in moving]
    # As long as in the recording: where masks were slow to come, a frame stays.
    stamps = [view.stamp for view in moving]
    durations = [(after - before) / NANOSECONDS for before, after in itertools.pairwise(stamps)]
    save_animation(frames, animation, [*durations, collector.animation.interval])
    named = str(paths[0]) if len(paths) == 1 else f"{paths[0]} ... {paths[-1].name}"
    return {"pictures": named, "contact sheet": str(sheet), "animation": str(animation)}


def caption(statistics: Statistics, stamp: int) -> Caption:
    """When the frame was taken, how long its mask took, and how many masks came around that time."""
    seconds = (stamp - min(statistics.masks)) / NANOSECONDS
    words = []
    if stamp in statistics.rgb_sent:
        words.append(
            f"{(statistics.masks[stamp] - statistics.rgb_sent[stamp]) / 1e6:.0f} ms from image to mask"
        )
    around = statistics.masks_within(stamp, stamp + NANOSECONDS)
    words.append("1 mask in this second" if around == 1 else f"{around} masks in this second")
    return Caption(f"{seconds:.1f} s", ", ".join(words))
