"""The field ``format`` of sensor_msgs/CompressedImage, in the forms that are in use."""

from __future__ import annotations

from dataclasses import dataclass

DEPTH_TRANSPORT = "compressedDepth"


@dataclass(frozen=True)
class Format:
    """What a format says; each field is empty where it says nothing.

    source: the encoding of the image that was compressed. target: that to which it was converted before.
    codec: jpeg, png, rvl. depth: whether compressedDepth made it. by_transport: whether image_transport wrote
    it, whose word on the order of the colours counts.
    """

    source: str = ""
    codec: str = ""
    target: str = ""
    depth: bool = False
    by_transport: bool = False

    @classmethod
    def parse(cls, text: str) -> Format:
        """``rgb8; jpeg compressed bgr8``, ``mono16; png compressed ``, ``16UC1; compressedDepth rvl``,
        ``32FC1; compressedDepth`` (of older versions, always PNG), ``16UC1`` (likewise), ``jpeg``.
        """
        source, separator, rest = text.partition(";")
        source, words = source.strip(), rest.split()
        if not separator:
            known = source.lower() in ("jpeg", "jpg", "png")
            return cls(codec=source.lower()) if known else cls(source=source)
        if DEPTH_TRANSPORT in words:
            after = words[words.index(DEPTH_TRANSPORT) + 1 :]
            return cls(source, after[0] if after else "png", depth=True, by_transport=True)
        codec = words[0] if words else ""
        if "compressed" not in words:
            return cls(source, codec)
        after = words[words.index("compressed") + 1 :]
        return cls(source, codec, after[0] if after else "", by_transport=True)
