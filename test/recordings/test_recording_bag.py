"""Recordings from bags: a real ROS 1 recording, and ROS 2 ones written here."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from encoders import compressed_depth
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from asymfusion_ros.errors import UserError
from asymfusion_ros.recordings.bag import (
    BagRecording,
    ImageTopic,
    camera_info_for,
    choose_topic,
    decode_compressed,
)
from asymfusion_ros.recordings.recording import RecordingError

BAGS = Path(__file__).resolve().parents[3] / "shared" / "data" / "bags"
REALSENSE = BAGS / "realsense_single_depth_color_640x480.bag"
STORE = get_typestore(Stores.ROS2_HUMBLE)
COLOUR, DEPTH = "/camera/color/image_raw", "/camera/depth/image_rect"
SECOND = 10**9


def header(stamp: int):
    time = STORE.types["builtin_interfaces/msg/Time"](sec=stamp // SECOND, nanosec=stamp % SECOND)
    return STORE.types["std_msgs/msg/Header"](stamp=time, frame_id="camera")


def image(stamp: int, pixels: np.ndarray, encoding: str):
    return STORE.types["sensor_msgs/msg/Image"](
        header=header(stamp),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=int(pixels.dtype.byteorder == ">"),
        step=pixels.strides[0],
        data=pixels.reshape(-1).view(np.uint8),
    )


def compressed(stamp: int, data: bytes, form: str):
    return STORE.types["sensor_msgs/msg/CompressedImage"](
        header=header(stamp), format=form, data=np.frombuffer(data, np.uint8)
    )


def write_bag(path: Path, messages: list, storage: StoragePlugin = StoragePlugin.MCAP) -> Path:
    """``messages``: (topic, time of arrival in nanoseconds, message)."""
    with Writer(path, version=9, storage_plugin=storage) as writer:
        connections = {}
        for topic, time, message in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, message.__msgtype__, typestore=STORE)
            writer.write(connections[topic], time, STORE.serialize_cdr(message, message.__msgtype__))
    return path


def pictures(count: int, stamp: int = 100 * SECOND, step: int = SECOND // 10) -> list:
    """``count`` RGB and big-endian depth images, the depth arriving 2 ms later with the same stamp."""
    messages = []
    for index in range(count):
        time = stamp + index * step
        messages.append((COLOUR, time, image(time, np.full((4, 6, 3), index, np.uint8), "rgb8")))
        depth = np.full((4, 6), 1000 + index, ">u2")
        messages.append((DEPTH, time + 2_000_000, image(time, depth, "16UC1")))
    return messages


@pytest.mark.parametrize("storage", list(StoragePlugin), ids=lambda storage: storage.name)
def test_a_ros2_bag_is_played_as_it_was_recorded(tmp_path, storage):
    recording = BagRecording(write_bag(tmp_path / "bag", pictures(3), storage))
    assert recording.images == {"rgb": 3, "depth": 3}
    samples = list(recording)
    assert [sample.modality for sample in samples] == ["rgb", "depth"] * 3
    assert [sample.due for sample in samples] == [
        0,
        2_000_000,
        100_000_000,
        102_000_000,
        200_000_000,
        202_000_000,
    ]
    assert [sample.stamp for sample in samples] == [t for t in (0, 100_000_000, 200_000_000) for _ in "ab"]
    depth = samples[3]
    assert (depth.encoding, depth.bigendian, depth.step, depth.frame_id) == ("16UC1", True, 12, "camera")
    assert depth.data.view(">u2").tolist() == [1001] * 24


def test_seconds_end_it_early(tmp_path):
    recording = BagRecording(write_bag(tmp_path / "bag", pictures(5)), seconds=0.15)
    assert recording.images == {"rgb": 2, "depth": 2} and recording.seconds == 0.15
    assert len(list(recording)) == 4


def test_without_header_stamps_the_times_of_arrival_are_used(tmp_path):
    messages = pictures(2)
    for _, _, message in messages:
        message.header.stamp.sec = message.header.stamp.nanosec = 0
    recording = BagRecording(write_bag(tmp_path / "bag", messages))
    assert [sample.stamp for sample in recording] == [0, 2_000_000, 100_000_000, 102_000_000]
    assert "no header stamps" in recording.title


def test_compressed_images_are_decoded(tmp_path):
    red = np.zeros((4, 6, 3), np.uint8)
    red[..., 2] = 200  # OpenCV writes BGR
    depth = np.full((4, 6), 1234, np.uint16)
    messages = [
        ("/rgb/compressed", SECOND, compressed(SECOND, cv2.imencode(".png", red)[1].tobytes(), "rgb8; png")),
        (
            "/depth/compressedDepth",
            SECOND,
            compressed(
                SECOND, bytes(12) + cv2.imencode(".png", depth)[1].tobytes(), "16UC1; compressedDepth"
            ),
        ),
    ]
    samples = {sample.modality: sample for sample in BagRecording(write_bag(tmp_path / "bag", messages))}
    assert samples["rgb"].encoding == "bgr8" and samples["rgb"].data[:3].tolist() == [0, 0, 200]
    assert samples["depth"].encoding == "16UC1" and samples["depth"].data.view("<u2")[0] == 1234


def test_float_depth_is_stored_as_inverse_depth():
    # depth = a / (value - b) with a = 100, b = 50: 150 is 1 m, 250 is 0.5 m
    stored = np.array([[0, 150, 250]], np.uint16)
    parameters = bytes(4) + np.array([100, 50], "<f4").tobytes()
    data = np.frombuffer(parameters + cv2.imencode(".png", stored)[1].tobytes(), np.uint8)
    depth, encoding = decode_compressed(data, "32FC1; compressedDepth", "depth")
    assert encoding == "32FC1"
    assert np.isnan(depth[0, 0]) and depth[0, 1:].tolist() == [1.0, 0.5]


def test_depth_in_rvl_and_jpeg_colour_are_played(tmp_path):
    depth = np.full((4, 6), 1234, np.uint16)
    depth[1] = 0
    grey = np.full((4, 6, 3), 90, np.uint8)
    jpeg = cv2.imencode(".jpg", grey)[1].tobytes()
    messages = [
        ("/rgb/compressed", SECOND, compressed(SECOND, jpeg, "rgb8; jpeg compressed bgr8")),
        (
            "/depth/compressedDepth",
            SECOND,
            compressed(SECOND, compressed_depth(depth, "rvl"), "16UC1; compressedDepth rvl"),
        ),
    ]
    samples = {sample.modality: sample for sample in BagRecording(write_bag(tmp_path / "bag", messages))}
    np.testing.assert_array_equal(samples["depth"].data.view("<u2").reshape(4, 6), depth)
    assert samples["rgb"].step == 18 and np.abs(samples["rgb"].data.astype(int) - 90).max() < 3


def test_bytes_that_do_not_decode_are_refused():
    with pytest.raises(RecordingError, match="'jpeg' does not decode: .*neither PNG nor JPEG"):
        decode_compressed(np.arange(100, dtype=np.uint8), "jpeg", "rgb")


@pytest.mark.parametrize("size", [0, 4, 12])
@pytest.mark.parametrize("form", ["jpeg", "16UC1; compressedDepth", "32FC1; compressedDepth"])
def test_an_image_cut_short_is_refused(size, form):
    with pytest.raises(RecordingError, match=f"{size} bytes .*'{form}' does not decode"):
        decode_compressed(np.zeros(size, np.uint8), form, "depth")


def test_an_empty_image_in_a_bag_is_refused(tmp_path):
    messages = pictures(1)
    messages[0] = (COLOUR, messages[0][1], compressed(100 * SECOND, b"", "jpeg"))
    with pytest.raises(RecordingError, match="0 bytes"):
        list(BagRecording(write_bag(tmp_path / "bag", messages)))


def topic(name: str, encoding: str, is_compressed: bool = False) -> ImageTopic:
    return ImageTopic(name, encoding, is_compressed, 10, 1)


CAMERA = [
    topic("/camera/infra1/image_rect_raw", "mono8"),
    topic("/camera/depth/image_rect_raw", "16UC1"),
    topic("/camera/aligned_depth_to_color/image_raw", "16UC1"),
    topic("/camera/color/image_raw", "rgb8"),
    topic("/camera/color/image_raw/compressed", "rgb8", True),
]


def test_topics_of_a_depth_camera_are_told_apart():
    assert choose_topic(CAMERA, "rgb", None).name == "/camera/color/image_raw"
    assert choose_topic(CAMERA, "depth", None).name == "/camera/aligned_depth_to_color/image_raw"


def test_a_topic_can_be_named():
    wanted = "/camera/depth/image_rect_raw"
    assert choose_topic(CAMERA, "depth", wanted).name == wanted
    with pytest.raises(RecordingError, match=r"--depth-topic /depht is not an image topic.*infra1"):
        choose_topic(CAMERA, "depth", "/depht")


def test_two_cameras_are_ambiguous():
    two = [topic("/left/color/image_raw", "bgr8"), topic("/right/color/image_raw", "bgr8")]
    with pytest.raises(
        RecordingError, match=r"--rgb-topic is needed: /left/color.*, /right/color.* fit equally"
    ):
        choose_topic(two, "rgb", None)


def test_a_bag_without_depth_lists_what_it_has(tmp_path):
    messages = [entry for entry in pictures(2) if entry[0] == COLOUR]
    with pytest.raises(RecordingError, match=r"depth encoding.*it has: /camera/color/image_raw \(rgb8, 2"):
        BagRecording(write_bag(tmp_path / "bag", messages))


def test_camera_info_is_found_beside_the_images():
    infos = ["/camera/depth/camera_info", "/camera/color/camera_info"]
    assert camera_info_for("/camera/color/image_raw", infos) == "/camera/color/camera_info"
    assert camera_info_for("/other/image_raw", infos) is None
    assert camera_info_for("/camera/color/image_raw", []) is None


def test_a_missing_bag(tmp_path):
    with pytest.raises(RecordingError, match=r"none\.bag does not exist"):
        BagRecording(tmp_path / "none.bag")


def write_ros1_bag(path: Path, messages: list, chunk: int = 1 << 20) -> Path:
    store = get_typestore(Stores.ROS1_NOETIC)
    with Writer1(path) as writer:
        writer.chunk_threshold = chunk
        connections = {}
        for topic, time, message in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, message.__msgtype__, typestore=store)
            stamp = store.types["builtin_interfaces/msg/Time"](
                sec=message.header.stamp.sec, nanosec=message.header.stamp.nanosec
            )
            head = store.types["std_msgs/msg/Header"](seq=0, stamp=stamp, frame_id="camera")
            fields = {
                name: getattr(message, name) for name in message.__dataclass_fields__ if name != "header"
            }
            ros1 = store.types[message.__msgtype__](header=head, **fields)
            writer.write(connections[topic], time, store.serialize_ros1(ros1, message.__msgtype__))
    return path


def make_bag(kind: str, folder: Path, messages: list) -> tuple[Path, Path]:
    """(the bag, the file of its messages)."""
    if kind == "ROS1":
        bag = write_ros1_bag(folder / "a.bag", messages, chunk=1000)
        return bag, bag
    bag = write_bag(folder / "bag", messages, StoragePlugin[kind])
    return bag, next(path for path in bag.iterdir() if path.suffix != ".yaml")


KINDS = ["ROS1", *(plugin.name for plugin in StoragePlugin)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_bag_that_was_cut_off_gives_what_is_whole(tmp_path, kind):
    """By a full disk, or power that failed: the images before that are played, and no others."""
    bag, file = make_bag(kind, tmp_path, pictures(100))
    whole, everything = file.read_bytes(), list(BagRecording(bag))
    assert len(everything) == 200 and "cut off" not in BagRecording(bag).title
    if bag.is_dir():
        (bag / "metadata.yaml").unlink()  # it is written last
    before = 200
    # rosbags makes SQLite's index at the end: of half such a file not even the tables are known
    for share in (1.0, 0.999, 0.8) if kind == "SQLITE3" else (1.0, 0.999, 0.8, 0.5, 0.3):
        file.write_bytes(whole[: int(len(whole) * share)])
        recording = BagRecording(bag)
        found = list(recording)
        assert 0 < len(found) <= before
        before = len(found)
        assert sum(recording.images.values()) == len(found)
        for one, expected in zip(found, everything):
            assert (one.modality, one.due, one.stamp) == (expected.modality, expected.due, expected.stamp)
            assert np.array_equal(one.data, expected.data)
        if share < 1:
            assert "cut off: " in recording.title and "\n" not in recording.title
    assert before < 150


@pytest.mark.parametrize("kind", KINDS)
def test_a_bag_cut_off_with_nothing_whole_in_it(tmp_path, kind):
    bag, file = make_bag(kind, tmp_path, pictures(3))
    whole = file.read_bytes()
    for size in (0, 5, 20, 60):
        file.write_bytes(whole[:size])
        with pytest.raises(
            RecordingError, match="cannot be read as a bag.*no message in it is whole"
        ) as caught:
            BagRecording(bag)
        assert "\n" not in str(caught.value) and str(bag) in str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_bytes_in_a_bag_are_one_line(tmp_path, kind):
    bag, file = make_bag(kind, tmp_path, pictures(3))
    whole, rng = file.read_bytes(), np.random.default_rng(0)
    for _ in range(10):
        damaged = np.frombuffer(whole, np.uint8).copy()
        places = rng.integers(0, len(damaged), 20)
        damaged[places] = rng.integers(0, 256, 20)
        file.write_bytes(damaged.tobytes())
        try:
            list(BagRecording(bag))
        except UserError as error:
            assert "\n" not in str(error)


@pytest.mark.skipif(not REALSENSE.is_file(), reason=f"no recording at {REALSENSE}")
def test_a_real_ros1_recording():
    recording = BagRecording(REALSENSE)
    assert recording.rgb_topic.name == "/device_0/sensor_1/Color_0/image/data"
    assert recording.depth_topic.name == "/device_0/sensor_0/Depth_0/image/data"
    early, rgb, late = recording
    assert [sample.modality for sample in (early, rgb, late)] == ["depth", "rgb", "depth"]
    assert (rgb.encoding, rgb.width, rgb.height, early.encoding) == ("rgb8", 640, 480, "mono16")
    # Header stamps 360.815089, 360.713523 and 360.981765 s, counted from the image that arrived first.
    assert [sample.stamp for sample in (early, rgb, late)] == [0, -101_566_000, 166_676_000]
    # The colour camera's calibration, not the depth camera's (fx 390.4).
    assert rgb.calibration is not None and round(rgb.calibration.k[0], 2) == 613.20
