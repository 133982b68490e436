"""Each verdict is given where it is due, pairs differ in one setting only, and the grid has the settings
asked for."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from miga_lib import metrics, plots, predictions, runs
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
    return {
        **row,
        "folder": None,
        "parameters": 1,
        "seconds": 1.0,
        "predictions": predictions,
        "adjusted": False,
    }


def table(with_loss, without, seeds=3):
    rows = [run(made(with_loss, 10 + seed), seed=seed) for seed in range(seeds)]
    rows += [run(made(without, 20 + seed), seed=seed, semantic_weight=0.0) for seed in range(seeds)]
    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("with_loss", "without", "verdict"),
    [(0.8, 0.5, "supported"), (0.5, 0.8, "refuted"), (0.6, 0.6, "undecided")],
)
def test_each_verdict_can_come_out(with_loss, without, verdict):
    answer = questions.answer(SEMANTIC, table(with_loss, without), GROUPS)
    assert answer["verdict"] == verdict
    assert (answer["pairs"], answer["seeds"]) == (3, 3)
    assert answer["low"] <= answer["difference"] <= answer["high"]
    assert answer["difference"] == pytest.approx(answer["top1_better"] - answer["top1_worse"])
    assert f"On made clips, the claim that the semantic loss helps is {verdict}: top-1" in questions.sentence(
        answer, "made clips"
    )


def test_the_verdict_needs_interval_and_test_to_agree():
    assert questions.verdict(0.01, 0.05, 0.01) == "supported"
    assert questions.verdict(-0.05, -0.01, 0.01) == "refuted"
    assert questions.verdict(0.01, 0.05, 0.2) == "undecided"
    assert questions.verdict(-0.01, 0.05, 0.01) == "undecided"


def test_a_difference_without_an_interval_has_none_in_its_sentence():
    assert questions.with_interval(0.03, 0.012, 0.049) == "+3.0 [+1.2, +4.9]"
    one_group = pd.Series("subject", index=GROUPS.index)
    assert "nan" not in questions.sentence(questions.answer(SEMANTIC, table(0.6, 0.6, 1), one_group), "clips")


def test_intervals_contain_the_difference_between_seeds():
    """One seed is right everywhere, the other nowhere, on both sides: as a mean of two runs nothing changes,
    with other seeds all may."""
    labels = made(1.0, 0)
    rows = [
        run(labels if seed else made(0.0, 0), seed=seed, semantic_weight=20.0 * side)
        for seed in (0, 1)
        for side in (0, 1)
    ]
    answer = questions.answer(SEMANTIC, pd.DataFrame(rows), GROUPS)
    assert (answer["difference"], answer["low"], answer["high"]) == (0, 0, 0), (
        "the same seeds are drawn for both sides"
    )
    for score in ("top1", "macro_f1"):
        assert answer[f"{score}_interval_better"] == answer[f"{score}_interval_worse"] == (0, 1)
    assert "2 pairs of runs with 2 seeds" in questions.sentence(answer, "clips")
    assert "1 pair of runs with 1 seed;" in questions.sentence(
        questions.answer(SEMANTIC, table(0.6, 0.6, 1), GROUPS), "clips"
    )


def test_equal_sides_have_no_difference():
    answer = questions.answer(SEMANTIC, table(0.6, 0.6, 1).assign(predictions=[made(0.6, 0)] * 2), GROUPS)
    assert (answer["difference"], answer["low"], answer["high"], answer["p"]) == (0, 0, 0, 1)


def test_a_question_that_no_pair_answers_has_no_answer():
    assert questions.answer(SEMANTIC, pd.DataFrame([run(made(0.5, 0))]), GROUPS) is None


def test_pairs_differ_only_in_the_settings_of_the_question():
    rows = [
        run(made(0.5, 0)),
        run(made(0.5, 1), semantic_weight=0.0, temporal="crop_pad"),
        run(made(0.5, 2), semantic_weight=0.0, seed=1),
    ]
    assert questions.pair(SEMANTIC, pd.DataFrame(rows)).empty


@pytest.mark.parametrize("preset", ["smoke", "quick", "paper"])
def test_models_with_their_own_learning_rates_are_compared(preset):
    question = QUESTIONS[0]
    rows = [run(made(0.5, 0), preset=preset), run(made(0.5, 1), preset=preset, model="stgcn")]
    assert rows[0]["learning_rate"] != rows[1]["learning_rate"]
    assert len(questions.pair(question, pd.DataFrame(rows))) == 1


def stored(folder, rows):
    """The table of ``train`` for rows of ``run``, with their predictions in folders, of both splits."""
    for number, row in enumerate(rows):
        row["folder"] = folder / str(number)
        row["folder"].mkdir()
        row.pop("adjusted")
        row["predictions"].save(row["folder"] / "val.npz")
        row.pop("predictions").save(row["folder"] / "test.npz")
    return pd.DataFrame(rows)


COUNTS = np.array([80, 15, 5])


def test_joint_and_limb_of_one_seed_are_fused(tmp_path):
    rows = [
        run(made(0.5, 0), seed=0),
        run(made(0.5, 1), stream="limb", seed=0),
        run(made(0.5, 2), stream="limb", seed=1),
    ]
    full = questions.with_predictions(stored(tmp_path, rows), COUNTS)
    fused = full[(full["stream"] == "joint+limb") & ~full["adjusted"]]
    assert len(fused) == 1
    expected = (made(0.5, 0).probabilities + made(0.5, 1).probabilities) / 2
    assert np.allclose(fused["predictions"].iloc[0].probabilities, expected)
    together = next(q for q in QUESTIONS if q.claim.endswith("beat joint alone"))
    assert len(questions.pair(together, full)) == 1


def test_a_stream_that_is_named_twice_is_fused_with_that_of_the_next_seed(tmp_path):
    rows = [run(made(0.5, seed), seed=seed) for seed in range(3)] + [
        run(made(0.5, 9), seed=1, stream="joint_motion")
    ]
    full = questions.with_predictions(stored(tmp_path, rows), COUNTS, "val")
    assert not full["adjusted"].any(), "on validation clips nothing is adjusted"
    twice = full[full["stream"] == "joint+joint"]
    assert twice["seed"].tolist() == [0, 1, 2]
    for (one, other), found in zip([(0, 1), (1, 2), (2, 0)], twice["predictions"], strict=True):
        assert np.allclose(
            found.probabilities, (made(0.5, one).probabilities + made(0.5, other).probabilities) / 2
        )
    control = next(q for q in QUESTIONS if q.claim == "motion beside joints adds more than a second seed")
    assert questions.pair(control, full)["seed"].tolist() == [1]
    assert "joint+joint" not in questions.with_predictions(pd.DataFrame(rows[:1]), COUNTS)["stream"].tolist()


def test_a_run_of_another_model_is_fused_with_joint_and_limb(tmp_path):
    rows = [
        run(made(0.5, 1)),
        run(made(0.5, 2), stream="limb"),
        run(made(0.5, 3), seed=1),
        run(made(0.5, 4), stream="limb", seed=1),
    ]
    bone = {"model": "stgcnpp", "stream": "bone"}
    rows += [
        run(made(0.5, 5), **bone),
        run(made(0.5, 6), **bone, learning_rate=0.7),
        run(made(0.5, 7), **bone, layout="imigue22", seed=1),
    ]
    full = questions.with_predictions(stored(tmp_path, rows), COUNTS, "val").set_index(["stream", "seed"])
    found = full.loc["joint+limb+stgcnpp bone"]
    assert found.index.tolist() == [0], "none with another layout, and one with the learning rate of the base"
    assert np.allclose(
        found["predictions"][0].probabilities, sum(made(0.5, seed).probabilities for seed in (1, 2, 5)) / 3
    )
    assert full.loc["joint+limb+joint"].index.tolist() == [0, 1], "the control: a second seed of joints"
    asked = [question for question in QUESTIONS if question.claim.startswith("stgcnpp bone adds")]
    assert [questions.pair(question, full.reset_index())["seed"].tolist() for question in asked] == [[0], [0]]
    assert [
        len(questions.answer(question, full.reset_index(), GROUPS)["seeds_worse"]) for question in asked
    ] == [1, 1]


def test_adjusted_rows_have_the_strength_that_validation_chooses(tmp_path):
    rows = [run(made(0.5, 0)), run(made(0.6, 1), augment="rotate")]
    table = stored(tmp_path, rows)
    made(0.9, 5).save(rows[0]["folder"] / "val.npz")
    full = questions.with_predictions(table, COUNTS)
    strength = metrics.choose_adjustment(metrics.by_adjustment(made(0.9, 5), COUNTS))
    assert full["adjusted"].tolist() == [False, False, True, True]
    expected = predictions.adjusted(made(0.5, 0), COUNTS, strength).probabilities
    assert np.allclose(full["predictions"].iloc[2].probabilities, expected)
    asked = questions.of_options({"augment": ["", "rotate"]})[0]
    assert len(questions.pair(asked, full)) == 1, "other questions are about probabilities as predicted"
    helps = next(q for q in QUESTIONS if q.claim.startswith("adjusting"))
    assert len(questions.pair(helps, full)) == 2
    curves = questions.trade_offs(full, {"augment": ["", "rotate", "noise"]}, COUNTS)
    assert list(curves) == ["base", "augment rotate"]
    assert curves["base"].equals(metrics.by_adjustment(made(0.5, 0), COUNTS))


def test_curves_are_averaged_over_seeds(tmp_path):
    rows = [run(made(accuracy, 0), seed=seed) for seed, accuracy in enumerate((0.2, 0.8))]
    curves = questions.trade_offs(questions.with_predictions(stored(tmp_path, rows), COUNTS), {}, COUNTS)
    each = [metrics.by_adjustment(made(accuracy, 0), COUNTS)["top1"] for accuracy in (0.2, 0.8)]
    assert curves["base"]["top1"].tolist() == pytest.approx(((each[0] + each[1]) / 2).tolist())


def test_a_value_that_stands_for_the_presets_finds_the_runs_that_requested_it():
    requested = [Settings(preset="quick", frames=frames, device="cpu") for frames in (0, 24)]
    rows = [run(made(0.5, 1), preset="quick", frames=one.frames) | {"requested": one} for one in requested]
    assert rows[0]["frames"] > 0
    assert len(questions.pair(questions.of_options({"frames": [0, 24]})[0], pd.DataFrame(rows))) == 1


def test_the_difference_in_macro_f1_is_worked_by_hand():
    labels = np.array([0, 0, 1, 1])
    sides = [
        Predictions(np.array(["a", "b", "c", "d"]), labels, np.eye(2)[predicted], CLASSES[:2])
        for predicted in (labels, [0, 0, 0, 1])
    ]
    rows = pd.DataFrame([run(sides[0]), run(sides[1], semantic_weight=0.0)])
    answer = questions.answer(SEMANTIC, rows, pd.Series(["p", "p", "q", "q"], index=list("abcd")))
    # F1 of the second side: class 0 with 2 of 3 correct has 4/5, class 1 has 2/3.
    assert answer["macro_f1_difference"] == pytest.approx(1 - (4 / 5 + 2 / 3) / 2)
    assert answer["macro_f1_low"] <= answer["macro_f1_difference"] <= answer["macro_f1_high"]
    assert "; macro-F1 +26.7 [" in questions.sentence(answer, "four clips")


def test_a_further_model_or_layout_is_compared_with_the_first():
    rows = [
        run(made(0.8, 0), model="stgcn"),
        run(made(0.5, 1), model="ctrgcn"),
        run(made(0.5, 2), model="stgcnpp", temporal="crop_pad"),
    ]
    rows += [run(made(0.5, 3), model=model, layout="imigue22") for model in ("stgcn", "ctrgcn")]
    answers = questions.answer_all(pd.DataFrame(rows), GROUPS).set_index("claim")
    known, asked = (
        "the 19 facial joints hurt ST-GCN",
        ["ctrgcn is better than stgcn", "layout imigue22 is better than imigue41 for ctrgcn"],
    )
    assert list(answers.index) == [known, *asked], "of the runs of stgcnpp none has a pair"
    assert answers.loc[asked[0], "pairs"] == 2
    assert answers.loc[asked[0], "difference"] < 0


def grid(**lists):
    default = {
        "models": ["posec3d", "stgcn"],
        "layouts": ["imigue41", "imigue22"],
        "temporals": ["align", "crop_pad"],
    }
    default |= {"semantic": [True, False], "partitions": ["spatial"], "seeds": [0]}
    return questions.grid(**default | lists)


def test_the_grid_changes_one_setting_at_a_time():
    wanted = grid()
    assert (
        len(wanted) == 9
    )  # each model: base, 22 joints, crop_pad, no semantic loss; and the limb stream of PoseC3D's base
    assert len({runs.run_name(settings) for settings in wanted}) == 9
    assert len(grid(seeds=[0, 1])) == 18
    assert len(grid(full=True)) == 2 * 8 + 8


def test_partitions_and_the_official_graph_are_for_stgcn_alone():
    wanted = grid(layouts=["imigue22", "imigue22_official"], partitions=["spatial", "uniform"])
    only = [
        settings
        for settings in wanted
        if settings.partition == "uniform" or settings.layout == "imigue22_official"
    ]
    assert {settings.model for settings in only} == {"stgcn"}
    assert len(only) == 2


def test_any_other_setting_can_be_a_question():
    options = {"augment": ["", "rotate", "noise"], "denoise": ["", "gaps"]}
    wanted = grid(options=options)
    assert len(wanted) == 9 + 2 * 3
    assert [settings.augment for settings in wanted if settings.model == "stgcn"].count("rotate") == 1
    asked = questions.of_options(options)
    assert [question.claim for question in asked] == [
        "augment rotate is better than none", "augment noise is better than none", "denoise gaps is better than none"
    ]  # fmt: skip
    assert asked[0].sides == ("rotate", "none")
    rows = [run(made(0.5, 1), augment=name) for name in ("", "rotate")]
    assert len(questions.pair(asked[0], pd.DataFrame(rows))) == 1


def test_the_streams_of_the_base_can_be_given():
    wanted = grid(options={"stream": ["joint", "limb", "joint_motion", "bone"]})
    streams = {
        model: [settings.stream for settings in wanted if settings.model == model]
        for model in ("posec3d", "stgcn")
    }
    assert streams == {
        "posec3d": ["joint", "limb", "joint_motion"] + 3 * ["joint"],
        "stgcn": ["joint", "joint_motion", "bone"] + 3 * ["joint"],
    }
    assert questions.of_options({"stream": ["joint", "limb"]}) == [], "streams are compared by QUESTIONS"


def test_patience_can_be_a_question_although_it_keeps_another_epoch():
    options = {"stream": ["joint"], "patience": [0, 5]}
    wanted = questions.grid(
        ["posec3d"], ["imigue41"], ["align"], [True], ["spatial"], [0], "quick", options=options
    )
    resolved = [settings.resolve() for settings in wanted]
    assert [settings.keep for settings in resolved] == ["last", "best"]
    rows = [run(made(0.5, 0), preset="quick", patience=settings.patience) for settings in resolved]
    assert len(questions.pair(questions.of_options(options)[0], pd.DataFrame(rows))) == 1
    curves = questions.trade_offs(pd.DataFrame(rows), options, np.ones(len(CLASSES)))
    assert list(curves) == ["base", "patience 5"]


def test_several_settings_together_can_be_a_question():
    options = {
        "cRT": [{}, {"start_from": "{model}-{stream}-{seed}", "trained": "head", "sampling": "classes"}]
    }
    wanted = grid(options=options, seeds=[3, 4])
    heads = {(settings.start_from, settings.sampling) for settings in wanted if settings.trained == "head"}
    assert heads == {
        (f"{model}-joint-{seed}", "classes") for model in ("posec3d", "stgcn") for seed in (3, 4)
    }
    (asked,) = questions.of_options(options)
    assert (asked.claim, asked.sides) == ("cRT is better than without", ("cRT", "without"))
    rows = [run(made(0.5, seed), seed=seed) for seed in (3, 4)]
    rows += [
        run(
            made(0.5, seed), seed=seed, start_from=f"posec3d-joint-{seed}", trained="head", sampling="classes"
        )
        for seed in (3, 4, 5)
    ]
    assert questions.pair(asked, pd.DataFrame(rows))["seed"].tolist() == [3, 4]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"augmnt": ["", "rotate"]}, "a name in options must be one of .*augment, .*, got 'augmnt'"),
        (
            {"mixing": [{}, {"mixing": 0.2}]},
            r"options\['mixing'\] must have dicts only, and a name that is no setting; got {}",
        ),
        (
            {"two": [{}, 0.2]},
            r"options\['two'\] must have dicts only, and a name that is no setting; got 0.2",
        ),
        (
            {"two": [{}, {"layout": "imigue22"}]},
            r"a name in options\['two'\] must be one of .*, got 'layout'",
        ),
        ({"two": [{}, {"mixing": "a"}]}, r"a value of options\['two'\] must be float, got 'a' \(str\)"),
        (
            {"stream": ["limb"]},
            "stream must be one of joint, .* for model 'stgcn': the first of options\\['stream'\\] is that of all runs, got 'limb'",
        ),
        (
            {"stream": ["joint", "elbow"]},
            r"a value of options\['stream'\] must be one of joint, .*, got 'elbow'",
        ),
        ({"layout": ["imigue41"]}, "a name in options must be one of"),
        ({"seed": [1, 2]}, "a name in options must be one of"),
        (
            {"augment": "rotate"},
            r"options\['augment'\] must be a list of values, the base first, got 'rotate'",
        ),
        ({"mixing": []}, "mixing must have at least one value to compare, got none"),
        (
            {"keep": ["auto", "last"]},
            "keep 'auto' and 'last' are the same run for model 'posec3d'; leave out one of them, or the model",
        ),
        (
            {"frames": [0, 8]},
            "frames 0 and 8 are the same run for model 'posec3d'; leave out one of them, or the model",
        ),
        ({"mixing": [0.2, 0.1, 0.2]}, "the lists give the same run twice; name each value once"),
        ({"mixing": [0.0, "0.2"]}, r"a value of options\['mixing'\] must be float, got '0.2' \(str\)"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        grid(options=options, preset="quick")


def test_an_empty_list_is_refused():
    with pytest.raises(ValueError, match="temporals must have at least one value to compare, got none"):
        grid(temporals=[])


def test_every_question_is_about_settings_that_exist():
    for question in QUESTIONS:
        assert {*question.better, *question.worse, *question.given} <= {
            *questions.MATCHED_SETTINGS,
            "adjusted",
        }
        assert question.better.keys() == question.worse.keys()


def test_finished_runs_are_found_again(tmp_path, monkeypatch):
    wanted = [Settings(preset="smoke", epochs=1, device="cpu")]
    first = questions.train(wanted, "synthetic-smoke", tmp_path, progress=lambda row: None)
    monkeypatch.setattr(loop, "build", lambda *_: pytest.fail("trained again"))
    assert questions.train(wanted, "synthetic-smoke", tmp_path)["folder"].equals(first["folder"])


def test_cost_names_parameters_and_multiply_adds(tmp_path):
    trained = questions.train(
        [Settings(preset="smoke", epochs=1, device="cpu")],
        "synthetic-smoke",
        tmp_path,
        progress=lambda row: None,
    )
    cost = questions.cost(trained, "synthetic-smoke", tmp_path)
    assert cost["parameters"].item() == trained["parameters"].item()
    # The stem alone: 41 maps of 16 × 16 × 8 pixels, 3 × 3 kernels, 4 channels
    assert cost["multiply-adds"].item() > 41 * 16 * 16 * 8 * 9 * 4
    assert cost["seconds a clip"].item() > 0


def test_sides_have_short_names():
    assert Question("x", {"layout": "a"}, {"layout": "b"}).sides == ("a", "b")


def test_a_single_run_is_refused_before_it_is_trained():
    with pytest.raises(
        ValueError,
        match="these lists give a single run, and a comparison needs two; give one of them a second value",
    ):
        questions.grid(["stgcn"], ["imigue41"], ["align"], [True], ["spatial"], [0])


def test_runs_that_no_question_compares_are_refused():
    with pytest.raises(ValueError, match="no two of these runs differ as one of the questions asks"):
        questions.answer_all(
            pd.DataFrame(columns=[*questions.MATCHED_SETTINGS, "adjusted", "predictions"]),
            pd.Series(dtype=str),
        )


@pytest.mark.filterwarnings("error")
def test_figures_have_room_for_the_longest_claims():
    answered = questions.answer(SEMANTIC, table(0.8, 0.5), GROUPS)
    longest = max(QUESTIONS, key=lambda question: len(question.claim))
    answers = pd.DataFrame(
        [answered | {"claim": longest.claim, "better": "drop_joints+drop_regions+rotate"}] * 4
    )
    plots.style()
    for ax in (plots.differences(answers), *plots.both_sides(answers)):
        figure = ax.figure
        figure.canvas.draw()
        assert ax.get_window_extent().width > 0.15 * figure.bbox.width
        assert all(text.get_window_extent().x1 <= figure.bbox.x1 for text in ax.texts)
        assert all(figure.bbox.x0 <= text.get_window_extent().x0 for text in ax.get_yticklabels())
    plt.close("all")
