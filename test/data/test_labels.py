"""Label sets: names, colours and palettes."""

import numpy as np
import pytest

from asymfusion_ros.data.labels import CITYSCAPES19, NYU40, LabelSet, customary_colours, label_set
from asymfusion_ros.errors import ConfigError


def test_the_built_in_sets():
    assert label_set("nyu40") is NYU40
    assert label_set("cityscapes19") is CITYSCAPES19
    assert (len(NYU40), len(CITYSCAPES19)) == (40, 19)
    # the order of the data sets' own lists
    assert (NYU40.names[0], NYU40.names[4], NYU40.names[39]) == ("wall", "chair", "otherprop")
    assert CITYSCAPES19.names[13] == "car"
    assert CITYSCAPES19.palette[13].tolist() == [0, 0, 142]


def test_customary_colours():
    # PASCAL VOC's first colours after black, as its development kit prints them
    assert customary_colours(6) == (
        (128, 0, 0),
        (0, 128, 0),
        (128, 128, 0),
        (0, 0, 128),
        (128, 0, 128),
        (0, 128, 128),
    )
    assert len(set(customary_colours(255))) == 255
    assert (0, 0, 0) not in customary_colours(255)


def test_a_palette_covers_every_value_of_a_mask():
    labels = label_set(["road", "grass"], "garden")
    assert (labels.name, labels.names, len(labels)) == ("garden", ("road", "grass"), 2)
    assert labels.palette.shape == (256, 3)
    assert labels.palette.dtype == np.uint8
    assert labels.palette[:3].tolist() == [[128, 0, 0], [0, 128, 0], [0, 0, 0]]
    assert labels.palette[255].tolist() == [0, 0, 0]


def test_a_description_comes_back_the_same():
    labels = LabelSet("two", ("a", "b"), ((1, 2, 3), (4, 5, 6)))
    assert LabelSet.from_dict(labels.to_dict()) == labels


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: label_set("nyu41"), r"'nyu41' is not built in \(nyu40, cityscapes19\)"),
        (lambda: label_set(["one"]), "1 classes; there must be 2 to 255"),
        (lambda: label_set([str(i) for i in range(256)]), "256 classes"),
        (lambda: label_set(["a", "b", "a"], "mine"), "'mine' are not all different"),
        (lambda: LabelSet("x", ("a", "b"), ((1, 2, 3),)), "1 colours for 2 classes"),
        (lambda: LabelSet("x", ("a", "b"), ((1, 2, 3), (1, 2, 256))), r"\(1, 2, 256\)"),
    ],
)
def test_label_sets_that_cannot_be(make, named):
    with pytest.raises(ConfigError, match=named):
        make()
