"""The folder format: what is read, and that every error names the file."""

import struct

import cv2
import numpy as np
import pytest
from helpers import CLASSES, write_description, write_folder

from asymfusion_ros.data.folder import Folder
from asymfusion_ros.data.labels import NYU40
from asymfusion_ros.errors import ConfigError, UserError


@pytest.fixture
def root(tmp_path):
    return write_folder(tmp_path / "stripes", frames=2)


def picture(path, array):
    assert cv2.imwrite(str(path), np.asarray(array))


def one_frame(root, rgb, depth, label):
    """Replaces frame0."""
    picture(root / "rgb" / "frame0.png", np.asarray(rgb, np.uint8)[..., ::-1])
    picture(root / "depth" / "frame0.png", depth)
    picture(root / "label" / "frame0.png", np.asarray(label, np.uint8))


def test_a_frame_by_hand(root):
    one_frame(
        root,
        [[[1, 2, 3], [4, 5, 6]]],
        np.array([[0, 1500]], np.uint16),
        [[2, 255]],
    )
    frame = Folder(root).read("frame0")
    assert frame.name == "frame0"
    assert frame.images["rgb"].tolist() == [[[1, 2, 3], [4, 5, 6]]]
    assert frame.images["depth"].dtype == np.float32
    assert frame.images["depth"][0].tolist() == pytest.approx([0.0, 1.5])
    assert frame.label.tolist() == [[2, 255]]
    assert (frame.images["rgb"].dtype, frame.label.dtype) == (np.uint8, np.uint8)


def test_depth_of_8_bits_and_its_scale(root):
    one_frame(root, np.zeros((1, 2, 3)), np.array([[10, 255]], np.uint8), [[0, 1]])
    write_description(root, depth_scale=0.04)
    assert Folder(root).read("frame0").images["depth"][0].tolist() == pytest.approx([0.4, 10.2])


def test_void_may_be_another_value(root):
    one_frame(root, np.zeros((1, 3, 3)), np.ones((1, 3), np.uint16), [[0, 99, 255]])
    write_description(root, void=99)
    assert Folder(root).read("frame0").label.tolist() == [[0, 255, 255]]


def test_a_frame_without_its_label(root):
    (root / "label" / "frame0.png").unlink()
    assert Folder(root).read("frame0", label=False).label is None


def test_jpg_colour(root):
    image = cv2.imread(str(root / "rgb" / "frame0.png"))
    (root / "rgb" / "frame0.png").unlink()
    cv2.imwrite(str(root / "rgb" / "frame0.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 100])
    # only roughly: jpg loses a little
    assert abs(Folder(root).read("frame0").images["rgb"][5, 5].astype(int) - image[5, 5, ::-1]).max() < 12


def test_labels_and_splits(root):
    folder = Folder(root)
    assert (folder.name, folder.labels.names) == ("stripes", CLASSES)
    assert folder.names("train") == ["frame0", "frame1"]
    (root / "odd.txt").write_text("\n a frame 7 \r\n\nframe1")
    assert folder.names("odd") == ["a frame 7", "frame1"]
    write_description(root, labels="nyu40")
    assert Folder(root).labels is NYU40


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "it needs name, labels, depth_scale"),
        ("name: x\nlabels: [a, b]\n", "KeyError: 'depth_scale'"),
        ("name: x\nlabels: [a, b\n", "is not YAML"),
        ("name: x\nlabels: nyu41\ndepth_scale: 1\n", "'nyu41' is not built in"),
        ("name: x\nlabels: 5\ndepth_scale: 1\n", "5 is neither"),
        ("name: x\nlabels: {0: wall, 1: floor}\ndepth_scale: 1\n", "is neither"),
        ("name: x\nlabels: [a]\ndepth_scale: 1\n", "1 classes"),
        ("name: x\nlabels: [a, b]\ndepth_scale: metres\n", "'metres'"),
        ("name: x\nlabels: [a, b]\ndepth_scale: 0\n", "depth_scale is 0.0"),
        ("name: x\nlabels: [a, b]\ndepth_scale: .nan\n", "depth_scale is nan"),
        ("name: x\nlabels: [a, b]\ndepth_scale: 1\nvoid: 300\n", "void is 300"),
        ("name: x\nlabels: [a, b]\ndepth_scale: 1\nvoid: none\n", "'none'"),
        ("- name\n- labels\n", "it needs name"),
        ("\x00\xff", "dataset.yaml is not UTF-8 text"),
    ],
)
def test_a_wrong_description(root, text, named):
    (root / "dataset.yaml").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError) as caught:
        Folder(root)
    assert str(root / "dataset.yaml") in str(caught.value)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_folder(tmp_path):
    with pytest.raises(UserError, match=r"nowhere is not a data set: there is no .*nowhere/dataset\.yaml"):
        Folder(tmp_path / "nowhere")


def test_splits_that_are_not_there(root):
    folder = Folder(root)
    with pytest.raises(UserError, match=r"'test' is missing: no .*test\.txt \(splits there: train, val\)"):
        folder.names("test")
    (root / "test.txt").write_text("\n \n")
    with pytest.raises(UserError, match=r"'test' is empty: .*test\.txt lists no frames"):
        folder.names("test")
    (root / "test.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match=r"test\.txt is not UTF-8 text"):
        folder.names("test")


@pytest.mark.parametrize("part", ["rgb", "depth", "label"])
def test_an_image_that_is_missing_or_broken(root, part):
    path = root / part / "frame0.png"
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(UserError, match=rf"{part}/frame0\.png does not decode"):
        Folder(root).read("frame0")
    path.write_bytes(b"")
    with pytest.raises(UserError, match=rf"{part}/frame0\.png is empty"):
        Folder(root).read("frame0")
    path.unlink()
    with pytest.raises(UserError, match=rf"{part}/frame0\.(jpg|png) is missing"):
        Folder(root).read("frame0")


@pytest.mark.parametrize(
    ("part", "image", "named"),
    [
        (
            "depth",
            np.zeros((48, 32), np.uint16),
            r"depth/frame0\.png is 32x48, but .*frame0\.png is 64x48",
        ),
        ("label", np.zeros((24, 64), np.uint8), r"label/frame0\.png is 64x24, but .*frame0\.png is 64x48"),
        ("depth", np.zeros((48, 64, 3), np.uint8), r"depth/frame0\.png has 3 channels"),
        ("label", np.zeros((48, 64, 3), np.uint8), r"label/frame0\.png is not an 8-bit image of one channel"),
        ("label", np.zeros((48, 64), np.uint16), r"label/frame0\.png is not an 8-bit image"),
        (
            "label",
            np.full((48, 64), 3, np.uint8),
            r"label/frame0\.png has label 3, but stripes has classes 0 to 2 and void 255",
        ),
    ],
)
def test_an_image_that_does_not_fit(root, part, image, named):
    picture(root / part / "frame0.png", image)
    with pytest.raises(UserError, match=named):
        Folder(root).read("frame0")


@pytest.mark.parametrize(("wanted", "other"), [("rgb", "depth"), ("depth", "rgb")])
def test_one_modality_needs_no_files_of_the_other(root, wanted, other):
    whole = Folder(root).read("frame0")
    for path in (root / other).iterdir():
        path.unlink()
    (root / other).rmdir()
    frame = Folder(root).read("frame0", (wanted,))
    assert list(frame.images) == [wanted]
    assert np.array_equal(frame.images[wanted], whole.images[wanted])
    assert np.array_equal(frame.label, whole.label)


def test_depth_alone_of_another_size_than_its_label(root):
    picture(root / "depth" / "frame0.png", np.ones((24, 64), np.uint16))
    with pytest.raises(UserError, match=r"label/frame0\.png is 64x48, but .*depth/frame0\.png is 64x24"):
        Folder(root).read("frame0", ("depth",))


def test_a_modality_that_a_folder_has_no_images_of(root):
    with pytest.raises(ConfigError, match="has images of rgb, depth, not of thermal: list them under images"):
        Folder(root).read("frame0", ("rgb", "thermal"))


def test_further_modalities_are_read_in_their_unit(root):
    (root / "flir").mkdir()
    picture(root / "flir" / "frame0.png", np.full((48, 64), 29515, np.uint16))
    write_description(root, images="{rgb: , depth: {unit: 0.002}, thermal: {folder: flir, unit: 0.01}}")
    folder = Folder(root)
    frame = folder.read("frame0", ("thermal", "depth"))
    assert list(frame.images) == ["thermal", "depth"]
    assert frame.images["thermal"].dtype == np.float32
    assert frame.images["thermal"][0, 0] == pytest.approx(295.15)
    picture(root / "depth" / "frame0.png", np.full((48, 64), 1500, np.uint16))
    assert folder.read("frame0", ("depth",)).images["depth"][0, 0] == pytest.approx(3.0)


def test_with_images_listed_depth_scale_may_be_left_out(root):
    write_description(root, depth_scale=None, images="{rgb: }")
    assert list(Folder(root).images) == ["rgb"]


@pytest.mark.parametrize(
    ("images", "named"),
    [
        ("[rgb, depth]", "images is ['rgb', 'depth']; write one"),
        ("{}", "images is {}"),
        ("{haze: }", "modality 'haze' is unknown"),
        ("{haze: {kind: points}}", "unknown kind 'points'"),
        ("{depth: {unit: 0}}", "unit is 0.0; it must be above 0"),
        ("{depth: {scale: 1}}", "images: depth: unknown setting scale"),
        ("{5: }", "5 is not the name of a modality"),
    ],
)
def test_a_wrong_list_of_images(root, images, named):
    write_description(root, images=images)
    with pytest.raises(UserError) as caught:
        Folder(root)
    assert named in str(caught.value) and str(root / "dataset.yaml") in str(caught.value)


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("../frame0", "leads out of the folder"),
        ("a/../../frame0", "leads out of the folder"),
        ("..", "leads out of the folder"),
        ("/etc/frame0", "leads out of the folder"),
        ("./frame0", "is no plain path"),
        ("a//frame0", "is no plain path"),
        ("a/", "is no plain path"),
        ("frame\x000", "has characters that do not print"),
        ("frame\x1b[31m", "has characters that do not print"),
        ("x" * 300, "is too long"),
    ],
)
def test_a_name_that_leads_elsewhere_is_refused_where_it_is_read(root, name, named):
    (root / "test.txt").write_text(f"frame0\n{name}\n")
    with pytest.raises(UserError, match=rf"test\.txt: .* {named}"):
        Folder(root).names("test")


def test_names_with_folders_and_dots(root):
    (root / "test.txt").write_text("scene/0001\n..hidden\na..b\n\u00e9t\u00e9 1\n")
    assert Folder(root).names("test") == ["scene/0001", "..hidden", "a..b", "\u00e9t\u00e9 1"]


def test_an_image_far_too_large_is_refused_by_its_header(root):
    png = bytearray((root / "label" / "frame0.png").read_bytes())
    png[16:24] = struct.pack(">II", 100_000, 100_000)
    (root / "label" / "frame0.png").write_bytes(png)
    with pytest.raises(UserError, match=r"frame0\.png is 100000x100000: an image may have 67108864 pixels"):
        Folder(root).read("frame0")
    jpeg = bytearray(cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes())
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", 60_000, 60_000)
    (root / "rgb" / "frame0.jpg").write_bytes(jpeg)
    with pytest.raises(UserError, match=r"frame0\.jpg is 60000x60000"):
        Folder(root).read("frame0")


def test_a_bomb_in_the_description_takes_no_memory(root):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 8)}]" for n in range(1, 20)]
    (root / "dataset.yaml").write_text("\n".join([*lines, "labels: *a19", "name: x", "depth_scale: 1"]))
    with pytest.raises(UserError, match=r"dataset\.yaml stands for more than"):
        Folder(root)
