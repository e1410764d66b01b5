"""What the demo adds to the environment of its processes, and what it keeps."""

import argparse
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

import pytest

from asymfusion_ros.demo import environment
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.recordings.sources import add_arguments, open_recording, source_arguments
from asymfusion_ros.ros import fast_dds


def variables(monkeypatch, rclpy_version: str, **given: str) -> dict[str, str]:
    monkeypatch.setattr(fast_dds.metadata, "version", lambda name: rclpy_version)
    return environment.demo_environment(given)


def test_a_trial_run_stays_on_this_machine(monkeypatch):
    kilted = variables(monkeypatch, "9.1.2")
    assert kilted["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"
    assert "ROS_LOCALHOST_ONLY" not in kilted
    assert variables(monkeypatch, "3.3.16")["ROS_LOCALHOST_ONLY"] == "1"
    assert 1 <= int(kilted["ROS_DOMAIN_ID"]) <= 100


def test_the_profile_is_named_as_the_installed_fast_dds_wants_it(monkeypatch):
    kilted, jazzy = (variables(monkeypatch, version) for version in ("9.1.2", "7.1.6"))
    assert "FASTRTPS_DEFAULT_PROFILES_FILE" not in kilted and "FASTDDS_DEFAULT_PROFILES_FILE" not in jazzy
    profile = ElementTree.parse(kilted["FASTDDS_DEFAULT_PROFILES_FILE"])
    assert any(element.tag.endswith("segment_size") for element in profile.iter())
    assert jazzy["FASTRTPS_DEFAULT_PROFILES_FILE"] == kilted["FASTDDS_DEFAULT_PROFILES_FILE"]


def test_a_small_dev_shm_is_told(monkeypatch):
    def with_free(mebibytes: int) -> str | None:
        usage = SimpleNamespace(free=mebibytes << 20)
        monkeypatch.setattr(environment.shutil, "disk_usage", lambda path: usage)
        return environment.shared_memory_note()

    # Three processes of 64 MiB each; a container of Docker has 64 MiB in all.
    note = with_free(64)
    assert note is not None and "64 MiB free, less than 192" in note and "--shm-size" in note
    assert with_free(192) is None


def test_the_profile_asks_for_as_much_shared_memory_as_is_checked():
    profile = fast_dds.profile_path()
    assert profile is not None
    (size,) = (e.text for e in ElementTree.parse(profile).iter() if e.tag.endswith("segment_size"))
    assert int(size) == environment.SEGMENT_BYTES


def test_what_the_user_has_set_stays(monkeypatch):
    given = {
        "ROS_DOMAIN_ID": "7",
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET",
        "FASTRTPS_DEFAULT_PROFILES_FILE": "/home/me/mine.xml",
    }
    added = variables(monkeypatch, "9.1.2", **given)
    assert not added.keys() & given.keys()
    assert "FASTDDS_DEFAULT_PROFILES_FILE" not in added


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return parser.parse_args(words)


def test_the_player_gets_the_same_source():
    words = ["--folder", "my frames", "--rate", "4", "--split", "test", "--seconds", "2.5"]
    assert parse(*source_arguments(parse(*words))) == parse(*words)


def test_options_of_another_source_are_refused():
    with pytest.raises(ConfigError, match="--split val goes with --folder, not with the built-in scene"):
        open_recording(parse("--split", "val"))
    with pytest.raises(ConfigError, match=r"--rate 5.0 goes with .*, not with --recording"):
        open_recording(parse("--recording", "x.bag", "--rate", "5"))


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "fast"])
def test_a_rate_must_be_a_number_above_zero(value, capsys):
    with pytest.raises(SystemExit):
        parse(f"--rate={value}")
    assert "--rate" in capsys.readouterr().err
