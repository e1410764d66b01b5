"""The layers: arrows point down only, and nothing but the ROS layer needs ROS."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "asymfusion_ros"
EVERYWHERE = ("errors", "settings", "atomic_write", "child", "packaged")
COMMON = {"asymfusion_ros"} | {f"asymfusion_ros.{name}" for name in EVERYWHERE}

# layer -> (what it may import of this project, what of others)
CORE = {"network", "data", "checkpoint", "engine"}
LAYERS: dict[str, tuple[set[str], set[str]]] = {
    "network": (set(), {"torch", "timm"}),
    "data": (set(), {"torch", "numpy", "cv2", "yaml"}),
    "checkpoint": ({"network", "data"}, {"torch", "numpy", "safetensors"}),
    "inspection": ({"network"}, {"torch", "matplotlib"}),
    "engine": (
        {"network", "data", "checkpoint"},
        {"torch", "numpy", "tqdm", "google", "onnx", "onnxruntime", "openvino", "tensorrt", "triton"},
    ),
    "tuning": (CORE, {"torch", "numpy", "yaml", "matplotlib"}),
    "benchmark": (CORE | {"inspection"}, {"torch", "numpy", "tqdm", "matplotlib"}),
    "export": (CORE, {"torch", "numpy", "onnx", "onnxruntime", "openvino", "nncf"}),
    "messages": ({"data", "engine"}, {"torch", "numpy", "cv2", "cv_bridge", "rosbags"}),
    "stream": (set(), set()),
    "recordings": ({"data", "engine"}, {"numpy", "cv2", "PIL", "apsw", "rosbags", "skimage"}),
    "replay": (
        CORE | {"messages", "stream", "recordings"},
        {"torch", "numpy", "cv2", "tqdm", "yaml", "rosbags", "matplotlib", "dask", "distributed"},
    ),
    "ros": (
        CORE | {"messages", "stream", "recordings", "tuning"},
        {"torch", "numpy", "cv2", "tqdm", "rosbags", "yaml", "ROS"},
    ),
    "demo": (
        CORE | {"messages", "stream", "recordings", "tuning", "ros"},
        {"numpy", "cv2", "PIL", "tqdm", "ROS"},
    ),
    "labelling": (
        CORE | {"recordings", "replay", "demo"},
        {"torch", "numpy", "cv2", "tqdm", "yaml"},
    ),
    "view": (
        CORE | {"messages", "stream", "recordings", "replay", "ros"},
        {"torch", "numpy", "cv2", "rerun", "rerun_cli"},
    ),
    "cli": (
        CORE
        | {"benchmark", "export", "inspection", "stream", "recordings", "replay", "labelling", "ros", "demo"}
        | {"tuning", "view"},
        {"torch", "numpy", "tqdm"},
    ),
}
# What the demo runs in processes of their own.
DEMO_ROS = ("assembler", "collector", "player", "streaming")
OVER_TOPICS = (*(f"asymfusion_ros.demo.{name}" for name in DEMO_ROS), "asymfusion_ros.view.live")
# fmt: off
ROS_PACKAGES = (
    "ament_index_python", "builtin_interfaces", "cv_bridge", "diagnostic_msgs", "geometry_msgs", "launch",
    "launch_ros", "lifecycle_msgs", "message_filters", "rcl_interfaces", "rclpy", "sensor_msgs",
    "sensor_msgs_py", "std_msgs", "std_srvs", "stereo_msgs", "tf2_msgs", "vision_msgs",
)
# fmt: on


def imports(path: Path) -> set[str]:
    """Every module that a file imports, at its top or in a function, but for type checking alone."""
    found = set()
    pending: list[ast.AST] = [ast.parse(path.read_text(), str(path))]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            pending += node.orelse
            continue
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} has a relative import; the project's are absolute"
            # `from package import module` names a module as well as `import package.module` does.
            found.add(node.module or "")
            if node.module == "asymfusion_ros":
                found |= {f"asymfusion_ros.{name.name}" for name in node.names if name.name != "__version__"}
        pending += ast.iter_child_nodes(node)
    return found


def files(folder: Path) -> list[Path]:
    found = sorted(folder.rglob("*.py"))
    assert found, f"no Python files in {folder}"
    return found


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_what_lies_below(layer: str) -> None:
    ours, others = LAYERS[layer]
    allowed = {f"asymfusion_ros.{name}" for name in {layer, *ours}}
    for path in files(PACKAGE / layer):
        for module in imports(path) - COMMON:
            root, name = module.split(".")[0], ".".join(module.split(".")[:2])
            if root.startswith("asymfusion_"):
                assert name in allowed, f"{path.relative_to(ROOT)} imports {module}"
            elif root not in sys.stdlib_module_names:
                ours_too = root in others or ("ROS" in others and root in ROS_PACKAGES)
                assert ours_too, f"{path.relative_to(ROOT)} imports {module}"


def test_every_folder_has_its_rule() -> None:
    folders = {path.relative_to(PACKAGE).parts[0] for path in files(PACKAGE) if path.parent != PACKAGE}
    assert folders == set(LAYERS)


def test_the_package_never_imports_training() -> None:
    for path in files(PACKAGE):
        outer = {module for module in imports(path) if module.startswith("asymfusion_training")}
        assert not outer, f"{path.relative_to(ROOT)} imports {sorted(outer)}"


def test_training_imports_neither_ros_nor_stream() -> None:
    for path in files(ROOT / "training"):
        for module in imports(path):
            assert module.split(".")[0] not in ROS_PACKAGES, f"{path.relative_to(ROOT)} imports {module}"
            assert not module.startswith(
                ("asymfusion_ros.ros", "asymfusion_ros.stream", "asymfusion_ros.demo")
            ), f"{path.relative_to(ROOT)} imports {module}"


WITHOUT_ROS = f"""
import importlib, pathlib, pkgutil, sys
from importlib.util import find_spec

class NoRos:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {ROS_PACKAGES!r}:
            raise ModuleNotFoundError(f"{{name}} was imported", name=name)

sys.meta_path.insert(0, NoRos())
import asymfusion_ros
for module in pkgutil.walk_packages(asymfusion_ros.__path__, "asymfusion_ros."):
    if module.name.startswith(("asymfusion_ros.ros", *{OVER_TOPICS!r})):
        continue
    if module.name == "asymfusion_ros.engine.fused.kernel" and find_spec("triton") is None:
        continue  # is imported where Triton is
    importlib.import_module(module.name)
    print(module.name)
asymfusion_ros.Segmenter
assert asymfusion_ros.cli.main.SUBCOMMANDS
try:
    importlib.import_module("asymfusion_ros.ros.node")
except ModuleNotFoundError:
    print("refused")
"""


def test_all_but_the_ros_layer_imports_without_ros() -> None:
    run = subprocess.run([sys.executable, "-c", WITHOUT_ROS], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    imported = run.stdout.split()
    assert {f"asymfusion_ros.{name}" for name in LAYERS if name != "ros"} <= set(imported)
    # The block itself works: with it, the node can't be imported.
    assert imported[-1] == "refused"
