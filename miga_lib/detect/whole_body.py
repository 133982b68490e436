"""RTMW, a whole-body model, by the package rtmlib: 133 joints as the 137 of OpenPose.

rtmlib downloads its models at their first use, into ``~/.cache/rtmlib``; a copy of this folder serves a
machine without internet. The models could not be downloaded where this was written: the tests use a stand-in
for rtmlib, and nothing was measured.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata

import numpy as np
from jaxtyping import Float, UInt8

from .. import layouts

MIN_SCORE = 0.3
"""These models place every joint; one with a lower score is missing."""


@contextmanager
def detector() -> Iterator[tuple[str, Callable[[UInt8[np.ndarray, "H W 3"]], Float[np.ndarray, "M 137 3"]]]]:
    """The version of rtmlib, and a function that finds the joints of all people in a frame. Their scores are
    no probabilities: above 1 they are 1. Raises RuntimeError where rtmlib is not installed."""
    try:
        import rtmlib
    except ImportError:
        raise RuntimeError("this detector needs the package rtmlib: pip install 'miga_lib[rtmlib]'") from None
    model = rtmlib.Wholebody()

    def joints(picture: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "M 137 3"]:
        image = np.ascontiguousarray(picture[..., ::-1])  # rtmlib reads BGR
        boxes = model.det_model(image)
        if not len(boxes):  # without a box, the pose model would invent a person
            return np.zeros((0, len(layouts.OPENPOSE_137), 3))
        points, scores = model.pose_model(image, bboxes=boxes)
        keypoints = np.concatenate([points, scores[..., None].clip(max=1)], -1)
        keypoints[scores < MIN_SCORE] = 0
        return layouts.to_openpose137(keypoints)

    yield metadata.version("rtmlib"), joints
