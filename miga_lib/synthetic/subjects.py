"""The recorded subjects: proportions, face, style of moving, posture and habits of each."""

from dataclasses import dataclass

import numpy as np

from . import shapes
from .body import Build
from .script import Style


@dataclass(frozen=True, eq=False)
class Subject:
    """The properties of a person, the same in all its videos.

    ``slump`` is the forward lean of the trunk in radians; ``resting`` the probability of each of
    ``idling.RESTS``; ``nervous`` the probability of each kind of second movement during a gesture, see
    ``idling.second``.
    """

    build: Build
    style: Style
    slump: float
    resting: np.ndarray
    nervous: np.ndarray


# Mean probabilities, in the order of ``idling.RESTS``: lap, clasped in lap, table, clasped on table, armrest,
# crossed, chin, raised.
USUAL_RESTS = np.array((0.22, 0.10, 0.24, 0.18, 0.10, 0.05, 0.04, 0.07))


def subject(number: int, seed: int) -> Subject:
    """The person with that number, the same in every size."""
    rng = np.random.default_rng([seed, 72, number])
    size = rng.normal(1, 0.04)
    face = shapes.FACE * rng.normal(1, (0.05, 0.05, 0.06)) + rng.normal(0, 0.0012, (70, 3)) * (0.5, 1, 1)
    build = Build(
        shoulder=rng.normal(0.178, 0.011) * size, slope=rng.normal(0.01, 0.008), upper_arm=rng.normal(0.285, 0.012) * size,
        forearm=rng.normal(0.25, 0.011) * size, neck=rng.normal(0.10, 0.01) * size, head=rng.normal(1.03, 0.03),
        hand=rng.normal(1.0, 0.06) * size, face=face,
    )  # fmt: skip
    style = Style(
        hand=int(rng.random() < 0.87), one_sided=rng.uniform(0.6, 0.9), energy=float(np.exp(rng.normal(0, 0.22))),
        pace=float(np.exp(rng.normal(0, 0.15))), talk=rng.uniform(0.35, 0.85),
    )  # fmt: skip
    return Subject(
        build, style, rng.uniform(0.03, 0.14), rng.dirichlet(6 * USUAL_RESTS), rng.dirichlet(np.full(6, 2.0))
    )
