"""The challenge's submission files: complete, sorted, in both forms, and read back after writing."""

import csv
import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

from .. import atomic
from ..predictions import Predictions
from ..readers import untrusted

FORMS = {2023: ("Submission.csv", "Submission.zip"), 2024: ("prediction.csv", "prediction.zip")}
"""Names of the table and of the archive, by the first year in which they are used. The later table has a
header."""
HEADER = ("Id", "Target")


def write(
    predictions: Predictions, folder: str | Path, year: int = 2025, ids: Sequence[str] | None = None
) -> Path:
    """Write the challenge's archive, and read it back as a check.

    Args:
        year: 2023 for ``Submission.zip`` without a header, a later one for ``prediction.zip`` with the header
            ``Id,Target``.
        ids: of all clips of the test split. The predictions must be of exactly these.

    Returns:
        The path of the archive. Its rows are sorted by video and then by number.

    Raises:
        ValueError: an id that is not ``<video>_<number>``, or clips that are missing or not of the split.
        RuntimeError: the archive does not have the same rows when it is read back.
    """
    if ids is not None and (wrong := set(ids) ^ set(predictions.ids.tolist())):
        missing = len(set(ids) - set(predictions.ids.tolist()))
        raise ValueError(
            f"a submission needs exactly the {len(set(ids))} clips of the test split; {missing} are missing and "
            f"{len(wrong) - missing} are not of it (such as {sorted(wrong)[0]})"
        )
    rows = sorted(
        zip(predictions.ids.tolist(), predictions.predicted.tolist(), strict=True),
        key=lambda row: _video_and_number(row[0]),
    )
    table, archive = FORMS[max(start for start in FORMS if start <= max(year, min(FORMS)))]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([HEADER] * (table == "prediction.csv") + rows)
    path = Path(folder) / archive
    with atomic.file(path) as unfinished:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr(table, text.getvalue())
        if list((written := read(unfinished)).items()) != rows:
            raise RuntimeError(
                f"{path}: must have the {len(rows)} rows that were written, read back {len(written)}; check the disk"
            )
    return path


def read(path: str | Path) -> dict[str, int]:
    """Class index of each clip by its id, from a submission archive of either form, in its order.

    Raises:
        ValueError: it is no archive or has neither form, its table is too large, a row is not ``<id>,<class
            index>``, or an id is twice.
    """
    try:
        with zipfile.ZipFile(path) as file:
            names, claimed = file.namelist(), sum(one.file_size for one in file.infolist())
            known = names in [[table] for table, _ in FORMS.values()]
            text = file.read(names[0]).decode() if known and claimed <= untrusted.MAX_LABEL_BYTES else ""
        rows = [tuple(row) for row in csv.reader(io.StringIO(text))]
    except OSError:
        raise
    except (*untrusted.UNZIPPING, csv.Error) as error:
        raise ValueError(
            f"{path}: not a submission archive ({error!s:.100}); give a Submission.zip or prediction.zip"
        ) from None
    if not known:
        found = f"{', '.join(names) or 'nothing':.100}"
        raise ValueError(
            f"{path}: a submission must contain one table, Submission.csv or prediction.csv, found {found}"
        )
    if claimed > untrusted.MAX_LABEL_BYTES:
        raise ValueError(
            f"{path}: {names[0]} has {claimed:,} bytes, at most {untrusted.MAX_LABEL_BYTES:,} are read; give a row for each clip"
        )
    if names == ["prediction.csv"] and rows[:1] != [HEADER]:
        raise ValueError(
            f"{path}: prediction.csv must begin with {','.join(HEADER)}, found {','.join(rows[0]) if rows else 'nothing':.100}"
        )
    rows = rows[1:] if names == ["prediction.csv"] else rows
    if (wrong := next((row for row in rows if len(row) != 2 or not row[1].isdecimal()), None)) is not None:
        raise ValueError(f"{path}: rows must be <id>,<class index>, found {','.join(wrong)!r:.100}")
    targets = {id: int(target) for id, target in rows}
    if len(targets) != len(rows):
        raise ValueError(f"{path}: ids must be unique, found {len(rows) - len(targets)} again")
    return targets


def _video_and_number(id: str) -> tuple[str, int]:
    video, _, number = id.rpartition("_")
    if not video or not number.isdecimal():
        raise ValueError(f"ids of a submission must be <video>_<number>, found {id!r}")
    return video, int(number)
