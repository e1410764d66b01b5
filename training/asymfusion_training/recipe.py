"""A recipe: everything that decides a training run but the data, in one YAML file.

Its settings stand in sections (``loop``, ``task``, ``data``, ``network``, ``input``; ``translation`` in the
place of ``task`` where the network makes images) or, as in older files and in ``--set``, by their names only.
 ``extends`` names another recipe, whose settings hold where a file says
nothing.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from asymfusion_ros.data.input_spec import InputSpec
from asymfusion_ros.data.yaml_file import parse_yaml, read_yaml
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.network import NetworkConfig
from asymfusion_ros.network.decoders.registry import DECODERS
from asymfusion_ros.settings import checked, declared, markdown_table
from asymfusion_training.data.settings import DataSettings
from asymfusion_training.loop.settings import LoopSettings
from asymfusion_training.tasks.segmentation.settings import SegmentationSettings
from asymfusion_training.tasks.translation.settings import TranslationSettings

SECTIONS: dict[str, type] = {
    "loop": LoopSettings,
    "task": SegmentationSettings,
    "data": DataSettings,
    "translation": TranslationSettings,
}
GROUPS = ("network", "input")  # fields of NetworkConfig and InputSpec, which check them
SECTION_OF = {one.name: section for section, kind in SECTIONS.items() for one in declared(kind)}
RENAMED = {"encoder_rate": "encoder_lr", "decoder_rate": "decoder_lr", "warm_up": "warmup"}
FOLDER = Path(__file__).parent / "recipes"

Sections = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Recipe:
    """network: NetworkConfig's fields (``classes`` comes from the data). input: InputSpec's fields."""

    loop: LoopSettings = field(default_factory=LoopSettings)
    task: SegmentationSettings = field(default_factory=SegmentationSettings)
    data: DataSettings = field(default_factory=DataSettings)
    network: Mapping[str, Any] = field(default_factory=dict)
    input: Mapping[str, Any] = field(default_factory=dict)
    translation: TranslationSettings = field(default_factory=TranslationSettings)

    def __post_init__(self) -> None:
        if "classes" in self.network:
            raise ConfigError("recipe: network: classes is set by the data; leave it out")
        other = "task" if self.translates else "translation"
        for one in declared(SECTIONS[other]):
            value = getattr(getattr(self, other), one.name)
            if value != one.default:
                makes = "masks" if self.translates else "images"
                architecture = self.network.get("architecture", NetworkConfig.architecture)
                raise ConfigError(
                    f"recipe: {one.name} is {value!r}, a setting of networks that make {makes}, which "
                    f"{architecture} does not: leave it out, or set network.architecture"
                )

    @property
    def translates(self) -> bool:
        """Whether its network makes images."""
        decoder = DECODERS.get(self.network.get("architecture", NetworkConfig.architecture))
        return decoder is not None and decoder.images

    @property
    def sections(self) -> tuple[str, ...]:
        """Those that say something of it."""
        return tuple(name for name in SECTIONS if name != ("task" if self.translates else "translation"))

    @classmethod
    def from_dict(cls, values: object, where: str = "recipe") -> Recipe:
        """Settings in sections or by their names only, as ``to_dict`` of any version wrote them.

        ``where`` begins the message of the ConfigError for a setting that is unknown, of another type, or
        impossible.
        """
        found = _in_sections(values, where)
        made: dict[str, Any] = {
            name: kind(**checked(kind, found[name], where)) for name, kind in SECTIONS.items()
        }
        groups: dict[str, Any] = {group: found[group] for group in GROUPS}
        return cls(**made, **groups)

    def to_dict(self) -> dict[str, Any]:
        """Every setting by its name, as JSON can hold it; ``network`` and ``input`` are groups."""
        flat = {group: dict(getattr(self, group)) for group in GROUPS}
        for section in self.sections:
            flat |= asdict(getattr(self, section))
        return {name: _listed(value) for name, value in flat.items()}

    def upgraded(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """What an older version stored, with this version's names and the defaults of what is new."""
        return Recipe.from_dict(stored, "stored recipe").to_dict()

    def network_config(self, classes: int | None = None) -> NetworkConfig:
        """The network for so many classes, which the data decide; without them, for what does not depend on
        them. Raises ConfigError for a network that cannot be built."""
        counted = {} if classes is None or self.translates else {"classes": classes}
        return NetworkConfig.from_dict({**self.network, **counted})

    def input_spec(self) -> InputSpec:
        """Raises ConfigError for an input that cannot be."""
        return InputSpec.from_dict(self.input)


def load_recipe(name: str, changes: Sequence[str] = ()) -> Recipe:
    """A recipe in the package by its name, or a YAML file by its path.

    ``changes``: ``name=value`` each, value in YAML, which replace what the file says; a setting of a group is
    named ``network.encoder``. Raises ConfigError for a file that is missing or broken, and for a setting
    that is unknown, of another type, or impossible.
    """
    path = recipe_path(name)
    where = f"recipe {path}"
    values = _read(path)
    changed: dict[str, Any] = {}
    for change in changes:
        _change(changed, change)
    found = _in_sections(changed, "--set")
    replaced = ("epochs", "encoder_lr", "decoder_lr", "schedule", "warmup")
    ignored = next((setting for setting in replaced if setting in found["loop"]), None)
    merged = _merged(values, found)
    if merged["loop"].get("stages") and ignored:
        raise ConfigError(f"--set {ignored}: the recipe's stages decide that; add --set stages=[]")
    return Recipe.from_dict(merged, where)


def recipe_path(name: str, beside: Path | None = None) -> Path:
    """The file of a recipe of the package or of a path, which is looked for ``beside`` another file first.

    Raises ConfigError where there is none."""
    path = Path(name)
    if path.suffix not in (".yaml", ".yml"):
        path = FOLDER / f"{name}.yaml"
    elif beside is not None and (beside.parent / path).is_file():
        path = beside.parent / path
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in FOLDER.glob("*.yaml")))
        raise ConfigError(f"recipe {name!r} does not exist: give a YAML file, or one of {known}")
    return path


def settings_tables() -> str:
    """Every setting with its default, values and meaning, a Markdown table for each section."""
    return "\n".join(f"### `{name}`\n\n{markdown_table(kind)}" for name, kind in SECTIONS.items())


def _read(path: Path, below: tuple[Path, ...] = ()) -> Sections:
    """A file's settings, over those of the recipe that it extends."""
    where = f"recipe {path}"
    if path.resolve() in below:
        raise ConfigError(f"{where} extends itself: {' -> '.join(p.stem for p in (*below, path))}")
    values = read_yaml(path, where, ConfigError)
    extended = values.pop("extends", None) if isinstance(values, dict) else None
    found = _in_sections(values, where)
    if extended is None:
        return found
    if not isinstance(extended, str):
        raise ConfigError(f"{where}: extends is {extended!r}; it must be the name or the path of a recipe")
    return _merged(_read(recipe_path(extended, beside=path), (*below, path.resolve())), found)


def _in_sections(values: object, where: str) -> Sections:
    """Every setting under its section and its name of today."""
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: {values!r} is not a set of settings; write one `name: value` a line")
    found: Sections = {name: {} for name in (*SECTIONS, *GROUPS)}

    def put(section: str, name: str, value: object) -> None:
        if name in found[section]:
            raise ConfigError(f"{where}: {name} is given twice; give it once, under {section} or on its own")
        found[section][name] = value

    for name, value in values.items():
        if name not in found:
            name = RENAMED.get(name, name)
            if name not in SECTION_OF:
                raise ConfigError(_unknown(name, (*found, *SECTION_OF), where))
            put(SECTION_OF[name], name, value)
            continue
        if not isinstance(value, Mapping):
            raise ConfigError(f"{where}: {name} is {value!r}; it must be a set of settings")
        for inner, inner_value in value.items():
            put(name, str(RENAMED.get(inner, inner) if name in SECTIONS else inner), inner_value)
    for section, kind in SECTIONS.items():
        known = [one.name for one in declared(kind)]
        for name in found[section]:
            if name not in known:
                raise ConfigError(_unknown(name, known, f"{where}: {section}"))
    return found


def _unknown(name: object, known: Sequence[str], where: str) -> str:
    close = difflib.get_close_matches(str(name), known, 1)
    advice = f"did you mean {close[0]}?" if close else "see `asymfusion train --list-settings`"
    return f"{where}: unknown setting {name}; {advice}"


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``above`` over ``below``, group by group."""
    merged = dict(below)
    for name, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = _merged(merged[name], value) if both else value
    return merged


def _change(values: dict[str, Any], change: str) -> None:
    name, equals, text = change.partition("=")
    value = parse_yaml(text, f"--set {change!r}: {text!r}", ConfigError)
    if not (name and equals):
        raise ConfigError(f"--set {change!r} must be name=value, for example epochs=20")
    *groups, last = name.split(".")
    for group in groups:
        values = values.setdefault(group, {})
        if not isinstance(values, dict):
            raise ConfigError(f"--set {change!r}: {group} is not a set of settings")
    values[last] = value


def _listed(value: Any) -> Any:
    """Lists for the tuples in a value, as JSON has them."""
    if isinstance(value, list | tuple):
        return [_listed(item) for item in value]
    return {key: _listed(item) for key, item in value.items()} if isinstance(value, dict) else value
