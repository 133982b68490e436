"""The paper's questions, put to runs that differ in one thing alone, and answered with an interval and a test.

``train`` makes the runs of a grid or finds them finished, ``pair`` finds those that differ as a question asks, ``judge`` says whether
the claim is supported, refuted or undecided on the clips at hand.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from . import clips as clip_sets
from . import ensemble, metrics, predictions, runs, training
from .settings import Settings

SIGNIFICANCE = 0.05
FUSED = "joint+limb"
"""The ``stream`` of a pair of runs that were fused one to one."""
EQUALS = ("model", "stream", "layout", "temporal", "semantic_weight", "preset", "epochs", "batch_size", "learning_rate", "seed", "strategy")
"""What two runs of a pair must share, but for what the question is about."""


@dataclass(frozen=True)
class Question:
    """A claim, and the settings in which its two sides differ; ``given`` is what both must have for it to be asked at all."""

    claim: str
    better: Mapping[str, Any]
    worse: Mapping[str, Any]
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sides(self) -> tuple[str, str]:
        """A short name for each side."""
        better, worse = (", ".join(f"{value}" for value in side.values()) for side in (self.better, self.worse))
        return better, worse


QUESTIONS = (
    Question("PoseC3D beats ST-GCN", {"model": "posec3d"}, {"model": "stgcn"}, {"stream": "joint"}),
    Question("the 19 facial joints help PoseC3D", {"layout": "imigue41"}, {"layout": "imigue22"}, {"model": "posec3d"}),
    Question("the 19 facial joints hurt ST-GCN", {"layout": "imigue22"}, {"layout": "imigue41"}, {"model": "stgcn"}),
    Question("alignment beats crop-and-pad", {"temporal": "align"}, {"temporal": "crop_pad"}),
    Question("alignment beats random segments", {"temporal": "align"}, {"temporal": "segments"}),
    Question("the semantic loss helps", {"semantic_weight": 20.0}, {"semantic_weight": 0.0}),
    Question("joint and limb together beat joint alone", {"stream": FUSED}, {"stream": "joint"}, {"model": "posec3d"}),
    Question("joint and limb together beat limb alone", {"stream": FUSED}, {"stream": "limb"}, {"model": "posec3d"}),
    Question("spatial partitions beat distance partitions", {"strategy": "spatial"}, {"strategy": "distance"}, {"model": "stgcn"}),
    Question("spatial partitions beat uniform ones", {"strategy": "spatial"}, {"strategy": "uniform"}, {"model": "stgcn"}),
    Question("the corrected graph beats the official one", {"layout": "imigue22"}, {"layout": "imigue22_official"}, {"model": "stgcn"}),
)  # fmt: skip


def train(
    wanted: Sequence[Settings], data: str, outputs: str | Path = "", progress: Callable[[dict[str, Any]], None] = training.say
) -> pd.DataFrame:
    """A row for each of the settings, trained now or found finished: the settings, the run's folder and its cost.

    Stopped anywhere, it goes on from there when it is called again; more settings only add runs.
    """
    rows = []
    for settings in wanted:
        clips = clip_sets.load(data, settings.layout, outputs)
        folder = runs.folder(runs.name(settings, data), outputs)
        result = training.fit(clips, settings, folder, progress=progress)
        rows.append({**result["settings"], "folder": folder, "parameters": result["parameters"], "seconds": result["seconds"]})
    return pd.DataFrame(rows)


def grid(
    models: Sequence[str],
    layouts: Sequence[str],
    temporals: Sequence[str],
    semantic: Sequence[bool],
    seeds: Sequence[int],
    preset: str,
    full: bool,
) -> list[Settings]:
    """Settings to train, each seed in turn so that a first answer comes early.

    The first entry of each list is the base. Not ``full``, runs differ from the base in one thing at a time; ``full``, all
    combinations are taken. PoseC3D has a limb stream of the base too, for the ensemble.
    """
    factors = {"layout": layouts, "temporal": temporals, "semantic_weight": [20.0 * wanted for wanted in semantic]}
    wanted = []
    for seed, model in itertools.product(seeds, models):
        for values in itertools.product(*factors.values()):
            changed = sum(value != options[0] for value, options in zip(values, factors.values(), strict=True))
            if full or changed <= 1:
                wanted.append(Settings(model=model, preset=preset, seed=seed, **dict(zip(factors, values, strict=True))))
                if model == "posec3d" and (full or not changed):
                    wanted.append(Settings(model=model, stream="limb", preset=preset, seed=seed, **dict(zip(factors, values, strict=True))))
    return wanted


def with_predictions(table: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """The table of ``train`` with a column of ``Predictions``, and a row more for each joint and limb run that can be fused."""
    table = table.assign(predictions=[predictions.load(folder / f"{split}.npz") for folder in table["folder"]])
    others = [name for name in EQUALS if name != "stream"]
    both = table[table["stream"] == "joint"].merge(table[table["stream"] == "limb"], on=others, suffixes=("", "_limb"))
    fused = both.assign(
        stream=FUSED,
        predictions=[ensemble.fuse(members) for members in zip(both["predictions"], both["predictions_limb"], strict=True)],
        parameters=both["parameters"] + both["parameters_limb"],
        seconds=both["seconds"] + both["seconds_limb"],
    )
    return pd.concat([table, fused[table.columns]], ignore_index=True)


def pair(question: Question, table: pd.DataFrame) -> pd.DataFrame:
    """Pairs of runs that differ as the question asks and in nothing else: columns better, worse (predictions) and seed."""

    def having(wanted: Mapping[str, Any]) -> pd.DataFrame:
        wanted = {**question.given, **wanted}
        return table[np.logical_and.reduce([table[name] == value for name, value in wanted.items()])]

    # The published learning rate differs between the models, so it cannot be asked to be the same for both.
    free = {*question.better, *(("learning_rate",) if "model" in question.better else ())}
    shared = [name for name in EQUALS if name not in free]
    pairs = having(question.better).merge(having(question.worse), on=shared, suffixes=("_better", "_worse"))
    return pairs.rename(columns={"predictions_better": "better", "predictions_worse": "worse"})[["seed", "better", "worse"]]


def judge(question: Question, table: pd.DataFrame, groups: pd.Series) -> dict[str, Any] | None:
    """The answer to a question, or None where no two runs differ as it asks.

    Accuracy is averaged over all pairs; its difference is bootstrapped over groups of clips, which all pairs share. The paired test
    is McNemar's on the fused guesses of each side. The claim is supported, or refuted, where the interval leaves 0 out and the
    test is significant; otherwise it is undecided.

    Args:
        table: of ``with_predictions``.
        groups: the subject or video of each clip, by the clip's id.
    """
    pairs = pair(question, table)
    if pairs.empty:
        return None
    right = {}
    for side in ("better", "worse"):
        members = ensemble.join([*pairs["better"], *pairs["worse"]])
        members = members[: len(pairs)] if side == "better" else members[len(pairs) :]
        known = members[0].labels >= 0
        right[side] = np.stack([(member.guesses == member.labels)[known] for member in members])
        right[f"{side} fused"] = (ensemble.fuse(members).guesses == members[0].labels)[known]
    of_clips = groups[members[0].ids[known]].to_numpy()
    gap = right["better"].mean(0) - right["worse"].mean(0)
    low, high = metrics.interval(lambda rows: gap[rows].mean(), of_clips)
    answer = {
        "claim": question.claim,
        "better": question.sides[0],
        "worse": question.sides[1],
        "pairs": len(pairs),
        "difference": gap.mean(),
        "low": low,
        "high": high,
        "p": metrics.mcnemar(right["better fused"], right["worse fused"]),
    }
    for side in ("better", "worse"):
        accuracies = right[side].mean(1)
        answer[f"top1_{side}"], answer[f"seeds_{side}"] = accuracies.mean(), accuracies.tolist()
        answer[f"macro_f1_{side}"] = float(np.mean([metrics.scores(member)["macro_f1"] for member in pairs[side]]))
        answer[f"interval_{side}"] = metrics.interval(lambda rows, side=side: right[side][:, rows].mean(), of_clips)
    return answer | {"verdict": verdict(low, high, answer["p"])}


def verdict(low: float, high: float, p: float) -> str:
    """Supported or refuted where the interval of the difference leaves 0 out and the test agrees; else undecided."""
    if p < SIGNIFICANCE and low > 0:
        return "supported"
    if p < SIGNIFICANCE and high < 0:
        return "refuted"
    return "undecided"


def sentence(answer: Mapping[str, Any], where: str) -> str:
    """The answer in words.

    Args:
        where: what it was measured on, such as ``"500 synthetic test clips"``.
    """
    runs_each = f"{answer['pairs']} pair{'s' if answer['pairs'] > 1 else ''} of runs"
    return (
        f"On {where}, that {answer['claim']} is {answer['verdict']}: top-1 {answer['top1_better']:.1%} ({answer['better']}) against "
        f"{answer['top1_worse']:.1%} ({answer['worse']}), a difference of {100 * answer['difference']:+.1f} points "
        f"[{100 * answer['low']:+.1f}, {100 * answer['high']:+.1f}], McNemar p = {answer['p']:.2g}, {runs_each}."
    )
