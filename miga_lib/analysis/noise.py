"""What filters of detector errors gain: the distance of each joint from where it really is, which only
synthetic clips tell."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from .. import denoising, synthetic
from ..clips import Clips


def truth(clips: Clips, size: str) -> Float[np.ndarray, "F V 2"]:
    """Where the joints of synthetic clips really are, in pixels, clip after clip; see ``synthetic.clean``."""
    return np.concatenate(synthetic.clean(clips.table["id"].tolist(), size, clips.layout))


def errors(raw: Clips, filtered: Clips, clean: Float[np.ndarray, "F V 2"]) -> pd.DataFrame:
    """A row for each joint of each frame that is present before or after a filter.

    Columns: region (of both sides together), score (before), error (distance from ``clean`` in px), and
    joint: detected, filled or removed. The error of a removed joint is that of its detection.
    """
    before, after = (np.concatenate([clips[i] for i in range(len(clips))]) for clips in (raw, filtered))
    detected, present = before[..., 2] > 0, after[..., 2] > 0
    frame, joint = np.nonzero(detected | present)
    places = np.where(present[..., None], after[..., :2], before[..., :2])[frame, joint]
    regions = np.empty(len(raw.layout.joints), dtype=object)
    for region, members in raw.layout.regions.items():
        regions[list(members)] = region.removeprefix("left_").removeprefix("right_")
    kinds = [~detected[frame, joint], ~present[frame, joint]]
    columns = {
        "region": pd.Categorical(regions)[joint],
        "score": before[frame, joint, 2],
        "error": np.linalg.norm(places - clean[frame, joint], axis=-1),
        "joint": np.select(kinds, ["filled", "removed"], "detected"),
    }
    return pd.DataFrame(columns)


def compared(raw: Clips, clean: Float[np.ndarray, "F V 2"], chains: Sequence[str]) -> pd.DataFrame:
    """The mean of ``errors`` in each region in px, and how many joints were filled and removed: a row for
    each value of ``denoise``."""
    rows = {}
    for chain in chains:
        table = errors(raw, denoising.denoised(raw, chain), clean)
        means = table.groupby("region", observed=True)["error"].mean().to_dict()
        counts = {joint: (table["joint"] == joint).sum() for joint in ("filled", "removed")}
        rows[chain or "none"] = means | counts
    return pd.DataFrame(rows).T.rename_axis("filters")
