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
        "touch hat", "touch face", "touch forehead", "cover face", "rub eyes", "touch other face part",
        "touch ears", "bite nails", "touch chin", "touch neck", "play hair", "rubbing eyes and forehead",
        "touching or scratching neck", "scratching or touching facial parts other than eyes",
        "playing or adjusting hair",
    ),
    "hand to body": (
        "adjust tie", "touch chest", "scratch back", "tidy sleeve", "scratch arm",
        "touching or covering suprasternal notch", "scratching some part of body", "pulling shirt collar",
    ),
    "hands, arms": (
        "fold arm", "put arm back", "rub hand", "cross finger", "minaret hand", "play things",
        "withdraw arms", "arm akimbo", "folding arms", "folding arms behind body",
        "rubbing hands and crossing finger", "arms akimbo", "holding arms",
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
    regions = list(dict.fromkeys(class_regions))
    if not class_regions:
        region_of = {name: region for region, names in REGIONS.items() for name in names}
        class_regions = [region_of.get(name, "other") for name in classes]
        regions = [region for region in (*REGIONS, "other") if region in class_regions]
    return {region: [k for k, own in enumerate(class_regions) if own == region] for region in regions}


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

    present, absent = np.flatnonzero(matrix.sum(1)), np.flatnonzero(matrix.sum(1) == 0)
    if len(present) > 2:
        shares = matrix[np.ix_(present, present)] / matrix[present].sum(1, keepdims=True)
        distance = 1 - (shares + shares.T) / 2
        np.fill_diagonal(distance, 0)
        tree = linkage(squareform(distance, checks=False), "average", optimal_ordering=True)
        present = present[leaves_list(tree)]
    return np.concatenate([present, absent])


def confused(predictions: Predictions, most: int = 10) -> pd.DataFrame:
    """The pairs of classes confused most often: a row for each true and predicted class, the most frequent
    first.

    Columns: class, predicted, clips, share (of the true class's clips) and example, the id of the clip with
    the most confident of these predictions.
    """
    clips = labelled(predictions)
    right = clips.predicted == clips.labels
    names = {"class": clips.labels, "predicted": clips.predicted}
    table = pd.DataFrame(names | {"id": clips.ids, "confidence": clips.probabilities.max(1)})
    support = table.groupby("class").size()
    table = table[~right].sort_values("confidence", ascending=False, kind="stable")
    pairs = table.groupby(["class", "predicted"]).agg(clips=("id", "size"), example=("id", "first"))
    pairs = pairs.reset_index()
    pairs.insert(3, "share", pairs["clips"] / pairs["class"].map(support))
    pairs = pairs.sort_values(["clips", "share"], ascending=False, kind="stable", ignore_index=True)
    for column in names:
        pairs[column] = clips.classes[pairs[column].to_numpy(int)]
    return pairs.head(most)


def in_short(predictions: Predictions) -> list[str]:
    """The mistakes in sentences: the class predicted wrongly most often, classes never predicted correctly,
    and the mean confidence."""
    clips = labelled(predictions)
    matrix, correct = confusion_matrix(clips), clips.predicted == clips.labels
    if correct.all():
        return [f"All {len(clips)} clips are predicted correctly."]
    support, wrong = matrix.sum(1), matrix.sum(0) - np.diag(matrix)
    most = int(wrong.argmax())
    missed = np.flatnonzero((support > 0) & (np.diag(matrix) == 0))
    never = f"{len(missed)} of the {np.count_nonzero(support)} classes that have clips are never predicted"
    never += " correctly" + (len(missed) > 0) * f"; they have {support[missed].sum()} clips"
    confidence, accuracy = clips.probabilities.max(1).mean(), correct.mean()
    trust = f"The mean confidence is {percent(confidence, 0)} and the accuracy {percent(accuracy, 0)}"
    if abs(confidence - accuracy) > 0.02:
        trust += f": {'over' if confidence > accuracy else 'under'}confident"
    return [
        f"{wrong.sum()} of {len(clips)} clips are predicted wrongly, {wrong[most]} of them as "
        f"“{clips.classes[most]}”. This class is predicted {matrix[:, most].sum()} times and has "
        f"{support[most]} clips.",
        f"{never}.",
        f"{trust}.",
    ]


def by_clip(predictions: Predictions, clips: Clips) -> pd.DataFrame:
    """A row for each clip of known label, by id.

    Columns: class, predicted, right (whether they are the same), confidence (the probability of the predicted
    class), frames, missing (share of the joints), group (subject, else video) and training (clips of its
    class in the training split).

    Raises:
        ValueError: a clip that is not in ``clips``.
    """
    scored, table = labelled(predictions), clips.table.assign(group=clips.groups()).set_index("id")
    unknown = scored.ids[~np.isin(scored.ids, table.index)]
    if len(unknown):
        number = f"{len(unknown)} of {len(scored)} clips (such as {unknown[0]})"
        raise ValueError(f"{number} are not in `data`; give the data of the run")
    columns = {
        "class": scored.classes[scored.labels],
        "predicted": scored.classes[scored.predicted],
        "right": scored.predicted == scored.labels,
        "confidence": scored.probabilities.max(1),
        "training": clips.training_counts[scored.labels],
    }
    return table.loc[scored.ids, ["frames", "missing", "group"]].assign(**columns)


def accuracy_by(table: pd.DataFrame, column: str, bins: int = 0) -> pd.DataFrame:
    """Accuracy for each value of a column of ``by_clip``, or for bins with about the same number of clips.

    Returns:
        A row for each value or bin, in their order: clips, accuracy, its Wilson interval low to high,
        ``expected`` and, for bins, ``middle`` (the median). ``expected`` is the accuracy that these clips
        would have if each had the accuracy of its class. A difference from it is not due to their classes.
    """
    values = table[column]
    if bins and values.min() < values.max():  # of one value, qcut makes no bin
        values = pd.qcut(values, bins, duplicates="drop")
    of_class = table["right"].groupby(table["class"]).transform("mean")
    parts = table.assign(expected=of_class).groupby(values, observed=True)
    result = parts.agg(clips=("right", "size"), accuracy=("right", "mean"), expected=("expected", "mean"))
    result["low"], result["high"] = wilson(parts["right"].sum().to_numpy(), result["clips"].to_numpy())
    return result.assign(middle=parts[column].median()) if bins else result
