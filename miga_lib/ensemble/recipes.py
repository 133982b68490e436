"""Ways to fuse the same members: fitted on validation, evaluated on test, and saved with their results."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from .. import atomic, ensemble, intervals, metrics
from ..predictions import Predictions
from ..runs import RESULT, require_own_folder, safe_name
from ..settings import check_choice
from . import submissions

FUSIONS = ("equal", "given", "searched", "calibrated", "calibrated, searched")
"""The names of all recipes of ``fit``."""


@dataclass(frozen=True)
class Recipe:
    """How members are fused: each is scaled by its temperature, then they are averaged by their weights."""

    temperatures: tuple[float, ...]
    weights: tuple[float, ...]

    def fuse(self, members: Sequence[Predictions]) -> Predictions:
        """The fused predictions. Raises ValueError as ``ensemble.fuse`` does."""
        scaled = []
        for member, temperature in zip(members, self.temperatures, strict=True):
            scaled.append(member if temperature == 1 else ensemble.temper(member, temperature))
        return ensemble.fuse(scaled, self.weights)

    def without(self, place: int) -> "Recipe":
        """The recipe without one member. If all other members have weight 0, they get equal weights."""
        temperatures = self.temperatures[:place] + self.temperatures[place + 1 :]
        weights = self.weights[:place] + self.weights[place + 1 :]
        return Recipe(temperatures, weights if any(weights) else (1.0,) * len(weights))


def fit(validation: Sequence[Predictions], weights: Sequence[float | int] = ()) -> dict[str, Recipe]:
    """A recipe for each of ``FUSIONS``, by name. Temperatures and searched weights are fitted on the members'
    validation predictions.

    - ``equal``: equal weights, as in the paper;
    - ``given``: ``weights``; only if there are any;
    - ``searched``: the weights of ``ensemble.search``;
    - ``calibrated``: each member at its ``ensemble.temperature``, equal weights;
    - ``calibrated, searched``: each member at its temperature, then the weights of ``ensemble.search``.
    """
    members = ensemble.join(validation)
    unscaled, equal = (1.0,) * len(members), (1 / len(members),) * len(members)
    fitted = tuple(ensemble.temperature(member) for member in members)
    scaled = [ensemble.temper(member, degree) for member, degree in zip(members, fitted, strict=True)]
    recipes = {"equal": Recipe(unscaled, equal)}
    if len(weights):
        recipes["given"] = Recipe(unscaled, tuple(ensemble.shares(weights, len(members)).tolist()))
    recipes["searched"] = Recipe(unscaled, tuple(ensemble.search(members).tolist()))
    recipes["calibrated"] = Recipe(fitted, equal)
    recipes["calibrated, searched"] = Recipe(fitted, tuple(ensemble.search(scaled).tolist()))
    return recipes


def choose(recipes: Mapping[str, Recipe], fusion: str = "") -> str:
    """The name of the recipe to use: ``fusion``, or, if it is empty, ``given`` where there are weights, else
    ``equal`` as in the paper. Raises ValueError for another name, or ``given`` without weights."""
    chosen = fusion or ("given" if "given" in recipes else "equal")
    check_choice("fusion", chosen, FUSIONS)
    if chosen not in recipes:
        way_out = "give them or choose another fusion"
        raise ValueError(f"fusion {chosen!r} needs `weights`, one for each member; {way_out}")
    return chosen


def describe(recipes: Mapping[str, Recipe], members: Sequence[str]) -> pd.DataFrame:
    """Weight and temperature of each member in each recipe: a row for each recipe, two columns for each
    member."""
    rows = {name: [*recipe.weights, *recipe.temperatures] for name, recipe in recipes.items()}
    columns = pd.MultiIndex.from_product([["weight", "temperature"], members])
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns)


def compare(
    named: Mapping[str, Predictions], reference: str, groups: pd.Series, class_regions: Sequence[str] = ()
) -> pd.DataFrame:
    """Scores of several predictions of the same clips, a row each, and the gain of each over the one named
    ``reference``.

    Columns: top1, mean_class, macro_f1 (with the region of each class also those of ``metrics.scores`` for
    regions), cross_entropy, calibration_error; gain, low, high and p of ``metrics.difference`` over groups
    (by the clip's id), NaN in the row of the reference. The p values are adjusted for the number of rows.
    """
    rows, joined = {}, dict(zip(named, ensemble.join(list(named.values())), strict=True))
    for name, member in joined.items():
        rows[name] = metrics.scores(member, class_regions)
        rows[name]["cross_entropy"] = metrics.cross_entropy(member)
        rows[name]["calibration_error"] = metrics.calibration_error(metrics.calibration_bins(member))
        if name != reference:
            rows[name] |= _gain(member, joined[reference], groups, "gain")
    columns = ["top1", "mean_class", "macro_f1"]
    columns += ["region_top1", "region_macro_f1", "mean_f1"] * bool(class_regions)
    columns += ["cross_entropy", "calibration_error"]
    columns += ["gain", "low", "high", "p"]
    return _with_adjusted_p(rows, columns)


def contributions(recipe: Recipe, members: Mapping[str, Predictions], groups: pd.Series) -> pd.DataFrame:
    """The contribution of each member: the fused top-1 with it minus that without it, where the others keep
    their relative weights. For a single member the table is empty.

    Columns: weight, alone and without (top-1 of the member, and of the others fused); contribution, low, high
    and p as in ``compare``.
    """
    columns = ["weight", "alone", "without", "contribution", "low", "high", "p"]
    joined, rows = ensemble.join(list(members.values())), {}
    if len(joined) == 1:
        return pd.DataFrame(columns=columns)
    whole = recipe.fuse(joined)
    for place, name in enumerate(members):
        others = recipe.without(place).fuse(joined[:place] + joined[place + 1 :])
        rows[name] = _gain(whole, others, groups, "contribution") | {
            "weight": recipe.weights[place] / sum(recipe.weights),
            "alone": metrics.scores(joined[place])["top1"],
            "without": metrics.scores(others)["top1"],
        }
    return _with_adjusted_p(rows, columns)


def _gain(first: Predictions, second: Predictions, groups: pd.Series, name: str) -> dict[str, float]:
    value, low, high, p = metrics.difference(first, second, groups)
    return {name: value, "low": low, "high": high, "p": p}


def _with_adjusted_p(rows: Mapping[str, Mapping[str, float]], columns: Sequence[str]) -> pd.DataFrame:
    table = pd.DataFrame.from_dict(rows, orient="index").reindex(columns=columns)
    return table.assign(p=intervals.adjusted(table["p"].to_numpy(float)))


def name(members: Sequence[str]) -> str:
    """A name for an ensemble's folder, from those of its members, see ``runs.safe_name``."""
    parts = [re.sub(r"[^\w.+=,-]+", "-", member.replace("{split}", "")).strip("-.") for member in members]
    return safe_name("+".join(parts))


def save(
    folder: Path,
    recipe: Recipe,
    members: Sequence[str],
    fused: Mapping[str, Predictions],
    further: Mapping[str, Any],
) -> None:
    """Write an ensemble's folder: the fused predictions of each split, and last ``result.json`` with members,
    recipe, scores, numbers of clips and further content, among it ``data`` (their fingerprint) and
    ``layout``. The files of an earlier ensemble are replaced; ValueError is raised where the folder has a
    file that no ensemble writes."""
    files = (RESULT, "val.npz", "test.npz", *(archive for _, archive in submissions.FORMS.values()))
    with atomic.explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        require_own_folder(folder, files)
        for file in files:
            (folder / file).unlink(missing_ok=True)
    scores: dict[str, dict[str, float]] = {}
    for split, predictions in fused.items():
        predictions.save(folder / f"{split}.npz")
        scores[split] = metrics.scores(predictions) if (predictions.labels >= 0).any() else {}
    parts = zip(members, recipe.weights, recipe.temperatures, strict=True)
    rows = {member: {"weight": weight, "temperature": degree} for member, weight, degree in parts}
    clips = {split: len(predictions) for split, predictions in fused.items()}
    atomic.write_json(folder / RESULT, {"members": rows, "scores": scores, "clips": clips, **further})
