"""Readers: one module a file format, and ``READERS``, the table of them.

A new reader is a module in this folder that follows ``contract.Reader``, and a row of ``READERS``.
"""

from collections.abc import Mapping

from . import miga, miga23, openpose, pyskl, release, smg, wholebody
from .contract import (
    UNKNOWN,
    UNUSED,
    BesideReader,
    Clip,
    DataError,
    Progress,
    Reader,
    Recording,
    RecordingReader,
    Report,
    in_parallel,
    printable,
    reason,
    select,
    shown,
)

__all__ = ["READERS", "UNKNOWN", "UNUSED", "BesideReader", "Clip", "DataError", "Progress", "Reader"]
__all__ += ["Recording", "RecordingReader", "Report", "in_parallel", "printable", "reason", "select"]
__all__ += ["shown"]

READERS: Mapping[str, Reader] = {
    "miga": miga,
    "miga23": miga23,
    "release": release,
    "openpose": openpose,
    "pyskl": pyskl,
    "wholebody": wholebody,
    "smg": smg,
}
