"""The tables of claims: worked by hand, and those of the page are those of the files."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ttest_1samp

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
