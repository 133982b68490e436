"""Gestures without hands: of neck, head, trunk, shoulders and lips."""

import numpy as np

from .actor import Actor

TORSO_AMPLITUDES = {
    "roll": (0.05, 0.16), "yaw": (0.08, 0.25), "sway": (0.02, 0.07), "pitch": (0.05, 0.14),
    "lean": (0.02, 0.06),
}  # fmt: skip


def _span(actor: Actor, shortest: float = 10) -> tuple[float, float]:
    """First and last frame of a movement: those of its label, with noise."""
    start = actor.start + float(np.clip(actor.rng.normal(0, 3), -6, 6))
    return start, max(actor.end + float(np.clip(actor.rng.normal(0, 4), -6, 10)), start + shortest)


def _ramp(actor: Actor, span: float, low: float, high: float) -> float:
    """Duration of a rise or fall in frames: a share of the span, at most two seconds at pace 1."""
    return float(min(actor.uniform(low, high) * span, 50)) / actor.subject.pace


def turtle_neck(actor: Actor) -> None:
    """The head moves forward or back, with raised shoulders."""
    start, end = _span(actor)
    rise, fall = _ramp(actor, end - start, 0.2, 0.4), _ramp(actor, end - start, 0.2, 0.4)
    forward = actor.chance(0.6)
    actor.bump(
        *(start, end, rise, fall),
        thrust=-actor.amplitude(0.03, 0.06) if forward else actor.amplitude(0.015, 0.03),
        stretch=actor.amplitude(0.01, 0.03),
        nod=-actor.amplitude(0.02, 0.12) if forward else actor.amplitude(0.0, 0.1),
        left_up=actor.amplitude(0.0, 0.03),
        right_up=actor.amplitude(0.0, 0.03),
    )


def deep_breath(actor: Actor) -> None:
    """Chest and shoulders rise slowly and sink again; the head moves with them, and the mouth may open when
    they sink."""
    start, end = _span(actor, 22)
    rise, fall = _ramp(actor, end - start, 0.35, 0.5), _ramp(actor, end - start, 0.3, 0.5)
    raised = actor.amplitude(0.012, 0.026)
    actor.bump(
        *(start, end, rise, fall),
        left_up=raised * actor.uniform(0.85, 1.15),
        right_up=raised * actor.uniform(0.85, 1.15),
        pitch=-actor.amplitude(0.015, 0.05),
        rise=-actor.amplitude(0.003, 0.01),
        nod=actor.uniform(-0.1, 0.03),
    )
    if actor.chance(0.5):
        opening = {actor.choice(("jaw", "pucker")): actor.uniform(0.2, 0.6)}
        actor.bump(start + rise, end, 0.4 * fall, 0.5 * fall, **opening)
    if actor.chance(0.7):
        actor.silences.append((start, end))


def move_torso(actor: Actor) -> None:
    """The trunk leans, turns or shifts, once or back and forth, and may stay in its new position."""
    start, end = _span(actor)
    to_and_fro, hertz, stays = actor.chance(0.3), actor.uniform(0.5, 1.3), actor.chance(0.3)
    channels = actor.rng.choice(list(TORSO_AMPLITUDES), size=actor.rng.integers(1, 4), replace=False)
    for channel in channels.tolist():
        amount = int(actor.rng.choice((-1, 1))) * actor.amplitude(*TORSO_AMPLITUDES[channel])
        if to_and_fro:
            actor.wave(start, end, hertz, **{channel: 0.7 * amount})
        elif stays:
            last = end + actor.uniform(40, 120)
            actor.bump(start, last, _ramp(actor, end - start, 0.3, 0.7), 40, **{channel: amount})
        else:
            rise, fall = _ramp(actor, end - start, 0.3, 0.7), _ramp(actor, end - start, 0.3, 0.5)
            actor.bump(start, end, rise, fall, **{channel: amount})
    actor.bump(start, end, 10, 10, turn=actor.uniform(-0.2, 0.2))


def sit_straight(actor: Actor) -> None:
    """The trunk moves back and up while the head stays level; it sinks again over seconds."""
    start, end = _span(actor)
    rise, last = _ramp(actor, end - start, 0.4, 0.9), end + actor.uniform(50, 150)
    amount = actor.amplitude(0.06, 0.15)
    actor.bump(
        *(start, last, rise, last - end),
        pitch=-amount,
        nod=amount * actor.uniform(0.4, 1.0),
        rise=-actor.amplitude(0.01, 0.03),
        left_forward=-actor.amplitude(0.0, 0.02),
        right_forward=-actor.amplitude(0.0, 0.02),
    )
    if actor.chance(0.4):
        sway = actor.amplitude(0.01, 0.025)
        actor.wave(start, end, actor.uniform(0.6, 1.4), sway=sway)


def head_up(actor: Actor) -> None:
    start, end = _span(actor)
    rise, fall = _ramp(actor, end - start, 0.2, 0.45), _ramp(actor, end - start, 0.2, 0.45)
    nod, thrust = -actor.amplitude(0.2, 0.5), actor.amplitude(0.0, 0.02)
    turn, brow = actor.uniform(-0.2, 0.2), actor.uniform(0.0, 0.8)
    actor.bump(start, end, rise, fall, nod=nod, thrust=thrust, turn=turn, brow=brow)


def bite_lip(actor: Actor) -> None:
    """Lips are drawn in, bitten or pressed, one to three times; mostly without speech."""
    start, end = _span(actor)
    times = int(actor.rng.integers(1, 4)) if end - start > 30 else 1
    channels = actor.choice((("tuck_lower",), ("tuck_lower",), ("tuck_upper",), ("tuck_lower", "tuck_upper")))
    one_sided = actor.maybe(0.35, -1.0, 1.0)
    part = (end - start) / times
    for begin in start + part * np.arange(times):
        stop = begin + part * actor.uniform(0.7, 1.0)
        ramp = min(actor.uniform(4, 9), 0.45 * (stop - begin))
        tucks = {channel: actor.amplitude(0.6, 1.3) for channel in channels}
        actor.bump(begin, stop, ramp, ramp, **tucks, skew=one_sided, wide=actor.uniform(-0.3, 0.5))
    if actor.chance(0.8):
        actor.silences.append((start - 2, end + 2))


def shake_shoulder(actor: Actor) -> None:
    """A shrug, a twitch of one shoulder, or both shoulders rolling."""
    start, end = _span(actor)
    kind = actor.rng.random()
    if kind < 0.4:
        times = int(actor.rng.integers(1, 3)) if end - start > 24 else 1
        part = (end - start) / times
        for begin in start + part * np.arange(times):
            ramp = min(actor.uniform(4, 8), 0.45 * part)
            for channel in ("left_up", "right_up"):
                raised = actor.amplitude(0.018, 0.045)
                actor.bump(begin, begin + part * actor.uniform(0.6, 1.0), ramp, ramp, **{channel: raised})
    elif kind < 0.65:
        ramp, side = min(actor.uniform(4, 8), 0.45 * (end - start)), actor.choice(("left", "right"))
        shifts = {f"{side}_up": actor.amplitude(0.02, 0.045), f"{side}_forward": actor.uniform(-0.03, 0.03)}
        actor.bump(start, end, ramp, ramp, **shifts)
    else:
        hertz, amount = actor.uniform(0.8, 2.5), actor.amplitude(0.008, 0.022)
        phase = actor.choice((np.pi, np.pi, 0.0))
        actor.wave(start, end, hertz, left_up=amount)
        actor.wave(start, end, hertz, phase, right_up=amount)
        actor.wave(start, end, hertz, 1.5, left_forward=amount * actor.uniform(0, 1))
        actor.wave(start, end, hertz, phase + 1.5, right_forward=amount * actor.uniform(0, 1))
        actor.wave(start, end, hertz, roll=actor.uniform(-0.03, 0.03))
    actor.bump(start, end, 6, 8, tilt=actor.uniform(-0.08, 0.08))
