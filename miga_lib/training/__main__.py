"""``python -m miga_lib.training``: every setting as an option."""

import argparse
import json
from typing import Any

from ..clips import load, terminal
from ..runs import run_folder, run_name
from ..settings import Settings, choose, names
from . import distributed, processes
from .loop import fit, left_out


@terminal()
def main(arguments: list[str] | None = None) -> None:
    """Train with the given options. Errors that a user can correct are one line; Ctrl-C ends with 130."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {processes.MODULE}",
        description="Train one stream; the options that are not given have the value of the preset. "
        "Their values in `quick` are shown; docs/training.md says what they mean.",
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("--data", default="synthetic", help="folder of clips, or the name of a synthetic set")
    parser.add_argument("--outputs", default="", help="folder of runs; empty: the repository's outputs/")
    parser.add_argument("--run", default="", help="name of the run; empty: made from the settings")
    parser.add_argument("--settings", type=json.loads, default={}, help="settings by name, as JSON")
    for name, example in names().items():
        _add_option(parser, name, example)
    options = vars(parser.parse_args(arguments))
    data, outputs, run = (options.pop(name) for name in ("data", "outputs", "run"))
    try:
        _train(choose(**(options.pop("settings") | options)), data, outputs, run)
    except (ValueError, RuntimeError, FloatingPointError, OSError, MemoryError) as error:
        raise SystemExit(f"{parser.prog}: {error}") from None
    except KeyboardInterrupt as stopped:
        print(str(stopped) or "stopped", flush=True)
        raise SystemExit(130) from None


def _add_option(parser: argparse.ArgumentParser, name: str, example: Any) -> None:
    """An option for a setting, of the type of the example. Several numbers are joined by commas."""
    option, text = f"--{name.replace('_', '-')}", str(example)
    if isinstance(example, tuple):
        text = ",".join(map(str, example))
    usual = f"quick: {text}" if text else "default: empty"
    if isinstance(example, bool):
        parser.add_argument(option, action=argparse.BooleanOptionalAction, help=usual)
    elif isinstance(example, tuple):
        parser.add_argument(option, type=_numbers, metavar="N,N,…", help=usual)
    else:
        kind = type(example)
        parser.add_argument(option, type=kind, metavar=kind.__name__.upper(), help=usual)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


def _train(settings: Settings, data: str, outputs: str, run: str) -> None:
    """Train in this process or, where several are requested, start them; each of them calls this again."""
    world = distributed.join(settings.device)
    if settings.devices != 1 and world.size == 1:
        processes.launch(settings, data, outputs, run)
        return
    with world.first_alone():
        clips = load(data, outputs=outputs, **settings.clip_arguments)
    if world.rank == 0:
        print(left_out(clips))
    if world.rank == 0 and world.size > 1:
        print(
            f"A step learns from {settings.batch_size} clips, {settings.batch_size / world.size:g} in each of"
            f" {world.size} processes; the learning rate is that of one process, {settings.learning_rate:g},"
            " and batch norm uses all of them."
        )
    fit(clips, settings, run_folder(run or run_name(settings, data), outputs))
    distributed.leave()


if __name__ == "__main__":
    main()
