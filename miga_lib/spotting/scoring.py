"""How well gestures were found in whole videos: predicted segments against true ones.

A table of segments has a row for each: video, label (class index), first and last frame (inclusive), and
predicted ones also probability. IoU is the intersection of two segments over their union.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from .. import intervals
from ..intervals import Estimate
from ..settings import check_choice

COLUMNS = ("video", "label", "first", "last")
MIN_IOU = 0.3
"""A prediction is a hit if its IoU is larger: ``alpha`` of the challenge's starter kit."""
MIN_IOUS = (0.1, 0.3, 0.5)
MATCHES = ("one-to-one", "official")
KINDS = ("correct", "duplicate", "wrong class", "wrong bounds", "invented")


def overlap(
    truth: pd.DataFrame, predicted: pd.DataFrame, inclusive: bool = True
) -> Float[np.ndarray, "true predicted"]:
    """IoU of each true with each predicted segment of one video: the smaller end minus the larger beginning,
    by the larger end minus the smaller beginning; 0 or less where they are apart.

    Args:
        inclusive: whether the last frame of a segment is counted, too. In the starter kit it is not; two
            equal segments of one frame then have no IoU (0 / 0), which is NaN and no hit.
    """
    true, other = (table[["first", "last"]].to_numpy(float).T for table in (truth, predicted))
    (first, last), (begin, end) = true[:, :, None], other[:, None, :]
    intersection = np.minimum(last, end) - np.maximum(first, begin) + inclusive
    union = np.maximum(last, end) - np.minimum(first, begin) + inclusive
    return np.divide(intersection, union, out=np.full(union.shape, np.nan), where=union > 0)


def by_video(
    truth: pd.DataFrame, predicted: pd.DataFrame, inclusive: bool = True
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """For each video with predictions: the row numbers of its true and of its predicted segments, their IoU,
    and whether they have the same class."""
    true_labels, labels = truth["label"].to_numpy(), predicted["label"].to_numpy()
    of_truth = truth.groupby("video").indices
    for video, columns in predicted.groupby("video").indices.items():
        rows = of_truth.get(video, np.zeros(0, int))
        iou = overlap(truth.iloc[rows], predicted.iloc[columns], inclusive)
        yield rows, columns, iou, true_labels[rows, None] == labels[columns]


def pairs(
    truth: pd.DataFrame, predicted: pd.DataFrame, min_iou: float = MIN_IOU, match: str = MATCHES[0]
) -> Int[np.ndarray, "2 hits"]:
    """The hits: the row numbers of true segments, and those of the predictions that hit them.

    ``one-to-one``: each segment is in at most one hit. Of all such matchings of segments of the same class
    with IoU > ``min_iou``, the one with most hits, and of those the one with the largest sum of IoU. So the
    result depends on no order; a greedy matching by IoU can find fewer hits.

    ``official``: as the starter kit counts (github.com/mikecheninoulu/SMG, online recognition). Each true
    segment takes the first prediction in time of its class with IoU > ``min_iou``. The kit means to remove
    this prediction and discards the result, so a prediction can be the hit of several true segments, and
    precision can be above 1.
    """
    from scipy.optimize import linear_sum_assignment

    check_choice("match", match, MATCHES)
    official = match == "official"
    table = predicted.reset_index(drop=True)
    if official:
        table = table.sort_values(["first", "last"], kind="stable")
    hits = [np.zeros((2, 0), int)]
    for rows, columns, iou, same in by_video(truth, table, inclusive=not official):
        allowed = same & (iou > min_iou)
        if not allowed.any():
            continue
        if official:
            true = np.flatnonzero(allowed.any(1))
            chosen = allowed[true].argmax(1)
        else:  # one hit more is worth more than any sum of IoU
            worth = np.where(allowed, 1 + iou / (1 + min(iou.shape)), 0)
            true, chosen = linear_sum_assignment(worth, maximize=True)
            true, chosen = true[allowed[true, chosen]], chosen[allowed[true, chosen]]
        hits.append(np.stack([rows[true], table.index.to_numpy()[columns[chosen]]]))
    return np.concatenate(hits, axis=1)


def counts(
    truth: pd.DataFrame, predicted: pd.DataFrame, min_iou: float = MIN_IOU, match: str = MATCHES[0]
) -> pd.DataFrame:
    """The numbers of hits, predictions and true segments (``truths``) of each video, whose names are the
    index."""
    hits, _ = pairs(truth, predicted, min_iou, match)
    videos = sorted({*truth["video"], *predicted["video"]})
    columns = {"hits": truth["video"].iloc[hits], "predictions": predicted["video"], "truths": truth["video"]}
    numbers = {name: of.value_counts().reindex(videos, fill_value=0) for name, of in columns.items()}
    return pd.DataFrame(numbers, index=videos)


def pooled(table: pd.DataFrame) -> dict[str, float]:
    """Precision, recall and F1 over all videos of ``counts`` together; 0 where there is no prediction, or no
    true segment.

    F1 is 2 · hits / (predictions + truths), the harmonic mean of the two; the starter kit adds 1e-7 to its
    denominator.
    """
    hits, predictions, truths = table[["hits", "predictions", "truths"]].sum().tolist()
    precision, recall = hits / max(predictions, 1), hits / max(truths, 1)
    return {"precision": precision, "recall": recall, "f1": _f1(table.to_numpy())}


def _f1(values: np.ndarray) -> float:
    """F1 of the rows (hits, predictions, truths) of some videos."""
    hits, predictions, truths = values.sum(0).tolist()
    return 2 * hits / max(predictions + truths, 1)


def by_confidence(
    truth: pd.DataFrame, predicted: pd.DataFrame, min_iou: float = MIN_IOU
) -> Bool[np.ndarray, " predicted"]:
    """Whether each prediction is a hit where the more probable ones choose first.

    Each takes the true segment of its class with the largest IoU among those that none took before, if that
    IoU is > ``min_iou``.
    """
    hit, probability = np.zeros(len(predicted), bool), predicted["probability"].to_numpy()
    for _, columns, iou, same in by_video(truth, predicted):
        free = np.where(same, iou, 0.0)
        for column in np.argsort(-probability[columns], kind="stable"):
            if free[:, column].max(initial=0) > min_iou:
                hit[columns[column]] = True
                free[free[:, column].argmax()] = 0.0
    return hit


def mean_average_precision(truth: pd.DataFrame, predicted: pd.DataFrame, min_iou: float = MIN_IOU) -> float:
    """The area under precision by recall of each class that has true segments, averaged over these classes;
    hits: ``by_confidence``. NaN without true segments.

    The area is scikit-learn's ``average_precision_score`` of the predictions, times the share of the true
    segments that any of them hits, since the others are reached by no threshold.
    """
    from sklearn.metrics import average_precision_score

    hit, areas = by_confidence(truth, predicted, min_iou), []
    for label, true in truth.groupby("label"):
        own = (predicted["label"] == label).to_numpy()
        hits, area = hit[own].sum(), 0.0
        if hits:
            area = average_precision_score(hit[own], predicted["probability"][own])
        areas.append(area * hits / len(true))
    return float(np.mean(areas)) if areas else float("nan")


def scores(truth: pd.DataFrame, predicted: pd.DataFrame) -> dict[str, float]:
    """All scores: precision, recall and F1 one-to-one at ``MIN_IOU``, with an interval of F1 (``low`` to
    ``high``) for other videos; F1 and mAP at ``MIN_IOUS``; the official precision, recall and
    F1."""
    table = counts(truth, predicted)
    by_video = table.to_numpy()
    f1 = intervals.of_networks(lambda rows: _f1(by_video[rows]), table.index.to_numpy()).bounded()
    values = pooled(table) | {"low": f1.low, "high": f1.high}
    for iou in MIN_IOUS:
        if iou != MIN_IOU:
            values[f"f1_{iou:g}"] = pooled(counts(truth, predicted, iou))["f1"]
    for iou in MIN_IOUS:
        values[f"map_{iou:g}"] = mean_average_precision(truth, predicted, iou)
    official = pooled(counts(truth, predicted, match="official"))
    return values | {f"official_{name}": value for name, value in official.items()}


def f1_difference(truth: pd.DataFrame, first: pd.DataFrame, second: pd.DataFrame) -> Estimate:
    """F1 of the first predictions minus that of the second, one-to-one, with an interval for other videos."""
    videos = sorted({*truth["video"], *first["video"], *second["video"]})
    a, b = (counts(truth, table).reindex(videos, fill_value=0).to_numpy() for table in (first, second))
    return intervals.of_networks(lambda rows: _f1(a[rows]) - _f1(b[rows]), np.array(videos))


def kinds(truth: pd.DataFrame, predicted: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """The kind of each prediction, one of ``KINDS``, and whether each true segment is found: bool.

    ``correct`` is a hit of the one-to-one matching. Of the others, ``duplicate`` has IoU > ``MIN_IOU`` with a
    true segment of its class that another prediction hits, ``wrong class`` with one of another class; ``wrong
    bounds`` overlaps one of its class by less; ``invented`` is the rest. The first that applies is taken. The
    kinds are those of Alwassel et al., Diagnosing Error in Temporal Action Detectors (ECCV 2018), with other
    limits of IoU.
    """
    kind = np.full(len(predicted), KINDS[-1], object)
    for _, columns, iou, same in by_video(truth, predicted):
        near = iou > MIN_IOU
        cases = [(near & same).any(0), (near & ~same).any(0), ((iou > 0) & same).any(0)]
        kind[columns] = np.select(cases, KINDS[1:4], KINDS[4])
    true, hits = pairs(truth, predicted)
    kind[hits] = KINDS[0]
    return kind, np.isin(np.arange(len(truth)), true)
