"""Where the files of a source are: a folder or file, a zip file or several, a synthetic set, or several of
these; and where everything is written."""

import hashlib
import os
import shutil
from contextlib import suppress
from pathlib import Path

from . import atomic, cache, synthetic
from .readers import READERS, DataError, Reader, folders, nearest, reason, shown, untrusted

MAX_ZIPS_IN_ZIPS = 2
JOIN = " + "
"""Between the places of a source that consists of several."""


def outputs_folder(outputs: str | Path = "") -> Path:
    """Where everything is written: ``outputs``, else the variable ``MIGA_OUTPUTS``, else ``outputs/`` of the
    repository."""
    repository = Path(__file__).resolve().parents[1]
    fallback = repository / "outputs" if (repository / "pyproject.toml").exists() else Path("outputs")
    return _absolute(outputs or os.environ.get("MIGA_OUTPUTS") or fallback)


def _absolute(path: str | Path) -> Path:
    if "\0" in str(path):
        raise DataError(f"{shown(str(path))}: a path cannot have a null character; remove it")
    try:
        return Path(path).expanduser().resolve()
    except (RuntimeError, OSError) as error:  # an unknown user, or links in a circle
        raise DataError(f"{path}: no such file or folder ({reason(error)}); correct the path") from None


def source_name(source: str | Path) -> str:
    """The name of a source, of several the first one, for the names of what is made of it."""
    return Path(places_of(source)[0]).expanduser().resolve().name


def places_of(source: str | Path) -> list[str]:
    """The places of a source: one, or several joined by ``JOIN``."""
    text = str(source)
    return [text] if os.path.exists(text) else text.split(JOIN)


def place_of(source: str | Path, outputs: str | Path) -> Path:
    """Where the files of a source are: zip files are unpacked, and synthetic sets written, once."""
    if synthetic.recognises(source):
        return Path(source)
    data = outputs_folder(outputs) / "data"
    if str(source) in synthetic.SIZES:
        place = data / f"{source}-v{synthetic.VERSION}"
        if not os.path.exists(place):
            with suppress(FileExistsError):  # another process was first
                synthetic.write(place, str(source))
        return place
    place = _absolute(source)
    if not os.path.exists(place):
        way_out = f"give an existing one or one of {', '.join(synthetic.SIZES)}"
        raise DataError(f"{place}: no such file or folder; {way_out}")
    return _unzipped(place, data)


def _unzipped(place: Path, data: Path, depth: int = MAX_ZIPS_IN_ZIPS) -> Path:
    """Where the content of a zip file is, or of a folder that has no data but in zip files; other places as
    they are. Zip files in zip files are unpacked, too."""
    if place.is_file() and place.suffix.lower() == ".zip":
        about = place.stat()
        unpacked = _made_of(place, (str(place), about.st_size, about.st_mtime_ns), data)
        if not os.path.exists(unpacked):
            with atomic.folder(unpacked) as folder:
                untrusted.unpack(place, folder)
        return _unzipped(unpacked, data, depth - 1) if depth else unpacked
    zips = folders.below(place, "*.[zZ][iI][pP]", 1) if place.is_dir() else []
    if not zips or any(reader.recognises(place) for reader in READERS.values()):
        return place
    parts = [_unzipped(path, data, depth) for path in zips]
    joined = parts[0]
    if len(parts) > 1:
        joined = _made_of(place, [str(part) for part in parts], data)
    if not os.path.exists(joined):
        with atomic.folder(joined) as folder:
            for part in parts:
                shutil.copytree(part, folder / part.name, copy_function=_link)
    return joined


def _made_of(place: Path, content: object, data: Path) -> Path:
    """The folder in which something is unpacked, another one for other content."""
    key = hashlib.sha256(repr(content).encode()).hexdigest()[:16]
    return data / f"{place.stem[: cache.MAX_FOLDER_NAME_LENGTH]}-{key}"


def _link(source: str, target: str) -> None:
    """Link a file to a second name, which takes no space; copy it where the disk knows no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def reader_of(place: Path) -> Reader:
    """The one reader that recognises the files. Raises DataError where none or several do."""
    if synthetic.recognises(place):
        return synthetic
    readers = {name: reader for name, reader in READERS.items() if reader.recognises(place)}
    if not readers:
        way_out = f"{nearest.described(place)}; see docs/own-data.md"
        raise DataError(f"{place}: no known format, tried {', '.join(READERS)}; {way_out}")
    if len(readers) > 1:
        formats = ", ".join(readers)
        raise DataError(f"{place}: could be any of {formats}; give the folder or file of one alone")
    return next(iter(readers.values()))
