"""Gestures without hands: of neck, head, trunk, shoulders and lips."""

import numpy as np

from .script import Act


def _span(act: Act) -> tuple[float, float]:
    """First and last frame of a movement: those of its label, with noise."""
    start = act.start + float(np.clip(act.rng.normal(0, 3), -6, 6))
    return start, max(act.end + float(np.clip(act.rng.normal(0, 4), -6, 10)), start + 10)


def _ramp(act: Act, start: float, end: float, low: float, high: float) -> float:
    """Duration of a rise or fall in frames: a share of the span, at most two seconds at pace 1."""
    return float(min(act.uniform(low, high) * (end - start), 50)) / act.style.pace


def turtle_neck(act: Act) -> None:
    """The head moves forward or back, with raised shoulders."""
    start, end = _span(act)
    rise, fall = _ramp(act, start, end, 0.2, 0.4), _ramp(act, start, end, 0.2, 0.4)
    out = act.chance(0.6)
    act.script.bump("thrust", -act.size(0.03, 0.06) if out else act.size(0.015, 0.03), start, end, rise, fall)
    act.script.bump("stretch", act.size(0.01, 0.03), start, end, rise, fall)
    act.script.bump("nod", -act.size(0.02, 0.12) if out else act.size(0.0, 0.1), start, end, rise, fall)
    for channel in ("left_up", "right_up"):
        act.script.bump(channel, act.size(0.0, 0.03), start, end, rise, fall)


def deep_breath(act: Act) -> None:
    """Chest and shoulders rise slowly and sink again; the head moves with them, and the mouth may open when
    they sink."""
    start, end = _span(act)
    end = max(end, start + 22)
    rise = _ramp(act, start, end, 0.35, 0.5)
    fall = _ramp(act, start, end, 0.3, 0.5)
    raised = act.size(0.012, 0.026)
    for channel in ("left_up", "right_up"):
        act.script.bump(channel, raised * act.uniform(0.85, 1.15), start, end, rise, fall)
    act.script.bump("pitch", -act.size(0.015, 0.05), start, end, rise, fall)
    act.script.bump("rise", -act.size(0.003, 0.01), start, end, rise, fall)
    act.script.bump("nod", act.uniform(-0.1, 0.03), start, end, rise, fall)
    if act.chance(0.5):
        act.script.bump(
            act.one(("jaw", "pucker")), act.uniform(0.2, 0.6), start + rise, end, 0.4 * fall, 0.5 * fall
        )
    if act.chance(0.7):
        act.script.silences.append((start, end))


def move_torso(act: Act) -> None:
    """The trunk leans, turns or shifts, once or back and forth, and may stay in its new position."""
    start, end = _span(act)
    ways = {
        "roll": (0.05, 0.16),
        "yaw": (0.08, 0.25),
        "sway": (0.02, 0.07),
        "pitch": (0.05, 0.14),
        "lean": (0.02, 0.06),
    }
    to_and_fro, hertz = act.chance(0.3), act.uniform(0.5, 1.3)
    stays = act.chance(0.3)
    for channel in act.rng.choice(list(ways), size=act.rng.integers(1, 4), replace=False):
        amount = act.sign() * act.size(*ways[channel])
        if to_and_fro:
            act.script.wave(channel, 0.7 * amount, start, end, hertz)
        else:
            last = end + act.uniform(40, 120) if stays else end
            act.script.bump(
                channel,
                amount,
                start,
                last,
                _ramp(act, start, end, 0.3, 0.7),
                40 if stays else _ramp(act, start, end, 0.3, 0.5),
            )
    act.script.bump("turn", act.uniform(-0.2, 0.2), start, end, 10, 10)


def sit_straight(act: Act) -> None:
    """The trunk moves back and up while the head stays level; it sinks again over seconds."""
    start, end = _span(act)
    rise, last, amount = _ramp(act, start, end, 0.4, 0.9), end + act.uniform(50, 150), act.size(0.06, 0.15)
    fall = last - end
    act.script.bump("pitch", -amount, start, last, rise, fall)
    act.script.bump("nod", amount * act.uniform(0.4, 1.0), start, last, rise, fall)
    act.script.bump("rise", -act.size(0.01, 0.03), start, last, rise, fall)
    for channel in ("left_forward", "right_forward"):
        act.script.bump(channel, -act.size(0.0, 0.02), start, last, rise, fall)
    if act.chance(0.4):
        act.script.wave("sway", act.size(0.01, 0.025), start, end, act.uniform(0.6, 1.4))


def head_up(act: Act) -> None:
    start, end = _span(act)
    rise, fall = _ramp(act, start, end, 0.2, 0.45), _ramp(act, start, end, 0.2, 0.45)
    act.script.bump("nod", -act.size(0.2, 0.5), start, end, rise, fall)
    act.script.bump("thrust", act.size(0.0, 0.02), start, end, rise, fall)
    act.script.bump("turn", act.uniform(-0.2, 0.2), start, end, rise, fall)
    act.script.bump("brow", act.uniform(0.0, 0.8), start, end, rise, fall)


def bite_lip(act: Act) -> None:
    """Lips are drawn in, bitten or pressed, one to three times; mostly without speech."""
    start, end = _span(act)
    times = int(act.rng.integers(1, 4)) if end - start > 30 else 1
    channels = act.one((("tuck_lower",), ("tuck_lower",), ("tuck_upper",), ("tuck_lower", "tuck_upper")))
    one_sided = act.uniform(-1.0, 1.0) if act.chance(0.35) else 0.0
    part = (end - start) / times
    for begin in start + part * np.arange(times):
        stop = begin + part * act.uniform(0.7, 1.0)
        ramp = min(act.uniform(4, 9), 0.45 * (stop - begin))
        for channel in channels:
            act.script.bump(channel, act.size(0.6, 1.3), begin, stop, ramp, ramp)
        act.script.bump("skew", one_sided, begin, stop, ramp, ramp)
        act.script.bump("wide", act.uniform(-0.3, 0.5), begin, stop, ramp, ramp)
    if act.chance(0.8):
        act.script.silences.append((start - 2, end + 2))


def shake_shoulder(act: Act) -> None:
    """A shrug, a twitch of one shoulder, or both shoulders rolling."""
    start, end = _span(act)
    kind = act.rng.random()
    if kind < 0.4:
        times = int(act.rng.integers(1, 3)) if end - start > 24 else 1
        part = (end - start) / times
        for begin in start + part * np.arange(times):
            ramp = min(act.uniform(4, 8), 0.45 * part)
            for channel in ("left_up", "right_up"):
                act.script.bump(
                    channel, act.size(0.018, 0.045), begin, begin + part * act.uniform(0.6, 1.0), ramp, ramp
                )
    elif kind < 0.65:
        ramp, side = min(act.uniform(4, 8), 0.45 * (end - start)), act.one(("left", "right"))
        act.script.bump(f"{side}_up", act.size(0.02, 0.045), start, end, ramp, ramp)
        act.script.bump(f"{side}_forward", act.uniform(-0.03, 0.03), start, end, ramp, ramp)
    else:
        hertz, amount, phase = act.uniform(0.8, 2.5), act.size(0.008, 0.022), act.one((np.pi, np.pi, 0.0))
        act.script.wave("left_up", amount, start, end, hertz)
        act.script.wave("right_up", amount, start, end, hertz, phase)
        act.script.wave("left_forward", amount * act.uniform(0, 1), start, end, hertz, 1.5)
        act.script.wave("right_forward", amount * act.uniform(0, 1), start, end, hertz, phase + 1.5)
        act.script.wave("roll", act.uniform(-0.03, 0.03), start, end, hertz)
    act.script.bump("tilt", act.uniform(-0.08, 0.08), start, end, 6, 8)
