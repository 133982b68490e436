"""The models on twenty people: which of 42 motions (wave, point, bow, …) an adult or a child performs.

    git clone https://github.com/hayeesha/Kinder-Gator
    python benchmarks/kinder_gator.py Kinder-Gator

1,159 recordings of 10 adults and 10 children by a Kinect, 20 joints, one motion each. Five folds by person:
each person is tested once by networks that did not see that person. Prints one table. The hypotheses, and
which variants of a motion are one class, were written down before anything was trained: docs/results.md.

The repository has no licence file, so nothing of it is part of miga_lib. Source: Aloba et al., Kinder-Gator:
The UF Kinect Database of Child and Adult Motion, Eurographics 2018.
"""

import re
from pathlib import Path
from typing import Any

import baselines
import numpy as np
import pandas as pd
from reach_to_grasp import NAMES, arguments, data_folder, fuse_seeds, row, show

from miga_lib import layouts, predictions, training
from miga_lib.clips import Clips, load
from miga_lib.predictions import Predictions
from miga_lib.readers import pyskl
from miga_lib.runs import run_folder, run_name
from miga_lib.settings import choose

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
RUNS = {
    "PoseC3D joint": {"model": "posec3d", "stream": "joint"},
    "PoseC3D limb": {"model": "posec3d", "stream": "limb"},
    "ST-GCN joint": {"model": "stgcn", "stream": "joint"},
    "ST-GCN++ joint": {"model": "stgcnpp", "stream": "joint"},
    "ST-GCN++ bone": {"model": "stgcnpp", "stream": "bone"},
    "PoseC3D joint, crop and pad": {"model": "posec3d", "stream": "joint", "temporal": "crop_pad"},
}
FUSED = {
    "PoseC3D joint + limb": ("PoseC3D joint", "PoseC3D limb"),
    "PoseC3D joint + limb + ST-GCN++ joint": ("PoseC3D joint", "PoseC3D limb", "ST-GCN++ joint"),
}


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


def convert(clone: Path, merged: bool = True) -> Clips:
    """All recordings, in the order of their names. x and y of the camera, in metres, become pixels; a joint
    has no score: 1. With ``merged``, ``VARIANTS`` of a motion are one class."""
    rows, frames, joints, start = [], [], [], 0
    for path in sorted(clone.glob("*/POSE-*.csv")):
        subject, motion = FILE.fullmatch(path.stem).groups()
        table = pd.read_csv(path, index_col=False)
        joints = joints or [name[:-1] for name in table if name.endswith("X") and name[:-1] + "Y" in table]
        x, y = (table[[f"{joint}{axis}" for joint in joints]].to_numpy(float) for axis in "XY")
        pixels = [WIDTH / 2 + PIXELS_PER_METRE * x, HEIGHT / 2 - PIXELS_PER_METRE * y, np.ones_like(x)]
        keypoints = np.stack(pixels, -1).astype(np.float32)
        label = VARIANTS.get(motion, motion) if merged else motion
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
    parser = arguments(__doc__)
    parser.add_argument("--all-motions", action="store_true", help="58 classes in place of 42")
    given = parser.parse_args()
    place = data_folder(given.outputs)
    name = f"kinder_gator{58 if given.all_motions else 42}"
    source, layout = place / f"{name}.pkl", place / "kinect20.json"
    if not source.exists():
        clips = convert(given.clone, not given.all_motions)
        layouts.save(clips.layout, layout)
        pyskl.write(source, clips)
    parts = [load(source, str(layout), given.outputs, folds=FOLDS, fold=fold) for fold in range(FOLDS)]
    subjects = parts[0].groups().set_axis(parts[0].table["id"])
    linear = predictions.concatenate([baselines.linear(part)["test"] for part in parts])
    rows = [row("linear classifier on aligned coordinates", [linear], subjects)]

    def tested(seed: int, changes: dict[str, Any]) -> tuple[Predictions, float]:
        """The joined test predictions of all folds, and the mean seconds of a training."""
        of_folds, seconds = [], []
        for fold, part in enumerate(parts):
            more = {"layout": str(layout), "preset": given.preset, "seed": seed, "folds": FOLDS, "fold": fold}
            settings = choose(**changes, **more)
            run = run_folder(run_name(settings, source), given.outputs)
            seconds.append(training.fit(part, settings, run, progress=lambda row: None)["seconds"])
            of_folds.append(predictions.load(run / "test.npz"))
        return predictions.concatenate(of_folds), float(np.mean(seconds))

    runs: dict[str, list[Predictions]] = {}
    for title, changes in RUNS.items():
        assert title.startswith(NAMES[changes["model"]])
        of_seeds, seconds = zip(*(tested(seed, changes) for seed in given.seeds), strict=True)
        runs[title] = list(of_seeds)
        rows.append(row(title, runs[title], subjects, float(np.mean(seconds))))
        print(rows[-1], flush=True)
    for title, members in FUSED.items():
        rows.append(row(title, fuse_seeds([runs[member] for member in members]), subjects))
    show(rows)


if __name__ == "__main__":
    main()
