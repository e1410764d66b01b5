"""The command itself: help that always works, and one line for every refusal."""

import importlib
import os
import subprocess
import sys

import pytest
from helpers import refused

from asymfusion_ros import __version__
from asymfusion_ros.cli import main as cli


def command(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "asymfusion_ros.cli.main", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


def test_help_lists_every_subcommand_and_imports_nothing_heavy():
    code = (
        "import sys; from asymfusion_ros.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('HEAVY', sorted({'torch', 'rclpy', 'cv2'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    for name, (_, summary, _) in cli.SUBCOMMANDS.items():
        assert name in ran.stdout
        assert summary.split()[0] in ran.stdout
    assert "HEAVY []" in ran.stdout


@pytest.mark.parametrize("name", cli.SUBCOMMANDS)
def test_help_of_a_subcommand_shows_its_examples(name, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main([name, "--help"])
    assert left.value.code == 0
    out = capsys.readouterr().out
    examples = importlib.import_module(cli.SUBCOMMANDS[name][0]).EXAMPLES
    assert examples.strip() in out
    assert f"asymfusion {name}" in examples


def test_help_needs_no_ros():
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['rclpy', 'sensor_msgs', 'cv_bridge', 'message_filters']))\n"
        "from asymfusion_ros.cli.main import main\n"
        "for name in ('train', 'evaluate', 'convert', 'bench'):\n"
        "    try: main([name, '--help'])\n"
        "    except SystemExit as left: assert left.code == 0\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.count("examples:") == 4


def test_the_version(capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"asymfusion_ros {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "COMMAND"),
        (["segment"], "invalid choice: 'segment'"),
        (["--fast"], "COMMAND"),
        (["evaluate"], "--data"),
        (["evaluate", "default", "--data", "x", "--limit", "few"], "invalid int value: 'few'"),
    ],
)
def test_calls_that_are_no_call(arguments, named, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2
    assert named in capsys.readouterr().err


def test_a_refusal_from_the_shell(tmp_path):
    missing = tmp_path / "missing.safetensors"
    ran = command("evaluate", str(missing), "--data", str(tmp_path))
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert ran.stderr == (
        f"asymfusion evaluate: error: checkpoint {missing} does not exist "
        "(name a .safetensors file, or 'accurate' or 'default')\n"
    )


def test_a_package_that_is_not_installed(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.delitem(sys.modules, "asymfusion_training.evaluation.evaluate", raising=False)
    monkeypatch.delitem(sys.modules, "asymfusion_training.cli.evaluate", raising=False)
    line = refused(capsys, "evaluate", "default", "--data", "x")
    assert line.endswith("tqdm is not installed: pip install 'asymfusion_ros[train]'")


def test_a_reader_that_has_had_enough():
    """As in `asymfusion ablate table4 --list | head -1`: no traceback."""
    reads, writes = os.pipe()
    os.close(reads)
    words = [sys.executable, "-m", "asymfusion_ros.cli.main", "ablate", "table4", "--list"]
    ran = subprocess.run(words, stdout=writes, stderr=subprocess.PIPE, text=True, timeout=120)
    os.close(writes)
    assert (ran.returncode, ran.stderr) == (141, "")


def test_a_broken_pipe_within_is_no_reader_of_the_output(monkeypatch, capfd):
    def run(arguments):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(cli, "_run", run)
    with pytest.raises(BrokenPipeError):
        cli.main([])
