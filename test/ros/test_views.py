"""The layouts for RViz and Foxglove: topics that the node has, and fields that those programs read.

The names of RViz's properties are those of rviz_common and rviz_default_plugins 14.3.1 (image_display.cpp,
point_cloud_common.cpp, qos_profile_property.cpp, message_filter_display.hpp); Foxglove's are of the types in
foxglove/studio (CurrentLayoutContext/actions.ts, ThreeDeeRender/IRenderer.ts and renderables/colorMode.ts,
Plot, diagnostics/util.ts). Neither program runs here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from asymfusion_ros.data.topics import image_topic
from asymfusion_ros.ros.debug_topics import NAMES
from asymfusion_ros.ros.diagnostics import TOPIC as DIAGNOSTICS
from asymfusion_ros.ros.outputs import OUTPUTS
from asymfusion_ros.ros.settings import NodeSettings

CONFIG = Path(__file__).resolve().parents[2] / "config"

DISPLAY = {"Class", "Enabled", "Name", "Value", "Topic"}
PROPERTIES = {
    "rviz_default_plugins/Image": {"Max Value", "Median window", "Min Value", "Normalize Range"},
    "rviz_default_plugins/PointCloud2": {
        *("Alpha", "Color Transformer", "Decay Time", "Position Transformer", "Selectable"),
        *("Size (Pixels)", "Size (m)", "Style"),
    },
}
QOS = {
    "History Policy": {"System Default", "Keep Last", "Keep All"},
    "Reliability Policy": {"System Default", "Reliable", "Best Effort"},
    "Durability Policy": {"System Default", "Transient Local", "Volatile"},
}
STYLES = {"Points", "Squares", "Flat Squares", "Spheres", "Boxes", "Tiles"}

PANELS = {
    "Image": {"imageMode"},
    "3D": {"topics", "followTf", "cameraState", "scene"},
    "DiagnosticSummary": {"minLevel", "pinnedIds", "hardwareIdFilter", "topicToRender", "sortByLevel"},
    "Plot": {"paths", "xAxisVal", "minYValue", "maxYValue", "showLegend"},
}
PATH = {"value", "enabled", "timestampMethod", "label", "color", "showLine", "lineSize"}
POINTS = {
    *("visible", "frameLocked", "pointSize", "pointShape", "decayTime", "colorMode", "colorField"),
    *("flatColor", "gradient", "colorMap", "explicitAlpha", "minValue", "maxValue"),
}


def published() -> dict[str, str]:
    """Topic relative to the node's namespace -> the name of its type."""
    outputs = [make(NodeSettings()) for make in OUTPUTS]
    return {output.topic.replace("~", "segmentation"): output.type.__name__ for output in outputs}


def test_rviz_shows_what_the_node_has() -> None:
    layout = yaml.safe_load((CONFIG / "segmentation.rviz").read_text())
    inputs = {image_topic(name): "Image" for name in ("rgb", "depth")}
    known = published() | inputs
    for display in layout["Visualization Manager"]["Displays"]:
        kind, topic = display["Class"], display["Topic"]
        assert set(display) <= DISPLAY | PROPERTIES[kind], display["Name"]
        assert known[topic["Value"]] == kind.removeprefix("rviz_default_plugins/")
        assert set(topic) - {"Filter size"} == {"Depth", "Value", *QOS}
        assert all(topic[name] in values for name, values in QOS.items())
        # What any publisher offers: drivers' inputs may be best effort, our outputs are reliable.
        assert (topic["Reliability Policy"], topic["Durability Policy"]) == ("Best Effort", "Volatile")
        assert display.get("Style", "Points") in STYLES


def panels(node: Any) -> list[str]:
    """The panels of a layout's tree, of which each branch has two."""
    if isinstance(node, str):
        return [node]
    assert set(node) - {"splitPercentage"} == {"direction", "first", "second"}
    assert node["direction"] in ("row", "column")
    return panels(node["first"]) + panels(node["second"])


def test_foxglove_shows_what_the_node_has() -> None:
    layout = json.loads((CONFIG / "foxglove_layout.json").read_text())
    assert set(layout) == {"configById", "globalVariables", "userNodes", "layout"}
    assert sorted(panels(layout["layout"])) == sorted(layout["configById"])
    known = {f"/{topic}": kind for topic, kind in published().items()}
    shown = set()
    for name, config in layout["configById"].items():
        kind, _, one = name.partition("!")
        assert one
        assert set(config) - {"foxglovePanelTitle"} <= PANELS[kind], name
        if kind == "Image":
            assert set(config["imageMode"]) == {"imageTopic"}
            topic = config["imageMode"]["imageTopic"]
            assert known[topic] == "Image"
            shown.add(topic)
        elif kind == "3D":
            for topic, settings in config["topics"].items():
                assert known[topic] == "PointCloud2"
                assert set(settings) <= POINTS
                assert settings["visible"]  # it subscribes to nothing else
                assert settings["colorMode"] in ("flat", "gradient", "colormap", "rgb", "rgba", "rgba-fields")
                assert settings["pointShape"] in ("circle", "square")
                shown.add(topic)
        elif kind == "Plot":
            assert [path["value"] for path in config["paths"]] == [
                f"/segmentation/debug/{name}.data" for name in sorted(NAMES, key=NAMES.index)
            ]
            for path in config["paths"]:
                assert set(path) <= PATH
                assert path["enabled"]  # draws nothing otherwise
                assert path["timestampMethod"] in ("receiveTime", "headerStamp")
        else:
            assert config["topicToRender"] == DIAGNOSTICS
    assert shown >= {"/segmentation/overlay", "/segmentation/points", "/segmentation/disagreement"}


@pytest.mark.parametrize("labels", ["nyu40", "cityscapes19"])
def test_nav2_subscribes_to_what_the_node_has(labels: str) -> None:
    content = yaml.safe_load((CONFIG / f"nav2_semantic_layer_{labels}.yaml").read_text())
    costmap = content["local_costmap"]["local_costmap"]["ros__parameters"]
    source = costmap["semantic_segmentation_layer"]["camera"]
    known = {f"/{topic}": kind for topic, kind in published().items()}
    kinds = {"segmentation_topic": "Image", "confidence_topic": "Image", "pointcloud_topic": "PointCloud2"}
    assert {name: known[source[name]] for name in kinds} == kinds
