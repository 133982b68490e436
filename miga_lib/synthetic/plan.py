"""The sizes of synthetic sets, and the plan of each video: its subject, its split and the classes of its
clips."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

import numpy as np

from .. import labels
from ..readers.release import TEST_SUBJECTS, TRAINING_SUBJECTS

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Size:
    """How much is generated.

    ``videos``, ``clips`` and ``floor``, the smallest number of clips of a class, are those of train, val and
    test. ``gap`` is the mean number of frames between two gestures, ``classes`` the number of classes, of
    which the most frequent are taken, and ``length`` a factor on the length of clips.
    """

    videos: tuple[int, int, int]
    clips: tuple[int, int, int]
    floor: tuple[int, int, int]
    gap: float
    classes: int = 32
    length: float = 1.0


SIZES: Mapping[str, Size] = MappingProxyType(
    {
        "synthetic-smoke": Size(
            videos=(3, 1, 1), clips=(24, 9, 9), floor=(2, 1, 1), gap=5, classes=8, length=0.6
        ),
        "synthetic": Size(videos=(37, 6, 35), clips=(1350, 150, 500), floor=(8, 1, 3), gap=13),
        "synthetic-full": Size(videos=(241, 13, 105), clips=(12893, 1043, 4563), floor=(0, 0, 0), gap=24),
    }
)


@dataclass(frozen=True)
class Plan:
    """One video: its number, its subject, its split and the classes of its clips in time order."""

    number: int
    subject: int
    split: str
    labels: tuple[int, ...]

    @property
    def id(self) -> str:
        return f"{self.number:04d}"


def size_named(name: str) -> Size:
    """The size with that name. Raises ValueError for an unknown name; the message lists the known ones."""
    if name not in SIZES:
        raise ValueError(f"size must be one of {', '.join(SIZES)}, got {name!r}")
    return SIZES[name]


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
def plans(name: str, seed: int) -> tuple[Plan, ...]:
    """The plans of all videos of a size, which is fast. Subjects have habits, so a class is not spread evenly
    over them.

    Raises ValueError for an unknown size.
    """
    wanted = size_named(name)
    rng = np.random.default_rng([seed, list(SIZES).index(name)])
    found: list[Plan] = []
    for split, videos, clips, floor in zip(SPLITS, wanted.videos, wanted.clips, wanted.floor, strict=True):
        subjects = np.array(TEST_SUBJECTS if split == "test" else TRAINING_SUBJECTS)
        if split == "val":
            trained = sorted({plan.subject for plan in found})
            subjects = rng.permutation(trained)
        people = np.resize(subjects, videos)
        for subject, doing in zip(
            people, _allocate(rng, people, class_sizes(clips, floor, wanted.classes)), strict=True
        ):
            found.append(Plan(len(found) + 1, int(subject), split, tuple(doing)))
    return tuple(found)


def _allocate(rng: np.random.Generator, people: np.ndarray, counts: np.ndarray) -> list[list[int]]:
    """Distribute the clips of each class over videos, more to subjects with that habit; every video gets at
    least one clip."""
    habit = {subject: rng.gamma(0.8, size=len(counts)) + 0.1 for subject in sorted(set(people.tolist()))}
    weight = np.stack([habit[subject] for subject in people.tolist()]) * rng.gamma(4, size=(len(people), 1))
    given: list[list[int]] = [[] for _ in people]
    for label, count in enumerate(counts):
        for video in rng.choice(len(people), size=count, p=weight[:, label] / weight[:, label].sum()):
            given[video].append(label)
    for empty in (doing for doing in given if not doing):
        empty.append(max(given, key=len).pop())
    return [rng.permutation(doing).tolist() for doing in given]
