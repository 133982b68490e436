"""A finished run as one file that needs no ``miga_lib``: keypoints (N, T, V, 3) → class probabilities (N, K).

``python -m miga_lib.export <run>`` writes it with ``torch.export`` or as ONNX, with preprocessing inside.
docs/export.md uses such a file.
"""

import argparse
import io
import json
import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from . import alignment, atomic, ensemble, layouts, training
from .clips import Clips, outputs_folder, terminal
from .ensemble import recipes
from .runs import find_run, run_result
from .settings import Settings, check_choice
from .training.inputs import test_pixels, unchanged_and_mirrored

ABOUT = "miga_lib"
"""The name under which the metadata of a file have, as JSON, what it was made from."""
TOLERANCE = 1e-4
"""Largest difference allowed between the probabilities of a file and of the library."""

Predict = Callable[[np.ndarray], np.ndarray]


class Recogniser(nn.Module):
    """Keypoints → probabilities as ``training.predict`` computes them; of several runs, their average."""

    def __init__(self, members: Sequence[tuple[nn.Module, Settings]]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(
            settings.architecture.for_prediction(network) for network, settings in members
        )
        self.settings = [settings for _, settings in members]

    def forward(self, keypoints: Float[Tensor, "N T V 3"]) -> Float[Tensor, "N K"]:
        clips, length = keypoints.shape[:2]
        frames, starts = torch.full((clips,), length), torch.arange(clips) * length
        averages = []
        for network, settings in zip(self.networks, self.settings, strict=True):
            resampled = alignment.resample(
                keypoints.flatten(0, 1), starts, frames, settings.frames, settings.temporal
            )
            views = torch.cat([*unchanged_and_mirrored(test_pixels(resampled, settings), settings)])
            inputs = settings.architecture.tensor(
                settings.stream, views, settings.skeleton, settings.test_size
            )
            averages.append(network(inputs)[0].softmax(1).unflatten(0, (2, -1)).mean(0))
        return torch.stack(averages).mean(0)


def write(folders: Sequence[Path], path: Path) -> float:
    """Write one file that predicts as a run does, or as several with equal weights. N and T are free; it
    computes in fp32 on a CPU.

    Before it gets its name, it is read back and compared with the library on made clips, of other N and T
    than those it was traced with.

    Args:
        folders: of finished runs, all of the same joints and classes.
        path: ends with ``.pt2`` for ``torch.export``, or with ``.onnx``.

    Returns:
        The largest difference between its probabilities and those of the library.

    Raises:
        ValueError: another ending, an ensemble, runs of other joints or classes, or a setting that a file
            cannot have.
        FileNotFoundError: a run is not finished.
        ModuleNotFoundError: the packages for ONNX are not installed.
        RuntimeError: PyTorch cannot export the model, or the file predicts something else than the library.
        OSError: the file cannot be written.
    """
    check_choice("the ending of an exported file", path.suffix, _FORMATS)
    if path.suffix == ".onnx":
        _require_onnx()
    members = [_member(folder) for folder in folders]
    about, settings = _about(folders, members), members[0][1]
    example = torch.from_numpy(_made(2, settings.frames + 1, settings))
    logging.disable(
        logging.ERROR
    )  # PyTorch warns of packages that are not needed, and shows the stack of what is raised below
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what later versions of PyTorch will change
            shapes = ({0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC},)
            program = torch.export.export(
                Recogniser(members).eval(), (example,), dynamic_shapes=shapes, strict=False
            )
            content, predict = _FORMATS[path.suffix](program, json.dumps(about))
    except Exception as error:  # of many kinds, and of many lines
        models, reason = (
            ", ".join(of.model for _, of in members),
            " ".join(str(error).partition(". ")[0].split())[:120],
        )
        way_out = "try the other format, or another version of PyTorch"
        raise RuntimeError(
            f"{path}: PyTorch {torch.__version__} cannot export {models} ({reason}); {way_out}"
        ) from error
    finally:
        logging.disable(logging.NOTSET)
    made = [
        _made(count, frames, settings)
        for count, frames in ((3, settings.frames // 2 + 1), (1, 2 * settings.frames + 1))
    ]
    difference = max(
        float(np.abs(predict(keypoints) - _expected(keypoints, members, about["classes"])).max())
        for keypoints in made
    )
    if not difference <= TOLERANCE:
        raise RuntimeError(
            f"{path}: not written, since its probabilities differ from the library's by {difference:.2g}, where {TOLERANCE:g} is allowed; "
            "try the other format, or another version of PyTorch"
        )
    atomic.write_bytes(path, content)
    return difference


def _member(folder: Path) -> tuple[nn.Module, Settings]:
    """The network of a run and its settings, on the CPU and in fp32. Raises ValueError where a file cannot
    have a setting."""
    if folder.parent.name == "ensembles":
        raise ValueError(
            f"{folder}: is an ensemble; give the names of its runs, which are averaged with equal weights"
        )
    network, settings = training.load_model(folder, "cpu")
    if settings.temporal == "segments":
        raise ValueError(
            f"{folder}: temporal 'segments' cannot be exported, its test views have random frames; use 'align' or 'crop_pad'"
        )
    if settings.denoise:
        raise ValueError(
            f"{folder}: denoise {settings.denoise!r} cannot be exported, filters are not part of a network; use a run without"
        )
    return network, replace(settings, precision="fp32")


def _about(folders: Sequence[Path], members: Sequence[tuple[nn.Module, Settings]]) -> dict[str, Any]:
    """The metadata of the file. Raises ValueError where runs have different joints or classes."""
    facts = [{"classes": run_result(folder)["data"]["classes"]} for folder in folders]
    for of_run, (_, settings) in zip(facts, members, strict=True):
        of_run["joints"] = list(settings.skeleton.joints)
    for what in ("classes", "joints"):
        for folder, of_run in zip(folders, facts, strict=True):
            if of_run[what] != facts[0][what]:
                raise ValueError(
                    f"{folder}: its {what} are not those of {folders[0].name}; only runs with the same {what} can be one file"
                )
    settings, of_openpose = members[0][1], layouts.get("openpose137").joints
    facts[0] |= {
        "layout": settings.skeleton.name,
        "preset": settings.preset,
        "runs": [folder.name for folder in folders],
    }
    if set(settings.skeleton.joints) <= set(of_openpose):
        facts[0]["openpose137"] = [of_openpose.index(joint) for joint in settings.skeleton.joints]
    return facts[0] | {"miga_lib": version("miga_lib")}


def _made(clips: int, frames: int, settings: Settings) -> Float[np.ndarray, "N T V 3"]:
    """Keypoints of moving people in pixels; a fifth of the joints is missing, and in the last of several
    clips all are."""
    rng, joints = np.random.default_rng(clips * frames), len(settings.skeleton.joints)
    places = rng.normal((640, 360), 150, (clips, 1, joints, 2)) + rng.normal(
        0, 10, (clips, frames, joints, 2)
    ).cumsum(1)
    keypoints = np.concatenate([places, rng.uniform(0.1, 1, (clips, frames, joints, 1))], axis=3).astype(
        np.float32
    )
    keypoints[rng.random((clips, frames, joints)) < 0.2] = 0
    keypoints[1:][-1:] = 0
    return keypoints


def _expected(
    keypoints: Float[np.ndarray, "N T V 3"],
    members: Sequence[tuple[nn.Module, Settings]],
    classes: Sequence[str],
) -> np.ndarray:
    """The probabilities that the library predicts, (N, K)."""
    count, frames = keypoints.shape[:2]
    table = pd.DataFrame(
        {
            "id": [str(i) for i in range(count)],
            "label": -1,
            "frames": frames,
            "start": np.arange(count) * frames,
        }
    )
    clips = Clips(
        table, keypoints.reshape(-1, *keypoints.shape[2:]), members[0][1].skeleton, tuple(classes), ""
    )
    return ensemble.fuse(
        [training.predict(network, clips, settings) for network, settings in members]
    ).probabilities


def _pt2(program: torch.export.ExportedProgram, about: str) -> tuple[bytes, Predict]:
    """The content of a file of ``torch.export``, and a function that predicts with it."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={ABOUT: about})
    network = torch.export.load(io.BytesIO(buffer.getvalue())).module()
    return buffer.getvalue(), lambda keypoints: network(torch.from_numpy(keypoints)).detach().numpy()


def _onnx(program: torch.export.ExportedProgram, about: str) -> tuple[bytes, Predict]:
    """The content of an ONNX file, and a function that predicts with it in ONNX Runtime."""
    import onnxruntime

    exported = torch.onnx.export(
        program, dynamo=True, verbose=False, input_names=["keypoints"], output_names=["probabilities"]
    )
    assert exported is not None  # with dynamo it is not
    exported.model.metadata_props[ABOUT] = about
    content = exported.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return content, lambda keypoints: session.run(None, {"keypoints": keypoints})[0]


_FORMATS = {".pt2": _pt2, ".onnx": _onnx}


def _require_onnx() -> None:
    """Raise ModuleNotFoundError, with what to install, where the packages of the extra ``export`` are
    missing."""
    try:
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{error.name} is not installed; `pip install onnx onnxscript onnxruntime`"
        ) from None


@terminal()
def main(arguments: list[str] | None = None) -> None:
    """``python -m miga_lib.export``: one or more runs as a file in ``outputs/exports``."""
    parser = argparse.ArgumentParser(
        prog="python -m miga_lib.export",
        description="Write a finished run, or the average of several, as one file: see docs/export.md.",
    )
    parser.add_argument("runs", nargs="+", help="names of finished runs")
    parser.add_argument(
        "--format",
        default="pt2",
        choices=[ending[1:] for ending in _FORMATS],
        help="of torch.export, or ONNX",
    )
    parser.add_argument(
        "--outputs", default="", help="folder of runs and caches; empty: the repository's outputs/"
    )
    given = parser.parse_args(arguments)
    try:
        folders = [find_run(run, given.outputs) for run in given.runs]
        name = recipes.name([folder.name for folder in folders])
        path = outputs_folder(given.outputs) / "exports" / f"{name}.{given.format}"
        difference = write(folders, path)
    except (ValueError, RuntimeError, OSError, ModuleNotFoundError) as error:
        raise SystemExit(f"{parser.prog}: {error}") from None
    print(
        f"{path}: {path.stat().st_size / 1e6:.1f} MB; its probabilities differ from the library's by {difference:.1g} at most"
    )


if __name__ == "__main__":
    main()
