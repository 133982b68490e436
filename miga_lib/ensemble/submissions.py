"""The challenge's submission files: complete, sorted, in both forms, and read back after writing."""

import csv
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from .. import atomic
from ..predictions import Predictions
from ..readers import untrusted

FORMS = {2023: ("Submission.csv", "Submission.zip"), 2024: ("prediction.csv", "prediction.zip")}
"""Names of the table and of the archive, by the first year in which they are used."""
HEADER = ("Id", "Target")
"""The first line of the later table."""


def write(
    predictions: Predictions, folder: str | Path, year: int = 2025, ids: Sequence[str] | None = None
) -> Path:
    """Write the challenge's archive of a year, read it back as a check, and return its path. Its rows are
    sorted by video and then by number.

    Args:
        ids: of all clips of the test split. The predictions must be of exactly these.

    Raises:
        ValueError: an id that is not ``<video>_<number>``, or clips that are missing or not of the split.
        RuntimeError: the archive does not have the same rows when it is read back.
    """
    own = set(predictions.ids.tolist())
    split = own if ids is None else set(ids)
    if split != own:
        raise ValueError(
            f"a submission needs exactly the {len(split)} clips of the test split; {len(split - own)} are "
            f"missing and {len(own - split)} are not of it (such as {min(split ^ own)})"
        )
    rows = list(zip(predictions.ids.tolist(), predictions.predicted.tolist(), strict=True))
    rows.sort(key=lambda row: _video_and_number(row[0]))
    later = year > 2023
    table, archive = FORMS[2023 + later]
    text, path = io.StringIO(), Path(folder) / archive
    csv.writer(text, lineterminator="\n").writerows([HEADER] * later + rows)
    with atomic.file(path) as unfinished:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr(table, text.getvalue())
        written = list(read(unfinished).items())
        if written != rows:
            numbers = f"the {len(rows)} rows that were written, read back {len(written)}"
            raise RuntimeError(f"{path}: must have {numbers}; check the disk")
    return path


def class_shares(predictions: Predictions, counts: np.ndarray) -> pd.DataFrame:
    """A row for each class, the commonest of training first: how many clips are predicted to be of it, their
    share, and the share of its clips among those of training, whose ``counts`` (K,) are given."""
    predicted = np.bincount(predictions.predicted, minlength=len(counts))
    columns = {"class": predictions.classes, "predicted clips": predicted}
    columns |= {"share": predicted / len(predictions), "share in training": counts / counts.sum()}
    order = np.argsort(-counts, kind="stable")
    return pd.DataFrame(columns).iloc[order].reset_index(drop=True)


def read(path: str | Path) -> dict[str, int]:
    """Class index of each clip by its id, from a submission archive of either form, in its order.

    Raises:
        ValueError: it is no archive or has neither form, its table is too large, a row is not ``<id>,<class
            index>``, or an id is twice.
    """
    most, tables, text = untrusted.MAX_LABEL_BYTES, [[table] for table, _ in FORMS.values()], ""
    try:
        with zipfile.ZipFile(path) as file:
            names, size = file.namelist(), sum(member.file_size for member in file.infolist())
            if names in tables and size <= most:
                text = file.read(names[0]).decode()
        rows = [tuple(row) for row in csv.reader(io.StringIO(text))]
    except OSError:
        raise
    except (*untrusted.UNZIPPING, csv.Error) as error:
        way_out = "give a Submission.zip or prediction.zip"
        raise ValueError(f"{path}: not a submission archive ({error!s:.100}); {way_out}") from None
    if names not in tables:
        listed = ", ".join(names) or "nothing"
        rule = "must contain one table, Submission.csv or prediction.csv"
        raise ValueError(f"{path}: a submission {rule}, found {listed:.100}")
    if size > most:
        rule = f"at most {most:,} are read; give a row for each clip"
        raise ValueError(f"{path}: {names[0]} has {size:,} bytes, {rule}")
    if names == ["prediction.csv"]:
        header, rows = rows[:1], rows[1:]
        if header != [HEADER]:
            first = "".join(map(",".join, header)) or "nothing"
            raise ValueError(f"{path}: prediction.csv must begin with Id,Target, found {first:.100}")
    for row in rows:
        if len(row) != 2 or not row[1].isdecimal():
            raise ValueError(f"{path}: rows must be <id>,<class index>, found {','.join(row)!r:.100}")
    targets = {id: int(target) for id, target in rows}
    if len(targets) != len(rows):
        raise ValueError(f"{path}: ids must be unique, found {len(rows) - len(targets)} again")
    return targets


def _video_and_number(id: str) -> tuple[str, int]:
    video, _, number = id.rpartition("_")
    if not video or not number.isdecimal():
        raise ValueError(f"ids of a submission must be <video>_<number>, found {id!r}")
    return video, int(number)
