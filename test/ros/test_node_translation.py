"""The node `translation`: image topics in, one image out, by the parts that the segmentation node has."""

from pathlib import Path

import numpy as np
import pytest
import yaml

pytest.importorskip("rclpy", reason="needs rclpy")
pytest.importorskip("sensor_msgs.msg", reason="needs sensor_msgs")

from helpers import write_checkpoint
from node_harness import HEIGHT, SECOND, WIDTH, Rig, distances, image, pixels_of, shades
from sensor_msgs.msg import Image
from unets import register_tiny_unet, write_translation_checkpoint

from asymfusion_ros import Translator
from asymfusion_ros.data.topics import image_topic
from asymfusion_ros.ros import network
from asymfusion_ros.ros.common_settings import configuration_file
from asymfusion_ros.ros.main import parser
from asymfusion_ros.ros.translation import PROGRAM, TranslationNode
from asymfusion_ros.ros.translation_settings import TranslationSettings

TOPICS = ("depth", "shade")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        register_tiny_unet(patch)
        patch.setattr(network, "WARM_UP_SIZE", (HEIGHT, WIDTH))
        yield write_translation_checkpoint(tmp_path_factory.mktemp("night") / "night.safetensors")


@pytest.fixture
def rig(checkpoint):
    rigs = []

    def make(path=checkpoint, **values):
        options = {"listen": ("image",), "modalities": TOPICS, "device": "cpu", **values}
        rigs.append(Rig(path, make_node=TranslationNode, **options))
        return rigs[-1]

    yield make
    for one in rigs:
        one.close()


def test_images_become_one_image(checkpoint, rig):
    started = rig(precision="fp32", missing_after=0.2).start()
    started.until(lambda: started.logged("rgb images of depth and shade"))
    started.send_frame(SECOND)
    message = started.mask(SECOND, "image")
    assert (message.encoding, message.height, message.width) == ("rgb8", HEIGHT, WIDTH)
    assert message.header.frame_id == "camera"
    translator = Translator.from_checkpoint(checkpoint, device="cpu", precision="fp32")
    expected = translator(depth=distances(), shade=shades()).numpy().image
    np.testing.assert_array_equal(pixels_of(message), expected)
    # without one of its images it goes on, as the segmentation node does
    started.unplug("shade")
    stamps = iter(range(2 * SECOND, 1000 * SECOND, SECOND // 10))

    def of_depth_alone():
        started.send_frame(next(stamps), names=["depth"])
        started.spin(0.1)
        return len(started.received["image"]) > 1

    started.until(of_depth_alone)
    alone = translator(depth=distances()).numpy().image
    np.testing.assert_array_equal(pixels_of(started.received["image"][-1]), alone)
    counted = started.counters.to_dict()
    assert counted["translated"] == counted["published_image"] >= 2
    assert "segmented" not in counted and "translated " in started.counters.summary()


def test_diagnostics_are_the_shared_ones(rig):
    messages = pytest.importorskip("diagnostic_msgs.msg")
    started = rig()
    received = []
    started.client.create_subscription(messages.DiagnosticArray, "/diagnostics", received.append, 10)
    started.start()
    started.send_frame(SECOND)
    started.mask(SECOND, "image")

    def told():
        own = [
            s
            for m in received
            for s in m.status
            if s.name == f"{started.namespace[1:]}/translation: translation"
        ]
        return own and {one.key: one.value for one in own[-1].values}.get("translated") == "1"

    started.until(told)


def test_a_bad_image_is_refused_and_the_next_is_translated(rig):
    started = rig().start()
    started.send(shade=image(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "rgb8", SECOND))
    started.until(lambda: started.logged("shade/image_rect: image skipped", "is not one of shade"))
    started.send_frame(2 * SECOND)
    assert started.mask(2 * SECOND, "image").height == HEIGHT


def test_two_cameras_share_the_network(checkpoint, rig):
    started = rig(cameras=["left", "right"], modalities=(), listen=())
    for camera in ("left", "right"):
        started.listen(f"{camera}/image")
        for name in TOPICS:
            topic = f"{camera}/{image_topic(name)}"
            publisher = started.client.create_publisher(Image, topic, started.qos)
            started.cameras[f"{camera}_{name}"] = publisher
    assert started.node.start()
    started.until(lambda: all(p.get_subscription_count() for p in started.cameras.values()))
    started.until(
        lambda: all(started.node.count_subscribers(f"translation/{c}/image") for c in ("left", "right"))
    )
    for seed, camera in enumerate(("left", "right")):
        started.cameras[f"{camera}_depth"].publish(image(distances(seed), "16UC1", SECOND))
        started.cameras[f"{camera}_shade"].publish(image(shades(seed), "mono8", SECOND))
    translator = Translator.from_checkpoint(checkpoint, device="cpu")
    for seed, camera in enumerate(("left", "right")):
        expected = translator(depth=distances(seed), shade=shades(seed)).numpy().image
        found = pixels_of(started.mask(SECOND, f"{camera}/image"))
        assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("kind", ["none", "masks"])
def test_a_checkpoint_that_makes_no_images_is_refused(tmp_path, rig, kind):
    path, words = "", "no checkpoint is given: set the parameter checkpoint"
    if kind == "masks":
        path, words = write_checkpoint(tmp_path / "masks.safetensors"), "makes no images"
    refusing = rig(path)
    assert not refusing.node.start()
    refusing.until(lambda: refusing.logged(words))


def test_its_parameters_are_listed_in_a_file_and_in_help():
    path = Path(__file__).parents[2] / "config" / "translation.yaml"
    # python -m asymfusion_ros.ros.translation_settings > config/translation.yaml
    assert path.read_text() == configuration_file(TranslationSettings, "translation")
    listed = yaml.safe_load(path.read_text())["/**"]["ros__parameters"]
    assert "slop" in listed and "label_groups" not in listed and "publish_mask" not in listed
    text = parser(PROGRAM).format_help()
    assert "translation_node --ros-args -p checkpoint:=" in text
    assert all(f"  {name} (default" in text for name in listed)
