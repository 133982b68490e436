"""Each verdict is given where it is due, pairs differ in one setting only, and the grid has the settings asked for."""

import numpy as np
import pandas as pd
import pytest

from miga_lib import runs
from miga_lib.analysis import questions
from miga_lib.analysis.questions import QUESTIONS, Question
from miga_lib.predictions import Predictions
from miga_lib.settings import Settings
from miga_lib.training import loop

CLASSES = np.array(["nod", "shake", "bow"])
CLIPS = 200
GROUPS = pd.Series([f"subject {i % 20}" for i in range(CLIPS)], index=[f"1_{i}" for i in range(CLIPS)])
SEMANTIC = next(q for q in QUESTIONS if q.claim == "the semantic loss helps")


def made(accuracy, seed):
    """Predictions that are correct with this probability for each clip."""
    rng = np.random.default_rng(seed)
    labels = np.arange(CLIPS) % 3
    predicted = np.where(rng.random(CLIPS) < accuracy, labels, (labels + 1) % 3)
    return Predictions(np.array(GROUPS.index), labels, 0.1 + 0.7 * np.eye(3)[predicted], CLASSES)


def run(predictions, **settings):
    """A row of the table of runs."""
    resolved = Settings(**{"preset": "smoke", "device": "cpu"} | settings).resolve()
    row = {name: getattr(resolved, name) for name in questions.MATCHED_SETTINGS}
    return {**row, "folder": None, "parameters": 1, "seconds": 1.0, "predictions": predictions}


def table(with_loss, without, seeds=3):
    rows = [run(made(with_loss, 10 + seed), seed=seed) for seed in range(seeds)]
    rows += [run(made(without, 20 + seed), seed=seed, semantic_weight=0.0) for seed in range(seeds)]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(("with_loss", "without", "verdict"), [(0.8, 0.5, "supported"), (0.5, 0.8, "refuted"), (0.6, 0.6, "undecided")])
def test_each_verdict_can_come_out(with_loss, without, verdict):
    answer = questions.answer(SEMANTIC, table(with_loss, without), GROUPS)
    assert answer["verdict"] == verdict
    assert answer["pairs"] == 3
    assert answer["low"] <= answer["difference"] <= answer["high"]
    assert answer["difference"] == pytest.approx(answer["top1_better"] - answer["top1_worse"])
    assert f"On made clips, the claim that the semantic loss helps is {verdict}: top-1" in questions.sentence(answer, "made clips")


def test_the_verdict_needs_interval_and_test_to_agree():
    assert questions.verdict(0.01, 0.05, 0.01) == "supported"
    assert questions.verdict(-0.05, -0.01, 0.01) == "refuted"
    assert questions.verdict(0.01, 0.05, 0.2) == "undecided"
    assert questions.verdict(-0.01, 0.05, 0.01) == "undecided"


def test_equal_sides_have_no_difference():
    answer = questions.answer(SEMANTIC, table(0.6, 0.6, 1).assign(predictions=[made(0.6, 0)] * 2), GROUPS)
    assert (answer["difference"], answer["low"], answer["high"], answer["p"]) == (0, 0, 0, 1)


def test_a_question_that_no_pair_answers_has_no_answer():
    assert questions.answer(SEMANTIC, pd.DataFrame([run(made(0.5, 0))]), GROUPS) is None


def test_pairs_differ_only_in_the_settings_of_the_question():
    rows = [run(made(0.5, 0)), run(made(0.5, 1), semantic_weight=0.0, temporal="crop_pad"), run(made(0.5, 2), semantic_weight=0.0, seed=1)]
    assert questions.pair(SEMANTIC, pd.DataFrame(rows)).empty


@pytest.mark.parametrize("preset", ["smoke", "quick", "paper"])
def test_models_with_their_own_learning_rates_are_compared(preset):
    question = QUESTIONS[0]
    rows = [run(made(0.5, 0), preset=preset), run(made(0.5, 1), preset=preset, model="stgcn")]
    assert rows[0]["learning_rate"] != rows[1]["learning_rate"]
    assert len(questions.pair(question, pd.DataFrame(rows))) == 1


def test_joint_and_limb_of_one_seed_are_fused(tmp_path):
    rows = [run(made(0.5, 0), seed=0), run(made(0.5, 1), stream="limb", seed=0), run(made(0.5, 2), stream="limb", seed=1)]
    for number, row in enumerate(rows):
        row["folder"] = tmp_path / str(number)
        row["folder"].mkdir()
        row.pop("predictions").save(row["folder"] / "test.npz")
    full = questions.with_predictions(pd.DataFrame(rows))
    fused = full[full["stream"] == questions.FUSED]
    assert len(fused) == 1
    expected = (made(0.5, 0).probabilities + made(0.5, 1).probabilities) / 2
    assert np.allclose(fused["predictions"].iloc[0].probabilities, expected)
    together = next(q for q in QUESTIONS if q.claim.endswith("beat joint alone"))
    assert len(questions.pair(together, full)) == 1


def grid(**lists):
    default = {"models": ["posec3d", "stgcn"], "layouts": ["imigue41", "imigue22"], "temporals": ["align", "crop_pad"]}
    default |= {"semantic": [True, False], "strategies": ["spatial"], "seeds": [0]}
    return questions.grid(**default | lists)


def test_the_grid_changes_one_setting_at_a_time():
    wanted = grid()
    assert len(wanted) == 9  # each model: base, 22 joints, crop_pad, no semantic loss; and the limb stream of PoseC3D's base
    assert len({runs.name(settings) for settings in wanted}) == 9
    assert len(grid(seeds=[0, 1])) == 18
    assert len(grid(full=True)) == 2 * 8 + 8


def test_partitions_and_the_official_graph_are_for_stgcn_alone():
    wanted = grid(layouts=["imigue22", "imigue22_official"], strategies=["spatial", "uniform"])
    only = [settings for settings in wanted if settings.strategy == "uniform" or settings.layout == "imigue22_official"]
    assert {settings.model for settings in only} == {"stgcn"}
    assert len(only) == 2


def test_any_other_setting_can_be_a_question():
    options = {"augment": ["", "rotate", "noise"], "denoise": ["", "median"]}
    wanted = grid(options=options)
    assert len(wanted) == 9 + 2 * 3
    assert [settings.augment for settings in wanted if settings.model == "stgcn"].count("rotate") == 1
    asked = questions.of_options(options)
    assert [question.claim for question in asked] == [
        "augment rotate is better than none", "augment noise is better than none", "denoise median is better than none"
    ]  # fmt: skip
    assert asked[0].sides == ("rotate", "none")
    rows = [run(made(0.5, 1), augment=name) for name in ("", "rotate")]
    assert len(questions.pair(asked[0], pd.DataFrame(rows))) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"augmnt": ["", "rotate"]}, "a name in options must be one of .*augment, .*, got 'augmnt'"),
        ({"layout": ["imigue41"]}, "a name in options must be one of"),
        ({"seed": [1, 2]}, "a name in options must be one of"),
        ({"augment": "rotate"}, r"options\['augment'\] must be a list of values, the base first, got 'rotate'"),
        ({"mixing": []}, "mixing must have at least one value to compare, got none"),
        ({"mixing": [0.0, "0.2"]}, r"a value of options\['mixing'\] must be float, got '0.2' \(str\)"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        grid(options=options)


def test_an_empty_list_is_refused():
    with pytest.raises(ValueError, match="temporals must have at least one value to compare, got none"):
        grid(temporals=[])


def test_every_question_is_about_settings_that_exist():
    for question in QUESTIONS:
        assert {*question.better, *question.worse, *question.given} <= set(questions.MATCHED_SETTINGS)
        assert question.better.keys() == question.worse.keys()


def test_finished_runs_are_found_again(tmp_path, monkeypatch):
    wanted = [Settings(preset="smoke", epochs=1, device="cpu")]
    first = questions.train(wanted, "synthetic-smoke", tmp_path, progress=lambda row: None)
    monkeypatch.setattr(loop, "build", lambda *_: pytest.fail("trained again"))
    assert questions.train(wanted, "synthetic-smoke", tmp_path)["folder"].equals(first["folder"])


def test_cost_names_parameters_and_multiply_adds(tmp_path):
    trained = questions.train([Settings(preset="smoke", epochs=1, device="cpu")], "synthetic-smoke", tmp_path, progress=lambda row: None)
    cost = questions.cost(trained, "synthetic-smoke", tmp_path)
    assert cost["parameters"].item() == trained["parameters"].item()
    # The stem alone: 41 maps of 16 × 16 × 8 pixels, 3 × 3 kernels, 4 channels
    assert cost["multiply-adds"].item() > 41 * 16 * 16 * 8 * 9 * 4
    assert cost["seconds a clip"].item() > 0


def test_sides_have_short_names():
    assert Question("x", {"layout": "a"}, {"layout": "b"}).sides == ("a", "b")


def test_a_single_run_is_refused_before_it_is_trained():
    with pytest.raises(ValueError, match="these lists give a single run, and a comparison needs two; give one of them a second value"):
        questions.grid(["stgcn"], ["imigue41"], ["align"], [True], ["spatial"], [0])


def test_runs_that_no_question_compares_are_refused():
    with pytest.raises(ValueError, match="no two of these runs differ as one of the questions asks"):
        questions.answer_all(pd.DataFrame(columns=[*questions.MATCHED_SETTINGS, "predictions"]), pd.Series(dtype=str))
