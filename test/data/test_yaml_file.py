"""YAML within bounds: what is refused, before memory and time are spent on it."""

import pytest

from asymfusion_ros.data import yaml_file
from asymfusion_ros.data.yaml_file import DEEPEST, LARGEST, MOST_VALUES, parse_yaml, read_yaml
from asymfusion_ros.errors import ConfigError, UserError


def laughs(levels, each=9):
    """Each line stands for ``each`` of the line before."""
    lines = ["l0: &l0 [x, x]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * each)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize("loader", ["as it is", "without libyaml"])
@pytest.mark.parametrize(
    ("text", "named"),
    [
        (laughs(30), f"stands for more than {MOST_VALUES} values"),
        ("a: " + "[" * 20000, f"more than {DEEPEST} deep"),
        ("[" * 40 + "]" * 40, f"more than {DEEPEST} deep"),
        ("\n".join(" " * n + f"k{n}:" for n in range(100)), f"more than {DEEPEST} deep"),
        ("a: &a [*a]", r"an alias \*a to what is not whole before it"),
        ("a: &a {b: *a}", r"an alias \*a to what is not whole before it"),
        ("a: *b", r"an alias \*b to what is not whole before it"),
        ("a: [", "is not YAML"),
        ("a: 2001-99-99", "is not YAML"),
        ("a: !!bool maybe", "is not YAML"),
        ("a: !!timestamp maybe", "is not YAML"),
        ("a: !!python/object/apply:os.system [true]", "is not YAML"),
        ("? [a, b]\n: c\n? {a: b}\n: c", "is not YAML"),
        ("a: 1\n---\nb: 2", "is not YAML"),
        ("a: \x07", "is not YAML"),
    ],
)
def test_refused(text, named, loader, monkeypatch):
    if loader == "without libyaml":
        monkeypatch.setattr(yaml_file, "Loader", yaml_file.yaml.SafeLoader)
    with pytest.raises(ConfigError, match=named) as caught:
        parse_yaml(text, "recipe x.yaml", ConfigError)
    line = str(caught.value)
    assert line.startswith("recipe x.yaml ") and "\n" not in line and len(line) < 500


def test_what_people_write_is_read():
    text = "base: &base {a: 1, b: [x, y]}\nother: {<<: *base, a: 2}\nlist: [*base, *base]\n"
    base = {"a": 1, "b": ["x", "y"]}
    assert parse_yaml(text, "x") == {"base": base, "other": {**base, "a": 2}, "list": [base, base]}
    assert parse_yaml("", "x") is None
    assert parse_yaml("5e-4", "x") == "5e-4"  # YAML 1.1: settings.py makes it a number


def test_a_file(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_bytes(b"\xef\xbb\xbfname: \xc3\xa9t\xc3\xa9\n")  # an editor's mark of UTF-8 before it
    assert read_yaml(path) == {"name": "\u00e9t\u00e9"}
    path.write_bytes(b"a: \xff\n")
    with pytest.raises(UserError, match=r"a\.yaml is not UTF-8 text: invalid start byte at byte 3"):
        read_yaml(path)
    path.write_text("# " + "x" * LARGEST)
    with pytest.raises(UserError, match=f"a.yaml has more than {LARGEST} bytes"):
        read_yaml(path)
    with pytest.raises(UserError, match="nothing.yaml cannot be read: No such file"):
        read_yaml(tmp_path / "nothing.yaml")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        read_yaml(tmp_path)
