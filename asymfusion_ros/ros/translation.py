"""The node `translation`: what the streams' frames become there, an image; the rest is in node.py."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rclpy.lifecycle import LifecycleNode

from asymfusion_ros.data.modality import Modality
from asymfusion_ros.engine.geometry import Geometry
from asymfusion_ros.engine.raw_image import RawImage
from asymfusion_ros.engine.translator import Asked, HostTranslation, Translator
from asymfusion_ros.errors import ConfigError
from asymfusion_ros.messages.fields import Header, Message
from asymfusion_ros.ros.log import ThrottledLog
from asymfusion_ros.ros.main import Program, run_program
from asymfusion_ros.ros.network import HostCopy, warm_up
from asymfusion_ros.ros.node import StreamNode
from asymfusion_ros.ros.node_task import Words
from asymfusion_ros.ros.outputs import TRANSLATION_OUTPUTS
from asymfusion_ros.ros.outputs.base import Output
from asymfusion_ros.ros.scene import TranslatedScene
from asymfusion_ros.ros.translation_settings import TranslationSettings
from asymfusion_ros.stream.status import Report

NODE_NAME = "translation"


def load_translator(settings: TranslationSettings) -> Translator:
    """The checkpoint as an asymfusion_ros.Translator, ready to run at full speed. Raises UserError."""
    if not settings.checkpoint:
        raise ConfigError(
            "no checkpoint is given: set the parameter checkpoint to a file of image translation "
            "(-p checkpoint:=night.safetensors)"
        )
    translator = Translator.from_checkpoint(
        settings.checkpoint,
        device=settings.device,
        precision=settings.precision,
        backend=settings.backend,
        cpu_fallback=settings.cpu_fallback,
        threads=settings.threads,
    )
    warm_up(translator, len(settings.cameras))
    return translator


class TranslationNode(StreamNode):
    """See StreamNode."""

    def __init__(self, node_name: str = NODE_NAME, **options: Any) -> None:
        super().__init__(TranslationTask(), node_name, **options)


class TranslationTask:
    """See NodeTask."""

    name = NODE_NAME
    words = Words("translated", "images")
    settings = TranslationSettings
    outputs: Sequence[Callable[[Any], Output]] = TRANSLATION_OUTPUTS

    def prepare(self, settings: TranslationSettings, log: Any) -> None:
        """Nothing."""

    def load(self, settings: TranslationSettings) -> Translator:
        """See NodeTask."""
        return load_translator(settings)

    def configured(self, node: LifecycleNode, network: Translator) -> str:
        """See NodeTask."""
        return f"{network.target} images of {' and '.join(network.modalities)}"

    def activated(self, header: Header, network: Translator) -> None:
        """Nothing."""

    def frame_task(
        self,
        network: Translator,
        settings: TranslationSettings,
        node_log: Callable[[str], object],
        log: ThrottledLog,
    ) -> FrameTranslation:
        """See NodeTask."""
        return FrameTranslation()

    def infer(self, network: Translator, images: Mapping[str, RawImage], wanted: Asked) -> HostCopy:
        """See NodeTask."""
        return network.translate_batch([(images, wanted)])[0]

    def infer_batch(self, network: Translator, frames: Sequence[tuple[Any, Asked]]) -> Sequence[HostCopy]:
        """See NodeTask."""
        return network.translate_batch(frames)


class FrameTranslation:
    """See FrameTask."""

    def report(self, now: float) -> Report:
        """Nothing."""
        return Report()

    def wanted(
        self, needs: frozenset[str], images: Mapping[str, RawImage], geometry: Geometry | None
    ) -> Asked:
        """See FrameTask."""
        return Asked(geometry=geometry)

    def seen(self, images: Mapping[str, RawImage], wanted: Asked, result: HostTranslation) -> None:
        """Nothing."""

    def scene(
        self,
        header: Header,
        images: Mapping[str, RawImage],
        modalities: Mapping[str, Modality],
        result: HostTranslation,
        camera_info: Message | None,
    ) -> TranslatedScene:
        """See FrameTask."""
        return TranslatedScene(header, result.image)


PROGRAM = Program(
    "translation_node",
    "Makes a colour image of a camera's other images, as depth and infrared (a ROS 2 lifecycle node).",
    "translation_node --ros-args -p checkpoint:=night.safetensors "
    "-r depth_registered/image_rect:=/camera/depth/image_raw",
    TranslationSettings,
    TranslationNode,
)


def main(arguments: list[str] | None = None) -> int:
    """See run_program."""
    return run_program(PROGRAM, arguments)


if __name__ == "__main__":
    sys.exit(main())
