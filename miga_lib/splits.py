"""Which clips train, validate and test: the protocols of a source, clips held out for validation,
cross-validation.

All functions take the table of ``Clips``, a row for each clip; those that divide give it back with another
column ``split``, and a text that says how.
"""

import warnings

import numpy as np
import pandas as pd

from .readers import UNUSED

LEAVE_ONE_OUT = "leave-one-subject-out"
"""The protocol of cross-validation with a fold for each subject."""
UNDIVIDED = {"protocol": "", "folds": 0, "fold": 0}
"""The arguments of ``clips.load`` for the splits of the source itself."""
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
    Raises ValueError where the source has no such protocol, or folds cannot be made."""
    splits = protocols(table)
    if protocol and protocol != LEAVE_ONE_OUT:
        if protocol not in splits:
            names = ", ".join(map(repr, [*splits, LEAVE_ONE_OUT]))
            raise ValueError(f"{source}: protocol {protocol[:100]!r} is unknown; this source has {names}")
        table = table.assign(split=splits[protocol])
    if folds or protocol == LEAVE_ONE_OUT:
        return cross_validate(table, folds, fold, by_subject=protocol == LEAVE_ONE_OUT)
    table, note = with_validation(table)
    if len(splits) > 1 and not protocol:
        note = f"Of the protocols {', '.join(splits)} the first was taken.\n{note}".rstrip("\n")
    return table, note


def with_validation(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The same splits where one is for validation; else some training clips are held out for it.

    No subject (or video, where subjects are unknown) is then in both splits.
    """
    train = table["split"] == "train"
    if not train.any() or (table["split"] == "val").any():
        return table, ""
    lack, count = "There is no validation split", groups(table[train]).nunique()
    if count < 2:
        return table, f"{lack}, and all training clips are of one subject or video, so none can be held out."
    held = _parts(table, np.flatnonzero(train), min(HELD_OUT, count))[0]
    split = table["split"].to_numpy(copy=True)
    split[held] = "val"
    names = f"{_listed(groups(table).iloc[held])} ({len(held)})"
    return table.assign(split=split), f"{lack}: the training clips of {names} are held out for validation."


def cross_validate(
    table: pd.DataFrame, folds: int, fold: int, by_subject: bool = False
) -> tuple[pd.DataFrame, str]:
    """The splits of one fold of a cross-validation, whatever they were.

    The clips are divided into ``folds`` parts of similar classes; no subject (or video, where subjects are
    unknown) is in two parts. Part ``fold`` is the test split, the next one the validation split, the others
    the training split. So over all folds, each clip is in test once and in validation once. Clips of unknown
    class are in no split.

    Args:
        folds: 3 or more; 0 with ``by_subject``.
        by_subject: each subject is a part, in the order of their names.

    Raises ValueError for too few folds, fewer subjects or videos than folds, a fold out of range, or subjects
    that are unknown.
    """
    rows = np.flatnonzero(table["label"] >= 0)
    subjects = table["subject"].iloc[rows]
    if by_subject:
        if folds:
            raise ValueError(f"protocol {LEAVE_ONE_OUT!r} makes a fold of each subject: leave `folds` at 0")
        if not len(rows) or (subjects == "").any():
            raise ValueError(f"protocol {LEAVE_ONE_OUT!r} needs the subject of every clip: use `folds`")
        folds = subjects.nunique()
    if folds < 3:
        raise ValueError(f"folds must be 3 or more, for training, validation and test, got {folds}")
    if not 0 <= fold < folds:
        raise ValueError(f"fold must be 0 to {folds - 1} with {folds} folds, got {fold}")
    if by_subject:
        parts = [rows[subjects == subject] for subject in sorted(subjects.unique())]
    else:
        parts = _parts(table, rows, folds)
    split = np.full(len(table), UNUSED, dtype=object)
    split[rows] = "train"
    split[parts[(fold + 1) % folds]], split[parts[fold]] = "val", "test"
    tested = groups(table).iloc[parts[fold]]
    note = f"Fold {fold} of {folds} (0 to {folds - 1}): {len(tested)} test clips of {_listed(tested)}."
    return table.assign(split=split), note


def _parts(table: pd.DataFrame, rows: np.ndarray, folds: int) -> list[np.ndarray]:
    """Some rows of the table in ``folds`` parts of similar classes, none of which shares a group with
    another.

    Source: scikit-learn's StratifiedGroupKFold, shuffled with seed 0; its GroupKFold where every class has
    fewer clips than there are folds, which the other refuses.
    """
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    of_rows, targets = groups(table).iloc[rows], table["label"].iloc[rows]
    if of_rows.nunique() < folds:
        many = f"{folds} folds of {of_rows.nunique()} subjects or videos"
        raise ValueError(f"cannot make {many}; ask for fewer folds")
    kind = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    if targets.value_counts().max() < folds:
        kind = GroupKFold(folds)
    with warnings.catch_warnings():
        # A class of fewer clips than folds, as real data have.
        warnings.simplefilter("ignore", UserWarning)
        return [rows[part] for _, part in kind.split(rows, targets, of_rows)]


def _listed(names: pd.Series) -> str:
    """The names of some groups, each once, for a sentence."""
    names = sorted(names.unique())
    more = f" and {len(names) - MAX_GROUPS_SHOWN} more" * (len(names) > MAX_GROUPS_SHOWN)
    return ", ".join(names[:MAX_GROUPS_SHOWN]) + more
