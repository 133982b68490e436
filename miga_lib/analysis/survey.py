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

SPLITS = ("train", "val", "test")
UNKNOWN = "(unknown)"
"""The row of clips whose class is unknown."""
SCORE_BINS = 100
"""Bins of the scores from 0 to 1. A score above 1 counts in the last bin."""
CLIPS_PER_CHUNK = 200


def splits(clips: Clips) -> list[str]:
    """The splits that have clips, training first."""
    found = clips.table["split"].unique().tolist()
    return sorted(found, key=lambda split: (SPLITS.index(split) if split in SPLITS else len(SPLITS), split))


def clips_per_class(clips: Clips) -> pd.DataFrame:
    """Number of clips of each class and split. Classes are in the order of their indices; clips of unknown
    class are in a last row."""
    counts = pd.crosstab(clips.table["label"], clips.table["split"])
    labels = [*range(len(clips.classes)), *(label for label in counts.index if label < 0)]
    counts = counts.reindex(index=labels, columns=splits(clips), fill_value=0)
    return counts.set_axis([clips.classes[label] if label >= 0 else UNKNOWN for label in labels]).rename_axis(
        "class"
    )


def absences(clips: Clips) -> list[str]:
    """A sentence for each split: which classes have no clips in it."""
    sentences = []
    for split, counts in clips_per_class(clips).items():
        known = counts.drop(UNKNOWN, errors="ignore")
        absent = known.index[known == 0].tolist()
        if not known.any():
            sentences.append(f"The classes of {split} are unknown.")
        elif absent:
            sentences.append(
                f"{split} has clips of {len(known) - len(absent)} classes and none of {len(absent)}: {', '.join(absent)}."
            )
        else:
            sentences.append(f"{split} has clips of all {len(known)} classes.")
    return sentences


def clips_per_group(clips: Clips, kind: str = "subject") -> pd.DataFrame:
    """Number of clips of each subject, or video, in each split, without clips of unknown subjects. Raises
    ValueError for another kind."""
    check_choice("kind", kind, ("subject", "video"))
    known = clips.table[clips.table[kind] != ""]
    return pd.crosstab(known[kind], known["split"]).reindex(columns=splits(clips), fill_value=0)


def overlaps(clips: Clips) -> list[str]:
    """The videos and subjects that are in two splits, a sentence for each pair of splits; and what could not
    be checked."""
    sentences = []
    for kind, (first, second) in itertools.product(
        ("video", "subject"), itertools.combinations(splits(clips), 2)
    ):
        counts = clips_per_group(clips, kind)
        in_second = counts[counts[second] > 0]
        both = in_second.index[in_second[first] > 0].tolist()
        if both:
            shown = ", ".join(both[:8]) + (", …" if len(both) > 8 else "")
            share = f"{len(both)} of {len(in_second)} {kind}s of {second} are also in {first} ({shown})"
            sentences.append(f"Warning: {share}. {_consequence(kind, second)}")
    if not sentences:
        sentences.append("No video and no known subject is in two splits.")
    if unknown := int((clips.table["subject"] == "").sum()):
        sentences.append(
            f"The subject of {unknown:,} of {len(clips):,} clips is unknown, so only their videos could be compared. "
            "In the release of the MiGA challenge, the people of the validation videos are in training videos too."
        )
    return sentences


def _consequence(kind: str, split: str) -> str:
    if kind == "video":
        return f"Clips of one recording are similar, so the scores on {split} are too high. Put all clips of a video into one split."
    if split == "test":
        return "This is not the cross-subject protocol: do not compare these test scores with published ones."
    return (
        f"Scores on {split} are of people who are in training too, and are too high for other people. To choose between models, "
        "divide by subject with `folds`."
    )


def score_counts(clips: Clips) -> np.ndarray:
    """A histogram of the scores of each joint: (V, 1 + SCORE_BINS) int. Column 0 counts frames in which it is
    missing."""
    joints = len(clips.layout.joints)
    counts = np.zeros(joints * (1 + SCORE_BINS), dtype=np.int64)
    for keypoints in _chunks(clips):
        scores = keypoints[..., 2]
        column = np.where(scores > 0, 1 + np.minimum(scores * SCORE_BINS, SCORE_BINS - 1).astype(int), 0)
        counts += np.bincount((column + np.arange(joints) * (1 + SCORE_BINS)).ravel(), minlength=len(counts))
    return counts.reshape(joints, 1 + SCORE_BINS)


def faults(clips: Clips) -> pd.DataFrame:
    """What filters would repair, a row for each region of the layout, as shares of the frames of its joints.

    Columns: missing; in gaps, the missing joints in gaps so short that ``denoising.fill_gaps`` fills them;
    swapped, the joints that ``unswap`` exchanges with those of the other side; outliers, the joints that
    ``remove_outliers`` removes.
    """
    regions = list(clips.layout.regions)
    shares = pd.DataFrame(
        0.0, index=pd.Index(regions, name="region"), columns=["missing", "in gaps", "swapped", "outliers"]
    )
    total = clips.table["frames"].sum()
    for begin in range(0, len(clips), CLIPS_PER_CHUNK):
        some = clips.where(np.arange(begin, min(begin + CLIPS_PER_CHUNK, len(clips))))
        raw = np.concatenate([some[i] for i in range(len(some))])
        changed = {"missing": raw[..., 2] == 0}
        for column, name in (("in gaps", "gaps"), ("swapped", "swaps"), ("outliers", "outliers")):
            changed[column] = (denoising.denoised(some, name).keypoints != raw).any(-1)
        for column, where in changed.items():
            shares[column] += [
                where[:, list(of)].mean(1).sum() / total for of in clips.layout.regions.values()
            ]
    return shares


def quantiles(counts: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """Quantiles of the scores of the joints that were found, (len(shares),), from a row of ``score_counts``,
    exact to half a bin.

    NaN where no joint was found.
    """
    found = counts[1:].cumsum()
    if not found[-1]:
        return np.full(len(shares), np.nan)
    return (np.searchsorted(found, np.asarray(shares) * found[-1]) + 0.5) / SCORE_BINS


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
    these keypoints.

    Clips in which no joint was found are left out, since they are all equal.
    """
    table = clips.table.assign(
        class_name=[clips.classes[label] if label >= 0 else UNKNOWN for label in clips.table["label"]]
    )
    first: dict[bytes, int] = {}
    copies, originals = [], []
    for row in np.flatnonzero(table["missing"].to_numpy() < 1).tolist():
        original = first.setdefault(hashlib.sha256(clips[row].tobytes()).digest(), row)
        if original != row:
            copies.append(row)
            originals.append(original)
    original, copy = (table.iloc[rows].reset_index(drop=True) for rows in (originals, copies))
    columns = {
        "clip": copy["id"],
        "split": copy["split"],
        "class": copy["class_name"],
        "frames": copy["frames"],
    }
    return pd.DataFrame(
        columns
        | {"same as": original["id"], "its split": original["split"], "its class": original["class_name"]}
    )


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
        if not (found := np.flatnonzero(table["id"] == id)).size:
            raise ValueError(
                f"there is no clip {id!r} among the {len(table)} clips; give an id such as {table['id'].iloc[0]!r}"
            )
        return int(found[0])
    least, most = frames or (1, int(table["frames"].max()))
    off = (table["frames"].clip(least, most) - table["frames"]).abs().to_numpy()
    return int(np.lexsort([table["missing"], off])[0])


def in_layout(clips: Clips, layout: Layout) -> Clips:
    """The same clips with the joints of another layout, in memory.

    Raises:
        DataError: the clips do not have all joints of the layout. The message lists layouts whose joints they
            have.
    """
    joints = select(clips.layout, layout, "these clips")
    table = clips.table.assign(start=clips.table["frames"].cumsum() - clips.table["frames"]).reset_index(
        drop=True
    )
    keypoints = np.concatenate([chunk[:, joints] for chunk in _chunks(clips)])
    return replace(clips, table=table, keypoints=keypoints, layout=layout)


def _chunks(clips: Clips) -> Iterator[np.ndarray]:
    """The frames of all clips in arrays (F, V, 3), each with the frames of up to ``CLIPS_PER_CHUNK``
    clips."""
    for begin in range(0, len(clips), CLIPS_PER_CHUNK):
        yield np.concatenate([clips[row] for row in range(begin, min(begin + CLIPS_PER_CHUNK, len(clips)))])
