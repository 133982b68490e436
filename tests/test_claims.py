"""The tables of claims: worked by hand, and those of the page are those of the files."""

import argparse
import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

from miga_lib.predictions import Predictions

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "benchmarks"))
claims = importlib.import_module("claims")
PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


def results(correct):
    """Results of 10 clips of each of five people, each a fold, by the network's name and seed."""
    rows = []
    for network, of_seeds in correct.items():
        for seed, of_people in enumerate(of_seeds):
            for person, count in enumerate(of_people):
                row = {"network": network, "seed": seed, "fold": person, "person": f"p{person}", "clips": 10}
                rows.append(row | {"correct": count, "seconds": 60})
    return pd.DataFrame(rows)


def test_with_one_seed_folds_are_the_unit():
    table = results({"a": [[5, 6, 7, 8, 9]], "b": [[5, 5, 5, 5, 5]]})
    assert claims.estimate(table, "a").value == pytest.approx(0.7)
    gap = claims.estimate(table, "a", "b")
    assert gap.value == pytest.approx(0.2)
    assert gap.p == pytest.approx(ttest_1samp([0, 0.1, 0.2, 0.3, 0.4], 0).pvalue)


def test_with_three_seeds_people_and_seeds_are_crossed():
    table = results({"a": [[5, 6, 7, 8, 9]] * 3, "b": [[5] * 5, [2] * 5, [8] * 5]})
    gap = claims.estimate(table, "a", "b")
    alone = claims.estimate(results({"a": [[5, 6, 7, 8, 9]], "b": [[5] * 5]}), "a", "b")
    assert gap.value == pytest.approx(0.2)
    assert gap.high - gap.low > alone.high - alone.low


def test_a_network_is_compared_on_the_seeds_that_both_have():
    table = results({"a": [[5, 6, 7, 8, 9], [0] * 5], "b": [[5] * 5]})
    assert claims.estimate(table, "a", "b").value == pytest.approx(0.2)


def test_the_page_has_the_tables_of_the_files():
    tables = claims.measured()
    for table in tables.values():
        assert claims.scores(table) in PAGE
    assert not tables or claims.answers(tables) in PAGE


def test_every_person_is_tested_once_by_each_network_and_seed():
    for table in claims.measured().values():
        tested = table.groupby(["network", "seed"])["person"].agg(["nunique", "size"])
        assert (tested["nunique"] == table["person"].nunique()).all()
        assert (tested["size"] == table["person"].nunique()).all()
        assert (np.asarray(table["correct"]) <= table["clips"]).all()


def test_seeds_are_added_one_by_one(smoke, tmp_path, monkeypatch):
    """A seed that the file has is not trained again; the rows of a seed are those of the test people."""
    test = smoke.split("test")
    labels = test.table["label"].to_numpy()
    tested = Predictions(test.table["id"].to_numpy(str), labels, np.eye(32)[labels], np.array(smoke.classes))
    trained = []

    def fit(clips, settings, run, progress):
        trained.append(settings.seed)
        tested.save(run / "test.npz")
        return {"seconds": 60.0}

    monkeypatch.setattr(claims, "RESULTS", tmp_path)
    monkeypatch.setattr(claims, "NETWORKS", {"PoseC3D joint": {"model": "posec3d"}})
    monkeypatch.setattr(claims, "FUSED", {})
    monkeypatch.setattr(claims, "load", lambda source, outputs, **arguments: smoke)
    monkeypatch.setattr(claims.baselines, "linear", lambda clips: {"test": tested})
    monkeypatch.setattr(claims.training, "fit", fit)
    given = argparse.Namespace(only_convert=False, share=1.0, preset="smoke", outputs=tmp_path, seeds=[1])
    claims.measure("set", Path("source"), given, [{}])
    given.seeds = [0, 1]
    claims.measure("set", Path("source"), given, [{}])
    assert trained == [1, 0]
    table = pd.read_csv(tmp_path / "set.csv")
    assert table["seed"].tolist() == sorted(table["seed"])
    assert set(table["network"]) == {"PoseC3D joint", claims.LINEAR}
    assert (table["correct"] == table["clips"]).all()
    assert table["clips"].sum() == 4 * len(test)
