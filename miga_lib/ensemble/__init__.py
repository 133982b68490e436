"""Several sets of predictions of the same clips, fused into one.

Members are joined on the ids of the clips. Each may have the clips in its own order.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path, PurePosixPath

import numpy as np

from .. import metrics, predictions, training
from ..clips import Clips
from ..predictions import Predictions
from ..readers import Progress, Report
from ..runs import RESULT, fold_of, identity, read_json, stored_settings
from ..splits import UNDIVIDED
from . import score_files


def join(members: Sequence[Predictions], shared_only: bool = False) -> list[Predictions]:
    """The members with their clips in the order of the first. A label that is known in one member is set in
    all.

    Args:
        shared_only: use only the clips that all members have; else all must have the same clips.

    Raises:
        ValueError: no member, other classes, other clips, or labels that disagree.
    """
    if not members:
        raise ValueError("an ensemble needs at least one set of predictions")
    ids, classes = members[0].ids.tolist(), members[0].classes.tolist()
    if shared_only:
        shared = set(ids).intersection(*(member.ids.tolist() for member in members))
        ids = [id for id in ids if id in shared]
        if not ids:
            examples = " against ".join("".join(member.ids[:1]) or "none" for member in members)
            lack = f"no clip that all {len(members)} members have (ids such as {examples})"
            raise ValueError(f"there is {lack}; use the same ids in all")
    for number, member in enumerate(members, 1):
        pairs = zip_longest(classes, member.classes.tolist())
        names = [f"{first} against {other}" for first, other in pairs if first != other]
        if names:
            way_out = "fuse predictions of the same classes"
            raise ValueError(f"member {number} has other classes than the first ({names[0]}); {way_out}")
        differing = set(ids) ^ set(member.ids.tolist())
        if differing and not shared_only:
            raise ValueError(
                f"member {number} has {len(member)} clips and the first {len(ids)}; {len(differing)} are not "
                f"in both (such as {min(differing)}): fuse those of the same clips, or set `shared_only`"
            )
    joined = [member.of(ids) for member in members]
    labels = np.max([member.labels for member in joined], axis=0)
    for number, member in enumerate(joined, 1):
        differ = (member.labels >= 0) & (member.labels != labels)
        if differ.any():
            clip = f"clip {member.ids[differ.argmax()]} than the others"
            raise ValueError(
                f"member {number} has another label of {clip}; fuse predictions of the same data"
            )
    return [replace(member, labels=labels) for member in joined]


def gather(
    folders: Sequence[Path],
    scores: Sequence[str],
    split: str,
    clips: Clips,
    load: Callable[..., Clips],
    annotations: str = "",
    normalise: str = "",
    shared_only: bool = False,
    report: Report | None = None,
    progress: Progress | None = None,
    by_all_folds: bool = False,
) -> dict[str, Predictions]:
    """The predictions of one split from runs (or ensembles) and score files, joined. Keys are the names of
    the runs, and the paths of the files as given.

    The folds of one cross-validation are one member: the predictions of each by the network that was not
    trained on them. Clips, splits and labels are those of the data; ``training.predictions_of`` makes the
    predictions that a run does not have.

    Args:
        clips: of all splits, see ``runs.clip_arguments``.
        load: gives the same clips by the ``clip_arguments`` of the settings of each run.
        scores: paths of files that ``score_files.read`` reads. ``{split}`` in a path is replaced by the
            split's name. Clips of other splits in the files are ignored; labels come from ``clips``.
        shared_only: as for ``join``; the number of other clips is noted in the report.
        by_all_folds: the clips are of no fold, such as the test clips of a challenge: the networks of all
            folds predict each of them, and a member is their average.

    Raises:
        ValueError: a member that is there twice, an ensemble of other clips; otherwise as
            ``training.predictions_of``, ``score_files.read`` and ``join`` do.
    """
    report, labels = report or Report(), clips.split(split).table.set_index("id")["label"]
    runs = group_folds(folders)
    names = [*runs, *scores]
    if len(set(names)) < len(names) or len(set(folders)) < len(folders):
        listed = ", ".join([*(folder.name for folder in folders), *scores])
        raise ValueError(f"members of an ensemble must be unique, got {listed}")
    members = []
    for folds in runs.values():
        parts = [_of_folder(folder, split, clips, load, report, progress, by_all_folds) for folder in folds]
        members.append(fuse(parts) if by_all_folds else predictions.concatenate(parts))
    for name in scores:
        path = Path(name.replace("{split}", split)).expanduser()
        member = score_files.read(path, clips.classes, annotations, split, normalise, report)
        member = _with_ids_of(clips, member, path, report)
        ids = labels.index[labels.index.isin(member.ids)]
        if ids.empty:
            examples = f"use ids such as {labels.index[0]}, found {member.ids[0]}"
            raise ValueError(f"{path}: has none of the {len(labels)} clips of split {split!r}; {examples}")
        members.append(member.of(ids).labelled(labels[ids]))
    joined = join(members, shared_only)
    lost = len(labels) - len(joined[0])
    if shared_only and lost:
        report.note("clips left out because a member lacks them", f"{split} ({lost} of {len(labels)})")
    return dict(zip(names, joined, strict=True))


def _with_ids_of(clips: Clips, member: Predictions, path: Path, report: Report) -> Predictions:
    """The predictions under the ids of the clips, if theirs are the names of files of the clips."""
    known = set(clips.table["id"])
    names = [PurePosixPath(id.replace("\\", "/")).stem for id in member.ids.tolist()]
    is_known = not known.isdisjoint(member.ids.tolist())
    if is_known or not known.issuperset(names) or len(set(names)) < len(names):
        return member
    report.note("ids of score files taken without the folder and the ending of a file", path.name)
    return replace(member, ids=np.array(names))


def _of_folder(
    folder: Path,
    split: str,
    clips: Clips,
    load: Callable[..., Clips],
    report: Report,
    progress: Progress | None,
    by_all_folds: bool,
) -> Predictions:
    """The predictions of a run or an ensemble for one split of the data."""
    result, part = read_json(folder / RESULT), clips.split(split)
    if "members" in result:
        stored, now = result.get("data", {}).get("splits", {}).get(split, {}), identity(part)
        compared = ["ids", "keypoints"] if result.get("layout") == clips.layout.name else ["ids"]
        same = all(stored.get(name) == now[name] for name in compared)
        member = predictions.load(folder / f"{split}.npz") if same else None
        if member is None or len(member) != result.get("clips", {}).get(split):
            made_of = f"was not made of the {len(part)} {split} clips that the data have"
            raise ValueError(f"{folder}: {made_of}; run 06_ensemble again with the same parameters")
        return member.labelled(clips.table.set_index("id")["label"][member.ids])
    settings = stored_settings(folder, result["settings"])
    fold = fold_of(folder)
    undivided = UNDIVIDED if fold and by_all_folds else {}
    own = load(**settings.clip_arguments | undivided)
    if fold and not by_all_folds:
        return training.predictions_of(folder, own.split(split), report, progress)
    own = own.where(own.table["id"].isin(part.table["id"]))
    labels = part.table.set_index("id")["label"]
    return training.predictions_of(folder, own, report, progress).labelled(labels[own.table["id"]])


def joined_folds(folders: Sequence[Path], clips: Clips) -> list[str]:
    """For each cross-validation among some runs, a sentence on how many of its folds are joined and which
    have no finished run."""
    sentences = []
    for name, runs in group_folds(folders).items():
        folds = [fold for fold in map(fold_of, runs) if fold]
        if folds:
            subjects = clips.table["subject"][clips.table["label"] >= 0].nunique()
            count = folds[0].settings.get("folds") or subjects  # a fold for each subject
            sentence = f"{name}: {len(folds)} of {count} folds are joined"
            missing = [f"fold {k}" for k in range(count) if k not in {fold.number for fold in folds}]
            if missing:
                reason = "(no finished run); all scores and figures are of the others only"
                sentence += f"; missing: {', '.join(missing)} {reason}"
            sentences.append(f"{sentence}.")
    return sentences


def group_folds(folders: Sequence[Path]) -> dict[str, list[Path]]:
    """The folders by the name of a member: the folds of a cross-validation together, without the fold in
    their name if that is free."""
    members: dict[str, list[Path]] = {}
    names: dict[str, str] = {}
    for folder in folders:
        fold, name = fold_of(folder), folder.name
        if fold:
            short = re.sub(rf"[-_]?fold{fold.number}$", "", name)
            if short and short not in {*members, *(other.name for other in folders)}:
                name = short
            name = names.setdefault(repr(fold[:2]), name)
        members.setdefault(name, []).append(folder)
    return members


def fuse(
    members: Sequence[Predictions], weights: Sequence[float | int] | np.ndarray | None = None
) -> Predictions:
    """The average of the members' probabilities, with the ``shares`` of weights or with equal ones; the
    paper's ensemble is joint and limb, 1 to 1. Raises ValueError as ``join`` and ``shares`` do."""
    members = join(members)
    parts = shares(np.ones(len(members)) if weights is None else weights, len(members))
    average = np.tensordot(parts, np.stack([member.probabilities for member in members]), axes=1)
    return replace(members[0], probabilities=average)


def shares(weights: Sequence[float | int] | np.ndarray, count: int) -> np.ndarray:
    """Weights scaled to a sum of 1. Raises ValueError unless there is one for each of ``count`` members, 0 or
    more, and not all are 0."""
    values = np.asarray(weights, dtype=float)
    if values.shape != (count,) or not (values >= 0).all() or not 0 < values.sum() < np.inf:
        rule = f"{count} numbers of 0 or more, one for each member and not all 0"
        raise ValueError(f"weights must be {rule}, got {values.tolist()}")
    return values / values.sum()


def search(members: Sequence[Predictions]) -> np.ndarray:
    """The weights, 0 or more and of sum 1, whose average has the smallest cross-entropy on the members' known
    labels.

    The problem is convex, so there is one best value. SciPy's SLSQP finds it, and the gradient proves that no
    other weights are more than 1e-3 nats better, or RuntimeError is raised. Search on validation, evaluate on
    test.
    """
    from scipy.optimize import LinearConstraint, minimize

    of_truth = np.stack([metrics.of_truth(member) for member in join(members)])
    count = len(of_truth)
    if count == 1:
        return np.ones(1)

    def cross_entropy(weights: np.ndarray) -> tuple[float, np.ndarray]:
        mixed = np.maximum(weights @ of_truth, metrics.MIN_PROBABILITY)
        return float(-np.log(mixed).mean()), -(of_truth / mixed).mean(1)

    bounds, sum_to_one = [(0, 1)] * count, LinearConstraint(np.ones(count), 1, 1)
    problem = {"jac": True, "method": "SLSQP", "bounds": bounds, "constraints": sum_to_one}
    options = {"ftol": 1e-10, "maxiter": 1000}
    result = minimize(cross_entropy, np.full(count, 1 / count), options=options, **problem)
    weights = np.clip(result.x, 0, 1) / np.clip(result.x, 0, 1).sum()
    # A convex function lies above its tangent, whose lowest point over all weights is at a corner.
    slope = cross_entropy(weights)[1]
    gap = weights @ slope - slope.min()
    if gap > 1e-3:
        place = f"up to {gap:.2g} nats from the best value ({result.message})"
        raise RuntimeError(f"the search for weights ended {place}; give `weights` instead")
    return weights


def temperature(predictions: Predictions) -> float:
    """The temperature, between 0.05 and 20, at which the predictions' cross-entropy on known labels is
    smallest.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017. Fit it on validation.
    """
    from scipy.optimize import minimize_scalar

    def cross_entropy(logarithm: float) -> float:
        return metrics.cross_entropy(temper(predictions, np.exp(logarithm)))

    return float(np.exp(minimize_scalar(cross_entropy, bounds=np.log([0.05, 20]), method="bounded").x))


def temper(predictions: Predictions, temperature: float) -> Predictions:
    """Probabilities after a softmax at this temperature: less confident above 1, more confident below 1."""
    logarithms = np.log(np.maximum(predictions.probabilities, metrics.MIN_PROBABILITY)) / temperature
    powers = np.exp(logarithms - logarithms.max(1, keepdims=True))
    return replace(predictions, probabilities=powers / powers.sum(1, keepdims=True))


def oracle(members: Sequence[Predictions]) -> float:
    """Share of the clips of known label that at least one member predicts correctly: an upper bound of any
    choice among the members."""
    members = [metrics.labelled(member) for member in join(members)]
    return float(np.any([member.predicted == member.labels for member in members], axis=0).mean())
