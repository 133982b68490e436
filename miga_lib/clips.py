"""A set of clips: a table with a row for each, beside the keypoints of all of them in one array that stays on disk.

``load`` recognises what a folder or file holds, reads it once into a cache, and from then on opens it in well under a second.
"""

import argparse
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from . import layouts, synthetic
from .layouts import Layout
from .readers import READERS, Clip, DataError, Progress, Reader, Report, checks, limits, miga, pyskl, select, shown

VERSION = 1
"""Of the cache's own files; raise it when their form changes."""

LONGEST_NAME = 250
MOST_ERRORS = 20
COLUMNS = {"id": str, "label": int, "split": str, "video": str, "subject": str, "frames": int, "width": int, "height": int}
COLUMNS |= {"missing": float, "start": int}


@dataclass(frozen=True, eq=False)
class Clips:
    """Clips and their keypoints.

    ``table`` has the columns id, label (−1: unknown), split, video, subject (empty: unknown), frames, width, height, missing (the
    share of joints that were not found) and start: clip i is ``keypoints[start : start + frames]``, which ``clips[i]`` gives.
    ``keypoints`` is (F, V, 3) float32, all frames of all clips; ``report`` says what the reader had to repair.
    """

    table: pd.DataFrame
    keypoints: np.ndarray
    layout: Layout
    classes: tuple[str, ...]
    report: str

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, index: int) -> np.ndarray:
        """Keypoints (T, V, 3) of the clip in that row of the table."""
        start, frames = self.table["start"].iloc[index], self.table["frames"].iloc[index]
        return self.keypoints[start : start + frames]

    def records(self) -> Iterator[Clip]:
        """The clips one by one, with all that is told of each."""
        fields = ["id", "label", "split", "video", "subject", "width", "height"]
        for i, row in enumerate(self.table[fields].itertuples(index=False)):
            yield Clip(*row, self[i])

    def where(self, rows: Sequence[int] | pd.Series | np.ndarray) -> "Clips":
        """The clips of the rows that are chosen (a boolean for each row, or row numbers)."""
        return replace(self, table=self.table[np.asarray(rows)] if np.asarray(rows).dtype == bool else self.table.iloc[rows])

    def split(self, name: str) -> "Clips":
        """The clips of one split. Raises ValueError, with the splits there are, where it has none."""
        if not (chosen := self.table["split"] == name).any():
            raise ValueError(f"there are no clips of split {name!r}; there are {', '.join(sorted(self.table['split'].unique()))}")
        return self.where(chosen)

    def summary(self) -> pd.DataFrame:
        """Of each split: clips, classes that have any, videos, subjects, median frames, and the share of joints missing."""
        splits = self.table.groupby("split")
        known = self.table[self.table["label"] >= 0].groupby("split")
        return pd.DataFrame(
            {
                "clips": splits.size(),
                "classes": known["label"].nunique(),
                "videos": splits["video"].nunique(),
                "subjects": self.table[self.table["subject"] != ""].groupby("split")["subject"].nunique(),
                "median frames": splits["frames"].median(),
                "joints missing": (splits["missing"].mean() * 100).round(1).astype(str) + " %",
            }
        ).reindex([split for split in ("train", "val", "test") if split in splits.groups])

    def groups(self) -> pd.Series:
        """What clips must not be torn apart by: their subject where it is known, else their video."""
        return self.table["subject"].where(self.table["subject"] != "", "video " + self.table["video"])


def outputs_folder(outputs: str | Path = "") -> Path:
    """Where everything is written: ``outputs``, else the environment's ``MIGA_OUTPUTS``, else ``outputs/`` of the repository."""
    repository = Path(__file__).resolve().parents[1]
    fallback = repository / "outputs" if (repository / "pyproject.toml").exists() else Path("outputs")
    return Path(outputs or os.environ.get("MIGA_OUTPUTS") or fallback).expanduser().resolve()


def load(source: str | Path, layout: str | Layout = "imigue41", outputs: str | Path = "", progress: Progress | None = None) -> Clips:
    """The clips of a folder or file, in the joints of ``layout``.

    Args:
        source: MiGA folders, MiGA'23 arrays, the full iMiGUE release, OpenPose's output, a PySkl pickle, each also as a zip file; or
            the name of a synthetic set: ``synthetic-smoke``, ``synthetic`` or ``synthetic-full``.
        outputs: where the cache lies, see ``outputs_folder``.
        progress: shows how far the reading is, called like ``tqdm``; by default a bar where there is a terminal.

    Raises:
        DataError: nothing is there, its format is not known, or a file of it is broken.
        ValueError: an unknown layout.
    """
    layout = layouts.get(layout) if isinstance(layout, str) else layout
    progress = progress or _terminal_progress()
    reader, place = _recognise(source, outputs)
    key = _key(reader, place, layout)
    folder = outputs_folder(outputs) / "cache" / f"{Path(source).name}-{layout.name}-{key}"
    if not folder.exists():
        if (whole := reader.CACHED_LAYOUT or layout.name) == layout.name:
            report = Report()
            clips = reader.read(place, layout, report, progress)
        else:  # what is slow to read is read once, and other layouts are taken from it
            every = load(place, whole, outputs, progress)
            joints, report = select(every.layout, layout, str(place)), Report(classes=every.classes, earlier=every.report)
            clips = (replace(clip, keypoints=clip.keypoints[:, joints]) for clip in every.records())
        _write(folder, clips, layout, report)
    return _open(folder, layout)


def _terminal_progress() -> Progress:
    from tqdm import tqdm

    return partial(tqdm, disable=None, leave=False)


def _recognise(source: str | Path, outputs: str | Path) -> tuple[Reader, Path]:
    """The reader of a source and the place it reads from; the smaller synthetic sets are written as MiGA folders first."""
    if synthetic.recognises(source):
        return synthetic, Path(source)
    if str(source) in synthetic.SIZES:
        place = outputs_folder(outputs) / "data" / f"{source}-v{synthetic.VERSION}"
        if not place.exists():
            synthetic.write(place, str(source))
        return miga, place
    place = Path(source).expanduser().resolve()
    if not place.exists():
        raise DataError(f"{place}: no such file or folder; give an existing one or one of {', '.join(synthetic.SIZES)}")
    if place.suffix.lower() == ".zip" and place.is_file():
        place = _unpacked(place, outputs)
    known = {name: reader for name, reader in READERS.items() if reader.recognises(place)}
    if len(known) != 1:
        formats = ", ".join(known or READERS)
        raise DataError(
            f"{place}: "
            + (f"could be any of {formats}; give the folder or file of one alone" if known else f"no known format, tried {formats}")
        )
    return next(iter(known.values())), place


def _unpacked(archive: Path, outputs: str | Path) -> Path:
    """The folder that a zip file is unpacked to, once."""
    about = archive.stat()
    key = hashlib.sha256(repr((str(archive), about.st_size, about.st_mtime_ns)).encode()).hexdigest()[:16]
    folder = outputs_folder(outputs) / "data" / f"{archive.stem}-{key}"
    if not folder.exists():
        limits.unpack(archive, folder)
    return folder


def _key(reader, place: str | Path, layout: Layout) -> str:
    """Changes whenever the reader, the joints or any file of the source does (by name, size and time of change)."""
    files = sorted(Path(place).rglob("*")) if Path(place).is_dir() else [Path(place), *Path(place).parent.glob(pyskl.LABEL_MAP)]
    listing = [(str(p), (stat := p.stat()).st_size, stat.st_mtime_ns) for p in files if p.is_file()]
    version = (VERSION, reader.__name__, reader.VERSION, layout.joints, str(place), listing)
    return hashlib.sha256(repr(version).encode()).hexdigest()[:16]


def _write(folder: Path, clips: Iterable[Clip], layout: Layout, report: Report) -> None:
    """A cache folder, made beside its place and renamed into it once it is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".unfinished-") as temporary:
        whole = Path(temporary) / folder.name
        whole.mkdir()
        table = pd.DataFrame(_stream(whole / "keypoints.npy", clips, len(layout.joints)), columns=list(COLUMNS))
        if table.empty:
            raise DataError(f"{folder.name}: the source holds no clips")
        if (again := table["id"].duplicated()).any():
            raise DataError(f"{folder.name}: ids of clips must differ, {table['id'][again].iloc[0]!r} is there twice")
        table.to_csv(whole / "clips.csv", index=False)
        about = {"layout": layout.name, "joints": layout.joints, "classes": report.classes, "report": str(report)}
        (whole / "about.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
        try:
            whole.rename(folder)
        except OSError:  # another process was first, with the same content
            if not folder.exists():
                raise
            shutil.rmtree(whole)


def _stream(path: Path, clips: Iterable[Clip], joints: int) -> Iterator[tuple]:
    """Append the keypoints of clip after clip to a npy file, however many there will be, and give a row of the table for each."""
    header = {"descr": "<f4", "fortran_order": False}
    frames = 0
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header | {"shape": (0, joints, 3)})
        for clip in clips:
            file.write(np.ascontiguousarray(clip.keypoints, dtype="<f4").tobytes())
            yield _row(clip, frames)
            frames += len(clip.keypoints)
        # numpy pads the header so that the length of the first axis can grow in place
        file.seek(0)
        np.lib.format.write_array_header_1_0(file, header | {"shape": (frames, joints, 3)})


def _row(clip: Clip, start: int) -> tuple:
    """What the table tells of a clip. Raises DataError for a name that a table cannot hold."""
    for name in (clip.id, clip.video, clip.subject):
        if not name.isprintable() or len(name) > LONGEST_NAME:
            raise DataError(f"ids, videos and subjects are up to {LONGEST_NAME} printable characters, found {shown(name)}")
    missing = float((clip.keypoints[..., 2] == 0).mean())
    return (clip.id, clip.label, clip.split, clip.video, clip.subject, len(clip.keypoints), clip.width, clip.height, missing, start)


def _open(folder: Path, layout: Layout) -> Clips:
    about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
    table = pd.read_csv(folder / "clips.csv", dtype=COLUMNS, keep_default_na=False)
    return Clips(table, np.load(folder / "keypoints.npy", mmap_mode="r"), layout, tuple(about["classes"]), about["report"])


def hold_out(clips: Clips, fold: int = 0, folds: int = 10, seed: int = 0) -> Clips:
    """Clips whose ``val`` split is one fold of what was their training and validation clips, no subject (or video) in both.

    Source: the folds are scikit-learn's StratifiedGroupKFold over ``Clips.groups``.

    Raises:
        ValueError: fewer groups than folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    rows = np.flatnonzero(clips.table["split"].isin(["train", "val"]))
    groups, targets = clips.groups().iloc[rows], clips.table["label"].iloc[rows]
    if groups.nunique() < folds:
        raise ValueError(f"cannot make {folds} folds of {groups.nunique()} subjects or videos; ask for fewer folds")
    parts = list(StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(rows, targets, groups))
    split = clips.table["split"].to_numpy(copy=True)
    split[rows] = "train"
    split[rows[parts[fold][1]]] = "val"
    return replace(clips, table=clips.table.assign(split=split))


def check(source: str | Path, layout: str = "imigue41", outputs: str | Path = "") -> tuple[str, bool]:
    """What a source holds, what stands out in it and what is wrong with it, in words; and whether it can be used."""
    report, rows, heading = Report(errors=[]), [], str(source)
    try:
        reader, place = _recognise(source, outputs)
        heading = f"{place}: {reader.__doc__.partition(chr(10))[0].rstrip('.')} [{reader.__name__.rpartition('.')[2]}]"
        for clip in checks.look(reader.read(place, layouts.get(layout), report, _terminal_progress()), report):
            rows.append(_row(clip, 0))
    except ValueError as error:
        report.errors.append(str(error))
    if not rows and not report.errors:
        report.errors.append("the source holds no clips")
    lines = [heading, ""]
    if rows:
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        summary = Clips(table, np.zeros(0), layouts.get(layout), report.classes, "").summary()
        lines += [summary.to_string(na_rep="–", float_format="%g"), f"{len(report.classes)} classes, layout {layout!r}", ""]
    lines += [str(report), ""] if report.events else []
    lines += [f"ERROR {error}" for error in report.errors[:MOST_ERRORS]]
    lines += [f"… and {len(report.errors) - MOST_ERRORS} more errors"] * (len(report.errors) > MOST_ERRORS)
    lines += [f"Cannot be used: {len(report.errors)} error{'s' * (len(report.errors) > 1)}." if report.errors else "Can be used."]
    return "\n".join(lines), not report.errors


def main(arguments: list[str] | None = None) -> None:
    """``python -m miga_lib.clips check <source>``: exit status 1 where the source cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m miga_lib.clips", description="Look at a source of clips.")
    checking = parser.add_subparsers(required=True).add_parser("check", help="what is there, and what is wrong with it")
    checking.add_argument("source", help="folder or file of clips")
    checking.add_argument("--layout", default="imigue41", help="default 'imigue41'")
    checking.add_argument("--outputs", default="", help="where zip files are unpacked; empty: the repository's outputs/")
    text, usable = check(**vars(parser.parse_args(arguments)))
    print(text)
    raise SystemExit(0 if usable else 1)


if __name__ == "__main__":
    main()
