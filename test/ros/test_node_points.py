"""~/points and unregistered depth on real DDS."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy")
pytest.importorskip("sensor_msgs.msg", reason="needs sensor_msgs")

from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from node_harness import (
    HEIGHT,
    LATCHED,
    SECOND,
    WIDTH,
    Rig,
    distances,
    engine,
    expected_labels,
    header,
    image,
    make_checkpoint,
    picture,
    pixels_of,
)
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, PointCloud2, PointField
from std_msgs.msg import Header

from asymfusion_ros.data import transform
from asymfusion_ros.engine.cloud import POINT
from asymfusion_ros.messages.geometry import is_rectified
from asymfusion_ros.ros.inputs.camera_info import beside
from asymfusion_ros.ros.inputs.transforms import StaticTransforms
from asymfusion_ros.ros.outputs import cloud
from asymfusion_ros.ros.segmentation import SegmentationNode

FOCAL = 50.0
CENTRE = (WIDTH - 1) / 2, (HEIGHT - 1) / 2


def info(frame_id="camera", width=WIDTH, height=HEIGHT, focal=FOCAL, **fields):
    """A rectified camera's whose axis goes through the middle of the image."""
    u, v = (width - 1) / 2, (height - 1) / 2
    message = CameraInfo(header=Header(frame_id=frame_id), width=width, height=height)
    message.distortion_model = "plumb_bob"
    message.d = [0.0] * 5
    message.k = [focal, 0.0, u, 0.0, focal, v, 0.0, 0.0, 1.0]
    message.p = [focal, 0.0, u, 0.0, 0.0, focal, v, 0.0, 0.0, 0.0, 1.0, 0.0]
    for name, value in fields.items():
        setattr(message, name, value)
    return message


class PointsRig(Rig):
    """A rig with publishers of camera_info and a listener on ~/points."""

    def __init__(self, *args, points=True, info_qos=10, info_topics=None, **options):
        super().__init__(*args, **options)
        topics = info_topics or {"rgb": "rgb/camera_info", "depth": "depth_registered/camera_info"}
        self.infos = {
            name: self.client.create_publisher(CameraInfo, topic, info_qos)
            for name, topic in topics.items()
            if info_topics or name in self.cameras
        }
        if points:
            self.received["points"] = []
            self.client.create_subscription(
                PointCloud2, "segmentation/points", self.received["points"].append, 10
            )

    def start(self, listening=()):
        super().start(listening)
        self.until(lambda: all(publisher.get_subscription_count() for publisher in self.infos.values()))
        return self

    def inform(self, **infos):
        """Sends camera_infos and waits until the node has them."""
        for name, message in infos.items():
            self.infos[name].publish(message)
        known = self.node.cameras[0].geometry._infos
        self.until(lambda: all(known[name].message == message for name, message in infos.items()))

    def points(self, stamp):
        message = self.mask(stamp, "points")
        return message, np.frombuffer(message.data, POINT).reshape(message.height, message.width)


@pytest.fixture(scope="module")
def shared_rig(checkpoint):
    rig = PointsRig(checkpoint, load=lambda settings: engine(checkpoint)).start()
    rig.inform(rgb=info())
    yield rig
    rig.close()


stamps = iter(range(100 * SECOND, 10**6 * SECOND, 10 * SECOND))


@pytest.fixture
def rig(shared_rig):
    shared_rig.log.clear()
    shared_rig.node.throttled_log.forget()
    return shared_rig


@pytest.fixture
def stamp():
    return next(stamps)


def test_the_cloud_is_organised_like_the_mask(rig, stamp, checkpoint):
    rgb, depth = picture(5), distances(5)
    rig.send(image(rgb, "rgb8", stamp), image(depth, "16UC1", stamp))
    message, points = rig.points(stamp)
    mask = rig.mask(stamp)
    assert message.header == mask.header
    assert (message.height, message.width) == (mask.height, mask.width) == (HEIGHT, WIDTH)
    assert (message.point_step, message.row_step) == (24, 24 * WIDTH)
    assert len(message.data) == 24 * WIDTH * HEIGHT
    assert not message.is_bigendian and not message.is_dense
    float32, uint32 = PointField.FLOAT32, PointField.UINT32
    assert [(one.name, one.offset, one.datatype, one.count) for one in message.fields] == [
        ("x", 0, float32, 1),
        ("y", 4, float32, 1),
        ("z", 8, float32, 1),
        ("rgb", 12, float32, 1),
        ("label", 16, uint32, 1),
        ("confidence", 20, float32, 1),
    ]
    metres = np.where(depth > 0, depth / 1000, np.nan)
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    np.testing.assert_allclose(points["z"], metres, rtol=1e-6)
    np.testing.assert_allclose(points["x"], (u - CENTRE[0]) / FOCAL * metres, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(points["y"], (v - CENTRE[1]) / FOCAL * metres, rtol=1e-5, atol=1e-6)
    assert np.isnan(points["z"]).sum() == 64
    np.testing.assert_array_equal(points["label"], pixels_of(mask))
    np.testing.assert_array_equal(points["label"], expected_labels(checkpoint, rgb, depth))
    red, green, blue = np.moveaxis(rgb.astype(np.uint32), -1, 0)
    np.testing.assert_array_equal(points["rgb"].view(np.uint32), red << 16 | green << 8 | blue)
    assert 0 < points["confidence"].min() <= points["confidence"].max() <= 1


def test_depth_of_another_size_and_layout(rig, stamp):
    small = (distances(2)[::2, ::2].astype(np.float32) / 1000).astype(">f4")
    rig.send(image(picture(2), "rgb8", stamp), image(small, "32FC1", stamp, pad=8))
    _, points = rig.points(stamp)
    expected = small.astype(np.float32).repeat(2, 0).repeat(2, 1)
    np.testing.assert_array_equal(points["z"], np.where(expected > 0, expected, np.nan))


def test_the_calibration_follows_its_topic(rig, stamp):
    rig.inform(rgb=info(focal=100.0))
    rig.send_frame(stamp)
    _, points = rig.points(stamp)
    np.testing.assert_allclose(points["x"][20, -1] / points["z"][20, -1], CENTRE[0] / 100, rtol=1e-5)
    rig.until(lambda: rig.logged("/rgb/camera_info: the calibration changed", "f = 100.0, 100.0"))
    # One for twice the size is scaled; a bad one is named, and the next good one used.
    rig.inform(rgb=info(width=2 * WIDTH, height=2 * HEIGHT, focal=100.0))
    rig.send_frame(stamp + SECOND)
    _, points = rig.points(stamp + SECOND)
    np.testing.assert_allclose(points["x"][20, -1] / points["z"][20, -1], CENTRE[0] / 50, rtol=1e-5)
    rig.inform(rgb=info(p=[0.0] * 12, k=[0.0] * 9))
    rig.send_frame(stamp + 2 * SECOND)
    rig.mask(stamp + 2 * SECOND)
    rig.until(lambda: rig.logged("~/points is not published: ", "/rgb/camera_info: ", "fx is 0"))
    rig.inform(rgb=info(width=2 * WIDTH))
    rig.send_frame(stamp + 3 * SECOND)
    rig.mask(stamp + 3 * SECOND)
    rig.inform(rgb=info())
    rig.send_frame(stamp + 4 * SECOND)
    rig.points(stamp + 4 * SECOND)
    assert len(rig.received["points"]) and not rig.node.cameras[0].geometry.faults(1e9)


def test_without_depth_the_cloud_is_empty_of_points(rig, stamp):
    covered = np.zeros((HEIGHT, WIDTH), np.uint16)
    rig.send(image(picture(1), "rgb8", stamp), image(covered, "16UC1", stamp))
    _, points = rig.points(stamp)
    assert all(np.isnan(points[name]).all() for name in "xyz")
    np.testing.assert_array_equal(points["label"], pixels_of(rig.mask(stamp)))


def test_without_camera_info_one_line_says_so_and_the_masks_go_on(checkpoint):
    rig = PointsRig(checkpoint, load=lambda settings: engine(checkpoint)).start()
    try:
        rig.good_frame_is_segmented(SECOND)
        rig.until(lambda: rig.logged("~/points is not published: nothing has come on", "/rgb/camera_info"))
        assert any("~/points" in line for line in rig.node.cameras[0].faults(1e9).values())  # for diagnostics
        # That of registered depth will do: it is the same camera.
        rig.inform(depth=info())
        rig.send_frame(2 * SECOND)
        rig.points(2 * SECOND)
        assert not rig.node.cameras[0].geometry.faults(1e9)
    finally:
        rig.close()


def test_depth_alone_has_points_of_its_own_camera(tmp_path):
    path = make_checkpoint(tmp_path / "depth.safetensors", ("depth",))
    rig = PointsRig(path, load=lambda settings: engine(path), modalities=("depth",)).start()
    try:
        rig.inform(depth=info("depth", focal=20.0))
        rig.send(depth=image(distances(1), "16UC1", SECOND, "depth"))
        message, points = rig.points(SECOND)
        assert message.header == header(SECOND, "depth")
        expected = CENTRE[0] / 20 * distances(1)[20, -1] / 1000
        np.testing.assert_allclose(points["x"][20, -1], expected, rtol=1e-5)
        assert not points["rgb"].any()
    finally:
        rig.close()


def test_a_network_without_depth_has_no_points_and_says_so(tmp_path):
    path = make_checkpoint(tmp_path / "rgb.safetensors", ("rgb",))
    topics = {"rgb": "rgb/camera_info"}
    rig = PointsRig(path, load=lambda settings: engine(path), modalities=("rgb",), info_topics=topics).start()
    try:
        rig.inform(rgb=info())
        rig.good_frame_is_segmented(SECOND)
        rig.until(lambda: rig.logged("~/points is not published: the checkpoint takes no depth"))
        assert not rig.received["points"]
    finally:
        rig.close()


def test_nobody_subscribes_no_points_are_made(checkpoint):
    rig = PointsRig(checkpoint, load=lambda settings: engine(checkpoint), points=False).start()
    try:
        rig.inform(rgb=info())
        network = rig.network.network
        asked = []

        class Noting:
            checkpoint = network.checkpoint

            def segment(self, given, confidence=True, **options):
                asked.append((confidence, options))
                return network.segment(given, confidence, **options)

        rig.network.network = Noting()
        rig.good_frame_is_segmented(SECOND)
        ((confidence, options),) = asked
        assert not confidence and "geometry" not in options
    finally:
        rig.close()


# The depth camera stands half a metre behind the colour camera and looks the same way.
NEARER = "0 0 -0.5 0 0 0 1"


def send_unregistered(rig, stamp):
    depth = np.full((HEIGHT // 2, WIDTH // 2), 2000, np.uint16)
    rig.send(image(picture(3), "rgb8", stamp, "rgb"), image(depth, "16UC1", stamp, "depth"))


def is_registered(rig, stamp, checkpoint):
    expected = expected_labels(checkpoint, picture(3), np.full((HEIGHT, WIDTH), 1500, np.uint16))
    np.testing.assert_array_equal(pixels_of(rig.mask(stamp)), expected)


def test_unregistered_depth_is_projected_into_the_colour_camera(checkpoint):
    rig = PointsRig(checkpoint, load=lambda settings: engine(checkpoint), depth_to_rgb=NEARER).start()
    try:
        rig.inform(rgb=info("rgb"), depth=info("depth", WIDTH // 2, HEIGHT // 2, FOCAL / 2))
        send_unregistered(rig, SECOND)
        is_registered(rig, SECOND, checkpoint)
        message, points = rig.points(SECOND)
        assert message.header == header(SECOND, "rgb")
        np.testing.assert_allclose(points["z"], 1.5, rtol=1e-6)
        rig.until(lambda: rig.logged("depth is projected into rgb's camera ('depth' to 'rgb')"))
        assert not rig.logged("resized") and not rig.logged("used as it is")
        # A depth camera that looks far to the left.
        rig.inform(
            depth=info(
                "depth", WIDTH, HEIGHT, p=[FOCAL, 0.0, 1e3, 0.0, 0.0, FOCAL, 24.0, 0.0, 0.0, 0.0, 1.0, 0.0]
            )
        )
        send_unregistered(rig, 2 * SECOND)
        rig.until(lambda: rig.logged("no pixel of depth falls into rgb's image", "depth_to_rgb"))
        labels = expected_labels(checkpoint, picture(3), None)
        np.testing.assert_array_equal(pixels_of(rig.mask(2 * SECOND)), labels)
    finally:
        rig.close()


def test_what_is_lacking_to_register_depth_is_said_once(checkpoint):
    rig = PointsRig(checkpoint, load=lambda settings: engine(checkpoint)).start()
    try:
        send_unregistered(rig, SECOND)
        rig.mask(SECOND)
        rig.until(lambda: rig.logged("depth is in frame 'depth', rgb in 'rgb', and is used as it is"))
        assert rig.logged("nothing has come on", "depth_registered/camera_info", "~/points is not published")
        rig.inform(rgb=info("rgb"), depth=info("depth"))
        send_unregistered(rig, 2 * SECOND)
        rig.mask(2 * SECOND)
        rig.spin(0.7)
        assert sum("used as it is" in line for line in rig.log) == 1
        assert not rig.logged("resized")  # one line, not two
        # The diagnostics have what is lacking now.
        fault = rig.node.cameras[0].geometry.faults(1e9)["registration"]
        assert "tf" in fault and "set the parameter depth_to_rgb" in fault
        assert not rig.received["points"]
    finally:
        rig.close()


def placed(parent, child, x):
    at = Transform(translation=Vector3(x=x), rotation=Quaternion(w=1.0))
    return TransformStamped(header=Header(frame_id=parent), child_frame_id=child, transform=at)


class Message:
    def __init__(self, *transforms):
        self.transforms = transforms


def test_transforms_of_tf_static(checkpoint):
    rig = Rig(checkpoint, listen=(), modalities=())
    try:
        static = StaticTransforms(rig.client, rig.node.throttled_log)
        bad = placed("base", "nowhere", 1.0)
        bad.transform.rotation.w = 0.0
        static.receive(Message(placed("base", "rgb", 0.1), bad, placed("base", "depth", 0.3)))
        assert static.between("depth", "rgb").translation == pytest.approx((0.2, 0.0, 0.0))
        assert static.between("depth", "nowhere") is None
        rig.until(lambda: rig.logged("/tf_static: frame 'nowhere' is ignored", "not a unit quaternion"))
        static.receive(Message("rubbish"))
        rig.until(lambda: rig.logged("transforms were lost", "AttributeError"))
        static.close()
    finally:
        rig.close()


def test_depth_is_registered_by_tf_static(checkpoint):
    tf2 = pytest.importorskip("tf2_msgs.msg", reason="needs tf2_msgs")
    rig = PointsRig(checkpoint, load=lambda settings: engine(checkpoint)).start()
    try:
        # /tf_static is not in the rig's namespace, and the rig's domain is its own.
        publisher = rig.client.create_publisher(tf2.TFMessage, "/tf_static", LATCHED)
        one = placed("rgb", "depth", 0.0)
        one.transform.translation.z = -0.5
        publisher.publish(tf2.TFMessage(transforms=[one]))
        rig.inform(rgb=info("rgb"), depth=info("depth", WIDTH // 2, HEIGHT // 2, FOCAL / 2))
        known = rig.node.cameras[0].geometry._transforms
        rig.until(lambda: known.between("depth", "rgb") is not None)
        send_unregistered(rig, SECOND)
        is_registered(rig, SECOND, checkpoint)
    finally:
        rig.close()


@pytest.mark.parametrize("value", ["0 0 0", "left", "0 0 0 0 0 0 9"])
def test_a_transform_that_is_none_refuses_to_configure(checkpoint, value):
    rig = Rig(checkpoint, listen=(), modalities=(), depth_to_rgb=value)
    try:
        assert not rig.node.start()
        rig.until(lambda: rig.logged("parameter depth_to_rgb: ", "or tf, to take it from /tf_static"))
    finally:
        rig.close()


def test_a_camera_info_published_once_before_the_node_was_there(checkpoint):
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    rig = PointsRig(checkpoint, load=lambda settings: engine(checkpoint), info_qos=latched)
    try:
        rig.infos["rgb"].publish(info())
        rig.start()
        known = rig.node.cameras[0].geometry._infos["rgb"]
        rig.until(lambda: known.model is not None)
    finally:
        rig.close()


def test_camera_info_is_beside_the_image_unless_it_is_remapped(checkpoint):
    rig = Rig(checkpoint, listen=(), modalities=())
    try:

        def topics(*remappings):
            arguments = [word for rule in remappings for word in ("-r", rule)]
            node = SegmentationNode(
                context=rig.context,
                namespace="/robot",
                cli_args=["--ros-args", *arguments],
                load=lambda settings: engine(checkpoint),
                parameter_overrides=[Parameter("checkpoint", value=str(checkpoint))],
            )
            try:
                assert node.start()
                return [one.topic for one in node.cameras[0].geometry._infos.values()]
            finally:
                node.close()
                node.destroy_node()

        assert topics() == ["/robot/rgb/camera_info", "/robot/depth_registered/camera_info"]
        assert topics("rgb/image_rect_color:=/camera/color/image_raw", "rgb/camera_info:=/calibration") == [
            "/calibration",
            "/robot/depth_registered/camera_info",
        ]
        assert topics("rgb/image_rect_color:=/camera/color/image_raw")[0] == "/camera/color/camera_info"
    finally:
        rig.close()


def test_names():
    assert beside("image") == "camera_info"
    assert beside("/camera/color/image_raw") == "/camera/color/camera_info"
    assert is_rectified("auto", "rgb", "/rgb/image_rect_color")
    assert is_rectified("auto", "depth", "/camera/depth/image_rect_raw")
    assert not is_rectified("auto", "depth", "/zed/depth/depth_registered")
    assert not is_rectified("auto", "rgb", "/direct/image_raw")
    assert is_rectified("all", "rgb", "/image_raw") and not is_rectified("none", "rgb", "/image_rect")
    assert is_rectified("depth", "depth", "/a") and not is_rectified("depth", "rgb", "/a")


def test_both_ways_to_make_a_cloud_give_the_same_bytes():
    pytest.importorskip("sensor_msgs_py", reason="needs sensor_msgs_py")
    points = np.zeros(12, POINT)
    for i, name in enumerate(POINT.names):
        points[name] = np.arange(12) * (i + 1)
    one, other = (make(header(5), points) for make in (cloud.by_hand, cloud.by_sensor_msgs_py))
    assert one == other
    assert cloud.cloud_maker() is cloud.by_sensor_msgs_py


def test_the_harness_transform_is_what_the_tests_say():
    assert transform.Transform.parse(NEARER).apply((0.0, 0.0, 2.0)) == (0.0, 0.0, 1.5)
