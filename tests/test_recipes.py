"""What is fitted is fitted on validation, judged against a reference, and kept as it was made."""

import json

import numpy as np
import pandas as pd
import pytest

from miga_lib import ensemble, predictions, runs
from miga_lib.ensemble import recipes, submissions
from miga_lib.predictions import Predictions

CLASSES = np.array(["nod", "shake"])


def make(rows):
    """Predictions from (id, label, probability of the first of two classes)."""
    ids, labels, first = zip(*rows, strict=True)
    return Predictions(np.array(ids), np.array(labels), np.stack([first, 1 - np.array(first)], axis=1), CLASSES)


GOOD = make([("1_0", 0, 0.9), ("1_1", 1, 0.2), ("2_0", 1, 0.3), ("2_1", 0, 0.4)])
POOR = make([("2_1", 0, 0.8), ("2_0", 1, 0.9), ("1_1", 1, 0.6), ("1_0", 0, 0.6)])
GROUPS = pd.Series(list("aabb"), index=GOOD.ids)


def test_recipes_hold_what_was_fitted():
    known = recipes.fit([GOOD, POOR], [3, 1])
    assert list(known) == ["equal", "given", "searched", "calibrated", "calibrated, searched"]
    assert known["equal"] == recipes.Recipe((1, 1), (0.5, 0.5))
    assert known["given"].weights == (0.75, 0.25)
    assert known["searched"].weights == pytest.approx(tuple(ensemble.search([GOOD, POOR])))
    temperatures = (ensemble.temperature(GOOD), ensemble.temperature(POOR))
    assert known["calibrated"] == recipes.Recipe(temperatures, (0.5, 0.5))
    tempered = [ensemble.temper(member, t) for member, t in zip((GOOD, POOR), temperatures, strict=True)]
    assert known["calibrated, searched"].weights == pytest.approx(tuple(ensemble.search(tempered)))
    assert "given" not in recipes.fit([GOOD, POOR])
    with pytest.raises(ValueError, match="weights must be 2 numbers of 0 or more, .* got \\[1.0\\]"):
        recipes.fit([GOOD, POOR], [1])


def test_a_recipe_tempers_and_then_averages():
    """At temperature 2 the odds 0.9 : 0.1 become 3 : 1, which is 0.75; with 0.6 as it is, 3 to 1, that makes 0.7125."""
    fused = recipes.Recipe((2.0, 1.0), (3.0, 1.0)).fuse([GOOD, POOR])
    assert fused.of(["1_0"]).probabilities[0, 0] == pytest.approx((3 * 0.75 + 0.6) / 4)


def test_leaving_a_member_out_of_a_recipe():
    recipe = recipes.Recipe((1.0, 2.0, 3.0), (0.5, 0.5, 0.0))
    assert recipe.without(0) == recipes.Recipe((2.0, 3.0), (0.5, 0.0))
    assert recipes.Recipe((1.0, 1.0), (1.0, 0.0)).without(0) == recipes.Recipe((1.0,), (1.0,)), "somebody has to answer"


def test_the_paper_is_followed_unless_something_else_is_said():
    assert recipes.choose(recipes.fit([GOOD, POOR])) == "equal"
    assert recipes.choose(recipes.fit([GOOD, POOR], [1, 2])) == "given"
    assert recipes.choose(recipes.fit([GOOD, POOR], [1, 2]), "searched") == "searched"
    with pytest.raises(ValueError, match=r"fusion must be one of 'equal', .* \('given' needs `weights`\), got 'given'"):
        recipes.choose(recipes.fit([GOOD, POOR]), "given")


def test_description_has_a_row_a_recipe():
    table = recipes.describe({"mine": recipes.Recipe((1.0, 2.0), (0.25, 0.75))}, ["joint", "limb"])
    assert table.loc["mine", ("weight", "limb")] == 0.75
    assert table.loc["mine", ("temperature", "limb")] == 2


def test_judging_by_hand():
    """The good one is right on 3 of 4, the poor one on 2 of 4: on 1_0 and 2_1. The gain is that of the second minus the first."""
    table = recipes.judge({"good": GOOD, "poor": POOR}, "good", GROUPS)
    assert table["top1"].to_dict() == {"good": 0.75, "poor": 0.5}
    assert np.isnan(table.loc["good", "gain"])
    assert table.loc["poor", "gain"] == pytest.approx(-0.25)
    assert table.loc["good", "cross_entropy"] == pytest.approx(-np.log([0.9, 0.8, 0.7, 0.4]).mean())


def test_contributions_by_hand():
    """Half and half gives 0.75, 0.4, 0.6, 0.6 for the first class: right on 1_0, 1_1 and 2_1, as many as the good one alone."""
    table = recipes.contributions(recipes.Recipe((1, 1), (2, 2)), {"good": GOOD, "poor": POOR}, GROUPS)
    assert table["weight"].tolist() == [0.5, 0.5]
    assert table["alone"].tolist() == [0.75, 0.5]
    assert table["without"].tolist() == [0.5, 0.75]
    assert table["contribution"].tolist() == pytest.approx([0.25, 0])
    assert recipes.contributions(recipes.Recipe((1,), (1,)), {"good": GOOD}, GROUPS).empty


def test_names_of_folders():
    assert recipes.name(["joint", "limb"]) == "joint+limb"
    assert recipes.name(["joint", "../scores/rgb {split}.csv"]) == "joint+scores-rgb-.csv"
    long = [recipes.name([f"{k}" * 100, "x" * 100]) for k in "ab"]
    assert all(len(name) == recipes.LONGEST_NAME for name in long)
    assert long[0] != long[1]


def test_an_ensemble_is_kept_whole_and_an_earlier_one_replaced(tmp_path):
    recipe = recipes.Recipe((1.0, 2.0), (0.25, 0.75))
    for splits in (["val", "test"], ["val"]):
        recipes.keep(tmp_path / "new", recipe, ["joint", "limb"], dict.fromkeys(splits, GOOD), {"fusion": "given"})
        submissions.write(GOOD, tmp_path / "new", 2023) if "test" in splits else None
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"val.npz", "result.json"}
    assert predictions.load(tmp_path / "new" / "val.npz").ids.tolist() == GOOD.ids.tolist()
    about = json.loads((tmp_path / "new" / runs.RESULT).read_text())
    assert about["members"]["limb"] == {"weight": 0.75, "temperature": 2.0}
    assert about["scores"]["val"]["top1"] == 0.75
    assert about["fusion"] == "given"
