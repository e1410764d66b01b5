"""`asymfusion view --live` beside a node, on real DDS."""

from __future__ import annotations

import os
import signal
import threading
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy")
pytest.importorskip("rerun", reason="needs rerun-sdk")

from helpers import refused
from node_harness import SECOND, distances, pixels_of
from rrd import images, one, read_rrd, times

from asymfusion_ros.cli.main import main

T0 = 1_700_000_000 * SECOND


class Beside(threading.Thread):
    """Spins the rig, shows its node's frames to whoever listens, and ends the command as Ctrl-C does."""

    def __init__(self, rig, frames):
        super().__init__(daemon=True)
        self.rig, self.frames = rig, frames
        self.failed = None

    def run(self):
        rig = self.rig
        try:
            topics = [f"segmentation/{name}" for name in ("mask", "confidence", "disagreement")]
            rig.until(lambda: all(rig.node.count_subscribers(topic) >= 2 for topic in topics), 60)
            rig.until(lambda: all(camera.get_subscription_count() == 2 for camera in rig.cameras.values()))
            rig.spin(1.0)  # for the viewer to see the node's publishers too
            for index in range(self.frames):
                rig.send_frame(T0 + index * SECOND // 10, seed=index)
                rig.mask(T0 + index * SECOND // 10, "disagreement")
            rig.spin(1.0)
        except BaseException as error:
            self.failed = error
        os.kill(os.getpid(), signal.SIGINT)


def test_a_nodes_images_and_masks_are_shown_as_they_come(make_rig, checkpoint, tmp_path, monkeypatch, capsys):
    rig = make_rig(listen=("mask", "confidence", "disagreement")).start()
    monkeypatch.setenv("ROS_DOMAIN_ID", str(rig.domain))
    path = tmp_path / "live.rrd"
    beside = Beside(rig, frames=5)
    beside.start()
    node = f"{rig.namespace}/segmentation"
    words = ["view", "--live", "--node", node, "--checkpoint", str(checkpoint), "--save", str(path)]
    assert main(words) == 0
    beside.join()
    assert beside.failed is None
    assert f"{node}: 5 frames" in capsys.readouterr().out
    found = read_rrd(path)
    stamps = [T0 + index * SECOND // 10 for index in range(5)]
    assert times(found["/camera/mask"], "SegmentationImage:buffer") == stamps
    masks = images(found["/camera/mask"], "SegmentationImage")
    levels = {name: images(found[f"/camera/{name}"], "Image") for name in ("confidence", "disagreement")}
    depths = images(found["/camera/depth"], "DepthImage", np.uint16)
    for index, stamp in enumerate(stamps):
        np.testing.assert_array_equal(masks[index], pixels_of(rig.mask(stamp)))
        for name, shown in levels.items():
            np.testing.assert_array_equal(shown[index], pixels_of(rig.mask(stamp, name)))
        np.testing.assert_array_equal(depths[index], distances(index))
    assert len({mask.tobytes() for mask in masks}) == 5
    assert times(found["/latency/mask"], "Scalars:scalars") == stamps
    context = one(found["/"], "AnnotationContext:context")[0]
    assert context[5]["class_description"]["info"]["label"] == "robot"


def test_names_of_labels_are_those_of_label_info():
    """vision_msgs comes only with ROS distributions: a stand-in plays its message."""
    from asymfusion_ros.ros.output_listener import label_names

    named = [(0, "road"), (2, "sky"), (255, "unlabeled")]
    classes = [SimpleNamespace(class_id=number, class_name=name) for number, name in named]
    assert label_names(SimpleNamespace(class_map=classes)) == ("road", "1", "sky")


def test_without_a_node_one_line_says_so(capsys, monkeypatch, tmp_path):
    from asymfusion_ros.ros import output_listener

    monkeypatch.setattr(output_listener, "WAIT", 0.5)
    line = refused(capsys, "view", "--live", "--node", "/nobody", "--save", tmp_path / "a.rrd")
    assert "no node /nobody subscribes to images: start it" in line
