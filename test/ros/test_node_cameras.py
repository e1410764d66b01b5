"""Several cameras and one network: topics, turns, batches, and one camera's fault that stays its own."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs rclpy")
pytest.importorskip("sensor_msgs.msg", reason="needs sensor_msgs")

from node_harness import (
    HEIGHT,
    SECOND,
    WIDTH,
    Rig,
    distances,
    engine,
    expected_labels,
    image,
    picture,
    pixels_of,
)
from sensor_msgs.msg import Image

from asymfusion_ros.engine.segmenter import Wanted
from asymfusion_ros.ros import network
from asymfusion_ros.ros import node as node_module
from asymfusion_ros.ros.common_settings import wrong_names

INPUTS = {"rgb": "rgb/image_rect_color", "depth": "depth_registered/image_rect"}


class Cameras(Rig):
    """A node with cameras of these names, and publishers and a mask's listener for each."""

    def __init__(self, checkpoint, *names, **options):
        load = options.pop("load", lambda settings: engine(checkpoint))
        super().__init__(checkpoint, load=load, listen=(), modalities=(), cameras=list(names), **options)
        self.names = names
        self.publishers = {
            (name, modality): self.client.create_publisher(Image, f"{name}/{topic}", self.qos)
            for name in names
            for modality, topic in INPUTS.items()
        }
        for name in names:
            self.listen(f"{name}/mask")

    def connected(self, topics=None):
        return all(one.get_subscription_count() == 1 for one in self.publishers.values()) and all(
            self.node.pipelines[name].publishers.subscribed() == {"~/mask"}
            and self.client.count_publishers(f"segmentation/{name}/mask")
            for name in self.names
        )

    def send_to(self, name, stamp, rgb=None, depth=None):
        self.publishers[name, "rgb"].publish(image(picture() if rgb is None else rgb, "rgb8", stamp, name))
        given = distances() if depth is None else depth
        self.publishers[name, "depth"].publish(image(given, "16UC1", stamp, name))

    def counters_of(self, name):
        return self.node.pipelines[name].counters


@pytest.fixture
def make_cameras(checkpoint):
    rigs = []

    def make(*names, **options):
        rigs.append(Cameras(checkpoint, *names, **options))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


def test_each_camera_has_topics_of_its_own_and_its_own_masks(make_cameras, checkpoint):
    rig = make_cameras("front", "rear", "left").start()
    for seed, name in enumerate(rig.names):
        rig.send_to(name, SECOND, picture(seed), distances(seed))  # all of one stamp
    for seed, name in enumerate(rig.names):
        mask = rig.mask(SECOND, f"{name}/mask")
        assert mask.header.frame_id == name
        np.testing.assert_array_equal(
            pixels_of(mask), expected_labels(checkpoint, picture(seed), distances(seed))
        )
    offered = {
        name.removeprefix(f"{rig.namespace}/segmentation/")
        for name, _ in rig.node.get_publisher_names_and_types_by_node("segmentation", rig.namespace)
    }
    assert {"front/mask", "rear/confidence", "left/overlay"} <= offered
    assert not {"mask", "confidence", "overlay"} & offered
    rig.until(lambda: rig.logged("waiting for pairs", "/front/rgb/image_rect_color"))


def test_one_cameras_faults_are_its_own(make_cameras, checkpoint, monkeypatch):
    monkeypatch.setattr("asymfusion_ros.stream.frame_maker.SILENT_AFTER", 0.5)
    rig = make_cameras("good", "junk", "silent").start()
    own = rig.network

    def fail_for_red(given, *arguments, **options):
        if (given["rgb"].pixels()[..., 0] == 255).all():
            raise RuntimeError("the driver is gone")
        return own.network.segment(given, *arguments, **options)

    monkeypatch.setattr(own, "segment", fail_for_red)
    red = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    short = image(picture(), "rgb8", 5 * SECOND)
    short.height += 1  # its data are cut short
    for second in range(1, 5):
        rig.send_to("junk", second * SECOND, rgb=red)
        rig.publishers["junk", "rgb"].publish(short)
        rig.send_to("good", second * SECOND)
        rig.until(lambda failed=second: rig.counters_of("junk").failed == failed)
        assert rig.mask(second * SECOND, "good/mask").height == HEIGHT
    rig.until(lambda: rig.logged("junk: a frame was not segmented", "the driver is gone"))
    rig.until(lambda: rig.logged("junk: ", "/junk/rgb/image_rect_color", "cut short"))
    rig.until(lambda: rig.logged("silent: ", "/silent/rgb/image_rect_color: silent for"))
    good, junk = rig.counters_of("good"), rig.counters_of("junk")
    assert (good.segmented, good.failed, good.rejected) == (4, 0, 0)
    assert (junk.segmented, junk.failed, junk.rejected) == (0, 4, 4)
    # The next good frame of the camera that failed is segmented.
    rig.send_to("junk", 9 * SECOND)
    assert rig.mask(9 * SECOND, "junk/mask").height == HEIGHT


def test_the_diagnostics_have_a_status_for_each_camera(make_cameras):
    messages = pytest.importorskip("diagnostic_msgs.msg", reason="needs diagnostic_msgs")
    rig = make_cameras("front", "rear")
    found = {}

    def note(array):
        for status in array.status:
            found[status.name.rsplit(": ", 1)[1]] = {one.key: one.value for one in status.values}

    rig.client.create_subscription(messages.DiagnosticArray, "/diagnostics", note, 10)
    rig.start()
    rig.send_to("front", SECOND)
    rig.mask(SECOND, "front/mask")
    rig.until(lambda: found.get("front", {}).get("segmented") == "1")
    assert found["rear"]["segmented"] == "0" and found["rear"]["received_rgb"] == "0"
    assert found["segmentation"]["state"] == "active" and "segmented" not in found["segmentation"]


def test_cameras_can_be_configured_anew(make_cameras, checkpoint):
    rig = make_cameras("front", "rear").start()
    rig.send_to("rear", SECOND)
    rig.mask(SECOND, "rear/mask")
    assert rig.node.trigger_deactivate() and rig.node.trigger_cleanup()
    assert not rig.node.pipelines
    assert rig.start()
    rig.send_to("rear", 2 * SECOND)
    rig.mask(2 * SECOND, "rear/mask")
    assert rig.counters_of("rear").segmented == 2


def test_frames_that_wait_are_segmented_in_one_call_where_the_device_is_a_gpu(
    make_cameras, checkpoint, monkeypatch
):
    # No GPU is needed to see that: what decides it is replaced.
    monkeypatch.setattr(node_module, "batch_size", lambda backend, cameras: cameras)
    rig = make_cameras("front", "rear").start()
    calls = []
    segment_batch = rig.network.segment_batch

    def noted(frames):
        calls.append(len(frames))
        return segment_batch(frames)

    monkeypatch.setattr(rig.network, "segment_batch", noted)
    slots = rig.node._worker.slots
    with slots._condition:  # the consumer waits until both frames are there
        for seed, name in enumerate(rig.names):
            rig.send_to(name, SECOND, picture(seed), distances(seed))
        rig.until(lambda: len(slots._waiting) == 2)
    for seed, name in enumerate(rig.names):
        np.testing.assert_array_equal(
            pixels_of(rig.mask(SECOND, f"{name}/mask")),
            expected_labels(checkpoint, picture(seed), distances(seed)),
        )
    assert calls == [2]

    def fail(frames):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(rig.network, "segment_batch", fail)
    with slots._condition:
        for name in rig.names:
            rig.send_to(name, 2 * SECOND)
        rig.until(lambda: len(slots._waiting) == 2)
    for name in rig.names:
        rig.mask(2 * SECOND, f"{name}/mask")
    rig.until(lambda: rig.logged("2 cameras could not be segmented together", "out of memory"))


def test_a_batch_gives_what_each_frame_alone_gives(checkpoint):
    segmenter = engine(checkpoint)
    frames = [
        ({"rgb": picture(1), "depth": distances(1)}, Wanted()),
        ({"rgb": picture(2)}, Wanted(confidence=False)),  # of other modalities
        ({"rgb": picture(3), "depth": distances(3)}, Wanted(disagreement=True)),
        ({"rgb": picture(4, 64, 64), "depth": distances(4, 64, 64)}, Wanted()),  # of another size
    ]
    segmenter.warm_up(HEIGHT, WIDTH, batch=2)  # what goes through the network together changes nothing
    for (given, wanted), found in zip(frames, segmenter.segment_batch(frames), strict=True):
        alone = segmenter.segment(given, wanted.confidence, wanted.disagreement)
        assert (found.labels == alone.labels).float().mean() > 0.999  # sums in another order
        assert (found.confidence is None) == (alone.confidence is None)
        assert (found.disagreement is None) == (alone.disagreement is None)
        if found.confidence is not None:
            assert (found.confidence.int() - alone.confidence.int()).abs().max() <= 1
        if found.disagreement is not None:
            assert (found.disagreement.int() - alone.disagreement.int()).abs().max() <= 1


@pytest.mark.parametrize(
    ("device", "backend", "cameras", "size"),
    [("cuda", "torch", 3, 3), ("cuda", "torch", 1, 1), ("cpu", "torch", 3, 1), ("cuda", "onnxruntime", 3, 1)],
)
def test_only_a_gpu_segments_several_frames_at_once(device, backend, cameras, size):
    found = SimpleNamespace(device=SimpleNamespace(type=device), name=backend)
    assert network.batch_size(found, cameras) == size


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("",), ""),
        (("front", "rear_2"), ""),
        (("front left",), "'front left' can't be a part of a topic's name"),
        (("2nd",), "'2nd' can't"),
        (("a/b",), "'a/b' can't"),
        (("a", "b", "a"), "'a' is there twice"),
        (("a", ""), "one name is empty"),
    ],
)
def test_cameras_names_are_checked(names, words):
    assert wrong_names(names).startswith(words) and bool(wrong_names(names)) == bool(words)


def test_a_wrong_name_refuses_to_configure(make_cameras):
    rig = make_cameras("front", "front")
    assert not rig.node.start()
    rig.until(lambda: rig.logged("cameras: 'front' is there twice; give each camera a name of its own"))
