"""What is in a folder or file that no reader recognises, and what the nearest format needs."""

import itertools
from collections import Counter
from pathlib import Path

from . import folders, miga, miga23, openpose, pyskl, release, smg, untrusted
from .contract import DataError, shown

MAX_FILES, MAX_SUFFIXES = 10_000, 3
"""How many files are looked at, and how many suffixes are named."""
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".wmv")
SPLITS = ", ".join(miga.SPLIT_FOLDERS.values())
ARRAYS = ", ".join(f"{names[0]}_data.npy" for names in miga23.FILES.values())
OF_MIGA, OF_RELEASE = (*miga.KEYPOINT_FILES, miga.LABELS), ("_2.xlsx", miga.SUBJECTS_FILE)
OF_PROGRAMS = (".npz", ".mat", ".h5", ".hdf5", ".pt", ".pth", ".parquet")
NEEDS = {
    OF_MIGA: f"files of the MiGA challenge need one of the folders {SPLITS} above the folders of the videos",
    OF_RELEASE: f"the iMiGUE release needs its videos in a folder {release.SKELETONS}, and "
    f"{miga.SUBJECTS_FILE} beside that",
    (smg.SKELETON, smg.LABELS): f"SMG needs files SampleNNNN{smg.SKELETON}, NNNN being four digits",
    ("_data.npy", "_label.pkl"): f"arrays of the MiGA challenge 2023 are named {ARRAYS}",
    OF_PROGRAMS: "write such arrays as a pickle, see readers.pyskl.write",
    (".json",): "OpenPose's frames are in a folder for each video and end with 12 digits and "
    f"{openpose.FRAMES}; MMPose's results begin with a list of frames",
    (".txt",): "labels in text belong to the column class of segments.csv, or to `label` and `classes` of a "
    "pickle, beside the keypoints",
    (".csv", ".xlsx"): "tables are only read in the folders of MiGA, iMiGUE and SMG",
}
"""What formats need, by the ends of the names of their files."""


def described(place: Path) -> str:
    """The files of a place, by suffix, and a way out."""
    if place.is_file():
        return _way_out(place, [place])
    files = (path for path in folders.below(place, "*", 6) if path.is_file())
    paths = list(itertools.islice(files, MAX_FILES))
    counts = Counter(path.suffix.lower() or "no suffix" for path in paths)
    listed = ", ".join(f"{count} × {shown(suffix)}" for suffix, count in counts.most_common(MAX_SUFFIXES))
    if not paths:
        return "it has no files: check the path, and that it was unpacked"
    return f"found {listed}: {_way_out(place, paths)}"


def _way_out(place: Path, paths: list[Path]) -> str:
    frames = [path for path in paths if path.name.endswith(openpose.FRAMES)]
    if frames:
        videos = frames[0].parent.parent if place.is_dir() else place.parent
        deeper = "OpenPose's frames are in deeper or several folders"
        return (
            f"{deeper}: give one that has the folders of the videos directly in it, such as {_short(videos)}"
        )
    for path in paths:
        if path.suffix.lower() == ".zip":
            return f"give a zip file itself, such as {_short(path)}"
        if path.suffix.lower() in pyskl.SUFFIXES and not path.stem.endswith("_label"):
            return f"give a pickle itself, such as {_short(path)}"
        if path.suffix.lower() == ".npy" and _dimensions(path) == 5:
            shape, names = "(clips, 3, frames, 22 joints, persons)", "train_data.npy and train_label.pkl"
            return (
                f"arrays {shape} are read under the names {names}, others as a pickle (readers.pyskl.write)"
            )
        if path.suffix.lower() in VIDEOS:
            return "videos are not read: run OpenPose with --write_json, or rtmlib, and give what they write"
    for ends, need in NEEDS.items():
        if any(path.name.endswith(ends) for path in paths):
            return need
    return "give a folder or file of one of the formats"


def _dimensions(path: Path) -> int:
    try:
        return untrusted.array(path).ndim
    except DataError:
        return 0


def _short(path: Path) -> str:
    """A path of which only the end is shown where it is long."""
    text = str(path)
    return text if len(text) <= 100 else f"…{text[-99:]}"
