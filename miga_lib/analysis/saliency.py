"""What a network used of a clip: how much each joint counted for a class, frame by frame."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from .. import alignment, denoising, layouts, training
from ..clips import Clips
from ..runs import splits_of
from ..settings import Settings, check_choice
from ..training.inputs import TEST_BATCH_SIZE, test_pixels

PARTS = 6
"""Parts of time in which ``occlusion`` hides a joint or limb, one after the other."""


def importance(
    model: nn.Module, clips: Clips, settings: Settings, row: int, method: str = "", label: int | None = None
) -> Float[np.ndarray, "T V"]:
    """How much each joint of a clip, in each of its frames, counted for a class; negative: against it.

    The network gets the test view that is not mirrored, and with ``temporal`` ``segments`` the middle of each
    segment. A frame that the alignment leaves out has the value of the nearest one that the network gets.
    Frames that a crop cuts off have 0, and joints that the network does not take.

    Args:
        model, settings: of ``training.load_model``.
        clips: in any layout that has the network's joints.
        method: one of ``METHODS``; empty: occlusion for heatmaps and for two persons, else gradient × input.
            The values of two methods have different units.
        label: the class; None: the predicted one.

    Raises:
        ValueError: a method that the network does not have, or clips without the network's joints.
    """
    if not method:
        one_graph = settings.architecture.input == "graph" and settings.persons == 1
        method = "gradient" if one_graph else "occlusion"
    check_choice("method", method, METHODS)
    if settings.persons > 1 and method != "occlusion":
        way_out = "use method 'occlusion' for a run with persons=2"
        raise ValueError(f"method {method!r} is for one person; {way_out}")
    layout, model = settings.skeleton, model.eval()
    joints = layouts.selection(clips.layout, layout)
    clip = clips.where([row])
    clip = replace(clip, table=clip.table.assign(start=0), keypoints=clips[row][:, joints], layout=layout)
    keypoints = torch.tensor(denoising.denoised(clip, settings.denoise)[0], device=settings.device)
    start, frames = (torch.tensor([number], device=settings.device) for number in (0, len(keypoints)))
    resampled = alignment.resample(keypoints, start, frames, settings.frames, settings.temporal)
    pixels = test_pixels(resampled, settings)
    if label is None:
        with torch.no_grad():
            label = int(_logits(model, settings, pixels).argmax())
    values = METHODS[method](model, settings, pixels, label).cpu().numpy()
    counts = np.zeros((len(keypoints), len(clips.layout.joints)), np.float32)
    nearest = _nearest(len(keypoints), settings)
    counts[np.ix_(nearest >= 0, joints)] = values[nearest[nearest >= 0]]
    return counts


def of_run(
    folds: Sequence[Path], clips: Clips, method: str = "", split: str = "test"
) -> Callable[[int], Float[np.ndarray, "T V"]]:
    """The ``importance`` of a finished run for the clip in a row, for a viewer. A network is read when it is
    needed.

    Args:
        folds: the folder of the run; or those of the folds of a cross-validation: then the network of the
            fold that has the clip in ``split``, and so was not trained on it.
    """
    read = lru_cache(maxsize=1)(training.load_model)

    def importance_of(row: int) -> Float[np.ndarray, "T V"]:
        """Raises ValueError where the run has no network, or no fold the clip, and as ``importance`` does."""
        id, runs = clips.table["id"].iloc[row], folds
        if len(folds) > 1:
            runs = [run for run in folds if splits_of(run).get(id) == split]
        if not runs:
            place = f"in split {split!r} of any of {len(folds)} folds"
            raise ValueError(f"clip {id!r:.60} is not {place}; choose another clip or split")
        if not (runs[0] / "best.ckpt").exists():
            reason = "has no network of its own (an ensemble, or its best.ckpt is gone)"
            raise ValueError(f"{runs[0].name} {reason}; choose a single finished run")
        model, settings = read(runs[0])
        return importance(model, clips, settings, row, method)

    return importance_of


def occlusion(
    model: nn.Module, settings: Settings, pixels: Float[Tensor, "1 T V 3"], label: int
) -> Float[Tensor, "T V"]:
    """By how much the logit of a class falls if a joint, or with limb streams of one person a limb, is
    missing in a part of the clip.

    Limbs of a missing joint are not drawn; the value of a limb is shared by its two joints. Each of ``PARTS``
    parts of time gives all its frames one value.

    Source: the occlusion of Zeiler and Fergus, ECCV 2014, with joints in the place of squares of pixels.
    """
    names = settings.architecture.channel_names(settings.stream, settings.skeleton)
    limbs = any(len(joints) > 1 for joints in names) and settings.persons == 1
    maps, (frames, count) = _tensor(settings, pixels), pixels.shape[1:3]
    if limbs:
        count = maps.shape[1]
    part = torch.arange(frames, device=pixels.device) * PARTS // frames  # of each frame
    hideable = torch.arange(count, device=pixels.device)
    falls = []
    with torch.no_grad():
        logit = _logits(model, settings, pixels)[0, label]
        for cases in torch.cartesian_prod(part.unique(), hideable).split(TEST_BATCH_SIZE):
            in_part, is_hidden = part == cases[:, :1], hideable == cases[:, 1:]
            shown = ~(in_part[:, :, None] & is_hidden[:, None])  # (cases, T, joints or limbs)
            if limbs:
                logits = model(maps * shown.transpose(1, 2)[..., None, None])[0].float()
            else:
                logits = _logits(model, settings, pixels * shown[..., None])
            falls.append(logit - logits[:, label])
    values = torch.cat(falls).unflatten(0, (-1, count))
    if limbs:
        values = values @ _shares(settings, pixels)
    return values[part.unique(return_inverse=True)[1]]


def gradient(
    model: nn.Module, settings: Settings, pixels: Float[Tensor, "1 T V 3"], label: int
) -> Float[Tensor, "T V"]:
    """The input times the gradient of the logit of a class: the change of the logit, to first order, if the
    input of a joint were 0. The value of a limb is shared by its two joints.

    Source: gradient × input of Shrikumar et al., arXiv 1605.01713.
    """
    x = _tensor(settings, pixels).requires_grad_()
    (slope,) = torch.autograd.grad(model(x)[0][0, label], x)
    product = (x * slope).detach()[0]
    if settings.architecture.input == "graph":
        return product.sum((0, 3))
    return product.sum((2, 3)).T @ _shares(settings, pixels)


METHODS = {"occlusion": occlusion, "gradient": gradient}


def _nearest(frames: int, settings: Settings) -> np.ndarray:
    """The network's frame that is nearest to each frame of a clip, (frames,); −1 for those that a crop cuts
    off."""
    sources = alignment.source_frames(frames, settings.frames, settings.temporal).numpy()
    used, own = sources[sources >= 0], np.arange(frames)
    nearest = np.abs(own[:, None] - np.where(sources >= 0, sources, np.inf)).argmin(1)
    cut_off = settings.temporal == "crop_pad" and (own < used.min()) | (own > used.max())
    return np.where(cut_off, -1, nearest)


def _tensor(settings: Settings, pixels: Float[Tensor, "N T V 3"]) -> Tensor:
    return settings.architecture.tensor(settings.stream, pixels, settings.skeleton, settings.test_size)


def _logits(model: nn.Module, settings: Settings, pixels: Float[Tensor, "N T V 3"]) -> Float[Tensor, "N K"]:
    return model(_tensor(settings, pixels))[0].float()


def _shares(settings: Settings, pixels: Tensor) -> Float[Tensor, "C V"]:
    """The part of the value of each channel of heatmaps that is of each joint."""
    names = settings.architecture.channel_names(settings.stream, settings.skeleton)
    shares = [[(joint in name) / len(name) for joint in settings.skeleton.joints] for name in names]
    return torch.tensor(shares, device=pixels.device)
