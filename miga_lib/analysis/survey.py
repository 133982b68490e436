"""What is in a set of clips before a model is trained on it: classes, splits, scores and duplicates, as
tables and sentences."""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from .. import denoising
from ..clips import Clips
from ..layouts import Layout
from ..readers import select
from ..settings import check_choice

UNKNOWN = "(unknown)"
"""The row of clips whose class is unknown."""
SCORE_BINS = 100
"""Bins of the scores from 0 to 1. A score above 1 counts in the last bin."""
CLIPS_PER_CHUNK = 200


def splits(clips: Clips) -> list[str]:
    """The splits that have clips, training first."""
    present = sorted(set(clips.table["split"]))
    first = [split for split in ("train", "val", "test") if split in present]
    return first + [split for split in present if split not in first]


def clips_per_class(clips: Clips) -> pd.DataFrame:
    """Number of clips of each class and split. Classes are in the order of their indices; clips of unknown
    class are in a last row."""
    counts = pd.crosstab(clips.table["label"], clips.table["split"])
    labels = [*range(len(clips.classes)), *(label for label in counts.index if label < 0)]
    counts = counts.reindex(index=labels, columns=splits(clips), fill_value=0)
    return counts.set_axis(_class_names(clips, labels)).rename_axis("class")


def _class_names(clips: Clips, labels: Sequence[int]) -> list[str]:
    return [clips.classes[label] if label >= 0 else UNKNOWN for label in labels]


def absences(clips: Clips) -> list[str]:
    """A sentence for each split: which classes have no clips in it."""
    sentences = []
    for split, counts in clips_per_class(clips).items():
        counts = counts.drop(UNKNOWN, errors="ignore")
        absent = counts.index[counts == 0].tolist()
        if not counts.any():
            sentences.append(f"The classes of {split} are unknown.")
        elif absent:
            numbers = f"{len(counts) - len(absent)} classes and none of {len(absent)}"
            sentences.append(f"{split} has clips of {numbers}: {', '.join(absent)}.")
        else:
            sentences.append(f"{split} has clips of all {len(counts)} classes.")
    return sentences


def clips_per_group(clips: Clips, kind: str = "subject") -> pd.DataFrame:
    """Number of clips of each subject, or video, in each split, without clips of unknown subjects. Raises
    ValueError for another kind."""
    check_choice("kind", kind, ("subject", "video"))
    rows = clips.table[clips.table[kind] != ""]
    return pd.crosstab(rows[kind], rows["split"]).reindex(columns=splits(clips), fill_value=0)


def overlaps(clips: Clips) -> list[str]:
    """The videos and subjects that are in two splits, a sentence for each pair of splits; and what could not
    be checked."""
    sentences = []
    for kind in ("video", "subject"):
        counts = clips_per_group(clips, kind)
        for first, second in itertools.combinations(splits(clips), 2):
            in_second = counts[counts[second] > 0]
            both = in_second.index[in_second[first] > 0].tolist()
            if both:
                names = ", ".join(both[:8]) + ", …" * (len(both) > 8)
                share = f"{len(both)} of {len(in_second)} {kind}s of {second} are also in {first} ({names})"
                sentences.append(f"Warning: {share}. {_consequence(kind, second)}")
    if not sentences:
        sentences.append("No video and no known subject is in two splits.")
    unknown = int((clips.table["subject"] == "").sum())
    if unknown:
        sentences.append(
            f"The subject of {unknown:,} of {len(clips):,} clips is unknown, so only their videos could be "
            "compared. In the release of the MiGA challenge, the people of the validation videos are in "
            "training videos too."
        )
    return sentences


def _consequence(kind: str, split: str) -> str:
    if kind == "video":
        return (
            f"Clips of one recording are similar, so the scores on {split} are too high. "
            "Put all clips of a video into one split."
        )
    if split == "test":
        return "This is not the cross-subject protocol: do not compare these test scores with published ones."
    return (
        f"Scores on {split} are of people who are in training too, and are too high for other people. To"
        " choose between models, divide by subject with `folds`."
    )


def score_counts(clips: Clips) -> np.ndarray:
    """A histogram of the scores of each joint: (V, 1 + SCORE_BINS) int. Column 0 counts frames in which it is
    missing."""
    joints, columns = len(clips.layout.joints), 1 + SCORE_BINS
    counts = np.zeros(joints * columns, dtype=np.int64)
    for keypoints in _chunks(clips):
        scores = keypoints[..., 2]
        column = np.where(scores > 0, 1 + np.minimum(scores * SCORE_BINS, SCORE_BINS - 1).astype(int), 0)
        counts += np.bincount((column + np.arange(joints) * columns).ravel(), minlength=len(counts))
    return counts.reshape(joints, columns)


def faults(clips: Clips) -> pd.DataFrame:
    """What filters would repair, a row for each region of the layout, as shares of the frames of its joints.

    Columns: missing; in gaps, the missing joints in gaps so short that ``denoising.fill_gaps`` fills them;
    swapped, the joints that ``unswap`` exchanges with those of the other side; outliers, the joints that
    ``remove_outliers`` removes.
    """
    regions, filters = clips.layout.regions, {"in gaps": "gaps", "swapped": "swaps", "outliers": "outliers"}
    counts = pd.DataFrame(0.0, index=pd.Index(list(regions), name="region"), columns=["missing", *filters])
    frames = clips.table["frames"].sum()
    for begin in range(0, len(clips), CLIPS_PER_CHUNK):
        chunk = clips.where(np.arange(begin, min(begin + CLIPS_PER_CHUNK, len(clips))))
        raw = np.concatenate([chunk[i] for i in range(len(chunk))])
        faulty = {"missing": raw[..., 2] == 0}
        for column, name in filters.items():
            faulty[column] = (denoising.denoised(chunk, name).keypoints != raw).any(-1)
        for column, flags in faulty.items():
            counts[column] += [flags[:, list(joints)].mean(1).sum() / frames for joints in regions.values()]
    return counts


def quantiles(counts: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Quantiles of the scores of the joints that were found, (len(shares),), from a row of ``score_counts``,
    exact to half a bin; NaN where no joint was found."""
    sums = counts[1:].cumsum()
    if not sums[-1]:
        return np.full(len(shares), np.nan)
    return (np.searchsorted(sums, np.asarray(shares) * sums[-1]) + 0.5) / SCORE_BINS


def clearest_frame(clips: Clips) -> np.ndarray:
    """The frame, (V, 3), in which most joints were found; of several such frames, the one with the highest
    mean score."""
    best = []
    for keypoints in _chunks(clips):
        scores = keypoints[..., 2]
        best.append(keypoints[((scores > 0).sum(1) + scores.clip(0, 1).mean(1)).argmax()])
    return max(best, key=lambda frame: ((frame[:, 2] > 0).sum(), frame[:, 2].mean()))


def duplicates(clips: Clips) -> pd.DataFrame:
    """Clips whose keypoints are equal to those of an earlier clip: a row each, with the first clip that has
    these keypoints. Clips in which no joint was found are left out, since they are all equal."""
    first: dict[bytes, int] = {}
    copies, originals = [], []
    for row in np.flatnonzero(clips.table["missing"].to_numpy() < 1).tolist():
        original = first.setdefault(hashlib.sha256(clips[row].tobytes()).digest(), row)
        if original != row:
            copies.append(row)
            originals.append(original)
    table = clips.table.assign(**{"class": _class_names(clips, clips.table["label"].tolist())})
    columns = {"id": "clip", "split": "split", "class": "class", "frames": "frames"}
    columns_of_first = {"id": "same as", "split": "its split", "class": "its class"}
    parts = []
    for rows, names in ((copies, columns), (originals, columns_of_first)):
        parts.append(table.iloc[rows][list(names)].rename(columns=names).reset_index(drop=True))
    return pd.concat(parts, axis=1)


def row_of(clips: Clips, id: str = "", frames: tuple[int, int] | None = None) -> int:
    """The row of the clip with this id, or, without an id, of the clip of this length with the fewest missing
    joints.

    Args:
        frames: least and greatest number of frames; by default any. If no clip has such a length, the nearest
            length is used.

    Raises:
        ValueError: no clip has that id.
    """
    table = clips.table
    if id:
        rows = np.flatnonzero(table["id"] == id)
        if not rows.size:
            way_out = f"give an id such as {table['id'].iloc[0]!r}"
            raise ValueError(f"there is no clip {id!r} among the {len(table)} clips; {way_out}")
        return int(rows[0])
    least, most = frames or (1, int(table["frames"].max()))
    distance = (table["frames"].clip(least, most) - table["frames"]).abs().to_numpy()
    return int(np.lexsort([table["missing"], distance])[0])


def in_layout(clips: Clips, layout: Layout) -> Clips:
    """The same clips with the joints of another layout, in memory. Raises DataError where they lack a
    joint."""
    joints = select(clips.layout, layout, "these clips")
    starts = clips.table["frames"].cumsum() - clips.table["frames"]
    keypoints = np.concatenate([chunk[:, joints] for chunk in _chunks(clips)])
    table = clips.table.assign(start=starts).reset_index(drop=True)
    return replace(clips, table=table, keypoints=keypoints, layout=layout)


def _chunks(clips: Clips) -> Iterator[np.ndarray]:
    """The frames of all clips in arrays (F, V, 3), each with the frames of up to ``CLIPS_PER_CHUNK``
    clips."""
    for begin in range(0, len(clips), CLIPS_PER_CHUNK):
        yield np.concatenate([clips[row] for row in range(begin, min(begin + CLIPS_PER_CHUNK, len(clips)))])
