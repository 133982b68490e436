"""The models on real OpenPose skeletons that anyone can get: which of three cubes a person reaches for.

    git clone https://github.com/nsoul97/object_size_prediction
    python benchmarks/reach_to_grasp.py object_size_prediction

715 reaches of 8 seated people, 50 joints of the upper body and both hands, 60 frames a second; the classes
are the sizes of the cube. Each person is left out in turn, and the next one is the validation split. Writes
results/reach_to_grasp.csv, of which ``claims.py`` prints the tables.

Without ``folds``, P1–P5 are the training split of the converted file, P6 the validation split, P7 and P8 the
test split.

Source: Dagioglou, Soulounias, Giannakopoulos, Object Size Prediction from Hand Movement Using a Single RGB
Sensor, HCII 2022. MIT licence of the data.
"""

from collections.abc import Sequence
from pathlib import Path

import claims
import numpy as np
import pandas as pd

from miga_lib import layouts
from miga_lib.clips import Clips
from miga_lib.readers import pyskl
from miga_lib.splits import LEAVE_ONE_OUT

CLASSES = {"S": "small", "M": "medium", "L": "large"}
SPLITS = {"P6": "val", "P7": "test", "P8": "test"}
WIDTH, HEIGHT = 320, 240
JOINTS = [
    *layouts.BODY_25[1:9],
    *(f"{side}_{part}" for side in ("left", "right") for part in layouts.HAND_21),
]
"""The joints of the files, in their order, by the names of OpenPose's layouts."""
PEOPLE = 8


def layout() -> layouts.Layout:
    """The 50 joints: arms, mid hip and both hands, with the limbs of ``openpose137`` among them."""
    openpose = layouts.get("openpose137")
    index = {joint: v for v, joint in enumerate(JOINTS)}
    names = [(openpose.joints[a], openpose.joints[b]) for a, b in openpose.limbs]
    limbs = [(index[a], index[b]) for a, b in names if a in index and b in index]
    regions = {}
    for name, joints in openpose.regions.items():
        joints = [index[openpose.joints[v]] for v in joints if openpose.joints[v] in index]
        if joints:
            regions[name] = joints
    return layouts.make("reach50", JOINTS, limbs, "neck", regions=regions)


def read_movement(path: Path, onset: float, end: float) -> np.ndarray:
    """Keypoints (T, 50, 3) of a reach: the frames with onset ≤ time ≤ end, in seconds.

    A last row whose time does not grow is dropped: in most files it repeats the row before, in one it is
    damaged.

    Raises:
        ValueError: another number of columns, or a time within the file that does not grow.
    """
    table = pd.read_csv(path).apply(pd.to_numeric, errors="coerce").to_numpy(float)
    columns, numbers = table.shape[1], 3 * len(JOINTS)
    if columns != 1 + numbers:
        raise ValueError(
            f"{path}: expected a time and {numbers} numbers in each row, found {columns} columns"
        )
    if len(table) > 1 and not table[-1, 0] > table[-2, 0]:
        table = table[:-1]
    times = table[:, 0]
    grows = np.diff(times) > 0
    if not grows.all():
        row = int(grows.argmin()) + 1
        raise ValueError(f"{path}: the time must grow from row to row, in row {row} it does not")
    first, last = np.searchsorted(times, onset, "left"), np.searchsorted(times, end, "right")
    return table[first:last, 1:].reshape(-1, len(JOINTS), 3).astype(np.float32)


def convert(dataset: Path, names: Sequence[str] = ()) -> Clips:
    """The reaches in a folder with ``RtG_onset_end.csv`` and ``data``, in the order of their names; with
    ``names`` only these."""
    bounds = pd.read_csv(dataset / "RtG_onset_end.csv").sort_values("Movement")
    rows, frames, start = [], [], 0
    for movement, onset, end in bounds.itertuples(index=False):
        id = movement.removesuffix(".csv")
        if names and id not in names:
            continue
        subject, size, _ = id.split("_")
        keypoints = read_movement(dataset / "data" / subject / movement, onset, end)
        row = {"id": id, "label": list(CLASSES).index(size), "split": SPLITS.get(subject, "train")}
        row |= {"video": id, "subject": subject, "frames": len(keypoints), "width": WIDTH, "height": HEIGHT}
        rows.append(row | {"missing": (keypoints[..., 2] == 0).mean(), "start": start})
        frames.append(keypoints)
        start += len(keypoints)
    return Clips(pd.DataFrame(rows), np.concatenate(frames), layout(), tuple(CLASSES.values()), "")


def main() -> None:
    """Convert, train, print."""
    given = claims.arguments(__doc__)
    place = claims.data_folder(given.outputs)
    source, skeleton = place / "reach_to_grasp.pkl", place / "reach50.json"
    if not source.exists():
        pyskl.write(source, convert(given.clone / "dataset"))
        layouts.save(layout(), skeleton)
    common = {"layout": str(skeleton), "protocol": LEAVE_ONE_OUT}
    claims.measure("reach_to_grasp", source, given, [common | {"fold": fold} for fold in range(PEOPLE)])


if __name__ == "__main__":
    main()
