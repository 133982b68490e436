"""The reasons that the paper gives for its choices, measured: facial joints move little and carry little
weight, more joints make a network overfit, heatmaps are robust to noise."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from .. import denoising, metrics, predictions, training
from ..clips import Clips, load
from ..compare import Run
from ..models.stgcn import STGCN
from . import saliency

NOISE = (0.0, 0.01, 0.02, 0.04)
"""Standard deviations of the noise of ``robustness``, as shares of the size of the person."""
MISSING = (0.0, 0.1, 0.2, 0.4)
"""Shares of the joints that ``robustness`` removes."""


def by_region(clips: Clips, runs: Sequence[Run], count: int = 24) -> pd.DataFrame:
    """How much the joints of each region move, and how much networks use them: a row for each region.

    Columns: joints, their number; motion, the mean distance from frame to frame, where a joint was found, as
    a share of the size of the person; and for each run that takes these joints the share of its use,
    ``|saliency.importance|`` for ``count`` clips evenly spaced, divided by the share of the joints: 1 if all
    joints counted the same. For ST-GCN also the mean of the learned weight of the region's edges,
    which starts at 1.
    """
    regions = {name: list(joints) for name, joints in clips.layout.regions.items()}
    sums, counts = np.zeros((2, len(clips.layout.joints)))
    for row in range(len(clips)):
        keypoints = clips[row]
        both = (keypoints[1:, :, 2] > 0) & (keypoints[:-1, :, 2] > 0)
        size = denoising.size(torch.tensor(keypoints)[None]).item()
        sums += (np.linalg.norm(np.diff(keypoints[..., :2], axis=0), axis=-1) * both).sum(0) / size
        counts += both.sum(0)
    table = pd.DataFrame({"joints": {name: len(joints) for name, joints in regions.items()}})
    table["motion"] = [sums[joints].sum() / max(counts[joints].sum(), 1) for joints in regions.values()]
    rows = np.unique(np.linspace(0, len(clips) - 1, count).astype(int))
    for run in runs:
        if run.settings.layout != clips.layout.name:
            continue
        model, settings = training.load_model(run.folder)
        used = np.zeros(len(clips.layout.joints))
        for row in rows:
            of_joints = np.abs(saliency.importance(model, clips, settings, int(row))).sum(0)
            used += of_joints / max(of_joints.sum(), np.finfo(np.float32).tiny)
        per_joint = used / used.sum() * len(used)
        table[f"use by {settings.model}"] = [per_joint[joints].mean() for joints in regions.values()]
        if isinstance(model, STGCN):
            weights = _edge_weights(model)
            table[f"edges of {settings.model}"] = [weights[joints].mean() for joints in regions.values()]
    return table.rename(index=lambda name: name.replace("_", " "))


def _edge_weights(model: STGCN) -> np.ndarray:
    """The mean learned weight of the edges of each joint, over all blocks of ST-GCN, (V,)."""
    edges = model.A > 0
    weights = torch.stack([block.detach().abs() for block in model.edge_importance]).mean(0)
    return ((weights * edges).sum((0, 1)) / edges.sum((0, 1))).cpu().numpy()


def gaps(
    runs: Sequence[Run], data: str, split: str, outputs: str | Path = "", count: int = 300
) -> pd.DataFrame:
    """Top-1 on training clips (up to ``count``, evenly spaced) and on those of a split, and the difference: a
    row for each model, stream, layout and way of resampling, the mean over its runs."""
    kinds, rows = ["model", "stream", "layout", "temporal"], []
    for run in runs:
        model, settings = training.load_model(run.folder)
        clips = load(data, outputs=outputs, **settings.clip_arguments).split("train")
        some = clips.where(np.unique(np.linspace(0, len(clips) - 1, count).astype(int)))
        train = metrics.scores(training.predict(model, some, settings))["top1"]
        other = metrics.scores(predictions.load(run.folder / f"{split}.npz"))["top1"]
        row = {name: getattr(settings, name) for name in kinds}
        rows.append(row | {"train": train, split: other, "gap": train - other})
    return pd.DataFrame(rows).groupby(kinds, as_index=False, sort=False).mean()


def robustness(runs: Sequence[Run], clips: Clips, seed: int = 0) -> pd.DataFrame:
    """Top-1 of runs on clips with faults that are added in test: a row for each run, kind and level.

    Columns: model, seed, kind (``noise`` of each joint in each frame, normally distributed; ``missing``
    joints, each frame by itself), level and top1.
    """
    rows = []
    for kind, levels in {"noise": NOISE, "missing": MISSING}.items():
        for level in levels:
            faulty = perturbed(clips, kind, level, seed)
            for run in runs:
                model, settings = training.load_model(run.folder)
                predicted = training.predict(model, denoising.denoised(faulty, settings.denoise), settings)
                row = {"model": settings.model, "seed": settings.seed, "kind": kind, "level": level}
                rows.append(row | {"top1": metrics.scores(predicted)["top1"]})
    return pd.DataFrame(rows)


def perturbed(clips: Clips, kind: str, level: float, seed: int) -> Clips:
    """The clips with noise, or without some joints, in memory. Missing joints stay missing."""
    rng, parts = np.random.default_rng(seed), []
    for row in range(len(clips)):
        keypoints = np.array(clips[row])
        if kind == "noise":
            size = denoising.size(torch.tensor(keypoints)[None]).item()
            keypoints[..., :2] += rng.normal(0, level * size, keypoints[..., :2].shape)
        else:
            keypoints[rng.random(keypoints.shape[:2]) < level] = 0
        keypoints[clips[row][..., 2] == 0] = 0
        parts.append(keypoints)
    starts = clips.table["frames"].cumsum() - clips.table["frames"]
    return replace(
        clips, table=clips.table.assign(start=starts), keypoints=np.concatenate(parts), cached=None
    )
