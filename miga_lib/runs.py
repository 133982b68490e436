"""Run folders: their names (``name``), and the files that a training run writes.

A file gets its final name only when it is complete.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import filelock
import pandas as pd

from . import atomic, layouts, metrics
from .clips import Clips, outputs_folder, terminal
from .readers import untrusted
from .readers.folders import inside
from .settings import OPTIONS, Settings
from .splits import LEAVE_ONE_OUT

RESULT = "result.json"
"""The file that is written last: a run without it is not finished."""
SETTINGS = "settings.json"
"""The file that is written first."""
WAY_OUT = "restore it, choose another `run` name, or train the run again with `resume=False`"
"""Out of damaged settings."""
LAYOUT = "layout.json"
"""A copy of the layout, if it was given as a file."""
FILES = (SETTINGS, LAYOUT, "metrics.csv", "last.ckpt", "best.ckpt", "val.npz", "test.npz", RESULT)
"""All files that a run writes into its folder, except hidden ones."""
MAX_NAME_LENGTH = 150
"""In bytes; with what is added for unfinished files, a name on disk has at most 255."""
NAME = re.compile(r"\w[\w.+=,-]*")
"""The pattern of a name that becomes a file or folder: it cannot lead to another folder."""


def run_name(settings: Settings, data: str | Path = "synthetic") -> str:
    """The default name of a run: data (unless ``synthetic``), main settings, and all settings that differ
    from the preset."""
    settings = settings.resolve()
    parts = [] if str(data) == "synthetic" else [Path(data).name]
    layout = Path(settings.layout).stem if layouts.is_file(settings.layout) else settings.layout
    parts += [settings.model, settings.stream, layout, settings.temporal, settings.preset]
    parts += (
        [settings.partition] if settings.of_model.input == "graph" and settings.partition != "spatial" else []
    )
    parts += [] if settings.semantic_weight else ["plain"]
    usual = Settings().weights | ({} if settings.semantic_weight else {"semantic": 0.0})
    parts += [
        f"{term}_weight{weight:g}" for term, weight in settings.weights.items() if weight != usual[term]
    ]
    parts += [Path(settings.embeddings).stem] if settings.embeddings else []
    parts += [_shown(name, value) for name, value in settings.differing().items()]
    parts += (
        [f"from_{re.sub(r'[.](pth?|ckpt)$', '', Path(settings.start_from).name)}"]
        if settings.start_from
        else []
    )
    parts += [f"kept_learning_rate{settings.kept_learning_rate:g}"] if settings.kept_learning_rate else []
    parts += [
        _shown(name, getattr(settings, name))
        for name in OPTIONS
        if getattr(settings, name) != getattr(Settings, name)
    ]
    parts += ["persons2"] if settings.persons == 2 else []
    parts += [settings.protocol] if settings.protocol else []
    parts += [f"folds{settings.folds}"] if settings.folds else []
    parts += [str(settings.seed)]
    parts += [f"fold{settings.fold}"] if settings.folds or settings.protocol == LEAVE_ONE_OUT else []
    return safe_name("-".join(parts))


def _shown(name: str, value: float | str) -> str:
    return f"{name}_{value}" if isinstance(value, str) else f"{name}{value:g}"


def stored_settings(run: Path, stored: Mapping[str, Any], device: str = "cpu") -> Settings:
    """The settings that a run stored, see ``Settings.of_run``. A layout from a file is the copy that the run
    folder has.

    Raises:
        ValueError: the run has other settings than this version knows, or the file is damaged.
    """
    kept = run / LAYOUT
    try:
        return Settings.of_run({**stored, **({"layout": str(kept)} if kept.exists() else {})}, device)
    except ValueError as error:
        raise ValueError(f"{run / SETTINGS}: {error}; {WAY_OUT}") from None


def run_folder(name: str, outputs: str | Path = "", kind: str = "run") -> Path:
    """The folder of the run (or of another ``kind`` of result, such as an ensemble) with that name; made if
    it does not exist.

    Raises:
        ValueError: a name that is not letters, digits and ``. _ + = , -``, so that it could lead to another
            folder.
        OSError: the folder cannot be made.
    """
    if not _is_safe(name):
        raise ValueError(
            f"the name of {'an' if kind[0] in 'aeiou' else 'a'} {kind} must be up to {MAX_NAME_LENGTH} letters, digits and . _ + = , - "
            f"(fewer if not of ASCII) and begin with a letter, a digit or _, got {name[:80]!r}"
        )
    path = outputs_folder(outputs) / f"{kind}s" / name
    with atomic.explained(path):
        path.mkdir(parents=True, exist_ok=True)
    return path


def safe_name(text: str) -> str:
    """The text, if it can be a file name; else a name made from it: other characters become ``-``, and a
    digest makes it unique."""
    if _is_safe(text):
        return text
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:8]
    readable = (
        re.sub(r"[^\w.+=,-]+", "-", text)
        .strip("-.+=,")
        .encode()[: MAX_NAME_LENGTH - 9]
        .decode(errors="ignore")
    )
    return f"{readable}-{digest}" if readable else digest


def _is_safe(name: str) -> bool:
    return bool(NAME.fullmatch(name)) and len(name.encode()) <= MAX_NAME_LENGTH


def require_own_folder(path: Path, files: Iterable[str]) -> None:
    """Check that a folder has no files of another origin, before it is written to.

    Args:
        files: the names of all files that are written into it; hidden files are ignored.

    Raises:
        ValueError: the folder has another file.
    """
    if foreign := sorted(
        entry.name for entry in path.iterdir() if entry.name not in files and not entry.name.startswith(".")
    ):
        raise ValueError(
            f"{path}: not overwritten, since it has {foreign[0]!r}, a file of another origin; choose another name"
        )


@contextmanager
def lock_run(run: Path) -> Iterator[None]:
    """Lock a run folder for this process.

    The operating system frees the lock when the process ends, also when it is killed, so no lock is left
    over.

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
            who = "process {process} on {host}".format_map(read_json(holder))
        except (ValueError, KeyError, TypeError):
            who = "another process"
        raise RuntimeError(
            f"{run}: held by {who}; wait for it, end it, or choose another `run` name"
        ) from None
    try:
        atomic.write_text(holder, json.dumps({"host": platform.node(), "process": os.getpid()}))
        yield
    finally:
        guard.release()


def read_json(path: Path, *keys: str) -> dict[str, Any]:
    """What ``write_json`` wrote. Raises ValueError, naming the file, where it is damaged or has no dict at
    one of the keys."""
    try:
        content = untrusted.document(path)
    except ValueError as error:
        raise ValueError(f"{error}; {WAY_OUT}") from None
    if lacking := [
        key for key in keys if not isinstance(content, dict) or not isinstance(content.get(key), dict)
    ]:
        raise ValueError(f"{path}: damaged, it has no {lacking[0]!r}; {WAY_OUT}")
    return content


def environment() -> dict[str, str]:
    """What a result depends on besides its settings: versions, machine, and the state of the repository."""
    about = {package: version(package) for package in ("miga_lib", "torch", "numpy")}
    about |= {
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "host": platform.node(),
    }
    return about | {"git": _git_state(), "started": datetime.now(UTC).isoformat(timespec="seconds")}


def _git_state() -> str:
    try:
        here = Path(__file__).parent
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True, check=True
        )
        return described.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "not in a repository"


def run_result(run: Path) -> dict[str, Any]:
    """Settings, environment and scores of a finished run. Raises FileNotFoundError where the run is not
    finished."""
    if not (run / RESULT).exists():
        raise FileNotFoundError(
            f"{run}: the run is not finished (no {RESULT}); run 04_train with the same parameters to resume it"
        )
    return read_json(run / RESULT, "settings", "data", "scores")


def fingerprint(clips: Clips) -> dict[str, Any]:
    """What is equal for two runs on the same clips: number, classes, two digests, and a checksum.

    ``digest`` is of ids, labels, splits and lengths. ``content`` leaves out the splits, so it is the same for
    all folds and protocols. The checksum is that of the keypoints in the order of the table; unlike the
    digests, it differs between layouts.
    """
    columns = ["id", "label", "split", "frames"]
    digests = {"digest": columns, "content": [column for column in columns if column != "split"]}
    of_clips = {
        name: f"{int(pd.util.hash_pandas_object(clips.table[of], index=False).sum()):x}"
        for name, of in digests.items()
    }
    return {"clips": len(clips), **of_clips, "classes": list(clips.classes), "checksum": clips.checksum}


def runs_table(outputs: str | Path = "") -> pd.DataFrame:
    """A row for each run under ``outputs/runs``, in any state, and for each ensemble under
    ``outputs/ensembles``, the newest first.

    Columns: run, state (finished, unfinished, ensemble, or broken and why), changed (when it was finished or
    last written to), epochs_done, the settings, clips and digest (of its data), seconds, and the scores as
    ``<split>_<score>``.

    Raises:
        DataError: the folder ``outputs/runs`` or ``outputs/ensembles`` cannot be listed.
    """
    found = [
        path
        for kind in ("runs", "ensembles")
        for path in inside(outputs_folder(outputs) / kind, missing=True)
        if not path.name.startswith(".")
    ]
    columns = ["run", "state", "changed", "epochs_done"]
    frame = pd.DataFrame([_row(path) for path in found], columns=None if found else columns)
    frame = frame[columns + [c for c in frame if c not in columns]]
    return frame.sort_values("changed", ascending=False, ignore_index=True, kind="stable")


def _row(run: Path) -> dict[str, Any]:
    """The row of a run or an ensemble in ``table``."""
    finished = os.path.exists(run / RESULT)  # False in a folder that may not be read
    ensemble = run.parent.name == "ensembles"
    row: dict[str, Any] = {
        "state": "unfinished" if not finished else "ensemble" if ensemble else "finished",
        "epochs_done": 0,
    }
    try:
        # A run that was killed while its clips were read has no settings yet.
        if not ensemble and any(not path.name.startswith(".") for path in run.iterdir()):
            about = read_json(run / SETTINGS, "settings", "data")
            row |= about["settings"] | {
                name: about["data"].get(name, "") for name in ("clips", "digest", "content", "checksum")
            }
        if (run / "metrics.csv").exists():
            row["epochs_done"] = len(untrusted.rows(run / "metrics.csv"))
        if finished:
            about = read_json(run / RESULT, "scores") if ensemble else run_result(run)
            row |= {} if ensemble else {"seconds": about["seconds"]}
            row |= {
                f"{split}_{score}": value
                for split, scores in about["scores"].items()
                for score, value in scores.items()
            }
            if lacking := [
                f"{split}.npz" for split in about["scores"] if not (run / f"{split}.npz").exists()
            ]:
                row["state"] = f"broken: {lacking[0]} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        row["state"] = f"broken: {type(error).__name__}: {error}"
    written = [run / RESULT] if finished else [run, *run.glob("*.*")]
    return row | {
        "run": run.name,
        "changed": datetime.fromtimestamp(max(path.stat().st_mtime for path in written), UTC),
    }


def newest_runs(count: int, outputs: str | Path = "", clips: Clips | None = None) -> list[Path]:
    """Folders of the ``count`` runs that were finished last, of all runs or of those on the given clips.

    Raises:
        FileNotFoundError: there are fewer finished runs.
    """
    finished = _finished(outputs, clips).head(count)
    if len(finished) < count:
        raise FileNotFoundError(
            f"{outputs_folder(outputs) / 'runs'}: expected at least {count} finished runs, found {len(finished)}; train with 04_train first"
            + (", on the same `data`" if clips is not None else "")
        )
    return [outputs_folder(outputs) / "runs" / name for name in finished["run"]]


def newest_streams(outputs: str | Path = "", clips: Clips | None = None) -> list[Path]:
    """Folders of a finished joint run and a finished limb run, in this order.

    The limb run is the newest one. The joint run has the same model; of several, it is the one with the most
    settings in common, and of those the newest.

    Raises:
        FileNotFoundError: there is no such joint or limb run.
    """
    finished = _finished(outputs, clips)
    limbs = finished[finished["stream"] == "limb"] if len(finished) else finished
    joints = (
        finished[(finished["stream"] == "joint") & (finished["model"] == limbs["model"].iloc[0])]
        if len(limbs)
        else limbs
    )
    if not len(joints):
        lacking = "joint" if len(limbs) else "limb"
        raise FileNotFoundError(
            f"{outputs_folder(outputs) / 'runs'}: no finished {lacking} run on these clips; train with 04_train -p stream {lacking}, "
            "or name the `runs` to fuse"
        )
    names = [
        field.name for field in fields(Settings) if field.name in finished
    ]  # runs of earlier versions have fewer settings
    alike = (joints[names] == limbs[names].iloc[0]).sum(axis=1)
    return [
        outputs_folder(outputs) / "runs" / name
        for name in (joints.loc[alike.idxmax(), "run"], limbs["run"].iloc[0])
    ]


def all_folds(folders: Sequence[Path]) -> list[Path]:
    """The folders of runs, with the other finished folds of each run that is one fold of a cross-validation,
    in the order of folds.

    Folds belong together where the runs beside them have the same settings, except for ``fold``, and the same
    clips.
    """
    found: list[Path] = []
    for folder in folders:
        of_run = fold_of(folder)
        siblings = {folder: 0}
        if of_run:
            others = {
                beside: fold_of(beside)
                for beside in sorted(folder.parent.glob("*/"))
                if (beside / RESULT).exists()
            }
            siblings = {
                beside: other[2] for beside, other in others.items() if other and other[:2] == of_run[:2]
            }
        found += [path for path in sorted(siblings, key=siblings.__getitem__) if path not in found]
    return found


def fold_of(folder: Path) -> tuple[dict[str, Any], str, int] | None:
    """The settings without device, precision and ``fold`` of a run that is one fold of a cross-validation,
    its content, its fold."""
    try:
        about = run_result(folder)
    except (ValueError, OSError):
        return None
    settings = {
        name: value
        for name, value in about["settings"].items()
        if name not in ("device", "precision", "fold")
    }
    if not settings.get("folds") and settings.get("protocol") != LEAVE_ONE_OUT:
        return None
    return settings, about["data"].get("content", ""), about["settings"]["fold"]


def clip_arguments(folders: Sequence[Path], layout: str = "") -> dict[str, Any]:
    """The arguments with which ``clips.load`` gives the clips of the first of some runs: its
    ``Settings.clip_arguments``.

    An ensemble is represented by the first of its runs, if that is in the same outputs folder.

    Args:
        layout: takes the place of the run's layout; empty: that of the run, without runs ``imigue41``.
    """
    kept = {}
    for folder in folders[:1]:
        about = read_json(folder / RESULT)
        member = folder.parents[1] / "runs" / str(about.get("runs", [""])[0])
        if "settings" not in about and (member / RESULT).exists():
            folder, about = member, read_json(member / RESULT)
        if "settings" in about:
            settings = stored_settings(folder, about["settings"])
            kept = settings.clip_arguments
    return kept | ({"layout": layout or kept.get("layout", "imigue41")})


def _finished(outputs: str | Path, clips: Clips | None) -> pd.DataFrame:
    every = runs_table(outputs)
    finished = every[every["state"] == "finished"]
    if clips is None or finished.empty:
        return finished
    data = fingerprint(clips)
    # Keypoints are compared where both sides have the same joints; runs of earlier versions kept no checksum
    # of theirs.
    comparable = (finished["layout"] == clips.layout.name) & (finished["checksum"] != "")
    same = (finished["digest"] == data["digest"]) | (finished["content"] == data["content"])
    return finished[same & (~comparable | (finished["checksum"] == data["checksum"]))]


def find_run(name: str, outputs: str | Path = "") -> Path:
    """The folder of a finished run, or of an ensemble, by its name or path.

    Raises:
        ValueError: there is none; the message lists finished runs.
    """
    for kind in ("runs", "ensembles"):
        if name and os.path.exists(path := outputs_folder(outputs) / kind / name / RESULT):
            return path.parent
    known = ", ".join(_finished(outputs, None)["run"].head(10)) or "none"
    raise ValueError(
        f"there is no finished run or ensemble {name!r:.100} in {outputs_folder(outputs)}; finished runs are {known}"
    )


def to_tensorboard(outputs: str | Path = "") -> Path:
    """Write the content of each run's ``metrics.csv`` as event files of TensorBoard, which ``tensorboard
    --logdir outputs`` shows.

    Settings and final scores appear in its tab for hyperparameters. Older event files of the same runs are
    replaced; all other files, such as those of a run that was removed since, stay.

    Returns:
        The folder ``outputs/tensorboard``, which has one folder for each run.

    Raises:
        ModuleNotFoundError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError:
        raise ModuleNotFoundError("TensorBoard is not installed; `pip install tensorboard`") from None
    place, every = outputs_folder(outputs) / "tensorboard", runs_table(outputs)
    settings = [field.name for field in fields(Settings) if field.name in every]
    for row in every[every["epochs_done"] > 0].to_dict("records"):
        for old in (place / row["run"]).glob("events.out.tfevents.*"):
            old.unlink()
        epochs = pd.read_csv(outputs_folder(outputs) / "runs" / row["run"] / "metrics.csv")
        with SummaryWriter(str(place / row["run"])) as writer:
            for epoch in epochs.to_dict("records"):
                number = int(epoch.pop("epoch"))
                for name, value in epoch.items():
                    writer.add_scalar(name.replace("val_", "validation/"), value, number)
            final = {
                name: row[name] for name in row if name.startswith(("val_", "test_")) and pd.notna(row[name])
            }
            writer.add_hparams({name: row[name] for name in settings}, final, run_name=".")
    return place


@terminal()
def main(arguments: list[str] | None = None) -> None:
    """``python -m miga_lib.runs``: the table of all runs."""
    parser = argparse.ArgumentParser(
        prog="python -m miga_lib.runs", description="A table of all runs, the newest first."
    )
    parser.add_argument(
        "--outputs", default="", help="folder of runs and caches; empty: the repository's outputs/"
    )
    parser.add_argument(
        "--tensorboard", action="store_true", help="write event files for TensorBoard as well"
    )
    given = parser.parse_args(arguments)
    columns = [
        "run",
        "state",
        "epochs_done",
        "val_top1",
        "test_top1",
        "test_mean_class",
        "test_macro_f1",
        "test_majority",
        "seconds",
    ]
    every = runs_table(given.outputs)
    if every.empty:
        print(
            f"no runs in {outputs_folder(given.outputs) / 'runs'}; `python -m miga_lib.training` trains one"
        )
        return
    shown = every[[c for c in columns if c in every]]
    shares = shown.filter(regex="^(val|test)_").map(metrics.percent, na_action="ignore")
    in_a_word = shown["state"].map(lambda state: state.partition(": ")[0])
    print(
        shown.assign(**shares, state=in_a_word).to_string(
            index=False, float_format="{:.1f}".format, na_rep="–"
        )
    )
    for run, state in shown.loc[shown["state"] != in_a_word, ["run", "state"]].to_numpy():
        print(f"{run} is {state}")
    if given.tensorboard:
        print(f"tensorboard --logdir {to_tensorboard(given.outputs)}")


if __name__ == "__main__":
    main()
