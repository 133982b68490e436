"""Each verdict is given where it is due, pairs differ in one setting only, and the grid has the settings
asked for."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score

from miga_lib import compare, plots, runs, settings
from miga_lib.compare import QUESTIONS, Question, Run
from miga_lib.predictions import Predictions
from miga_lib.settings import choose
from miga_lib.training import loop

CLASSES = np.array(["nod", "shake", "bow"])
CLIPS = 200
GROUPS = pd.Series([f"subject {i % 20}" for i in range(CLIPS)], index=[f"1_{i}" for i in range(CLIPS)])
BY_CLAIM = {question.claim: question for question in QUESTIONS}
SEMANTIC = BY_CLAIM["the semantic loss helps"]


def made(accuracy, seed):
    """Predictions that are correct with this probability for each clip."""
    rng = np.random.default_rng(seed)
    labels = np.arange(CLIPS) % 3
    predicted = np.where(rng.random(CLIPS) < accuracy, labels, (labels + 1) % 3)
    return Predictions(np.array(GROUPS.index), labels, 0.1 + 0.7 * np.eye(3)[predicted], CLASSES)


def run(**values):
    return Run(choose(**{"preset": "smoke", "device": "cpu"} | values), Path(), {})


def pair_names(question, settings):
    """The names of the runs of each pair, as texts of the settings that are given."""
    names = {}
    listed = [run(**values) for values in settings]
    for item, values in zip(listed, settings, strict=True):
        names[id(item)] = " ".join(map(str, values.values()))
    pairs = compare.pairs(question, listed)
    return [tuple(" + ".join(names[id(member)] for member in side) for side in sides) for sides in pairs]


def compared(with_loss, without, seeds=3, groups=GROUPS):
    first = [made(with_loss, 10 + seed) for seed in range(seeds)]
    second = [made(without, 20 + seed) for seed in range(seeds)]
    sides = {"claim": "the semantic loss helps", "first": "20.0", "second": "0.0"}
    counts = {"pairs": seeds, "seeds": seeds}
    return {**sides, **counts, **compare.compared(first, second, list(range(seeds)), groups)}


@pytest.mark.parametrize(
    ("with_loss", "without", "verdict"),
    [(0.8, 0.5, "supported"), (0.5, 0.8, "refuted"), (0.6, 0.6, "undecided")],
)
def test_each_verdict_can_come_out(with_loss, without, verdict):
    answer = compared(with_loss, without)
    assert answer["verdict"] == verdict
    assert answer["low"] <= answer["difference"] <= answer["high"]
    assert answer["difference"] == pytest.approx(answer["top1_first"] - answer["top1_second"])
    sentence = compare.sentence(answer, "made clips")
    assert f"On made clips, the claim that the semantic loss helps is {verdict}: top-1" in sentence
    assert "3 pairs of runs with 3 seeds; macro-F1" in sentence


def test_the_verdict_needs_interval_and_test_to_agree():
    assert compare.verdict(0.01, 0.05, 0.01) == "supported"
    assert compare.verdict(-0.05, -0.01, 0.01) == "refuted"
    assert compare.verdict(0.01, 0.05, 0.2) == "undecided"
    assert compare.verdict(-0.01, 0.05, 0.01) == "undecided"


def test_a_difference_without_an_interval_has_none_in_its_sentence():
    assert compare.with_interval(0.03, 0.012, 0.049) == "+3.0 [+1.2, +4.9]"
    sentence = compare.sentence(compared(0.6, 0.6, 1, pd.Series("subject", index=GROUPS.index)), "clips")
    assert "nan" not in sentence
    assert "1 pair of runs with 1 seed;" in sentence


def test_intervals_contain_the_difference_between_seeds():
    """One seed is right everywhere, the other nowhere, on both sides: as a mean of two runs nothing changes,
    with other seeds all may."""
    side = [made(1.0, 0), made(0.0, 0)]
    answer = compare.compared(side, side, [0, 1], GROUPS)
    assert (answer["difference"], answer["low"], answer["high"], answer["p"]) == (0, 0, 0, 1)
    for score in ("top1", "macro_f1"):
        assert answer[f"{score}_interval_first"] == answer[f"{score}_interval_second"] == (0, 1)


def test_the_difference_in_macro_f1_is_worked_by_hand():
    labels = np.array([0, 0, 1, 1])
    first, second = (
        Predictions(np.array(["a", "b", "c", "d"]), labels, np.eye(2)[predicted], CLASSES[:2])
        for predicted in (labels, [0, 0, 0, 1])
    )
    answer = compare.compared([first], [second], [0], pd.Series(["p", "p", "q", "q"], index=list("abcd")))
    # F1 of the second side: class 0 with 2 of 3 correct has 4/5, class 1 has 2/3.
    assert answer["macro_f1_difference"] == pytest.approx(1 - (4 / 5 + 2 / 3) / 2)
    assert answer["macro_f1_low"] <= answer["macro_f1_difference"] <= answer["macro_f1_high"]


def test_macro_f1_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    for _ in range(20):
        labels, predicted = rng.integers(0, rng.integers(1, 6), 9), rng.integers(0, 8, 9)
        expected = f1_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0)
        assert compare._macro_f1(labels, predicted) == expected


def test_pairs_differ_only_in_the_setting_of_the_question():
    base = {"semantic_weight": 20.0, "seed": 0}
    others = [
        {"semantic_weight": 0.0, "seed": 0, "temporal": "crop_pad"},
        {"semantic_weight": 0.0, "seed": 1},
    ]
    assert pair_names(SEMANTIC, [base, *others]) == []
    assert pair_names(SEMANTIC, [base, {"semantic_weight": 0.0, "seed": 0}]) == [("20.0 0", "0.0 0")]


@pytest.mark.parametrize("preset", ["smoke", "quick", "paper"])
def test_models_with_their_own_learning_rates_are_compared(preset):
    listed = [run(preset=preset, model=model) for model in ("posec3d", "stgcn")]
    assert listed[0].settings.learning_rate != listed[1].settings.learning_rate
    assert len(compare.pairs(BY_CLAIM["PoseC3D beats ST-GCN"], listed)) == 1


def test_models_are_compared_with_the_same_value_of_what_both_have():
    """The preset of PoseC3D keeps the last epoch, that of ST-GCN the best; only ST-GCN has partitions."""
    listed = [{"model": model, "keep": keep} for keep in ("best", "last") for model in ("posec3d", "stgcn")]
    listed += [{"model": "stgcn", "keep": "best", "partition": "uniform"}]
    pairs = pair_names(BY_CLAIM["PoseC3D beats ST-GCN"], [{**values, "preset": "quick"} for values in listed])
    assert pairs == [("posec3d best quick", "stgcn best quick"), ("posec3d last quick", "stgcn last quick")]


def test_joint_and_limb_of_one_seed_are_fused():
    listed = [{"stream": stream, "seed": seed} for stream, seed in (("joint", 0), ("limb", 0), ("limb", 1))]
    together = BY_CLAIM["joint and limb together beat joint alone"]
    assert pair_names(together, listed) == [("joint 0 + limb 0", "joint 0")]


def test_a_stream_that_is_named_twice_is_fused_with_that_of_the_next_seed():
    twice = Question("", "stream", "joint+joint", "joint")
    listed = [{"stream": "joint", "seed": seed} for seed in range(3)]
    assert [first for first, _ in pair_names(twice, listed)] == [
        "joint 0 + joint 1",
        "joint 1 + joint 2",
        "joint 2 + joint 0",
    ]
    assert pair_names(twice, listed[:1]) == []
    control = BY_CLAIM["motion beside joints adds more than a second seed"]
    assert pair_names(control, [*listed, {"stream": "joint_motion", "seed": 1}]) == [
        ("joint 1 + joint_motion 1", "joint 1 + joint 2")
    ]


def test_every_question_is_about_settings_that_exist():
    for question in QUESTIONS:
        assert {question.setting, *question.common} <= settings.names().keys()


def test_the_answers_are_of_the_predictions_of_the_runs(tmp_path):
    listed = []
    for number, (accuracy, values) in enumerate(
        [(0.8, {}), (0.4, {"stream": "limb"}), (0.5, {"augment": "rotate"})]
    ):
        listed.append(Run(run(**values).settings, tmp_path / str(number), {}))
        listed[-1].folder.mkdir()
        made(accuracy, number).save(listed[-1].folder / "val.npz")
    answers = compare.answers(listed, "val", GROUPS).set_index("claim")
    alone = answers.loc["joint and limb together beat limb alone"]
    probabilities = made(0.8, 0).probabilities + made(0.4, 1).probabilities
    assert alone["top1_first"] == (probabilities.argmax(1) == np.arange(CLIPS) % 3).mean()
    rotated = answers.loc["augment rotate is better than none"]
    assert (rotated["first"], rotated["second"], rotated["verdict"]) == ("rotate", "none", "refuted")
    assert len(answers) == 3
    with pytest.raises(ValueError, match="no two of these runs differ in one setting only"):
        compare.answers(listed[:1], "val", GROUPS)


def test_further_values_are_compared_with_the_first():
    listed = [run(model="stgcn"), run(model="ctrgcn"), run(model="stgcn", stream="bone_motion")]
    listed += [run(model=model, layout="imigue22") for model in ("stgcn", "ctrgcn")]
    listed += [run(model="stgcn", temporal="crop_pad"), run(model="stgcn", learning_rate=0.2, seed=1)]
    assert [question.claim for question in compare.questions(listed)[len(QUESTIONS) :]] == [
        "ctrgcn is better than stgcn",
        "stream joint+bone_motion is better than joint",
        "layout imigue22 is better than imigue41 for ctrgcn",
        "learning_rate 0.2 is better than 0.05",
    ]


def grid(**lists):
    default = {
        "models": ["posec3d", "stgcn"],
        "streams": ["joint", "limb"],
        "layouts": ["imigue41", "imigue22"],
    }
    default |= {"temporals": ["align", "crop_pad"], "semantic": [True, False], "seeds": [0], "device": "cpu"}
    return compare.grid(**default | lists)


def test_the_grid_changes_one_setting_at_a_time():
    listed = grid()
    # Each model: base, 22 joints, crop_pad, no semantic loss; and the limb stream of PoseC3D's base.
    assert len({runs.run_name(item) for item in listed}) == len(listed) == 9
    assert len(grid(seeds=[0, 1])) == 18
    assert len(grid(full=True)) == 2 * 8 + 8


def test_partitions_and_the_official_graph_are_for_graph_models_alone():
    options = {"partition": ["spatial", "uniform"]}
    listed = grid(layouts=["imigue22", "imigue22_official"], options=options)
    changed = [item for item in listed if "partition" in item.changes() or item.layout == "imigue22_official"]
    assert [item.model for item in changed] == ["stgcn", "stgcn"]


def test_any_other_setting_can_be_compared():
    listed = grid(options={"augment": ["", "rotate", "noise"], "denoise": ["", "gaps"]})
    assert len(listed) == 9 + 2 * 3
    assert [item.augment for item in listed if item.model == "stgcn"].count("rotate") == 1


def test_a_model_is_trained_on_the_streams_that_it_has():
    listed = grid(streams=["joint", "limb", "joint_motion", "bone"])
    streams = {
        model: [item.stream for item in listed if item.model == model] for model in ("posec3d", "stgcn")
    }
    assert streams == {
        "posec3d": ["joint", "limb", "joint_motion"] + 3 * ["joint"],
        "stgcn": ["joint", "joint_motion", "bone"] + 3 * ["joint"],
    }


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"options": {"augmnt": ["", "rotate"]}}, "a name in options must be one of .*augment, .*'augmnt'"),
        ({"options": {"layout": ["imigue41"]}}, "a name in options must be one of"),
        ({"options": {"seed": [1, 2]}}, "a name in options must be one of"),
        ({"options": {"epochs": [1, 2]}, "epochs": 3}, "a name in options must be one of"),
        (
            {"options": {"augment": "rotate"}},
            "augment must be a list of values, the base first, got 'rotate'",
        ),
        ({"options": {"augment": []}}, r"augment must be a list of values, the base first, got \[\]"),
        (
            {"options": {"momentum": [0.9, 0.8, 0.9]}},
            "the lists give the run '.*' twice; name each value once",
        ),
        ({"options": {"momentum": [0.9, 1.5]}}, "momentum must be below 1, got 1.5"),
        ({"temporals": []}, r"temporal must be a list of values, the base first, got \[\]"),
        ({"streams": ["limb"]}, "stream must be one of joint, .* for model 'stgcn', got 'limb'"),
        ({"streams": ["joint", "elbow"]}, "a value of streams must be one of joint, .*, got 'elbow'"),
    ],
)
def test_wrong_lists_are_refused(lists, message):
    with pytest.raises(ValueError, match=message):
        grid(preset="quick", **lists)


def test_a_single_run_is_refused_before_it_is_trained():
    with pytest.raises(ValueError, match="these lists give a single run, and a comparison needs two"):
        compare.grid(["stgcn"], ["joint"], ["imigue41"], ["align"], [True], [0])


def test_finished_runs_are_loaded_and_their_cost_is_measured(tmp_path, monkeypatch):
    listed = [choose("smoke", epochs=1, device="cpu")]
    (first,) = compare.train(listed, "synthetic-smoke", tmp_path, progress=lambda row: None)
    monkeypatch.setattr(loop, "build", lambda *_: pytest.fail("trained again"))
    (again,) = compare.train(listed, "synthetic-smoke", tmp_path)
    assert (again.folder, again.settings) == (first.folder, first.settings)
    cost = compare.cost([first, again], "synthetic-smoke", tmp_path)
    assert cost["parameters"].item() == first.result["parameters"]
    # The stem alone: 41 maps of 16 × 16 × 8 pixels, 3 × 3 kernels, 4 channels
    assert cost["multiply-adds"].item() > 41 * 16 * 16 * 8 * 9 * 4
    assert cost["seconds a clip"].item() > 0


@pytest.mark.filterwarnings("error")
def test_figures_have_room_for_the_longest_claims():
    longest = {"claim": max(BY_CLAIM, key=len), "first": "drop_joints+drop_regions+rotate"}
    answers = pd.DataFrame([compared(0.8, 0.5) | longest] * 4)
    plots.style()
    for ax in (plots.differences(answers), *plots.both_sides(answers)):
        figure = ax.figure
        figure.canvas.draw()
        assert ax.get_window_extent().width > 0.15 * figure.bbox.width
        assert all(text.get_window_extent().x1 <= figure.bbox.x1 for text in ax.texts)
        assert all(figure.bbox.x0 <= text.get_window_extent().x0 for text in ax.get_yticklabels())
    plt.close("all")
