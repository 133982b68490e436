"""Exported files predict as the library does, for any number of clips and frames; docs/export.md uses them
without it."""

import contextlib
import json
import re
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from miga_lib import atomic, export, layouts, runs, training
from miga_lib.clips import Clips
from miga_lib.settings import choose
from miga_lib.training.inputs import inputs_of

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[1] / "docs" / "export.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
CLASSES = ("nod", "shake", "wave", "rest")
BASE = {"preset": "smoke", "device": "cpu", "precision": "fp32", "layout": "body25", "semantic_weight": 0.0}
SMOKE = choose(**BASE)


@torch.no_grad()
def leave(outputs, name, **changes):
    """The files of a finished run that has not learned: a random network, made to give each clip other and
    clear probabilities."""
    settings = choose(**{**BASE, **changes})
    network = training.build(settings, len(CLASSES), 0).eval()
    for parameter in network.parameters():
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter, generator=torch.Generator().manual_seed(0))
    *_, weight, bias = network.parameters()
    eight = clips_of(walks(8, 20, len(settings.skeleton.joints)), settings.skeleton)
    unchanged, _ = inputs_of(eight, settings).views(torch.arange(8))
    logits = network(*unchanged)[0]
    weight *= 2 / logits.std(0).view(-1, *[1] * (weight.ndim - 1))
    bias.sub_(logits.mean(0)).mul_(2 / logits.std(0))
    folder = runs.run_folder(name, outputs)
    torch.save(
        {"version": 1, "model": network.state_dict(), "optimizer": {}, "position": {}}, folder / "best.ckpt"
    )
    about = {
        "settings": settings.values(),
        "data": {"classes": list(CLASSES)},
        "scores": {},
        "embedding_size": 0,
    }
    atomic.write_json(folder / runs.RESULT, about)
    return folder


def clips_of(keypoints, layout):
    """Clips from keypoints (N, T, V, 3)."""
    count, frames = keypoints.shape[:2]
    table = pd.DataFrame({"id": [f"clip {i}" for i in range(count)], "label": -1, "frames": frames})
    table["start"] = np.arange(count) * frames
    return Clips(table, keypoints.reshape(-1, *keypoints.shape[2:]), layout, CLASSES, "")


def by_the_library(run, keypoints):
    """The probabilities of clips (N, T, V, 3) as the library predicts them; not alike, since networks that
    ignore clips always agree."""
    network, settings = training.load_model(run, "cpu")
    clips = clips_of(keypoints, layouts.get("body25"))
    expected = training.predict(network, clips, replace(settings, precision="fp32")).probabilities
    assert len(clips) == 1 or np.ptp(expected, axis=0).max() > 0.01
    return expected


def walks(clips, frames, joints=25):
    """Keypoints of joints that walk at random; a few are missing."""
    rng = np.random.default_rng(frames)
    places = rng.uniform(100, 900, (clips, 1, joints, 2)) + rng.normal(
        0, 15, (clips, frames, joints, 2)
    ).cumsum(1)
    scores = rng.uniform(0.1, 1, (clips, frames, joints, 1)) * (rng.random((clips, frames, joints, 1)) > 0.1)
    return np.concatenate([places, scores], axis=3).astype(np.float32) * (scores > 0)


RUNS = {
    "limb": {"stream": "limb", "temporal": "crop_pad"},
    "bone": {"model": "stgcn", "stream": "bone"},
    "plus": {"model": "stgcnpp", "width": 16},
    "refined": {"model": "ctrgcn", "stream": "bone_motion"},
}
ONNX_RUNS = ["limb", "bone"] if torch.__version__ >= "2.7" else ["limb"]  # 2.6 exports only PoseC3D as ONNX


@pytest.fixture(scope="module", params=ONNX_RUNS)
def onnx(request, tmp_path_factory):
    """An ONNX file, and the folder of its run."""
    pytest.importorskip("onnxruntime")
    outputs = tmp_path_factory.mktemp("onnx")
    run = leave(outputs, request.param, **RUNS[request.param])
    export.write(run, outputs / "model.onnx")
    return outputs / "model.onnx", run


@pytest.fixture(scope="module", params=["plus", "refined"])
def pt2(request, tmp_path_factory):
    """The variables of the page's example with a file of torch.export, and the folder of its run."""
    outputs = tmp_path_factory.mktemp("pt2")
    run = leave(outputs, request.param, **RUNS[request.param])
    export.write(run, outputs / "model.pt2")
    used = {}
    with contextlib.chdir(outputs), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*get_attr")  # PyTorch 2.6
        exec(BLOCKS[1], used)
    return used, run


SHAPES = [(1, 1), (1, 8), (5, 3), (2, 40)]


def test_an_onnx_file_predicts_as_the_library_does(onnx):
    path, run = onnx
    session = pytest.importorskip("onnxruntime").InferenceSession(path)
    for shape in SHAPES:
        keypoints = walks(*shape)
        probabilities = session.run(["probabilities"], {"keypoints": keypoints})[0]
        np.testing.assert_allclose(probabilities, by_the_library(run, keypoints), rtol=0, atol=5e-5)


@torch.no_grad()
def test_a_file_of_torch_predicts_as_the_library_does(pt2):
    used, run = pt2
    assert used["probabilities"].shape == (1, len(CLASSES))
    for shape in SHAPES:
        keypoints = walks(*shape)
        probabilities = used["network"](torch.from_numpy(keypoints)).numpy()
        np.testing.assert_allclose(probabilities, by_the_library(run, keypoints), rtol=0, atol=5e-5)


def test_the_metadata_say_what_the_file_takes_and_gives(pt2):
    used, run = pt2
    about, joints = used["about"], layouts.get("body25").joints
    assert (about["run"], about["classes"], about["joints"]) == (run.name, list(CLASSES), list(joints))
    assert [layouts.get("openpose137").joints[v] for v in about["openpose137"]] == list(joints)


def test_the_page_needs_no_library():
    assert len(BLOCKS) == 2
    assert "miga_lib" not in re.findall(r"^(?:import|from) (\w+)", "".join(BLOCKS), re.MULTILINE)


def test_the_page_reads_openpose_and_predicts(onnx, tmp_path, monkeypatch, capsys):
    path, run = onnx
    monkeypatch.chdir(tmp_path)
    Path("model.onnx").write_bytes(path.read_bytes())
    Path("clip").mkdir()
    frames = walks(1, 9, joints=137)[0].round(3)
    names = [f"{part}_keypoints_2d" for part in ("pose", "face", "hand_left", "hand_right")]
    for number, frame in enumerate(frames):
        parts = [joints.flatten().tolist() for joints in np.split(frame, [25, 95, 116])]
        content = {"people": [dict(zip(names, parts, strict=True))]}
        Path(f"clip/walk_{number:012d}_keypoints.json").write_text(json.dumps(content))
    used = {}
    exec(BLOCKS[0], used)
    expected = by_the_library(run, frames[None, :, :25])[0]
    np.testing.assert_allclose(used["probabilities"], expected, rtol=0, atol=5e-5)
    first = capsys.readouterr().out.splitlines()[0]
    assert first == f"{100 * expected.max():5.1f} %  {CLASSES[expected.argmax()]}"


class Plain(torch.nn.Module):
    """A network that takes little time to trace: the mean of each channel."""

    def __init__(self, depends_on_values=False):
        super().__init__()
        self.depends_on_values = depends_on_values

    def forward(self, x):
        if self.depends_on_values and x.sum() > 0:
            x = x + 1
        return x.mean((2, 3, 4)).repeat(1, 2)[:, : len(CLASSES)], x[:, :0, 0, 0, 0]


@pytest.fixture
def plain(tmp_path, monkeypatch):
    """The folder of a run whose network is replaced by a plain one."""
    folder = leave(tmp_path, "plain", model="stgcn")
    monkeypatch.setattr(
        training,
        "load_model",
        lambda run, device: (Plain(run.name == "odd"), choose(**BASE, model="stgcn")),
    )
    return folder


def test_a_file_that_predicts_something_else_is_not_written(plain, monkeypatch):
    path = plain / "model.pt2"
    right = export._predict
    monkeypatch.setattr(export, "_predict", lambda *given: right(*given) + np.array([2e-4, 0, 0, 0]))
    message = r"model\.pt2: not written, since .* differ .* by 0\.0002, where 0\.0001 is allowed"
    with pytest.raises(RuntimeError, match=message):
        export.write(plain, path)
    assert not path.exists()


def test_a_network_that_cannot_be_traced_is_one_line(plain):
    odd = leave(plain.parents[1], "odd", model="stgcn")
    message = r"model\.pt2: PyTorch .* cannot export stgcn \(.*\); try the other format"
    with pytest.raises(RuntimeError, match=message) as error:
        export.write(odd, odd / "model.pt2")
    assert len(str(error.value)) < 400 + len(str(odd))
    assert "\n" not in str(error.value)
    assert not (odd / "model.pt2").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"temporal": "segments"},
            "run: temporal 'segments' cannot be exported, its test views",
        ),
        ({"denoise": "gaps"}, "run: denoise 'gaps' cannot be exported"),
    ],
)
def test_what_cannot_be_in_a_file_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        export.write(leave(tmp_path, "run", **changes), tmp_path / "model.pt2")


def ends_with(arguments, message):
    with pytest.raises(SystemExit, match=message):
        export.main([str(argument) for argument in arguments])


def test_the_command_writes_under_a_name_made_from_the_runs(plain, capsys):
    outputs = plain.parents[1]
    export.main(["plain", "--outputs", str(outputs)])
    assert "plain.pt2: 0.2 MB; its probabilities differ from the library's by " in capsys.readouterr().out
    assert [path.name for path in (outputs / "exports").iterdir()] == ["plain.pt2"]


def test_errors_of_the_command_are_one_line(tmp_path, monkeypatch):
    leave(tmp_path, "whole")
    (leave(tmp_path, "half") / runs.RESULT).unlink()
    atomic.write_json(
        runs.run_folder("both", tmp_path, "ensemble") / runs.RESULT, {"members": {}, "scores": {}}
    )
    ends_with(["half", "--outputs", tmp_path], "no finished run or ensemble 'half'")
    ends_with(["both", "--outputs", tmp_path], "both: is an ensemble; export its runs")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    ends_with(
        ["whole", "--outputs", tmp_path, "--format", "onnx"],
        "onnxruntime is not installed; `pip install onnx onnxscript onnxruntime`",
    )
    with pytest.raises(
        ValueError, match=r"the ending of an exported file must be one of .pt2, .onnx, got '.tflite'"
    ):
        export.write(tmp_path, tmp_path / "model.tflite")
    assert not (tmp_path / "exports").exists()
