"""What filters of detector errors gain and lose: the distance of each joint from where it really is, which
only synthetic clips tell."""

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Float

from .. import denoising, synthetic
from ..clips import Clips

SCORE_EDGES = (0, 0.1, 0.3, 0.5, 0.7, 1.1)
"""Edges of the ranges of the score for which errors are given."""
OSCILLATING = (
    "rub hand", "play things", "rub eyes", "bite nails", "play hair", "adjust tie", "scratch back", "tidy sleeve", "scratch arm",
)  # fmt: skip
"""The classes in which most synthetic clips have an oscillation of a hand, of 0.6 to 3.5 Hz; see
``synthetic.touches`` and ``gestures``."""
RATE = 25
"""Frames per second of synthetic clips."""
BANDS_HZ = (0.75, 1.5, 3.0, 4.5, 12.5)
"""Edges of the frequency bands of ``spectrum``. Lower frequencies than the first do not fit into a piece of
``PIECE`` frames."""
PIECE = 32


def truth(clips: Clips, size: str) -> Float[np.ndarray, "F V 2"]:
    """Where the joints of synthetic clips really are, in pixels, clip after clip; see ``synthetic.clean``."""
    return np.concatenate(synthetic.clean(clips.table["id"].tolist(), size, clips.layout))


def errors(raw: Clips, filtered: Clips, clean: Float[np.ndarray, "F V 2"]) -> pd.DataFrame:
    """A row for each joint of each frame that is present before or after a filter.

    Columns: class, region (of both sides together), score (before), error (distance from ``clean`` in px),
    and joint: detected, filled or removed. The error of a removed joint is that of its detection.
    """
    before, after = (np.concatenate([clips[i] for i in range(len(clips))]) for clips in (raw, filtered))
    there, kept = before[..., 2] > 0, after[..., 2] > 0
    frame, joint = np.nonzero(there | kept)
    places = np.where(kept[..., None], after[..., :2], before[..., :2])[frame, joint]
    names = {
        v: name.removeprefix("left_").removeprefix("right_")
        for name, of in raw.layout.regions.items()
        for v in of
    }
    label = np.repeat(raw.table["label"].to_numpy(), raw.table["frames"])
    return pd.DataFrame(
        {
            "class": pd.Categorical.from_codes(label[frame], list(raw.classes)),
            "region": pd.Categorical([names[v] for v in range(len(raw.layout.joints))])[joint],
            "score": before[frame, joint, 2],
            "error": np.linalg.norm(places - clean[frame, joint], axis=-1),
            "joint": np.select(
                [~there[frame, joint], ~kept[frame, joint]], ["filled", "removed"], "detected"
            ),
        }
    )


def compared(raw: Clips, clean: Float[np.ndarray, "F V 2"], chains: Sequence[str]) -> pd.DataFrame:
    """The mean of ``errors`` in each region in px, and how many joints were filled and removed: a row for
    each value of ``denoise``."""
    rows = {}
    for chain in chains:
        found = errors(raw, denoising.denoised(raw, chain), clean)
        counts = found["joint"].value_counts()
        means = found.groupby("region", observed=True)["error"].mean().to_dict()
        rows[chain or "none"] = means | {joint: counts.get(joint, 0) for joint in ("filled", "removed")}
    return pd.DataFrame(rows).T.rename_axis("filters")


def by_score(found: pd.DataFrame) -> pd.Series:
    """The mean of ``errors`` in px of the joints that were detected and kept, by ranges of their score
    (``SCORE_EDGES``)."""
    detected = found[found["joint"] == "detected"]
    return detected.groupby(pd.cut(detected["score"], SCORE_EDGES), observed=True)["error"].mean()


def effects(
    raw: Clips, clean: Float[np.ndarray, "F V 2"], chains: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What filters gain and lose: ``by_score``, and what ``spectrum`` says is kept of the motion; a row for
    each value of ``denoise``.

    The spectrum is that of joints that were detected, so that filters are compared on the same motion.

    Raises:
        ValueError: all clips are too short for a spectrum.
    """
    detected = np.concatenate([raw[i] for i in range(len(raw))])[..., 2:] > 0
    gained, kept = {}, {}
    for chain in chains:
        filtered = denoising.denoised(raw, chain)
        gained[chain or "none"] = by_score(errors(raw, filtered, clean))
        compared = replace(filtered, keypoints=filtered.keypoints * detected) if chain else raw
        kept[chain or "none"] = spectrum(compared, clean)["kept"]
    return pd.DataFrame(gained).T, pd.DataFrame(kept).T


def spectrum(
    clips: Clips, clean: Float[np.ndarray, "F V 2"], regions: Sequence[str] = ("arm", "hand")
) -> pd.DataFrame:
    """Error and remaining motion by frequency: a row for each band of ``BANDS_HZ``.

    Columns: motion, the root mean square of the true motion in the band in px; kept, the share of it that the
    clips have (the regression of their Fourier coefficients on the true ones, which noise does not raise);
    error, the root mean square of the difference in px. Computed from pieces of ``PIECE`` frames in which a
    joint is never missing, after subtraction of a straight line, with a Hann window.

    Args:
        regions: the joints to take, of both sides.

    Raises:
        ValueError: there is no such piece.
    """
    from scipy.signal import detrend, get_window

    joints = [
        v
        for name, of in clips.layout.regions.items()
        for v in of
        if name.removeprefix("left_").removeprefix("right_") in regions
    ]
    window = get_window("hann", PIECE)[:, None]
    pieces, starts = [], clips.table["frames"].cumsum() - clips.table["frames"]
    for i, start in enumerate(starts):
        keypoints = clips[i][:, joints]
        for begin in range(0, len(keypoints) - PIECE + 1, PIECE):
            piece, own = (
                keypoints[begin : begin + PIECE],
                clean[start + begin : start + begin + PIECE, joints],
            )
            whole = (piece[..., 2] > 0).all(0)
            pieces.append(np.stack([piece[:, whole, :2], own[:, whole]]).reshape(2, PIECE, -1))
    if not sum(piece.size for piece in pieces):
        raise ValueError(
            f"there is no piece of {PIECE} frames in which a joint of {', '.join(regions)} is never missing; give other clips"
        )
    of_clips, of_truth = np.fft.rfft(detrend(np.concatenate(pieces, 2), axis=1) * window, axis=1)
    frequencies = np.fft.rfftfreq(PIECE, 1 / RATE)
    # Parseval: a mean square over frames is this times the sum of squares over the positive frequencies.
    scale = 2 / (PIECE * (window**2).sum())
    rows = []
    for low, high in itertools.pairwise(BANDS_HZ):
        band = (frequencies >= low) & (frequencies < high)
        x, c = of_clips[band], of_truth[band]
        motion, error = (np.sqrt(scale * (np.abs(part) ** 2).sum(0).mean()) for part in (c, x - c))
        kept = (x * c.conj()).real.sum() / (np.abs(c) ** 2).sum()
        rows.append({"band": f"{low:g}–{high:g} Hz", "motion": motion, "kept": kept, "error": error})
    return pd.DataFrame(rows).set_index("band")
