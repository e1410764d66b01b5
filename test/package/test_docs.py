"""The documentation: its links, the commands that it gives, and its score tables."""

from __future__ import annotations

import contextlib
import io
import json
import re
import runpy
import shlex
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from asymfusion_ros.cli.main import SUBCOMMANDS, main
from asymfusion_ros.network.fusion.registry import FUSIONS

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
NAMES = [str(path.relative_to(ROOT)) for path in PAGES]
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def prose(text: str) -> str:
    return FENCE.sub("", text)


def anchors(text: str) -> set[str]:
    """The names of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def shell_commands(text: str) -> list[list[str]]:
    """Each command of the shell blocks and of the code within sentences, as its words."""
    lines = [line for kind, block in FENCE.findall(text) if kind == "sh" for line in joined(block)]
    lines += re.findall(r"`((?:asymfusion|make|python) [^`]+)`", prose(text))
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def joined(block: str) -> list[str]:
    return block.replace("\\\n", " ").splitlines()


@cache
def flags(*words: str) -> frozenset[str]:
    """The flags that ``asymfusion WORDS --help`` shows."""
    shown, refused = io.StringIO(), io.StringIO()
    streams = contextlib.redirect_stdout(shown), contextlib.redirect_stderr(refused)
    with streams[0], streams[1], contextlib.suppress(SystemExit):
        main([*words, "--help"])
    if not shown.getvalue():
        assert "asymfusion_" not in refused.getvalue().split("error:")[1].split()[0], refused.getvalue()
        pytest.skip(refused.getvalue())
    return frozenset(re.findall(r"--[\w-]+", shown.getvalue()))


@pytest.mark.parametrize("name", NAMES)
def test_every_link_leads_somewhere(name: str) -> None:
    page = ROOT / name
    for target in LINK.findall(prose(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), f"{name}: no {target}"
        if anchor:
            assert anchor in anchors(linked.read_text()), f"{name}: no heading for {target}"


@pytest.mark.parametrize("name", NAMES)
def test_every_command_exists(name: str) -> None:
    for words in shell_commands((ROOT / name).read_text()):
        if "asymfusion" in words and words[0] != "ros2":
            at = words.index("asymfusion")
            called = [word for word in words[at + 1 : at + 3] if not word.startswith("-")]
            assert not called or called[0] in SUBCOMMANDS, f"{name}: {shlex.join(words)}"
            given = {word.split("=")[0] for word in words[at + 1 :] if word.startswith("--")}
            unknown = given - flags(*called)
            assert not unknown, f"{name}: {shlex.join(words)} has {sorted(unknown)}"
        elif words[:2] == ["python", "-m"]:
            assert find_spec(words[2]) is not None, f"{name}: {shlex.join(words)}"
        elif words[0] == "make":
            makefile = (ROOT / "Makefile").read_text()
            for target in (word for word in words[1:] if "=" not in word):
                assert re.search(rf"^{re.escape(target)}:", makefile, re.MULTILINE), f"{name}: make {target}"


def test_every_file_that_is_named_exists() -> None:
    folders = "|".join(
        path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    for page in PAGES:
        if page.name == "CHANGELOG.md":  # it names what there was
            continue
        for path in re.findall(rf"`((?:{folders})/[\w./]+)`", page.read_text()):
            if not path.startswith(("data/", "runs/", "demo/output")):
                assert (ROOT / path).exists(), f"{page.name} names {path}"


def test_the_tables_are_those_that_are_made() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "tables.py"))
    tables = script["tables"](json.loads(script["SCORES"].read_text()))
    shown = set()
    for page in script["FILES"]:
        text = page.read_text()
        shown |= {block[1] for block in script["BLOCK"].findall(text)}
        assert script["rendered"](text, tables) == text, f"{page.name}: run python docs/tables.py"
    assert shown == set(tables)


def test_every_fusion_is_explained() -> None:
    text = (ROOT / "docs" / "networks.md").read_text()
    assert all(f"`{name}`" in text for name in FUSIONS)


def test_a_score_table_marks_the_ensemble_and_says_what_is_significant() -> None:
    script = runpy.run_path(str(ROOT / "docs" / "tables.py"))
    metrics = dict.fromkeys(script["COLUMNS"], 0.25)
    rows = [{"available": "RGB and depth", "options": "", "branches": {"rgb": metrics, "ensemble": metrics}}]
    assert script["score_table"](rows).splitlines()[2:] == [
        "| RGB and depth | RGB | 25.00 | 25.00 | 25.00 | 25.00 |",
        "|  | **ensemble** | **25.00** | **25.00** | **25.00** | **25.00** |",
    ]
    found = [
        {"one": "a", "other": "b", "difference": 0.01, "low": -0.01, "high": 0.02},
        {"one": "a", "other": "b", "difference": -0.02, "low": -0.03, "high": -0.01},
        {"one": "a", "other": "b", "difference": 0.02, "low": 0.01, "high": 0.03},
    ]
    assert script["difference_table"](found).splitlines()[2:] == [
        "| a | b | +1.00 | -1.00 to +2.00 | not significant |",
        "| a | b | -2.00 | -3.00 to -1.00 | B is better |",
        "| a | b | +2.00 | +1.00 to +3.00 | A is better |",
    ]
