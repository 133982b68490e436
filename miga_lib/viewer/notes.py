"""Notes on clips: tags and remarks by clip id, in ``notes.csv`` of the outputs folder. The file can be edited
as a table, also with further columns and with several rows of a clip, of which the last counts."""

import codecs
from pathlib import Path

import filelock
import pandas as pd

from .. import atomic
from ..readers import DataError, shown, untrusted

FILE = "notes.csv"


def read(outputs: Path) -> dict[str, str]:
    """The notes by clip id; empty where there is no file. Raises ValueError where it is no such table."""
    table = _table(outputs / FILE)
    notes = zip(table["id"], table["note"], strict=True)
    return {id: note for id, note in dict(notes).items() if note}


def write(outputs: Path, id: str, note: str) -> Path:
    """Set the note on a clip, or remove it if it is empty; everything else in the file stays, with its order.
    Notes of other viewers on the same file are kept.

    Raises:
        ValueError: as ``read`` does, or the table would have other contents when it is read back.
        OSError: the file cannot be written. After every error it stays as it was.
    """
    path, note = outputs / FILE, note.strip()
    outputs.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(outputs / f".{FILE}.lock"):
        table, mark = _table(path), b""
        if path.exists() and path.read_bytes().startswith(codecs.BOM_UTF8):
            mark = codecs.BOM_UTF8  # by which spreadsheets know the encoding
        rows = table.index[table["id"] == id]
        if not len(rows):
            table.loc[len(table)] = dict.fromkeys(table, "") | {"id": id, "note": note}
        else:
            table.loc[rows[-1], "note"] = note
        others = table.drop(columns=["id", "note"])
        if not note and len(rows) <= 1 and not others[table["id"] == id].to_numpy().any():
            table = table[table["id"] != id].reset_index(drop=True)
        try:
            with atomic.file(path) as unfinished:
                # With these ends of lines, a carriage return in a cell is quoted.
                text = table.to_csv(index=False, lineterminator="\r\n")
                unfinished.write_bytes(mark + text.encode())
                if not _table(unfinished).equals(table):
                    raise DataError("not the same when it is read back")
        except (DataError, UnicodeError):
            problem = f"a note on clip {shown(id)} that a table cannot hold"
            raise ValueError(f"{path}: {problem}; write a shorter one, of usual characters") from None
    return path


def _table(path: Path) -> pd.DataFrame:
    """All columns of a file of notes, as text; only id and note where there is no file."""
    if not path.exists():
        return pd.DataFrame(columns=["id", "note"], dtype=str)
    rows = untrusted.rows(path)
    if not {"id", "note"} <= set(rows):
        columns = ", ".join(map(shown, rows))
        raise DataError(f"{path}: notes have the columns id and note, found {columns}; rename the columns")
    return rows
