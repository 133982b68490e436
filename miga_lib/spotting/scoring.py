"""How well gestures were found in whole videos: predicted segments against true ones.

A table of segments has a row for each: video, label (class index), first and last frame (inclusive), and
predicted ones also probability. The overlap of two segments is their intersection over union (IoU).
Everything here takes tables, never models.
"""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from .. import metrics
from ..settings import check_choice

COLUMNS = ("video", "label", "first", "last")
OVERLAP = 0.3
"""A prediction is a hit if its IoU is larger: ``alpha`` of the challenge's starter kit."""
OVERLAPS = (0.1, 0.3, 0.5)
MATCHES = ("one-to-one", "official")
KINDS = ("correct", "duplicate", "wrong class", "wrong bounds", "invented")


def overlap(
    truth: pd.DataFrame, predicted: pd.DataFrame, inclusive: bool = True
) -> Float[np.ndarray, "true predicted"]:
    """IoU of each true with each predicted segment of one video; 0 or less where they are apart.

    Intersection is the smaller end minus the larger beginning, union the larger end minus the smaller
    beginning.

    Args:
        inclusive: whether the last frame of a segment is counted, too. In the starter kit it is not; two
            equal segments of one frame then have no IoU (0 / 0), which is NaN and no hit.
    """
    true, found = (one[["first", "last"]].to_numpy(float).T for one in (truth, predicted))
    (first, last), (begin, end) = true[:, :, None], found[:, None, :]
    intersection = np.minimum(last, end) - np.maximum(first, begin) + inclusive
    union = np.maximum(last, end) - np.minimum(first, begin) + inclusive
    return np.divide(intersection, union, out=np.full(union.shape, np.nan), where=union > 0)


def pairs(
    truth: pd.DataFrame, predicted: pd.DataFrame, least: float = OVERLAP, match: str = MATCHES[0]
) -> Int[np.ndarray, "2 hits"]:
    """The hits: the row numbers of true segments, and those of the predictions that hit them.

    ``one-to-one``: each segment is in at most one hit. Of all such matchings of segments of the same class
    with IoU > ``least``, the one with most hits, and of those the one with the largest sum of IoU
    (``scipy.optimize.linear_sum_assignment``). So the result depends on no order; a greedy matching by IoU
    can find fewer hits.

    ``official``: as the starter kit counts (github.com/mikecheninoulu/SMG, online recognition). Each true
    segment, in the order of the table, takes the first prediction in time of its class with IoU > ``least``.
    The kit means to remove this prediction and discards the result, so a prediction can be the hit of several
    true segments, and precision can be above 1.

    Raises:
        ValueError: another ``match``.
    """
    from scipy.optimize import linear_sum_assignment

    check_choice("match", match, MATCHES)
    hits = [np.zeros((2, 0), int)]
    found = predicted.reset_index(drop=True)
    found = found.sort_values(["first", "last"], kind="stable") if match == "official" else found
    of_video = found.groupby("video").indices
    for video, rows in truth.groupby("video").indices.items():
        columns = of_video.get(video, np.zeros(0, int))
        of_pair = overlap(truth.iloc[rows], found.iloc[columns], inclusive=match != "official")
        allowed = (of_pair > least) & (
            truth["label"].to_numpy()[rows, None] == found["label"].to_numpy()[columns]
        )
        if match == "official":
            true = np.flatnonzero(allowed.any(1))
            chosen = allowed[true].argmax(1) if len(true) else true
        else:  # one hit more is worth more than any sum of IoU
            worth = np.where(allowed, 1 + of_pair / (1 + min(of_pair.shape)), 0)
            true, chosen = linear_sum_assignment(worth, maximize=True)
            true, chosen = true[allowed[true, chosen]], chosen[allowed[true, chosen]]
        hits.append(np.stack([rows[true], found.index.to_numpy()[columns[chosen]]]))
    return np.concatenate(hits, axis=1)


def counts(
    truth: pd.DataFrame, predicted: pd.DataFrame, least: float = OVERLAP, match: str = MATCHES[0]
) -> pd.DataFrame:
    """The numbers of hits, predictions and true segments (``truths``) of each video, whose names are the
    index."""
    hits, _ = pairs(truth, predicted, least, match)
    videos = sorted({*truth["video"], *predicted["video"]})
    parts = {"hits": truth["video"].iloc[hits], "predictions": predicted["video"], "truths": truth["video"]}
    return pd.DataFrame(
        {name: of.value_counts().reindex(videos, fill_value=0) for name, of in parts.items()}, index=videos
    )


def pooled(table: pd.DataFrame) -> dict[str, float]:
    """Precision, recall and F1 over all videos of ``counts`` together; 0 where there is no prediction, or no
    true segment.

    F1 is 2 · hits / (predictions + truths), the harmonic mean of the two; the starter kit adds 1e-7 to its
    denominator.
    """
    hits, predictions, truths = (int(table[name].sum()) for name in ("hits", "predictions", "truths"))
    return {
        "precision": hits / max(predictions, 1),
        "recall": hits / max(truths, 1),
        "f1": _f1(table.to_numpy()),
    }


def _f1(values: np.ndarray) -> float:
    """F1 of the rows (hits, predictions, truths) of some videos."""
    hits, predictions, truths = values.sum(0).tolist()
    return 2 * hits / max(predictions + truths, 1)


def by_confidence(
    truth: pd.DataFrame, predicted: pd.DataFrame, least: float = OVERLAP
) -> Bool[np.ndarray, " predicted"]:
    """Whether each prediction is a hit where the more probable ones choose first.

    Each takes the true segment of its class with the largest IoU among those that none took before, if that
    IoU is > ``least``.
    """
    hit = np.zeros(len(predicted), bool)
    of_truth = truth.groupby(["video", "label"]).indices
    for key, rows in predicted.groupby(["video", "label"]).indices.items():
        if key not in of_truth:
            continue
        of_pair = overlap(truth.iloc[of_truth[key]], predicted.iloc[rows])
        for column in np.argsort(-predicted["probability"].to_numpy()[rows], kind="stable"):
            row = of_pair[:, column].argmax()
            if of_pair[row, column] > least:
                hit[rows[column]], of_pair[row] = True, 0.0
    return hit


def mean_average_precision(truth: pd.DataFrame, predicted: pd.DataFrame, least: float = OVERLAP) -> float:
    """The area under precision by recall of each class that has true segments, averaged over these classes;
    hits: ``by_confidence``.

    The area is scikit-learn's ``average_precision_score`` of the predictions, times the share of the true
    segments that any of them hits, since the others are reached by no threshold. NaN without true segments.
    """
    from sklearn.metrics import average_precision_score

    hit, areas = by_confidence(truth, predicted, least), []
    for label, true in truth.groupby("label"):
        own = (predicted["label"] == label).to_numpy()
        found = hit[own].sum()
        area = average_precision_score(hit[own], predicted["probability"][own]) if found else 0.0
        areas.append(area * found / len(true))
    return float(np.mean(areas)) if areas else float("nan")


def scores(truth: pd.DataFrame, predicted: pd.DataFrame) -> dict[str, float]:
    """All scores: F1, precision and recall one-to-one at ``OVERLAP`` with the interval of F1, F1 at other
    overlaps, mAP, official F1.

    The interval (``low`` to ``high``) is a bootstrap over videos, see ``metrics.interval``.
    """
    table = counts(truth, predicted)
    low, high = metrics.interval(lambda rows: _f1(table.to_numpy()[rows]), table.index.to_numpy())
    found = pooled(table) | {"low": low, "high": high}
    found |= {
        f"f1_{least:g}": pooled(counts(truth, predicted, least))["f1"]
        for least in OVERLAPS
        if least != OVERLAP
    }
    found |= {f"map_{least:g}": mean_average_precision(truth, predicted, least) for least in OVERLAPS}
    return found | {
        f"official_{name}": value
        for name, value in pooled(counts(truth, predicted, match="official")).items()
    }


def f1_difference(truth: pd.DataFrame, first: pd.DataFrame, second: pd.DataFrame) -> dict[str, float]:
    """F1 of the first predictions minus that of the second, one-to-one, and its paired bootstrap interval
    over videos."""
    videos = sorted({*truth["video"], *first["video"], *second["video"]})
    a, b = (counts(truth, one).reindex(videos, fill_value=0).to_numpy() for one in (first, second))
    low, high = metrics.interval(lambda rows: _f1(a[rows]) - _f1(b[rows]), np.array(videos))
    return {"difference": _f1(a) - _f1(b), "low": low, "high": high}


def kinds(
    truth: pd.DataFrame, predicted: pd.DataFrame, least: float = OVERLAP
) -> tuple[np.ndarray, np.ndarray]:
    """What each prediction is, one of ``KINDS``, and whether each true segment is found: bool.

    ``correct`` is a hit of the one-to-one matching. Of the others, ``duplicate`` has IoU > ``least`` with a
    true segment of its class that another prediction hits, ``wrong class`` with one of another class; ``wrong
    bounds`` overlaps one of its class by less; ``invented`` is the rest. The first that applies is taken. The
    kinds are those of Alwassel et al., Diagnosing Error in Temporal Action Detectors (ECCV 2018), with other
    limits of IoU.
    """
    true, hits = pairs(truth, predicted, least)
    of_prediction, of_truth = np.full(len(predicted), KINDS[-1], object), truth.groupby("video").indices
    for video, rows in predicted.groupby("video").indices.items():
        beside = truth.iloc[of_truth.get(video, [])]
        of_pair = overlap(beside, predicted.iloc[rows])
        same = beside["label"].to_numpy()[:, None] == predicted["label"].to_numpy()[rows]
        near = of_pair > least
        cases = [(near & same).any(0), (near & ~same).any(0), ((of_pair > 0) & same).any(0)]
        of_prediction[rows] = np.select(cases, KINDS[1:4], KINDS[4])
    of_prediction[hits] = KINDS[0]
    return of_prediction, np.isin(np.arange(len(truth)), true)
