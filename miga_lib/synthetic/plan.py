"""The sizes of synthetic sets, and the plan of each video."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np

from .. import labels
from ..readers.release import TEST_SUBJECTS, TRAINING_SUBJECTS

SEED = 0
"""The first word of every random state of the sets with a name."""
SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Size:
    """How much is generated: ``videos``, ``clips``, and ``floor``, the smallest number of clips of a class,
    in train, val and test.

    ``gap`` is the mean number of frames between two gestures, ``length`` a factor on the length of clips.
    Only the ``classes`` most frequent classes occur.
    """

    videos: tuple[int, int, int]
    clips: tuple[int, int, int]
    floor: tuple[int, int, int]
    gap: float
    classes: int = 32
    length: float = 1.0


SIZES: Mapping[str, Size] = {
    "synthetic-smoke": Size((3, 1, 1), (24, 9, 9), (2, 1, 1), gap=5, classes=8, length=0.6),
    "synthetic": Size((37, 6, 35), (1350, 150, 500), (8, 1, 3), gap=13),
    "synthetic-full": Size((241, 13, 105), (12893, 1043, 4563), (0, 0, 0), gap=24),
}


@dataclass(frozen=True)
class Plan:
    """One video; its labels are those of its clips in time order."""

    size: str
    number: int
    subject: int
    split: str
    labels: tuple[int, ...]
    seed: int = SEED

    @property
    def id(self) -> str:
        return f"{self.number:04d}"


def class_sizes(clips: int, floor: int, classes: int = 32) -> np.ndarray:
    """Number of clips of each class, (32,) int.

    In proportion to ``labels.TRAINING_COUNTS`` (the largest remainders are rounded up), at least ``floor``; 0
    for all but the ``classes`` most frequent classes.
    """
    frequency = np.array(labels.TRAINING_COUNTS, dtype=float)
    frequency[np.argsort(-frequency, kind="stable")[classes:]] = 0
    least = np.where(frequency > 0, floor, 0)
    # The floor of a class is subtracted from its share, so that frequent classes keep their proportions.
    spread = np.maximum(clips * frequency / frequency.sum() - least, 0)
    spread *= (clips - least.sum()) / spread.sum()
    counts = least + spread.astype(int)
    counts[np.argsort(spread.astype(int) - spread, kind="stable")[: clips - counts.sum()]] += 1
    return counts


@cache
def plans(name: str, seed: int = SEED) -> tuple[Plan, ...]:
    """The plans of all videos of a size; with another seed other people and other clips. Raises ValueError
    for an unknown size."""
    if name not in SIZES:
        raise ValueError(f"size must be one of {', '.join(SIZES)}, got {name!r}")
    size = SIZES[name]
    rng = np.random.default_rng([seed, list(SIZES).index(name)])
    videos: list[Plan] = []
    for split, count, clips, floor in zip(SPLITS, size.videos, size.clips, size.floor, strict=True):
        subjects = np.array(TEST_SUBJECTS if split == "test" else TRAINING_SUBJECTS)
        if split == "val":
            subjects = rng.permutation(sorted({plan.subject for plan in videos}))
        people = np.resize(subjects, count).tolist()
        shares = _allocate(rng, people, class_sizes(clips, floor, size.classes))
        for subject, classes in zip(people, shares, strict=True):
            videos.append(Plan(name, len(videos) + 1, subject, split, tuple(classes), seed))
    return tuple(videos)


def _allocate(rng: np.random.Generator, people: list[int], counts: np.ndarray) -> list[list[int]]:
    """Distribute the clips of each class over videos, more to subjects with that habit; every video gets at
    least one clip."""
    habits = {subject: rng.gamma(0.8, size=len(counts)) + 0.1 for subject in sorted(set(people))}
    weights = np.stack([habits[subject] for subject in people]) * rng.gamma(4, size=(len(people), 1))
    videos: list[list[int]] = [[] for _ in people]
    for label, count in enumerate(counts):
        share = weights[:, label] / weights[:, label].sum()
        for video in rng.choice(len(people), size=count, p=share):
            videos[video].append(label)
    for classes in videos:
        if not classes:
            classes.append(max(videos, key=len).pop())
    return [rng.permutation(classes).tolist() for classes in videos]
