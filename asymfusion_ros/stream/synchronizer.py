"""The images of several topics to sets of images whose stamps agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, Generic, TypeVar

from asymfusion_ros.stream import pairing

Image = TypeVar("Image")


class Synchronizer(Generic[Image]):
    """Calls ``on_frame(images)`` for every set of images, one of each of ``modalities``, whose stamps agree
    to within ``slop`` seconds, or exactly where that is 0. A single modality needs no partner. An image has a
    message's ``header``. ``filters``: the module with message_filters' classes.

    ``on_frame`` must not raise: message_filters holds a lock while it runs, and would keep it for good.
    """

    def __init__(
        self,
        modalities: Sequence[str],
        slop: float,
        queue_size: int,
        on_frame: Callable[[dict[str, Image]], None],
        filters: ModuleType = pairing,
    ) -> None:
        self.modalities = tuple(modalities)
        self._on_frame = on_frame
        self._sources = {name: filters.SimpleFilter() for name in modalities}
        inputs = list(self._sources.values())
        # An approximate synchronizer asks for a difference below its slop: with 0 it would never fire.
        self._synchronizer: Any = (
            filters.ApproximateTimeSynchronizer(inputs, queue_size, slop)
            if slop > 0
            else filters.TimeSynchronizer(inputs, queue_size)
        )
        self._synchronizer.registerCallback(self._on_images)

    def add(self, name: str, image: Image) -> None:
        """Takes an image of a modality, and calls ``on_frame`` where it completes a frame."""
        if len(self.modalities) == 1:
            self._on_frame({name: image})
        else:
            self._sources[name].signalMessage(image)

    def jumped_back(self, stamp: int) -> None:
        """Forgets what waits with a stamp later than ``stamp`` (ns), to which a stream has gone back.

        What is not later stays: another stream may have gone back first.
        """
        pairing.forget_later(self._synchronizer, stamp)

    def lengthen(self, queue_size: int) -> None:
        """Lets more images of each modality wait."""
        self._synchronizer.queue_size = queue_size

    def waiting(self) -> list[tuple[str, Image]]:
        """The images that wait for a partner, oldest stamp first, with their modalities."""
        with self._synchronizer.lock:
            queued = [
                (stamp, name, image)
                for name, queue in zip(self.modalities, self._synchronizer.queues, strict=True)
                for stamp, image in queue.items()
            ]
        return [(name, image) for _, name, image in sorted(queued, key=lambda one: one[0])]

    def clear(self) -> None:
        """Forgets all that waits."""
        pairing.forget_all(self._synchronizer)

    def _on_images(self, *images: Image) -> None:
        self._on_frame(dict(zip(self.modalities, images, strict=True)))
