"""The node `segmentation`: what the streams' frames become there, masks; the rest is in node.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rclpy.lifecycle import LifecycleNode

from asymfusion_ros.data.modality import Modality
from asymfusion_ros.engine.geometry import Geometry
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.engine.segmenter import HostResult, Wanted
from asymfusion_ros.errors import UserError
from asymfusion_ros.messages.fields import Header, Message
from asymfusion_ros.ros.diagnostics import TASK
from asymfusion_ros.ros.disagreement import DisagreementMonitor
from asymfusion_ros.ros.log import ThrottledLog
from asymfusion_ros.ros.network import HostCopy, MaskNetwork, load_network
from asymfusion_ros.ros.node import StreamNode
from asymfusion_ros.ros.node_task import Words
from asymfusion_ros.ros.outputs import OUTPUTS
from asymfusion_ros.ros.outputs.base import Output
from asymfusion_ros.ros.outputs.labels import LabelInfoPublisher
from asymfusion_ros.ros.scene import Scene
from asymfusion_ros.ros.settings import NodeSettings
from asymfusion_ros.ros.tuned import take_tuning
from asymfusion_ros.stream.status import Report


class SegmentationNode(StreamNode):
    """See StreamNode. ``load`` makes the network from the settings, in the thread that will run it."""

    def __init__(
        self,
        node_name: str = TASK,
        load: Callable[[NodeSettings], MaskNetwork] = load_network,
        **options: Any,
    ) -> None:
        super().__init__(SegmentationTask(load), node_name, **options)


class SegmentationTask:
    """See NodeTask."""

    name = TASK
    words = Words("segmented", "masks")
    settings = NodeSettings

    def __init__(self, load: Callable[[NodeSettings], MaskNetwork]) -> None:
        self.load = load
        self._label_info: LabelInfoPublisher | None = None

    @property
    def outputs(self) -> Sequence[Callable[[Any], Output]]:
        """See NodeTask."""
        return OUTPUTS

    def prepare(self, settings: NodeSettings, log: Any) -> None:
        """Takes the tuning: a file that does not hold here costs a line, not the node."""
        try:
            said = take_tuning(settings)
        except UserError as error:
            log.warning(str(error))
        else:
            if said:
                log.info(said)

    def configured(self, node: LifecycleNode, network: MaskNetwork) -> str:
        """See NodeTask."""
        if self._label_info is None:
            self._label_info = LabelInfoPublisher(node, node.get_logger().info)
        if network.unlabeled:
            node.get_logger().info(
                f"label_groups names no group for {', '.join(network.unlabeled)}: they are unlabeled (255)"
            )
        return f"{len(network.label_set.names)} labels ({network.label_set.name})"

    def activated(self, header: Header, network: MaskNetwork) -> None:
        """See NodeTask."""
        assert self._label_info is not None
        self._label_info.publish(header, network.label_set.names)

    def frame_task(
        self,
        network: MaskNetwork,
        settings: NodeSettings,
        node_log: Callable[[str], object],
        log: ThrottledLog,
    ) -> FrameSegmentation:
        """See NodeTask."""
        return FrameSegmentation(network, settings, node_log, log)

    def infer(self, network: MaskNetwork, images: Mapping[str, RawImage], wanted: Wanted) -> HostCopy:
        """See NodeTask."""
        # Only what is wanted is named: a network without geometry serves where none is asked for.
        options = {} if wanted.geometry is None else {"geometry": wanted.geometry}
        return network.segment(
            images, confidence=wanted.confidence, disagreement=wanted.disagreement, **options
        )

    def infer_batch(self, network: MaskNetwork, frames: Sequence[tuple[Any, Wanted]]) -> Sequence[HostCopy]:
        """See NodeTask."""
        return network.segment_batch(frames)


class FrameSegmentation:
    """See FrameTask: masks, and a look at how far the modalities disagree."""

    def __init__(
        self,
        network: MaskNetwork,
        settings: NodeSettings,
        node_log: Callable[[str], object],
        log: ThrottledLog,
    ) -> None:
        self._monitor = DisagreementMonitor(network.checkpoint, settings, node_log)
        self._palette = network.label_set.palette
        self._log = log
        self.report: Callable[[float], Report] = self._monitor.report

    def wanted(
        self, needs: frozenset[str], images: Mapping[str, RawImage], geometry: Geometry | None
    ) -> Wanted:
        """See FrameTask."""
        needs |= self._monitor.needs(images)
        return Wanted("confidence" in needs, "disagreement" in needs, geometry)

    def seen(self, images: Mapping[str, RawImage], wanted: Wanted, result: HostResult) -> None:
        """See FrameTask."""
        self._monitor.look(images, result)
        if wanted.disagreement and result.disagreement is None:
            only = next(iter(images))
            self._log.info_once(
                ("disagreement", only), f"nothing on ~/disagreement for frames of {only} alone: it takes two"
            )

    def scene(
        self,
        header: Header,
        images: Mapping[str, RawImage],
        modalities: Mapping[str, Modality],
        result: HostResult,
        camera_info: Message | None,
    ) -> Scene:
        """See FrameTask."""
        return Scene(header, images, modalities, result, self._palette, camera_info)
