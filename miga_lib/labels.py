"""The 32 classes of iMiGUE, and an embedding of each class name for the semantic loss."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

CLASSES = (
    "turtle neck", "deep breath", "touch hat", "touch face", "touch forehead", "cover face", "rub eyes", "touch other face part",
    "touch ears", "bite nails", "touch chin", "touch neck", "play hair", "adjust tie", "touch chest", "scratch back", "fold arm",
    "tidy sleeve", "put arm back", "move torso", "sit straight", "scratch arm", "rub hand", "cross finger", "minaret hand",
    "play things", "withdraw arms", "head up", "bite lip", "arm akimbo", "shake shoulder", "illustrative",
)  # fmt: skip
"""Class names in the index order of the challenge, 0 to 31. The last one, illustrative, is a gesture that goes with speech."""

TRAINING_COUNTS = (
    10, 393, 38, 199, 80, 23, 57, 824, 80, 3, 284, 137, 97, 41, 26, 24, 304, 82, 1, 887, 157, 360, 656, 690, 11, 280, 84, 60, 1155, 6,
    2079, 3765,
)  # fmt: skip
"""Training clips of each class in the challenge's release, validation taken out: 12,893 in all."""

ILLUSTRATIVE_FILE_CLASS = 99


def from_file(number: int) -> int:
    """The index 0…31 of a class as the label files write it: 1…31, and 99 for illustrative. Raises ValueError for any other."""
    if number == ILLUSTRATIVE_FILE_CLASS:
        return len(CLASSES) - 1
    if not 1 <= number < len(CLASSES):
        raise ValueError(f"a class is 1 to {len(CLASSES) - 1} or {ILLUSTRATIVE_FILE_CLASS}, found {number}")
    return number - 1


def to_file(label: int) -> int:
    """The number that the label files use for class index ``label``; the inverse of ``from_file``."""
    return ILLUSTRATIVE_FILE_CLASS if label == len(CLASSES) - 1 else label + 1


def embeddings(classes: Sequence[str] = CLASSES, table: str | Path = "") -> np.ndarray:
    """An embedding for each class name: (K, E) float32.

    Args:
        table: empty for the table that comes with the package (the 32 class names by a sentence model, E = 384, scaled to a mean
            square of 0.1, about that of the GloVe means below, so that one ``semantic_weight`` does for both; its provenance is
            kept beside the numbers); a ``.npy`` file of shape (K, E), rows in the order of ``classes``; or a GloVe text file, a
            word and its numbers on each line, of which the words of a name are averaged as in Li et al. (arXiv 2307.10624).

    Raises:
        ValueError: a class the table does not have, a wrong shape or a word without a vector.
    """
    if not table:
        with resources.files("miga_lib").joinpath("data/class_embeddings.npz").open("rb") as file, np.load(file) as shipped:
            known = dict(zip(shipped["classes"].tolist(), shipped["embeddings"], strict=True))
        if missing := [name for name in classes if name not in known]:
            raise ValueError(
                f"no embedding is shipped for class {missing[0]!r} ({len(missing)} such); set `semantic_weight` to 0 or give a GloVe file"
            )
        return np.stack([known[name] for name in classes])
    if Path(table).suffix == ".npy":
        rows = np.load(table, allow_pickle=False).astype(np.float32)
        if rows.ndim != 2 or len(rows) != len(classes):
            raise ValueError(f"{table}: expected one row for each of the {len(classes)} classes, found shape {rows.shape}")
        return rows
    return _glove(classes, Path(table))


def _glove(classes: Sequence[str], path: Path) -> np.ndarray:
    wanted = {word for name in classes for word in name.split()}
    vectors = {}
    with path.open(encoding="utf-8") as file:
        for line in file:
            word, _, numbers = line.partition(" ")
            if word in wanted:
                vectors[word] = np.array(numbers.split(), dtype=np.float32)
    if missing := sorted(wanted - vectors.keys()):
        raise ValueError(f"{path}: no vector for the words {', '.join(missing)}, of which class names are made")
    return np.stack([np.mean([vectors[word] for word in name.split()], axis=0) for name in classes])
