"""The colours by which labelling tools tell classes apart."""

from __future__ import annotations

from asymfusion_ros.data.labels import Colour, LabelSet, customary_colours


def class_colours(labels: LabelSet) -> tuple[Colour, ...]:
    """The label set's own where they are all different and none is black, which stands for no class."""
    if len(set(labels.colours)) == len(labels) and (0, 0, 0) not in labels.colours:
        return labels.colours
    return customary_colours(len(labels))


def hexadecimal(colour: Colour) -> str:
    """As #rrggbb."""
    return "#{:02x}{:02x}{:02x}".format(*colour)
