"""Several sets of predictions of the same clips made into one, and the challenge's submission files.

Members are joined on the ids of the clips, whatever order each keeps them in.
"""

import csv
import io
import os
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from .predictions import Predictions

SUBMISSIONS = {2023: ("Submission.csv", "Submission.zip"), 2024: ("prediction.csv", "prediction.zip")}
"""Names of the table and the archive, by the year from which they hold; the later table has the header ``Id,Target``."""


def join(members: Sequence[Predictions]) -> list[Predictions]:
    """The members with their clips in the order of the first; a label that one of them knows, all know.

    Raises:
        ValueError: no member, other classes or another order of them, clips that one of them lacks, or labels that disagree.
    """
    if not members:
        raise ValueError("an ensemble needs at least one set of predictions")
    ordered = [_in_order_of(members[0], member, number) for number, member in enumerate(members, 1)]
    labels = np.max([member.labels for member in ordered], axis=0)
    for number, member in enumerate(ordered, 1):
        if (differ := (member.labels >= 0) & (member.labels != labels)).any():
            clip = member.ids[differ.argmax()]
            raise ValueError(f"member {number} gives clip {clip} another label than the others; they are not of the same data")
    return [replace(member, labels=labels) for member in ordered]


def _in_order_of(first: Predictions, member: Predictions, number: int) -> Predictions:
    if member.classes.tolist() != first.classes.tolist():
        differing = next((pair for pair in zip(first.classes, member.classes, strict=False) if pair[0] != pair[1]), None)
        where = f"{differing[0]!s} against {differing[1]!s}" if differing else f"{len(first.classes)} against {len(member.classes)} classes"
        raise ValueError(f"member {number} has other classes than the first ({where}); predictions can only be fused over the same classes")
    place = {id: row for row, id in enumerate(member.ids.tolist())}
    lacking = [id for id in first.ids.tolist() if id not in place]
    extra = len(member) - (len(first) - len(lacking))
    if lacking or extra:
        example = lacking[0] if lacking else next(id for id in place if id not in set(first.ids.tolist()))
        raise ValueError(
            f"member {number} lacks {len(lacking)} clips of the first and has {extra} others (such as {example}); "
            "use `common` to keep the shared ones"
        )
    order = np.array([place[id] for id in first.ids.tolist()], dtype=int)
    return Predictions(first.ids, member.labels[order], member.probabilities[order], member.classes)


def common(members: Sequence[Predictions]) -> tuple[list[Predictions], int]:
    """The members cut down to the clips that all of them have, in the order of the first, and how many clips that loses."""
    shared = set.intersection(*(set(member.ids.tolist()) for member in members))
    everything = set.union(*(set(member.ids.tolist()) for member in members))
    cut = []
    for member in members:
        rows = np.array([id in shared for id in member.ids.tolist()], dtype=bool)
        cut.append(Predictions(member.ids[rows], member.labels[rows], member.probabilities[rows], member.classes))
    return join(cut), len(everything) - len(shared)


def fuse(members: Sequence[Predictions], weights: Sequence[float] | np.ndarray | None = None) -> Predictions:
    """The weighted average of the members' probabilities; the paper's ensemble is joint and limb, 1 to 1.

    Args:
        weights: one for each member, 0 or more; their sum does not matter. By default all alike.

    Raises:
        ValueError: as ``join`` does, or weights that do not fit.
    """
    members = join(members)
    weights = np.ones(len(members)) if weights is None else np.asarray(weights, dtype=float)
    if weights.shape != (len(members),) or not (weights >= 0).all() or not 0 < weights.sum() < np.inf:
        raise ValueError(f"weights must be {len(members)} numbers of 0 or more, one for each member and not all 0, got {weights.tolist()}")
    average = np.tensordot(weights / weights.sum(), np.stack([member.probabilities for member in members]), axes=1)
    return replace(members[0], probabilities=average)


def search(members: Sequence[Predictions]) -> np.ndarray:
    """The weights, 0 or more and of sum 1, whose average has the smallest cross-entropy on the members' known labels.

    The problem is convex, so there is one best value; it is found by SciPy's SLSQP. Search on validation, judge on test.

    Raises:
        ValueError: as ``join`` does, or no clip with a known label.
    """
    from scipy.optimize import LinearConstraint, minimize

    of_truth = np.stack([_of_truth(member) for member in join(members)])
    count = len(of_truth)

    def cross_entropy(weights: np.ndarray) -> tuple[float, np.ndarray]:
        mixed = np.maximum(weights @ of_truth, 1e-12)
        return float(-np.log(mixed).mean()), -(of_truth / mixed).mean(1)

    sum_to_one = LinearConstraint(np.ones(count), 1, 1)
    start = np.full(count, 1 / count)
    result = minimize(cross_entropy, start, jac=True, method="SLSQP", bounds=[(0, 1)] * count, constraints=sum_to_one)
    weights = np.clip(result.x, 0, 1)
    return weights / weights.sum()


def temperature(predictions: Predictions) -> float:
    """The temperature at which the predictions' own cross-entropy on known labels is smallest, between 0.05 and 20.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017. Fit it on validation.
    """
    from scipy.optimize import minimize_scalar

    def cross_entropy(logarithm: float) -> float:
        return float(-np.log(np.maximum(_of_truth(temper(predictions, np.exp(logarithm))), 1e-12)).mean())

    return float(np.exp(minimize_scalar(cross_entropy, bounds=np.log([0.05, 20]), method="bounded").x))


def temper(predictions: Predictions, temperature: float) -> Predictions:
    """Probabilities made flatter (above 1) or sharper (below 1), as softmax would give them at that temperature."""
    logarithms = np.log(np.maximum(predictions.probabilities, 1e-12)) / temperature
    powers = np.exp(logarithms - logarithms.max(1, keepdims=True))
    return replace(predictions, probabilities=powers / powers.sum(1, keepdims=True))


def oracle(members: Sequence[Predictions]) -> float:
    """Share of the clips of known label that at least one member gets right: no choice among their answers does better."""
    members = [member.known() for member in join(members)]
    return float(np.any([member.guesses == member.labels for member in members], axis=0).mean())


def _of_truth(predictions: Predictions) -> np.ndarray:
    """The probability that each clip of known label gives its true class."""
    known = predictions.known()
    if not len(known):
        raise ValueError("none of the clips has a known label, so there is nothing to fit to; use the validation split")
    return known.probabilities[np.arange(len(known)), known.labels]


def submit(predictions: Predictions, folder: str | Path, year: int = 2025, ids: Sequence[str] | None = None) -> Path:
    """Write the challenge's archive, and read it back to be sure of it.

    Args:
        year: 2023 for ``Submission.zip`` without a header, later ones for ``prediction.zip`` with ``Id,Target``.
        ids: of all clips of the test split; the predictions must be of exactly these.

    Returns:
        The path of the archive; rows are sorted by video and then by number.

    Raises:
        ValueError: an id that is no ``<video>_<number>``, or clips that are missing or too many.
    """
    if ids is not None and (wrong := set(ids) ^ set(predictions.ids.tolist())):
        missing = len(set(ids) - set(predictions.ids.tolist()))
        raise ValueError(
            f"a submission needs exactly the {len(set(ids))} clips of the test split; {missing} are missing and "
            f"{len(wrong) - missing} do not belong (such as {sorted(wrong)[0]})"
        )
    rows = sorted(zip(predictions.ids.tolist(), predictions.guesses.tolist(), strict=True), key=lambda row: _video_and_number(row[0]))
    table, archive = SUBMISSIONS[max(start for start in SUBMISSIONS if start <= max(year, min(SUBMISSIONS)))]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([("Id", "Target")] * (table == "prediction.csv") + rows)
    path = Path(folder) / archive
    unfinished = path.with_name(f".{archive}.unfinished")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(table, text.getvalue())
    if (held := read_submission(unfinished)) != dict(rows):
        raise RuntimeError(f"{path}: holds {len(held)} rows after writing and should hold {len(rows)}; is the disk full?")
    os.replace(unfinished, path)
    return path


def read_submission(path: str | Path) -> dict[str, int]:
    """Class index of each clip id in a submission archive of either form. Raises ValueError where it is neither."""
    with zipfile.ZipFile(path) as file:
        names = file.namelist()
        if names not in [[table] for table, _ in SUBMISSIONS.values()]:
            raise ValueError(
                f"{path}: a submission holds one table, Submission.csv or prediction.csv; found {', '.join(names) or 'nothing'}"
            )
        rows = list(csv.reader(io.StringIO(file.read(names[0]).decode("utf-8"))))
    rows = rows[1:] if names == ["prediction.csv"] else rows
    found = {id: int(target) for id, target in rows}
    if len(found) != len(rows):
        raise ValueError(f"{path}: {len(rows) - len(found)} ids are there more than once")
    return found


def _video_and_number(id: str) -> tuple[str, int]:
    video, _, number = id.rpartition("_")
    if not video or not number.isdecimal():
        raise ValueError(f"a submission names clips <video>_<number>, found {id!r}")
    return video, int(number)
