"""The 32 classes of iMiGUE and the 17 of SMG, and an embedding of each class name for the semantic loss."""

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
"""Class names in the index order of the challenge, 0 to 31. The last one, illustrative, is a gesture that
accompanies speech."""

TRAINING_COUNTS = (
    10, 393, 38, 199, 80, 23, 57, 824, 80, 3, 284, 137, 97, 41, 26, 24, 304, 82, 1, 887, 157, 360, 656, 690, 11, 280, 84, 60, 1155, 6,
    2079, 3765,
)  # fmt: skip
"""Number of training clips of each class in the challenge's release, without the validation clips: 12,893 in
all."""

SMG_CLASSES = (
    "turtling neck and shoulder", "rubbing eyes and forehead", "folding arms", "touching or covering suprasternal notch", "moving legs",
    "touching or scratching neck", "folding arms behind body", "rubbing hands and crossing finger", "arms akimbo", "crossing legs",
    "scratching some part of body", "scratching or touching facial parts other than eyes", "playing or adjusting hair", "holding arms",
    "pulling shirt collar", "playing with jewelry and manipulating other objects", "illustrative hand gestures",
)  # fmt: skip
"""Class names of SMG; the number in its label files is the index + 1. The last one is the class that its
authors call non-micro-gesture.

Source: a participant's code, github.com/gutzcha/human_micro_gesture_classifier, miga/const.py (a comma left
out). The picture of the classes that the authors published agrees, except in numbers 1 and 7: it shows arms
behind the body and hands before the belly.
"""

ILLUSTRATIVE_FILE_CLASS = 99
"""The number of class illustrative in label files."""
NO_GESTURE = "no gesture"
"""The class of the gaps between gestures, see ``gaps``. It comes after the classes of the data."""
MAX_EMBEDDING_SIZE = 16_384
MAX_GLOVE_LINE = 2**20
"""Characters of a line that are read at a time; a word and 300 numbers have about 3,000."""


def from_file(number: int) -> int:
    """The class index 0…31 of a number in a label file: 1…31, and 99 for illustrative. Raises ValueError for
    any other number."""
    if number == ILLUSTRATIVE_FILE_CLASS:
        return len(CLASSES) - 1
    if not 1 <= number < len(CLASSES):
        raise ValueError(f"a class is 1 to {len(CLASSES) - 1} or {ILLUSTRATIVE_FILE_CLASS}, found {number}")
    return number - 1


def to_file(label: int) -> int:
    """The number in label files for the class index ``label`` (0…31); the inverse of ``from_file``."""
    return ILLUSTRATIVE_FILE_CLASS if label == len(CLASSES) - 1 else label + 1


def embeddings(classes: Sequence[str] = CLASSES, table: str | Path = "") -> np.ndarray:
    """An embedding for each class name: (K, E) float32.

    Args:
        table: one of three. Empty: the table of the package, the names of both sets embedded by a sentence
            model, E = 384. It is scaled to a mean square of 0.1, about that of the averaged GloVe vectors, so
            that the same ``semantic_weight`` suits both; the file also records how it was made.
            ``NO_GESTURE`` gets the mean of the other classes. A ``.npy`` file of shape (K, E), rows in the
            order of ``classes``. Or a GloVe text file, a word and its numbers on each line; the vectors of
            the words of a name are averaged, as in Li et al. (arXiv 2307.10624).

    Raises:
        ValueError: a class that is not in the table, a wrong shape, or a word without a vector.
    """
    if not table:
        with (
            resources.files("miga_lib").joinpath("data/class_embeddings.npz").open("rb") as file,
            np.load(file) as shipped,
        ):
            known = dict(zip(shipped["classes"].tolist(), shipped["embeddings"], strict=True))
        if named := [known[name] for name in classes if name in known]:
            known.setdefault(NO_GESTURE, np.mean(named, axis=0))
        if missing := [name for name in classes if name not in known]:
            raise ValueError(
                f"the table of the package has no embedding for class {missing[0]!r} ({len(missing)} classes are missing); "
                "set `semantic_weight` to 0, or `embeddings` to a GloVe file"
            )
        return np.stack([known[name] for name in classes])
    if Path(table).suffix == ".npy":
        try:  # mapped, so that a header cannot claim more than the file holds
            rows = np.lib.format.open_memmap(table, mode="r")
        except Exception as error:  # numpy parses the header as Python literals, which can fail in any way
            raise ValueError(
                f"{table}: not a numpy array ({' '.join(str(error).split())[:200]}); write it with numpy.save"
            ) from None
        if (
            rows.dtype.kind not in "fiu"
            or rows.ndim != 2
            or len(rows) != len(classes)
            or not 0 < rows.shape[1] <= MAX_EMBEDDING_SIZE
        ):
            wanted = f"numbers of shape ({len(classes)}, up to {MAX_EMBEDDING_SIZE}), a row for each class"
            raise ValueError(f"{table}: expected {wanted}, found {rows.dtype} of shape {rows.shape}")
        return _finite(np.array(rows, dtype=np.float32), table)
    return _glove(classes, Path(table))


def _glove(classes: Sequence[str], path: Path) -> np.ndarray:
    wanted = {word for name in classes for word in name.split()}
    vectors: dict[str, np.ndarray] = {}
    try:
        with path.open(encoding="utf-8") as file:
            while line := file.readline(MAX_GLOVE_LINE):
                word, _, numbers = line.partition(" ")
                if word in wanted:
                    vectors[word] = np.array(numbers.split(), dtype=np.float32)
    except (OSError, ValueError) as error:  # also UnicodeDecodeError
        raise ValueError(
            f"{path}: not a GloVe text file ({' '.join(str(error).split())[:200]}); expected a word and its numbers"
        ) from None
    if missing := sorted(wanted - vectors.keys()):
        raise ValueError(f"{path}: no vector for the words {', '.join(missing)} of the class names")
    if len(sizes := {len(vector) for vector in vectors.values()}) > 1:
        raise ValueError(
            f"{path}: the vectors must have one length, found {', '.join(map(str, sorted(sizes)))}"
        )
    return _finite(
        np.stack([np.mean([vectors[word] for word in name.split()], axis=0) for name in classes]), path
    )


def _finite(rows: np.ndarray, table: str | Path) -> np.ndarray:
    if not np.isfinite(rows).all():
        raise ValueError(
            f"{table}: embeddings must be finite numbers, those of class {int((~np.isfinite(rows)).any(1).argmax())} are not"
        )
    return rows
