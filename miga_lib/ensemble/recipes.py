"""Ways to fuse the same members: fitted on validation, evaluated on test, and saved with their results."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from .. import atomic, ensemble, metrics
from ..predictions import Predictions
from ..runs import RESULT, require_own_folder, safe_name
from . import submissions

WAYS = ("equal", "given", "searched", "calibrated", "calibrated, searched")
"""The names of all ways to fuse; see ``fit``."""


@dataclass(frozen=True)
class Recipe:
    """How members are fused: each is scaled by its temperature, then they are averaged by their weights."""

    temperatures: tuple[float, ...]
    weights: tuple[float, ...]

    def fuse(self, members: Sequence[Predictions]) -> Predictions:
        """The fused predictions. Raises ValueError as ``ensemble.fuse`` does."""
        pairs = zip(members, self.temperatures, strict=True)
        return ensemble.fuse(
            [member if t == 1 else ensemble.temper(member, t) for member, t in pairs], self.weights
        )

    def without(self, left_out: int) -> "Recipe":
        """The recipe without one member. If all other members have weight 0, they get equal weights."""
        temperatures, weights = (
            tuple(np.delete(values, left_out).tolist()) for values in (self.temperatures, self.weights)
        )
        return Recipe(temperatures, weights if any(weights) else (1.0,) * len(weights))


def fit(validation: Sequence[Predictions], weights: Sequence[float | int] = ()) -> dict[str, Recipe]:
    """A recipe for each of ``WAYS``, by name. Temperatures and searched weights are fitted on the members'
    validation predictions.

    - ``equal``: equal weights, as in the paper;
    - ``given``: ``weights``; only if there are any;
    - ``searched``: the weights of ``ensemble.search``;
    - ``calibrated``: each member at its ``ensemble.temperature``, equal weights;
    - ``calibrated, searched``: each member at its temperature, then the weights of ``ensemble.search``.

    Raises:
        ValueError: as ``ensemble.fuse`` does, or no clip with a known label.
    """
    members = ensemble.join(validation)
    unscaled, equal = (1.0,) * len(members), (1 / len(members),) * len(members)
    fitted = tuple(ensemble.temperature(member) for member in members)
    tempered = [ensemble.temper(member, t) for member, t in zip(members, fitted, strict=True)]
    found = (
        Recipe(unscaled, equal),
        Recipe(unscaled, tuple(ensemble.shares(weights, len(members)).tolist())) if len(weights) else None,
        Recipe(unscaled, tuple(ensemble.search(members).tolist())),
        Recipe(fitted, equal),
        Recipe(fitted, tuple(ensemble.search(tempered).tolist())),
    )
    return {way: recipe for way, recipe in zip(WAYS, found, strict=True) if recipe}


def choose(known: Mapping[str, Recipe], fusion: str = "") -> str:
    """The way to fuse, one of ``WAYS``: ``fusion``, or, if it is empty, ``given`` where there are weights,
    else ``equal`` as in the paper.

    Args:
        known: the recipes of ``fit``.

    Raises:
        ValueError: another name, or ``given`` without weights.
    """
    chosen = fusion or ("given" if "given" in known else "equal")
    if chosen not in WAYS:
        raise ValueError(f"fusion must be one of {', '.join(map(repr, WAYS))}, got {fusion!r}")
    if chosen not in known:
        raise ValueError(
            f"fusion {chosen!r} needs `weights`, one for each member; give them or choose another fusion"
        )
    return chosen


def describe(known: Mapping[str, Recipe], members: Sequence[str]) -> pd.DataFrame:
    """Weight and temperature of each member in each recipe: a row for each recipe, two columns for each
    member."""
    rows = {name: [*recipe.weights, *recipe.temperatures] for name, recipe in known.items()}
    columns = pd.MultiIndex.from_product([["weight", "temperature"], members])
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def compare(named: Mapping[str, Predictions], reference: str, groups: pd.Series) -> pd.DataFrame:
    """Scores of several predictions of the same clips, a row each, and the gain of each over the one named
    ``reference``.

    Columns: top1, mean_class, macro_f1, cross_entropy, calibration_error; gain (of top-1), its paired
    bootstrap interval low to high over groups, and McNemar's p. The last four are NaN in the row of the
    reference.

    Args:
        groups: the subject or video of each clip, by the clip's id.
    """
    rows, joined = {}, dict(zip(named, ensemble.join(list(named.values())), strict=True))
    for name, one in joined.items():
        scores = metrics.scores(one)
        rows[name] = {score: scores[score] for score in ("top1", "mean_class", "macro_f1")}
        rows[name] |= {
            "cross_entropy": metrics.cross_entropy(one),
            "calibration_error": metrics.calibration_error(metrics.calibration_bins(one)),
        }
        if name != reference:
            gain = metrics.difference(one, joined[reference], groups)
            rows[name] |= {
                "gain": gain["difference"],
                "low": gain["low"],
                "high": gain["high"],
                "p": gain["p"],
            }
    columns = [
        "top1",
        "mean_class",
        "macro_f1",
        "cross_entropy",
        "calibration_error",
        "gain",
        "low",
        "high",
        "p",
    ]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def contributions(recipe: Recipe, members: Mapping[str, Predictions], groups: pd.Series) -> pd.DataFrame:
    """The contribution of each member: the fused top-1 with it minus that without it, where the others keep
    their relative weights.

    Columns: weight, alone and without (top-1 of the member, and of the others fused), contribution, its
    paired bootstrap interval low to high over groups, and McNemar's p. For a single member the table is
    empty.
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
        rows[name] = {
            "weight": recipe.weights[i] / sum(recipe.weights),
            **tops,
            "contribution": change["difference"],
        }
        rows[name] |= {key: change[key] for key in ("low", "high", "p")}
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def name(members: Sequence[str]) -> str:
    """A name for an ensemble's folder, from those of its members, see ``runs.safe_name``."""
    return safe_name(
        "+".join(re.sub(r"[^\w.+-]+", "-", member.replace("{split}", "")).strip("-.") for member in members)
    )


def keep(
    folder: Path,
    recipe: Recipe,
    members: Sequence[str],
    fused: Mapping[str, Predictions],
    about: Mapping[str, Any],
) -> None:
    """Write an ensemble's folder: the fused predictions of each split, and last ``result.json`` with members,
    recipe and scores.

    Args:
        folder: made if it does not exist; the files of an earlier ensemble in it are replaced.
        fused: predictions by split.
        about: further content of ``result.json``.

    Raises:
        ValueError: the folder has a file that no ensemble writes.
    """
    files = (RESULT, "val.npz", "test.npz", *(archive for _, archive in submissions.FORMS.values()))
    with atomic.explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        require_own_folder(folder, files)
        for name in files:
            (folder / name).unlink(missing_ok=True)
    for split, one in fused.items():
        one.save(folder / f"{split}.npz")
    scores = {split: metrics.scores(one) if (one.labels >= 0).any() else {} for split, one in fused.items()}
    parts = zip(members, recipe.weights, recipe.temperatures, strict=True)
    of_members = {member: {"weight": weight, "temperature": degree} for member, weight, degree in parts}
    atomic.write_json(folder / RESULT, {"members": of_members, "scores": scores, **about})
