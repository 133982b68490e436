"""What CHANGELOG.md promises of files that an earlier or a later version wrote."""

import numpy as np
import pytest
import torch

from miga_lib import cache, clips, runs
from miga_lib.readers import pyskl
from miga_lib.settings import choose
from miga_lib.training import checkpoint


def test_files_of_a_later_version_are_refused(tmp_path):
    later = {"version": checkpoint.VERSION + 1, "model": {}, "optimizer": {}, "position": {}}
    torch.save(later, tmp_path / "last.ckpt")
    with pytest.raises(
        ValueError,
        match=r"last\.ckpt: checkpoint format 2 is newer than .*, which reads up to 1; update miga_lib",
    ):
        checkpoint.read(tmp_path / "last.ckpt")
    with pytest.raises(ValueError, match=r"settings.json: model 'stgcn' has no setting 'smoothing'"):
        runs.stored_settings(tmp_path, {"model": "stgcn", "smoothing": 0.1})


def test_a_setting_that_an_older_run_does_not_have_is_that_of_its_preset(tmp_path):
    stored = choose("quick", "stgcn", device="cpu", epochs=3).values()
    del stored["denoise"], stored["width"]
    settings = runs.stored_settings(tmp_path, stored)
    assert (settings.denoise, settings.network["width"], settings.epochs) == ("", 32, 3)


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
