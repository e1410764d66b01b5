"""A robot's own labels as groups of a checkpoint's classes: what a file means, and what is refused."""

import pytest

from asymfusion_ros.data.label_groups import label_groups, read_label_groups
from asymfusion_ros.data.labels import LabelSet
from asymfusion_ros.errors import ConfigError

CLASSES = LabelSet(
    "five",
    ("wall", "floor", "floor mat", "person", "lamp"),
    ((1, 1, 1), (2, 2, 2), (3, 3, 3), (4, 4, 4), (5, 5, 5)),
)


def test_a_file_gives_each_class_its_groups_index_name_and_colour(tmp_path):
    path = tmp_path / "robot.yaml"
    path.write_text(
        "groups:\n  free: [floor mat, floor]\n  person: [person]\n  obstacle: [wall]\n"
        "colours:\n  person: [255, 0, 9]\n"
    )
    groups = read_label_groups(path, CLASSES)
    assert groups.labels.names == ("free", "person", "obstacle")
    # wall, floor, floor mat, person, lamp
    assert groups.index == (2, 0, 0, 1, 255)
    assert groups.unlabeled == ("lamp",)
    # A group has the colour of its first class in the checkpoint's order, floor's and wall's here.
    assert groups.labels.colours == ((2, 2, 2), (255, 0, 9), (1, 1, 1))
    assert groups.labels.name == "robot"


def test_others_takes_the_classes_that_are_not_named():
    groups = label_groups({"groups": {"free": ["floor"], "obstacle": []}, "others": "obstacle"}, CLASSES)
    assert groups.index == (1, 0, 1, 1, 1)
    assert groups.unlabeled == ()


@pytest.mark.parametrize(
    "values, words",
    [
        (None, "there are no groups"),
        (["free"], "there are no groups"),
        ({"groups": ["free"]}, "write a line"),
        ({"groups": {"free": ["floor"]}}, "there must be 2 to 255"),
        ({"groups": {"free": "floor", "b": []}}, "group 'free' is 'floor'; give a list"),
        ({"groups": {"free": ["flor"], "b": []}}, "class 'flor' is unknown; did you mean 'floor'"),
        ({"groups": {"free": [3], "b": []}}, "class '3' is unknown; did you mean 'wall', 'floor'"),
        ({"groups": {"free": ["wall"], "b": ["wall"]}}, "'wall' is in the groups 'free' and 'b'; keep one"),
        ({"groups": {"a": ["wall"], "b": []}, "others": "c"}, "others: group 'c' is unknown"),
        ({"groups": {"a": ["wall"], "b": []}, "other": "b"}, "'other' is unknown; did you mean 'others'?"),
        ({"groups": {"a": ["wall"], "b": []}, "colours": {"c": [1, 2, 3]}}, "colours: group 'c' is unknown"),
        ({"groups": {"a": ["wall"], "b": []}, "colours": {"a": "red"}}, r"write \[red, green, blue\]"),
        ({"groups": {"a": ["wall"], "b": []}, "colours": {"a": [0, 0, 256]}}, "0 to 255"),
    ],
)
def test_what_is_wrong_is_named_with_the_fix(values, words):
    with pytest.raises(ConfigError, match=words):
        label_groups(values, CLASSES)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path):
    broken = tmp_path / "broken.yaml"
    broken.write_text("groups: [")
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    large = tmp_path / "large.yaml"
    large.write_text("#" * 2_000_000)
    for path in (tmp_path / "none.yaml", tmp_path, broken, binary, large):
        with pytest.raises(ConfigError) as refused:
            read_label_groups(path, CLASSES)
        assert str(path) in str(refused.value) and "\n" not in str(refused.value)
