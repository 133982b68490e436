"""The classes of iMiGUE (32), SMG (17) and Micro-Action-52, and their embeddings for the semantic loss."""

from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import numpy as np

CLASSES = (
    "turtle neck", "deep breath", "touch hat", "touch face", "touch forehead", "cover face", "rub eyes",
    "touch other face part", "touch ears", "bite nails", "touch chin", "touch neck", "play hair",
    "adjust tie", "touch chest", "scratch back", "fold arm", "tidy sleeve", "put arm back", "move torso",
    "sit straight", "scratch arm", "rub hand", "cross finger", "minaret hand", "play things",
    "withdraw arms", "head up", "bite lip", "arm akimbo", "shake shoulder", "illustrative",
)  # fmt: skip
"""Class names in the index order of the challenge, 0 to 31. The last one, illustrative, is a gesture that
accompanies speech."""

TRAINING_COUNTS = (
    10, 393, 38, 199, 80, 23, 57, 824, 80, 3, 284, 137, 97, 41, 26, 24, 304, 82, 1, 887, 157, 360, 656, 690,
    11, 280, 84, 60, 1155, 6, 2079, 3765,
)  # fmt: skip
"""Number of training clips of each class in the challenge's release, without the validation clips: 12,893 in
all."""

SMG_CLASSES = (
    "turtling neck and shoulder", "rubbing eyes and forehead", "folding arms",
    "touching or covering suprasternal notch", "moving legs", "touching or scratching neck",
    "folding arms behind body", "rubbing hands and crossing finger", "arms akimbo", "crossing legs",
    "scratching some part of body", "scratching or touching facial parts other than eyes",
    "playing or adjusting hair", "holding arms", "pulling shirt collar",
    "playing with jewelry and manipulating other objects", "illustrative hand gestures",
)  # fmt: skip
"""Class names of SMG; the number in its label files is the index + 1. The last one is the class that its
authors call non-micro-gesture.

Source: a participant's code, github.com/gutzcha/human_micro_gesture_classifier, miga/const.py (a comma left
out). The picture of the classes that the authors published agrees, except in numbers 1 and 7: it shows arms
behind the body and hands before the belly.
"""

MA52_CLASSES = (
    "shaking body", "sitting straightly", "shrugging", "turning around", "rising up", "bowing head",
    "head up", "tilting head", "turning head", "nodding", "shaking head", "scratching arms",
    "playing objects", "putting hands together", "rubbing hands", "pointing oneself", "clenching fist",
    "stretching arms", "retracting arms", "waving", "spreading hands", "hands touching fingers",
    "other finger movements", "illustrative gestures", "shaking legs", "curling legs", "spread legs",
    "closing legs", "crossing legs", "stretching feet", "retracting feet", "tiptoe",
    "scratching or touching neck", "scratching or touching chest", "scratching or touching back",
    "scratching or touching shoulder", "arms akimbo", "crossing arms", "playing or tidying hair",
    "scratching or touching hindbrain", "scratching or touching forehead", "scratching or touching face",
    "rubbing eyes", "touching nose", "touching ears", "covering face", "covering mouth", "pushing glasses",
    "patting legs", "touching legs", "scratching legs", "scratching feet",
)  # fmt: skip
"""Class names of Micro-Action-52 in the order of its labels, 0 to 51, from its authors' ``label_name.txt``
(github.com/VUT-HFUT/Micro-Action)."""

MA52_REGIONS = (
    *["body"] * 5, *["head"] * 6, *["upper limb"] * 13, *["lower limb"] * 8, *["body-hand"] * 6,
    *["head-hand"] * 10, *["leg-hand"] * 4,
)  # fmt: skip
"""The part of the body of each of these classes. The parts, in this order, are the 7 coarse classes of the
challenge, 0 to 6."""

ILLUSTRATIVE_FILE_CLASS = 99
"""The number of class illustrative in label files."""
NO_GESTURE = "no gesture"
"""The class of the gaps between gestures, see ``no_gesture``. It comes after the classes of the data."""
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
        table: one of three. Empty: the table of the package, the names of these sets embedded by a sentence
            model, E = 384. It is scaled to a mean square of 0.1, near that of averaged GloVe vectors (0.077
            in the table of Li et al.), so that the same ``semantic_weight`` suits both; the file also records
            how it was made.
            ``NO_GESTURE`` gets the mean of the other classes. A ``.npy`` file of shape (K, E), rows in the
            order of ``classes``. Or a GloVe text file, a word and its numbers on each line; the vectors of
            the words of a name are averaged, as in Li et al. (arXiv 2307.10624).

    Raises:
        ValueError: a class that is not in the table, a wrong shape, or a word without a vector.
    """
    if not table:
        return _of_package(classes)
    rows = _npy(classes, Path(table)) if Path(table).suffix == ".npy" else _glove(classes, Path(table))
    infinite = ~np.isfinite(rows).all(1)
    if infinite.any():
        rule = f"embeddings must be finite numbers, those of class {infinite.argmax()} are not"
        raise ValueError(f"{table}: {rule}")
    return rows


def _of_package(classes: Sequence[str]) -> np.ndarray:
    path = resources.files("miga_lib").joinpath("data/class_embeddings.npz")
    with path.open("rb") as file, np.load(file) as content:
        rows = dict(zip(content["classes"].tolist(), content["embeddings"], strict=True))
    others = [rows[name] for name in classes if name in rows]
    if others:
        rows.setdefault(NO_GESTURE, np.mean(others, axis=0))
    missing = [name for name in classes if name not in rows]
    if missing:
        lack = f"no embedding for class {missing[0]!r} ({len(missing)} classes are missing)"
        way_out = "set `semantic_weight` to 0, or `embeddings` to a GloVe file"
        raise ValueError(f"the table of the package has {lack}; {way_out}")
    return np.stack([rows[name] for name in classes])


def _npy(classes: Sequence[str], path: Path) -> np.ndarray:
    try:  # mapped, so that a header cannot claim more than the file holds
        rows = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # numpy parses the header as Python literals, which can fail in any way
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"{path}: not a numpy array ({reason}); write it with numpy.save") from None
    numbers = rows.dtype.kind in "fiu" and rows.ndim == 2
    if not numbers or len(rows) != len(classes) or not 0 < rows.shape[1] <= MAX_EMBEDDING_SIZE:
        rule = f"numbers of shape ({len(classes)}, up to {MAX_EMBEDDING_SIZE}), a row for each class"
        raise ValueError(f"{path}: expected {rule}, found {rows.dtype} of shape {rows.shape}")
    return np.array(rows, dtype=np.float32)


def _glove(classes: Sequence[str], path: Path) -> np.ndarray:
    words = {word for name in classes for word in name.split()}
    vectors: dict[str, np.ndarray] = {}
    try:
        with path.open(encoding="utf-8") as file:
            while line := file.readline(MAX_GLOVE_LINE):
                word, _, numbers = line.partition(" ")
                if word in words:
                    vectors[word] = np.array(numbers.split(), dtype=np.float32)
    except (OSError, ValueError) as error:  # also UnicodeDecodeError
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{path}: not a GloVe text file ({reason}); expected a word and its numbers"
        ) from None
    if missing := sorted(words - vectors.keys()):
        raise ValueError(f"{path}: no vector for the words {', '.join(missing)} of the class names")
    sizes = sorted({len(vector) for vector in vectors.values()})
    if len(sizes) > 1:
        raise ValueError(f"{path}: the vectors must have one length, found {', '.join(map(str, sizes))}")
    if sizes == [0]:
        raise ValueError(f"{path}: its words have no numbers; expected a word and its numbers in each line")
    return np.stack([np.mean([vectors[word] for word in name.split()], axis=0) for name in classes])
