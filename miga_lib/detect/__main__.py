"""``python -m miga_lib.detect <videos> --out <folder>``. Errors that a user can correct are one line each."""

import argparse
from pathlib import Path

from ..clips import terminal, terminal_progress
from ..readers import DataError, printable
from . import DETECTORS, pictures, write


@terminal()
def main(arguments: list[str] | None = None) -> None:
    """The command line. A video that cannot be used is told, and the others go on; the exit status is then
    1."""
    name = "python -m miga_lib.detect"
    parser = argparse.ArgumentParser(prog=name, description="Joints of videos, as OpenPose's files.")
    parser.add_argument("videos", nargs="+", help="videos, and folders of them")
    parser.add_argument("--out", required=True, type=Path, help="a folder; each video gets a folder in it")
    parser.add_argument("--detector", choices=DETECTORS, default="mediapipe", help="default %(default)s")
    given = parser.parse_args(arguments)
    refused = 0
    try:
        for video in pictures.find(given.videos):
            try:
                told = write(video, given.out, given.detector, terminal_progress())
            except DataError as error:
                refused += 1
                print(error, flush=True)
            else:
                print(*(printable(f"{video}: {line}") for line in told), sep="\n", flush=True)
    except KeyboardInterrupt:
        raise SystemExit(f"{name}: stopped; the same command goes on with the video that it was at") from None
    except (ValueError, RuntimeError, OSError) as error:
        raise SystemExit(f"{name}: {error}") from None
    if refused:
        raise SystemExit(f"{name}: {refused} of the videos above cannot be used")


if __name__ == "__main__":
    main()
