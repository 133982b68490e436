"""The paper's questions, answered by runs that differ in one setting only, with an interval and a test.

``train`` trains the runs of a grid or finds them finished. ``with_predictions`` adds what comes without
training: fused streams and seeds, and probabilities adjusted for rare classes. ``pair`` finds the runs that
differ as a question asks. ``answer`` says whether these clips support the question's claim, refute it or
leave it undecided.
"""

import itertools
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

from .. import ensemble, metrics, predictions, training
from ..clips import load
from ..models import MODELS
from ..readers import shown
from ..runs import RESULT, run_folder, run_name
from ..settings import OF_MODEL, Settings, check_choice, check_type
from ..training.inputs import Inputs

SIGNIFICANCE_LEVEL = 0.05
"""Significance level of McNemar's test."""
SEMANTIC_WEIGHT = 20.0
"""Weight of the semantic loss where it is used, as in the paper."""
BESIDE = tuple(
    f"{name} {stream}"
    for name, model in MODELS.items()
    if model.input == "graph"
    for stream in ("joint", "bone")
)
"""Model and stream of each graph network that is fused with joint and limb heatmaps."""
FUSED = (
    "joint+limb", "joint+limb+joint", "joint+limb+joint+limb", "joint+limb+joint_motion+limb_motion", "joint+joint", "joint+joint_motion",
    "joint+bone", "joint+bone+joint_motion+bone_motion", *(f"joint+limb+{one}" for one in BESIDE),
)  # fmt: skip
"""The ``stream`` of runs that are fused with equal weights. Where a stream is named twice, its second run has
the next seed. A stream after the name of a model is that of a run of that model."""
MATCHED_SETTINGS = tuple(
    field.name for field in fields(Settings) if field.name not in ("device", "precision")
)
"""The settings that must be the same in both runs of a pair, except for those that the question is about."""
ADJUSTED = "adjusted"
"""The column of ``with_predictions`` that says whether probabilities are adjusted for rare classes."""

GIVEN = ("model", "preset", "epochs", "seed", "protocol")
"""Settings that ``grid`` takes besides its lists."""


@dataclass(frozen=True)
class Question:
    """A claim, and the settings in which its two sides differ. ``given`` are settings that both sides must
    have."""

    claim: str
    better: Mapping[str, Any]
    worse: Mapping[str, Any]
    given: Mapping[str, Any] = field(default_factory=dict)
    names: tuple[str, str] | None = None
    """A short name for each side, where their values are none."""

    @property
    def sides(self) -> tuple[str, str]:
        """A short name for each side."""
        if self.names:
            return self.names
        better, worse = (
            ", ".join(f"{value}" or "none" for value in side.values()) for side in (self.better, self.worse)
        )
        return better, worse


QUESTIONS = (
    Question("PoseC3D beats ST-GCN", {"model": "posec3d"}, {"model": "stgcn"}, {"stream": "joint"}),
    Question("the 19 facial joints help PoseC3D", {"layout": "imigue41"}, {"layout": "imigue22"}, {"model": "posec3d"}),
    Question("the 19 facial joints hurt ST-GCN", {"layout": "imigue22"}, {"layout": "imigue41"}, {"model": "stgcn"}),
    Question("alignment beats crop-and-pad", {"temporal": "align"}, {"temporal": "crop_pad"}),
    Question("alignment beats random segments", {"temporal": "align"}, {"temporal": "segments"}),
    Question("the semantic loss helps", {"semantic_weight": SEMANTIC_WEIGHT}, {"semantic_weight": 0.0}),
    Question("joint and limb together beat joint alone", {"stream": "joint+limb"}, {"stream": "joint"}, {"model": "posec3d"}),
    Question("joint and limb together beat limb alone", {"stream": "joint+limb"}, {"stream": "limb"}, {"model": "posec3d"}),
    Question("joint and bone together beat joint alone", {"stream": "joint+bone"}, {"stream": "joint"}),
    Question(
        "four graph streams beat joint and bone",
        {"stream": "joint+bone+joint_motion+bone_motion"}, {"stream": "joint+bone"}, names=("four streams", "joint+bone"),
    ),
    Question("motion beside joints adds more than a second seed", {"stream": "joint+joint_motion"}, {"stream": "joint+joint"}),
    Question(
        "four streams beat joint and limb",
        {"stream": "joint+limb+joint_motion+limb_motion"}, {"stream": "joint+limb"}, names=("four streams", "joint+limb"),
    ),
    Question(
        "four streams beat joint and limb of two seeds",
        {"stream": "joint+limb+joint_motion+limb_motion"}, {"stream": "joint+limb+joint+limb"}, names=("four streams", "two seeds"),
    ),
    *(
        Question(claim, {"stream": f"joint+limb+{one}"}, {"stream": other}, names=(f"with {one}", name))
        for one in BESIDE
        for claim, other, name in (
            (f"{one} adds to joint and limb", "joint+limb", "without"),
            (f"{one} adds more to joint and limb than a second seed", "joint+limb+joint", "second seed"),
        )
    ),
    Question(
        "adjusting probabilities for rare classes helps", {ADJUSTED: True}, {ADJUSTED: False},
        given={"sampling": "clips", "logit_adjustment": 0.0, "trained": "all"}, names=("adjusted", "as predicted"),
    ),
    Question("spatial partitions beat distance partitions", {"partition": "spatial"}, {"partition": "distance"}, {"model": "stgcn"}),
    Question("spatial partitions beat uniform ones", {"partition": "spatial"}, {"partition": "uniform"}, {"model": "stgcn"}),
    Question("the corrected graph beats the official one", {"layout": "imigue22"}, {"layout": "imigue22_official"}, {"model": "stgcn"}),
)  # fmt: skip


def grid(
    models: Sequence[str],
    layouts: Sequence[str],
    temporals: Sequence[str],
    semantic: Sequence[bool],
    partitions: Sequence[str],
    seeds: Sequence[int],
    preset: str = "auto",
    epochs: int = 0,
    full: bool = False,
    protocol: str = "",
    options: Mapping[str, Sequence[Any]] = MappingProxyType({}),
) -> list[Settings]:
    """The settings of all runs to train. All runs of the first seed come first, so that there is an early
    answer.

    The first entry of each list is the base. Runs differ from the base in one setting; with ``full``, all
    combinations are trained. The base of a model is trained on each of the streams that it has. Partition
    partitions and the graph of ``imigue22_official`` are only for models that take a graph: joint heatmaps do
    not depend on the limbs.

    Args:
        options: lists of values of any other settings, by name, such as ``{"augment": ["", "rotate"]}``.
            ``stream`` lists the streams of the base, the first of them that of all other runs; without it
            they are joint and limb. Several settings that belong together have a name of your own, and dicts
            as values, the base ``{}``: ``{"cRT": [{}, {"start_from":
            "{model}-{stream}-imigue41-align-quick-{seed}", "trained": "head", "sampling": "classes"}]}``.
            ``{model}``, ``{stream}`` and ``{seed}`` stand for those of the run.

    Raises:
        ValueError: an empty list, a value that ``Settings`` refuses, two values that give the same run, or a
            single run, with which nothing can be compared.
    """
    factors: dict[str, Sequence[Any]] = {
        "layout": layouts,
        "temporal": temporals,
        "semantic_weight": [SEMANTIC_WEIGHT * wanted for wanted in semantic],
        "partition": partitions,
    }
    _check(options, [name for name in MATCHED_SETTINGS if name not in {*factors, *GIVEN}])
    factors |= {name: values for name, values in options.items() if name != "stream"}
    lists = {
        "models": models,
        "layouts": layouts,
        "temporals": temporals,
        "semantic": semantic,
        "partitions": partitions,
        "seeds": seeds,
    }
    if empty := [name for name, values in {**lists, **options}.items() if not len(values)]:
        raise ValueError(f"{empty[0]} must have at least one value to compare, got none")
    of_base = options.get("stream", ["joint", "limb"])
    for model in models:
        about = f" for model {model!r}: the first of options['stream'] is that of all runs"
        check_choice("stream", of_base[0], MODELS[model].streams, about)
    for stream in options.get("stream", ()):
        check_choice(
            "a value of options['stream']",
            stream,
            {one: 0 for model in models for one in MODELS[model].streams},
        )
    wanted = []
    for seed, model, *values in itertools.product(seeds, models, *factors.values()):
        chosen = dict(zip(factors, values, strict=True))
        changed = [name for name, value in chosen.items() if value != factors[name][0]]
        of_graph = "partition" in changed or chosen["layout"] == "imigue22_official"
        if (len(changed) > 1 and not full) or (of_graph and MODELS[model].input != "graph"):
            continue
        given: dict[str, Any] = {"preset": preset, "epochs": epochs, "seed": seed, "protocol": protocol}
        for name, value in chosen.items():
            given |= value if isinstance(value, dict) else {name: value}
        for stream in of_base if full or not changed else of_base[:1]:
            if stream in MODELS[model].streams:
                run = {"model": model, "stream": stream, "seed": seed}
                wanted.append(
                    Settings(**{**run, **given, "start_from": _of_run(given.get("start_from", ""), run)})
                )
    _check_different(wanted)
    if len(wanted) == 1:
        raise ValueError(
            "these lists give a single run, and a comparison needs two; give one of them a second value"
        )
    return wanted


def _check(options: Mapping[str, Sequence[Any]], free: Sequence[str]) -> None:
    """Check the names and the types of the ``options`` of ``grid``. Raises ValueError.

    Args:
        free: the settings that may be options.
    """
    for name, values in options.items():
        if not isinstance(values, list | tuple):
            raise ValueError(
                f"options[{name!r}] must be a list of values, the base first, got {values!r:.100}"
            )
        together = any(isinstance(value, dict) for value in values)
        for value in values:
            if not together:
                check_choice(
                    "a name in options",
                    name,
                    free,
                    " (or a name of your own, if all its values are dicts of settings)",
                )
            elif name in MATCHED_SETTINGS or not isinstance(value, dict):
                raise ValueError(
                    f"options[{name!r}] must have dicts only, and a name that is no setting; got {value!r:.100}"
                )
            for setting, one in (value if together else {name: value}).items():
                check_choice(
                    f"a name in options[{name!r}]",
                    setting,
                    [known for known in free if known != "stream" or not together],
                )
                check_type(f"a value of options[{name!r}]", one, type(getattr(Settings, setting)))


def _check_different(wanted: Sequence[Settings]) -> None:
    """Raise ValueError where two of the settings are the same run, such as with a value and with the 0 that
    stands for it."""
    resolved: dict[Settings, Settings] = {}
    for settings in wanted:
        first = resolved.setdefault(settings.resolve(), settings)
        if first is settings:
            continue
        for name, value in asdict(settings).items():
            if value != (other := getattr(first, name)):
                of_model = f"are the same run for model {settings.model!r}"
                raise ValueError(
                    f"{name} {shown(other)} and {shown(value)} {of_model}; leave out one of them, or the model"
                )
        raise ValueError("the lists give the same run twice; name each value once")


def _of_run(value: Any, run: Mapping[str, Any]) -> Any:
    """A value of an option, with those of the run in place of ``{model}``, ``{stream}`` and ``{seed}``."""
    for name in ("model", "stream", "seed") if isinstance(value, str) else ():
        value = value.replace(f"{{{name}}}", str(run[name]))
    return value


def train(
    wanted: Sequence[Settings],
    data: str,
    outputs: str | Path = "",
    progress: Callable[[dict[str, Any]], None] = training.print_epoch,
) -> pd.DataFrame:
    """Train a run for each of the settings; finished runs are loaded instead. Gives a table with the
    settings, folder and cost of each run.

    After an interruption, the same call continues where it stopped. More settings only add runs.
    """
    rows = []
    for number, settings in enumerate(wanted, 1):
        clips = load(data, outputs=outputs, **settings.clip_arguments)
        folder = run_folder(run_name(settings, data), outputs)
        print(
            f"{number} of {len(wanted)}: {folder.name}"
            + (" (already finished)" if (folder / RESULT).exists() else ""),
            flush=True,
        )
        result = training.fit(clips, settings, folder, progress=progress)
        # A run of an earlier version lacks the settings that were added since; `fit` has checked that they
        # are the same.
        known = asdict(settings.resolve()) | result["settings"]
        cost = {"parameters": result["parameters"], "seconds": result["seconds"]}
        rows.append({**known, **cost, "folder": folder, "requested": settings})
    return pd.DataFrame(rows)


def cost(table: pd.DataFrame, data: str, outputs: str | Path = "", clips: int = 32) -> pd.DataFrame:
    """The cost of each model and stream: parameters, multiply-adds of one view, seconds to train, seconds to
    predict a clip (all views).

    Multiply-adds are those of convolutions and matrix products, as PyTorch's FlopCounterMode counts them.

    Args:
        clips: number of validation clips on which the prediction is timed. The same clips are predicted once
            before, as a warm-up.
    """
    rows = []
    for _, run in table.drop_duplicates(["model", "stream", "layout"]).iterrows():
        model, settings = training.load_model(run["folder"])
        some = load(data, outputs=outputs, **settings.clip_arguments).split("val")
        some = some.where(np.arange(min(clips, len(some))))
        training.predict(model, some, settings)
        began = time.perf_counter()
        training.predict(model, some, settings)
        seconds = (time.perf_counter() - began) / len(some)
        view = next(Inputs(some, replace(settings, temporal="align")).views(torch.arange(1)))
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            model(*view)
        row = {name: run[name] for name in ("model", "stream", "layout", "parameters")} | {
            "training seconds": run["seconds"]
        }
        rows.append(row | {"multiply-adds": counter.get_total_flops() / 2, "seconds a clip": seconds})
    return pd.DataFrame(rows)


def with_predictions(table: pd.DataFrame, counts: np.ndarray, split: str = "test") -> pd.DataFrame:
    """The table of ``train`` with a column of ``Predictions``, and rows for what comes without training.

    These are the combinations of ``FUSED`` whose runs are there, and every row again with its probabilities
    adjusted for rare classes (``predictions.adjusted``), by the strength that is best on the run's own
    validation clips. On the validation split itself nothing is adjusted: there the choice would be judged on
    the clips on which it was made.

    Args:
        counts: (K,), the number of training clips of each class.
    """
    splits = {split, "val"}
    rows = table.assign(
        **{name: [predictions.load(folder / f"{name}.npz") for folder in table["folder"]] for name in splits}
    )
    rows = pd.concat([rows, *_fused(rows, splits)], ignore_index=True).assign(**{ADJUSTED: False})
    if split != "val":
        strengths = [metrics.choose_adjustment(metrics.by_adjustment(one, counts)) for one in rows["val"]]
        adjusted = [
            predictions.adjusted(one, counts, strength)
            for one, strength in zip(rows[split], strengths, strict=True)
        ]
        rows = pd.concat([rows, rows.assign(**{split: adjusted, ADJUSTED: True})], ignore_index=True).drop(
            columns="val"
        )
    return rows.rename(columns={split: "predictions"})


def _fused(table: pd.DataFrame, splits: Collection[str]) -> list[pd.DataFrame]:
    """A table with a row for each combination of ``FUSED`` and each seed whose runs are all there, or none.

    A row has the settings of its first run. Predictions are in columns named as the splits.
    """
    rows = []
    of_model = ["model", *OF_MODEL]
    for _, alike in table.groupby(
        [name for name in MATCHED_SETTINGS if name not in ("stream", "seed", *of_model)], sort=False
    ):
        # Where a model was trained with several values of what is its own, the first of them, the base, is
        # beside other models.
        beside = {
            (f"{run['model']} {run['stream']}", run["seed"]): run
            for run in reversed(alike.to_dict("records"))
        }
        for _, own in alike.groupby(of_model, sort=False):
            seeds = list(own["seed"].unique())
            by_run = beside | {(run["stream"], run["seed"]): run for run in own.to_dict("records")}
            for streams, first in itertools.product(FUSED, range(len(seeds))):
                names = streams.split("+")
                later = [names[:i].count(name) for i, name in enumerate(names)]
                wanted = [
                    (name, seeds[(first + k) % len(seeds)]) for name, k in zip(names, later, strict=True)
                ]
                if len(set(wanted)) == len(wanted) and all(run in by_run for run in wanted):
                    members = [by_run[run] for run in wanted]
                    fused = {name: ensemble.fuse([member[name] for member in members]) for name in splits}
                    rows.append({**members[0], "stream": streams, "folder": None, "requested": None, **fused})
    return [pd.DataFrame(rows, columns=table.columns)] if rows else []


def of_options(options: Mapping[str, Sequence[Any]]) -> list[Question]:
    """The question of each value in the ``options`` of ``grid``, except for streams: is it better than the
    first value in its list?"""
    asked = []
    for name, (base, *values) in options.items():
        for number, value in enumerate(values, 1):
            if isinstance(value, dict):
                better, worse = (
                    {key: one.get(key, getattr(Settings, key)) for key in {**base, **value}}
                    for one in (value, base)
                )
                what = name if len(values) == 1 else f"{name} {number}"
                asked.append(
                    Question(f"{what} is better than without", better, worse, names=(what, "without"))
                )
            elif name != "stream":
                asked.append(
                    Question(f"{name} {value} is better than {base or 'none'}", {name: value}, {name: base})
                )
    return asked


def of_values(table: pd.DataFrame) -> list[Question]:
    """The questions of further models, layouts, ways of alignment and partitions that ``QUESTIONS`` lacks: is
    each better than the first?

    Args:
        table: of ``train``; its first run has the base.
    """
    asked, models = [], table["model"].unique()
    for setting in ("model", "layout", "temporal", "partition"):
        values = table[setting].unique()
        for value in values[1:]:
            base, sides = values[0], ({setting: value}, {setting: values[0]})
            known = [
                question
                for question in QUESTIONS
                if all(side in (question.better, question.worse) for side in sides)
            ]
            if setting == "model":
                asked += [] if known else [Question(f"{value} is better than {base}", *sides)]
                continue
            lacking = [
                model
                for model in models
                if not any(question.given.get("model", model) == model for question in known)
            ]
            asked += [
                Question(f"{setting} {value} is better than {base} for {model}", *sides, {"model": model})
                for model in lacking
            ]
    return asked


def trade_offs(
    table: pd.DataFrame, options: Mapping[str, Sequence[Any]], counts: np.ndarray
) -> dict[str, pd.DataFrame]:
    """Scores by the strength of an adjustment for rare classes (``metrics.by_adjustment``) of the base and of
    each option.

    They are averaged over seeds. The base is the first run of the table.

    Args:
        table: of ``with_predictions``; adjusted rows are ignored.
        counts: (K,), the number of training clips of each class.
    """
    table = table[~table[ADJUSTED]]
    curves, base = {}, table.iloc[0]
    sides: dict[str, Mapping[str, Any]] = {"base": {}}
    sides |= {
        question.claim.partition(" is better than ")[0]: question.better for question in of_options(options)
    }
    for name, side in sides.items():
        same = [key for key in MATCHED_SETTINGS if key not in {"seed", *side, *_following(side)}]
        of_side = table[(table[same] == base[same]).all(axis=1) & _having(table, side)]
        if len(of_side):
            of_seeds = pd.concat(metrics.by_adjustment(one, counts) for one in of_side["predictions"])
            curves[name] = of_seeds.groupby("strength", as_index=False).mean()
    return curves


def answer_all(
    table: pd.DataFrame, groups: pd.Series, options: Mapping[str, Sequence[Any]] = MappingProxyType({})
) -> pd.DataFrame:
    """The answers to all of ``QUESTIONS``, ``of_values`` and ``of_options`` that these runs can answer, a row
    each; see ``answer``.

    Raises:
        ValueError: there are none.
    """
    asked = (*QUESTIONS, *of_values(table), *of_options(options))
    answers = [found for question in asked if (found := answer(question, table, groups))]
    if not answers:
        raise ValueError(
            "no two of these runs differ as one of the questions asks; give other values (`questions.QUESTIONS` lists them)"
        )
    return pd.DataFrame(answers)


def pair(question: Question, table: pd.DataFrame) -> pd.DataFrame:
    """Pairs of runs that differ as the question asks and in no other setting: columns better, worse
    (predictions) and seed."""
    free = {*question.better, *_following(question.better)}
    shared = [name for name in (*MATCHED_SETTINGS, ADJUSTED) if name not in free]
    if "stream" not in free | question.given.keys():
        table = table[~table["stream"].isin(FUSED)]
    sides = [
        table[_having(table, {ADJUSTED: False, **question.given, **side})]
        for side in (question.better, question.worse)
    ]
    pairs = sides[0].merge(sides[1], on=shared, suffixes=("_better", "_worse"))
    return pairs.rename(columns={"predictions_better": "better", "predictions_worse": "worse"})[
        ["seed", "better", "worse"]
    ]


def _following(side: Collection[str]) -> set[str]:
    """The settings whose default depends on those of a side, and which may therefore differ between the
    sides."""
    # Each model has its own published learning rate and width, among others.
    return {*(OF_MODEL if "model" in side else ()), *(("keep",) if "patience" in side else ())}


def _having(table: pd.DataFrame, wanted: Mapping[str, Any]) -> np.ndarray:
    """Which runs have these settings: resolved, or as they were requested, such as 0 for the value of the
    preset."""

    def has(run: Mapping[str, Any], name: str, value: Any) -> bool:
        by_preset = value in (0, "auto") and getattr(run.get("requested"), name, None) == value
        return by_preset or bool(run[name] == _of_run(value, run))

    runs_of_table = table.to_dict("records")
    return np.array(
        [all(has(run, name, value) for name, value in wanted.items()) for run in runs_of_table], dtype=bool
    )


def answer(question: Question, table: pd.DataFrame, groups: pd.Series) -> dict[str, Any] | None:
    """The answer to a question, or None where no two runs differ as it asks.

    Accuracy is averaged over all pairs. All intervals are bootstrapped over groups of clips and over seeds,
    see ``metrics.interval``; with one seed they say nothing about another training. The paired test is
    McNemar's on the fused predictions of each side. For the verdict see ``verdict``.

    Args:
        table: of ``with_predictions``.
        groups: the subject or video of each clip, by the clip's id.
    """
    pairs = pair(question, table)
    if pairs.empty:
        return None
    members = [metrics.labelled(member) for member in ensemble.join([*pairs["better"], *pairs["worse"]])]
    sides = {"better": members[: len(pairs)], "worse": members[len(pairs) :]}
    labels = members[0].labels
    interval = partial(
        metrics.interval, groups=groups[members[0].ids].to_numpy(), run_seeds=pairs["seed"].to_numpy()
    )
    correct = {
        side: np.stack([member.predicted == labels for member in of_side]).astype(float)
        for side, of_side in sides.items()
    }
    fused = {side: ensemble.fuse(of_side).predicted == labels for side, of_side in sides.items()}
    gap = correct["better"] - correct["worse"]
    low, high = interval(partial(_mean, gap))
    p = metrics.mcnemar(fused["better"], fused["worse"])
    result: dict[str, Any] = {
        "claim": question.claim,
        "better": question.sides[0],
        "worse": question.sides[1],
    }
    result |= {"pairs": len(pairs), "seeds": pairs["seed"].nunique()}
    result |= {"difference": gap.mean(), "low": low, "high": high, "p": p, "verdict": verdict(low, high, p)}

    @cache  # the intervals below have the same resamples
    def macro_f1(side: str, chosen: int, rows: bytes) -> float:
        return _macro_f1(labels, sides[side][chosen].predicted, np.frombuffer(rows, dtype=np.intp))

    def mean_macro_f1(side: str, rows: np.ndarray, chosen: np.ndarray) -> float:
        return float(np.mean([macro_f1(side, one, rows.tobytes()) for one in chosen.tolist()]))

    scores: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
        side: partial(mean_macro_f1, side) for side in sides
    }
    scores["difference"] = lambda rows, chosen: scores["better"](rows, chosen) - scores["worse"](rows, chosen)
    for side in sides:
        result[f"top1_{side}"], result[f"seeds_{side}"] = correct[side].mean(), correct[side].mean(1).tolist()
        result[f"top1_interval_{side}"] = interval(partial(_mean, correct[side]))
        result[f"macro_f1_interval_{side}"] = interval(scores[side], resamples=200)
    result |= {
        f"macro_f1_{name}": score(np.arange(len(labels)), np.arange(len(pairs)))
        for name, score in scores.items()
    }
    result["macro_f1_low"], result["macro_f1_high"] = interval(scores["difference"], resamples=200)
    return result


def _mean(values: np.ndarray, rows: np.ndarray, chosen: np.ndarray) -> float:
    """The mean over these clips (``rows``) and runs (``chosen``) of (runs, N) values."""
    return float(values[np.ix_(chosen, rows)].mean())


def _macro_f1(labels: np.ndarray, predicted: np.ndarray, rows: np.ndarray) -> float:
    """The mean F1 over the classes that these rows have."""
    from sklearn.metrics import f1_score

    return float(
        f1_score(
            labels[rows], predicted[rows], labels=np.unique(labels[rows]), average="macro", zero_division=0
        )
    )


def verdict(low: float, high: float, p: float) -> str:
    """Supported or refuted if the interval of the difference does not contain 0 and the test is significant;
    else undecided."""
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
    pairs, seeds = (
        f"{answer[name]} {name if answer[name] > 1 else name[:-1]}" for name in ("pairs", "seeds")
    )
    better, worse = (
        f"{metrics.percent(answer[f'top1_{side}'])} ({answer[side]})" for side in ("better", "worse")
    )
    difference, macro_f1 = (
        with_interval(*(answer[f"{score}{value}"] for value in ("difference", "low", "high")))
        for score in ("", "macro_f1_")
    )
    return (
        f"On {where}, the claim that {answer['claim']} is {answer['verdict']}: top-1 {better} against {worse}, a difference of "
        f"{difference} points, McNemar p = {answer['p']:.2g}, {pairs} of runs with {seeds}; macro-F1 {macro_f1} points."
    )


def with_interval(difference: float, low: float, high: float) -> str:
    """A difference of two shares in percentage points, with its interval: +3.0 [+1.2, +4.9]; without it where
    there is none."""
    return f"{100 * difference:+.1f}" + ("" if np.isnan(low) else f" [{100 * low:+.1f}, {100 * high:+.1f}]")
