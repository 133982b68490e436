"""What is in a set of clips before anything is trained on it: classes, splits, scores, and what is there twice, as tables and words."""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from ..clips import Clips
from ..layouts import Layout
from ..readers import select

SPLITS = ("train", "val", "test")
UNKNOWN = "(unknown)"
"""The row of clips whose class nobody has told."""
BINS = 100
"""Of a score from 0 to 1; what is above goes to the last one."""
CLIPS_AT_A_TIME = 200


def splits(clips: Clips) -> list[str]:
    """The splits that have clips, training first."""
    there = clips.table["split"].unique().tolist()
    return sorted(there, key=lambda split: (SPLITS.index(split) if split in SPLITS else len(SPLITS), split))


def class_counts(clips: Clips) -> pd.DataFrame:
    """Clips of each class, by name in the order of their indices, and split; those of no known class in a last row."""
    counts = pd.crosstab(clips.table["label"], clips.table["split"])
    labels = [*range(len(clips.classes)), *(label for label in counts.index if label < 0)]
    counts = counts.reindex(index=labels, columns=splits(clips), fill_value=0)
    return counts.set_axis([clips.classes[label] if label >= 0 else UNKNOWN for label in labels]).rename_axis("class")


def absences(clips: Clips) -> list[str]:
    """For each split, which classes it lacks, in a sentence."""
    sentences = []
    for split, counts in class_counts(clips).items():
        known = counts.drop(UNKNOWN, errors="ignore")
        absent = known.index[known == 0].tolist()
        if not known.any():
            sentences.append(f"The classes of {split} are not told.")
        elif absent:
            sentences.append(f"{split} has clips of {len(known) - len(absent)} classes, and none of {len(absent)}: {', '.join(absent)}.")
        else:
            sentences.append(f"{split} has clips of all {len(known)} classes.")
    return sentences


def group_counts(clips: Clips, kind: str = "subject") -> pd.DataFrame:
    """Clips of each subject, or video, in each split; clips of unknown subjects are left out. Raises ValueError for another kind."""
    if kind not in ("subject", "video"):
        raise ValueError(f"kind must be 'subject' or 'video', got {kind!r}")
    known = clips.table[clips.table[kind] != ""]
    return pd.crosstab(known[kind], known["split"]).reindex(columns=splits(clips), fill_value=0)


def overlaps(clips: Clips) -> list[str]:
    """Who stands in two splits and what follows from it, a sentence for each pair of splits; and how far that could be looked at."""
    sentences = []
    for kind, (first, second) in itertools.product(("video", "subject"), itertools.combinations(splits(clips), 2)):
        counts = group_counts(clips, kind)
        in_second = counts[counts[second] > 0]
        both = in_second.index[in_second[first] > 0].tolist()
        if both:
            shown = ", ".join(both[:8]) + (", …" if len(both) > 8 else "")
            share = f"{len(both)} of {len(in_second)} {kind}s of {second} stand in {first} too ({shown})"
            sentences.append(f"**Warning:** {share}. {_consequence(kind, second)}")
    if not sentences:
        sentences.append("No video, and no subject that is known, stands in two splits.")
    if unknown := int((clips.table["subject"] == "").sum()):
        sentences.append(
            f"The subject of {unknown:,} of {len(clips):,} clips is not told, so these could be compared by video alone. "
            "In the release of the MiGA challenge, the people of the validation videos are in training videos too."
        )
    return sentences


def _consequence(kind: str, split: str) -> str:
    if kind == "video":
        return f"Clips of one recording are alike, so the scores on {split} flatter. Leave each video to one split."
    if split == "test":
        return "This is not the cross-subject protocol, and test scores must not be held beside those of others."
    return (
        f"Scores on {split} are therefore those of people who were trained on, and promise too much for others. To choose between models, "
        "hold out whole subjects with `clips.hold_out`."
    )


def score_counts(clips: Clips) -> np.ndarray:
    """How often each joint had which score: (V, 1 + BINS) int, missing ones in column 0, then the scores of those that were found."""
    joints = len(clips.layout.joints)
    counts = np.zeros(joints * (1 + BINS), dtype=np.int64)
    for keypoints in _chunks(clips):
        scores = keypoints[..., 2]
        column = np.where(scores > 0, 1 + np.minimum(scores * BINS, BINS - 1).astype(int), 0)
        counts += np.bincount((column + np.arange(joints) * (1 + BINS)).ravel(), minlength=len(counts))
    return counts.reshape(joints, 1 + BINS)


def quantiles(counts: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """The scores below which those shares of the found joints lie, (len(shares),), from a row of ``score_counts``, to half a bin.

    They are nan where no joint was found.
    """
    found = counts[1:].cumsum()
    if not found[-1]:
        return np.full(len(shares), np.nan)
    return (np.searchsorted(found, np.asarray(shares) * found[-1]) + 0.5) / BINS


def clearest_frame(clips: Clips) -> np.ndarray:
    """The frame, (V, 3), in which most joints were found, with the highest scores among several."""
    best = []
    for keypoints in _chunks(clips):
        scores = keypoints[..., 2]
        best.append(keypoints[((scores > 0).sum(1) + scores.clip(0, 1).mean(1)).argmax()])
    return max(best, key=lambda frame: ((frame[:, 2] > 0).sum(), frame[:, 2].mean()))


def duplicates(clips: Clips) -> pd.DataFrame:
    """Clips whose keypoints are those of an earlier one, number for number: a row each, beside the first that has them.

    Clips in which nobody was found are all alike and left out.
    """
    table = clips.table.assign(class_name=[clips.classes[label] if label >= 0 else UNKNOWN for label in clips.table["label"]])
    first: dict[bytes, int] = {}
    copies, originals = [], []
    for row in np.flatnonzero(table["missing"].to_numpy() < 1).tolist():
        original = first.setdefault(hashlib.sha256(clips[row].tobytes()).digest(), row)
        if original != row:
            copies.append(row)
            originals.append(original)
    there, again = (table.iloc[rows].reset_index(drop=True) for rows in (originals, copies))
    columns = {"clip": again["id"], "split": again["split"], "class": again["class_name"], "frames": again["frames"]}
    return pd.DataFrame(columns | {"same as": there["id"], "its split": there["split"], "its class": there["class_name"]})


def find(clips: Clips, id: str = "", frames: tuple[int, int] | None = None) -> int:
    """The row of a clip to look at: the one of that id, else the one with the fewest missing joints among those of a length.

    Args:
        frames: the least and the most frames; where no clip is that long, the nearest in length is taken.

    Raises:
        ValueError: no clip has that id.
    """
    table = clips.table
    if id:
        if not (found := np.flatnonzero(table["id"] == id)).size:
            raise ValueError(f"there is no clip {id!r} among the {len(table)} clips; an id is such as {table['id'].iloc[0]!r}")
        return int(found[0])
    least, most = frames or (1, int(table["frames"].max()))
    off = (table["frames"].clip(least, most) - table["frames"]).abs().to_numpy()
    return int(np.lexsort([table["missing"], off])[0])


def narrowed(clips: Clips, layout: Layout) -> Clips:
    """The same clips in the joints of a layout that they hold, in memory.

    Raises DataError, with the layouts that would do, where joints are not there.
    """
    joints = select(clips.layout, layout, "these clips")
    table = clips.table.assign(start=clips.table["frames"].cumsum() - clips.table["frames"]).reset_index(drop=True)
    keypoints = np.concatenate([chunk[:, joints] for chunk in _chunks(clips)])
    return replace(clips, table=table, keypoints=keypoints, layout=layout)


def _chunks(clips: Clips) -> Iterator[np.ndarray]:
    """The frames of all clips, (F, V, 3), a few hundred clips at a time."""
    for begin in range(0, len(clips), CLIPS_AT_A_TIME):
        yield np.concatenate([clips[row] for row in range(begin, min(begin + CLIPS_AT_A_TIME, len(clips)))])
