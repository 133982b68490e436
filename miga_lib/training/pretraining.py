"""Pre-training without labels: the network predicts where the joints are that were hidden from it.

``python -m miga_lib.training.pretraining`` takes the options of ``python -m miga_lib.training`` and writes
weights for ``start_from``.
Source: the masked joints of SkeletonMAE (Wu et al., ICMEW 2023) for graphs; that heatmap networks can do the
same is ours.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from .. import atomic, checkpoints
from ..clips import Clips, load, outputs_folder, terminal
from ..runs import run_name
from ..settings import PRESETS, Settings
from . import loop
from .__main__ import add_settings
from .inputs import Inputs, seed_of, uniform
from .networks import autocast, build, seeded
from .starting_weights import Origin, depending

HIDDEN_SHARE = 0.3
"""Probability with which a joint is hidden, in all frames of a clip."""
WITH_CLASSES = (
    "start_from", "trained", "patience", "weight_average", "mixing", "label_smoothing", "logit_adjustment", "sampling",
)  # fmt: skip
"""Settings of a training with classes that have no meaning here."""
MOMENTS = 4
"""Number of moments of a clip, evenly spaced, at which the positions are predicted."""


def hidden(inputs: Inputs, rows: Int[Tensor, " n"], epoch: int) -> Bool[Tensor, "n V"]:
    """The joints to hide from the network; they depend only on the seed, the epoch and the clip."""
    return (
        uniform(len(inputs), len(inputs.layout.joints), inputs.settings.seed, epoch, 3)[rows].to(
            inputs.keypoints.device
        )
        < HIDDEN_SHARE
    )


def error(
    predicted: Float[Tensor, "n numbers"],
    pixels: Float[Tensor, "n T V 3"],
    of: Bool[Tensor, "n V"],
    side: int,
) -> Float[Tensor, ""]:
    """Mean squared distance between predicted and true positions of the hidden joints that are present, in
    sides of the person's box.

    Args:
        predicted: x and y of each joint at each of ``MOMENTS``, from −0.5 to 0.5: (n, MOMENTS · V · 2).
        pixels: keypoints in the pixels of a square heatmap with that side.
        of: the joints that were hidden.
    """
    moments = torch.linspace(0, pixels.shape[1] - 1, MOMENTS, device=pixels.device).round().long()
    there = pixels[:, moments]
    counted = (of[:, None] & (there[..., 2] > 0)).to(predicted.dtype)
    distances = (predicted.reshape(*there.shape[:3], 2) - (there[..., :2] / side - 0.5)).square().sum(-1)
    return (distances * counted).sum() / counted.sum().clamp(min=1)


def pretrain(clips: Clips, settings: Settings, path: Path) -> list[float]:
    """Train a network to find hidden joints in the training clips, also of unknown class, and write its last
    weights to ``path``.

    An interrupted pre-training starts again: it takes no longer than one run.

    Args:
        settings: model, stream, layout, augmentation and schedule. The weights of loss terms are not used.

    Raises:
        ValueError: a setting that only a training with classes has, see ``WITH_CLASSES``.

    Returns:
        For each epoch the root of the mean ``error``, in percent of the side of the person's box.
    """
    if given := [name for name in WITH_CLASSES if getattr(settings, name) != getattr(Settings, name)]:
        raise ValueError(
            f"pre-training has no {given[0]}; set it in the training that starts from the weights"
        )
    settings = replace(settings.resolve(), semantic_weight=1.0)  # so that the network has a second head
    inputs = Inputs(clips.split("train"), settings)
    numbers = MOMENTS * len(settings.skeleton.joints) * 2
    network = build(settings, len(clips.classes), numbers)
    optimizer = torch.optim.SGD(
        network.parameters(),
        settings.learning_rate,
        momentum=PRESETS[settings.preset].momentum,
        weight_decay=settings.weight_decay,
    )
    unknown = torch.zeros(len(inputs), dtype=torch.long)
    epochs, errors = loop.epochs(settings, len(loop.batches(unknown, settings, 0))), []
    with seeded(settings.device, settings.seed):
        for epoch in range(epochs):
            steps, total = loop.batches(unknown, settings, epoch), 0.0
            for step, rows in enumerate(steps):
                torch.manual_seed(seed_of(settings.seed, epoch, step))
                for group in optimizer.param_groups:
                    group["lr"] = loop.learning_rate(settings, (epoch + step / len(steps)) / epochs)
                pixels, of = inputs.pixels(rows, epoch), hidden(inputs, rows, epoch)
                with autocast(settings):
                    predicted = network(inputs.tensor(pixels * ~of[:, None, :, None], settings.size))[1]
                loss = error(predicted.float(), pixels, of, settings.size)
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(network.parameters(), loop.MAX_GRADIENT_NORM)
                optimizer.step()
                total += loss.item() * len(rows)
            errors.append(100 * (total / len(inputs)) ** 0.5)
            print(
                f"epoch {epoch + 1:3d}: hidden joints are found to {errors[-1]:.1f} % of the person's box",
                flush=True,
            )
    # Neither head was trained to tell classes.
    heads = {
        name
        for head in ("classes", "embedding")
        for name in depending(settings, len(clips.classes), numbers, on=head)
    }
    trunk = {name: tensor.cpu() for name, tensor in network.state_dict().items() if name not in heads}
    with atomic.file(path) as unfinished:
        torch.save({"state_dict": trunk, checkpoints.ORIGIN: Origin.of(settings)._asdict()}, unfinished)
    return errors


@terminal()
def main(arguments: list[str] | None = None) -> None:
    """Pre-train with the given options, and print the path of the weights."""
    parser = argparse.ArgumentParser(
        prog="python -m miga_lib.training.pretraining", description="Weights for start_from, without labels."
    )
    parser.add_argument("--data", default="synthetic", help="folder of clips, or the name of a synthetic set")
    parser.add_argument(
        "--outputs", default="", help="folder of runs and caches; empty: the repository's outputs/"
    )
    add_settings(parser)
    given = vars(parser.parse_args(arguments))
    data, outputs = given.pop("data"), given.pop("outputs")
    try:
        settings = Settings(**given)
        path = outputs_folder(outputs) / "pretrained" / f"{run_name(settings, data)}.pt"
        pretrain(load(data, outputs=outputs, **settings.clip_arguments), settings, path)
    except (ValueError, OSError) as error:
        raise SystemExit(f"{parser.prog}: {error}") from None
    print(f"--start-from {path}")


if __name__ == "__main__":
    main()
