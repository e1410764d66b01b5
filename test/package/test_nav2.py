"""The parameter files for nav2's semantic segmentation layer, against the layer's own source.

DECLARED, NODE_DECLARED and the rules of ``cost`` are what ros-navigation/semantic_segmentation_layer 1.0.0
(main, b269885: src/semantic_segmentation_layer.cpp, segmentation_buffer.hpp) declares and does; MANAGER is of
nav2_lifecycle_manager 1.5.0. The layer itself can't run here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from asymfusion_ros.data.labels import BUILT_IN
from asymfusion_ros.ros.nav2 import CLASSES, parameter_file

ROOT = Path(__file__).resolve().parents[2]
FILES = {name: ROOT / "config" / f"nav2_semantic_layer_{name}.yaml" for name in BUILT_IN}

LAYER_DECLARED = {
    "plugin": str,  # nav2_costmap_2d's
    "enabled": bool,
    "combination_method": int,
    "observation_sources": str,
    "publish_debug_topics": bool,
    "use_approximate_time_sync": bool,
    "sensor_data_depth": int,
}
SOURCE_DECLARED = {
    "segmentation_topic": str,
    "confidence_topic": str,
    "labels_topic": str,
    "pointcloud_topic": str,
    "observation_persistence": float,
    "expected_update_rate": float,
    "class_types": list,
    "max_obstacle_distance": float,
    "min_obstacle_distance": float,
    "tile_map_decay_time": float,
    "visualize_tile_map": bool,
    "use_cost_selection": bool,
    "camera_horizontal_fov": float,
    "camera_vertical_fov": float,
    "fov_decay_time": float,
    "outside_fov_decay_time": float,
    "visualize_frustum_fov": bool,
}
TYPE_DECLARED = {
    "classes": list,
    "base_cost": int,
    "max_cost": int,
    "mark_confidence": int,
    "samples_to_max_cost": int,
    "dominant_priority": bool,
}
MANAGER = {"node_names": list, "autostart": bool, "bond_timeout": float, "service_timeout": float}


def layer(name: str) -> Any:
    content = yaml.safe_load(FILES[name].read_text())
    return content["local_costmap"]["local_costmap"]["ros__parameters"]["semantic_segmentation_layer"]


def types(parameters: dict[str, Any]) -> dict[str, type]:
    return {name: type(value) for name, value in parameters.items()}


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_file_is_the_one_that_is_made(name: str) -> None:
    made = parameter_file(BUILT_IN[name])
    assert FILES[name].read_text() == made, f"python -m asymfusion_ros.ros.nav2 {name} > {FILES[name]}"


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_parameter_is_one_that_the_layer_declares_and_of_its_type(name: str) -> None:
    parameters = layer(name)
    source = parameters.pop(parameters["observation_sources"])
    class_types = {key: source.pop(key) for key in source["class_types"]}
    # rclcpp refuses an integer where a float is declared, and the other way round.
    assert types(parameters).items() <= LAYER_DECLARED.items()
    assert types(source).items() <= SOURCE_DECLARED.items()
    assert parameters["plugin"] == "semantic_segmentation_layer::SemanticSegmentationLayer"
    for class_type in class_types.values():
        assert types(class_type) == TYPE_DECLARED
        # uint8 in the layer's CostHeuristicParams.
        assert all(0 <= class_type[key] <= 255 for key in ("base_cost", "max_cost", "mark_confidence"))
    manager = yaml.safe_load(FILES[name].read_text())["lifecycle_manager_segmentation"]["ros__parameters"]
    assert types(manager) == MANAGER
    assert manager["bond_timeout"] == 0.0  # the manager makes no bond where it is not above 0


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_class_that_label_info_has_is_named_once(name: str) -> None:
    source = layer(name)["camera"]
    named = [one for class_type in source["class_types"] for one in source[class_type]["classes"]]
    # The layer takes the first of a class's two places, and logs a critical error for one without any.
    assert sorted(named) == sorted([*BUILT_IN[name].names, "unlabeled"])


@pytest.mark.parametrize("name", CLASSES)
def test_the_topics_are_the_nodes(name: str) -> None:
    source = layer(name)["camera"]
    topics = {key: value for key, value in source.items() if key.endswith("_topic")}
    assert topics == {
        "segmentation_topic": "/segmentation/mask",
        "confidence_topic": "/segmentation/confidence",
        "labels_topic": "/segmentation/label_info",
        "pointcloud_topic": "/segmentation/points",
    }


def chosen(costs: dict[str, Any], seen: list[str]) -> str:
    """Of the classes that a frame sees in a cell, in the order of its pixels: as bufferSegmentation does."""
    best = seen[0]
    for one in seen[1:]:
        if costs[one]["max_cost"] > costs[best]["max_cost"]:
            best = one
    return best


def cost(class_type: dict[str, Any], samples: int, confidence: float) -> int:
    """Of a cell with ``samples`` observations of this mean confidence: as updateBounds does."""
    if samples >= class_type["samples_to_max_cost"] and confidence > class_type["mark_confidence"]:
        return class_type["max_cost"]
    return class_type["base_cost"]


def costs_of(name: str) -> dict[str, Any]:
    source = layer(name)["camera"]
    return {one: source[kind] for kind in source["class_types"] for one in source[kind]["classes"]}


@pytest.mark.parametrize(
    ("name", "ground", "thing", "overhead"),
    [("nyu40", "floor", "chair", "ceiling"), ("cityscapes19", "road", "person", "sky")],
)
def test_a_cell_costs_what_is_on_the_ground(name: str, ground: str, thing: str, overhead: str) -> None:
    costs = costs_of(name)
    no_information = 255  # nav2_costmap_2d: neither the maximum nor overwriting takes it over
    assert chosen(costs, [ground, thing, overhead, "unlabeled"]) == thing
    assert chosen(costs, [overhead, "unlabeled", thing]) == thing
    assert chosen(costs, ["unlabeled", overhead, ground]) == ground  # an image begins with what is overhead
    assert cost(costs[thing], 1, 200.0) == 200  # seen once: dear, but it can be crossed
    assert cost(costs[thing], 3, 200.0) == 254  # lethal
    assert cost(costs[thing], 30, 90.0) == 200  # never sure
    assert cost(costs[ground], 1, 30.0) == cost(costs[ground], 9, 255.0) == 0
    for one in (overhead, "unlabeled"):
        assert {cost(costs[one], samples, 255.0) for samples in (1, 3, 50)} == {no_information}
