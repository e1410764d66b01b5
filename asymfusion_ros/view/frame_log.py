"""Frames as a Rerun recording: what is logged of each, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import rerun as rr
import torch

from asymfusion_ros.data.colouring import enlarged
from asymfusion_ros.data.labels import UNLABELED, VOID, LabelSet
from asymfusion_ros.data.modality import Modality
from asymfusion_ros.data.pictures import picture
from asymfusion_ros.engine.cloud import POINT
from asymfusion_ros.engine.geometry import Geometry, Projector
from asymfusion_ros.view.arrangement import arranged
from asymfusion_ros.view.shown import Pixels, Shown

STAMP, FRAME = "stamp", "frame"  # the timelines
DRAWN = 0.01  # a class is drawn from the first frame on of which it has this share
YEAR = 31_536_000_000_000_000  # nanoseconds; earlier stamps are of a clock that began at 0
RADIUS = -1.6  # of a point of the cloud; below 0: of the screen's points
RIGHT, WRONG = 0, 1
ERRORS = [
    rr.AnnotationInfo(RIGHT, "right", (46, 160, 67)),
    rr.AnnotationInfo(WRONG, "wrong", (228, 60, 48)),
    rr.AnnotationInfo(VOID, UNLABELED, (0, 0, 0, 0)),
]


@dataclass(frozen=True)
class Detail:
    """jpeg: the quality of colour images, 1 to 100, or 0 to keep every pixel as it is. point_step: the cloud
    has each such row and column; 0 for no cloud."""

    jpeg: int = 90
    point_step: int = 2


class FrameLog:
    """Logs frames to ``stream``. ``labels``: what the labels mean; ``modalities``: what the images are, in
    the network's order.

    Every frame lies on the timeline STAMP at its stamp, and on FRAME by its number. The arrangement of the
    viewer is sent with the first frame, and again where a later one brings something new.

    labels: what the labels mean. frames: how many were logged.
    """

    def __init__(
        self,
        stream: rr.RecordingStream,
        labels: LabelSet,
        modalities: Mapping[str, Modality],
        detail: Detail | None = None,
    ) -> None:
        self.frames = 0
        self.stream = stream
        self._modalities = modalities
        self._detail = detail or Detail()
        self._projector = Projector(torch.device("cpu"))
        self._drawn: set[int] = set()
        self._named: set[str] = set()  # curves
        self._kinds: set[str] = set()
        self._arranged: frozenset[str] = frozenset()
        self._camera: object = None
        self._distance: float | None = None
        stream.log("/", rr.ViewCoordinates.RDF, static=True)  # x right, y down, z forward: an optical frame
        stream.log("camera/errors", rr.AnnotationContext(ERRORS), static=True)
        self.use(labels)

    def use(self, labels: LabelSet) -> None:
        """From now on labels mean this."""
        self.labels = labels
        self._drawn.clear()
        named = enumerate(zip(labels.names, labels.colours, strict=True))
        classes = [rr.AnnotationInfo(index, name, colour) for index, (name, colour) in named]
        void = rr.AnnotationInfo(VOID, UNLABELED, (0, 0, 0, 0))
        self.stream.log("/", rr.AnnotationContext([*classes, void]), static=True)

    def add(self, shown: Shown, notes: Sequence[str] = ()) -> None:
        """Logs a frame, and lines for the user at its stamp."""
        self._at(shown.stamp)
        for line in notes:
            self.stream.log("notes", rr.TextLog(line, level="INFO"))
            self._kinds.add("notes")
        for name in shown.images:
            self._image(name, shown)
        if shown.geometry is not None:
            self._geometry(shown, shown.geometry)
        if shown.labels is not None:
            self._mask("mask", shown.labels)
            self._shares(shown.labels)
        self._level("confidence", shown.confidence, shown)
        self._level("disagreement", shown.disagreement, shown)
        if shown.seconds is not None:
            self._curve("latency/mask", "image to mask, ms", 1000 * shown.seconds, (120, 170, 255))
            self._kinds.add("latency")
        if shown.truth is not None:
            self._truth(shown.truth, shown.labels)
        self.frames += 1
        if not self._kinds <= self._arranged:
            self._arranged = frozenset(self._kinds)
            self.stream.send_blueprint(arranged(self._arranged, list(self._modalities), self._distance))

    def _at(self, stamp: int) -> None:
        if stamp < YEAR:
            self.stream.set_time(STAMP, duration=np.timedelta64(stamp, "ns"))
        else:
            self.stream.set_time(STAMP, timestamp=np.datetime64(stamp, "ns"))
        self.stream.set_time(FRAME, sequence=self.frames)

    def _image(self, name: str, shown: Shown) -> None:
        modality, image = self._modalities[name], shown.images[name]
        self._kinds.add(name)
        if modality.kind != "range":
            self.stream.log(f"camera/{name}", self._picture(picture(image, modality)))
            return
        unit = image.layout.unit or modality.unit
        moved = shown.geometry is not None and shown.geometry.unregistered is not None
        values: npt.NDArray[Any]
        if image.layout.dtype == "float32" or moved:
            if name not in shown.decoded:  # none of it falls into the reference image
                return
            metres = shown.decoded[name]
            values, unit = torch.where(modality.valid(metres), metres, 0)[0, 0].numpy(), 1.0
        else:
            pixels = image.pixels()
            values = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))
        self.stream.log(f"camera/{name}", rr.DepthImage(values, meter=1 / unit, colormap="turbo"))

    def _picture(self, pixels: Pixels) -> Any:
        pixels = np.ascontiguousarray(pixels)
        if not self._detail.jpeg:
            return rr.Image(pixels)
        quality = [cv2.IMWRITE_JPEG_QUALITY, self._detail.jpeg]
        encoded = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), quality)[1]
        return rr.EncodedImage(contents=encoded.tobytes(), media_type="image/jpeg")

    def _mask(self, name: str, labels: Pixels) -> None:
        self.stream.log(f"camera/{name}", rr.SegmentationImage(labels))
        self._kinds.add(name)

    def _level(self, name: str, values: Pixels | None, shown: Shown) -> None:
        """An image of 0 to 255 and the curve of its mean, 0 to 1."""
        if values is None:
            return
        size = values.shape if shown.labels is None else shown.labels.shape
        self.stream.log(f"camera/{name}", rr.Image(enlarged(values, (size[0], size[1]))))
        colour = {"confidence": (90, 200, 120), "disagreement": (240, 120, 90)}[name]
        self._curve(f"means/{name}", f"mean {name}", float(values.mean(dtype=np.float64)) / 255, colour)
        self._kinds |= {name, "means"}

    def _shares(self, labels: Pixels) -> None:
        counts = np.bincount(labels.reshape(-1), minlength=256)[: len(self.labels)]
        shares = counts / labels.size
        self._drawn |= set(np.flatnonzero(shares >= DRAWN).tolist())
        for index in sorted(self._drawn):
            name, colour = self.labels.names[index], self.labels.colours[index]
            path = f"class_shares/{rr.escape_entity_path_part(name)}"
            self._curve(path, name, 100 * float(shares[index]), legible(colour))
        self._kinds.add("class_shares")

    def _truth(self, truth: Pixels, labels: Pixels | None) -> None:
        self._mask("truth", truth)
        if labels is None:
            return
        known = truth != VOID
        errors = np.where(known, np.where(truth == labels, RIGHT, WRONG), VOID).astype(np.uint8)
        self._mask("errors", errors)
        if known.any():
            share = float((truth == labels)[known].mean())
            self._curve("means/accuracy", "pixel accuracy", share, (200, 200, 200))
            self._kinds.add("means")

    def _geometry(self, shown: Shown, geometry: Geometry) -> None:
        camera = geometry.camera
        labels = shown.labels
        if geometry.points and labels is not None and labels.shape == (camera.height, camera.width):
            self._cloud(shown, geometry, labels)
        if self._camera != (camera, self._distance):
            self._camera = camera, self._distance
            pinhole = rr.Pinhole(
                focal_length=(camera.fx, camera.fy),
                # ours has its origin in the middle of the first pixel, the viewer's at its corner
                principal_point=(camera.cx + 0.5, camera.cy + 0.5),
                resolution=(camera.width, camera.height),
                camera_xyz=rr.ViewCoordinates.RDF,
                image_plane_distance=0.25 * (self._distance or 2.0),
            )
            self.stream.log("camera", pinhole)

    def _cloud(self, shown: Shown, geometry: Geometry, labels: Pixels) -> None:
        step = self._detail.point_step
        if not step:
            return
        given = torch.from_numpy(labels)
        confidence = torch.zeros_like(given)  # is not shown
        found = self._projector.points(geometry, shown.decoded, given, confidence).numpy()
        points = found.view(POINT)[::step, ::step, 0]
        points = points[np.isfinite(points["z"])]
        if not points.size:
            return
        if self._distance is None:
            self._distance = float(np.median(points["z"]))
        positions = np.stack([points["x"], points["y"], points["z"]], 1)
        logged = rr.Points3D(positions, class_ids=points["label"].astype(np.uint16), radii=RADIUS)
        self.stream.log("points", logged)
        self._kinds.add("points")

    def _curve(self, path: str, name: str, value: float, colour: tuple[int, int, int]) -> None:
        if path not in self._named:
            self._named.add(path)
            self.stream.log(path, rr.SeriesLines(names=name, colors=colour, widths=1.5), static=True)
        self.stream.log(path, rr.Scalars(value))


def legible(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    """A class's colour as that of a line, on a dark and on a light ground: neither nearly black nor white."""
    red, green, blue = (64 + round(0.6 * value) for value in colour)
    return red, green, blue
