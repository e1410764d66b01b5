"""The parameters of the node `segmentation` besides CommonSettings', each declared once."""

from __future__ import annotations

from dataclasses import dataclass

from asymfusion_ros.data.size_text import wrong_size
from asymfusion_ros.ros.common_settings import CommonSettings, configuration_file, missing_file
from asymfusion_ros.settings import setting


@dataclass
class NodeSettings(CommonSettings):
    """The values of the parameters of the node ``segmentation``; see CommonSettings."""

    tuning: str = setting(
        "auto",
        "file of `asymfusion tune` that chooses device, backend, precision, threads and input_size, where "
        "they are auto, 0 and empty; auto: the one that it writes by itself, if there is one; none: no file",
    )
    input_size: str = setting(
        "",
        "WIDTHxHEIGHT of the network's inputs, multiples of 8, as 320x240: fewer pixels are faster and give "
        "other labels; empty: the checkpoint's; not for an exported file, which has one size",
        fault=wrong_size,
    )
    label_groups: str = setting(
        "",
        "path of a YAML file that makes the checkpoint's classes into a few labels of the robot's own; "
        "empty: the classes as they are",
        fault=missing_file,
    )
    confidence_threshold: float = setting(
        0.0,
        "probability below which a pixel is unlabeled (255); 0: every pixel has a label",
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    disagreement_alarm: float = setting(
        0.95,
        "a fault in /diagnostics when the modalities disagree over some seconds in more pixels than in this "
        "share of the frames that the checkpoint was measured on; higher: fewer false alarms, more faults "
        "missed; 0: off",
        minimum=0.0,
        maximum=1.0,
    )
    overlay_opacity: float = setting(
        0.5,
        "how much of the class colour covers the image in ~/overlay",
        minimum=0.0,
        maximum=1.0,
        live=True,
    )
    publish_mask: bool = setting(True, "whether there is ~/mask")
    publish_confidence: bool = setting(True, "whether there is ~/confidence")
    publish_color_mask: bool = setting(True, "whether there is ~/color_mask")
    publish_overlay: bool = setting(True, "whether there is ~/overlay")
    publish_disagreement: bool = setting(True, "whether there is ~/disagreement")
    publish_points: bool = setting(True, "whether there is ~/points")


if __name__ == "__main__":
    print(configuration_file(NodeSettings, "segmentation"), end="")
