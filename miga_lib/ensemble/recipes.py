"""Ways to make the same members one: fitted on validation, judged on test, and kept with what came of them."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import ensemble, metrics, runs
from ..predictions import Predictions
from . import submissions

LONGEST_NAME = 120


@dataclass(frozen=True)
class Recipe:
    """How members are made one: each brought to its temperature, then averaged by its weight."""

    temperatures: tuple[float, ...]
    weights: tuple[float, ...]

    def fuse(self, members: Sequence[Predictions]) -> Predictions:
        """The members made one. Raises ValueError as ``ensemble.fuse`` does."""
        pairs = zip(members, self.temperatures, strict=True)
        return ensemble.fuse([member if t == 1 else ensemble.temper(member, t) for member, t in pairs], self.weights)

    def without(self, left_out: int) -> "Recipe":
        """The same without one member; all others alike where that leaves nobody with a weight."""
        temperatures, weights = (tuple(np.delete(values, left_out).tolist()) for values in (self.temperatures, self.weights))
        return Recipe(temperatures, weights if any(weights) else (1.0,) * len(weights))


def fit(validation: Sequence[Predictions], weights: Sequence[float | int] = ()) -> dict[str, Recipe]:
    """The ways to fuse members, by name, with whatever has to be fitted fitted on their validation predictions.

    - ``equal``: all alike, as in the paper;
    - ``given``: by ``weights``, where there are any;
    - ``searched``: by the weights of ``ensemble.search``;
    - ``calibrated``: each at its ``ensemble.temperature``, then all alike;
    - ``calibrated, searched``: each at its temperature, then by the weights of ``ensemble.search``.

    Raises:
        ValueError: as ``ensemble.fuse`` does, or no clip with a known label.
    """
    members = ensemble.join(validation)
    plain, alike = (1.0,) * len(members), (1 / len(members),) * len(members)
    fitted = tuple(ensemble.temperature(member) for member in members)
    tempered = [ensemble.temper(member, t) for member, t in zip(members, fitted, strict=True)]
    given = {"given": Recipe(plain, tuple(ensemble.shares(weights, len(members)).tolist()))} if len(weights) else {}
    return {
        "equal": Recipe(plain, alike),
        **given,
        "searched": Recipe(plain, tuple(ensemble.search(members).tolist())),
        "calibrated": Recipe(fitted, alike),
        "calibrated, searched": Recipe(fitted, tuple(ensemble.search(tempered).tolist())),
    }


def choose(known: Mapping[str, Recipe], fusion: str = "") -> str:
    """The name of the recipe that is meant: ``given`` where there is one and nothing is said, else ``equal``, as in the paper.

    Raises:
        ValueError: there is none of that name; the message lists those that there are.
    """
    chosen = fusion or ("given" if "given" in known else "equal")
    if chosen not in known:
        needs = " ('given' needs `weights`)" if chosen == "given" else ""
        raise ValueError(f"fusion must be one of {', '.join(map(repr, known))}{needs}, got {fusion!r}")
    return chosen


def describe(known: Mapping[str, Recipe], members: Sequence[str]) -> pd.DataFrame:
    """Weight and temperature of each member in each recipe: a row a recipe, and two columns a member."""
    rows = {name: [*recipe.weights, *recipe.temperatures] for name, recipe in known.items()}
    columns = pd.MultiIndex.from_product([["weight", "temperature"], members])
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def judge(named: Mapping[str, Predictions], reference: str, groups: pd.Series) -> pd.DataFrame:
    """Scores of several predictions of the same clips, a row each, and how much each gains over the one named ``reference``.

    Columns: top1, mean_class, macro_f1, cross_entropy, calibration_error; gain (of top-1), its paired bootstrap interval low to high
    over groups, and McNemar's p; all NaN in the row of the reference.

    Args:
        groups: the subject or video of each clip, by the clip's id.
    """
    rows, joined = {}, dict(zip(named, ensemble.join(list(named.values())), strict=True))
    for name, one in joined.items():
        scores = metrics.scores(one)
        rows[name] = {score: scores[score] for score in ("top1", "mean_class", "macro_f1")}
        rows[name] |= {
            "cross_entropy": metrics.cross_entropy(one),
            "calibration_error": metrics.calibration_error(metrics.calibration(one)),
        }
        if name != reference:
            gain = metrics.difference(one, joined[reference], groups)
            rows[name] |= {"gain": gain["difference"], "low": gain["low"], "high": gain["high"], "p": gain["p"]}
    columns = ["top1", "mean_class", "macro_f1", "cross_entropy", "calibration_error", "gain", "low", "high", "p"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def contributions(recipe: Recipe, members: Mapping[str, Predictions], groups: pd.Series) -> pd.DataFrame:
    """What each member adds: the fused top-1 with it minus that without it, the weights of the others scaled up.

    Columns: weight, alone and without (top-1 of the member, and of the others fused), contribution, its paired bootstrap interval
    low to high over groups, and McNemar's p. Nothing can be left out of one member: the table is empty.
    """
    columns = ["weight", "alone", "without", "contribution", "low", "high", "p"]
    names, joined = list(members), ensemble.join(list(members.values()))
    whole, rows = recipe.fuse(joined), {}
    if len(joined) == 1:
        return pd.DataFrame(columns=columns)
    for i, name in enumerate(names):
        others = recipe.without(i).fuse(joined[:i] + joined[i + 1 :])
        change = metrics.difference(whole, others, groups)
        tops = {"alone": metrics.scores(joined[i])["top1"], "without": metrics.scores(others)["top1"]}
        rows[name] = {"weight": recipe.weights[i] / sum(recipe.weights), **tops, "contribution": change["difference"]}
        rows[name] |= {key: change[key] for key in ("low", "high", "p")}
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def name(members: Sequence[str]) -> str:
    """A name for an ensemble's folder: those of its members, or, where that gets long, of the first and a digest of all."""
    whole = "+".join(re.sub(r"[^\w.+-]+", "-", member.replace("{split}", "")).strip("-.") for member in members)
    digest = hashlib.sha256("+".join(members).encode()).hexdigest()[:8]
    return whole if len(whole) <= LONGEST_NAME else f"{whole[: LONGEST_NAME - 9]}-{digest}"


def keep(folder: Path, recipe: Recipe, members: Sequence[str], fused: Mapping[str, Predictions], about: Mapping[str, Any]) -> None:
    """Write an ensemble's folder: the fused predictions of each split, and last ``result.json`` with members, recipe and scores.

    Args:
        folder: made if need be; what an earlier ensemble left in it is replaced.
        fused: predictions by split.
        about: whatever else ``result.json`` is to tell.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for stale in (folder / runs.RESULT, *(folder / archive for _, archive in submissions.FORMS.values()), *folder.glob("*.npz")):
        stale.unlink(missing_ok=True)
    for split, one in fused.items():
        one.save(folder / f"{split}.npz")
    scores = {split: metrics.scores(one) if (one.labels >= 0).any() else {} for split, one in fused.items()}
    parts = zip(members, recipe.weights, recipe.temperatures, strict=True)
    of_members = {member: {"weight": weight, "temperature": degree} for member, weight, degree in parts}
    runs.write_json(folder / runs.RESULT, {"members": of_members, "scores": scores, **about})
