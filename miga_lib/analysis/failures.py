"""Where a set of predictions fails: what it takes for what, on which clips, on whom, and how far its confidence can be trusted."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..clips import Clips
from ..metrics import confusion, labelled, wilson
from ..predictions import Predictions

REGIONS = {
    "head": ("turtle neck", "head up", "bite lip"),
    "hand to head": (
        "touch hat", "touch face", "touch forehead", "cover face", "rub eyes", "touch other face part", "touch ears", "bite nails",
        "touch chin", "touch neck", "play hair",
    ),
    "hand to body": ("adjust tie", "touch chest", "scratch back", "tidy sleeve", "scratch arm"),
    "hands, arms": (
        "fold arm", "put arm back", "rub hand", "cross finger", "minaret hand", "play things", "withdraw arms", "arm akimbo",
    ),
    "trunk": ("deep breath", "move torso", "sit straight", "shake shoulder"),
    "speech": ("illustrative",),
}  # fmt: skip
"""What of the body moves in each class, or what a hand goes to. The grouping is ours, from the names of the classes."""


def by_region(classes: Sequence[str]) -> dict[str, list[int]]:
    """Indices of the classes of each region of ``REGIONS`` that has any, and of ``other`` ones in the end."""
    known = {name for names in REGIONS.values() for name in names}
    regions = {**REGIONS, "other": tuple(name for name in classes if name not in known)}
    places = {region: [k for k, name in enumerate(classes) if name in names] for region, names in regions.items()}
    return {region: indices for region, indices in places.items() if indices}


def by_confusion(matrix: np.ndarray) -> np.ndarray:
    """An order (K,) of the classes in which those that are taken for each other stand together.

    Classes are merged by average linkage, the more of their clips are mistaken for each other the earlier, and the leaves of the tree
    put in the order of least distance between neighbours (SciPy's ``optimal_ordering``). Classes without clips come last.

    Args:
        matrix: (K, K) counts, as ``metrics.confusion`` gives them.
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    present = np.flatnonzero(matrix.sum(1))
    absent = np.flatnonzero(matrix.sum(1) == 0)
    if len(present) < 3:
        return np.concatenate([present, absent])
    shares = matrix[np.ix_(present, present)] / matrix[present].sum(1, keepdims=True)
    distance = 1 - (shares + shares.T) / 2
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
    return np.concatenate([present[leaves_list(tree)], absent])


def confused(predictions: Predictions, most: int = 10) -> pd.DataFrame:
    """The pairs of classes confused most often: a row for each true class and what it was taken for, the commonest first.

    Columns: class, taken_for, clips, share (of the class's clips) and example, the id of the clip that was mistaken most surely.
    """
    matrix, known = confusion(predictions), labelled(predictions)
    support = matrix.sum(1)
    np.fill_diagonal(matrix, 0)
    shares = matrix / np.maximum(support, 1)[:, None]
    order = np.lexsort((-shares.ravel(), -matrix.ravel()))[: min(most, np.count_nonzero(matrix))]
    rows = []
    for true, guess in zip(*np.unravel_index(order, matrix.shape), strict=True):
        those = np.flatnonzero((known.labels == true) & (known.guesses == guess))
        surest = those[known.probabilities[those, guess].argmax()]
        rows.append((known.classes[true], known.classes[guess], matrix[true, guess], shares[true, guess], known.ids[surest]))
    return pd.DataFrame(rows, columns=["class", "taken_for", "clips", "share", "example"])


def in_short(predictions: Predictions) -> list[str]:
    """Some sentences on the mistakes: the class that swallows most others, the classes never found, and how sure it was of itself."""
    known = labelled(predictions)
    matrix, right = confusion(known), known.guesses == known.labels
    count = int((~right).sum())
    if not count:
        return [f"It is right on all {len(known)} clips."]
    wrong = matrix.sum(0) - np.diag(matrix)
    most = int(wrong.argmax())
    lost = np.flatnonzero((matrix.sum(1) > 0) & (np.diag(matrix) == 0))
    sure, hits = known.probabilities.max(1).mean(), right.mean()
    return [
        f"Of its {count} mistakes on {len(known)} clips, {wrong[most]} are clips taken for **{known.classes[most]}**, which is guessed "
        f"{matrix[:, most].sum()} times and has {matrix[most].sum()} clips.",
        f"Of the {np.count_nonzero(matrix.sum(1))} classes that have clips, {len(lost)} are never found"
        + (f", with {matrix[lost].sum()} clips among them." if len(lost) else "."),
        f"It claims to be right on {sure:.0%} of the clips and is on {hits:.0%}"
        + (": too sure of itself." if sure > hits + 0.02 else ": not sure enough of itself." if sure < hits - 0.02 else "."),
    ]


def judged(predictions: Predictions, clips: Clips) -> pd.DataFrame:
    """Clip by clip, by id: class, guess, right, confidence (the guess's probability), and what is known of the clip.

    Beside them frames, missing (share of the joints), group (subject, else video) and training (clips that its class has in the
    training split). Only clips of known label are listed.

    Raises:
        ValueError: a clip that is not among ``clips``.
    """
    known, table = labelled(predictions), clips.table.assign(group=clips.groups()).set_index("id")
    if (foreign := ~np.isin(known.ids, table.index)).any():
        example = known.ids[foreign.argmax()]
        raise ValueError(f"{foreign.sum()} of {len(known)} clips, such as {example}, are not among those of `data`; name the run's data")
    training = table.loc[table["split"] == "train", "label"].value_counts()
    about = table.loc[known.ids, ["frames", "missing", "group"]]
    return about.assign(
        **{
            "class": known.classes[known.labels],
            "guess": known.classes[known.guesses],
            "right": known.guesses == known.labels,
            "confidence": known.probabilities.max(1),
            "training": training.reindex(known.labels, fill_value=0).to_numpy(),
        }
    )


def accuracy_by(table: pd.DataFrame, column: str, bins: int = 0) -> pd.DataFrame:
    """Accuracy over the values of a column of ``judged``, or over bins of about as many clips each.

    Returns:
        A row for each value or bin, in their order: clips, accuracy, its Wilson interval low to high, ``middle`` (the median, for
        bins), and ``expected``: what the classes of these clips have over all clips, so that what is left is not a matter of class.
    """
    values = pd.qcut(table[column], bins, duplicates="drop") if bins else table[column]
    of_class = table["right"].groupby(table["class"]).transform("mean")
    parts = table.assign(expected=of_class).groupby(values, observed=True)
    answer = parts.agg(clips=("right", "size"), hits=("right", "sum"), accuracy=("right", "mean"), expected=("expected", "mean"))
    answer["low"], answer["high"] = wilson(answer.pop("hits").to_numpy(), answer["clips"].to_numpy())
    return answer.assign(middle=parts[column].median()) if bins else answer
