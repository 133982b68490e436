"""The actor: a subject in one recording, its movements so far, and its random choices."""

from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field, replace
from typing import NamedTuple, TypeVar

import numpy as np

from .body import CHANNEL, CHANNELS, FPS, LEFT, RIGHT, Build, Move, Pose, Vector, minimum_jerk

Option = TypeVar("Option")
Span = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Subject:
    """The properties of a person, the same in all its videos.

    ``preferred`` is the preferred hand and ``one_sided`` the probability that it is used; ``energy`` and
    ``pace`` are factors on the size and the speed of movements, about 1; ``talk`` is the share of the time in
    which it speaks; ``slump`` the forward lean of the trunk in radians; ``resting`` and ``nervous`` the
    probabilities of each of ``idling.RESTS`` and of each kind of second movement, see ``idling.second``.
    """

    build: Build
    preferred: int
    one_sided: float
    energy: float
    pace: float
    talk: float
    slump: float
    resting: np.ndarray
    nervous: np.ndarray


class Times(NamedTuple):
    """Frames at which a hand starts, arrives, leaves again and is back."""

    start: float
    arrive: float
    leave: float
    end: float


@dataclass(eq=False)
class Actor:
    """A subject in a recording of ``frames`` frames, which is filled from its first to its last frame.

    ``rest`` is the current rest pose of the left and the right hand, ``moves`` their moves; ``channels``
    (T, 25) has the columns of ``body.CHANNELS``. ``start`` and ``end`` are the first and the last frame of
    the gesture, ``busy`` the last frame of the gesture before. The subject speaks in all ``speeches`` and is
    silent in all ``silences``.
    """

    subject: Subject
    rng: np.random.Generator
    frames: InitVar[int]
    rest: list[Pose]
    start: float = 0.0
    end: float = 0.0
    busy: float = 0.0
    channels: np.ndarray = field(init=False)
    moves: list[list[Move]] = field(init=False)
    silences: list[Span] = field(default_factory=list)
    speeches: list[Span] = field(default_factory=list)

    def __post_init__(self, frames: int) -> None:
        self.channels = np.zeros((frames, len(CHANNELS)))
        self.moves = [[Move(-2.0, -1.0, pose)] for pose in self.rest]

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

    def visit(self, side: int, pose: Pose, times: Times, lingers: float = 0.15) -> None:
        """Move a hand to a pose, keep it there with small shifts, and move it back; with probability
        ``lingers`` it stays there instead."""
        here = self.move(side, times.start, times.arrive - times.start, pose)
        while times.leave - here > 30 and self.chance(0.6):
            here += self.uniform(14, 28)
            pose = replace(pose, at=self.near(pose.at, 0.01), aim=self.near(pose.aim, 0.08))
            here = self.move(side, here, self.uniform(6, 10), pose)
        if not self.chance(lingers):
            self.home(side, max(times.leave, here + 2), times.end - times.leave)

    def bump(self, start: float, end: float, rise: float, fall: float, /, **amounts: float) -> None:
        """Add to channels a rise that begins at ``start`` and a fall that ends at ``end``, of ``rise`` and
        ``fall`` frames, shortened to fit."""
        t = self._frames(start, end)
        fit = min(1.0, (end - start) / max(rise + fall, 1e-6))
        up = minimum_jerk((t - start) / max(fit * rise, 1.0))
        down = minimum_jerk((t - (end - fit * fall)) / max(fit * fall, 1.0))
        for channel, amount in amounts.items():
            self.channels[t, CHANNEL[channel]] += amount * (up - down)

    def wave(self, start: float, end: float, hertz: float, phase: float = 0.0, **amounts: float) -> None:
        """Add to channels an oscillation whose amplitude rises from 0 and falls to 0 within the span."""
        t = self._frames(start, end)
        envelope = np.minimum(1, 4 * np.sin(np.pi * np.clip((t - start) / max(end - start, 1.0), 0, 1)))
        sine = np.sin(2 * np.pi * hertz * (t - start) / FPS + phase)
        for channel, amount in amounts.items():
            self.channels[t, CHANNEL[channel]] += amount * envelope * sine

    def _frames(self, start: float, end: float) -> np.ndarray:
        return np.arange(max(int(start), 0), min(int(end) + 2, len(self.channels)))

    def choice(self, options: Sequence[Option]) -> Option:
        return options[int(self.rng.integers(len(options)))]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def uniform(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def maybe(self, probability: float, low: float, high: float) -> float:
        """Uniform with a probability, else 0."""
        return self.uniform(low, high) if self.chance(probability) else 0.0

    def amplitude(self, low: float, high: float) -> float:
        """Uniform, times the subject's energy; one in eight is only 0.3 to 0.6 of it."""
        amplitude = self.uniform(low, high) * self.subject.energy
        if self.chance(0.12):
            amplitude *= self.uniform(0.3, 0.6)
        return amplitude

    def near(self, place: Vector | np.ndarray, spread: float) -> Vector:
        """A place, or a direction, with normal noise around the given one."""
        x, y, z = (place + self.rng.normal(0, spread, 3)).tolist()
        return x, y, z

    def side(self) -> int:
        """The hand that performs the gesture: mostly the preferred one."""
        if self.chance(self.subject.one_sided):
            return self.subject.preferred
        return 1 - self.subject.preferred

    def hands(self, both: float) -> tuple[int, ...]:
        """Both hands with a probability, else one."""
        return (LEFT, RIGHT) if self.chance(both) else (self.side(),)

    def travel(self) -> float:
        """Duration of a hand's move, in frames."""
        return float(np.clip(self.rng.normal(11, 3) / self.subject.pace, 4, 22))

    def times(self) -> Times:
        """Those of a gesture of a hand. They differ from the labels by some frames, as annotators' do."""
        travel, back = self.travel(), self.travel() * self.uniform(0.9, 1.4)
        start = self.start + float(np.clip(self.rng.normal(0, 3), -6, 6))
        if self.chance(0.12):
            start = self.start - travel * self.uniform(0.5, 1.0)  # the label begins when the hand has arrived
        start = max(start, self.busy)
        end = self.end + float(np.clip(self.rng.normal(0, 4), -8, 8))
        if self.chance(0.15):
            end = self.end + back * self.uniform(0.4, 1.0)  # the label ends before the hand leaves
        arrive = start + min(travel, max(4.0, 0.6 * max(self.end - self.start, 6.0)))
        end = max(end, arrive + 6)
        return Times(start, arrive, max(arrive + 3, end - back), end)
