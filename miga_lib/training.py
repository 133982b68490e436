"""Training one stream of one model: ``Settings`` say what, ``fit`` does it and leaves a run folder.

Everything random is drawn from (seed, epoch, clip) or (seed, epoch, step), so a run that was stopped anywhere goes on exactly as if
it had not been, and there is no random state to keep.

``python -m miga_lib.training --stream limb --preset paper`` trains without a notebook; under ``torchrun`` on several devices.
"""

import argparse
import io
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from . import clips as clip_sets
from . import distributed, labels, layouts, losses, metrics, predictions, processes, runs, streams
from .clips import Clips
from .distributed import World
from .inputs import Inputs, uniform
from .posec3d import PoseC3D, folded
from .predictions import Predictions
from .settings import PRESETS, Settings
from .stgcn import STGCN

LARGEST_GRADIENT = 40.0
"""Longer gradients are cut to this norm, as in PySkl's recipe."""

CHECKPOINT_SECONDS = 30.0
"""In the middle of an epoch, at most so much work is lost."""

SHOWN = 8
"""So many clips of a batch are named where something is wrong with it."""

PARTS = ("loss", "cross_entropy", "semantic")


@dataclass(frozen=True)
class Position:
    """How far a run has come: ``step`` steps into ``epoch``, with the sums of the losses so far, and a row for each epoch before."""

    epoch: int = 0
    step: int = 0
    sums: tuple[float, ...] = (0.0,) * len(PARTS)
    seconds: float = 0.0
    rows: tuple[dict[str, float], ...] = ()
    best: float = -1.0
    """The best validation top-1 so far."""


def build(settings: Settings, classes: int, embedding_size: int) -> nn.Module:
    """The untrained network of resolved settings, on its device, its weights drawn from the seed."""
    preset, layout = PRESETS[settings.preset], layouts.get(settings.layout)
    torch.manual_seed(settings.seed)
    embedding_size = embedding_size if settings.semantic_weight else 0
    if settings.model == "stgcn":
        graph: dict[str, Any] = {"strategy": settings.strategy, "channels": preset.graph_channels, "dropout": preset.dropout}
        return STGCN(layout, classes, embedding_size=embedding_size, **graph).to(settings.device)
    network = PoseC3D(
        streams.channels(settings.model, settings.stream, layout),
        classes,
        base_channels=preset.base_channels,
        stage_blocks=preset.stage_blocks,
        stem_kernel=preset.stem_kernel,
        dropout=preset.dropout,
        embedding_size=embedding_size,
    )
    return network.to(settings.device, memory_format=torch.channels_last_3d)


def batches(count: int, settings: Settings, epoch: int) -> list[Int[Tensor, " n"]]:
    """The rows of each training batch of an epoch: a new order each time, every clip once."""
    order = uniform(1, count, settings.seed, epoch, 1)[0].argsort()
    parts = list(order.split(settings.batch_size))
    if len(parts) > 1 and len(parts[-1]) < settings.batch_size / 2:  # batch norm learns little from a few clips
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def learning_rate(settings: Settings, done: float) -> float:
    """Cosine annealing from the initial rate to 0; ``done`` is the share of all steps behind us."""
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def epoch_line(row: dict[str, Any]) -> str:
    """What there is to say of an epoch, in one line."""
    return (
        f"epoch {row['epoch']:3d}: loss {row['loss']:.3f} (cross-entropy {row['cross_entropy']:.3f}, semantic {row['semantic']:.4f}), "
        f"validation top-1 {row['val_top1']:.1%}, {row['seconds']:.0f} s"
    )


def say(row: dict[str, Any]) -> None:
    """Print a line at the end of each epoch."""
    if "val_top1" in row:
        print(epoch_line(row), flush=True)


def fit(
    clips: Clips, settings: Settings, run: Path, resume: bool = True, progress: Callable[[dict[str, Any]], None] = say
) -> dict[str, Any]:
    """Train, keep the epoch that is best on validation, predict validation and test clips with it, and leave all of it in ``run``.

    Under ``torchrun`` each process learns from its share of every batch; ``batch_size`` counts the clips of all processes together,
    so the learning rate needs no change, see ``distributed``. Ctrl-C stops at the next clean point, with a checkpoint; a second one
    stops at once. Either way the same call goes on from there.

    Args:
        clips: with a train and a val split; ``left_out`` tells what of the first is not trained on.
        resume: go on with what the folder holds, or give its result where it is finished; where not, train anew and replace it.
        progress: told epoch, step, steps and loss after each step, and after each epoch its row of ``metrics.csv`` as well.

    Returns:
        The content of ``result.json``: settings, circumstances, seconds, the best epoch and the scores of each split.

    Raises:
        ValueError: a split is missing, a step has fewer clips than there are processes, or the folder holds a run with other settings
            or clips.
        RuntimeError: another process is training in the folder.
        FloatingPointError: loss or gradient are no longer finite; the message names epoch, step and clips.
        OSError: a file cannot be written, as on a full disk; the last good checkpoint stays.
    """
    settings = settings.resolve()
    world = distributed.join(settings.device)
    settings = replace(settings, device=world.device(settings.device))
    lock = runs.lock(run) if world.rank == 0 else nullcontext()
    with lock, processes.kept_memory(), processes.postponed_interrupt() as interrupted:
        if finished := world.from_first(_prepare, run, settings, clips, resume):
            return finished
        inputs, validation = Inputs(_teachable(clips), settings), clips.split("val")
        if (smallest := min(len(rows) for rows in batches(len(inputs), settings, 0))) < world.size:
            raise ValueError(f"a step of {smallest} clips cannot be shared by {world.size} processes; use fewer, or a larger batch_size")
        class_embeddings = _class_embeddings(clips, settings)
        model = build(settings, len(clips.classes), class_embeddings.shape[1])
        network = world.wrap(model, settings.device)
        optimizer = torch.optim.SGD(
            model.parameters(),
            settings.learning_rate,
            momentum=PRESETS[settings.preset].momentum,
            weight_decay=PRESETS[settings.preset].weight_decay,
        )
        held = world.from_first(_read, run / "last.ckpt")
        at = _restore(held, model, optimizer) if held else Position()
        compiled = torch.compile(network, dynamic=False) if _worth_compiling(settings) else network
        saved, tell = time.monotonic(), progress if world.rank == 0 else _tell_nobody

        while at.epoch < settings.epochs:
            network.train()
            order = batches(len(inputs), settings, at.epoch)
            steps = {"epoch": at.epoch + 1, "epochs": settings.epochs, "steps": len(order)}
            unseen: Tensor | None = None
            while at.step < len(order):
                began = time.monotonic()
                for group in optimizer.param_groups:
                    group["lr"] = learning_rate(settings, (at.epoch + at.step / len(order)) / settings.epochs)
                torch.manual_seed(_seed(settings.seed, at.epoch, at.step, world.rank))
                rows = world.share(order[at.step])
                with autocast(settings):
                    forward = compiled if len(order[at.step]) == settings.batch_size else network
                    logits, embedding = forward(inputs.training(rows, at.epoch))
                parts = losses.semantic_loss(
                    logits.float(), embedding.float(), inputs.labels[rows], class_embeddings, settings.semantic_weight
                )
                optimizer.zero_grad()
                # Processes average their gradients; the factor makes that the mean over the clips of the whole batch.
                (parts["loss"] * (len(rows) * world.size / len(order[at.step]))).backward()
                steepness = nn.utils.clip_grad_norm_(model.parameters(), LARGEST_GRADIENT)
                # What all processes are told, one step late, makes them save and stop after the same step.
                wishes = interrupted(), world.rank == 0 and time.monotonic() - saved > CHECKPOINT_SECONDS
                stop = save = False
                if unseen is not None:  # only now that a GPU has this step to work on is the last one waited for
                    at, loss, stop, save = _look(unseen, wishes, at, inputs.ids[order[at.step - 1]], world)
                    tell(steps | {"step": at.step, "loss": loss})
                optimizer.step()
                unseen = torch.stack([*(parts[name].detach() * len(rows) for name in PARTS), steepness])
                at = replace(at, step=at.step + 1, seconds=at.seconds + time.monotonic() - began)
                if stop or save or at.step == len(order):
                    at, loss, *late = _look(unseen, wishes, at, inputs.ids[order[at.step - 1]], world)
                    tell(steps | {"step": at.step, "loss": loss})
                    unseen, stop, save = None, stop or late[0], save or late[1]
                if world.rank == 0 and (stop or save):
                    _save(run / "last.ckpt", model, optimizer, at)
                    saved = time.monotonic()
                if stop:
                    raise KeyboardInterrupt(f"{run}: stopped after step {at.step} of epoch {at.epoch + 1}; run the same again to go on")

            scores = metrics.scores(predict(model, validation, settings, world))
            row = {"epoch": at.epoch + 1, **{name: total / len(inputs) for name, total in zip(PARTS, at.sums, strict=True)}}
            row |= {f"val_{name}": scores[name] for name in ("top1", "top5", "mean_class", "macro_f1")}
            row |= {"learning_rate": optimizer.param_groups[0]["lr"], "seconds": round(at.seconds, 2)}
            improved = scores["top1"] > at.best
            at = Position(at.epoch + 1, rows=(*at.rows, row), best=max(scores["top1"], at.best))
            if world.rank == 0:
                if improved:
                    _save(run / "best.ckpt", model, optimizer, at)
                runs.write_text(run / "metrics.csv", pd.DataFrame(at.rows).to_csv(index=False))
                _save(run / "last.ckpt", model, optimizer, at)
                saved = time.monotonic()
            tell(steps | {"step": len(order)} | row)

        best = _restore(world.from_first(_read, run / "best.ckpt"), model)
        scores = {
            split: _judge(model, clips, split, settings, run, world) for split in ("val", "test") if (clips.table["split"] == split).any()
        }
        result = {"settings": asdict(settings), "data": runs.fingerprint(clips), "best_epoch": best.epoch, "scores": scores}
        result |= {
            "embedding_size": class_embeddings.shape[1],
            "train_clips": len(inputs),
            "parameters": sum(p.numel() for p in model.parameters()),
            "processes": world.size,
        }
        result |= {"seconds": round(sum(row["seconds"] for row in at.rows), 2), "circumstances": runs.circumstances()}
        if world.rank == 0:
            runs.write_json(run / runs.RESULT, result)
        world.wait()
        return result


def _worth_compiling(settings: Settings) -> bool:
    """Compiling takes most of a minute and pays on a GPU (1.9 times the clips a second there), where a run takes many."""
    return settings.device.startswith("cuda") and settings.preset == "paper" and settings.model == "posec3d"


def _look(
    unseen: Float[Tensor, " n"], wishes: tuple[bool, bool], at: Position, clips: np.ndarray, world: World
) -> tuple[Position, float, bool, bool]:
    """Wait for the last step to be computed, and hear from all processes how it went and what they wish.

    Args:
        unseen: of this process, the sum of each loss over its clips, and the norm of the gradient.
        clips: the ids of the whole batch.

    Returns:
        The position with the step's losses, the loss, and for each of two wishes whether any process has it.

    Raises:
        FloatingPointError: a loss or the gradient is not finite. All processes raise it, before any has saved what comes of it.
    """
    told = world.sum(torch.cat([unseen.cpu().double(), torch.tensor(wishes).double()])).tolist()
    *losses, steepness, stop, save = told
    if not np.isfinite(told).all():
        names = ", ".join(clips[:SHOWN]) + f" and {len(clips) - SHOWN} more" * (len(clips) > SHOWN)
        raise FloatingPointError(
            f"the loss is {losses[0] / len(clips):g} in epoch {at.epoch + 1}, step {at.step}, clips {names}, with a gradient of norm "
            f"{steepness / world.size:g}: look at their keypoints, or lower learning_rate"
        )
    at = replace(at, sums=tuple(before + loss for before, loss in zip(at.sums, losses, strict=True)))
    return at, losses[0] / len(clips), stop > 0, save > 0


def _tell_nobody(row: dict[str, Any]) -> None:
    """The progress of all processes but the first."""


def predict(model: nn.Module, clips: Clips, settings: Settings, world: World | None = None) -> Predictions:
    """Test-time predictions of clips by a model of those (resolved) settings; each process does its share of the clips."""
    memory = nullcontext() if world else processes.kept_memory()  # `fit`, which tells its world, keeps memory already
    world = world or World()
    share = clips.where(world.share(torch.arange(len(clips))).numpy())
    predicted = None
    model.eval()
    model = folded(model) if isinstance(model, PoseC3D) else model
    if len(share):
        inputs = Inputs(share, settings)
        at_once = max(1, PRESETS[settings.preset].test_batch_size // inputs.temporal_views)
        with autocast(settings), memory:
            predicted = predictions.predict(model, share, inputs.views, at_once)
    return world.gather(predicted, clips.table["id"].to_numpy(str))


def left_out(clips: Clips) -> str:
    """How many training clips there is nothing to learn from, in words. Where they are asked for they are predicted like all others."""
    table = clips.split("train").table
    unknown, empty = int((table["label"] < 0).sum()), int((table["missing"] == 1).sum())
    return f"Left out of training: {unknown} clips of unknown class, {empty} without a single joint."


def _teachable(clips: Clips) -> Clips:
    """The training clips of known class that have a joint. Raises ValueError where there are none."""
    train = clips.split("train")
    rows = (train.table["label"] >= 0) & (train.table["missing"] < 1)
    if not rows.any():
        raise ValueError(f"there is nothing to learn from any of the {len(train)} training clips. {left_out(clips)}")
    return train.where(rows.to_numpy())


def load_model(run: Path, device: str = "auto") -> tuple[nn.Module, Settings]:
    """The best network of a finished run, and its settings on that device, ready for ``predict``."""
    result = runs.result(run)
    settings = replace(Settings(**result["settings"] | {"device": device, "precision": "auto"})).resolve()
    model = build(settings, len(result["data"]["classes"]), result["embedding_size"])
    model.load_state_dict(_read(run / "best.ckpt")["model"])
    return model.eval(), settings


def autocast(settings: Settings) -> torch.autocast:
    """The arithmetic of resolved settings."""
    return torch.autocast(torch.device(settings.device).type, torch.bfloat16, enabled=settings.precision == "bf16")


def _class_embeddings(clips: Clips, settings: Settings) -> Float[Tensor, "K E"]:
    table = labels.embeddings(clips.classes, settings.embeddings) if settings.semantic_weight else np.zeros((len(clips.classes), 0))
    return torch.from_numpy(table).to(settings.device, torch.float32)


def _judge(model: nn.Module, clips: Clips, split: str, settings: Settings, run: Path, world: World) -> dict[str, float]:
    predicted = predict(model, clips.split(split), settings, world)
    if world.rank == 0:
        predicted.save(run / f"{split}.npz")
    return metrics.scores(predicted) if (predicted.labels >= 0).any() else {}


def _prepare(run: Path, settings: Settings, clips: Clips, resume: bool) -> dict[str, Any] | None:
    """The result of a run that is already finished; otherwise see to it that the folder is this run's own."""
    about = {"settings": asdict(settings), "data": runs.fingerprint(clips)}
    path = run / "settings.json"
    if resume and path.exists():
        held = runs.read_json(path)
        where = ("device", "precision")  # may change between a run's first and last day
        differing = [name for name, value in about["settings"].items() if name not in where and held["settings"].get(name) != value]
        if differing or held["data"] != about["data"]:
            what = ", ".join(f"{name}={held['settings'].get(name)!r}" for name in differing) or "other clips"
            raise ValueError(f"{run}: holds a run with {what}; choose another `run` name, or `resume=False` to replace it")
        return runs.result(run) if (run / runs.RESULT).exists() else None
    for name in (runs.RESULT, "last.ckpt", "best.ckpt", "metrics.csv", "val.npz", "test.npz"):
        (run / name).unlink(missing_ok=True)
    runs.write_json(path, about | {"circumstances": runs.circumstances()})
    return None


def _seed(*key: int) -> int:
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> 1)


def _save(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, at: Position) -> None:
    """A checkpoint, whole or not at all."""
    buffer = io.BytesIO()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "position": asdict(at)}, buffer)
    runs.write_bytes(path, buffer.getvalue())


def _read(path: Path) -> dict[str, Any] | None:
    """What ``_save`` wrote, or None where there is nothing."""
    return torch.load(path, map_location="cpu", weights_only=True) if path.exists() else None


def _restore(held: dict[str, Any], model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> Position:
    model.load_state_dict(held["model"])
    if optimizer:
        optimizer.load_state_dict(held["optimizer"])
    return Position(**held["position"])


def main(arguments: list[str] | None = None) -> None:
    """``python -m miga_lib.training``: the parameters of ``04_train`` as options."""
    parser = argparse.ArgumentParser(
        prog="python -m miga_lib.training", description="Train one stream; parameters as in notebooks/04_train.ipynb."
    )
    parser.add_argument("--data", default="synthetic", help="folder of clips, or the name of a synthetic set")
    parser.add_argument("--outputs", default="", help="where runs and caches lie; empty: the repository's outputs/")
    parser.add_argument("--run", default="", help="name of the run; empty: made from the settings")
    parser.add_argument("--resume", default=True, action=argparse.BooleanOptionalAction, help="go on with what the run's folder holds")
    parser.add_argument("--devices", default=1, type=int, help="GPUs, or processes on a CPU, to train on; under torchrun it decides")
    for field in fields(Settings):
        parser.add_argument(
            f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default, help=f"default {field.default!r}"
        )
    given = vars(parser.parse_args(arguments))
    try:
        _train(**{name: given.pop(name) for name in ("data", "outputs", "run", "resume", "devices")}, settings=Settings(**given))
    except (ValueError, RuntimeError, FloatingPointError, OSError) as error:
        raise SystemExit(f"{parser.prog}: {error}") from None
    except KeyboardInterrupt as stopped:
        print(stopped or "stopped", flush=True)
        raise SystemExit(130) from None


def _train(settings: Settings, data: str, outputs: str, run: str, resume: bool, devices: int) -> None:
    """What ``main`` was asked for, in this process or, where there are to be several, in others that come here again."""
    settings = settings.resolve()
    world = distributed.join(settings.device)
    if devices != 1 and world.size == 1:
        processes.launch(settings, devices, data, outputs, run, resume)
        return
    with world.first_alone():
        clips = clip_sets.load(data, settings.layout, outputs)
    if world.rank == 0:
        print(left_out(clips))
    if world.rank == 0 and world.size > 1:
        print(
            f"A step learns from {settings.batch_size} clips, {settings.batch_size / world.size:g} in each of {world.size} processes; "
            f"the learning rate is that of one process, {settings.learning_rate:g}, and batch norm sees all of them."
        )
    fit(clips, settings, runs.folder(run or runs.name(settings, data), outputs), resume)
    distributed.leave()


if __name__ == "__main__":
    main()
