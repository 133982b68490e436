"""Recipes are fitted on validation, compared with a reference, and saved as they were made."""

import json

import numpy as np
import pandas as pd
import pytest
from test_ensemble import make

from miga_lib import ensemble, predictions, runs
from miga_lib.ensemble import recipes, submissions

GOOD = make([("1_0", 0, 0.9), ("1_1", 1, 0.2), ("2_0", 1, 0.3), ("2_1", 0, 0.4)])
POOR = make([("2_1", 0, 0.8), ("2_0", 1, 0.9), ("1_1", 1, 0.6), ("1_0", 0, 0.6)])
GROUPS = pd.Series(list("aabb"), index=GOOD.ids)


def test_recipes_have_the_fitted_weights_and_temperatures():
    fitted = recipes.fit([GOOD, POOR], [3, 1])
    assert (
        tuple(fitted)
        == recipes.FUSIONS
        == ("equal", "given", "searched", "calibrated", "calibrated, searched")
    )
    assert fitted["equal"] == recipes.Recipe((1, 1), (0.5, 0.5))
    assert fitted["given"].weights == (0.75, 0.25)
    assert fitted["searched"].weights == pytest.approx(tuple(ensemble.search([GOOD, POOR])))
    temperatures = (ensemble.temperature(GOOD), ensemble.temperature(POOR))
    assert fitted["calibrated"] == recipes.Recipe(temperatures, (0.5, 0.5))
    tempered = [ensemble.temper(member, t) for member, t in zip((GOOD, POOR), temperatures, strict=True)]
    assert fitted["calibrated, searched"].weights == pytest.approx(tuple(ensemble.search(tempered)))
    assert set(recipes.FUSIONS) - recipes.fit([GOOD, POOR]).keys() == {"given"}
    with pytest.raises(ValueError, match="weights must be 2 numbers of 0 or more, .* got \\[1.0\\]"):
        recipes.fit([GOOD, POOR], [1])


def test_a_recipe_tempers_and_then_averages():
    """At temperature 2 the odds 0.9 : 0.1 become 3 : 1, so 0.75. With weights 3 and 1, 0.75 and 0.6 average
    to 0.7125."""
    fused = recipes.Recipe((2.0, 1.0), (3.0, 1.0)).fuse([GOOD, POOR])
    assert fused.of(["1_0"]).probabilities[0, 0] == pytest.approx((3 * 0.75 + 0.6) / 4)


def test_leaving_a_member_out_of_a_recipe():
    recipe = recipes.Recipe((1.0, 2.0, 3.0), (0.5, 0.5, 0.0))
    assert recipe.without(0) == recipes.Recipe((2.0, 3.0), (0.5, 0.0))
    assert recipes.Recipe((1.0, 1.0), (1.0, 0.0)).without(0) == recipes.Recipe((1.0,), (1.0,)), (
        "the others had weight 0"
    )


def test_the_way_of_the_paper_is_the_default():
    assert recipes.choose(recipes.fit([GOOD, POOR])) == "equal"
    assert recipes.choose(recipes.fit([GOOD, POOR], [1, 2])) == "given"
    assert recipes.choose(recipes.fit([GOOD, POOR], [1, 2]), "searched") == "searched"
    with pytest.raises(
        ValueError,
        match="fusion 'given' needs `weights`, one for each member; give them or choose another fusion",
    ):
        recipes.choose(recipes.fit([GOOD, POOR]), "given")
    with pytest.raises(
        ValueError, match="fusion must be one of equal, .*, 'calibrated, searched', got 'mean'"
    ):
        recipes.choose(recipes.fit([GOOD, POOR]), "mean")


def test_the_description_has_a_row_for_each_recipe():
    table = recipes.describe({"mine": recipes.Recipe((1.0, 2.0), (0.25, 0.75))}, ["joint", "limb"])
    assert table.loc["mine", ("weight", "limb")] == 0.75
    assert table.loc["mine", ("temperature", "limb")] == 2


def test_comparison_by_hand():
    """The good one is correct on 3 of 4 clips, the poor one on 2 of 4 (1_0 and 2_1). The gain is the second
    minus the first."""
    table = recipes.compare({"good": GOOD, "poor": POOR}, "good", GROUPS)
    assert table["top1"].to_dict() == {"good": 0.75, "poor": 0.5}
    assert np.isnan(table.loc["good", "gain"])
    assert table.loc["poor", "gain"] == pytest.approx(-0.25)
    assert table.loc["good", "cross_entropy"] == pytest.approx(-np.log([0.9, 0.8, 0.7, 0.4]).mean())


def test_contributions_by_hand():
    """Equal weights give 0.75, 0.4, 0.6, 0.6 for the first class: correct on 1_0, 1_1 and 2_1, as many as the
    good one alone."""
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
    assert all(len(name) == runs.MAX_NAME_BYTES for name in long)
    assert long[0] != long[1]


def test_an_ensemble_is_kept_whole_and_an_earlier_one_replaced(tmp_path):
    recipe = recipes.Recipe((1.0, 2.0), (0.25, 0.75))
    for splits in (["val", "test"], ["val"]):
        recipes.save(
            tmp_path / "new", recipe, ["joint", "limb"], dict.fromkeys(splits, GOOD), {"fusion": "given"}
        )
        submissions.write(GOOD, tmp_path / "new", 2023) if "test" in splits else None
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"val.npz", "result.json"}
    assert predictions.load(tmp_path / "new" / "val.npz").ids.tolist() == GOOD.ids.tolist()
    result = json.loads((tmp_path / "new" / runs.RESULT).read_text())
    assert result["members"]["limb"] == {"weight": 0.75, "temperature": 2.0}
    assert result["scores"]["val"]["top1"] == 0.75
    assert result["fusion"] == "given"


def test_a_folder_with_files_of_others_is_never_written_to(tmp_path):
    (tmp_path / "val.npz").write_bytes(b"mine")
    (tmp_path / "faces.npz").write_bytes(b"mine")
    with pytest.raises(
        ValueError,
        match=r"not overwritten, since it has 'faces\.npz', a file of another origin; choose another name",
    ):
        recipes.save(tmp_path, recipes.Recipe((1,), (1,)), ["joint"], {"val": GOOD}, {})
    assert (tmp_path / "val.npz").read_bytes() == b"mine"


def test_where_nothing_can_be_written_an_ensemble_stays_as_it_was(tmp_path, close):
    folder = tmp_path / "both"
    recipes.save(folder, recipes.Recipe((1,), (1,)), ["joint"], {"val": GOOD}, {})
    before = (folder / runs.RESULT).read_bytes()
    close(tmp_path)
    with pytest.raises(
        OSError, match=r"both: cannot be written \(Permission denied\); give a folder that you may write to"
    ):
        recipes.save(folder, recipes.Recipe((1,), (1,)), ["joint"], {"val": GOOD}, {})
    assert (folder / runs.RESULT).read_bytes() == before
