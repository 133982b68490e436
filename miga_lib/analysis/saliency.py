"""What a network used of a clip: how much each joint counted for a class, frame by frame."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from .. import alignment, augmentation, denoising, layouts, predictions, training
from ..clips import Clips
from ..settings import Settings, check_choice
from ..training.inputs import TEST_BATCH_SIZE

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
    method = method or (
        "gradient" if settings.architecture.input == "graph" and settings.persons == 1 else "occlusion"
    )
    check_choice("method", method, METHODS)
    if settings.persons > 1 and method != "occlusion":
        raise ValueError(
            f"method {method!r} is for one person; use method 'occlusion' for a run with persons=2"
        )
    layout, model = settings.skeleton, model.eval()
    joints = layouts.selection(clips.layout, layout)
    one = clips.where([row])
    one = replace(one, table=one.table.assign(start=0), keypoints=clips[row][:, joints], layout=layout)
    clip = torch.tensor(denoising.denoised(one, settings.denoise)[0], device=settings.device)
    start, frames = (torch.tensor([number], device=settings.device) for number in (0, len(clip)))
    kept = alignment.resample(clip, start, frames, settings.frames, settings.temporal)
    side = settings.test_size
    pixels = augmentation.to_pixels(kept, augmentation.crop_box(kept), (side, side))
    if label is None:
        with torch.no_grad():
            label = int(_logits(model, settings, pixels).argmax())
    values = METHODS[method](model, settings, pixels, label).cpu().numpy()
    found = np.zeros((len(clip), len(clips.layout.joints)), np.float32)
    nearest = _nearest(len(clip), settings)
    found[np.ix_(nearest >= 0, joints)] = values[nearest[nearest >= 0]]
    return found


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

    def of_clip(row: int) -> Float[np.ndarray, "T V"]:
        """Raises ValueError where the run has no network, or no fold the clip, and as ``importance`` does."""
        id = clips.table["id"].iloc[row]
        having = [run for run in folds if len(folds) == 1 or id in predictions.load(run / f"{split}.npz").ids]
        if not having:
            raise ValueError(
                f"clip {id!r:.60} is not in split {split!r} of any of {len(folds)} folds; choose another clip or split"
            )
        if not (having[0] / "best.ckpt").exists():
            raise ValueError(
                f"{having[0].name} has no network of its own (an ensemble, or its best.ckpt is gone); choose a single finished run"
            )
        model, settings = read(having[0])
        return importance(model, clips, settings, row, method)

    return of_clip


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
    whole = _tensor(settings, pixels) if limbs else pixels
    frames, count = pixels.shape[1], whole.shape[1] if limbs else pixels.shape[2]
    part = torch.arange(frames, device=pixels.device) * PARTS // frames  # of each frame
    things = torch.arange(count, device=pixels.device)
    falls = []
    with torch.no_grad():
        logit = _logits(model, settings, pixels)[0, label]
        for some in torch.cartesian_prod(part.unique(), things).split(TEST_BATCH_SIZE):
            gone = (part == some[:, :1])[..., None] & (things == some[:, 1, None])[
                :, None
            ]  # (cases, T, joints or limbs)
            if limbs:
                left = model(whole * ~gone.transpose(1, 2)[..., None, None])[0].float()
            else:
                left = _logits(model, settings, pixels * ~gone[..., None])
            falls.append(logit - left[:, label])
    of_parts = torch.cat(falls).unflatten(0, (-1, count))
    return (of_parts @ _shares(settings, pixels) if limbs else of_parts)[part.unique(return_inverse=True)[1]]


def gradient(
    model: nn.Module, settings: Settings, pixels: Float[Tensor, "1 T V 3"], label: int
) -> Float[Tensor, "T V"]:
    """The input times the gradient of the logit of a class: the change of the logit, to first order, if the
    input of a joint were 0.

    The value of a limb is shared by its two joints.

    Source: gradient × input of Shrikumar et al., arXiv 1605.01713.
    """
    x = _tensor(settings, pixels).requires_grad_()
    (slope,) = torch.autograd.grad(model(x)[0][0, label], x)
    product = (x * slope).detach()[0]
    if settings.architecture.input == "graph":
        return product.sum((0, 3))
    return product.sum((2, 3)).T @ _shares(settings, pixels)


def grad_cam(
    model: nn.Module, settings: Settings, pixels: Float[Tensor, "1 T V 3"], label: int
) -> Float[Tensor, "T V"]:
    """For heatmaps: the map of the last stage that speaks for a class, at the place of each joint; 0 where
    the joint is missing.

    A map has few pixels, so neighbouring joints have similar values.

    Source: Selvaraju et al., ICCV 2017; behind a mean over the map, it is the weights of the classifier times
    the channels.

    Raises:
        ValueError: a network without maps in space.
    """
    backbone, classifier = getattr(model, "backbone", None), getattr(model, "fc_cls", None)
    if settings.architecture.input != "heatmaps" or backbone is None or classifier is None:
        raise ValueError(
            f"model {settings.model!r} has no maps in space; use method 'gradient' or 'occlusion'"
        )
    side = settings.test_size
    with torch.no_grad():
        for_class = torch.einsum(
            "c,ncthw->nthw", classifier.weight[label], backbone(_tensor(settings, pixels))
        ).relu()
        size = (pixels.shape[1], side, side)
        fine = functional.interpolate(for_class[None], size, mode="trilinear", align_corners=False)[0, 0]
    x, y = pixels[0, ..., :2].round().long().clamp(0, side - 1).unbind(-1)
    return fine[torch.arange(size[0], device=x.device)[:, None], y, x] * (pixels[0, ..., 2] > 0)


def _nearest(frames: int, settings: Settings) -> np.ndarray:
    """The network's frame that is nearest to each frame of a clip, (frames,); −1 for those that a crop cuts
    off."""
    sources = alignment.source_frames(frames, settings.frames, settings.temporal).numpy()
    within, of_clip = sources[sources >= 0], np.arange(frames)
    nearest = np.abs(of_clip[:, None] - np.where(sources >= 0, sources, np.inf)).argmin(1)
    cut_off = settings.temporal == "crop_pad" and (of_clip < within.min()) | (of_clip > within.max())
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


METHODS = {"occlusion": occlusion, "gradient": gradient, "grad_cam": grad_cam}
