"""Annotations of ELAN, the program in which gesture researchers mark what happens in a video.

An ``.eaf`` file has tiers of annotations with times in whole milliseconds. Frame k of a video is shown from
k / fps to (k + 1) / fps seconds. A gesture from its first to its last frame, inclusive, is written from the
beginning of the first to the end of the last, rounded to milliseconds, and read back to the frames whose
middle it contains. These are the same ones up to 1,000 frames a second: a time is rounded by at most half a
millisecond, which is less than half a frame.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from xml.parsers import expat

import pandas as pd

from .. import atomic
from . import folders, tables, untrusted
from .contract import DataError, Report, reason, shown

ENDING = ".eaf"
GESTURES, PREDICTED, PROBABILITY = "gestures", "predicted", "probability"
"""The tier of true gestures, where there are several tiers; the tiers of what a network found."""
RATE = "miga_lib:fps"
"""The property with the frames per second that the times of a written file were made with."""
SAME_RATE = 1e-5
"""Relative difference of two rates that are one, such as 29.97 and 30000/1001."""
MAX_BYTES = 16 * untrusted.MB
"""About 30,000 gestures with their probabilities."""
MAX_MILLISECONDS = 10**9
NUMBER = re.compile(r"[-+]?\d*[.,]?\d+(e[-+]?\d+)?", re.IGNORECASE)
UNIQUE = ("TIME_SLOT_ID", "TIER_ID", "ANNOTATION_ID")
"""Attributes that no two elements may share: pympi would keep the last one only."""
MIME_TYPES = {".mov": "video/quicktime", ".avi": "video/x-msvideo", ".mkv": "video/x-matroska"}
MIME_TYPES |= {".webm": "video/webm", ".mp4": "video/mp4", ".m4v": "video/mp4"}


class Gesture(NamedTuple):
    """First and last frame, inclusive, and the text of the annotation (empty: of unknown class)."""

    first: int
    last: int
    name: str


def find(places: Iterable[Path], videos: Iterable[str]) -> dict[str, Path]:
    """The file of each video that has one, in some folders. Raises DataError for a second file of a video,
    and for a file that has the name of no video, whose gestures would be lost."""
    found: dict[str, Path] = {}
    names = sorted(videos)
    for place in dict.fromkeys(places):
        for path in folders.below(place, f"*{ENDING}", 0) + folders.below(place, f"*{ENDING.upper()}", 0):
            other = found.get(path.stem)
            if path.stem not in names:
                way_out = f"rename it after one of {shown(names)}, or move it away"
                raise DataError(f"{path}: there is no folder or file of this video; {way_out}")
            if other is not None and not path.samefile(other):
                where = f"{other.parent.name}/{other.name}"
                raise DataError(f"{path}: {shown(where)} is of the same video; keep one of them")
            found[path.stem] = path
    return found


def read(path: Path, fps: float, report: Report) -> list[Gesture]:
    """The gestures of a file, in the order of their times: those of the tier ``gestures``, or of the only
    tier that has times. Frames are counted from the first of the video.

    An annotation that contains the middle of no frame gets the frame in which its own middle is. This,
    annotations without a value and those that overlap are reported.

    Raises DataError where the file is damaged, doubtful or not of ELAN, has no such tier, or an annotation
    has no times, or impossible ones, or no class.
    """
    file = _parsed(path)
    _require_times(path, file, fps)
    tier = _tier(path, file)
    if tier == PREDICTED:
        report.note(f"{ENDING} files whose tier {PREDICTED!r} is taken as true: correct it first", path.name)
    gestures, until = [], 0
    for begin, end, name in sorted(_annotation(path, row, file) for row in file.tiers[tier][0].values()):
        where = f"{path.name}, {begin} ms"
        first, after = (math.ceil(time * fps / 1000 - 0.5) for time in (begin, end))
        if after <= first:
            report.note("annotations that contain the middle of no frame: one frame", where)
            first = int((begin + end) / 2 * fps / 1000)
        if begin < until:
            report.note("annotations that overlap an earlier one of their tier: both are gestures", where)
        if not name:
            report.note("annotations without a value: of unknown class", where)
        gestures.append(Gesture(first, max(first, after - 1), name))
        until = max(until, end)
    return gestures


def _parsed(path: Path) -> Any:
    """The file as pympi reads it. A document type could name other files, or grow without limit: refused."""
    from pympi import Eaf

    seen: Counter[tuple[str, str]] = Counter()

    def refuse(*_: object) -> None:
        raise ValueError("it has a document type declaration, which ELAN does not write")

    def count(_: str, attributes: dict[str, str]) -> None:
        seen.update((name, attributes[name]) for name in UNIQUE if name in attributes)

    untrusted.size(path, MAX_BYTES)
    try:
        parser = expat.ParserCreate()
        parser.StartDoctypeDeclHandler, parser.StartElementHandler = refuse, count
        parser.Parse(path.read_bytes(), True)
        for (name, id), times in seen.most_common(1):
            if times > 1:
                raise ValueError(f"{name} {shown(id)} is there {times} times")
        file = Eaf(str(path), suppress_version_warning=True)
        lost = sum(name == "ANNOTATION_ID" for name, _ in seen) - len(file.annotations)
        if lost:
            raise ValueError(f"{lost} annotations are not in a tier, or have no times and no reference")
        return file
    except Exception as error:  # pympi raises whatever a missing attribute or element leads to
        problem = f"cannot be read as an ELAN file ({reason(error)})"
        raise DataError(f"{path}: {problem}; open it in ELAN and save it again") from None


def _require_times(path: Path, file: Any, fps: float) -> None:
    """Raise DataError unless the times are milliseconds from the beginning of the video, and were made with
    the same rate."""
    unit = file.header.get("TIME_UNITS", "milliseconds")
    if unit != "milliseconds":
        raise DataError(f"{path}: its times are {shown(unit)}, no milliseconds; save it again with ELAN")
    media = file.media_descriptors
    own = [about for about in media if PurePosixPath(about.get("MEDIA_URL", "")).stem == path.stem]
    for about in own or media[:1]:
        if about.get("TIME_ORIGIN", "0").strip() != "0":
            problem = f"the video begins at an offset of {shown(about['TIME_ORIGIN'])} ms"
            raise DataError(f"{path}: {problem}; set it to 0 in ELAN's Media Synchronization Mode")
    rate = dict(file.properties).get(RATE)
    if rate and rate != repr(float(fps)):
        try:
            same = math.isclose(float(rate), fps, rel_tol=SAME_RATE)
        except ValueError:
            same = False
        if not same:
            problem = f"was written for {shown(rate)} frames per second, and the video has {fps:g}"
            way_out = f"correct the fps, or, if all times were corrected, remove the property {RATE}"
            raise DataError(f"{path}: {problem}; {way_out}")


def _tier(path: Path, file: Any) -> str:
    """The name of the tier of the gestures."""
    timed = {name: annotations for name, (annotations, *_) in file.tiers.items() if annotations}
    if not timed:
        raise DataError(f"{path}: has no annotation with times; mark the gestures, or move the file away")
    tier = GESTURES if GESTURES in file.tiers else next(iter(timed))
    if tier not in timed or (len(timed) > 1 and tier != GESTURES):
        names = ", ".join(shown(name) for name in list(file.tiers)[:6]) or "none"
        rule = "expected one tier with annotations that have times of their own"
        raise DataError(f"{path}: {rule}, found tiers {names}; name the one with the gestures {GESTURES!r}")
    if file.tiers[tier][1]:
        problem = f"tier {shown(tier)} has annotations that refer to others and have no times"
        raise DataError(f"{path}: {problem}; delete them, or move them to a tier of their own")
    return tier


def _annotation(path: Path, row: tuple[Any, ...], file: Any) -> tuple[int, int, str]:
    """Begin and end in milliseconds, and the name of the class."""
    *slots, text, _ = row
    name, times = " ".join(text.split()), [file.timeslots.get(slot) for slot in slots]
    where = f"{path}: annotation {shown(name)}"
    if None in times:
        raise DataError(f"{where}: has no time; give it a beginning and an end in ELAN")
    begin, end = times
    if not 0 <= begin < end <= MAX_MILLISECONDS:
        rule = f"expected a beginning from 0 and an end after it, up to {MAX_MILLISECONDS:,} ms"
        raise DataError(f"{where}: {rule}, found {shown(begin)} to {shown(end)}; correct it in ELAN")
    if NUMBER.fullmatch(name) or name in tables.MISSING[1:] or not name.isprintable():
        rule = "expected the printable name of a class, no number, or nothing if the class is unknown"
        raise DataError(f"{where} at {begin} ms: {rule}; correct it in ELAN")
    return begin, end, name


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
        return path.read_bytes() == text.encode()
    atomic.write_text(path, text)
    return True


def _text(path: Path, gestures: pd.DataFrame, fps: float, video: Path | None) -> str:
    from pympi import Eaf
    from pympi.Elan import to_string

    if (gestures["first"].iloc[1:].to_numpy() <= gestures["last"].iloc[:-1].to_numpy()).any():
        raise ValueError(f"{path}: gestures overlap, and a tier of ELAN holds one at a time")
    file = Eaf(author="miga_lib")
    file.adocument["DATE"] = "1970-01-01T00:00:00+00:00"  # the same gestures give the same file
    file.header = {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"}
    file.remove_tier("default")
    file.add_linguistic_type(PROBABILITY, constraints="Symbolic_Association", timealignable=False)
    file.add_tier(PREDICTED)
    file.add_tier(PROBABILITY, ling=PROBABILITY, parent=PREDICTED)
    if video is not None:
        place = video.resolve()
        url = f"file:///{place.as_posix().lstrip('/')}"  # ELAN does not take %20 for a space
        file.add_linked_file(url, f"./{place.name}", MIME_TYPES.get(place.suffix.lower(), "video/*"))
    for row in gestures.itertuples(index=False):
        begin, end = (round(1000 * frame / fps) for frame in (row.first, row.last + 1))
        file.add_annotation(PREDICTED, begin, end, row.name)
        above = next(reversed(file.tiers[PREDICTED][0]))
        # pympi's own function searches all annotations for each
        file.tiers[PROBABILITY][1][file.generate_annotation_id()] = (
            above,
            f"{row.probability:.3f}",
            None,
            None,
        )
    file.properties = [("lastUsedAnnotationId", file.maxaid), (RATE, repr(float(fps)))]
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + str(to_string(file))
