"""``python -m miga_lib.training``: the parameters of ``04_train`` as options."""

import argparse
from dataclasses import fields

from ..clips import load, terminal
from ..runs import run_folder, run_name
from ..settings import Settings
from . import distributed, processes
from .loop import fit, left_out


@terminal()
def main(arguments: list[str] | None = None) -> None:
    """Train with the given options. Errors that a user can correct are one line; Ctrl-C ends with status
    130."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {processes.MODULE}",
        description="Train one stream; parameters as in notebooks/04_train.ipynb.",
    )
    parser.add_argument("--data", default="synthetic", help="folder of clips, or the name of a synthetic set")
    parser.add_argument(
        "--outputs", default="", help="folder of runs and caches; empty: the repository's outputs/"
    )
    parser.add_argument("--run", default="", help="name of the run; empty: made from the settings")
    parser.add_argument(
        "--resume", default=True, action=argparse.BooleanOptionalAction, help="continue the run in the folder"
    )
    parser.add_argument(
        "--devices",
        default=1,
        type=int,
        help="number of GPUs, or of processes on a CPU; ignored under torchrun",
    )
    add_settings(parser)
    given = vars(parser.parse_args(arguments))
    try:
        _train(
            **{name: given.pop(name) for name in ("data", "outputs", "run", "resume", "devices")},
            settings=Settings(**given),
        )
    except (ValueError, RuntimeError, FloatingPointError, OSError) as error:
        raise SystemExit(f"{parser.prog}: {error}") from None
    except KeyboardInterrupt as stopped:
        print(str(stopped) or "stopped", flush=True)
        raise SystemExit(130) from None


def add_settings(parser: argparse.ArgumentParser) -> None:
    """An option for each field of ``Settings``."""
    for field in fields(Settings):
        option = f"--{field.name.replace('_', '-')}"
        parser.add_argument(
            option, type=type(field.default), default=field.default, help=f"default {field.default!r}"
        )


def _train(settings: Settings, data: str, outputs: str, run: str, resume: bool, devices: int) -> None:
    """Train in this process or, where several are requested, start them; each of them calls this function
    again."""
    settings = settings.resolve()
    world = distributed.join(settings.device)
    if devices != 1 and world.size == 1:
        processes.launch(settings, devices, data, outputs, run, resume)
        return
    with world.first_alone():
        clips = load(data, outputs=outputs, **settings.clip_arguments)
    if world.rank == 0:
        print(left_out(clips))
    if world.rank == 0 and world.size > 1:
        print(
            f"A step learns from {settings.batch_size} clips, {settings.batch_size / world.size:g} in each of {world.size} processes; "
            f"the learning rate is that of one process, {settings.learning_rate:g}, and batch norm uses all of them."
        )
    fit(clips, settings, run_folder(run or run_name(settings, data), outputs), resume)
    distributed.leave()


if __name__ == "__main__":
    main()
