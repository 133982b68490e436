"""Pairs of runs that differ in one setting, and what they support: differences with interval and test.

``grid`` lists the settings of the runs, ``train`` trains or loads the runs, and ``answers`` says for each
claim that they can answer whether these clips support it, refute it or leave it undecided.
"""

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from . import ensemble, intervals, metrics, predictions, training
from .clips import load
from .models import MODELS
from .predictions import Predictions
from .runs import RESULT, run_folder, run_name
from .settings import Settings, check_choice, choose
from .training.inputs import inputs_of

SIGNIFICANCE_LEVEL = 0.05
"""Of the adjusted p values: the chance of any wrong verdict among the planned questions, and among the
exploratory ones."""
SEMANTIC_WEIGHT = 20.0
"""Weight of the semantic loss where it is used, as in Li et al. (arXiv 2307.10624)."""
OFFICIAL_GRAPH = "imigue22_official"
"""A layout that differs from another one in its limbs only."""


class Question(NamedTuple):
    """A claim that runs with one value of a setting are better than those with another.

    Streams joined by ``+`` are fused with equal weights. A stream that is there again is that of another
    seed.
    """

    claim: str
    setting: str
    first: Any
    second: Any
    common: Mapping[str, Any] = MappingProxyType({})
    """Settings that the runs of both sides have."""
    planned: bool = False
    """A question of the paper. All others are exploratory: what they show deserves a second data set."""


POSEC3D, STGCN = {"model": "posec3d"}, {"model": "stgcn"}
JOINT_LIMB, JOINT_BONE, JOINT_MOTION = "joint+limb", "joint+bone", "joint+joint_motion"
FOUR, FOUR_OF_GRAPH = "joint+limb+joint_motion+limb_motion", "joint+bone+joint_motion+bone_motion"
QUESTIONS = (
    Question("PoseC3D beats ST-GCN", "model", "posec3d", "stgcn", {"stream": "joint"}, True),
    Question("the 19 facial joints help PoseC3D", "layout", "imigue41", "imigue22", POSEC3D, True),
    Question("the 19 facial joints hurt ST-GCN", "layout", "imigue22", "imigue41", STGCN, True),
    Question("alignment beats crop-and-pad", "temporal", "align", "crop_pad", {}, True),
    Question("alignment beats random segments", "temporal", "align", "segments"),
    Question("the semantic loss helps", "semantic_weight", SEMANTIC_WEIGHT, 0.0, {}, True),
    Question("joint and limb together beat joint alone", "stream", JOINT_LIMB, "joint", POSEC3D, True),
    Question("joint and limb together beat limb alone", "stream", JOINT_LIMB, "limb", POSEC3D, True),
    Question("joint and bone together beat joint alone", "stream", JOINT_BONE, "joint"),
    Question("four graph streams beat joint and bone", "stream", FOUR_OF_GRAPH, JOINT_BONE),
    Question("motion beside joints adds more than a second seed", "stream", JOINT_MOTION, "joint+joint"),
    Question("four streams beat joint and limb", "stream", FOUR, JOINT_LIMB),
    Question("four streams beat joint and limb of two seeds", "stream", FOUR, f"{JOINT_LIMB}+{JOINT_LIMB}"),
    Question("spatial partitions beat distance partitions", "partition", "spatial", "distance", STGCN),
    Question("spatial partitions beat uniform ones", "partition", "spatial", "uniform", STGCN),
    Question("the corrected graph beats the official one", "layout", "imigue22", OFFICIAL_GRAPH, STGCN),
)


@dataclass(frozen=True)
class Run:
    """A finished run: its settings, its folder, and the content of its ``result.json``."""

    settings: Settings
    folder: Path
    result: Mapping[str, Any]

    @cached_property
    def changes(self) -> dict[str, Any]:
        """The settings that differ from the preset of the model."""
        return self.settings.changes()


def grid(
    models: Sequence[str],
    streams: Sequence[str],
    layouts: Sequence[str],
    temporals: Sequence[str],
    semantic: Sequence[bool],
    seeds: Sequence[int],
    options: Mapping[str, Sequence[Any]] = MappingProxyType({}),
    full: bool = False,
    **common: Any,
) -> list[Settings]:
    """The settings of all runs to train, those of the first seed first, so that there is an early answer.

    The first value of each list is the base. Each model is trained with the base, and with each other value
    in place of the base's; with ``full``, with all combinations. A further stream or setting that a model
    does not have is left out, and so is the graph of ``imigue22_official`` for heatmaps of joints.

    Args:
        options: lists of values of any other settings, by name, such as ``{"augment": ["", "rotate"]}``.
        common: settings of all runs.

    Raises:
        ValueError: an empty list, a value that ``Settings`` refuses, a run that is there twice, a single run.
    """
    weights = [SEMANTIC_WEIGHT * used for used in semantic]
    lists: dict[str, Sequence[Any]] = {"layout": layouts, "temporal": temporals, "semantic_weight": weights}
    own = {model: set(choose(model=model, **common).values()) for model in models}
    free = sorted(set().union(*own.values()) - {"model", "stream", "seed", *lists, *common})
    for name in options:
        check_choice("a name in options", name, free)
    for stream in streams:
        of_models = dict.fromkeys(stream for model in models for stream in MODELS[model].streams)
        check_choice("a value of streams", stream, of_models)
    lists |= {**options, "stream": streams}
    for name, values in {"models": models, "seeds": seeds, **lists}.items():
        if not isinstance(values, list | tuple) or not values:
            raise ValueError(f"{name} must be a list of values, the base first, got {values!r:.100}")

    settings: list[Settings] = []
    for seed, model, *values in itertools.product(seeds, models, *lists.values()):
        chosen = dict(zip(lists, values, strict=True))
        changed = {name for name, value in chosen.items() if value != lists[name][0]}
        lacking = options.keys() - own[model]
        no_stream = "stream" in changed and chosen["stream"] not in MODELS[model].streams
        no_graph = chosen["layout"] == OFFICIAL_GRAPH and MODELS[model].input != "graph"
        if no_stream or no_graph or changed & lacking or (len(changed) > 1 and not full):
            continue
        chosen = {name: value for name, value in chosen.items() if name not in lacking}
        run = choose(model=model, seed=seed, **common, **chosen)
        if run in settings:
            raise ValueError(f"the lists give the run {run_name(run)!r} twice; name each value once")
        settings.append(run)
    if len(settings) == 1:
        raise ValueError("these lists give a single run, and a comparison needs two; give one a second value")
    return settings


def train(
    grid: Sequence[Settings],
    data: str,
    outputs: str | Path = "",
    progress: Callable[[dict[str, Any]], None] = training.print_epoch,
) -> list[Run]:
    """Train a run with each of the settings; finished runs are loaded instead, so after an interruption the
    same call continues where it stopped."""
    runs = []
    for number, settings in enumerate(grid, 1):
        clips = load(data, outputs=outputs, **settings.clip_arguments)
        folder = run_folder(run_name(settings, data), outputs)
        state = " (already finished)" * (folder / RESULT).exists()
        print(f"{number} of {len(grid)}: {folder.name}{state}", flush=True)
        result = training.fit(clips, settings, folder, progress)
        # The semantic loss is switched off where a class has no embedding.
        settings = replace(settings, semantic_weight=result["settings"]["semantic_weight"])
        runs.append(Run(settings, folder, result))
    return runs


def base(runs: Sequence[Run]) -> list[Run]:
    """The first run of each model and seed: that with the first value of each list of ``grid``."""
    return list({(run.settings.model, run.settings.seed): run for run in reversed(runs)}.values())[::-1]


def cost(runs: Sequence[Run], data: str, outputs: str | Path = "", clips: int = 32) -> pd.DataFrame:
    """The cost of each model and stream: parameters, multiply-adds of one view (of convolutions and matrix
    products, as PyTorch's FlopCounterMode counts them), seconds to train, seconds to predict a clip (all
    views; measured on so many validation clips, after it was done once before)."""
    rows: dict[tuple[str, ...], dict[str, Any]] = {}
    columns = ("model", "stream", "layout")
    for run in runs:
        key = tuple(getattr(run.settings, name) for name in columns)
        if key in rows:
            continue
        model, settings = training.load_model(run.folder)
        sample = load(data, outputs=outputs, **settings.clip_arguments).split("val")
        sample = sample.where(np.arange(min(clips, len(sample))))
        training.predict(model, sample, settings)
        began = time.perf_counter()
        training.predict(model, sample, settings)
        seconds = (time.perf_counter() - began) / len(sample)
        view = next(inputs_of(sample, replace(settings, temporal="align")).views(torch.arange(1)))
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            model(*view)
        rows[key] = dict(zip(columns, key, strict=True)) | {
            "parameters": run.result["parameters"],
            "training seconds": run.result["seconds"],
            "multiply-adds": counter.get_total_flops() / 2,
            "seconds a clip": seconds,
        }
    return pd.DataFrame(rows.values())


def answers(runs: Sequence[Run], split: str, groups: pd.Series) -> pd.DataFrame:
    """The answers to all ``questions`` for which there are pairs of runs, by their predictions of a split.

    Columns: claim and planned, of the question; first and second, the values of the two sides; the numbers of
    pairs of runs and of seeds; those of ``compared``; ``p_adjusted`` for the number of questions, of the
    planned and of the exploratory ones by themselves; and the verdict: supported or refuted, where this is
    below ``SIGNIFICANCE_LEVEL``, else undecided; not tested, where there is no interval. Raises ValueError
    where there are no pairs.

    Args:
        groups: the subject or video of each clip, by the clip's id.
    """
    rows = []
    predicted = {run.folder: predictions.load(run.folder / f"{split}.npz") for run in runs}
    for question in questions(runs):
        members = pairs(question, runs)
        if members:
            first, second = (
                [ensemble.fuse([predicted[run.folder] for run in fused]) for fused in side]
                for side in zip(*members, strict=True)
            )
            seeds = [side[0].settings.seed for side, _ in members]
            sides = {"claim": question.claim, "planned": question.planned}
            sides |= {"first": str(question.first), "second": str(question.second)}
            counts = {"pairs": len(seeds), "seeds": len(set(seeds))}
            rows.append({**sides, **counts, **compared(first, second, seeds, groups)})
    if not rows:
        raise ValueError("no two of these runs differ in one setting only; give other values to compare")
    table = pd.DataFrame(rows).replace({"first": "", "second": ""}, "none")
    table["p_adjusted"] = table.groupby("planned")["p"].transform(lambda p: intervals.adjusted(p.to_numpy()))
    return table.assign(verdict=list(map(verdict, table["difference"], table["p_adjusted"])))


def questions(runs: Sequence[Run]) -> list[Question]:
    """``QUESTIONS``, and for each further value of a setting whether it is better than that of the first run.

    A further stream is fused with the first one.
    """
    claims = list(QUESTIONS)
    settings = [run.settings.values() for run in runs]
    models = dict.fromkeys(values["model"] for values in settings)
    changes = dict.fromkeys(name for run in runs for name in ("model", *run.changes))
    changes.pop("seed", None)
    for name in changes:
        base, *further = dict.fromkeys(values[name] for values in settings if name in values)
        for value in further:
            first = f"{base}+{value}" if name == "stream" else value
            claim = f"{name} {first} is better than {base or 'none'}".removeprefix("model ")
            sides = ((name, first, base), (name, base, first))
            same = [question for question in QUESTIONS if question[1:4] in sides]
            answered = {question.common.get("model") for question in same}
            if not same:
                claims.append(Question(claim, name, first, base))
            elif name != "model" and None not in answered:
                for model in [model for model in models if model not in answered]:
                    claims.append(Question(f"{claim} for {model}", name, first, base, {"model": model}))
    return claims


def pairs(question: Question, runs: Sequence[Run]) -> list[tuple[list[Run], list[Run]]]:
    """The pairs of runs that differ as the question asks and in no other setting, except for those that only
    the presets of their models give. A side of several streams has several runs."""
    changes = {name for run in runs for name in run.changes}
    names = ({"model", "preset"} | changes) - {question.setting, "seed"}
    of_all = set.intersection(*(set(run.settings.values()) for run in runs))
    first, second = [question.first], [question.second]
    if question.setting == "stream":
        first, second = question.first.split("+"), question.second.split("+")
    alike: dict[frozenset[Any], dict[tuple[Any, int], Run]] = defaultdict(dict)
    for run in runs:
        values = run.settings.values()
        if question.setting in values and question.common.items() <= values.items():
            # What only some models have counts where it is not that of the preset.
            own = names & (of_all | run.changes.keys())
            key = frozenset((name, values[name]) for name in own)
            alike[key][values[question.setting], values["seed"]] = run

    copies = max(side.count(value) for side in (first, second) for value in side)
    sides = []
    for of_key in alike.values():
        seeds = list(dict.fromkeys(seed for _, seed in of_key))
        # Where a stream is there more than once, the others are of seeds that no other pair has.
        pairs = len(seeds) // copies
        for place in range(pairs):
            members = [_runs_of(values, of_key, seeds[place::pairs]) for values in (first, second)]
            if all(members):
                sides.append((members[0], members[1]))
    return sides


def _runs_of(values: list[Any], runs: Mapping[tuple[Any, int], Run], seeds: list[int]) -> list[Run]:
    """A run for each value, or none where one is missing: of the first seed; where a value is there again, of
    the next one."""
    places = [(value, seeds[values[:place].count(value)]) for place, value in enumerate(values)]
    return [runs[place] for place in places] if all(place in runs for place in places) else []


def compared(
    first: Sequence[Predictions], second: Sequence[Predictions], seeds: Sequence[int], groups: pd.Series
) -> dict[str, Any]:
    """How the predictions of pairs of runs differ: averaged over the pairs of a seed, then over seeds.
    Interval and p are those of ``intervals.of_trainings``.

    Returns:
        ``difference`` of top-1, ``low``, ``high``, ``p``; for each side (``_first``, ``_second``) ``top1``,
        its interval ``top1_interval``, that of each seed ``top1_seeds``, and ``macro_f1``; the difference of
        macro-F1.
    """
    members = [metrics.labelled(member) for member in ensemble.join([*first, *second])]
    labels, count = members[0].labels, len(first)
    predicted = np.stack([member.predicted for member in members]).reshape(2, count, -1)
    by_clip, of_seed = groups[members[0].ids].to_numpy(), np.array(seeds)
    right = predicted == labels
    correct = np.stack([right[:, of_seed == seed].mean(1) for seed in dict.fromkeys(seeds)], 1)

    def estimate(values: np.ndarray) -> intervals.Estimate:
        """Of values of each seed and clip."""
        means = [lambda rows, of_clips=of_clips: float(of_clips[rows].mean()) for of_clips in values]
        return intervals.of_trainings(means, by_clip)

    result: dict[str, Any] = estimate(correct[0] - correct[1])._asdict()
    result["difference"] = result.pop("value")
    for side, name in enumerate(("first", "second")):
        top1 = estimate(correct[side]).bounded()
        result[f"top1_{name}"], result[f"top1_interval_{name}"] = top1.value, (top1.low, top1.high)
        result[f"top1_seeds_{name}"] = correct[side].mean(1).tolist()
        scores = [metrics.scores(member)["macro_f1"] for member in members[side * count :][:count]]
        result[f"macro_f1_{name}"] = float(np.mean(scores))
    result["macro_f1_difference"] = result["macro_f1_first"] - result["macro_f1_second"]
    return result


def verdict(difference: float, p: float) -> str:
    """Supported or refuted where the test is significant, else undecided; not tested without a p value."""
    if np.isnan(p):
        return "not tested"
    if p >= SIGNIFICANCE_LEVEL:
        return "undecided"
    return "supported" if difference > 0 else "refuted"


def sentence(answer: Mapping[str, Any], where: str) -> str:
    """An answer in a sentence; ``where`` names its clips, such as ``500 synthetic test clips``."""
    top1 = with_interval(answer["difference"], answer["low"], answer["high"])
    first, second = (metrics.percent(answer[name]) for name in ("top1_first", "top1_second"))
    pairs = f"{answer['pairs']} pair{'s' * (answer['pairs'] > 1)}"
    seeds = f"{answer['seeds']} seed{'s' * (answer['seeds'] > 1)}"
    kind = "planned" if answer["planned"] else "exploratory"
    tested = f"p = {answer['p_adjusted']:.2g} (adjusted), {kind}, "
    if np.isnan(answer["p"]):
        tested = f"which needs {intervals.MIN_SEEDS} seeds and {intervals.MIN_GROUPS} people for a test, "
    return (
        f"On {where}, the claim that {answer['claim']} is {answer['verdict']}: top-1 {first} "
        f"({answer['first']}) against {second} ({answer['second']}), a difference of {top1} points, {tested}"
        f"{pairs} of runs with {seeds}; macro-F1 {100 * answer['macro_f1_difference']:+.1f} points."
    )


def with_interval(difference: float, low: float, high: float) -> str:
    """A difference of two shares in percentage points, with its interval: +3.0 [+1.2, +4.9]; without it where
    there is none."""
    interval = "" if np.isnan(low) else f" [{100 * low:+.1f}, {100 * high:+.1f}]"
    return f"{100 * difference:+.1f}{interval}"
