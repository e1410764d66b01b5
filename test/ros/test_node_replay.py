"""A replayed bag has the masks that the node publishes for the same images."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy")
pytest.importorskip("sensor_msgs.msg", reason="needs sensor_msgs")

import recorded
from node_harness import SECOND, engine, image, pixels_of
from recorded import DEPTH, RGB, camera_info, distances, picture, static_transform, write_bag
from sensor_msgs.msg import CameraInfo

from asymfusion_ros.cli.main import main
from asymfusion_ros.recordings.bag_file import BagFile

T0 = 100 * SECOND
FRAMES = 5
TRANSFORM = "-0.05 0 0 0 0 0 1"  # from the infrared camera to the colour camera


def images(frame_id):
    """(topic, stamp, pixels, encoding, frame) of each image, in the order in which they come: a
    depth image is covered, and a colour image has no partner."""
    found = []
    for index in range(FRAMES):
        stamp = T0 + index * SECOND // 10
        depth = distances(index) if index != 2 else np.zeros_like(distances(2))
        found.append((RGB, stamp, picture(index), "rgb8", "colour"))
        found.append((DEPTH, stamp + 7_000_000, depth, "16UC1", frame_id))
    alone = T0 + SECOND // 20
    found.insert(2, (RGB, alone, picture(50), "rgb8", "colour"))
    return found


@pytest.mark.parametrize("frame_id", ["colour", "ir"])
def test_the_masks_are_the_nodes(tmp_path, checkpoint, make_rig, frame_id):
    sent = images(frame_id)
    infos = {
        "rgb": ("rgb/camera_info", "/camera/color/camera_info", camera_info("colour", 50.0)),
        "depth": ("depth_registered/camera_info", "/camera/depth/camera_info", camera_info("ir", 60.0)),
    }
    messages = [("/tf_static", T0 - 2, static_transform("ir", "colour", 0.05))]
    messages += [(topic, T0 - 1, message) for _, topic, message in infos.values()]
    messages += [
        (topic, stamp, recorded.image(stamp, pixels, encoding, frame))
        for topic, stamp, pixels, encoding, frame in sent
    ]
    bag = write_bag(tmp_path / "walk", messages)
    words = ["--output", str(tmp_path / "out"), "--checkpoint", str(checkpoint), "--device", "cpu"]
    # The bag's depth topic has the word rect, as the node's; its colour topic does not.
    assert main(["replay", str(bag), *words, "--rectified", "all"]) == 0
    with BagFile(tmp_path / "out/walk/masks") as opened:
        replayed = [found.content for found in opened.messages(["/segmentation/mask"])]

    options = {"depth_to_rgb": TRANSFORM, "rectified": "all"}
    rig = make_rig(load=lambda settings: engine(checkpoint), listen=("mask",), **options)
    publishers = {
        name: rig.client.create_publisher(CameraInfo, topic, 10) for name, (topic, _, _) in infos.items()
    }
    rig.start()
    rig.until(lambda: all(one.get_subscription_count() for one in publishers.values()))
    known = rig.node.cameras[0].geometry._infos
    for name, (_, _, info) in infos.items():
        message = CameraInfo(width=info.width, height=info.height, k=info.k, d=info.d, p=info.p)
        message.header.frame_id, message.distortion_model = info.header.frame_id, info.distortion_model
        publishers[name].publish(message)
    rig.until(lambda: all(known[name].message is not None for name in infos))
    masks = 0
    for topic, stamp, pixels, encoding, frame in sent:
        name = "rgb" if topic == RGB else "depth"
        rig.send(**{name: image(pixels, encoding, stamp, frame)})
        if name == "depth":  # each is segmented before the next comes: the node would drop it
            masks += 1
            rig.until(lambda wanted=masks: len(rig.received["mask"]) == wanted)
    assert len(replayed) == masks == FRAMES
    for one, other in zip(replayed, rig.received["mask"], strict=True):
        assert (one.header.stamp.sec, one.header.stamp.nanosec) == (
            other.header.stamp.sec,
            other.header.stamp.nanosec,
        )
        assert one.header.frame_id == other.header.frame_id
        np.testing.assert_array_equal(one.data.reshape(one.height, one.width), pixels_of(other))
    # With depth that lies elsewhere in the colour image there are other masks.
    if frame_id == "ir":
        as_it_is = engine(checkpoint)(picture(0), distances(0)).numpy().labels
        assert (replayed[0].data.reshape(as_it_is.shape) != as_it_is).any()
