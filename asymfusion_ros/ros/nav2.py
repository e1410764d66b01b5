"""config/nav2_semantic_layer_<label set>.yaml: parameters of nav2's costmap layer for the node's topics.

The layer is ros-navigation/semantic_segmentation_layer. What is said of it here was read in its source at
version 1.0.0 (main, b269885); docs/nav2.md tells a user's side of it. No ROS is imported here.

    python -m asymfusion_ros.ros.nav2 nyu40 > config/nav2_semantic_layer_nyu40.yaml
"""

from __future__ import annotations

import argparse
import textwrap
from dataclasses import dataclass

from asymfusion_ros.data.labels import BUILT_IN, UNLABELED, LabelSet

LAYER = "semantic_segmentation_layer"
NODE = "/segmentation"
# A costmap's values: LETHAL_OBSTACLE and NO_INFORMATION of nav2_costmap_2d.
LETHAL, NO_INFORMATION = 254, 255


@dataclass(frozen=True)
class Group:
    """A class type of the layer: what a cell costs that it sees as one of the type's classes.

    base_cost holds from the first observation on; max_cost once a class has samples_to_max_cost of them whose
    mean confidence (0 to 255) is above mark_confidence. max_cost also ranks the classes that one frame sees
    in one cell: the highest is kept.
    """

    why: str
    base_cost: int
    max_cost: int
    mark_confidence: int
    samples_to_max_cost: int


# One frame is not enough to block a cell: a network errs in single frames. A mark_confidence of 255 is never
# exceeded: max_cost then does nothing but rank.
GROUPS = {
    "free": Group("May be driven on. Costs 0: max_cost only ranks it above what is ignored.", 0, 1, 255, 0),
    "caution": Group("Soft, loose or hanging: avoided where there is room.", 60, 120, 100, 3),
    "obstacle": Group("All other classes.", 200, LETHAL, 100, 3),
    "ignored": Group(
        "Says nothing about the floor: what is overhead, as the layer looks at no height, and pixels without "
        "a class (255 in the mask). The cost of 255 is nav2's NO_INFORMATION, which changes nothing in the "
        "map; no mean confidence is above 255, so that it holds however often the class is seen. The "
        "max_cost of 0 lets every other class in the cell win.",
        NO_INFORMATION,
        0,
        255,
        0,
    ),
}

# Lamps and traffic lights stand or hang: caution.
CLASSES = {
    "nyu40": {
        "free": ("floor", "floor mat"),
        "caution": ("curtain", "clothes", "paper", "towel", "shower curtain", "lamp"),
        "ignored": ("ceiling", UNLABELED),
    },
    "cityscapes19": {
        "free": ("road",),
        "caution": ("sidewalk", "terrain", "traffic light"),
        "ignored": ("sky", UNLABELED),
    },
}
# Metres up to which depth is trusted.
REACH = {"nyu40": 5.0, "cityscapes19": 10.0}


def grouped(labels: LabelSet) -> dict[str, tuple[str, ...]]:
    """The class names of a built-in label set by group, each once; every class not named elsewhere is an
    obstacle.
    """
    named = CLASSES[labels.name]
    taken = {name for names in named.values() for name in names}
    rest = tuple(name for name in labels.names if name not in taken)
    return {group: named.get(group, rest) for group in GROUPS}


def _comment(text: str, indent: str) -> list[str]:
    return [f"{indent}# {line}" for line in textwrap.wrap(text, 100 - len(indent))]


def _list(names: tuple[str, ...], indent: str) -> list[str]:
    lines = [indent]
    for name in names:
        word = f'"{name}",'
        if len(lines[-1]) + len(word) > 100:
            lines.append(indent)
        lines[-1] += word if lines[-1] == indent else f" {word}"
    return lines


def parameter_file(labels: LabelSet) -> str:
    """The file for a built-in label set. A test holds those in config/ equal to it."""
    groups = grouped(labels)
    lines = [
        f"# Parameters for ros-navigation/{LAYER}: the costs of {labels.name}'s {len(labels)} classes.",
        "# Made by python -m asymfusion_ros.ros.nav2; docs/nav2.md explains them. Merge them into the",
        f'# parameters of nav2, and add "{LAYER}" to the costmap\'s plugins.',
        "local_costmap:",
        "  local_costmap:",
        "    ros__parameters:",
        f"      {LAYER}:",
        f'        plugin: "{LAYER}::SemanticSegmentationLayer"',
        "        enabled: true",
        "        combination_method: 1  # the higher cost of this layer and those below it",
        "        # Messages that wait for their partners and for transforms: at least latency x rate, or",
        "        # none pairs. 15 is half a second at 30 Hz. (Jazzy and newer; Humble has 50.)",
        "        sensor_data_depth: 15",
        "        # The node gives all outputs of a frame the same stamp. (Jazzy and newer.)",
        "        use_approximate_time_sync: false",
        '        observation_sources: "camera"',
        "        camera:",
        f'          segmentation_topic: "{NODE}/mask"',
        f'          confidence_topic: "{NODE}/confidence"',
        f'          labels_topic: "{NODE}/label_info"',
        f'          pointcloud_topic: "{NODE}/points"',
        "          min_obstacle_distance: 0.3  # metres from the camera",
        f"          max_obstacle_distance: {REACH[labels.name]}",
        "          tile_map_decay_time: 5.0  # seconds that an observation counts",
        "          use_cost_selection: true  # of the classes that a frame sees in a cell, the costliest",
        "          visualize_tile_map: false  # true: publishes camera/tile_map, points for RViz",
        f"          class_types: [{', '.join(groups)}]",
    ]
    for name, classes in groups.items():
        group = GROUPS[name]
        lines += [
            *_comment(group.why, " " * 10),
            f"          {name}:",
            "            classes: [",
            *_list(classes, " " * 14),
            "            ]",
            f"            base_cost: {group.base_cost}",
            f"            max_cost: {group.max_cost}",
            f"            mark_confidence: {group.mark_confidence}",
            f"            samples_to_max_cost: {group.samples_to_max_cost}",
            "            dominant_priority: false",
        ]
    lines += [
        "",
        "# Only where nav2's lifecycle manager is to start the node (launched with autostart:=false).",
        "lifecycle_manager_segmentation:",
        "  ros__parameters:",
        '    node_names: ["segmentation"]',
        "    autostart: true",
        "    # rclpy makes no bond: with nav2's default of 4.0 the manager takes the node for dead.",
        "    bond_timeout: 0.0",
        "    # Seconds until the node's services are there (Kilted and newer): Python and torch take some.",
        "    service_timeout: 60.0",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Prints the file of the label set that is named."""
    parser = argparse.ArgumentParser(description="Print nav2's parameters for a built-in label set.")
    parser.add_argument("labels", choices=list(CLASSES))
    print(parameter_file(BUILT_IN[parser.parse_args().labels]), end="")


if __name__ == "__main__":
    main()
