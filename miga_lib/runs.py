"""Run folders: what a training run leaves behind, written so that no file under its final name is ever half there."""

import argparse
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import filelock
import pandas as pd

from .clips import Clips, outputs_folder
from .settings import Settings

RESULT = "result.json"
"""Written last: a run without it is not finished."""


def name(settings: Settings, data: str | Path = "synthetic") -> str:
    """The name of a run where none is given: data (unless ``synthetic``), main settings, and all that differs from the preset."""
    settings = settings.resolve()
    parts = [] if str(data) == "synthetic" else [Path(data).name]
    parts += [settings.model, settings.stream, settings.layout, settings.temporal, settings.preset]
    parts += [settings.strategy] if settings.of_model.input == "graph" and settings.strategy != "spatial" else []
    parts += [] if settings.semantic_weight else ["plain"]
    parts += [f"semantic_weight{settings.semantic_weight:g}"] if settings.semantic_weight not in (0, Settings.semantic_weight) else []
    parts += [Path(settings.embeddings).stem] if settings.embeddings else []
    parts += [f"{name}{value:g}" for name, value in settings.differing().items()]
    return "-".join([*parts, str(settings.seed)])


def folder(name: str, outputs: str | Path = "") -> Path:
    """The folder of a run, made if need be."""
    path = outputs_folder(outputs) / "runs" / name
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextmanager
def lock(run: Path) -> Iterator[None]:
    """Hold a run folder for this process alone.

    The operating system frees the lock when its holder ends, however it ends, so none is ever left over.

    Raises:
        RuntimeError: another process holds it; the message names host and process.
    """
    guard, holder = filelock.FileLock(run / ".lock"), run / ".holder.json"
    try:
        guard.acquire(timeout=0)
    except filelock.Timeout:
        who = json.loads(holder.read_text()) if holder.exists() else {"host": "unknown host", "process": "?"}
        raise RuntimeError(
            f"{run}: held by process {who['process']} on {who['host']}; wait for it, end it, or choose another `run` name"
        ) from None
    try:
        write_text(holder, json.dumps({"host": platform.node(), "process": os.getpid()}))
        yield
    finally:
        guard.release()


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file beside its place and rename it there once the disk has it, so that it is either the old or the new one.

    Raises:
        OSError: it cannot be written; the old one stays as it was, and nothing is left beside it.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        reason = f"{path}: cannot be written ({error.strerror}), what was there before still is; make room and run the same again to go on"
        raise OSError(reason) from None


def write_text(path: Path, text: str) -> None:
    """Write a text file as ``write_bytes`` does."""
    write_bytes(path, text.encode())


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a dict as indented json, as ``write_text`` does."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """What ``write_json`` wrote. Raises ValueError, naming the file, where that is no json."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not json ({error}); remove it, or choose another `run` name") from None


def environment() -> dict[str, str]:
    """What a result depends on beside its settings: versions, machine, and the state of the repository."""
    about = {package: version(package) for package in ("miga_lib", "torch", "numpy")}
    about |= {"python": platform.python_version(), "machine": f"{platform.system()} {platform.machine()}", "host": platform.node()}
    return about | {"git": _git_state(), "started": datetime.now(UTC).isoformat(timespec="seconds")}


def _git_state() -> str:
    try:
        here = Path(__file__).parent
        described = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=here, capture_output=True, text=True, check=True)
        return described.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "not in a repository"


def result(run: Path) -> dict[str, Any]:
    """Settings, environment and scores of a finished run. Raises FileNotFoundError where the run is not finished."""
    if not (run / RESULT).exists():
        raise FileNotFoundError(f"{run}: the run is not finished (no {RESULT}); run 04_train with the same parameters to go on with it")
    return read_json(run / RESULT)


def fingerprint(clips: Clips) -> dict[str, Any]:
    """What says that two runs are of the same clips: how many, the classes, and a digest of ids, labels, splits and lengths."""
    columns = clips.table[["id", "label", "split", "frames"]]
    digest = int(pd.util.hash_pandas_object(columns, index=False).sum())
    return {"clips": len(clips), "digest": f"{digest:x}", "classes": list(clips.classes)}


def table(outputs: str | Path = "") -> pd.DataFrame:
    """Every run under ``outputs/runs``, the newest first: a row each, whatever state it is in.

    Columns: run, state (finished, unfinished, or broken and why), changed (when it was finished or last written to), epochs_done, the
    settings, clips and digest (of its data), seconds, and the scores as ``<split>_<score>``.
    """
    found = [path for path in sorted((outputs_folder(outputs) / "runs").glob("*/")) if not path.name.startswith(".")]
    columns = ["run", "state", "changed", "epochs_done"]
    frame = pd.DataFrame([_row(path) for path in found], columns=None if found else columns)
    frame = frame[columns + [c for c in frame if c not in columns]]
    return frame.sort_values("changed", ascending=False, ignore_index=True, kind="stable")


def _row(run: Path) -> dict[str, Any]:
    """What there is to tell of one run."""
    finished = (run / RESULT).exists()
    row: dict[str, Any] = {"state": "finished" if finished else "unfinished", "epochs_done": 0}
    try:
        about = read_json(run / "settings.json")
        row |= about["settings"] | {"clips": about["data"]["clips"], "digest": about["data"]["digest"]}
        if (run / "metrics.csv").exists():
            row["epochs_done"] = len(pd.read_csv(run / "metrics.csv"))
        if finished:
            about = result(run)
            row["seconds"] = about["seconds"]
            row |= {f"{split}_{score}": value for split, scores in about["scores"].items() for score, value in scores.items()}
            if lacking := [f"{split}.npz" for split in about["scores"] if not (run / f"{split}.npz").exists()]:
                row["state"] = f"broken: {lacking[0]} is gone"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        row["state"] = f"broken: {type(error).__name__}: {error}"
    written = [run / RESULT] if finished else [run, *run.glob("*.*")]
    return row | {"run": run.name, "changed": datetime.fromtimestamp(max(path.stat().st_mtime for path in written), UTC)}


def newest(count: int, outputs: str | Path = "", clips: Clips | None = None) -> list[Path]:
    """Folders of the runs that were finished last, of all of them or of those on the given clips.

    Raises:
        FileNotFoundError: there are fewer.
    """
    finished = _finished(outputs, clips).head(count)
    if len(finished) < count:
        raise FileNotFoundError(
            f"{outputs_folder(outputs) / 'runs'}: {count} finished runs are needed and {len(finished)} are there; train with 04_train first"
            + (", on the same `data`" if clips is not None else "")
        )
    return [folder(name, outputs) for name in finished["run"]]


def newest_streams(outputs: str | Path = "", clips: Clips | None = None) -> list[Path]:
    """Folders of the newest finished limb run and of the joint run that is most like it, the joint run first.

    The joint run is of the same model; of several the one that shares most of the other settings, and of those the newest.

    Raises:
        FileNotFoundError: one of the two is not there.
    """
    finished = _finished(outputs, clips)
    limbs = finished[finished["stream"] == "limb"] if len(finished) else finished
    joints = finished[(finished["stream"] == "joint") & (finished["model"] == limbs["model"].iloc[0])] if len(limbs) else limbs
    if not len(joints):
        lacking = "joint" if len(limbs) else "limb"
        raise FileNotFoundError(
            f"{outputs_folder(outputs) / 'runs'}: no finished {lacking} run on these clips; train with 04_train -p stream {lacking}, "
            "or name the `runs` to fuse"
        )
    alike = (joints[[field.name for field in fields(Settings)]] == limbs[[field.name for field in fields(Settings)]].iloc[0]).sum(axis=1)
    return [folder(name, outputs) for name in (joints.loc[alike.idxmax(), "run"], limbs["run"].iloc[0])]


def _finished(outputs: str | Path, clips: Clips | None) -> pd.DataFrame:
    every = table(outputs)
    finished = every[every["state"] == "finished"]
    return finished if clips is None or finished.empty else finished[finished["digest"] == fingerprint(clips)["digest"]]


def find(name: str, outputs: str | Path = "") -> Path:
    """The folder of a finished run, or of an ensemble, by its name or path.

    Raises:
        ValueError: there is none; the message lists the runs that there are.
    """
    for kind in ("runs", "ensembles"):
        if name and (path := outputs_folder(outputs) / kind / name / RESULT).exists():
            return path.parent
    known = ", ".join(_finished(outputs, None)["run"].head(10)) or "none"
    raise ValueError(f"there is no finished run or ensemble {name!r} in {outputs_folder(outputs)}; there are {known}")


def to_tensorboard(outputs: str | Path = "") -> Path:
    """Write what ``metrics.csv`` of each run tells as TensorBoard's event files: ``tensorboard --logdir outputs`` then shows it.

    Settings and final scores appear under its tab for hyperparameters. What was written there before is replaced.

    Returns:
        The folder, ``outputs/tensorboard``, with one folder a run.

    Raises:
        ModuleNotFoundError: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError:
        raise ModuleNotFoundError("TensorBoard is not installed; `pip install tensorboard`") from None
    place, every = outputs_folder(outputs) / "tensorboard", table(outputs)
    settings = [field.name for field in fields(Settings) if field.name in every]
    shutil.rmtree(place, ignore_errors=True)
    for row in every[every["epochs_done"] > 0].to_dict("records"):
        epochs = pd.read_csv(outputs_folder(outputs) / "runs" / row["run"] / "metrics.csv")
        with SummaryWriter(str(place / row["run"])) as writer:
            for epoch in epochs.to_dict("records"):
                number = int(epoch.pop("epoch"))
                for name, value in epoch.items():
                    writer.add_scalar(name.replace("val_", "validation/"), value, number)
            final = {name: row[name] for name in row if name.startswith(("val_", "test_")) and pd.notna(row[name])}
            writer.add_hparams({name: row[name] for name in settings}, final, run_name=".")
    return place


def main(arguments: list[str] | None = None) -> None:
    """``python -m miga_lib.runs``: the table of all runs."""
    parser = argparse.ArgumentParser(prog="python -m miga_lib.runs", description="The runs that there are, the newest first.")
    parser.add_argument("--outputs", default="", help="where runs lie; empty: the repository's outputs/")
    parser.add_argument("--tensorboard", action="store_true", help="write event files for TensorBoard as well")
    given = parser.parse_args(arguments)
    columns = ["run", "state", "epochs_done", "val_top1", "test_top1", "test_mean_class", "test_macro_f1", "test_majority", "seconds"]
    every = table(given.outputs)
    print(every[[c for c in columns if c in every]].to_string(index=False, float_format="{:.3f}".format, na_rep="–"))
    if given.tensorboard:
        print(f"tensorboard --logdir {to_tensorboard(given.outputs)}")


if __name__ == "__main__":
    main()
