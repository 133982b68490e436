"""The movements of a subject: a script of bumps, waves and moves of the hands, and the act, which is one
gesture to be performed."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from .body import CHANNEL, Move, Pose, minimum_jerk

FPS = 25
"""Frames per second of a recording."""
Vector = tuple[float, float, float]
Option = TypeVar("Option")


@dataclass(frozen=True)
class Style:
    """How a subject moves.

    ``hand`` is the preferred hand and ``one_sided`` the probability that it is used; ``energy`` and ``pace``
    are factors on the size and the speed of movements, about 1; ``talk`` is the share of the time in which
    the subject speaks (0…1).
    """

    hand: int
    one_sided: float
    energy: float
    pace: float
    talk: float


@dataclass
class Script:
    """The movements of one recording, filled from its first to its last frame.

    ``channels`` (T, 25) has the columns of ``body.CHANNELS``; ``moves`` are those of the left and the right
    hand. ``rest`` is the current rest pose of each hand, ``busy`` the last frame of the previous gesture. The
    subject speaks in all ``speeches`` and is silent in all ``silences``, both (start, end) in frames.
    """

    channels: np.ndarray
    rest: list[Pose]
    moves: tuple[list[Move], list[Move]] = field(init=False)
    busy: float = 0.0
    silences: list[tuple[float, float]] = field(default_factory=list)
    speeches: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        left, right = ([Move(-2.0, -1.0, pose)] for pose in self.rest)
        self.moves = left, right

    def move(self, side: int, start: float, duration: float, pose: Pose) -> float:
        """Move a hand to a pose. Returns the frame at which it arrives.

        Where an earlier move is not finished at ``start``, it is shortened if it is more than half done, and
        removed otherwise.
        """
        moves = self.moves[side]
        while len(moves) > 1 and start < 0.5 * (moves[-1].start + moves[-1].arrive):
            moves.pop()
        if len(moves) > 1 and start < moves[-1].arrive:
            moves[-1] = replace(moves[-1], arrive=start)
        moves.append(Move(start, start + max(duration, 2.0), pose))
        return moves[-1].arrive

    def home(self, side: int, start: float, duration: float) -> None:
        """Move a hand back to its rest pose."""
        self.move(side, start, duration, self.rest[side])

    def bump(self, channel: str, amount: float, start: float, end: float, rise: float, fall: float) -> None:
        """Add a rise that begins at ``start`` and a fall that ends at ``end``, of ``rise`` and ``fall``
        frames, shortened to fit."""
        t, span = self._span(start, end)
        fit = min(1.0, (end - start) / max(rise + fall, 1e-6))
        up = minimum_jerk((t - start) / max(fit * rise, 1.0)) - minimum_jerk(
            (t - (end - fit * fall)) / max(fit * fall, 1.0)
        )
        self.channels[span, CHANNEL[channel]] += amount * up

    def wave(
        self, channel: str, amount: float, start: float, end: float, hertz: float, phase: float = 0.0
    ) -> None:
        """Add an oscillation whose amplitude rises from 0 and falls to 0 within the span."""
        t, span = self._span(start, end)
        envelope = np.minimum(1, 4 * np.sin(np.pi * np.clip((t - start) / max(end - start, 1.0), 0, 1)))
        self.channels[span, CHANNEL[channel]] += (
            amount * envelope * np.sin(2 * np.pi * hertz * (t - start) / FPS + phase)
        )

    def _span(self, start: float, end: float) -> tuple[np.ndarray, slice]:
        span = slice(max(int(start), 0), min(int(end) + 2, len(self.channels)))
        return np.arange(span.start, max(span.stop, span.start)), span


@dataclass(frozen=True)
class Act:
    """One gesture to be performed between two frames, and the random choices of its programme."""

    script: Script
    style: Style
    rng: np.random.Generator
    start: float
    end: float

    @property
    def length(self) -> float:
        return max(self.end - self.start, 6.0)

    def one(self, options: Sequence[Option]) -> Option:
        return options[int(self.rng.integers(len(options)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def sign(self) -> int:
        return int(self.rng.choice((-1, 1)))

    def size(self, low: float, high: float) -> float:
        """An amplitude: uniform, times the subject's energy; one in eight is only 0.3 to 0.6 of it."""
        return (
            self.uniform(low, high)
            * self.style.energy
            * (self.uniform(0.3, 0.6) if self.chance(0.12) else 1.0)
        )

    def near(self, place: Vector | np.ndarray, spread: float) -> Vector:
        """A place, or a direction, with normal noise around the given one."""
        x, y, z = (place + self.rng.normal(0, spread, 3)).tolist()
        return x, y, z

    def side(self) -> int:
        """The hand that performs the gesture: mostly the preferred one."""
        return self.style.hand if self.chance(self.style.one_sided) else 1 - self.style.hand

    def travel(self) -> float:
        """Duration of a hand's move, in frames."""
        return float(np.clip(self.rng.normal(11, 3) / self.style.pace, 4, 22))
