"""Each verdict is given where it is due, pairs differ in one setting only, and the grid has the settings
asked for."""

import itertools
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

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


def answered(with_loss, without, seeds=3, groups=GROUPS):
    """The answer to the question about the semantic loss, from made predictions."""
    first = [made(with_loss, 10 + seed) for seed in range(seeds)]
    second = [made(without, 20 + seed) for seed in range(seeds)]
    sides = {"claim": "the semantic loss helps", "planned": True, "first": "20.0", "second": "0.0"}
    answer = sides | {"pairs": seeds, "seeds": seeds}
    answer |= compare.compared(first, second, list(range(seeds)), groups)
    verdict = compare.verdict(answer["difference"], answer["p"])
    return answer | {"p_adjusted": answer["p"], "verdict": verdict}


@pytest.mark.parametrize(
    ("with_loss", "without", "verdict"),
    [(0.8, 0.5, "supported"), (0.5, 0.8, "refuted"), (0.6, 0.6, "undecided")],
)
def test_each_verdict_can_come_out(with_loss, without, verdict):
    answer = answered(with_loss, without)
    assert answer["verdict"] == verdict
    assert answer["low"] <= answer["difference"] <= answer["high"]
    assert answer["difference"] == pytest.approx(answer["top1_first"] - answer["top1_second"])
    sentence = compare.sentence(answer, "made clips")
    assert f"On made clips, the claim that the semantic loss helps is {verdict}: top-1" in sentence
    assert "(adjusted), planned, 3 pairs of runs with 3 seeds; macro-F1" in sentence


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_or_two_seeds_are_no_test(seeds):
    answer = answered(0.9, 0.3, seeds)
    assert answer["verdict"] == "not tested"
    sentence = compare.sentence(answer, "clips")
    assert "nan" not in sentence
    assert f"needs 3 seeds and 5 people for a test, {seeds} pair" in sentence
    assert compare.with_interval(0.03, 0.012, 0.049) == "+3.0 [+1.2, +4.9]"


def test_pairs_of_one_seed_count_once():
    """Two equal pairs of each seed say no more than one."""
    first, second = ([made(accuracy, seed) for seed in (1, 2, 3)] for accuracy in (0.7, 0.5))
    once = compare.compared(first, second, [0, 1, 2], GROUPS)
    twice = compare.compared(first * 2, second * 2, [0, 1, 2] * 2, GROUPS)
    for name in ("difference", "low", "high", "p"):
        assert twice[name] == pytest.approx(once[name])


def test_the_difference_in_macro_f1_is_worked_by_hand():
    labels = np.array([0, 0, 1, 1])
    first, second = (
        Predictions(np.array(["a", "b", "c", "d"]), labels, np.eye(2)[predicted], CLASSES[:2])
        for predicted in (labels, [0, 0, 0, 1])
    )
    answer = compare.compared([first], [second], [0], pd.Series(["p", "p", "q", "q"], index=list("abcd")))
    # F1 of the second side: class 0 with 2 of 3 correct has 4/5, class 1 has 2/3.
    assert answer["macro_f1_difference"] == pytest.approx(1 - (4 / 5 + 2 / 3) / 2)


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
    """Only ST-GCN has partitions."""
    listed = [{"model": model, "keep": keep} for keep in ("best", "last") for model in ("posec3d", "stgcn")]
    listed += [{"model": "stgcn", "keep": "best", "partition": "uniform"}]
    pairs = pair_names(BY_CLAIM["PoseC3D beats ST-GCN"], [{**values, "preset": "quick"} for values in listed])
    assert pairs == [("posec3d best quick", "stgcn best quick"), ("posec3d last quick", "stgcn last quick")]


def test_joint_and_limb_of_one_seed_are_fused():
    listed = [{"stream": stream, "seed": seed} for stream, seed in (("joint", 0), ("limb", 0), ("limb", 1))]
    together = BY_CLAIM["joint and limb together beat joint alone"]
    assert pair_names(together, listed) == [("joint 0 + limb 0", "joint 0")]


def test_a_stream_that_is_named_twice_is_fused_with_that_of_a_seed_that_no_other_pair_has():
    """Pairs that share a run would be treated as independent, and are not."""
    twice = Question("", "stream", "joint+joint", "joint")
    listed = [{"stream": "joint", "seed": seed} for seed in range(7)]
    assert pair_names(twice, listed) == [
        ("joint 0 + joint 3", "joint 0"),
        ("joint 1 + joint 4", "joint 1"),
        ("joint 2 + joint 5", "joint 2"),
    ]
    assert pair_names(twice, listed[:1]) == []
    control = BY_CLAIM["motion beside joints adds more than a second seed"]
    motion = [{"stream": "joint_motion", "seed": seed} for seed in range(7)]
    assert pair_names(control, listed[:2] + motion[:1]) == [("joint 0 + joint_motion 0", "joint 0 + joint 1")]
    streams = [{"stream": stream, "seed": seed} for stream in ("joint", "limb") for seed in range(4)]
    four = Question("", "stream", "joint+limb+joint+limb", "joint+limb")
    assert pair_names(four, streams) == [
        ("joint 0 + limb 0 + joint 2 + limb 2", "joint 0 + limb 0"),
        ("joint 1 + limb 1 + joint 3 + limb 3", "joint 1 + limb 1"),
    ]


def test_every_question_is_about_settings_that_exist():
    for question in QUESTIONS:
        assert {question.setting, *question.common} <= settings.names().keys()


def test_the_answers_are_of_the_predictions_of_the_runs(tmp_path):
    listed = []
    variants = [(0.8, {}), (0.4, {"stream": "limb"}), (0.5, {"augment": "rotate"})]
    for number, (seed, (accuracy, values)) in enumerate(itertools.product(range(3), variants)):
        listed.append(Run(run(**values, seed=seed).settings, tmp_path / str(number), {}))
        listed[-1].folder.mkdir()
        made(accuracy, number).save(listed[-1].folder / "val.npz")
    answers = compare.answers(listed, "val", GROUPS).set_index("claim")
    alone = answers.loc["joint and limb together beat limb alone"]
    of_seeds = [made(0.8, k).probabilities + made(0.4, k + 1).probabilities for k in (0, 3, 6)]
    correct = [(summed.argmax(1) == np.arange(CLIPS) % 3).mean() for summed in of_seeds]
    assert alone["top1_first"] == pytest.approx(np.mean(correct))
    rotated = answers.loc["augment rotate is better than none"]
    assert (rotated["first"], rotated["second"], rotated["verdict"]) == ("rotate", "none", "refuted")
    assert len(answers) == 3
    planned = answers[answers["planned"]]
    assert planned["p_adjusted"].min() == pytest.approx(2 * planned["p"].min()), "two planned questions"
    assert rotated["p_adjusted"] == rotated["p"], "the only exploratory one"
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
    answers = pd.DataFrame([answered(0.8, 0.5) | longest] * 4)
    plots.style()
    for ax in (plots.differences(answers), *plots.both_sides(answers)):
        figure = ax.figure
        figure.canvas.draw()
        assert ax.get_window_extent().width > 0.15 * figure.bbox.width
        assert all(text.get_window_extent().x1 <= figure.bbox.x1 for text in ax.texts)
        assert all(figure.bbox.x0 <= text.get_window_extent().x0 for text in ax.get_yticklabels())
    plt.close("all")
