"""Layouts as the browser takes them, with the close-ups of each."""

from typing import Any

from .. import layouts
from ..layouts import Layout

FACE = ("head", "jaw", "brows", "lips")
"""The regions of a layout that the view of the face shows."""


def available_layouts(source: Layout) -> list[Layout]:
    """The layouts whose joints ``source`` has, fewest joints first."""
    targets = [layouts.get(name) for name in layouts.names() if name != source.name]
    targets = [target for target in targets if set(target.joints) <= set(source.joints)] + [source]
    return sorted(targets, key=lambda target: len(target.joints))


def views(layout: Layout) -> dict[str, list[int]]:
    """The joints of each close-up: the face, the hands, then the other regions with two joints or more."""
    face = [v for region in FACE for v in layout.regions.get(region, ())]
    regions = {"face": face, "left_hand": [], "right_hand": []}
    regions |= {region: list(joints) for region, joints in layout.regions.items() if region not in FACE}
    count = len(layout.joints)
    return {name.replace("_", " "): joints for name, joints in regions.items() if 1 < len(joints) < count}


def sent(layout: Layout, source: Layout) -> dict[str, Any]:
    """A layout in the form that the browser takes; ``rows`` are its joints among those of ``source``."""
    prefixes = [joint.partition("_")[0] for joint in layout.joints]
    return {
        "name": layout.name,
        "joints": list(layout.joints),
        "rows": layouts.selection(source, layout).tolist(),
        "limbs": [list(limb) for limb in layout.limbs],
        "sides": [{"left": "left", "right": "right"}.get(prefix, "middle") for prefix in prefixes],
        "views": list(map(list, views(layout).items())),
    }
