"""The demo's command before anything runs: whose files it removes."""

import pytest

from asymfusion_ros.cli.demo import prepare_output
from asymfusion_ros.errors import ConfigError

OWN = (
    *("second_00.png", "second_59.png", "second_100.png", "contact_sheet.png", "animation.webp"),
    *("summary.json", "node.log", "player.log"),
)
FOREIGN = (
    *("my_robot.log", "photo.png", "second_best.png", "second_1.png", "second_00_mine.png"),
    *("my_summary.json", "animation.gif", "notes.txt"),
)


def test_only_the_files_of_an_earlier_run_are_removed(tmp_path):
    for name in (*OWN, *FOREIGN):
        (tmp_path / name).write_text(name)
    assert prepare_output(tmp_path) == tmp_path
    assert {path.name for path in tmp_path.iterdir()} == set(FOREIGN)


def test_the_folder_is_made(tmp_path):
    assert prepare_output(tmp_path / "new" / "folder").is_dir()


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"--output .*file cannot be used"):
        prepare_output(tmp_path / "file")
