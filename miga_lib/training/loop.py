"""The training loop: ``fit`` trains one stream of one model by its settings, and writes a run folder.

All random numbers depend on (seed, epoch, clip) or (seed, epoch, step) only. So a run that was stopped and
resumed gives the same bits as one that was not stopped, and checkpoints need no random state.
"""

import math
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .. import atomic, denoising, labels, losses, metrics, threads
from ..clips import Clips
from ..runs import CLIPS, RESULT, SETTINGS, environment, fingerprint, lock_run, open_run, read_json
from ..settings import Settings
from . import checkpoint, distributed, gpu, processes
from .checkpoint import State
from .distributed import World
from .gpu import Network
from .inputs import Inputs, inputs_of, seed_of, uniform
from .networks import autocast, build, predict, seeded
from .starting_weights import start_weights

MAX_GRADIENT_NORM = 40.0
"""Gradients with a larger norm are scaled down to it, as in PySkl's recipe."""
CHECKPOINT_SECONDS = 30.0
"""Time between checkpoints within an epoch; a killed run loses about this much work."""
MAX_IDS = 8
"""How many clips of a batch an error message lists."""

Progress = Callable[[dict[str, Any]], None]


def print_epoch(row: dict[str, Any]) -> None:
    """Print a line at the end of each epoch, and where a run is resumed."""
    if "val_top1" in row:
        terms = ", ".join(f"{name.replace('_', '-')} {row[name]:.4g}" for name in losses.TERMS if name in row)
        loss, top1 = f"loss {row['loss']:.3f} ({terms})", metrics.percent(row["val_top1"])
        seconds = f"{row['seconds']:.0f} s"
        print(f"epoch {row['epoch']:3d}: {loss}, validation top-1 {top1}, {seconds}", flush=True)
    elif row.get("resumed"):
        print(f"resumed at step {row['step'] + 1} of epoch {row['epoch']}", flush=True)


@dataclass(frozen=True, eq=False)
class Task:
    """What stays the same during a run, except the weights of ``network``."""

    settings: Settings
    run: Path
    world: World
    inputs: Inputs
    """The training clips."""
    network: Network
    """The model, wrapped for several processes, compiled where that saves time."""
    class_embeddings: Float[Tensor, "K E"]
    adjustment: Float[Tensor, " K"]
    """What cross-entropy adds to the logits, see ``losses.cross_entropy``."""
    epochs: int
    progress: Progress
    interrupted: Callable[[], bool]
    """Whether Ctrl-C was pressed."""
    pace: threads.Pace = field(default_factory=threads.Pace)

    def position(self, state: State, steps: int) -> dict[str, int]:
        """The position of the run, as ``progress`` gets it."""
        return {"epoch": state.epoch + 1, "epochs": self.epochs, "step": state.step, "steps": steps}


class LossReader:
    """Reads the losses of an epoch's steps, each while the next one is computed: reading waits for the GPU.

    So processes that train together also learn one step later, all after the same step, that one of them has
    to ``stop`` or to ``save``.
    """

    def __init__(self, task: Task, state: State, steps: int) -> None:
        self.task, self.state, self.steps = task, state, steps
        self.stop = self.save = False
        self._values: Callable[[], Tensor] | None = None
        self._ids = np.empty(0, str)

    def add(self, parts: dict[str, Tensor], gradient_norm: Tensor, count: int, ids: np.ndarray) -> None:
        """Add a step that has started: its mean losses over ``count`` clips, and the whole batch's ids."""
        values = torch.stack([*(value.detach() * count for value in parts.values()), gradient_norm])
        self._values, self._ids = gpu.read_later(values), ids

    def settle(self, stop: bool, save: bool) -> None:
        """Wait for the step that was added, add its losses to the state, and report it to ``progress``.

        ``stop`` and ``save`` are the requests of this process. Where a loss or the gradient is not finite,
        all processes raise FloatingPointError, before any of them saves the update.
        """
        if self._values is None:
            return
        values = torch.cat([self._values().double(), torch.tensor([stop, save]).double()])
        *sums, gradient_norm, stops, saves = self.task.world.sum(values).tolist()
        self._values, state = None, self.state
        loss = sums[0] / len(self._ids)
        if not np.isfinite([*sums, gradient_norm]).all():
            listed = ", ".join(self._ids[:MAX_IDS])
            if len(self._ids) > MAX_IDS:
                listed += f" and {len(self._ids) - MAX_IDS} more"
            norm = gradient_norm / self.task.world.size
            raise FloatingPointError(
                f"the loss is {loss:g} in epoch {state.epoch + 1}, step {state.step}, clips {listed}, with "
                f"gradient norm {norm:g}: look at their keypoints, or lower learning_rate"
            )
        for name, value in zip(state.sums, sums, strict=True):
            state.sums[name] += value
        self.stop, self.save = self.stop or stops > 0, self.save or saves > 0
        self.task.progress(self.task.position(state, self.steps) | {"loss": loss})


def fit(clips: Clips, settings: Settings, run: Path, progress: Progress = print_epoch) -> dict[str, Any]:
    """Train, keep the best or the last epoch, predict validation and test clips with it, and write everything
    into ``run``. Returns the content of ``result.json``.

    Ctrl-C stops after the current step, with a checkpoint; a second Ctrl-C stops at once. In both cases the
    same call resumes the run. The caller's random generators are not changed.

    Args:
        clips: with a train and a val split; ``left_out`` says which training clips are not used.
        progress: called with epoch, epochs, step, steps and loss after each step, and at the end of each
            epoch also with its row of ``metrics.csv``. Where a run is resumed, first with the rows of its
            earlier epochs and with its position, with ``resumed``.

    Raises:
        ValueError: clips, settings and folder do not fit each other.
        RuntimeError: another process trains in the folder.
        FloatingPointError: the loss or the gradient is not finite.
        OSError: a file cannot be written, as on a full disk; the last good checkpoint stays.
    """
    world = distributed.join(settings.device)
    if settings.devices != 1 and world.size == 1:
        way_out = (
            "start them by `processes.launch`, `python -m miga_lib.training` or torchrun, or set it to 1"
        )
        raise ValueError(f"devices is {settings.devices}, and this is a single process; {way_out}")
    settings = replace(settings, device=world.device(settings.device))
    missing = _missing_embedding(settings, clips)
    if missing:
        settings = replace(settings, semantic_weight=0.0)
    data = world.from_first(fingerprint, clips)
    # A finished run needs no lock, so its folder need not be writable.
    if settings.resume and world.from_first(os.path.exists, run / RESULT):
        result = world.from_first(open_run, run, settings, data)
        if result:
            return result
    if settings.device == "cpu" and (computing := threads.choose()) and world.rank == 0:
        print(computing, flush=True)
    if missing and world.rank == 0:
        print(f"The semantic loss is switched off: {missing}.", flush=True)
    lock = lock_run(run) if world.rank == 0 else nullcontext()
    memory, interrupt = processes.kept_memory(), processes.postponed_interrupt()
    with lock, memory, interrupt as interrupted, seeded(settings.device, settings.seed):
        result = world.from_first(open_run, run, settings, data)
        if result:
            return result
        filtered = denoising.denoised(clips, settings.denoise)
        task, state = start(filtered, settings, run, world, progress, interrupted)
        while state.epoch < task.epochs:
            _train_epoch(task, state)
            _validate(task, state, filtered.split("val"))
        return _finish(task, state, filtered, data)


def start(
    clips: Clips,
    settings: Settings,
    run: Path,
    world: World,
    progress: Progress,
    interrupted: Callable[[], bool],
) -> tuple[Task, State]:
    """Everything that the first step needs; the state is that of the folder's checkpoint, if any."""
    inputs = inputs_of(_learnable(clips, settings), settings)
    steps = batches(len(inputs), settings, 0)
    smallest = min(len(rows) for rows in steps)
    if smallest < world.size:
        shared = f"a step of {smallest} clips cannot be shared by {world.size} processes"
        raise ValueError(f"{shared}; use fewer, or a larger batch_size")
    table = np.zeros((len(clips.classes), 0))
    if settings.semantic_weight:
        table = labels.embeddings(clips.classes, settings.embeddings)
    stored = None
    if world.from_first(os.path.exists, run / "last.ckpt"):
        stored = world.from_first(checkpoint.read, run / "last.ckpt")

    model = build(settings, *table.shape)
    if settings.start_from and not stored:
        reinitialised = start_weights(model, settings, clips.classes, table.shape[1], run)
        if world.rank == 0:
            names = ", ".join(reinitialised) or "nothing"
            text = f"Started from {settings.start_from}. Newly initialised, at least in part: {names}."
            print(text, flush=True)
    full_share = len(world.share(torch.arange(settings.batch_size)))
    network = gpu.compiled(world.wrap(model, settings.device), settings, full_share)
    weights, decay = model.parameters(), settings.weight_decay
    optimizer = torch.optim.SGD(weights, settings.learning_rate, settings.momentum, weight_decay=decay)
    state = State(model, optimizer)
    counts = inputs.labels.bincount(minlength=len(clips.classes)).clamp(min=1)
    task = Task(
        settings=settings,
        run=run,
        world=world,
        inputs=inputs,
        network=network,
        class_embeddings=torch.from_numpy(table).to(settings.device, torch.float32),
        adjustment=settings.logit_adjustment * (counts / counts.sum()).log(),
        epochs=max(settings.epochs, math.ceil(settings.min_steps / len(steps))),
        progress=progress if world.rank == 0 else lambda row: None,
        interrupted=interrupted,
    )
    if stored:
        state.restore(stored)
    if stored and state.epoch < task.epochs:
        position = {"epochs": task.epochs, "step": len(steps), "steps": len(steps), "resumed": True}
        for row in state.rows:
            task.progress(position | row)
        task.progress(task.position(state, len(steps)) | {"resumed": True})
        began_with = read_json(run / SETTINGS, "environment")["environment"].get("threads")
        if settings.device == "cpu" and began_with != str(torch.get_num_threads()) and world.rank == 0:
            goes_on = f"The run began with {began_with} threads and goes on with {torch.get_num_threads()}"
            print(f"{goes_on}: the last bits of its weights may differ.", flush=True)
    return task, state


def _train_epoch(task: Task, state: State) -> None:
    """The remaining steps of an epoch: forward, backward, update; a checkpoint where it is due."""
    settings, world = task.settings, task.world
    order = batches(len(task.inputs), settings, state.epoch)
    reader = LossReader(task, state, len(order))
    state.model.train()
    began = time.monotonic()
    shares = [world.share(rows) for rows in order[state.step :]]
    upcoming = ((task.inputs.training(share, state.epoch), task.inputs.labels[share]) for share in shares)
    for inputs, classes in gpu.ahead(upcoming, gpu.side_stream(settings)):
        batch = order[state.step]
        for group in state.optimizer.param_groups:
            group["lr"] = learning_rate(settings, (state.epoch + state.step / len(order)) / task.epochs)
        torch.manual_seed(seed_of(settings.seed, state.epoch, state.step, world.rank))

        parts = forward(task, inputs, classes)
        state.optimizer.zero_grad()
        # Processes average their gradients; this factor makes it the gradient of the mean over the batch.
        (parts["loss"] * (len(classes) * world.size / len(batch))).backward()
        gradient_norm = nn.utils.clip_grad_norm_(state.model.parameters(), MAX_GRADIENT_NORM)

        save = world.rank == 0 and time.monotonic() - state.saved > CHECKPOINT_SECONDS
        requests = task.interrupted(), save
        reader.settle(*requests)  # of the step before, now that the GPU has this one to compute
        state.optimizer.step()
        reader.add(parts, gradient_norm, len(classes), task.inputs.ids[batch])
        state.step, state.seconds = state.step + 1, state.seconds + time.monotonic() - began

        slow = task.pace.step(time.monotonic() - began)
        if slow and settings.device == "cpu" and world.rank == 0:
            print(slow, flush=True)
        if reader.stop or reader.save or state.step == len(order):
            reader.settle(*requests)
        if reader.stop or reader.save:
            if world.rank == 0:
                state.save(task.run / "last.ckpt")
            reader.save = False
        if reader.stop:
            raise KeyboardInterrupt(
                f"{task.run}: stopped after step {state.step} of epoch {state.epoch + 1}; "
                "run the same again to resume"
            )
        began = time.monotonic()


def forward(task: Task, inputs: Float[Tensor, "n ..."], classes: Int[Tensor, " n"]) -> dict[str, Tensor]:
    """The loss of some training clips, and its terms."""
    with autocast(task.settings):
        logits, embedding = (output.float() for output in task.network(inputs))
    batch = losses.LossInputs(logits, embedding, classes, task.class_embeddings, task.adjustment)
    return losses.total(batch, task.settings.loss_weights)


def _learnable(clips: Clips, settings: Settings) -> Clips:
    """The training clips with a known class and at least one joint.

    Raises ValueError where there are none, or where clips and settings do not fit each other.
    """
    if clips.layout.joints != settings.skeleton.joints:
        raise ValueError(
            f"the clips have the joints of {clips.layout.name!r} and the settings those of "
            f"{settings.skeleton.name!r}; load the clips with the `layout` and `persons` of the settings"
        )
    if settings.no_gesture_ratio and clips.classes[-1] != labels.NO_GESTURE:
        raise ValueError(
            f"the settings have no_gesture_ratio {settings.no_gesture_ratio:g} and the clips none; "
            "load them with `clip_arguments` of the settings"
        )
    if not (clips.split("val").table["label"] >= 0).any():
        raise ValueError(
            "the class of every validation clip is unknown, so no epoch can be scored; "
            "give data with labels in split val"
        )
    twice = sorted({name for name in clips.classes if clips.classes.count(name) > 1})
    if twice:
        rule = f"class names must differ, {twice[0]!r} is there more than once"
        raise ValueError(f"{rule}; correct the names of the classes in the data")
    train = clips.split("train")
    rows = (train.table["label"] >= 0) & (train.table["missing"] < 1)
    if not rows.any():
        raise ValueError(f"none of the {len(train)} training clips can be used. {left_out(clips)}")
    return train.where(rows.to_numpy())


def _missing_embedding(settings: Settings, clips: Clips) -> str:
    """Which class lacks the embedding in the table of the package that the semantic loss needs."""
    if settings.semantic_weight and not settings.embeddings:
        try:
            labels.embeddings(clips.classes)
        except ValueError as error:
            return str(error)
    return ""


def _validate(task: Task, state: State, clips: Clips) -> None:
    """The end of an epoch: scores of the validation clips, a row of metrics, checkpoints."""
    scores = metrics.scores(predict(state.model, clips, task.settings, task.world))
    row = {"epoch": state.epoch + 1, **{name: total / len(task.inputs) for name, total in state.sums.items()}}
    row |= {f"val_{name}": scores[name] for name in ("top1", "top5", "mean_class", "macro_f1")}
    row |= {"learning_rate": state.optimizer.param_groups[0]["lr"], "seconds": round(state.seconds, 2)}
    position = task.position(state, state.step)
    improved = state.end_epoch(row)
    if task.world.rank == 0:
        if improved or task.settings.keep == "last":  # best.ckpt is the epoch that is kept
            state.save(task.run / "best.ckpt")
        atomic.write_text(task.run / "metrics.csv", pd.DataFrame(state.rows).to_csv(index=False))
        state.save(task.run / "last.ckpt")
    task.progress(position | row)


def _finish(task: Task, state: State, clips: Clips, data: dict[str, Any]) -> dict[str, Any]:
    """Predictions of the kept network, their scores, and last ``result.json``."""
    first = task.world.rank == 0
    if first:
        atomic.write_text(task.run / "metrics.csv", pd.DataFrame(state.rows).to_csv(index=False))
    best = task.world.from_first(checkpoint.read, task.run / "best.ckpt")
    state.model.load_state_dict(best["model"])
    scores: dict[str, dict[str, float]] = {}
    for split in ("val", "test"):
        if (clips.table["split"] == split).any():
            predicted = predict(state.model, clips.split(split), task.settings, task.world)
            if first:
                predicted.save(task.run / f"{split}.npz")
            known = (predicted.labels >= 0).any()
            scores[split] = metrics.scores(predicted, clips.class_regions) if known else {}
    if first:
        about = clips.table[["id", "label", "split"]]
        atomic.write_text(task.run / CLIPS, about.to_csv(index=False))
    result = {
        "settings": task.settings.values(),
        "data": data,
        "source": clips.source,
        "best_epoch": best["position"]["epoch"],
        "scores": scores,
        "embedding_size": task.class_embeddings.shape[1],
        "train_clips": len(task.inputs),
        "parameters": sum(weights.numel() for weights in state.model.parameters()),
        "processes": task.world.size,
        "seconds": round(sum(row["seconds"] for row in state.rows), 2),
        "environment": environment(),
    }
    if first:
        atomic.write_json(task.run / RESULT, result)
    task.world.wait()
    return result


def batches(clips: int, settings: Settings, epoch: int) -> list[Int[Tensor, " n"]]:
    """The rows of each training batch of an epoch: every clip once, in a new order in each epoch."""
    order = uniform(1, clips, settings.seed, epoch, 1)[0].argsort()
    parts = list(order.split(settings.batch_size))
    # Batch norm of a few clips is inaccurate.
    if len(parts) > 1 and len(parts[-1]) < settings.batch_size / 2:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def learning_rate(settings: Settings, done: float) -> float:
    """The learning rate after a share of the steps: a cosine from the initial one to 0."""
    return settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


def left_out(clips: Clips) -> str:
    """A sentence with the number of training clips that cannot be used. They can still be predicted."""
    table = clips.split("train").table
    unknown, empty = int((table["label"] < 0).sum()), int((table["missing"] == 1).sum())
    return f"Left out of training: {unknown} clips of unknown class, {empty} without any joint."
