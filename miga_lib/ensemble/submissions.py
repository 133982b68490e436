"""The submission files of the MiGA challenge, in both forms, and of Micro-Action-52: complete, sorted, and
read back after writing."""

import csv
import io
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import atomic, labels
from ..predictions import Predictions, of_regions
from ..readers import untrusted

FORMS = {2023: ("Submission.csv", "Submission.zip"), 2024: ("prediction.csv", "prediction.zip")}
"""Names of the table and of the archive, by the first year in which they are used."""
HEADER = ("Id", "Target")
"""The first line of the later table."""
MA52_COLUMNS = ("vid", *(f"{level}_pred_{rank}" for level in ("action", "body") for rank in range(1, 6)))
"""The first line of the table for Micro-Action-52: the five most probable classes and parts of the body. Its
file and archive have the later names of ``FORMS``."""
MA52_NAME = re.compile(r"test\d{4}(\.mp4)?")


def write_all(predictions: Predictions, folder: str | Path, ids: Sequence[str]) -> dict[str, Path]:
    """Write the archives of the challenge whose classes the predictions have, as ``write`` and ``write_ma52``
    do: their paths by the name of the challenge."""
    if tuple(predictions.classes) == labels.MA52_CLASSES:
        return {"Micro-Action-52": write_ma52(predictions, folder, ids)}
    return {f"MiGA {year}": write(predictions, folder, year, ids) for year in FORMS}


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
    _require_all(predictions, ids)
    rows = list(zip(predictions.ids.tolist(), predictions.predicted.tolist(), strict=True))
    rows.sort(key=lambda row: _video_and_number(row[0]))
    later = year > 2023
    table, archive = FORMS[2023 + later]
    return _write(
        Path(folder) / archive, table, [HEADER] * later, rows, lambda path: list(read(path).items())
    )


def write_ma52(predictions: Predictions, folder: str | Path, ids: Sequence[str] | None = None) -> Path:
    """Write the archive for the challenge on Micro-Action-52, as ``write`` does. The parts of the body are
    the regions of ``predictions.of_regions``.

    Raises ValueError and RuntimeError as ``write`` does; ids must be ``test<four digits>``.
    """
    _require_all(predictions, ids)
    best = np.argsort(-predictions.probabilities, axis=1, kind="stable")[:, :5]
    parts = of_regions(predictions, labels.MA52_REGIONS).probabilities
    best = np.hstack([best, np.argsort(-parts, axis=1, kind="stable")[:, :5]])
    rows = []
    for id, row in zip(predictions.ids.tolist(), best.tolist(), strict=True):
        if not MA52_NAME.fullmatch(id):
            rule = "must be test0000 to test9999, with or without .mp4"
            raise ValueError(f"ids of a submission for Micro-Action-52 {rule}, found {id!r:.80}")
        rows.append((f"{id.removesuffix('.mp4')}.mp4", *row))
    table, archive = FORMS[2024]
    return _write(Path(folder) / archive, table, [MA52_COLUMNS], sorted(rows), read_ma52)


def _require_all(predictions: Predictions, ids: Sequence[str] | None) -> None:
    own = set(predictions.ids.tolist())
    split = own if ids is None else set(ids)
    if split != own:
        raise ValueError(
            f"a submission needs exactly the {len(split)} clips of the test split; {len(split - own)} are "
            f"missing and {len(own - split)} are not of it (such as {min(split ^ own)})"
        )


def _write(
    path: Path, table: str, header: list[Any], rows: list[Any], reading: Callable[[Path], Any]
) -> Path:
    """Write an archive of one table under its name when ``reading`` gives the same rows."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(header + rows)
    with atomic.file(path) as unfinished:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr(table, text.getvalue())
        written = reading(unfinished)
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
    table, rows = _rows(path)
    if table == "prediction.csv":
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


def read_ma52(path: str | Path) -> list[tuple[Any, ...]]:
    """The rows of an archive for Micro-Action-52: ``MA52_COLUMNS``, all but the first as numbers. Raises
    ValueError as ``read`` does."""
    header, *rows = [*_rows(path)[1]] or [()]
    if header != MA52_COLUMNS:
        raise ValueError(f"{path}: prediction.csv must begin with {','.join(MA52_COLUMNS)}")
    for row in rows:
        if len(row) != len(MA52_COLUMNS) or not all(number.isdecimal() for number in row[1:]):
            rule = "rows must be <vid>, five classes and five parts of the body"
            raise ValueError(f"{path}: {rule}, found {','.join(row)!r:.100}")
    again = len(rows) - len({row[0] for row in rows})
    if again:
        raise ValueError(f"{path}: ids must be unique, found {again} again")
    return [(row[0], *map(int, row[1:])) for row in rows]


def _rows(path: str | Path) -> tuple[str, list[tuple[str, ...]]]:
    """The name of the table in an archive, and its rows."""
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
    return names[0], rows


def _video_and_number(id: str) -> tuple[str, int]:
    video, _, number = id.rpartition("_")
    if not video or not number.isdecimal():
        raise ValueError(f"ids of a submission must be <video>_<number>, found {id!r}")
    return video, int(number)
