"""Notes on clips: tags and remarks by clip id, in ``notes.csv`` of the outputs folder. The file can be edited
as a table."""

from pathlib import Path

import filelock
import pandas as pd

from .. import atomic
from ..readers import untrusted

FILE = "notes.csv"


def read(outputs: Path) -> dict[str, str]:
    """The notes by clip id; empty where there is no file. Raises ValueError where it is no such table."""
    path = outputs / FILE
    if not path.exists():
        return {}
    rows = untrusted.rows(path)
    if not {"id", "note"} <= set(rows):
        columns = ", ".join(map(str, rows))
        raise ValueError(f"{path}: notes have the columns id and note, found {columns}; rename the columns")
    return dict(zip(rows["id"], rows["note"], strict=True))


def write(outputs: Path, id: str, note: str) -> Path:
    """Set the note on a clip, or remove it if it is empty. Notes of other viewers on the same file are kept.

    Raises ValueError as ``read`` does, and OSError where the file cannot be written; it stays as it was.
    """
    outputs.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(outputs / f".{FILE}.lock"):
        notes = {**read(outputs), id: note.strip()}
        table = pd.DataFrame([(id, note) for id, note in notes.items() if note], columns=["id", "note"])
        atomic.write_text(outputs / FILE, table.to_csv(index=False))
    return outputs / FILE
