"""Annotations of ELAN, the program in which gesture researchers mark what happens in a video.

An ``.eaf`` file has tiers of annotations with times in whole milliseconds. Frame k of a video is shown from
k / fps to (k + 1) / fps seconds. A gesture from its first to its last frame, inclusive, is written from the
beginning of the first to the end of the last, rounded to milliseconds, and read back to the nearest frames,
which are the same ones for all rates below 1,000 frames a second.
"""

import warnings
from pathlib import Path
from typing import Any, NamedTuple
from xml.parsers import expat

import pandas as pd

from .. import atomic
from .contract import DataError, Report, reason, shown

ENDING = ".eaf"
GESTURES, PREDICTED, PROBABILITY = "gestures", "predicted", "probability"
"""The tier of true gestures, where there are several tiers; the tiers of what a network found."""
MAX_BYTES = 50 * 2**20
MAX_MILLISECONDS = 10**9


class Gesture(NamedTuple):
    """First and last frame, inclusive, and the text of the annotation."""

    first: int
    last: int
    name: str


def read(path: Path, fps: float, report: Report) -> list[Gesture]:
    """The gestures of a file, in the order of their times: those of the tier ``gestures``, or of the only
    tier that has times. An annotation shorter than a frame gets the frame in which it begins.

    Raises DataError where the file is damaged or not of ELAN, has no such tier, or an annotation has no
    times, or impossible ones.
    """
    file = _parsed(path)
    tiers = {name: annotations for name, (annotations, *_) in file.tiers.items() if annotations}
    if GESTURES not in tiers and len(tiers) != 1:
        names = ", ".join(shown(name) for name in file.tiers) or "none"
        way_out = f"name the one with the gestures {GESTURES!r}"
        raise DataError(f"{path}: expected one tier with annotations, found tiers {names}; {way_out}")
    tier = GESTURES if GESTURES in tiers else next(iter(tiers))
    if tier == PREDICTED:
        report.note(f"{ENDING} files whose tier {PREDICTED!r} is taken as true: correct it first", path.name)
    gestures = []
    for begin, end, text, _ in tiers[tier].values():
        where, times = (
            f"{path}: annotation {shown(text)}",
            [file.timeslots.get(slot) for slot in (begin, end)],
        )
        if None in times:
            raise DataError(f"{where}: has no time; give it a beginning and an end in ELAN")
        if not 0 <= times[0] < times[1] <= MAX_MILLISECONDS:
            rule = f"expected a beginning from 0 and an end after it, up to {MAX_MILLISECONDS:,} ms"
            raise DataError(f"{where}: {rule}, found {times[0]} to {times[1]}; correct it in ELAN")
        first, after = (round(time * fps / 1000) for time in times)
        if after <= first:
            report.note("annotations shorter than a frame: one frame", f"{path.name}, {times[0]} ms")
        gestures.append(Gesture(first, max(first, after - 1), " ".join(text.split())))
    return sorted(gestures)


def _parsed(path: Path) -> Any:
    """The file as pympi reads it. A document type could name other files, or grow without limit: refused."""
    from pympi import Eaf

    def refuse(*_: object) -> None:
        raise ValueError("it has a document type declaration, which ELAN does not write")

    ids: set[str] = set()

    def check(tag: str, attributes: dict[str, str]) -> None:
        """Of two things with one id, pympi would keep one; it takes times as milliseconds from frame 0."""
        for id in (attributes.get(name) for name in ("TIME_SLOT_ID", "TIER_ID", "ANNOTATION_ID")):
            if id in ids:
                raise ValueError(f"{shown(id)} is there twice")
            ids.update([id] if id else [])
        if attributes.get("TIME_UNITS", "milliseconds") != "milliseconds":
            raise ValueError(f"its times are in {shown(attributes['TIME_UNITS'])}, and not in milliseconds")
        if attributes.get("TIME_ORIGIN", "0") != "0":
            raise ValueError(
                f"its video begins at {shown(attributes['TIME_ORIGIN'])} ms; set this offset to 0"
            )

    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES:,} bytes")
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler, parser.StartElementHandler = refuse, check
        parser.Parse(path.read_bytes(), True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Eaf(str(path))
    except Exception as error:  # pympi raises whatever a missing attribute or element leads to
        problem = f"cannot be read as an ELAN file ({reason(error)})"
        raise DataError(f"{path}: {problem}; open it in ELAN and save it again") from None


def write(path: Path, gestures: pd.DataFrame, fps: float, video: Path | None = None) -> bool:
    """Write what a network found in a video: a tier ``predicted`` with the names of the classes, and one
    ``probability`` below it. The file is then opened in ELAN, corrected, and read by ``read``.

    A file that is there is never replaced, since it may have been corrected; returns whether it was written,
    or has this content already.

    Args:
        gestures: columns first and last (frames, inclusive), name (of the class) and probability; a row must
            not overlap another one.
        video: the file to be shown in ELAN; found again where it is in the same folder.

    Raises:
        ValueError: gestures that overlap, which a tier cannot hold.
        OSError: the file cannot be written.
    """
    text = _text(path, gestures.sort_values("first"), fps, video)
    if path.exists():
        return path.read_text(encoding="utf-8") == text
    atomic.write_text(path, text)
    return True


def _text(path: Path, gestures: pd.DataFrame, fps: float, video: Path | None) -> str:
    from pympi import Eaf
    from pympi.Elan import to_string

    if (gestures["first"].iloc[1:].to_numpy() <= gestures["last"].iloc[:-1].to_numpy()).any():
        raise ValueError(f"{path}: gestures overlap, and a tier of ELAN holds one at a time")
    file = Eaf(author="miga_lib")
    file.adocument["DATE"] = "1970-01-01T00:00:00+00:00"  # the same gestures give the same file
    file.header["TIME_UNITS"] = "milliseconds"
    file.remove_tier("default")
    file.add_linguistic_type(PROBABILITY, constraints="Symbolic_Association", timealignable=False)
    file.add_tier(PREDICTED)
    file.add_tier(PROBABILITY, ling=PROBABILITY, parent=PREDICTED)
    if video is not None:
        place = video.resolve()
        file.add_linked_file(place.as_uri(), relpath=f"./{place.name}", mimetype="video/mp4")
    for row in gestures.itertuples(index=False):
        begin, end = (round(1000 * frame / fps) for frame in (row.first, row.last + 1))
        file.add_annotation(PREDICTED, begin, end, row.name)
        file.add_ref_annotation(PROBABILITY, PREDICTED, (begin + end) // 2, f"{row.probability:.3f}")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + str(to_string(file))
