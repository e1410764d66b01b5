"""What disagreement is usual: measured by hand, written to a checkpoint and read back."""

import json

import numpy as np
import pytest
from helpers import tiny_checkpoint

from asymfusion_ros.checkpoint import load_checkpoint
from asymfusion_ros.checkpoint.description import ModelDescription
from asymfusion_ros.checkpoint.usual_disagreement import UsualDisagreement, histogram
from asymfusion_ros.errors import CheckpointError


@pytest.fixture(scope="module")
def metadata(tmp_path_factory):
    return tiny_checkpoint(tmp_path_factory.mktemp("checkpoint")).to_metadata()


def frame(*levels):
    return np.array(levels, np.uint8).reshape(2, -1)


def test_measured_by_hand():
    """40 pixels, of which 5 % are 2: those of 200 and 90 lie beyond the level, which is the next below."""
    first = frame(*[0] * 8, 50, 90)
    second = frame(*[10] * 9, 200)
    others = [frame(*[0] * 10), frame(*[50] * 10)]
    usual = UsualDisagreement.measured([histogram(one) for one in (first, second, *others)])
    assert usual.level == 50
    assert usual.share(first) == usual.share(second) == 0.1
    assert usual.share(frame(51, 50, 255, 0)) == 0.5
    # the shares are 0, 0, 0.1, 0.1
    assert [usual.quantile(fraction) for fraction in (0, 0.33, 0.5, 0.67, 1)] == pytest.approx(
        [0, 0, 0.05, 0.1, 0.1]
    )


def test_a_checkpoint_holds_it(tmp_path):
    usual = UsualDisagreement(44, (0.0025, 0.039, 0.31563))
    plain = tiny_checkpoint(tmp_path)
    assert plain.usual_disagreement(("rgb", "depth")) is None
    assert "calibration" not in plain.to_metadata()
    given = ModelDescription(
        plain.config, plain.labels, plain.input_spec, {}, disagreements={"rgb+depth": usual}
    )
    again = ModelDescription.from_metadata(given.to_metadata(), "it")
    assert again.usual_disagreement(("rgb", "depth")) == usual
    assert again.usual_disagreement(("rgb",)) is None
    assert again.temperature(("rgb", "depth")) == 1


@pytest.mark.parametrize(
    ("disagreements", "named"),
    [
        ([], "disagreements are []"),
        ({"rgb+depth": 3}, "3 does not say how far"),
        ({"rgb+depth": {"level": 3}}, "does not say how far"),
        ({"rgb+depth": {"level": 256, "shares": [0, 1]}}, "level of 256"),
        ({"rgb+depth": {"level": 1.5, "shares": [0, 1]}}, "level of 1.5"),
        ({"rgb+depth": {"shares": [0, 1]}}, "level of -1"),
        ({"rgb+depth": {"level": 3, "shares": [0.1]}}, "two or more ascending numbers"),
        ({"rgb+depth": {"level": 3, "shares": [0.2, 0.1]}}, "two or more ascending numbers"),
        ({"rgb+depth": {"level": 3, "shares": [0.2, 1.1]}}, "two or more ascending numbers"),
        ({"rgb+depth": {"level": 3, "shares": [float("nan"), 1]}}, "two or more ascending numbers"),
        ({"rgb+depth": {"level": 3, "shares": ["0", "1"]}}, "share of '0'"),
    ],
)
def test_what_is_no_usual_disagreement_is_refused(metadata, disagreements, named):
    metadata = dict(metadata)
    metadata["calibration"] = json.dumps({"temperatures": {}, "disagreements": disagreements})
    with pytest.raises(CheckpointError) as error:
        ModelDescription.from_metadata(metadata, "it")
    assert named in str(error.value)


def test_the_packaged_checkpoint_has_it():
    usual = load_checkpoint("default").usual_disagreement(("rgb", "depth"))
    assert usual is not None
    assert usual.quantile(0.5) < usual.quantile(0.95) < 0.5
