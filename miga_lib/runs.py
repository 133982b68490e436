"""Run folders: what a training run leaves behind, written so that no file under its final name is ever half there."""

import json
import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import filelock
import pandas as pd

from .clips import outputs_folder
from .settings import Settings

RESULT = "result.json"
"""Written last: a run without it is not finished."""


def name(settings: Settings, data: str | Path = "synthetic") -> str:
    """The name of a run where none is given: of what it was trained on, unless that is ``synthetic``, and of its settings."""
    settings = settings.resolve()
    parts = [] if str(data) == "synthetic" else [Path(data).name]
    parts += [settings.model, settings.stream, settings.layout, settings.temporal, settings.preset]
    parts += [settings.strategy] if settings.model == "stgcn" and settings.strategy != "spatial" else []
    parts += [] if settings.semantic_weight else ["plain"]
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


def write_text(path: Path, text: str) -> None:
    """Write a text file beside its place and rename it there, so that it is either the old or the new one."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    os.replace(unfinished, path)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a dict as indented json, as ``write_text`` does."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """What ``write_json`` wrote. Raises ValueError, naming the file, where that is no json."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not json ({error}); remove it, or choose another `run` name") from None


def circumstances() -> dict[str, str]:
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
    """Settings, circumstances and scores of a finished run. Raises FileNotFoundError where the run is not finished."""
    if not (run / RESULT).exists():
        raise FileNotFoundError(f"{run}: the run is not finished (no {RESULT}); run 04_train with the same parameters to go on with it")
    return read_json(run / RESULT)


def table(outputs: str | Path = "") -> pd.DataFrame:
    """Every run under ``outputs/runs``, newest first: its name, state (finished, unfinished or broken), settings and scores."""
    rows = []
    for path in sorted((outputs_folder(outputs) / "runs").glob("*/")):
        row: dict[str, Any] = {"run": path.name, "changed": datetime.fromtimestamp(path.stat().st_mtime, UTC)}
        try:
            row |= read_json(path / "settings.json")["settings"]
            if (path / RESULT).exists():
                about = result(path)
                row |= {"state": "finished", "seconds": about["seconds"]}
                row |= {f"{split}_{name}": value for split, scores in about["scores"].items() for name, value in scores.items()}
            else:
                row["state"] = "unfinished"
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            row["state"] = f"broken: {type(error).__name__}: {error}"
        rows.append(row)
    columns = ["run", "state", "changed"]
    frame = pd.DataFrame(rows, columns=None if rows else columns)
    return frame[columns + [c for c in frame if c not in columns]].sort_values("changed", ascending=False, ignore_index=True)


def newest(count: int, outputs: str | Path = "") -> list[Path]:
    """Folders of the finished runs that changed last. Raises FileNotFoundError where there are fewer."""
    finished = table(outputs).query("state == 'finished'")["run"].head(count)
    if len(finished) < count:
        raise FileNotFoundError(
            f"{outputs_folder(outputs) / 'runs'}: {count} finished runs are needed and {len(finished)} are there; train with 04_train first"
        )
    return [folder(name, outputs) for name in finished]


if __name__ == "__main__":
    columns = ["run", "state", "val_top1", "test_top1", "test_mean_class", "test_macro_f1", "test_majority", "seconds"]
    every = table()
    print(every[[c for c in columns if c in every]].to_string(index=False, float_format="{:.3f}".format, na_rep="–"))
