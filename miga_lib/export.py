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
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from . import alignment, atomic, layouts, training
from .clips import Clips, terminal
from .runs import find_run, run_result
from .settings import Settings, check_choice
from .sources import outputs_folder
from .training.inputs import test_pixels, unchanged_and_mirrored

METADATA = "miga_lib"
"""The name under which a file says, as JSON, what it was made from."""
TOLERANCE = 1e-4
"""Largest difference allowed between the probabilities of a file and of the library."""

Predict = Callable[[np.ndarray], np.ndarray]


class Recogniser(nn.Module):
    """Keypoints → probabilities as ``training.predict`` computes them."""

    def __init__(self, network: nn.Module, settings: Settings) -> None:
        super().__init__()
        self.network, self.settings = settings.architecture.for_prediction(network), settings

    def forward(self, keypoints: Float[Tensor, "N T V 3"]) -> Float[Tensor, "N K"]:
        settings, (clips, length) = self.settings, keypoints.shape[:2]
        frames, starts = torch.full((clips,), length), torch.arange(clips) * length
        resampled = alignment.resample(
            keypoints.flatten(0, 1), starts, frames, settings.frames, settings.temporal
        )
        views = torch.cat([*unchanged_and_mirrored(test_pixels(resampled, settings), settings)])
        inputs = settings.architecture.tensor(settings.stream, views, settings.skeleton, settings.test_size)
        return self.network(inputs)[0].softmax(1).unflatten(0, (2, -1)).mean(0)


def write(run: Path, path: Path) -> float:
    """Write one file that predicts as a run does, ``.pt2`` for ``torch.export`` or ``.onnx``. N and T are
    free; it computes in fp32 on a CPU.

    Before it gets its name, it is read back and compared with the library on random clips, of other N and T
    than those it was traced with. Returns the largest difference between the probabilities.

    Raises:
        ValueError: another ending, an ensemble, or a setting that a file cannot have.
        FileNotFoundError: the run is not finished.
        ModuleNotFoundError: the packages for ONNX are not installed.
        RuntimeError: PyTorch cannot export the model, or the file predicts something else than the library.
        OSError: the file cannot be written.
    """
    check_choice("the ending of an exported file", path.suffix, FORMATS)
    write_format, packages = FORMATS[path.suffix]
    for package in packages:
        if find_spec(package) is None:
            raise ModuleNotFoundError(
                f"{package} is not installed; `pip install onnx onnxscript onnxruntime`"
            )
    network, settings = _load(run)
    classes = run_result(run)["data"]["classes"]
    example = torch.from_numpy(_random_keypoints(2, settings.frames + 1, settings))
    shapes = ({0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC},)
    # PyTorch warns of packages that are not needed, and shows the stack of what is raised below.
    logging.disable(logging.ERROR)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what later versions of PyTorch will change
            recogniser = Recogniser(network, settings).eval()
            program = torch.export.export(recogniser, (example,), dynamic_shapes=shapes, strict=False)
            content, predict = write_format(program, _metadata(run, settings, classes))
    except Exception as error:  # of many kinds, and of many lines
        reason = " ".join(str(error).partition(". ")[0].split())[:120]
        raise RuntimeError(
            f"{path}: PyTorch {torch.__version__} cannot export {settings.model} ({reason}); "
            "try the other format, or another version of PyTorch"
        ) from error
    finally:
        logging.disable(logging.NOTSET)
    differences = []
    for count, frames in ((3, settings.frames // 2 + 1), (1, 2 * settings.frames + 1)):
        keypoints = _random_keypoints(count, frames, settings)
        expected = _predict(keypoints, network, settings, classes)
        differences.append(float(np.abs(predict(keypoints) - expected).max()))
    difference = float(np.max(differences))
    if not difference <= TOLERANCE:
        raise RuntimeError(
            f"{path}: not written, since its probabilities differ from the library's by {difference:.2g}, "
            f"where {TOLERANCE:g} is allowed; try the other format, or another version of PyTorch"
        )
    atomic.write_bytes(path, content)
    return difference


def _load(run: Path) -> tuple[nn.Module, Settings]:
    """The network of a run and its settings, on the CPU and in fp32."""
    if run.parent.name == "ensembles":
        raise ValueError(f"{run}: is an ensemble; export its runs, and average what they predict")
    network, settings = training.load_model(run, "cpu")
    if settings.temporal == "segments":
        raise ValueError(
            f"{run}: temporal 'segments' cannot be exported, its test views have random frames; "
            "use 'align' or 'crop_pad'"
        )
    if settings.denoise:
        raise ValueError(
            f"{run}: denoise {settings.denoise!r} cannot be exported, filters are not part of a network; "
            "use a run without"
        )
    return network, replace(settings, precision="fp32")


def _metadata(run: Path, settings: Settings, classes: Sequence[str]) -> str:
    joints, openpose = settings.skeleton.joints, layouts.get("openpose137").joints
    indices = None
    if set(joints) <= set(openpose):
        indices = [openpose.index(joint) for joint in joints]
    content = {"run": run.name, "classes": classes, "joints": joints, "openpose137": indices}
    return json.dumps(content | {"miga_lib": version("miga_lib")})


def _random_keypoints(clips: int, frames: int, settings: Settings) -> Float[np.ndarray, "N T V 3"]:
    """Moving people in pixels; a fifth of the joints is missing, and in the last of several clips all are."""
    rng, joints = np.random.default_rng(clips * frames), len(settings.skeleton.joints)
    places = rng.normal((640, 360), 150, (clips, 1, joints, 2))
    places = places + rng.normal(0, 10, (clips, frames, joints, 2)).cumsum(1)
    scores = rng.uniform(0.1, 1, (clips, frames, joints, 1))
    keypoints = np.concatenate([places, scores], axis=3).astype(np.float32)
    keypoints[rng.random((clips, frames, joints)) < 0.2] = 0
    keypoints[1:][-1:] = 0
    return keypoints


def _predict(
    keypoints: Float[np.ndarray, "N T V 3"], network: nn.Module, settings: Settings, classes: Sequence[str]
) -> Float[np.ndarray, "N K"]:
    """The probabilities that the library predicts."""
    count, frames = keypoints.shape[:2]
    table = pd.DataFrame({"id": [str(i) for i in range(count)], "label": -1, "frames": frames})
    table["start"] = np.arange(count) * frames
    rows = keypoints.reshape(-1, *keypoints.shape[2:])
    clips = Clips(table, rows, settings.skeleton, tuple(classes), "")
    return training.predict(network, clips, settings).probabilities


def _pt2(program: torch.export.ExportedProgram, metadata: str) -> tuple[bytes, Predict]:
    """The content of a file of ``torch.export``, and a function that predicts with it."""
    buffer = io.BytesIO()
    torch.export.save(program, buffer, extra_files={METADATA: metadata})
    network = torch.export.load(io.BytesIO(buffer.getvalue())).module()
    return buffer.getvalue(), lambda keypoints: network(torch.from_numpy(keypoints)).detach().numpy()


def _onnx(program: torch.export.ExportedProgram, metadata: str) -> tuple[bytes, Predict]:
    """The content of an ONNX file, and a function that predicts with it in ONNX Runtime."""
    import onnxruntime

    inputs, outputs = ["keypoints"], ["probabilities"]
    exported = torch.onnx.export(
        program, dynamo=True, verbose=False, input_names=inputs, output_names=outputs
    )
    assert exported is not None  # with dynamo it is not
    exported.model.metadata_props[METADATA] = metadata
    content = exported.model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    return content, lambda keypoints: session.run(None, {"keypoints": keypoints})[0]


FORMATS: dict[str, tuple[Callable[..., tuple[bytes, Predict]], list[str]]] = {
    ".pt2": (_pt2, []),
    ".onnx": (_onnx, ["onnxruntime", "onnxscript"]),
}
"""What writes a file and predicts with it, by the ending of the file, and the packages that it needs."""


@terminal()
def main(arguments: list[str] | None = None) -> None:
    """``python -m miga_lib.export``: a run as a file in ``outputs/exports``."""
    parser = argparse.ArgumentParser(
        prog="python -m miga_lib.export", description="Write a finished run as one file: see docs/export.md."
    )
    parser.add_argument("run", help="name of a finished run")
    formats = [suffix[1:] for suffix in FORMATS]
    parser.add_argument("--format", default="pt2", choices=formats, help="of torch.export, or ONNX")
    parser.add_argument("--outputs", default="", help="folder of runs; empty: the repository's outputs/")
    options = parser.parse_args(arguments)
    try:
        run = find_run(options.run, options.outputs)
        path = outputs_folder(options.outputs) / "exports" / f"{run.name}.{options.format}"
        difference = write(run, path)
    except (ValueError, RuntimeError, OSError, ModuleNotFoundError) as error:
        raise SystemExit(f"{parser.prog}: {error}") from None
    megabytes = path.stat().st_size / 1e6
    print(
        f"{path}: {megabytes:.1f} MB; its probabilities differ from the library's by {difference:.1g} at most"
    )


if __name__ == "__main__":
    main()
