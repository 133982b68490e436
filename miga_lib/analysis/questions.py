"""The paper's questions, answered by runs that differ in one setting only, with an interval and a test.

``train`` trains the runs of a grid or finds them finished. ``pair`` finds the runs that differ as a question asks. ``answer`` says
whether these clips support the question's claim, refute it or leave it undecided.
"""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from .. import clips as clip_sets
from .. import ensemble, metrics, predictions, runs, training
from ..models import MODELS
from ..settings import OF_MODEL, Settings, check_choice, check_type
from ..training.inputs import Inputs

SIGNIFICANCE_LEVEL = 0.05
"""Significance level of McNemar's test."""
SEMANTIC_WEIGHT = 20.0
"""Weight of the semantic loss where it is used, as in the paper."""
FUSED = "joint+limb"
"""The ``stream`` of a joint and a limb run that were fused with equal weights."""
MATCHED_SETTINGS = tuple(field.name for field in fields(Settings) if field.name not in ("device", "precision"))
"""The settings that must be the same in both runs of a pair, except for those that the question is about."""

GIVEN = ("model", "stream", "preset", "epochs", "seed", "protocol")
"""Settings that ``grid`` takes besides its lists."""


@dataclass(frozen=True)
class Question:
    """A claim, and the settings in which its two sides differ. ``given`` are settings that both sides must have."""

    claim: str
    better: Mapping[str, Any]
    worse: Mapping[str, Any]
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sides(self) -> tuple[str, str]:
        """A short name for each side."""
        better, worse = (", ".join(f"{value}" or "none" for value in side.values()) for side in (self.better, self.worse))
        return better, worse


QUESTIONS = (
    Question("PoseC3D beats ST-GCN", {"model": "posec3d"}, {"model": "stgcn"}, {"stream": "joint"}),
    Question("the 19 facial joints help PoseC3D", {"layout": "imigue41"}, {"layout": "imigue22"}, {"model": "posec3d"}),
    Question("the 19 facial joints hurt ST-GCN", {"layout": "imigue22"}, {"layout": "imigue41"}, {"model": "stgcn"}),
    Question("alignment beats crop-and-pad", {"temporal": "align"}, {"temporal": "crop_pad"}),
    Question("alignment beats random segments", {"temporal": "align"}, {"temporal": "segments"}),
    Question("the semantic loss helps", {"semantic_weight": SEMANTIC_WEIGHT}, {"semantic_weight": 0.0}),
    Question("joint and limb together beat joint alone", {"stream": FUSED}, {"stream": "joint"}, {"model": "posec3d"}),
    Question("joint and limb together beat limb alone", {"stream": FUSED}, {"stream": "limb"}, {"model": "posec3d"}),
    Question("spatial partitions beat distance partitions", {"strategy": "spatial"}, {"strategy": "distance"}, {"model": "stgcn"}),
    Question("spatial partitions beat uniform ones", {"strategy": "spatial"}, {"strategy": "uniform"}, {"model": "stgcn"}),
    Question("the corrected graph beats the official one", {"layout": "imigue22"}, {"layout": "imigue22_official"}, {"model": "stgcn"}),
)  # fmt: skip


def grid(
    models: Sequence[str],
    layouts: Sequence[str],
    temporals: Sequence[str],
    semantic: Sequence[bool],
    strategies: Sequence[str],
    seeds: Sequence[int],
    preset: str = "auto",
    epochs: int = 0,
    full: bool = False,
    protocol: str = "",
    options: Mapping[str, Sequence[Any]] = MappingProxyType({}),
) -> list[Settings]:
    """The settings of all runs to train. All runs of the first seed come first, so that there is an early answer.

    The first entry of each list is the base. Runs differ from the base in one setting; with ``full``, all combinations are trained. A
    model with a limb stream is trained on it too, for the ensemble. Partition strategies and the graph of ``imigue22_official`` are
    only for models that take a graph: joint heatmaps do not depend on the limbs.

    Args:
        options: lists of values of any other settings, by name, such as ``{"augment": ["", "rotate"]}``.

    Raises:
        ValueError: an empty list, a value that ``Settings`` refuses, or a single run, with which nothing can be compared.
    """
    factors: dict[str, Sequence[Any]] = {
        "layout": layouts,
        "temporal": temporals,
        "semantic_weight": [SEMANTIC_WEIGHT * wanted for wanted in semantic],
        "strategy": strategies,
    }
    for name, values in options.items():
        check_choice("a name in options", name, [one for one in MATCHED_SETTINGS if one not in {*factors, *GIVEN}])
        if not isinstance(values, list | tuple):
            raise ValueError(f"options[{name!r}] must be a list of values, the base first, got {values!r:.100}")
        for value in values:
            check_type(f"a value of options[{name!r}]", value, type(getattr(Settings, name)))
    factors |= options
    lists = {"models": models, "layouts": layouts, "temporals": temporals, "semantic": semantic, "strategies": strategies, "seeds": seeds}
    if empty := [name for name, values in {**lists, **options}.items() if not len(values)]:
        raise ValueError(f"{empty[0]} must have at least one value to compare, got none")
    wanted = []
    for seed, model, *values in itertools.product(seeds, models, *factors.values()):
        chosen = dict(zip(factors, values, strict=True))
        changed = [name for name, value in chosen.items() if value != factors[name][0]]
        of_graph = "strategy" in changed or chosen["layout"] == "imigue22_official"
        if (len(changed) > 1 and not full) or (of_graph and MODELS[model].input != "graph"):
            continue
        both = ["joint", "limb"] if "limb" in MODELS[model].streams and (full or not changed) else ["joint"]
        wanted += [Settings(model, stream, preset=preset, epochs=epochs, seed=seed, protocol=protocol, **chosen) for stream in both]
    if len(wanted) == 1:
        raise ValueError("these lists give a single run, and a comparison needs two; give one of them a second value")
    return wanted


def train(
    wanted: Sequence[Settings], data: str, outputs: str | Path = "", progress: Callable[[dict[str, Any]], None] = training.print_epoch
) -> pd.DataFrame:
    """Train a run for each of the settings; finished runs are loaded instead. Gives a table with the settings, folder and cost of each run.

    After an interruption, the same call continues where it stopped. More settings only add runs.
    """
    rows = []
    for number, settings in enumerate(wanted, 1):
        clips = clip_sets.load(data, outputs=outputs, **settings.clip_arguments)
        folder = runs.folder(runs.name(settings, data), outputs)
        print(f"{number} of {len(wanted)}: {folder.name}" + (" (already finished)" if (folder / runs.RESULT).exists() else ""), flush=True)
        result = training.fit(clips, settings, folder, progress=progress)
        # A run of an earlier version lacks the settings that were added since; `fit` has checked that they are the same.
        known = asdict(settings.resolve()) | result["settings"]
        rows.append({**known, "folder": folder, "parameters": result["parameters"], "seconds": result["seconds"]})
    return pd.DataFrame(rows)


def cost(table: pd.DataFrame, data: str, outputs: str | Path = "", clips: int = 32) -> pd.DataFrame:
    """The cost of each model and stream: parameters, multiply-adds of one view, seconds to train, seconds to predict a clip (all views).

    Multiply-adds are those of convolutions and matrix products, as PyTorch's FlopCounterMode counts them.

    Args:
        clips: number of validation clips on which the prediction is timed. The same clips are predicted once before, as a warm-up.
    """
    rows = []
    for _, run in table[table["stream"] != FUSED].drop_duplicates(["model", "stream", "layout"]).iterrows():
        model, settings = training.load_model(run["folder"])
        some = clip_sets.load(data, outputs=outputs, **settings.clip_arguments).split("val")
        some = some.where(np.arange(min(clips, len(some))))
        training.predict(model, some, settings)
        began = time.perf_counter()
        training.predict(model, some, settings)
        seconds = (time.perf_counter() - began) / len(some)
        view = next(Inputs(some, replace(settings, temporal="align")).views(torch.arange(1)))
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            model(*view)
        row = {name: run[name] for name in ("model", "stream", "layout", "parameters")} | {"training seconds": run["seconds"]}
        rows.append(row | {"multiply-adds": counter.get_total_flops() / 2, "seconds a clip": seconds})
    return pd.DataFrame(rows)


def with_predictions(table: pd.DataFrame, split: str = "test") -> pd.DataFrame:
    """The table of ``train`` with a column of ``Predictions``, and one more row for each joint and limb run that can be fused."""
    table = table.assign(predictions=[predictions.load(folder / f"{split}.npz") for folder in table["folder"]])
    others = [name for name in MATCHED_SETTINGS if name != "stream"]
    both = table[table["stream"] == "joint"].merge(table[table["stream"] == "limb"], on=others, suffixes=("", "_limb"))
    fused = both.assign(
        stream=FUSED,
        predictions=[ensemble.fuse(members) for members in zip(both["predictions"], both["predictions_limb"], strict=True)],
        parameters=both["parameters"] + both["parameters_limb"],
        seconds=both["seconds"] + both["seconds_limb"],
    )
    return pd.concat([table, fused[table.columns]], ignore_index=True)


def of_options(options: Mapping[str, Sequence[Any]]) -> list[Question]:
    """The question of each value in the ``options`` of ``grid``: is it better than the first value in its list?"""
    return [
        Question(f"{name} {value} is better than {base or 'none'}", {name: value}, {name: base})
        for name, (base, *values) in options.items()
        for value in values
    ]


def answer_all(table: pd.DataFrame, groups: pd.Series, options: Mapping[str, Sequence[Any]] = MappingProxyType({})) -> pd.DataFrame:
    """The answers to all of ``QUESTIONS`` and ``of_options`` that these runs can answer, a row each; see ``answer``.

    Raises:
        ValueError: there are none.
    """
    answers = [found for question in (*QUESTIONS, *of_options(options)) if (found := answer(question, table, groups))]
    if not answers:
        raise ValueError("no two of these runs differ as one of the questions asks; give other values (`questions.QUESTIONS` lists them)")
    return pd.DataFrame(answers)


def pair(question: Question, table: pd.DataFrame) -> pd.DataFrame:
    """Pairs of runs that differ as the question asks and in no other setting: columns better, worse (predictions) and seed."""

    def having(wanted: Mapping[str, Any]) -> pd.DataFrame:
        wanted = {**question.given, **wanted}
        return table[np.logical_and.reduce([table[name] == value for name, value in wanted.items()])]

    # Each model has its own published learning rate and width, among others, so two models may differ in them.
    free = {*question.better, *(OF_MODEL if "model" in question.better else ())}
    shared = [name for name in MATCHED_SETTINGS if name not in free]
    pairs = having(question.better).merge(having(question.worse), on=shared, suffixes=("_better", "_worse"))
    return pairs.rename(columns={"predictions_better": "better", "predictions_worse": "worse"})[["seed", "better", "worse"]]


def answer(question: Question, table: pd.DataFrame, groups: pd.Series) -> dict[str, Any] | None:
    """The answer to a question, or None where no two runs differ as it asks.

    Accuracy is averaged over all pairs. Its difference is bootstrapped over groups of clips, which are the same for all pairs. The
    paired test is McNemar's on the fused predictions of each side. For the verdict see ``verdict``.

    Args:
        table: of ``with_predictions``.
        groups: the subject or video of each clip, by the clip's id.
    """
    pairs = pair(question, table)
    if pairs.empty:
        return None
    members = [metrics.labelled(member) for member in ensemble.join([*pairs["better"], *pairs["worse"]])]
    sides = {"better": members[: len(pairs)], "worse": members[len(pairs) :]}
    labels, of_clips = members[0].labels, groups[members[0].ids].to_numpy()
    correct = {side: np.stack([member.predicted == labels for member in of_side]) for side, of_side in sides.items()}
    fused = {side: ensemble.fuse(of_side).predicted == labels for side, of_side in sides.items()}
    gap = correct["better"].mean(0) - correct["worse"].mean(0)
    low, high = metrics.interval(lambda rows: gap[rows].mean(), of_clips)
    p = metrics.mcnemar(fused["better"], fused["worse"])
    result = {"claim": question.claim, "better": question.sides[0], "worse": question.sides[1], "pairs": len(pairs)}
    result |= {"difference": gap.mean(), "low": low, "high": high, "p": p, "verdict": verdict(low, high, p)}
    for side, of_side in sides.items():
        result[f"top1_{side}"], result[f"seeds_{side}"] = correct[side].mean(), correct[side].mean(1).tolist()
        result[f"top1_interval_{side}"] = metrics.interval(partial(_top1, correct[side]), of_clips)
        macro_f1 = partial(_macro_f1, labels, [member.predicted for member in of_side])
        result[f"macro_f1_{side}"] = macro_f1(np.arange(len(labels)))
        result[f"macro_f1_interval_{side}"] = metrics.interval(macro_f1, of_clips, resamples=200)
    return result


def _top1(correct: np.ndarray, rows: np.ndarray) -> float:
    """The accuracy on these rows, averaged over several runs: (runs, N) bool, whether each predicts each clip correctly."""
    return float(correct[:, rows].mean())


def _macro_f1(labels: np.ndarray, predicted: Sequence[np.ndarray], rows: np.ndarray) -> float:
    """The mean F1 over the classes that these rows have, averaged over several runs' predicted classes, (N,) each."""
    from sklearn.metrics import f1_score

    present, every = np.unique(labels[rows]), (one[rows] for one in predicted)
    return float(np.mean([f1_score(labels[rows], one, labels=present, average="macro", zero_division=0) for one in every]))


def verdict(low: float, high: float, p: float) -> str:
    """Supported or refuted if the interval of the difference does not contain 0 and the test is significant; else undecided."""
    if p < SIGNIFICANCE_LEVEL and low > 0:
        return "supported"
    if p < SIGNIFICANCE_LEVEL and high < 0:
        return "refuted"
    return "undecided"


def sentence(answer: Mapping[str, Any], where: str) -> str:
    """The answer in a sentence.

    Args:
        where: the clips that it was measured on, such as ``"500 synthetic test clips"``.
    """
    pairs = f"{answer['pairs']} pair{'s' if answer['pairs'] > 1 else ''} of runs"
    better, worse = (f"{metrics.percent(answer[f'top1_{side}'])} ({answer[side]})" for side in ("better", "worse"))
    difference, low, high = (f"{100 * answer[value]:+.1f}" for value in ("difference", "low", "high"))
    return (
        f"On {where}, the claim that {answer['claim']} is {answer['verdict']}: top-1 {better} against {worse}, a difference of "
        f"{difference} points [{low}, {high}], McNemar p = {answer['p']:.2g}, {pairs}."
    )
