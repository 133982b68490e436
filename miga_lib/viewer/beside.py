"""What is shown beside a clip: the clip in another form, or the clip of another class nearest to it."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .. import alignment, augmentation, denoising, layouts
from ..clips import Clips

BESIDE = {
    "nothing": "nothing",
    "align": "aligned to {}",
    "crop_pad": "cropped, padded to {}",
    "segments": "one of each of {} parts",
    "denoised": "denoised",
    "mirrored": "mirrored",
    "nearest": "nearest other class",
}
"""What can be shown, with its title, in which ``{}`` is the number of frames."""


def transformed(clips: Clips, row: int, form: str, length: int, filters: str) -> np.ndarray:
    """A clip mirrored, denoised, or aligned to ``length`` frames without randomness: (T, V, 3)."""
    keypoints = torch.tensor(clips[row])
    frames = torch.tensor([len(keypoints)])
    if form == "mirrored":
        width = int(clips.table["width"].iloc[row])
        return augmentation.flip(keypoints[None], clips.layout, torch.tensor([True]), width)[0].numpy()
    if form == "denoised":
        return denoising.denoise(keypoints, frames, filters, clips.layout).numpy()
    return alignment.resample(keypoints, torch.tensor([0]), frames, length, form)[0].numpy()


def filled(clips: Clips, row: int, denoised: np.ndarray, filters: str) -> np.ndarray:
    """Whether the filters gave a joint its place in a frame, (T, V): it was missing there, or an outlier.
    Scores of present joints change only there, and where left and right were exchanged."""
    swaps = "+".join({"swaps"} & set(filters.split("+")))
    before = transformed(clips, row, "denoised", 0, swaps)
    return (denoised[..., 2] > 0) & (denoised[..., 2] != before[..., 2])


def motion(keypoints: np.ndarray) -> float:
    """How far a joint of a clip, (T, V, 3), moves in all, averaged over the joints, in units of the clip's
    extent; 0 without motion."""
    places, present = keypoints[..., :2], keypoints[..., 2] > 0
    both = present[1:] & present[:-1]
    if not both.any():
        return 0.0
    extent = max(np.ptp(places[present], axis=0).max(), 1e-6)
    steps = np.linalg.norm(np.diff(places, axis=0), axis=-1)
    return float(steps[both].sum() / keypoints.shape[1] / extent)


def poses(clips: Clips, frames: int = 16) -> tuple[Float[Tensor, "N D 2"], Bool[Tensor, "N D"]]:
    """Each clip as D = frames × joints positions, aligned, centred and scaled to a spread of 1; and which of
    them are present. Of the joints, those of ``imigue22`` (body and fingertips) if the layout has them."""
    joints = np.arange(len(clips.layout.joints))
    if set(layouts.get("imigue22").joints) <= set(clips.layout.joints):
        joints = layouts.selection(clips.layout, layouts.get("imigue22"))
    parts = []
    for rows in torch.arange(len(clips)).split(512):  # which bounds the memory
        batch = [clips[row][:, joints] for row in rows.tolist()]
        batch = [clip if len(clip) else np.zeros((1, len(joints), 3), np.float32) for clip in batch]
        lengths = torch.tensor([len(clip) for clip in batch])
        keypoints = torch.tensor(np.concatenate(batch))
        parts.append(alignment.resample(keypoints, lengths.cumsum(0) - lengths, lengths, frames))
    aligned = torch.cat(parts)
    places, present = aligned[..., :2].flatten(1, 2), aligned[..., 2].flatten(1) > 0
    weights = present[..., None]
    count = weights.sum(1, keepdim=True).clamp(min=1)
    places = (places - (places * weights).sum(1, keepdim=True) / count) * weights
    spread = (places.square().sum((1, 2), keepdim=True) / count).sqrt()
    return places / spread.clamp(min=1e-6), present


def nearest(
    places: Float[Tensor, "N D 2"], present: Bool[Tensor, "N D"], labels: Int[Tensor, " N"], row: int
) -> int | None:
    """The row with another known label whose positions, from ``poses``, have the smallest mean squared
    distance to those of this row, over the positions present in both; None if no row has half of them."""
    both = present & present[row]
    distance = ((places - places[row]).square().sum(-1) * both).sum(1) / both.sum(1)
    possible = (labels >= 0) & (labels != labels[row]) & (both.sum(1) > present[row].sum() / 2)
    if not possible.any():
        return None
    return int(distance.where(possible, torch.inf).argmin())
