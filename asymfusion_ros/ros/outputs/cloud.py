"""~/points: sensor_msgs/PointCloud2 organised like the mask, by sensor_msgs_py where it is installed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

from asymfusion_ros.engine.cloud import POINT
from asymfusion_ros.messages.fields import data_of
from asymfusion_ros.ros.messages import MessageType
from asymfusion_ros.ros.scene import Scene
from asymfusion_ros.ros.settings import NodeSettings

TYPES = {"float32": PointField.FLOAT32, "uint32": PointField.UINT32}
Cloud = Callable[[Any, npt.NDArray[np.void]], Any]


class Points:
    """~/points: x, y, z, rgb, label and confidence of each pixel of the mask."""

    topic = "~/points"
    type: MessageType = PointCloud2
    needs = frozenset({"labels", "confidence", "points"})

    def __init__(self, settings: NodeSettings) -> None:
        pass

    def message(self, scene: Scene) -> Any:
        """See the class; None where it is not known where the pixels lie."""
        if scene.result.points is None:
            return None
        points = scene.result.points.view(POINT)[..., 0]
        height, width = points.shape
        # Flat: create_cloud would take an H x W array for a cloud of width H and height W.
        cloud = cloud_maker()(scene.header, points.reshape(-1))
        cloud.height, cloud.width = height, width
        cloud.row_step = cloud.point_step * width
        return cloud


def fields() -> list[Any]:
    """The fields of POINT."""
    assert POINT.fields is not None
    return [
        PointField(name=name, offset=offset, datatype=TYPES[kind.name], count=1)
        for name, (kind, offset, *_) in POINT.fields.items()
    ]


def by_hand(header: Any, points: npt.NDArray[np.void]) -> Any:
    """A cloud of height 1 over a flat array of POINT."""
    cloud = PointCloud2(header=header, height=1, width=len(points), fields=fields(), is_dense=False)
    cloud.is_bigendian = sys.byteorder != "little"
    cloud.point_step = points.dtype.itemsize
    cloud.row_step = points.nbytes
    cloud.data = data_of(points.view(np.uint8))
    return cloud


def by_sensor_msgs_py(header: Any, points: npt.NDArray[np.void]) -> Any:
    """The same; raises ImportError where sensor_msgs_py is not installed."""
    from sensor_msgs_py.point_cloud2 import create_cloud

    return create_cloud(header, fields(), points)


@cache
def cloud_maker() -> Cloud:
    """sensor_msgs_py's, where it is there and makes what ``by_hand`` makes of two points."""
    points = np.zeros(2, POINT)
    points["label"] = 1, 2**24 + 1
    try:
        same = by_sensor_msgs_py(Header(), points) == by_hand(Header(), points)
    except (ImportError, AttributeError, AssertionError, TypeError, ValueError):
        same = False  # not installed, or of a release that takes no points of several types
    return by_sensor_msgs_py if same else by_hand
