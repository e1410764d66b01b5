"""What a stranger adds to the node: an output topic and an input transport, a class and a line each."""

import json

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy")
pytest.importorskip("sensor_msgs.msg", reason="needs sensor_msgs")

from node_harness import SECOND, Rig, distances, engine, expected_labels, header, picture, pixels_of
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String

from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.errors import ImageError
from asymfusion_ros.messages.stamped_image import StampedImage
from asymfusion_ros.ros import segmentation as segmentation_module
from asymfusion_ros.ros.inputs.transports import TRANSPORTS, Entry


class Counts:
    """~/counts: how many pixels each class has."""

    topic = "~/counts"
    type = String
    needs = frozenset({"labels"})

    def __init__(self, settings):
        pass

    def message(self, scene):
        values, counts = np.unique(scene.result.labels, return_counts=True)
        return String(data=json.dumps(dict(zip(values.tolist(), counts.tolist()))))


def test_a_new_output_is_a_class_and_a_line(checkpoint, monkeypatch):
    monkeypatch.setattr(segmentation_module, "OUTPUTS", (*segmentation_module.OUTPUTS, Counts))
    rig = Rig(checkpoint, load=lambda settings: engine(checkpoint), listen=())
    try:
        received = []
        rig.client.create_subscription(String, "segmentation/counts", received.append, 10)
        rig.start(listening={"counts"})
        rig.send_frame(SECOND)
        rig.until(lambda: received)
        labels = expected_labels(checkpoint, picture(), distances())
        assert json.loads(received[0].data) == {
            str(value): int((labels == value).sum()) for value in np.unique(labels)
        }
    finally:
        rig.close()


class Png:
    """Images as PNG in sensor_msgs/CompressedImage."""

    message_type = CompressedImage
    suffix = "/compressed"

    def __init__(self, log):
        pass

    def decode(self, message, modality):
        if message.format != "png":
            raise ImageError(f"format {message.format!r} is not png")

        def read():
            pixels = cv2.imdecode(np.frombuffer(message.data, np.uint8), cv2.IMREAD_UNCHANGED)
            return RawImage.from_array(pixels, "bgr8" if modality.kind == "colour" else "16UC1")

        return StampedImage(message.header, read)


def test_a_new_transport_is_a_class_and_a_line(checkpoint, monkeypatch):
    monkeypatch.setitem(TRANSPORTS, "raw", Entry(lambda: Png, ("colour", "range")))
    rig = Rig(checkpoint, load=lambda settings: engine(checkpoint), modalities=())
    try:
        topics = {"rgb": "rgb/image_rect_color", "depth": "depth_registered/image_rect"}
        for name, topic in topics.items():
            rig.cameras[name] = rig.client.create_publisher(CompressedImage, f"{topic}/compressed", 10)
        rig.start()

        def png(pixels, format="png"):
            data = cv2.imencode(".png", pixels)[1].tobytes()
            return CompressedImage(header=header(SECOND), format=format, data=data)

        rig.send(png(picture()[..., ::-1], format="jpeg"))
        rig.until(lambda: rig.logged("/rgb/image_rect_color/compressed", "format 'jpeg' is not png"))
        rig.send(png(picture()[..., ::-1]), png(distances()))
        labels = expected_labels(checkpoint, picture(), distances())
        np.testing.assert_array_equal(pixels_of(rig.mask(SECOND)), labels)
    finally:
        rig.close()
