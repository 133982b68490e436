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

from miga_lib import atomic, ensemble, export, layouts, runs, training
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
    table = pd.DataFrame(
        {
            "id": [f"clip {i}" for i in range(count)],
            "label": -1,
            "frames": frames,
            "start": np.arange(count) * frames,
        }
    )
    return Clips(table, keypoints.reshape(-1, *keypoints.shape[2:]), layout, CLASSES, "")


def by_the_library(folders, keypoints):
    """The probabilities of clips (N, T, V, 3) as the library predicts them; not alike, since networks that
    ignore clips always agree."""
    clips = clips_of(keypoints, layouts.get("body25"))
    of_runs = [training.load_model(folder, "cpu") for folder in folders]
    members = [
        training.predict(network, clips, replace(settings, precision="fp32")) for network, settings in of_runs
    ]
    expected = ensemble.fuse(members).probabilities
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


@pytest.fixture(scope="module")
def onnx(tmp_path_factory):
    """An ONNX file of two runs, and their folders."""
    pytest.importorskip("onnxruntime")
    outputs = tmp_path_factory.mktemp("onnx")
    other = (
        {"model": "stgcn", "stream": "bone"} if torch.__version__ >= "2.7" else {}
    )  # 2.6 exports PoseC3D only
    folders = [leave(outputs, "limb", stream="limb"), leave(outputs, "other", temporal="crop_pad", **other)]
    export.write(folders, outputs / "model.onnx")
    return outputs / "model.onnx", folders


@pytest.fixture(scope="module")
def pt2(tmp_path_factory):
    """The variables of the page's example with a file of torch.export of two runs, and the folders of the
    runs."""
    outputs = tmp_path_factory.mktemp("pt2")
    folders = [
        leave(outputs, "plus", model="stgcnpp", width=16),
        leave(outputs, "refined", model="ctrgcn", stream="bone_motion"),
    ]
    export.write(folders, outputs / "model.pt2")
    used = {}
    with contextlib.chdir(outputs), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*get_attr")  # PyTorch 2.6
        exec(BLOCKS[1], used)
    return used, folders


SHAPES = pytest.mark.parametrize(("clips", "frames"), [(1, 1), (1, 8), (5, 3), (2, 40)])


@SHAPES
def test_an_onnx_file_predicts_as_the_library_does(onnx, clips, frames):
    path, folders = onnx
    onnxruntime = pytest.importorskip("onnxruntime")
    keypoints = walks(clips, frames)
    found = onnxruntime.InferenceSession(path).run(["probabilities"], {"keypoints": keypoints})[0]
    expected = by_the_library(folders, keypoints)
    np.testing.assert_allclose(found, expected, rtol=0, atol=5e-5)


@SHAPES
@torch.no_grad()
def test_a_file_of_torch_predicts_as_the_library_does(pt2, clips, frames):
    used, folders = pt2
    keypoints = walks(clips, frames)
    expected = by_the_library(folders, keypoints)
    np.testing.assert_allclose(
        used["network"](torch.from_numpy(keypoints)).numpy(), expected, rtol=0, atol=5e-5
    )


def test_the_metadata_say_what_the_file_takes_and_gives(pt2):
    used, folders = pt2
    about = used["about"]
    joints = layouts.get("body25").joints
    assert (about["classes"], about["joints"]) == (list(CLASSES), list(joints))
    assert [layouts.get("openpose137").joints[v] for v in about["openpose137"]] == list(joints)
    assert (about["layout"], about["preset"], about["runs"]) == (
        "body25",
        "smoke",
        [folder.name for folder in folders],
    )


def test_the_page_reads_openpose_and_predicts_without_the_library(onnx, tmp_path, monkeypatch, capsys):
    path, folders = onnx
    monkeypatch.chdir(tmp_path)
    Path("model.onnx").write_bytes(path.read_bytes())
    Path("clip").mkdir()
    frames = walks(1, 9, joints=137)[0].round(3)
    for number, frame in enumerate(frames):
        parts = dict(
            zip(("pose", "face", "hand_left", "hand_right"), np.split(frame, [25, 95, 116]), strict=True)
        )
        person = {f"{part}_keypoints_2d": joints.flatten().tolist() for part, joints in parts.items()}
        Path(f"clip/walk_{number:012d}_keypoints.json").write_text(json.dumps({"people": [person]}))
    used = {}
    exec(BLOCKS[0], used)
    expected = by_the_library(folders, frames[None, :, :25])[0]
    np.testing.assert_allclose(used["probabilities"], expected, rtol=0, atol=5e-5)
    assert (
        capsys.readouterr().out.splitlines()[0]
        == f"{100 * expected.max():5.1f} %  {CLASSES[expected.argmax()]}"
    )
    assert "miga_lib" not in re.findall(r"^(?:import|from) (\w+)", BLOCKS[0], re.MULTILINE)


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


def test_the_page_loads_a_file_of_torch(pt2):
    assert pt2[0]["probabilities"].shape == (1, len(CLASSES))
    assert "miga_lib" not in re.findall(r"^(?:import|from) (\w+)", BLOCKS[1], re.MULTILINE)
    assert len(BLOCKS) == 2


def test_a_file_that_predicts_something_else_is_not_written(plain, monkeypatch):
    path = plain / "model.pt2"
    right = export._expected
    monkeypatch.setattr(export, "_expected", lambda *given: right(*given) + np.array([2e-4, 0, 0, 0]))
    with pytest.raises(
        RuntimeError,
        match=r"model\.pt2: not written, since its probabilities differ .* by 0\.0002, where 0\.0001 is allowed",
    ):
        export.write([plain], path)
    assert not path.exists()


def test_a_network_that_cannot_be_traced_is_one_line(plain):
    odd = leave(plain.parents[1], "odd", model="stgcn")
    with pytest.raises(
        RuntimeError, match=r"model\.pt2: PyTorch .* cannot export stgcn \(.*\); try the other format"
    ) as error:
        export.write([odd], odd / "model.pt2")
    assert len(str(error.value)) < 400 + len(str(odd))
    assert "\n" not in str(error.value)
    assert not (odd / "model.pt2").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"temporal": "segments"},
            "other: temporal 'segments' cannot be exported, its test views have random frames",
        ),
        ({"denoise": "gaps"}, "other: denoise 'gaps' cannot be exported"),
        (
            {"layout": "coco17"},
            "other: its joints are not those of first; only runs with the same joints can be one file",
        ),
    ],
)
def test_what_cannot_be_in_a_file_is_refused(tmp_path, changes, message):
    folders = [leave(tmp_path, "first"), leave(tmp_path, "other", **changes)]
    with pytest.raises(ValueError, match=message):
        export.write(folders, tmp_path / "model.pt2")


def test_runs_of_other_classes_are_refused(tmp_path):
    folders = [leave(tmp_path, "first"), leave(tmp_path, "other")]
    about = runs.run_result(folders[1])
    atomic.write_json(folders[1] / runs.RESULT, about | {"data": {"classes": [*CLASSES[:-1], "jump"]}})
    with pytest.raises(ValueError, match="other: its classes are not those of first"):
        export.write(folders, tmp_path / "model.pt2")


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
    ends_with(["both", "--outputs", tmp_path], "both: is an ensemble; give the names of its runs")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    ends_with(
        ["whole", "--outputs", tmp_path, "--format", "onnx"],
        "onnxruntime is not installed; `pip install onnx onnxscript onnxruntime`",
    )
    with pytest.raises(
        ValueError, match=r"the ending of an exported file must be one of .pt2, .onnx, got '.tflite'"
    ):
        export.write([tmp_path], tmp_path / "model.tflite")
    assert not (tmp_path / "exports").exists()
