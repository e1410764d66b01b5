"""What an installation contains: built for real, then looked into."""

from __future__ import annotations

import ast
import configparser
import importlib
import re
import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest

import asymfusion_ros
from asymfusion_ros.cli.main import SUBCOMMANDS

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {"asymfusion_ros": "asymfusion_ros", "asymfusion_training": "training/asymfusion_training"}
NOT_SOURCE = shutil.ignore_patterns(
    "__pycache__", "*.pyc", ".*", "*.egg-info", "build", "install", "log", "runs", "output"
)
# Import name -> the package index's name, where the two differ.
DISTRIBUTIONS = {
    "PIL": "pillow",
    "google": "protobuf",
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "lightning_fabric": "lightning-fabric",
    "rerun": "rerun-sdk",
    "rerun_cli": "rerun-sdk",
    "yaml": "pyyaml",
}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    if find_spec("wheel") is None and find_spec("setuptools.command.bdist_wheel") is None:
        pytest.skip("this setuptools builds wheels only with the package wheel, which is not installed")
    folder = tmp_path_factory.mktemp("wheel")
    # Building leaves folders behind: do it in a copy.
    shutil.copytree(ROOT, folder / "source", ignore=NOT_SOURCE)
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    build += ["--wheel-dir", str(folder), str(folder / "source")]
    run = subprocess.run(build, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return zipfile.ZipFile(next(folder.glob("asymfusion_ros-*.whl")))


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> dict[str, list[str]]:
    """The wheel's requirements, normalised: of each extra, and under "" what is always needed."""
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    required: dict[str, list[str]] = {"": []}
    for line in Parser().parsestr(wheel.read(name).decode()).get_all("Requires-Dist", []):
        extra = re.search(r"extra == ['\"]([\w-]+)['\"]", line)
        distribution = re.match(r"[\w.-]+", line)
        assert distribution is not None
        required.setdefault(extra.group(1) if extra else "", []).append(normal(distribution.group()))
    return required


def test_every_module_and_data_file_is_installed(wheel: zipfile.ZipFile) -> None:
    installed = set(wheel.namelist())
    for package, folder in FOLDERS.items():
        suffixes = (".py", ".yaml", ".safetensors")
        wanted = [path for path in (ROOT / folder).rglob("*") if path.suffix in suffixes]
        assert wanted
        for path in wanted:
            assert f"{package}/{path.relative_to(ROOT / folder)}" in installed


def test_launch_and_config_files_are_installed_where_ros_looks(wheel: zipfile.ZipFile) -> None:
    data = f"asymfusion_ros-{asymfusion_ros.__version__}.data/data/share/"
    installed = {name.removeprefix(data) for name in wheel.namelist() if name.startswith(data)}
    wanted = {
        f"asymfusion_ros/{folder}/{path.name}"
        for folder in ("launch", "config")
        for path in (ROOT / folder).iterdir()
        if path.is_file()
    }
    assert {
        "asymfusion_ros/launch/segmentation.launch.py",
        "asymfusion_ros/config/segmentation.yaml",
    } <= wanted
    wanted |= {"asymfusion_ros/package.xml", "ament_index/resource_index/packages/asymfusion_ros"}
    assert installed == wanted


def test_every_program_can_be_started(wheel: zipfile.ZipFile) -> None:
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt"))
    entry_points = configparser.ConfigParser()
    entry_points.read_string(wheel.read(name).decode())
    programs = dict(entry_points["console_scripts"])
    assert set(programs) == {"asymfusion", "segmentation_node", "translation_node"}
    if find_spec("rclpy") is None:
        programs = {"asymfusion": programs["asymfusion"]}  # the nodes need it
    for target in programs.values():
        module, function = target.split(":")
        assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("command", SUBCOMMANDS)
def test_every_subcommand_has_its_module(command: str) -> None:
    module, _, extra = SUBCOMMANDS[command]
    assert find_spec(module) is not None
    assert extra in ("", "demo", "export", "label", "replay", "train", "view")


def test_the_version_is_the_same_everywhere(wheel: zipfile.ZipFile) -> None:
    version = asymfusion_ros.__version__
    assert ElementTree.parse(ROOT / "package.xml").findtext("version") == version
    assert Path(wheel.filename or "").name.startswith(f"asymfusion_ros-{version}-")
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def third_party(folder: Path) -> set[str]:
    """The packages of others that the files of a folder import."""
    names = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names.add(node.module.split(".")[0])
    return {name for name in names if name not in sys.stdlib_module_names and name not in FOLDERS}


def ros_dependencies() -> set[str]:
    package = ElementTree.parse(ROOT / "package.xml")
    return {element.text or "" for element in package.iter("exec_depend")}


def test_package_xml_names_every_ros_package_that_is_imported(metadata: dict[str, list[str]]) -> None:
    from_index = {name for names in metadata.values() for name in names}
    imported = third_party(ROOT / "asymfusion_ros" / "ros") | third_party(ROOT / "launch")
    ros = {name for name in imported if normal(DISTRIBUTIONS.get(name, name)) not in from_index}
    assert {"rclpy", "sensor_msgs", "launch_ros"} <= ros
    assert ros <= ros_dependencies()


def test_package_xml_names_no_interfaces_that_are_not_imported() -> None:
    interfaces = {name for name in ros_dependencies() if name.endswith(("_msgs", "_srvs", "_interfaces"))}
    assert "sensor_msgs" in interfaces
    assert interfaces <= third_party(ROOT / "asymfusion_ros")


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("asymfusion_ros/network", ["timm"]),
        ("asymfusion_ros/engine", ["openvino", "onnxruntime", "tensorrt", "triton"]),
        ("asymfusion_ros/export", ["export", "int8"]),
        ("asymfusion_ros/inspection", ["train"]),
        ("training", ["train", "shards", "fid"]),
        ("asymfusion_ros/demo", ["demo"]),
        ("asymfusion_ros/recordings", ["demo"]),
        ("asymfusion_ros/replay", ["replay", "cluster"]),
        ("asymfusion_ros/labelling", ["label"]),
        ("asymfusion_ros/view", ["view"]),
    ],
)
def test_what_is_imported_is_required(folder: str, extras: list[str], metadata: dict[str, list[str]]) -> None:
    required = {*metadata[""], *(name for extra in extras for name in metadata[extra])}
    imported = third_party(ROOT / folder) - {*ros_dependencies(), "builtin_interfaces"}
    assert {normal(DISTRIBUTIONS.get(name, name)) for name in imported} <= required


def test_every_requirement_is_pinned(metadata: dict[str, list[str]]) -> None:
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in pins)
    pinned = {normal(line.split("==")[0]) for line in pins}
    assert {name for names in metadata.values() for name in names} <= pinned
