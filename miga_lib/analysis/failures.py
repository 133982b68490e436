"""Where a set of predictions fails: which classes it confuses, on which clips and which subjects it is wrong,
and with what confidence."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from ..clips import Clips
from ..metrics import confusion_matrix, labelled, percent, wilson
from ..predictions import Predictions

REGIONS = {
    "head": ("turtle neck", "head up", "bite lip", "turtling neck and shoulder"),
    "hand to head": (
        "touch hat", "touch face", "touch forehead", "cover face", "rub eyes", "touch other face part", "touch ears", "bite nails",
        "touch chin", "touch neck", "play hair", "rubbing eyes and forehead", "touching or scratching neck",
        "scratching or touching facial parts other than eyes", "playing or adjusting hair",
    ),
    "hand to body": (
        "adjust tie", "touch chest", "scratch back", "tidy sleeve", "scratch arm", "touching or covering suprasternal notch",
        "scratching some part of body", "pulling shirt collar",
    ),
    "hands, arms": (
        "fold arm", "put arm back", "rub hand", "cross finger", "minaret hand", "play things", "withdraw arms", "arm akimbo",
        "folding arms", "folding arms behind body", "rubbing hands and crossing finger", "arms akimbo", "holding arms",
        "playing with jewelry and manipulating other objects",
    ),
    "trunk": ("deep breath", "move torso", "sit straight", "shake shoulder"),
    "legs": ("moving legs", "crossing legs"),
    "speech": ("illustrative", "illustrative hand gestures"),
}  # fmt: skip
"""The part of the body that moves in each class of iMiGUE and SMG, or that a hand touches. The grouping is
ours, from the names."""


def by_region(classes: Sequence[str], class_regions: Sequence[str] = ()) -> dict[str, list[int]]:
    """Class indices of each region that has classes. Classes in no region are in ``other``, which comes last.

    Args:
        class_regions: the region of each class, as ``Clips.class_regions``; empty: those of ``REGIONS``, by
            the names of the classes.
    """
    if class_regions:
        return {
            region: [k for k, own in enumerate(class_regions) if own == region]
            for region in dict.fromkeys(class_regions)
        }
    known = {name for names in REGIONS.values() for name in names}
    regions = {**REGIONS, "other": tuple(name for name in classes if name not in known)}
    places = {
        region: [k for k, name in enumerate(classes) if name in names] for region, names in regions.items()
    }
    return {region: indices for region, indices in places.items() if indices}


def by_confusion(matrix: np.ndarray) -> np.ndarray:
    """An order (K,) of the classes in which classes that are confused with each other are neighbours.

    Classes are merged by average linkage: the larger the share of their clips that are confused, the earlier.
    The leaves of the tree are put in the order of least distance between neighbours (SciPy's
    ``optimal_ordering``). Classes without clips come last.

    Args:
        matrix: (K, K) counts, as ``metrics.confusion_matrix`` returns them.
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
    """The pairs of classes confused most often: a row for each true and predicted class, the most frequent
    first.

    Columns: class, predicted, clips, share (of the true class's clips) and example, the id of the clip with
    the most confident of these predictions.
    """
    matrix, known = confusion_matrix(predictions), labelled(predictions)
    support = matrix.sum(1)
    np.fill_diagonal(matrix, 0)
    shares = matrix / np.maximum(support, 1)[:, None]
    order = np.lexsort((-shares.ravel(), -matrix.ravel()))[: min(most, np.count_nonzero(matrix))]
    rows = []
    for true, predicted in zip(*np.unravel_index(order, matrix.shape), strict=True):
        pair = np.flatnonzero((known.labels == true) & (known.predicted == predicted))
        example = known.ids[pair[known.probabilities[pair, predicted].argmax()]]
        rows.append(
            (
                known.classes[true],
                known.classes[predicted],
                matrix[true, predicted],
                shares[true, predicted],
                example,
            )
        )
    return pd.DataFrame(rows, columns=["class", "predicted", "clips", "share", "example"])


def in_short(predictions: Predictions) -> list[str]:
    """The mistakes in sentences: the class predicted wrongly most often, classes never predicted correctly,
    and the mean confidence."""
    known = labelled(predictions)
    matrix, correct = confusion_matrix(known), known.predicted == known.labels
    if correct.all():
        return [f"All {len(known)} clips are predicted correctly."]
    wrong = matrix.sum(0) - np.diag(matrix)
    most = int(wrong.argmax())
    missed = np.flatnonzero((matrix.sum(1) > 0) & (np.diag(matrix) == 0))
    confidence, accuracy = known.probabilities.max(1).mean(), correct.mean()
    return [
        f"{wrong.sum()} of {len(known)} clips are predicted wrongly, {wrong[most]} of them as “{known.classes[most]}”. This class is "
        f"predicted {matrix[:, most].sum()} times and has {matrix[most].sum()} clips.",
        f"{len(missed)} of the {np.count_nonzero(matrix.sum(1))} classes that have clips are never predicted correctly"
        + (f"; they have {matrix[missed].sum()} clips." if len(missed) else "."),
        f"The mean confidence is {percent(confidence, 0)} and the accuracy {percent(accuracy, 0)}"
        + (
            ": overconfident."
            if confidence > accuracy + 0.02
            else ": underconfident."
            if confidence < accuracy - 0.02
            else "."
        ),
    ]


def by_clip(predictions: Predictions, clips: Clips) -> pd.DataFrame:
    """A row for each clip of known label, by id.

    Columns: class, predicted, right (whether they are the same), confidence (the probability of the predicted
    class), frames, missing (share of the joints), group (subject, else video) and training (clips of its
    class in the training split).

    Raises:
        ValueError: a clip that is not in ``clips``.
    """
    known, table = labelled(predictions), clips.table.assign(group=clips.groups()).set_index("id")
    if (unknown := ~np.isin(known.ids, table.index)).any():
        example = known.ids[unknown.argmax()]
        raise ValueError(
            f"{unknown.sum()} of {len(known)} clips (such as {example}) are not in `data`; give the data of the run"
        )
    about = table.loc[known.ids, ["frames", "missing", "group"]]
    return about.assign(
        **{
            "class": known.classes[known.labels],
            "predicted": known.classes[known.predicted],
            "right": known.predicted == known.labels,
            "confidence": known.probabilities.max(1),
            "training": clips.training_counts[known.labels],
        }
    )


def accuracy_by(table: pd.DataFrame, column: str, bins: int = 0) -> pd.DataFrame:
    """Accuracy for each value of a column of ``by_clip``, or for bins with about the same number of clips.

    Returns:
        A row for each value or bin, in their order: clips, accuracy, its Wilson interval low to high,
        ``expected`` and, for bins, ``middle`` (the median). ``expected`` is the accuracy that these clips
        would have if each had the accuracy of its class. A difference from it is not due to their classes.
    """
    binned = bins and table[column].min() < table[column].max()  # of one value, qcut makes no bin
    values = pd.qcut(table[column], bins, duplicates="drop") if binned else table[column]
    of_class = table["right"].groupby(table["class"]).transform("mean")
    parts = table.assign(expected=of_class).groupby(values, observed=True)
    result = parts.agg(
        clips=("right", "size"),
        correct=("right", "sum"),
        accuracy=("right", "mean"),
        expected=("expected", "mean"),
    )
    result["low"], result["high"] = wilson(result.pop("correct").to_numpy(), result["clips"].to_numpy())
    return result.assign(middle=parts[column].median()) if bins else result
