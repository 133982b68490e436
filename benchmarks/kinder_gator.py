"""The models on twenty people: which of 42 motions (wave, point, bow, …) an adult or a child performs.

    git clone https://github.com/hayeesha/Kinder-Gator
    python benchmarks/kinder_gator.py Kinder-Gator

1,159 recordings of 10 adults and 10 children by a Kinect, 20 joints, one motion each. Five folds by person:
each person is tested once by networks that did not see that person. Writes results/kinder_gator.csv, of which
``claims.py`` prints the tables. The hypotheses, and which variants of a motion are one class, were written
down before anything was trained: docs/results.md.

The repository has no licence file, so nothing of it is part of miga_lib. Source: Aloba et al., Kinder-Gator:
The UF Kinect Database of Child and Adult Motion, Eurographics 2018.
"""

import re
from pathlib import Path

import claims
import numpy as np
import pandas as pd

from miga_lib import layouts
from miga_lib.clips import Clips
from miga_lib.readers import pyskl

FOLDS = 5
PIXELS_PER_METRE, WIDTH, HEIGHT = 160, 640, 480
FILE = re.compile(r"POSE-p(\d+)_\d+-(.+?)-*-\d+")
"""The name of a file: the person, a number that differs between people, and the motion in words."""
LIMBS = (
    "HipCenter-Spine-ShoulderCenter-Head ShoulderCenter-ShoulderLeft-ElbowLeft-WristLeft-HandLeft "
    "ShoulderCenter-ShoulderRight-ElbowRight-WristRight-HandRight "
    "HipCenter-HipLeft-KneeLeft-AnkleLeft-FootLeft HipCenter-HipRight-KneeRight-AnkleRight-FootRight"
)
VARIANTS = {
    "Wave-your-other-hand": "Wave-your-hand",
    "Raise-your-other-hand": "Raise-your-hand",
    "Raise-your-arm-to-the-other-side": "Raise-your-arm-to-one-side",
    "Bend-your-other-knee-while-raising-your-leg": "Bend-your-knee-while-raising-your-leg",
    "Put-your-hands-on-your-hips-and-lean-to-the-other-side": (
        "Put-your-hands-on-your-hips-and-lean-to-the-side"
    ),
    "Lift-your-leg-to-the-other-side": "Lift-your-leg-to-one-side",
    "Walk-in-place-as-fast-as-you-can": "Walk-in-place",
    "Run-in-place-as-fast-as-you-can": "Run-in-place",
    "Jump-as-high-as-you-can": "Jump",
    "Swipe-across-an-imaginary-screen-in-front-of-you-from-right-to-left": (
        "Swipe-across-an-imaginary-screen-in-front-of-you-from-left-to-right"
    ),
    "Kick-a-ball-with-the-other-leg": "Kick-a-ball",
    "Kick-a-ball-as-far-as-you-can": "Kick-a-ball",
    "Kick-a-ball-as-far-as-you-can-with-the-other-leg": "Kick-a-ball",
    "Throw-a-ball-with-your-other-arm": "Throw-a-ball",
    "Throw-a-ball-as-far-as-you-can": "Throw-a-ball",
    "Throw-a-ball-as-far-as-you-can-with-the-other-arm": "Throw-a-ball",
}
"""Motions that are the mirrored, faster or more forceful variant of another one, and that one."""


def skeleton(joints: list[str]) -> layouts.Layout:
    """The layout of the files' joints, with names that tell left from right."""
    limbs = [
        limb for chain in LIMBS.split() for limb in zip(chain.split("-"), chain.split("-")[1:], strict=False)
    ]
    indices = [(joints.index(a), joints.index(b)) for a, b in limbs]
    return layouts.make("kinect20", [_name(joint) for joint in joints], indices, _name("ShoulderCenter"))


def _name(joint: str) -> str:
    words = [word.lower() for word in re.findall("[A-Z][a-z]+", joint)]
    side = [word for word in words if word in ("left", "right")]
    return "_".join([*side, *(word for word in words if word not in side)])


def convert(clone: Path) -> Clips:
    """All recordings, in the order of their names. x and y of the camera, in metres, become pixels; a joint
    has no score: 1. ``VARIANTS`` of a motion are one class."""
    rows, frames, joints, start = [], [], [], 0
    for path in sorted(clone.glob("*/POSE-*.csv")):
        subject, motion = FILE.fullmatch(path.stem).groups()
        table = pd.read_csv(path, index_col=False)
        joints = joints or [name[:-1] for name in table if name.endswith("X") and name[:-1] + "Y" in table]
        x, y = (table[[f"{joint}{axis}" for joint in joints]].to_numpy(float) for axis in "XY")
        pixels = [WIDTH / 2 + PIXELS_PER_METRE * x, HEIGHT / 2 - PIXELS_PER_METRE * y, np.ones_like(x)]
        keypoints = np.stack(pixels, -1).astype(np.float32)
        label = VARIANTS.get(motion, motion)
        row = {"id": path.stem, "label": label, "split": "train", "video": path.stem, "subject": subject}
        row |= {"frames": len(keypoints), "width": WIDTH, "height": HEIGHT, "missing": 0.0, "start": start}
        rows.append(row)
        frames.append(keypoints)
        start += len(keypoints)
    table = pd.DataFrame(rows)
    classes = sorted(set(table["label"]))
    table = table.assign(label=table["label"].map(classes.index))
    names = tuple(name.replace("-", " ").lower() for name in classes)
    return Clips(table, np.concatenate(frames), skeleton(joints), names, "")


def main() -> None:
    """Convert, train, print."""
    given = claims.arguments(__doc__)
    place = claims.data_folder(given.outputs)
    source, layout = place / "kinder_gator42.pkl", place / "kinect20.json"
    if not source.exists():
        clips = convert(given.clone)
        layouts.save(clips.layout, layout)
        pyskl.write(source, clips)
    common = {"layout": str(layout), "folds": FOLDS}
    claims.measure("kinder_gator", source, given, [common | {"fold": fold} for fold in range(FOLDS)])


if __name__ == "__main__":
    main()
