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

from . import atomic, layouts, metrics
from .clips import Clips, outputs_folder, terminal
from .readers import untrusted
from .readers.folders import inside
from .settings import Settings, choose, names
from .splits import LEAVE_ONE_OUT

RESULT = "result.json"
SETTINGS = "settings.json"
"""The file that is written first."""
LAYOUT = "layout.json"
"""A copy of the layout, if it was given as a file."""
FILES = (SETTINGS, LAYOUT, "metrics.csv", "last.ckpt", "best.ckpt", "val.npz", "test.npz", RESULT)
"""All files that a run writes into its folder, except hidden ones."""
WAY_OUT = "restore it, choose another `run` name, or train the run again with `resume=False`"
"""Out of damaged settings."""
MAX_NAME_BYTES = 150
"""With what is added for unfinished files, a name on disk has at most 255."""
NAME = re.compile(r"\w[\w.+=,-]*")
"""The pattern of a name that becomes a file or folder: it cannot lead to another folder."""


def run_name(settings: Settings, data: str | Path = "synthetic") -> str:
    """The default name of a run: data, model, stream, layout, alignment, preset, what differs from it,
    seed."""
    layout = Path(settings.layout).stem if layouts.is_file(settings.layout) else settings.layout
    parts = [Path(data).name, settings.model, settings.stream, layout, settings.temporal, settings.preset]
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
    """The folder of the run (or of another ``kind`` of result, such as an ensemble); made if it does not
    exist.

    Raises:
        ValueError: a name that is not letters, digits and ``. _ + = , -``, so that it could lead elsewhere.
        OSError: the folder cannot be made.
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
    """The text, if it can be a file name; else one made from it: other characters become ``-``, and a digest
    makes it unique."""
    if _is_safe(text):
        return text
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
    readable = re.sub(r"[^\w.+=,-]+", "-", text).strip("-.+=,").encode()[: MAX_NAME_BYTES - 9]
    return f"{readable.decode(errors='ignore')}-{digest}".removeprefix("-")


def _is_safe(name: str) -> bool:
    return bool(NAME.fullmatch(name)) and len(name.encode()) <= MAX_NAME_BYTES


def require_own_folder(path: Path, files: Iterable[str]) -> None:
    """Check that a folder has no other files than ``files`` and hidden ones, before it is written to.

    Raises:
        ValueError: the folder has another file.
    """
    foreign = sorted({entry.name for entry in path.iterdir() if entry.name[0] != "."} - set(files))
    if foreign:
        raise ValueError(
            f"{path}: not overwritten, since it has {foreign[0]!r}, a file of another origin; "
            "choose another name"
        )


@contextmanager
def lock_run(run: Path) -> Iterator[None]:
    """Lock a run folder for this process. The operating system frees the lock of a process that ends.

    Raises:
        RuntimeError: another process has the lock; the message names host and process.
        OSError: the folder cannot be written to.
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
        raise RuntimeError(
            f"{run}: held by {name}; wait for it, end it, or choose another `run` name"
        ) from None
    try:
        atomic.write_text(holder, json.dumps({"host": platform.node(), "process": os.getpid()}))
        yield
    finally:
        guard.release()


def open_run(run: Path, settings: Settings, clips: Clips) -> dict[str, Any] | None:
    """What a folder means for a run: its result where the run is finished, else None, which means train.

    With ``resume``, the files of an unfinished run stay, so that training continues from its last checkpoint.
    Without it, and in a new folder, old files are removed and the settings are written.

    Raises:
        ValueError: the folder is of another run, or a file that the settings name cannot be read.
    """
    require_own_folder(run, FILES)
    files = [name for name in FILES if (run / name).exists()]
    if not settings.resume or not files:
        _begin(run, settings, clips)
        return None
    if SETTINGS not in files:
        raise ValueError(
            f"{run}: has {files[0]} and no {SETTINGS}; restore it, or train again with `resume=False`"
        )
    differences = _differences(run, settings, clips)
    if differences:
        raise ValueError(
            f"{run}: holds a run with {', '.join(differences)}; choose another `run` name, or `resume=False` "
            "to replace it"
        )
    if RESULT not in files:
        return None
    for name in ("last.ckpt", "best.ckpt"):
        if name not in files:
            raise ValueError(
                f"{run}: the finished run lost {name}; restore it, or train again with `resume=False`"
            )
    result = run_result(run)
    written = ["metrics.csv"] + [f"{split}.npz" for split in result["scores"]]
    # Lost predictions are made again from the checkpoints, from which nothing has to be trained.
    return result if set(written) <= set(files) else None


def _begin(run: Path, settings: Settings, clips: Clips) -> None:
    """Remove the files of an earlier run, and write the settings of a new one."""
    data = fingerprint(clips) | _checksums(settings, run)
    for name in FILES:
        (run / name).unlink(missing_ok=True)
    if layouts.is_file(settings.layout):
        layouts.save(layouts.get(settings.layout), run / LAYOUT)
    content = {"settings": settings.values(), "data": data, "environment": environment()}
    atomic.write_json(run / SETTINGS, content)


def _differences(run: Path, settings: Settings, clips: Clips) -> list[str]:
    """What the run in a folder has that differs from these settings and clips."""
    stored = read_json(run / SETTINGS, "settings", "data")
    earlier = stored_settings(run, stored["settings"])
    before, now = earlier.values(execution=False), settings.values(execution=False)
    if earlier.skeleton == settings.skeleton:  # the path of its file may be another one
        before["layout"] = settings.layout
    changed = [name for name, value in now.items() if before.get(name) != value]
    differences = [f"{name}={before.get(name)!r}" for name in changed]
    data = stored["data"]
    for name in sorted({"embeddings", "start_from"} & data.keys() - set(changed)):
        with suppress(ValueError, OSError):  # the file is gone, and the run has what it took from it
            if _checksums(settings, run, (name,))[name] != data[name]:
                differences.append(f"an earlier content of {name}={before[name]!r}")
    if not differences and any(data.get(name) != value for name, value in fingerprint(clips).items()):
        differences.append("other clips")
    return differences


def _checksums(
    settings: Settings, run: Path, names: Sequence[str] = ("embeddings", "start_from")
) -> dict[str, str]:
    """CRC-32 of the files that settings name: another file may be there when the run goes on."""
    paths = {}
    if settings.embeddings and settings.semantic_weight:
        paths["embeddings"] = Path(settings.embeddings).expanduser()
    if settings.start_from and "start_from" in names:
        paths["start_from"] = start_checkpoint(settings.start_from, run)[0]
    return {name: f"{zlib.crc32(paths[name].read_bytes()):08x}" for name in names if name in paths}


def start_checkpoint(start_from: str, run: Path) -> tuple[Path, Path | None]:
    """The checkpoint that the setting ``start_from`` of a run names, and the folder of its run, if it has
    one.

    Raises:
        ValueError: there is no such run or file; the message lists finished runs.
    """
    path = Path(start_from).expanduser()
    for folder in (path, run.parent / path):
        if (folder / RESULT).exists():
            return folder / "best.ckpt", folder
    if path.is_file():
        return path, None
    finished = sorted(result.parent.name for result in run.parent.glob(f"*/{RESULT}"))
    listed = ", ".join(finished[:10]) or "none"
    raise ValueError(
        f"start_from {start_from[:200]!r} is no finished run and no file; finished runs are {listed}"
    )


def stored_settings(run: Path, stored: Mapping[str, Any], device: str = "cpu") -> Settings:
    """The settings that a run stored, for a device. A layout from a file is the copy in the run folder.

    Raises:
        ValueError: the file is damaged, or of a later version.
    """
    try:
        values = {**stored, "device": device, "precision": "auto", "devices": 1, "resume": True}
        if (run / LAYOUT).exists():
            values["layout"] = str(run / LAYOUT)
        return choose(**values)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{run / SETTINGS}: {error}; {WAY_OUT}") from None


def read_json(path: Path, *keys: str) -> dict[str, Any]:
    """What ``atomic.write_json`` wrote.

    Raises:
        ValueError: the file is damaged, or has no dict at one of the keys.
    """
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
    return {
        **{package: version(package) for package in ("miga_lib", "torch", "numpy")},
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "host": platform.node(),
        "git": _git_state(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _git_state() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        described = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True
        )
        return described.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "not in a repository"


def run_result(run: Path) -> dict[str, Any]:
    """Settings, environment and scores of a finished run.

    Raises:
        FileNotFoundError: the run is not finished.
    """
    if not (run / RESULT).exists():
        raise FileNotFoundError(
            f"{run}: the run is not finished (no {RESULT}); run 04_train with the same parameters to"
            " resume it"
        )
    return read_json(run / RESULT, "settings", "data", "scores")


def fingerprint(clips: Clips) -> dict[str, Any]:
    """What is equal for two runs on the same clips: number, classes, two digests, and a checksum.

    ``digest`` is of ids, labels, splits and lengths. ``content`` leaves out the splits, so it is the same for
    all folds and protocols. The checksum is that of the keypoints in the order of the table; unlike the
    digests, it differs between layouts.
    """

    def digest(*columns: str) -> str:
        return f"{int(pd.util.hash_pandas_object(clips.table[list(columns)], index=False).sum()):x}"

    return {
        "clips": len(clips),
        "digest": digest("id", "label", "split", "frames"),
        "content": digest("id", "label", "frames"),
        "classes": list(clips.classes),
        "checksum": clips.checksum,
    }


def runs_table(outputs: str | Path = "") -> pd.DataFrame:
    """A row for each run under ``outputs/runs``, in any state, and for each ensemble, the newest first.

    Columns: run, state (finished, unfinished, ensemble, or broken and why), changed (when it was finished or
    last written to), epochs_done, the settings, clips, digest, content and checksum (of its data), seconds,
    and the scores as ``<split>_<score>``.

    Raises:
        DataError: the folder ``outputs/runs`` or ``outputs/ensembles`` cannot be listed.
    """
    rows = []
    for kind in ("runs", "ensembles"):
        for path in inside(outputs_folder(outputs) / kind, missing=True):
            if not path.name.startswith("."):
                rows.append(_row(path, kind == "ensembles"))
    columns = ["run", "state", "changed", "epochs_done"]
    table = pd.DataFrame(rows, columns=None if rows else columns)
    table = table[columns + [name for name in table if name not in columns]]
    return table.sort_values("changed", ascending=False, ignore_index=True, kind="stable")


def _row(run: Path, ensemble: bool) -> dict[str, Any]:
    """The row of a run or an ensemble in ``runs_table``."""
    finished = os.path.exists(run / RESULT)  # False in a folder that may not be read
    row: dict[str, Any] = {"run": run.name, "state": "unfinished", "epochs_done": 0}
    if finished:
        row["state"] = "ensemble" if ensemble else "finished"
    try:
        # A run that was killed while its clips were read has no settings yet.
        if not ensemble and any(not path.name.startswith(".") for path in run.iterdir()):
            content = read_json(run / SETTINGS, "settings", "data")
            row |= content["settings"]
            row |= {
                name: content["data"].get(name, "") for name in ("clips", "digest", "content", "checksum")
            }
        if (run / "metrics.csv").exists():
            row["epochs_done"] = len(untrusted.rows(run / "metrics.csv"))
        if finished:
            row |= _scores(run, ensemble)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        row["state"] = f"broken: {type(error).__name__}: {error}"
    written = [run / RESULT] if finished else [run, *run.glob("*.*")]
    row["changed"] = datetime.fromtimestamp(max(path.stat().st_mtime for path in written), UTC)
    return row


def _scores(run: Path, ensemble: bool) -> dict[str, Any]:
    """The scores and seconds of a finished run in ``runs_table``; its state where predictions are missing."""
    row = {}
    result = read_json(run / RESULT, "scores") if ensemble else run_result(run)
    if not ensemble:
        row["seconds"] = result["seconds"]
    for split, scores in result["scores"].items():
        row |= {f"{split}_{score}": value for score, value in scores.items()}
        if not (run / f"{split}.npz").exists():
            row["state"] = f"broken: {split}.npz is missing"
    return row


def newest_runs(count: int, outputs: str | Path = "", clips: Clips | None = None) -> list[Path]:
    """Folders of the ``count`` runs that were finished last, of all runs or of those on the given clips.

    Raises:
        FileNotFoundError: there are fewer finished runs.
    """
    finished = _finished(outputs, clips).head(count)
    if len(finished) < count:
        same = ", on the same `data`" if clips is not None else ""
        raise FileNotFoundError(
            f"{outputs_folder(outputs) / 'runs'}: expected at least {count} finished runs, "
            f"found {len(finished)}; train with 04_train first{same}"
        )
    return [outputs_folder(outputs) / "runs" / name for name in finished["run"]]


def newest_streams(outputs: str | Path = "", clips: Clips | None = None) -> list[Path]:
    """Folders of a finished joint run and a finished limb run, in this order.

    The limb run is the newest one. The joint run has the same model; of several, it is the one with the most
    settings in common, and of those the newest.

    Raises:
        FileNotFoundError: there is no such joint or limb run.
    """
    folder, finished = outputs_folder(outputs) / "runs", _finished(outputs, clips)
    joint, limb = finished, finished
    if len(finished):
        limb = finished[finished["stream"] == "limb"]
        joint = finished[(finished["stream"] == "joint") & finished["model"].isin(limb["model"].head(1))]
    if not len(limb) or not len(joint):
        missing = "joint" if len(limb) else "limb"
        raise FileNotFoundError(
            f"{folder}: no finished {missing} run on these clips; train with 04_train -p stream {missing}, "
            "or name the `runs` to fuse"
        )
    columns = [name for name in finished if name in names()]
    common = (joint[columns] == limb[columns].iloc[0]).sum(axis=1)
    return [folder / joint.loc[common.idxmax(), "run"], folder / limb["run"].iloc[0]]


class Fold(NamedTuple):
    """One fold of a cross-validation: the settings that all folds share, the content of the clips, its
    number."""

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
    """The folders of runs, with the other finished folds of each run that is one fold of a cross-validation,
    in the order of folds.

    Folds belong together where the runs beside them have the same settings, except for ``fold``, and the same
    clips.
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
    """The arguments with which ``clips.load`` gives the clips of the first of some runs.

    An ensemble is represented by the first of its runs, if that is in the same outputs folder.

    Args:
        layout: takes the place of the run's layout; empty: that of the run, without runs ``imigue41``.
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
    same = (finished["digest"] == data["digest"]) | (finished["content"] == data["content"])
    # Keypoints are compared where both sides have the same joints.
    other_joints = finished["layout"] != clips.layout.name
    return finished[same & (other_joints | (finished["checksum"] == data["checksum"]))]


def find_run(name: str, outputs: str | Path = "") -> Path:
    """The folder of a finished run, or of an ensemble, by its name or path.

    Raises:
        ValueError: there is none; the message lists finished runs.
    """
    for kind in ("runs", "ensembles"):
        path = outputs_folder(outputs) / kind / name
        if name and os.path.exists(path / RESULT):
            return path
    finished = ", ".join(_finished(outputs, None)["run"].head(10)) or "none"
    raise ValueError(
        f"there is no finished run or ensemble {name!r:.100} in {outputs_folder(outputs)}; "
        f"finished runs are {finished}"
    )


def to_tensorboard(outputs: str | Path = "") -> Path:
    """Write each run's ``metrics.csv`` as event files of TensorBoard, settings and scores among them.

    Older event files of the same runs are replaced; all other files stay.

    Returns:
        The folder ``outputs/tensorboard``, which has one folder for each run.

    Raises:
        ModuleNotFoundError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError:
        raise ModuleNotFoundError("TensorBoard is not installed; `pip install tensorboard`") from None
    place, table = outputs_folder(outputs) / "tensorboard", runs_table(outputs)
    settings = [name for name in table if name in names()]
    for row in table[table["epochs_done"] > 0].to_dict("records"):
        for events in (place / row["run"]).glob("events.out.tfevents.*"):
            events.unlink()
        epochs = pd.read_csv(outputs_folder(outputs) / "runs" / row["run"] / "metrics.csv")
        with SummaryWriter(str(place / row["run"])) as writer:
            for epoch in epochs.to_dict("records"):
                number = int(epoch.pop("epoch"))
                for name, value in epoch.items():
                    writer.add_scalar(name.replace("val_", "validation/"), value, number)
            scores = {name: row[name] for name in row if name.startswith(("val_", "test_"))}
            scores = {name: value for name, value in scores.items() if pd.notna(value)}
            parameters = {name: str(row[name]) for name in settings}
            writer.add_hparams(parameters, scores, run_name=".")
    return place


@terminal()
def main(arguments: list[str] | None = None) -> None:
    """``python -m miga_lib.runs``: the table of all runs."""
    parser = argparse.ArgumentParser(
        prog="python -m miga_lib.runs", description="A table of all runs, the newest first."
    )
    parser.add_argument("--outputs", default="", help="folder of runs; empty: the repository's outputs/")
    parser.add_argument(
        "--tensorboard", action="store_true", help="write event files for TensorBoard as well"
    )
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
