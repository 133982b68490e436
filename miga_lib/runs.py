"""Run folders: their names, what a folder means for a run, and the table of all runs.

A file gets its final name only when it is complete. ``result.json`` is written last: a run without it is not
finished.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import subprocess
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import filelock
import pandas as pd
import torch

from . import atomic, layouts, metrics
from .clips import Clips, terminal
from .readers import untrusted
from .readers.contract import reason
from .readers.folders import inside
from .settings import Settings, choose, names
from .sources import outputs_folder, source_name
from .splits import LEAVE_ONE_OUT

RESULT = "result.json"
SETTINGS = "settings.json"
LAYOUT = "layout.json"
"""A copy of the layout, if it was given as a file."""
CLIPS = "clips.csv"
"""Id, label and split of each clip that a finished run was given."""
FILES = (SETTINGS, LAYOUT, CLIPS, "metrics.csv", "last.ckpt", "best.ckpt", "val.npz", "test.npz", RESULT)
"""All files that training writes into a run's folder, except hidden ones."""
PREDICTED = "predicted-*.npz"
"""The files of predictions that a finished run made of other clips."""
WAY_OUT = "restore it, choose another `run` name, or train the run again with `resume=False`"
MAX_NAME_BYTES = 150
"""With what is added for unfinished files, a name on disk has at most 255."""
NAME = re.compile(r"\w[\w.+=,-]*")
"""The pattern of a name that becomes a file or folder: it cannot lead to another folder."""


def run_name(settings: Settings, data: str | Path = "synthetic") -> str:
    """The default name: data, model, stream, layout, alignment, preset, what differs from it, seed."""
    layout = Path(settings.layout).stem if layouts.is_file(settings.layout) else settings.layout
    parts = [source_name(data), settings.model, settings.stream, layout, settings.temporal, settings.preset]
    changes = settings.changes()
    for name in ("stream", "layout", "temporal", "seed", "fold"):
        changes.pop(name, None)
    for name, value in changes.items():
        if name in ("embeddings", "start_from"):
            value = Path(value).stem
        if isinstance(value, tuple):
            value = ",".join(map(str, value))
        parts.append(f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}")
    parts.append(str(settings.seed))
    if settings.folds or settings.protocol == LEAVE_ONE_OUT:
        parts.append(f"fold{settings.fold}")
    return safe_name("-".join(parts))


def run_folder(name: str, outputs: str | Path = "", kind: str = "run") -> Path:
    """The folder of the run, or of another ``kind`` of result, such as an ensemble; it is made.

    Raises ValueError for a name that could lead elsewhere, OSError where the folder cannot be made.
    """
    if not _is_safe(name):
        article = "an" if kind[0] in "aeiou" else "a"
        raise ValueError(
            f"the name of {article} {kind} must be up to {MAX_NAME_BYTES} letters, digits and . _ + = , - "
            f"(fewer if not of ASCII) and begin with a letter, a digit or _, got {name[:80]!r}"
        )
    path = outputs_folder(outputs) / f"{kind}s" / name
    with atomic.explained(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def safe_name(text: str) -> str:
    """The text if it can be a file name; else with ``-`` for other characters, and a digest."""
    if _is_safe(text):
        return text
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
    readable = re.sub(r"[^\w.+=,-]+", "-", text).strip("-.+=,").encode()[: MAX_NAME_BYTES - 9]
    return f"{readable.decode(errors='ignore')}-{digest}".removeprefix("-")


def _is_safe(name: str) -> bool:
    return bool(NAME.fullmatch(name)) and len(name.encode()) <= MAX_NAME_BYTES


def require_own_folder(path: Path, files: Iterable[str]) -> None:
    """Raise ValueError where a folder has another file than ``files`` and hidden ones."""
    foreign = sorted({entry.name for entry in path.iterdir() if entry.name[0] != "."} - set(files))
    if foreign:
        reason = f"since it has {foreign[0]!r}, a file of another origin"
        raise ValueError(f"{path}: not overwritten, {reason}; choose another name")


@contextmanager
def lock_run(run: Path) -> Iterator[None]:
    """Lock a run folder for this process. The operating system frees the lock of a process that ends.

    Raises RuntimeError where another process has the lock, OSError where the folder cannot be written to.
    """
    guard, holder = filelock.FileLock(run / ".lock"), run / ".holder.json"
    try:
        with atomic.explained(run):
            guard.acquire(timeout=0)
    except filelock.Timeout:
        try:
            name = "process {process} on {host}".format_map(read_json(holder))
        except (ValueError, KeyError, TypeError):
            name = "another process"
        way_out = "wait for it, end it, or choose another `run` name"
        raise RuntimeError(f"{run}: held by {name}; {way_out}") from None
    try:
        atomic.write_text(holder, json.dumps({"host": platform.node(), "process": os.getpid()}))
        yield
    finally:
        guard.release()


def open_run(run: Path, settings: Settings, data: dict[str, Any]) -> dict[str, Any] | None:
    """The result of a run whose folder is given, if it is finished; else None: train. ``data`` is the
    ``fingerprint`` of its clips.

    With ``resume``, the files of an unfinished run stay, so that training continues from its last checkpoint.
    Without it, and in a new folder, old files are removed and the settings are written. Raises ValueError
    where the folder is of another run, or a file that the settings name cannot be read.
    """
    require_own_folder(run, [*FILES, *(path.name for path in run.glob(PREDICTED))])
    files = [name for name in FILES if (run / name).exists()]
    if not settings.resume or not files:
        _begin(run, settings, data)
        return None
    again = "restore it, or train again with `resume=False`"
    if SETTINGS not in files:
        raise ValueError(f"{run}: has {files[0]} and no {SETTINGS}; {again}")
    differences = ", ".join(_differences(run, settings, data))
    if differences:
        way_out = "choose another `run` name, or `resume=False` to replace it"
        raise ValueError(f"{run}: holds a run with {differences}; {way_out}")
    if RESULT not in files:
        return None
    for name in ("last.ckpt", "best.ckpt"):
        if name not in files:
            raise ValueError(f"{run}: the finished run lost {name}; {again}")
    result = run_result(run)
    written = ["metrics.csv", CLIPS] + [f"{split}.npz" for split in result["scores"]]
    # Predictions that were lost, or of other test clips, are made again from the checkpoints, from which
    # nothing has to be trained.
    same = result["data"].get("splits", {}).get("test") == data["splits"].get("test")
    return result if same and set(written) <= set(files) else None


def _begin(run: Path, settings: Settings, data: dict[str, Any]) -> None:
    """Remove the files of an earlier run, and write the settings of a new one."""
    data = dict(data)
    if settings.embeddings and settings.semantic_weight:
        data["embeddings"] = _checksum("embeddings", settings, run)
    if settings.start_from:
        data["start_from"] = _checksum("start_from", settings, run)
    for path in [*(run / name for name in FILES), *run.glob(PREDICTED)]:
        path.unlink(missing_ok=True)
    if layouts.is_file(settings.layout):
        layouts.save(layouts.get(settings.layout), run / LAYOUT)
    content = {"settings": settings.values(), "data": data, "environment": environment()}
    atomic.write_json(run / SETTINGS, content)


def _differences(run: Path, settings: Settings, data: dict[str, Any]) -> list[str]:
    """What the run in a folder has that these settings and clips have not."""
    stored = read_json(run / SETTINGS, "settings", "data")
    earlier = stored_settings(run, stored["settings"])
    before, now = earlier.values(execution=False), settings.values(execution=False)
    if earlier.skeleton == settings.skeleton:  # the path of its file may be another one
        before["layout"] = settings.layout
    changed = [name for name, value in now.items() if before.get(name) != value]
    differences = [f"{name}={before.get(name)!r}" for name in changed]
    for name in sorted({"embeddings", "start_from"} & stored["data"].keys() - set(changed)):
        with suppress(ValueError, OSError):  # the file is gone, and the run has what it took from it
            if _checksum(name, settings, run) != stored["data"][name]:
                differences.append(f"an earlier content of {name}={before[name]!r}")
    return differences or _other_clips(stored["data"], data)


def _other_clips(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What training depends on and differs between two fingerprints. Test clips may differ."""
    if before.get("classes") != now["classes"]:
        return ["other classes"]
    differences = []
    for split in ("train", "val"):
        earlier, later = (data.get("splits", {}).get(split, {}) for data in (before, now))
        if any(earlier.get(name) != later.get(name) for name in ("ids", "keypoints")):
            differences.append(f"other clips in split {split!r}")
        elif earlier != later:
            differences.append(f"other labels in split {split!r}")
    return differences


def _checksum(name: str, settings: Settings, run: Path) -> str:
    """CRC-32 of the file that a setting names: another one may be there when the run goes on."""
    path = Path(settings.embeddings).expanduser()
    if name == "start_from":
        path = start_checkpoint(settings.start_from, run)[0]
    return f"{zlib.crc32(path.read_bytes()):08x}"


def start_checkpoint(start_from: str, run: Path) -> tuple[Path, Path | None]:
    """The checkpoint that the setting ``start_from`` of a run names, and the folder of its run, if any.

    Raises ValueError where there is no such run or file.
    """
    path = Path(start_from).expanduser()
    for folder in (path, run.parent / path):
        if (folder / RESULT).exists():
            return folder / "best.ckpt", folder
    if path.is_file():
        return path, None
    finished = sorted(result.parent.name for result in run.parent.glob(f"*/{RESULT}"))
    listed = ", ".join(finished[:10]) or "none"
    rule = f"start_from {start_from[:200]!r} is no finished run and no file"
    raise ValueError(f"{rule}; finished runs are {listed}")


def stored_settings(run: Path, stored: Mapping[str, Any], device: str = "cpu") -> Settings:
    """The settings that a run stored, for a device. A layout from a file is the copy in the run folder.

    Raises ValueError where they are damaged, or of a later version.
    """
    try:
        values = {**stored, "device": device, "precision": "auto", "devices": 1, "resume": True}
        if (run / LAYOUT).exists():
            values["layout"] = str(run / LAYOUT)
        return choose(**values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{run / SETTINGS}: {error}; {WAY_OUT}") from None


def read_json(path: Path, *keys: str) -> dict[str, Any]:
    """What ``atomic.write_json`` wrote. Raises ValueError where it is damaged or has no dict at a key."""
    try:
        content = untrusted.document(path)
    except ValueError as error:
        raise ValueError(f"{error}; {WAY_OUT}") from None
    for key in keys:
        if not isinstance(content, dict) or not isinstance(content.get(key), dict):
            raise ValueError(f"{path}: damaged, it has no {key!r}; {WAY_OUT}")
    return content


def environment() -> dict[str, str]:
    """What a result depends on besides its settings: versions, machine, and the state of the repository."""
    git, place = "not in a repository", Path(__file__).parent
    with suppress(OSError, subprocess.CalledProcessError):
        command = ["git", "describe", "--always", "--dirty"]
        git = subprocess.run(command, cwd=place, capture_output=True, text=True, check=True).stdout.strip()
    return {
        **{package: version(package) for package in ("miga_lib", "torch", "numpy")},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "host": platform.node(),
        "git": git,
        "threads": str(torch.get_num_threads()),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def run_result(run: Path) -> dict[str, Any]:
    """Settings, environment and scores of a run. Raises FileNotFoundError where it is not finished."""
    if not (run / RESULT).exists():
        way_out = "run 04_train with the same parameters to resume it"
        raise FileNotFoundError(f"{run}: the run is not finished (no {RESULT}); {way_out}")
    return read_json(run / RESULT, "settings", "data", "scores")


def fingerprint(clips: Clips) -> dict[str, Any]:
    """What is equal for two runs on the same clips.

    ``content`` is a digest of the ids, labels and lengths of all clips of known class, whatever their splits,
    so it is the same for all folds and protocols. ``splits`` has the ``identity`` of each split.
    """
    known, splits = clips.table["label"] >= 0, clips.table["split"]
    return {
        "clips": len(clips),
        "content": _digest(clips.table[known], "id", "label", "frames"),
        "classes": list(clips.classes),
        "splits": {
            split: identity(clips.split(split))
            for split in ("train", "val", "test")
            if (splits == split).any()
        },
    }


def identity(clips: Clips) -> dict[str, Any]:
    """Number and digests of some clips: of their ids and lengths, which are the same in all layouts, of their
    labels, and of their keypoints in their order."""
    return {
        "clips": len(clips),
        "ids": _digest(clips.table, "id", "frames"),
        "labels": _digest(clips.table, "id", "label"),
        "keypoints": clips.checksum,
    }


def _digest(table: pd.DataFrame, *columns: str) -> str:
    """A digest of some columns, whatever the order of the rows."""
    return f"{int(pd.util.hash_pandas_object(table[list(columns)], index=False).sum()):x}"


def splits_of(run: Path) -> pd.Series:
    """The split of each clip that a run was given, by the clip's id. Raises ValueError where that is not
    known any more."""
    try:
        columns: dict[str, Any] = {"usecols": ["id", "split"], "dtype": str, "keep_default_na": False}
        return pd.read_csv(run / CLIPS, **columns).set_index("id")["split"]
    except (OSError, ValueError) as error:
        raise ValueError(f"{run / CLIPS}: cannot be read ({reason(error)}); {WAY_OUT}") from None


def runs_table(outputs: str | Path = "") -> pd.DataFrame:
    """A row for each run under ``outputs/runs``, in any state, and for each ensemble, the newest first.

    Columns: run, state (finished, unfinished, ensemble, or broken and why), changed (when it was finished or
    last written to), epochs_done, the settings, clips and content (of its data), validation_ids (the digest
    of its validation clips), seconds, and the scores as ``<split>_<score>``.

    Raises DataError where the folder ``outputs/runs`` or ``outputs/ensembles`` cannot be listed.
    """
    folder = outputs_folder(outputs)
    paths = [*inside(folder / "runs", missing=True), *inside(folder / "ensembles", missing=True)]
    rows = [_row(path) for path in paths if not path.name.startswith(".")]
    columns = ["run", "state", "changed", "epochs_done"]
    table = pd.DataFrame(rows, columns=None if rows else columns)
    table = table[columns + [name for name in table if name not in columns]]
    return table.sort_values("changed", ascending=False, ignore_index=True, kind="stable")


def _row(run: Path) -> dict[str, Any]:
    """The row of a run or an ensemble in ``runs_table``."""
    finished = os.path.exists(run / RESULT)  # False in a folder that may not be read
    row: dict[str, Any] = {"run": run.name, "state": "unfinished", "epochs_done": 0}
    try:
        _fill(row, run, finished)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        row["state"] = f"broken: {type(error).__name__}: {error}"
    written = [run / RESULT] if finished else [run, *run.glob("*.*")]
    row["changed"] = datetime.fromtimestamp(max(path.stat().st_mtime for path in written), UTC)
    return row


def _fill(row: dict[str, Any], run: Path, finished: bool) -> None:
    """Add to a row what the files of a run or an ensemble say."""
    ensemble = run.parent.name == "ensembles"
    # A run that was killed while its clips were read has no settings yet.
    if not ensemble and any(not path.name.startswith(".") for path in run.iterdir()):
        content = read_json(run / SETTINGS, "settings", "data")
        data = content["data"]
        row |= content["settings"] | {name: data.get(name, "") for name in ("clips", "content")}
        row["validation_ids"] = data.get("splits", {}).get("val", {}).get("ids", "")
    if (run / "metrics.csv").exists():
        row["epochs_done"] = len(untrusted.rows(run / "metrics.csv"))
    if not finished:
        return
    if ensemble:
        result, row["state"] = read_json(run / RESULT, "scores"), "ensemble"
    else:
        result, row["state"] = run_result(run), "finished"
        row["seconds"], row["source"] = result["seconds"], result.get("source", "")
    for split, scores in result["scores"].items():
        row |= {f"{split}_{score}": value for score, value in scores.items()}
        if not (run / f"{split}.npz").exists():
            row["state"] = f"broken: {split}.npz is missing"


def newest_runs(
    count: int, outputs: str | Path = "", clips: Clips | None = None, source: str = ""
) -> list[Path]:
    """Folders of the ``count`` runs that were finished last, of all runs or of those on the given clips; of
    those on a ``source``, if there are so many.

    Raises FileNotFoundError where there are fewer.
    """
    folder, finished = outputs_folder(outputs) / "runs", _finished(outputs, clips)
    if source and "source" in finished:
        same = finished["source"] == source_name(source)
        finished = finished[same] if same.sum() >= count else finished
    finished = finished.head(count)
    if len(finished) < count:
        rule = f"expected at least {count} finished runs, found {len(finished)}"
        same = ", on the same `data`" if clips is not None else ""
        raise FileNotFoundError(f"{folder}: {rule}; train with 04_train first{same}")
    return [folder / name for name in finished["run"]]


def newest_streams(outputs: str | Path = "", clips: Clips | None = None) -> list[Path]:
    """Folders of a finished joint run and a finished limb run, in this order.

    The limb run is the newest one. The joint run has the same model; of several, it is the one with the most
    settings in common, and of those the newest. Raises FileNotFoundError where there is none.
    """
    folder, finished = outputs_folder(outputs) / "runs", _finished(outputs, clips)
    joint, limb = finished, finished
    if len(finished):
        limb = finished[finished["stream"] == "limb"]
        joint = finished[(finished["stream"] == "joint") & finished["model"].isin(limb["model"].head(1))]
    if not len(limb) or not len(joint):
        missing = "joint" if len(limb) else "limb"
        way_out = f"train with 04_train -p stream {missing}, or name the `runs` to fuse"
        raise FileNotFoundError(f"{folder}: no finished {missing} run on these clips; {way_out}")
    columns = [name for name in finished if name in names()]
    common = (joint[columns] == limb[columns].iloc[0]).sum(axis=1)
    return [folder / joint.loc[common.idxmax(), "run"], folder / limb["run"].iloc[0]]


class Fold(NamedTuple):
    """One fold of a cross-validation: settings and content of the clips are those of all its folds."""

    settings: dict[str, Any]
    content: str
    number: int


def fold_of(folder: Path) -> Fold | None:
    """The fold that a finished run is, or None: it is of no cross-validation, or not finished."""
    try:
        result = run_result(folder)
    except (ValueError, OSError):
        return None
    settings = dict(result["settings"])
    if not settings.get("folds") and settings.get("protocol") != LEAVE_ONE_OUT:
        return None
    number = settings.pop("fold")
    for name in ("device", "precision", "devices", "resume"):
        settings.pop(name, None)
    return Fold(settings, result["data"].get("content", ""), number)


def all_folds(folders: Sequence[Path]) -> list[Path]:
    """The folders, each fold of a cross-validation with the other finished folds beside it, in their order.

    Folds belong together that have the same clips and, except for ``fold``, the same settings.
    """
    paths: list[Path] = []
    for folder in folders:
        fold = fold_of(folder)
        numbers = {folder: 0}
        if fold:
            folds = {path: fold_of(path) for path in sorted(folder.parent.glob("*/"))}
            numbers = {path: other.number for path, other in folds.items() if other and other[:2] == fold[:2]}
        paths += sorted(numbers, key=numbers.__getitem__)
    return list(dict.fromkeys(paths))


def clip_arguments(folders: Sequence[Path], layout: str = "") -> dict[str, Any]:
    """The arguments with which ``clips.load`` gives the clips of the first of some runs, in the run's layout
    or in another ``layout``; without runs ``imigue41``.

    An ensemble is represented by the first of its runs, if that is in the same outputs folder.
    """
    arguments: dict[str, Any] = {}
    for folder in folders[:1]:
        content = read_json(folder / RESULT)
        member = folder.parents[1] / "runs" / str(content.get("runs", [""])[0])
        if "settings" not in content and (member / RESULT).exists():
            folder, content = member, read_json(member / RESULT)
        if "settings" in content:
            arguments = stored_settings(folder, content["settings"]).clip_arguments
    return arguments | {"layout": layout or arguments.get("layout", "imigue41")}


def _finished(outputs: str | Path, clips: Clips | None) -> pd.DataFrame:
    """The rows of finished runs, of all or of those on the given clips."""
    table = runs_table(outputs)
    finished = table[table["state"] == "finished"]
    if clips is None or finished.empty:
        return finished
    data = fingerprint(clips)
    validation = data["splits"].get("val", {}).get("ids")
    # The same validation clips: training clips may have been added, and test clips come later.
    return finished[(finished["content"] == data["content"]) | (finished["validation_ids"] == validation)]


def find_run(name: str, outputs: str | Path = "") -> Path:
    """The folder of a finished run, or of an ensemble, by its name or path; else ValueError."""
    folder = outputs_folder(outputs)
    for kind in ("runs", "ensembles"):
        path = folder / kind / name
        if name and os.path.exists(path / RESULT):
            return path
    finished = ", ".join(_finished(outputs, None)["run"].head(10)) or "none"
    rule = f"there is no finished run or ensemble {name!r:.100} in {folder}"
    raise ValueError(f"{rule}; finished runs are {finished}")


def to_tensorboard(outputs: str | Path = "") -> Path:
    """Write the metrics, settings and scores of each run as event files of TensorBoard, in place of older
    ones. Returns the folder ``outputs/tensorboard``, which has one folder for each run.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError:
        raise ModuleNotFoundError("TensorBoard is not installed; `pip install tensorboard`") from None
    folder, table = outputs_folder(outputs), runs_table(outputs)
    settings = [name for name in table if name in names()]
    for row in table[table["epochs_done"] > 0].to_dict("records"):
        place = folder / "tensorboard" / row["run"]
        for events in place.glob("events.out.tfevents.*"):
            events.unlink()
        epochs = pd.read_csv(folder / "runs" / row["run"] / "metrics.csv")
        with SummaryWriter(str(place)) as writer:
            for epoch in epochs.to_dict("records"):
                number = int(epoch.pop("epoch"))
                for name, value in epoch.items():
                    writer.add_scalar(name.replace("val_", "validation/"), value, number)
            scores = {name: row[name] for name in row if name.startswith(("val_", "test_"))}
            scores = {name: value for name, value in scores.items() if pd.notna(value)}
            parameters = {name: str(row[name]) for name in settings}
            writer.add_hparams(parameters, scores, run_name=".")
    return folder / "tensorboard"


@terminal()
def main(arguments: list[str] | None = None) -> None:
    """``python -m miga_lib.runs``: the table of all runs."""
    about = "A table of all runs, the newest first."
    parser = argparse.ArgumentParser(prog="python -m miga_lib.runs", description=about)
    parser.add_argument("--outputs", default="", help="folder of runs; empty: the repository's outputs/")
    parser.add_argument("--tensorboard", action="store_true", help="also write event files for TensorBoard")
    options = parser.parse_args(arguments)
    table = runs_table(options.outputs)
    if table.empty:
        runs = outputs_folder(options.outputs) / "runs"
        print(f"no runs in {runs}; `python -m miga_lib.training` trains one")
        return
    scores = ["val_top1", "test_top1", "test_mean_class", "test_macro_f1", "test_majority"]
    columns = ["run", "state", "epochs_done", *scores, "seconds"]
    printed = table[[name for name in columns if name in table]]
    shares = printed.filter(regex="^(val|test)_").map(metrics.percent, na_action="ignore")
    words = printed["state"].map(lambda state: state.partition(": ")[0])
    text = printed.assign(**shares, state=words)
    print(text.to_string(index=False, float_format="{:.1f}".format, na_rep="–"))
    for run, state in printed.loc[printed["state"] != words, ["run", "state"]].to_numpy():
        print(f"{run} is {state}")
    if options.tensorboard:
        print(f"tensorboard --logdir {to_tensorboard(options.outputs)}")


if __name__ == "__main__":
    main()
