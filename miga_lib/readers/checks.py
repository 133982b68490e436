"""Checks of clips that can be read but are probably not what their author meant: of names on every loading,
of the rest by the validator."""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator

import numpy as np

from .. import labels
from ..layouts import FINGERTIPS, Layout
from .contract import UNKNOWN, Clip, Recording, Report

HIGH_SCORE = 1.1
"""OpenPose's scores go a little beyond 1. Above ``contract.MAX_SCORE`` they are another unit."""
MARGIN = 0.02
"""How far outside the frame a joint may be without a note, as a share of the frame's width or height."""

LOOK_ALIKES = str.maketrans(
    "авекмнорстухѕіјαβεζηικμνορτυχ",
    "abekmhopctyxsijabezhikmnoptyx",
)
"""Small letters of Cyrillic and Greek, and the Latin ones that they, or their capitals, look like."""
MAX_NAME_SHOWN = 60


def named(clips: Iterable[Clip], report: Report) -> Iterator[Clip]:
    """Yield the same clips, and note in the report names that are probably meant to be the same, and classes
    without a clip."""
    subjects, videos, used = set[str](), set[str](), set[int]()
    for clip in clips:
        subjects.add(clip.subject)
        videos.add(clip.video)
        used.add(clip.label)
        if isinstance(clip, Recording):
            used.update(label for label, _, _ in clip.segments)
        yield clip
    classes = {*report.classes, *labels.CLASSES, *labels.SMG_CLASSES}
    for kind, names in {"subjects": subjects, "videos": videos, "classes": classes}.items():
        for alike in _alike(names):
            event = "differ only by case, spaces, leading zeros or letters that look the same: kept apart"
            report.note(f"{kind} that {event}", alike)
    used.discard(UNKNOWN)
    if used:
        for label in sorted(set(range(len(report.classes))) - used):
            report.note("classes without a clip", report.classes[label])
    if len(used) == 1:
        event = "all clips of known class are of one class: nothing can be learned"
        report.note(event, report.classes[used.pop()])


def _alike(names: set[str]) -> list[str]:
    """The names that read the same, in escaped form, since they may look the same."""
    groups: dict[str, list[str]] = {}
    for name in sorted(names):
        folded = unicodedata.normalize("NFKC", name).casefold().translate(LOOK_ALIKES)
        meant = re.sub(r"\s|(?<![\d.])0+(?=\d)", "", folded)
        groups.setdefault(meant, []).append(ascii(name)[:MAX_NAME_SHOWN])
    return [" and ".join(group[:3]) for group in groups.values() if len(group) > 1]


def look(clips: Iterable[Clip], report: Report) -> Iterator[Clip]:
    """As ``named``, and note all else that is suspicious about the clips. An id that is there twice is an
    error."""
    ids: dict[str, str] = {}
    contents: dict[bytes, str] = {}
    subjects: dict[str, set[str]] = {"train": set(), "test": set()}
    for clip in named(clips, report):
        if clip.id in ids:
            splits = f"in splits {ids[clip.id]} and {clip.split}"
            report.wrong(f"ids of clips must differ, {clip.id!r} is there twice, {splits}")
        ids[clip.id] = clip.split
        same = contents.setdefault(hashlib.sha256(clip.keypoints.tobytes()).digest(), clip.id)
        if same != clip.id and clip.keypoints[..., 2].any():
            report.note("clips with exactly the keypoints of another", f"{clip.id} (of {same})")
        if clip.label == UNKNOWN and clip.split != "test":
            report.note(f"clips of unknown class in the {clip.split} split: not trained on", clip.id)
        if clip.subject and clip.split in subjects:
            subjects[clip.split].add(clip.subject)
        _look_at_joints(clip, report)
        yield clip
    for subject in sorted(subjects["train"] & subjects["test"]):
        report.note("subjects in the train and in the test split", subject)


def _look_at_joints(clip: Clip, report: Report) -> None:
    present, width, height = clip.keypoints[..., 2] > 0, clip.width, clip.height
    if len(present) == 1:
        report.note("clips of a single frame", clip.id)
    if not present.any():
        return
    empty = np.count_nonzero(~present.any(1))
    report.count("clips with frames without a person", clip.id, empty, len(present))
    x, y, scores = clip.keypoints[present].T
    if scores.max() > HIGH_SCORE:
        event = f"scores above {HIGH_SCORE}: divide them, so that 1 is certain"
        report.note(event, f"{clip.id} ({scores.max():g})")
    if _inside(x, width) and _inside(y, height):
        return
    elif _inside(x, height) and _inside(y, width):
        event = "the frame size seems transposed: joints fit a frame of height × width"
        report.note(event, f"{clip.id} (width {width}, height {height})")
    else:
        reach = f"x {x.min():.0f} to {x.max():.0f} of {width}, y {y.min():.0f} to {y.max():.0f} of {height}"
        report.note("joints outside the frame", f"{clip.id} ({reach})")


def fingertips_are_swapped(frames: np.ndarray, layout: Layout) -> bool:
    """Whether the left fingertips in frames (T, V, 3) are nearer to the right wrist than to the left."""
    index = {joint: v for v, joint in enumerate(layout.joints)}
    if not {"left_wrist", "right_wrist", FINGERTIPS[0]} <= index.keys():
        return False
    tips = frames[:, [index[joint] for joint in FINGERTIPS[:5] if joint in index]]
    gaps = []
    for side in ("right", "left"):
        wrist = frames[:, index[f"{side}_wrist"], None]
        both = (wrist[..., 2] > 0) & (tips[..., 2] > 0)
        far = np.linalg.norm(tips[..., :2] - wrist[..., :2], axis=-1)[both]
        gaps.append(float(np.median(far)) if far.size else np.nan)
    return gaps[0] < gaps[1]


def _inside(values: np.ndarray, side: int) -> bool:
    return bool(-MARGIN * side <= values.min() and values.max() <= (1 + MARGIN) * side)
