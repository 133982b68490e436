"""The training loop: ``fit`` trains one stream of one model by its settings, and writes a run folder.

All random numbers depend on (seed, epoch, clip), (seed, epoch, position in the epoch) or (seed, epoch, step)
only. So a run that was stopped and resumed gives the same bits as one that was not stopped, and checkpoints
need no random state.
"""

import math
import os
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from .. import atomic, checkpoints, denoising, labels, layouts, losses, metrics
from ..clips import Clips
from ..runs import (
    FILES,
    LAYOUT,
    RESULT,
    SETTINGS,
    environment,
    fingerprint,
    lock_run,
    read_json,
    require_own_folder,
    run_result,
    stored_settings,
)
from ..settings import PRESETS, Settings
from . import checkpoint, distributed, gpu, processes
from .checkpoint import State
from .distributed import World
from .gpu import Network
from .inputs import Inputs, seed_of, uniform
from .networks import autocast, build, predict, seeded
from .starting_weights import start_file, start_weights

MAX_GRADIENT_NORM = 40.0
"""Gradients with a larger norm are scaled down to this norm, as in PySkl's recipe."""

CHECKPOINT_SECONDS = 30.0
"""Time between checkpoints within an epoch; a killed run loses about this much work."""

FILES_OF_SETTINGS = frozenset(("embeddings", "start_from"))
"""Settings that name a file. A run keeps a checksum of what it took from it, since another file may be there
later."""

IDS_SHOWN = 8
"""How many clips of a batch an error message lists."""

Progress = Callable[[dict[str, Any]], None]


def epoch_line(row: dict[str, Any]) -> str:
    """The result of an epoch, in one line."""
    parts = ", ".join(f"{name.replace('_', '-')} {row[name]:.4g}" for name in losses.TERMS if name in row)
    loss, top1 = f"loss {row['loss']:.3f} ({parts})", metrics.percent(row["val_top1"])
    return f"epoch {row['epoch']:3d}: {loss}, validation top-1 {top1}, {row['seconds']:.0f} s"


def print_epoch(row: dict[str, Any]) -> None:
    """Print a line at the end of each epoch, and where a run is resumed."""
    if "val_top1" in row:
        print(epoch_line(row), flush=True)
    elif row.get("resumed"):
        print(f"resumed at step {row['step'] + 1} of epoch {row['epoch']}", flush=True)


@dataclass(frozen=True, eq=False)
class Task:
    """What stays the same during a run, except the weights of the network."""

    settings: Settings
    """Resolved settings."""
    run: Path
    world: World
    inputs: Inputs
    """The training clips."""
    class_embeddings: Float[Tensor, "K E"]
    adjustment: Float[Tensor, " K"]
    """What cross-entropy adds to the logits, see ``losses.cross_entropy``."""
    epochs: int
    least_epochs: int
    """Epochs that ``min_steps`` needs, before which ``patience`` does not end the run."""
    finished: bool
    """Whether the run has its result, and lost only predictions."""
    network: nn.Module
    """The model; wrapped where several processes train it."""
    compiled: Network
    """The network for full batches; compiled where that saves time."""
    progress: Progress
    interrupted: Callable[[], bool]
    """Whether Ctrl-C was pressed."""


@dataclass(frozen=True, eq=False)
class Pending:
    """A step that has started but whose loss has not been read yet, since reading it waits for the GPU."""

    values: Callable[[], Float[Tensor, " values"]]
    """Returns the sum of the loss, and of each of its terms, over the clips of this process, and the gradient
    norm."""
    ids: np.ndarray
    """Ids of the clips of the whole batch."""
    steps: int
    """Number of steps in the epoch."""

    def settle(self, task: Task, state: State, stop: bool, save: bool) -> tuple[bool, bool]:
        """Wait for the step, add its losses to the state, and report it to ``progress``.

        Args:
            stop, save: whether this process requests to stop, and to save.

        Returns:
            Whether any process requested to stop, and to save: the same in all processes after the same step.

        Raises:
            FloatingPointError: a loss or the gradient is not finite. All processes raise it, before any of
                them saves the update.
        """
        summed = task.world.sum(
            torch.cat([self.values().double(), torch.tensor([stop, save]).double()])
        ).tolist()
        *losses_of_step, gradient_norm, any_stop, any_save = summed
        loss = losses_of_step[0] / len(self.ids)
        if not np.isfinite(summed).all():
            shown = ", ".join(self.ids[:IDS_SHOWN]) + f" and {len(self.ids) - IDS_SHOWN} more" * (
                len(self.ids) > IDS_SHOWN
            )
            raise FloatingPointError(
                f"the loss is {loss:g} in epoch {state.epoch + 1}, step {state.step}, clips {shown}, with gradient norm "
                f"{gradient_norm / task.world.size:g}: look at their keypoints, or lower learning_rate"
            )
        for name, value in zip(state.sums, losses_of_step, strict=True):
            state.sums[name] += value
        task.progress(_position(task, state, self.steps) | {"loss": loss})
        return any_stop > 0, any_save > 0


def fit(
    clips: Clips, settings: Settings, run: Path, resume: bool = True, progress: Progress = print_epoch
) -> dict[str, Any]:
    """Train, keep the best or the last epoch, predict validation and test clips with it, and write everything
    into ``run``.

    Under ``torchrun`` each process computes its share of every batch. ``batch_size`` counts the clips of all
    processes together, so the learning rate does not depend on their number; see ``distributed``. Ctrl-C
    stops after the current step, with a checkpoint; a second Ctrl-C stops at once. In both cases the same
    call resumes the run. The caller's random generators are not changed.

    Args:
        clips: with a train and a val split; ``left_out`` says which training clips are not used.
        resume: continue the run in the folder, or return its result where it is finished; if False, train
            again and replace it.
        progress: called with epoch, epochs, step, steps and loss after each step, and at the end of each
            epoch also with its row of ``metrics.csv``. Where a run is resumed, first with the rows of its
            earlier epochs and with its position, with ``resumed``.

    Returns:
        The content of ``result.json``: settings, environment, seconds, ``best_epoch`` (the epoch that was
        kept) and the scores of each split.

    Raises:
        ValueError: a split is missing, a step has fewer clips than there are processes, or the folder holds a
            run with other settings or clips.
        RuntimeError: another process trains in the folder.
        FloatingPointError: the loss or the gradient is not finite; the message names epoch, step and clips.
        OSError: a file cannot be written, as on a full disk; the last good checkpoint stays. A finished run
            is still returned.
    """
    settings, world = settings.resolve(), distributed.join(settings.device)
    if lacking := _lacking_embedding(settings, clips):
        settings = replace(settings, semantic_weight=0.0)
    settings = replace(settings, device=world.device(settings.device))
    if finished := world.from_first(_finished, run, settings, clips, resume):
        return finished
    if lacking and world.rank == 0:
        print(f"The semantic loss is switched off: {lacking}.", flush=True)
    lock = lock_run(run) if world.rank == 0 else nullcontext()
    memory, interrupt = processes.kept_memory(), processes.postponed_interrupt()
    with lock, memory, interrupt as interrupted, seeded(settings.device, settings.seed):
        if finished := world.from_first(_resume_or_clear, run, settings, clips, resume):
            return finished
        filtered = denoising.denoised(clips, settings.denoise)  # once, and not for each epoch
        task, state = start(filtered, settings, run, world, progress, interrupted)
        while not _ended(task, state):
            _train_epoch(task, state)
            _validate(task, state, filtered.split("val"))
        return _finish(task, state, filtered, fingerprint(clips))


def _train_epoch(task: Task, state: State) -> None:
    """The remaining steps of an epoch: forward, backward, settle the previous step, update, save where that
    is due."""
    settings, world = task.settings, task.world
    order = batches(task.inputs.labels, settings, state.epoch)
    task.network.train(settings.trained == "all")
    pending: Pending | None = None
    began = time.monotonic()
    for inputs, classes in gpu.ahead(
        _inputs_and_classes(task, order, state.epoch, state.step), gpu.side_stream(settings.device)
    ):
        batch = order[state.step]
        for group in state.optimizer.param_groups:
            group["lr"] = group.get("share", 1.0) * learning_rate(
                settings, (state.epoch + state.step / len(order)) / task.epochs
            )
        torch.manual_seed(seed_of(settings.seed, state.epoch, state.step, world.rank))

        parts = forward(
            task, inputs, classes, task.compiled if len(batch) == settings.batch_size else task.network
        )
        state.optimizer.zero_grad()
        # Processes average their gradients; with this factor the average is the gradient of the mean over the
        # whole batch.
        (parts["loss"] * (len(classes) * world.size / len(batch))).backward()
        gradient_norm = nn.utils.clip_grad_norm_(state.model.parameters(), MAX_GRADIENT_NORM)

        # `settle` brings these requests to all processes one step later, so that all of them save and stop
        # after the same step.
        requested = (
            task.interrupted(),
            world.rank == 0 and time.monotonic() - state.saved > CHECKPOINT_SECONDS,
        )
        # The previous step is only waited for now, when the GPU already has this step to compute.
        stop, save = pending.settle(task, state, *requested) if pending else (False, False)
        state.optimizer.step()
        if state.average:
            state.average.update_parameters(state.model)
        values = torch.stack([*(value.detach() * len(classes) for value in parts.values()), gradient_norm])
        pending = Pending(gpu.read_later(values), task.inputs.ids[batch], len(order))
        state.step, state.seconds = state.step + 1, state.seconds + time.monotonic() - began

        if stop or save or state.step == len(order):
            late = pending.settle(task, state, *requested)
            pending, stop, save = None, stop or late[0], save or late[1]
        if world.rank == 0 and (stop or save):
            state.save(task.run / "last.ckpt")
        if stop:
            raise KeyboardInterrupt(
                f"{task.run}: stopped after step {state.step} of epoch {state.epoch + 1}; run the same again to resume"
            )
        began = time.monotonic()


def _inputs_and_classes(
    task: Task, order: Sequence[Int[Tensor, " _"]], epoch: int, step: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Input and classes of this process's share of the batches of an epoch, from a step on."""
    positions = (
        order
        if task.settings.sampling == "clips"
        else torch.arange(len(task.inputs)).split([len(rows) for rows in order])
    )
    for rows, places in zip(order[step:], positions[step:], strict=True):
        share = task.world.share(rows)
        yield task.inputs.training(share, epoch, task.world.share(places)), task.inputs.labels[share]


def forward(
    task: Task, inputs: Float[Tensor, "n ..."], classes: Int[Tensor, " n"], network: Network
) -> dict[str, Tensor]:
    """The loss of some training clips, and its terms. With ``mixing``, each clip is averaged with the one
    before it."""
    settings = task.settings
    share = (
        torch.distributions.Beta(settings.mixing, settings.mixing).sample().item() if settings.mixing else 1.0
    )
    with autocast(settings):
        logits, embedding = network(
            share * inputs + (1 - share) * inputs.roll(1, 0) if settings.mixing else inputs
        )

    def parts(classes: Tensor) -> dict[str, Tensor]:
        output = logits.float(), embedding.float()
        batch = losses.LossInputs(
            *output, classes, task.class_embeddings, task.adjustment, settings.label_smoothing
        )
        return losses.total(batch, settings.weights)

    own = parts(classes)
    if not settings.mixing:
        return own
    other = parts(classes.roll(1))
    return {name: share * value + (1 - share) * other[name] for name, value in own.items()}


def start(
    clips: Clips,
    settings: Settings,
    run: Path,
    world: World,
    progress: Progress,
    interrupted: Callable[[], bool],
) -> tuple[Task, State]:
    """Everything that the first step needs; the state is that of the folder's checkpoint where it has one."""
    if clips.layout.joints != settings.skeleton.joints:
        raise ValueError(
            f"the clips have the joints of {clips.layout.name!r} and the settings those of {settings.skeleton.name!r}; load the clips with "
            "the `layout` and `persons` of the settings"
        )
    if settings.no_gesture_ratio and clips.classes[-1] != labels.NO_GESTURE:
        raise ValueError(
            f"the settings have no_gesture_ratio {settings.no_gesture_ratio:g} and the clips none; load them with `clip_arguments` of the settings"
        )
    inputs = Inputs(_learnable(clips), settings)
    if not (clips.split("val").table["label"] >= 0).any():
        raise ValueError(
            "the class of every validation clip is unknown, so no epoch can be scored; give data with labels in split val"
        )
    if twice := sorted({name for name in clips.classes if clips.classes.count(name) > 1}):
        raise ValueError(
            f"class names must differ, {twice[0]!r} is there more than once; correct the names of the classes in the data"
        )
    steps = batches(inputs.labels, settings, 0)
    if (smallest := min(len(rows) for rows in steps)) < world.size:
        raise ValueError(
            f"a step of {smallest} clips cannot be shared by {world.size} processes; use fewer, or a larger batch_size"
        )
    class_embeddings = _class_embeddings(clips, settings)
    model = build(settings, len(clips.classes), class_embeddings.shape[1])
    kept = world.from_first(_read_if_there, run / "last.ckpt")
    anew: tuple[str, ...] = tuple(kept["position"].get("anew", ())) if kept else ()
    if settings.start_from and not kept:
        anew = start_weights(model, settings, clips.classes, class_embeddings.shape[1], run)
        if world.rank == 0:
            print(
                f"Started from {settings.start_from}. Newly initialised, at least in part: {', '.join(anew) or 'nothing'}.",
                flush=True,
            )
    if (
        settings.trained == "head"
    ):  # before the network is wrapped: processes average the gradients of what is trained only
        for name, weights in model.named_parameters():
            weights.requires_grad_(name in anew)
    network = world.wrap(model, settings.device)
    state = State(model, _optimizer(model, settings, anew), _average(model, settings), anew=anew)
    if kept:
        state.restore(kept)
    counts = inputs.labels.bincount(minlength=len(clips.classes)).clamp(min=1)
    task = Task(
        settings=settings,
        run=run,
        world=world,
        inputs=inputs,
        class_embeddings=class_embeddings,
        adjustment=settings.logit_adjustment * (counts / counts.sum()).log(),
        epochs=epochs(settings, len(steps)),
        least_epochs=math.ceil(settings.min_steps / len(steps)),
        finished=world.from_first(os.path.exists, run / RESULT),
        network=network,
        compiled=gpu.compiled(network) if gpu.worth_compiling(settings) else network,
        progress=progress if world.rank == 0 else _report_nothing,
        interrupted=interrupted,
    )
    if kept and not _ended(task, state):
        position = {"epochs": task.epochs, "step": len(steps), "steps": len(steps), "resumed": True}
        for row in state.rows:
            task.progress(position | row)
        task.progress(_position(task, state, len(steps)) | {"resumed": True})
    return task, state


def _ended(task: Task, state: State) -> bool:
    """Whether no further epoch is trained: all are done; or ``patience`` is used up, after ``min_steps``."""
    patience = task.settings.patience
    used_up = bool(patience) and state.epoch >= task.least_epochs and state.epochs_without_gain >= patience
    return task.finished or state.epoch >= task.epochs or used_up


def _optimizer(model: nn.Module, settings: Settings, anew: Collection[str]) -> torch.optim.Optimizer:
    """SGD; with ``kept_learning_rate``, the weights that ``start_from`` gave begin with that rate, the others
    with ``learning_rate``."""
    groups: list[dict[str, Any]] = [{"params": list(model.parameters()), "share": 1.0}]
    if settings.kept_learning_rate:
        new, kept = (
            [of for name, of in model.named_parameters() if (name in anew) == wanted]
            for wanted in (True, False)
        )
        shares = ((new, 1.0), (kept, settings.kept_learning_rate / settings.learning_rate))
        groups = [{"params": parameters, "share": share} for parameters, share in shares if parameters]
    momentum = PRESETS[settings.preset].momentum
    return torch.optim.SGD(
        groups, settings.learning_rate, momentum=momentum, weight_decay=settings.weight_decay
    )


def _average(model: nn.Module, settings: Settings) -> AveragedModel | None:
    """The exponential moving average of all weights and of batch norm's statistics."""
    decay = settings.weight_average
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True) if decay else None


def _lacking_embedding(settings: Settings, clips: Clips) -> str:
    """Which class has no embedding in the table of the package, where the semantic loss needs it; else an
    empty string."""
    if settings.semantic_weight and not settings.embeddings:
        try:
            labels.embeddings(clips.classes)
        except ValueError as error:
            return str(error)
    return ""


def _validate(task: Task, state: State, clips: Clips) -> None:
    """The end of an epoch: scores of the validation clips, a row of metrics, checkpoints."""
    scores = metrics.scores(predict(state.evaluated, clips, task.settings, task.world))
    row = {"epoch": state.epoch + 1, **{name: total / len(task.inputs) for name, total in state.sums.items()}}
    row |= {f"val_{name}": scores[name] for name in ("top1", "top5", "mean_class", "macro_f1")}
    group = state.optimizer.param_groups[0]
    row |= {"learning_rate": group["lr"] / group.get("share", 1.0), "seconds": round(state.seconds, 2)}
    position = _position(task, state, state.step)
    improved = state.end_epoch(row)
    if _ended(task, state):
        position["epochs"] = state.epoch  # fewer than planned, with `patience`
    if task.world.rank == 0:
        if improved or task.settings.keep == "last":  # best.ckpt is the epoch that is kept
            replace(state, model=state.evaluated, average=None).save(task.run / "best.ckpt")
        atomic.write_text(task.run / "metrics.csv", pd.DataFrame(state.rows).to_csv(index=False))
        state.save(task.run / "last.ckpt")
    task.progress(position | row)


def _finish(task: Task, state: State, clips: Clips, data: dict[str, Any]) -> dict[str, Any]:
    """Predictions of the network that was kept, their scores, and last ``result.json``."""
    if task.world.rank == 0:
        atomic.write_text(task.run / "metrics.csv", pd.DataFrame(state.rows).to_csv(index=False))
    best = task.world.from_first(checkpoint.read, task.run / "best.ckpt")
    state.model.load_state_dict(best["model"])
    splits = [split for split in ("val", "test") if (clips.table["split"] == split).any()]
    result = {
        "settings": asdict(task.settings),
        "data": data,
        "best_epoch": best["position"]["epoch"],
        "scores": {
            split: _evaluate(task, state, clips.split(split), task.run / f"{split}.npz") for split in splits
        },
        "embedding_size": task.class_embeddings.shape[1],
        "train_clips": len(task.inputs),
        "parameters": sum(p.numel() for p in state.model.parameters()),
        "processes": task.world.size,
        "seconds": round(sum(row["seconds"] for row in state.rows), 2),
        "environment": environment(),
    }
    if task.world.rank == 0:
        atomic.write_json(task.run / RESULT, result)
    task.world.wait()
    return result


def _evaluate(task: Task, state: State, clips: Clips, path: Path) -> dict[str, float]:
    """Predict clips, save the predictions, and return their scores where labels are known."""
    predicted = predict(state.model, clips, task.settings, task.world)
    if task.world.rank == 0:
        predicted.save(path)
    return metrics.scores(predicted) if (predicted.labels >= 0).any() else {}


def _finished(run: Path, settings: Settings, clips: Clips, resume: bool) -> dict[str, Any] | None:
    """The result of a finished run, or None. It needs no lock, so the folder need not be writable."""
    return _resume_or_clear(run, settings, clips, resume) if resume and os.path.exists(run / RESULT) else None


def _resume_or_clear(run: Path, settings: Settings, clips: Clips, resume: bool) -> dict[str, Any] | None:
    """Decide what a folder is for this run: its result where it is finished, else None, which means train.

    With ``resume``, the files of an unfinished run stay, so that training continues from its last checkpoint.
    Without it, and in a new folder, old files are removed and the settings are written.

    Raises:
        ValueError: the folder is of another run, or a file that the settings name cannot be read.
    """
    about: dict[str, Any] = {"settings": asdict(settings), "data": fingerprint(clips)}
    path = run / SETTINGS
    require_own_folder(run, FILES)
    kept_files = [name for name in FILES if (run / name).exists()]
    if resume and kept_files:
        if not path.exists():
            raise ValueError(
                f"{run}: has {kept_files[0]} and no {path.name}; restore it, or train again with `resume=False`"
            )
        kept = read_json(path, "settings", "data")
        stored = stored_settings(run, kept["settings"])
        before, may_change = (
            asdict(stored),
            ("device", "precision"),
        )  # between the parts of a run that was interrupted
        if stored.skeleton == settings.skeleton:  # the path of its file may be another one
            before["layout"] = settings.layout
        changed = [
            name
            for name, value in about["settings"].items()
            if name not in may_change and before[name] != value
        ]
        differing = [f"{name}={before[name]!r}" for name in changed]
        for name in sorted(FILES_OF_SETTINGS & kept["data"].keys() - set(changed)):
            with suppress(ValueError, OSError):  # the file is gone, and the run has what it took from it
                if _checksum(name, settings, clips, run) != kept["data"][name]:
                    differing.append(f"an earlier content of {name}={before[name]!r}")
        of_clips = kept["data"].keys() - FILES_OF_SETTINGS  # runs of earlier versions kept less
        if differing or any(kept["data"][key] != about["data"].get(key) for key in of_clips):
            what = ", ".join(differing) or "other clips"
            raise ValueError(
                f"{run}: holds a run with {what}; choose another `run` name, or `resume=False` to replace it"
            )
        if not (run / RESULT).exists():
            return None
        result = run_result(run)
        if lost := [name for name in ("last.ckpt", "best.ckpt") if not (run / name).exists()]:
            raise ValueError(
                f"{run}: the finished run lost {lost[0]}; restore it, or train again with `resume=False`"
            )
        # Lost predictions are made again from the checkpoints, from which nothing has to be trained.
        return (
            result
            if all(
                (run / name).exists()
                for name in ("metrics.csv", *(f"{split}.npz" for split in result["scores"]))
            )
            else None
        )
    given = [
        name
        for name in FILES_OF_SETTINGS
        if getattr(settings, name) and (name != "embeddings" or settings.semantic_weight)
    ]
    about["data"] |= {name: _checksum(name, settings, clips, run) for name in sorted(given)}
    for name in FILES:
        (run / name).unlink(missing_ok=True)
    if layouts.is_file(settings.layout):
        layouts.save(layouts.get(settings.layout), run / LAYOUT)
    atomic.write_json(path, about | {"environment": environment()})
    return None


def _checksum(name: str, settings: Settings, clips: Clips, run: Path) -> str:
    """CRC-32 of what a run takes from a file of ``FILES_OF_SETTINGS``. Raises ValueError or OSError where it
    cannot be read."""
    if name == "embeddings":
        return f"{zlib.crc32(labels.embeddings(clips.classes, settings.embeddings).tobytes()):08x}"
    checksum = 0
    for tensor_name, tensor in sorted(checkpoints.read(start_file(settings, run)[0]).items()):
        checksum = zlib.crc32(
            tensor.flatten().view(torch.uint8).numpy().data, zlib.crc32(tensor_name.encode(), checksum)
        )
    return f"{checksum:08x}"


def epochs(settings: Settings, steps: int) -> int:
    """The number of epochs of a training whose epochs have so many steps: those of the settings, more where
    ``min_steps`` needs them."""
    return max(settings.epochs, math.ceil(settings.min_steps / steps))


def batches(classes: Int[Tensor, " N"], settings: Settings, epoch: int) -> list[Int[Tensor, " n"]]:
    """The rows of each training batch of an epoch, drawn as ``settings.sampling`` says, in a new order in
    each epoch.

    Args:
        classes: the class of each training clip.
    """
    numbers = uniform(1, len(classes), settings.seed, epoch, 1)[0]
    if settings.sampling == "clips":
        order = numbers.argsort()
    else:
        counts = classes.cpu().bincount()[classes.cpu()].double()
        limits = counts.pow(-1 if settings.sampling == "classes" else -0.5).cumsum(0)
        order = torch.searchsorted(limits / limits[-1], numbers.double(), right=True)
    parts = list(order.split(settings.batch_size))
    if len(parts) > 1 and len(parts[-1]) < settings.batch_size / 2:  # batch norm of a few clips is inaccurate
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def learning_rate(settings: Settings, done: float) -> float:
    """The learning rate by cosine annealing, from the initial one to 0; ``done`` is the share of all steps
    that are finished.

    During ``settings.warmup`` it is multiplied by a factor that rises from 0 to 1.
    """
    return (
        settings.learning_rate
        * 0.5
        * (1 + math.cos(math.pi * done))
        * (min(1.0, done / settings.warmup) if settings.warmup else 1.0)
    )


def left_out(clips: Clips) -> str:
    """A sentence with the number of training clips that cannot be used. Predictions of them are still
    possible."""
    table = clips.split("train").table
    unknown, empty = int((table["label"] < 0).sum()), int((table["missing"] == 1).sum())
    return f"Left out of training: {unknown} clips of unknown class, {empty} without any joint."


def _learnable(clips: Clips) -> Clips:
    """The training clips with a known class and at least one joint. Raises ValueError where there are
    none."""
    train = clips.split("train")
    rows = (train.table["label"] >= 0) & (train.table["missing"] < 1)
    if not rows.any():
        raise ValueError(f"none of the {len(train)} training clips can be used. {left_out(clips)}")
    return train.where(rows.to_numpy())


def _class_embeddings(clips: Clips, settings: Settings) -> Float[Tensor, "K E"]:
    table = (
        labels.embeddings(clips.classes, settings.embeddings)
        if settings.semantic_weight
        else np.zeros((len(clips.classes), 0))
    )
    return torch.from_numpy(table).to(settings.device, torch.float32)


def _read_if_there(path: Path) -> dict[str, Any] | None:
    return checkpoint.read(path) if path.exists() else None


def _position(task: Task, state: State, steps: int) -> dict[str, int]:
    """The position of the run, as ``progress`` gets it."""
    return {"epoch": state.epoch + 1, "epochs": task.epochs, "step": state.step, "steps": steps}


def _report_nothing(row: dict[str, Any]) -> None:
    """The ``progress`` of all processes except the first."""
