"""What CHANGELOG.md promises of files that an earlier or a later version wrote."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from miga_lib import cache, clips, runs, training
from miga_lib.readers import pyskl
from miga_lib.settings import Settings, choose
from miga_lib.training import checkpoint, loop

SMOKE = choose(preset="smoke", device="cpu", precision="fp32", epochs=1, batch_size=4)
LATER_SETTINGS = ("frames", "size", "width", "dropout", "weight_decay")


class StoppedError(Exception):
    """Stands for whatever ends a process."""


def stop_in_mid_epoch(row):
    if row["step"] == 3:
        raise StoppedError


def quiet(row):
    """Progress that is not shown."""


def rewrite_as_version_1(run):
    """Give an unfinished run the files that the commits before the regrouping wrote."""
    about = json.loads((run / "settings.json").read_text())
    about["circumstances"] = about.pop("environment")
    for name in LATER_SETTINGS:
        del about["settings"][name]
    del about["data"]["checksum"]
    (run / "settings.json").write_text(json.dumps(about))
    content = torch.load(run / "last.ckpt", weights_only=True)
    del content["version"]
    content["position"]["sums"] = tuple(
        content["position"]["sums"][name] for name in ("loss", "cross_entropy", "semantic")
    )
    assert all(content["position"]["sums"]), "stopped within an epoch"
    torch.save(content, run / "last.ckpt")


def test_a_run_of_version_1_resumes_to_the_same_bits(smoke, tmp_path, monkeypatch):
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    straight.mkdir()
    stopped.mkdir()
    training.fit(smoke, SMOKE, straight, progress=quiet)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    with pytest.raises(StoppedError):
        training.fit(smoke, SMOKE, stopped, progress=stop_in_mid_epoch)
    rewrite_as_version_1(stopped)
    training.fit(smoke, SMOKE, stopped, progress=quiet)
    weights, others = (
        torch.load(run / "last.ckpt", weights_only=True)["model"] for run in (straight, stopped)
    )
    assert all(torch.equal(weights[name], others[name]) for name in weights)
    tables = [pd.read_csv(run / "metrics.csv").drop(columns="seconds") for run in (straight, stopped)]
    pd.testing.assert_frame_equal(*tables, check_exact=True)


def test_files_of_a_later_version_are_refused(tmp_path):
    later = {"version": checkpoint.VERSION + 1, "model": {}, "optimizer": {}, "position": {}}
    torch.save(later, tmp_path / "last.ckpt")
    with pytest.raises(
        ValueError,
        match=r"last\.ckpt: checkpoint format 3 is newer than .*, which reads up to 2; update miga_lib",
    ):
        checkpoint.read(tmp_path / "last.ckpt")
    with pytest.raises(
        ValueError, match="has a setting 'smoothing' that this version of miga_lib does not know; update it"
    ):
        Settings.of_run({"model": "stgcn", "smoothing": 0.1})


def test_a_cache_of_another_version_is_left_and_the_source_read_again(smoke, tmp_path, monkeypatch):
    pyskl.write(tmp_path / "mine.pkl", smoke)
    first = clips.load(tmp_path / "mine.pkl", outputs=tmp_path)
    (before,) = (tmp_path / "cache").glob("mine*")
    monkeypatch.setattr(cache, "VERSION", cache.VERSION + 1)
    again = clips.load(tmp_path / "mine.pkl", outputs=tmp_path)
    assert len(list((tmp_path / "cache").glob("mine*"))) == 2
    assert before.exists()
    assert np.array_equal(first.keypoints, again.keypoints)
    assert runs.fingerprint(first) == runs.fingerprint(again)
