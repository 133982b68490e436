"""Several sets of predictions of the same clips, fused into one.

Members are joined on the ids of the clips. Each may have the clips in its own order.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .. import metrics, predictions
from ..clips import Clips
from ..predictions import Predictions
from ..readers import Report
from ..runs import RESULT, fold_of, read_json
from . import score_files


def join(members: Sequence[Predictions]) -> list[Predictions]:
    """The members with their clips in the order of the first. A label that is known in one member is set in
    all.

    Raises:
        ValueError: no member, other classes or another order of them, clips that one member lacks, or labels
            that disagree.
    """
    if not members:
        raise ValueError("an ensemble needs at least one set of predictions")
    ordered = [_in_order_of(members[0], member, number) for number, member in enumerate(members, 1)]
    labels = np.max([member.labels for member in ordered], axis=0)
    for number, member in enumerate(ordered, 1):
        if (differ := (member.labels >= 0) & (member.labels != labels)).any():
            clip = member.ids[differ.argmax()]
            raise ValueError(
                f"member {number} has another label of clip {clip} than the others; fuse predictions of the same data"
            )
    return [replace(member, labels=labels) for member in ordered]


def _in_order_of(first: Predictions, member: Predictions, number: int) -> Predictions:
    if member.classes.tolist() != first.classes.tolist():
        differing = next(
            (pair for pair in zip(first.classes, member.classes, strict=False) if pair[0] != pair[1]), None
        )
        where = (
            f"{differing[0]!s} against {differing[1]!s}"
            if differing
            else f"{len(first.classes)} against {len(member.classes)} classes"
        )
        raise ValueError(
            f"member {number} has other classes than the first ({where}); fuse predictions of the same classes"
        )
    own, wanted = set(member.ids.tolist()), set(first.ids.tolist())
    if lacking := [id for id in first.ids.tolist() if id not in own]:
        extra = [id for id in member.ids.tolist() if id not in wanted]
        others = f"{len(extra)} others (such as {extra[0]})" if extra else "no others"
        raise ValueError(
            f"member {number} lacks {len(lacking)} of the {len(first)} clips of the first (such as {lacking[0]}) and has {others}; "
            "fuse predictions of the same clips, or keep the shared ones with `ensemble.common` (`shared_only`)"
        )
    if extra := [id for id in member.ids.tolist() if id not in wanted]:
        raise ValueError(
            f"member {number} has {len(extra)} clips that the first lacks (such as {extra[0]}); "
            "keep the shared ones with `ensemble.common` (`shared_only`)"
        )
    return member.of(first.ids.tolist())


def common(members: Sequence[Predictions]) -> tuple[list[Predictions], int]:
    """The clips that all members have, in the order of the first, as one set of predictions a member; and the
    number of other clips.

    Raises:
        ValueError: no member, or no clip that all have; otherwise as ``join`` does.
    """
    if not members:
        raise ValueError("an ensemble needs at least one set of predictions")
    of_members = [set(member.ids.tolist()) for member in members]
    shared = set.intersection(*of_members)
    if not shared:
        examples = " against ".join(str(member.ids[0]) if len(member) else "none" for member in members)
        raise ValueError(
            f"there is no clip that all {len(members)} members have (ids such as {examples}); use the same ids in all"
        )
    ids = [id for id in members[0].ids.tolist() if id in shared]
    return join([member.of(ids) for member in members]), len(set.union(*of_members)) - len(shared)


def gather(
    folders: Sequence[Path],
    scores: Sequence[str],
    split: str,
    clips: Clips,
    annotations: str = "",
    normalise: str = "",
    shared_only: bool = False,
    report: Report | None = None,
) -> dict[str, Predictions]:
    """The predictions of one split from runs and score files, joined. Keys are the names of the runs, and the
    paths of the files as given.

    The folds of one cross-validation are one member: the predictions of each by the network that was not
    trained on them.

    Args:
        folders: of runs or ensembles.
        scores: paths of files that ``score_files.read`` reads. ``{split}`` in a path is replaced by the
            split's name. Clips of other splits in the files are ignored.
        annotations, normalise, report: as for ``score_files.read``.
        shared_only: use only the clips that all members have, and note in the report how many others there
            are. Without it, members with other clips are refused.

    Raises:
        ValueError: a member that is there twice or has no predictions of the split; otherwise as
            ``score_files.read`` and ``join`` do.
    """
    report, wanted = report or Report(), clips.split(split).table["id"].tolist()
    of_runs = of_members(folders)
    names = [*of_runs, *scores]
    if (
        len(names) != len(of_runs) + len(set(scores))
        or len(set(folders)) != len(folders)
        or set(of_runs) & set(scores)
    ):
        raise ValueError(
            f"members of an ensemble must be unique, got {', '.join([*(folder.name for folder in folders), *scores])}"
        )
    if lacking := [folder for folder in folders if not (folder / f"{split}.npz").exists()]:
        gone = split in read_json(lacking[0] / RESULT, "scores")["scores"]
        again = "run 04_train (06_ensemble for an ensemble) with the same parameters to predict again"
        way_out = again if gone else "choose a run that was trained on this data"
        raise ValueError(
            f"{lacking[0]}: has no predictions of split {split!r} ({split}.npz{' was lost' * gone}); {way_out}"
        )
    members = [
        predictions.concatenate([predictions.load(one / f"{split}.npz") for one in of_run])
        for of_run in of_runs.values()
    ]
    for given in scores:
        path = Path(given.replace("{split}", split)).expanduser()
        one = score_files.read(path, clips.classes, annotations, split, normalise, report)
        own = set(one.ids.tolist())
        if not (shared := [id for id in wanted if id in own]):
            raise ValueError(
                f"{path}: has none of the {len(wanted)} clips of split {split!r}; use ids such as {wanted[0]}, found {one.ids[0]}"
            )
        members.append(one.of(shared))
    if shared_only:
        members, lost = common(members)
        if lost:
            report.note("clips left out because a member lacks them", f"{split} ({lost} of {len(wanted)})")
    return dict(zip(names, join(members), strict=True))


def joined_folds(folders: Sequence[Path], clips: Clips) -> list[str]:
    """For each cross-validation among some runs, a sentence on how many of its folds are joined and which
    have no finished run."""
    sentences = []
    for name, of_run in of_members(folders).items():
        if folds := [fold for folder in of_run if (fold := fold_of(folder))]:
            count = (
                folds[0][0].get("folds") or clips.table["subject"][clips.table["label"] >= 0].nunique()
            )  # a fold for each subject
            numbers = {number for _, _, number in folds}
            missing = ", ".join(f"fold {number}" for number in range(count) if number not in numbers)
            others = (
                f"; missing: {missing} (no finished run); all scores and figures are of the others only"
                if missing
                else ""
            )
            sentences.append(f"{name}: {len(numbers)} of {count} folds are joined{others}.")
    return sentences


def of_members(folders: Sequence[Path]) -> dict[str, list[Path]]:
    """The folders by the name of a member: the folds of a cross-validation together, without the fold in
    their name if that is free."""
    found: dict[str, list[Path]] = {}
    taken = {folder.name for folder in folders}
    first: list[tuple[str, tuple[Any, ...]]] = []
    for folder in folders:
        fold = fold_of(folder)
        name = next((name for name, of in first if fold and of == fold[:2]), "")
        if fold and not name:
            name = re.sub(rf"[-_]?fold{fold[2]}$", "", folder.name)
            name = folder.name if not name or name in taken | found.keys() else name
            first.append((name, fold[:2]))
        found.setdefault(name or folder.name, []).append(folder)
    return found


def fuse(
    members: Sequence[Predictions], weights: Sequence[float | int] | np.ndarray | None = None
) -> Predictions:
    """The weighted average of the members' probabilities; the paper's ensemble is joint and limb, 1 to 1.

    Args:
        weights: one for each member, 0 or more; they are scaled to a sum of 1. By default all are equal.

    Raises:
        ValueError: as ``join`` does, or invalid weights.
    """
    members = join(members)
    parts = shares(np.ones(len(members)) if weights is None else weights, len(members))
    average = np.tensordot(parts, np.stack([member.probabilities for member in members]), axes=1)
    return replace(members[0], probabilities=average)


def shares(weights: Sequence[float | int] | np.ndarray, count: int) -> np.ndarray:
    """Weights scaled to a sum of 1. Raises ValueError unless there is one for each of ``count`` members, 0 or
    more, and not all are 0."""
    given = np.asarray(weights, dtype=float)
    if given.shape != (count,) or not (given >= 0).all() or not 0 < given.sum() < np.inf:
        raise ValueError(
            f"weights must be {count} numbers of 0 or more, one for each member and not all 0, got {given.tolist()}"
        )
    return given / given.sum()


def search(members: Sequence[Predictions]) -> np.ndarray:
    """The weights, 0 or more and of sum 1, whose average has the smallest cross-entropy on the members' known
    labels.

    The problem is convex, so there is one best value. SciPy's SLSQP finds it, and the gradient proves that no
    other weights are more than 1e-3 nats better. Search on validation, evaluate on test.

    Raises:
        ValueError: as ``join`` does, or no clip with a known label.
        RuntimeError: the search ended before the best value.
    """
    from scipy.optimize import LinearConstraint, minimize

    of_truth = np.stack([_of_truth(member) for member in join(members)])
    if (count := len(of_truth)) == 1:
        return np.ones(1)

    def cross_entropy(weights: np.ndarray) -> tuple[float, np.ndarray]:
        mixed = np.maximum(weights @ of_truth, 1e-12)
        return float(-np.log(mixed).mean()), -(of_truth / mixed).mean(1)

    sum_to_one = LinearConstraint(np.ones(count), 1, 1)
    start = np.full(count, 1 / count)
    options = {
        "bounds": [(0, 1)] * count,
        "constraints": sum_to_one,
        "options": {"ftol": 1e-10, "maxiter": 1000},
    }
    result = minimize(cross_entropy, start, jac=True, method="SLSQP", **options)
    weights = np.clip(result.x, 0, 1) / np.clip(result.x, 0, 1).sum()
    # A convex function lies above its tangent, whose lowest point over all weights is at a corner.
    if (short := weights @ (slope := cross_entropy(weights)[1]) - slope.min()) > 1e-3:
        raise RuntimeError(
            f"the search for weights ended up to {short:.2g} nats from the best value ({result.message}); give `weights` instead"
        )
    return weights


def temperature(predictions: Predictions) -> float:
    """The temperature, between 0.05 and 20, at which the predictions' cross-entropy on known labels is
    smallest.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017. Fit it on validation.
    """
    from scipy.optimize import minimize_scalar

    def cross_entropy(logarithm: float) -> float:
        return float(-np.log(np.maximum(_of_truth(temper(predictions, np.exp(logarithm))), 1e-12)).mean())

    return float(np.exp(minimize_scalar(cross_entropy, bounds=np.log([0.05, 20]), method="bounded").x))


def temper(predictions: Predictions, temperature: float) -> Predictions:
    """Probabilities after a softmax at this temperature: less confident above 1, more confident below 1."""
    logarithms = np.log(np.maximum(predictions.probabilities, 1e-12)) / temperature
    powers = np.exp(logarithms - logarithms.max(1, keepdims=True))
    return replace(predictions, probabilities=powers / powers.sum(1, keepdims=True))


def oracle(members: Sequence[Predictions]) -> float:
    """Share of the clips of known label that at least one member predicts correctly: an upper bound of any
    choice among the members."""
    members = [metrics.labelled(member) for member in join(members)]
    return float(np.any([member.predicted == member.labels for member in members], axis=0).mean())


def _of_truth(predictions: Predictions) -> np.ndarray:
    """The predicted probability of the true class of each clip of known label, (N,)."""
    known = predictions.known()
    if not len(known):
        raise ValueError(
            "none of the clips has a known label, so nothing can be fitted; use the validation split"
        )
    return known.probabilities[np.arange(len(known)), known.labels]
