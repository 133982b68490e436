"""Which clips train, validate and test: the protocols of a source, clips held out for validation,
cross-validation.

All functions take the table of ``clips.Clips``, a row for each clip, and give it back with another column
``split``.
"""

import warnings

import numpy as np
import pandas as pd

from .readers import UNUSED

LEAVE_ONE_OUT = "leave-one-subject-out"
"""The protocol of cross-validation with a fold for each subject."""
HELD_OUT = 10
"""One of so many parts of the training clips is held out where a source has no validation split."""
PROTOCOL = "split of "
"""Begins the names of the columns of a cache that hold the splits of further protocols."""
MAX_GROUPS_SHOWN = 4


def protocols(table: pd.DataFrame) -> dict[str, pd.Series]:
    """The split of each clip in each protocol of a source that has several."""
    return {name.removeprefix(PROTOCOL): table[name] for name in table if name.startswith(PROTOCOL)}


def groups(table: pd.DataFrame) -> pd.Series:
    """The group of each clip, which must stay whole when clips are divided: its subject where that is known,
    else its video."""
    return table["subject"].where(table["subject"] != "", "video " + table["video"])


def divide(
    table: pd.DataFrame, source: str, protocol: str = "", folds: int = 0, fold: int = 0
) -> tuple[pd.DataFrame, str]:
    """The splits of a protocol or of a fold; training clips are held out for validation where none are given.
    And sentences on it.

    Raises:
        ValueError: the source has no such protocol, or folds cannot be made.
    """
    known = protocols(table)
    if protocol and protocol != LEAVE_ONE_OUT:
        if protocol not in known:
            names = ", ".join(map(repr, [*known, LEAVE_ONE_OUT]))
            raise ValueError(f"{source}: protocol {protocol[:100]!r} is unknown; this source has {names}")
        table = table.assign(split=known[protocol])
    if folds or protocol == LEAVE_ONE_OUT:
        return cross_validate(table, folds, fold, by_subject=protocol == LEAVE_ONE_OUT)
    table, note = with_validation(table)
    first = (
        f"Of the protocols {', '.join(known)} the first was taken." if len(known) > 1 and not protocol else ""
    )
    return table, "\n".join(filter(None, (first, note)))


def with_validation(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The same splits where one is for validation; else some training clips are held out, and a sentence says
    which."""
    splits, train = set(table["split"]), table[table["split"] == "train"]
    if "val" in splits or train.empty:
        return table, ""
    if (count := groups(train).nunique()) < 2:
        return (
            table,
            "There is no validation split, and all training clips are of one subject or video, so none can be held out.",
        )
    table = hold_out(table, folds=min(HELD_OUT, count))
    held = groups(table[table["split"] == "val"])
    return (
        table,
        f"There is no validation split: the training clips of {_listed(held)} ({len(held)}) are held out for validation.",
    )


def hold_out(table: pd.DataFrame, fold: int = 0, folds: int = HELD_OUT, seed: int = 0) -> pd.DataFrame:
    """One fold of the training and validation clips is ``val``, the others are ``train``.

    No subject (or video, where subjects are unknown) is in both. The test split stays as it is.

    Source: the folds are scikit-learn's StratifiedGroupKFold over ``groups``.

    Raises:
        ValueError: fewer groups than folds.
    """
    rows = np.flatnonzero(table["split"].isin(["train", "val"]))
    split = table["split"].to_numpy(copy=True)
    split[rows] = "train"
    split[_parts(table, rows, folds, seed)[fold]] = "val"
    return table.assign(split=split)


def cross_validate(
    table: pd.DataFrame, folds: int, fold: int, by_subject: bool = False
) -> tuple[pd.DataFrame, str]:
    """The splits of one fold of a cross-validation, whatever they were; and a sentence that says how.

    The clips are divided into ``folds`` parts of similar classes; no subject (or video, where subjects are
    unknown) is in two parts. Part ``fold`` is the test split, the next one the validation split, the others
    the training split. So over all folds, each clip is in test once and in validation once. Clips of unknown
    class are in no split.

    Args:
        folds: 3 or more; 0 with ``by_subject``.
        by_subject: each subject is a part, in the order of their names.

    Source: the parts are scikit-learn's StratifiedGroupKFold over ``groups``, shuffled with seed 0; its
    GroupKFold where every class has fewer clips than there are folds.

    Raises:
        ValueError: too few folds, fewer subjects or videos than folds, a fold out of range, or subjects that
            are unknown.
    """
    rows = np.flatnonzero(table["label"] >= 0)
    parts: list[np.ndarray] = []
    if by_subject:
        subjects = table["subject"].iloc[rows]
        if folds or not len(rows) or (subjects == "").any():
            reason = (
                "makes a fold of each subject: leave `folds` at 0"
                if folds
                else "needs the subject of every clip: use `folds`"
            )
            raise ValueError(f"protocol {LEAVE_ONE_OUT!r} {reason}")
        parts = [rows[subjects == subject] for subject in sorted(subjects.unique())]
        folds = len(parts)
    if folds < 3:
        raise ValueError(f"folds must be 3 or more, for training, validation and test, got {folds}")
    if not 0 <= fold < folds:
        raise ValueError(f"fold must be 0 to {folds - 1} with {folds} folds, got {fold}")
    parts = parts or _parts(table, rows, folds)
    split = np.full(len(table), UNUSED, dtype=object)
    split[rows] = "train"
    split[parts[(fold + 1) % folds]], split[parts[fold]] = "val", "test"
    tested = groups(table).iloc[parts[fold]]
    note = f"Fold {fold} of {folds} (0 to {folds - 1}): {len(tested)} test clips of {_listed(tested)}."
    return table.assign(split=split), note


def _parts(table: pd.DataFrame, rows: np.ndarray, folds: int, seed: int = 0) -> list[np.ndarray]:
    """Some rows of the table in ``folds`` parts of similar classes, none of which shares a group with
    another."""
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    of_rows, targets = groups(table).iloc[rows], table["label"].iloc[rows]
    if of_rows.nunique() < folds:
        raise ValueError(
            f"cannot make {folds} folds of {of_rows.nunique()} subjects or videos; ask for fewer folds"
        )
    every_class_is_rare = targets.value_counts().max() < folds  # which StratifiedGroupKFold refuses
    kind = (
        GroupKFold(folds)
        if every_class_is_rare
        else StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    )
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", UserWarning
        )  # about classes of fewer clips than folds, which real data have
        return [rows[part] for _, part in kind.split(rows, targets, of_rows)]


def _listed(names: pd.Series) -> str:
    """The names of some groups, each once, for a sentence."""
    each = sorted(names.unique())
    return ", ".join(each[:MAX_GROUPS_SHOWN]) + f" and {len(each) - MAX_GROUPS_SHOWN} more" * (
        len(each) > MAX_GROUPS_SHOWN
    )
