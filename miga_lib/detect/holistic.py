"""MediaPipe Holistic: its landmarks as the 137 joints of OpenPose, and the process that finds them.

The landmarks are in the order of ``worker``: 33 of the body, 478 of the face, 21 of each hand. Left and right
are the subject's own in both programs. Neck, mid hip and four points of the face lie between two landmarks:
they are their mean, with the smaller score, and missing if one is. The small toes have no landmark.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from ..layouts import FACE_70, HAND_21, OPENPOSE_137
from ..readers import printable

WORKER = Path(__file__).with_name("worker.py")
FACE, LEFT_HAND, RIGHT_HAND, LANDMARKS = 33, 511, 532, 553
"""The first landmark of each part, and the number of all."""
BODY: dict[str, int | tuple[int, int]] = {
    "nose": 0, "neck": (11, 12), "mid_hip": (23, 24),
    "right_shoulder": 12, "right_elbow": 14, "right_wrist": 16,
    "left_shoulder": 11, "left_elbow": 13, "left_wrist": 15,
    "right_hip": 24, "right_knee": 26, "right_ankle": 28,
    "left_hip": 23, "left_knee": 25, "left_ankle": 27,
    "right_eye": 5, "left_eye": 2, "right_ear": 8, "left_ear": 7,
    "right_big_toe": 32, "right_heel": 30, "left_big_toe": 31, "left_heel": 29,
}  # fmt: skip
"""The landmarks of each joint of the body."""
# In the order of OpenPose's 70 landmarks of the face, which are the 68 of dlib and the pupils. On 45 of them
# the tables of PeizhiYan/Mediapipe_2_Dlib_Landmarks at 14e7480 and cosanlab/py-feat at 5d235ef agree. The
# others, on the jaw, the nose and the lower lip, are of the first, except for the fourth point of the jaw,
# where it is not its own mirror image.
FACE_LANDMARKS: tuple[int | tuple[int, int], ...] = (
    127, 234, 93, 132, (58, 172), 136, 150, 176, 152,  # the jaw from the right ear to the chin
    400, 379, 365, (397, 288), 361, 323, 454, 356,  # and on to the left ear
    70, 63, 105, 66, 107,  # right brow, from its outer end
    336, 296, 334, 293, 300,  # left brow, from its inner end
    (168, 6), (197, 195), 5, 4,  # bridge of the nose, downwards
    75, 97, 2, 326, 305,  # below the nose, from right to left
    33, 160, 158, 133, 153, 144,  # right eye from its outer corner, over the upper lid
    362, 385, 387, 263, 373, 380,  # left eye from its inner corner, over the upper lid
    61, 39, 37, 0, 267, 269, 291,  # upper lip, outer edge, from right to left
    321, 314, 17, 84, 91,  # lower lip, outer edge, from left to right
    78, 82, 13, 312, 308, 317, 14, 87,  # inner edge of the lips, over the upper lip
    468, 473,  # pupils, right and left
)  # fmt: skip


def _pair(landmarks: int | tuple[int, int], first: int = 0) -> tuple[int, int]:
    """Two numbers of landmarks, which are equal where there is one."""
    one, other = landmarks if isinstance(landmarks, tuple) else (landmarks, landmarks)
    return first + one, first + other


SOURCES = {joint: _pair(landmarks) for joint, landmarks in BODY.items()}
SOURCES |= {joint: _pair(points, FACE) for joint, points in zip(FACE_70, FACE_LANDMARKS, strict=True)}
SOURCES |= {f"left_{part}": _pair(v, LEFT_HAND) for v, part in enumerate(HAND_21)}
SOURCES |= {f"right_{part}": _pair(v, RIGHT_HAND) for v, part in enumerate(HAND_21)}
"""The two landmarks whose mean is a joint; equal where it is one."""
PAIRS, JOINTS = np.array(list(SOURCES.values())), [OPENPOSE_137.index(joint) for joint in SOURCES]


def to_openpose(landmarks: Float[np.ndarray, "553 3"], width: int, height: int) -> Float[np.ndarray, "137 3"]:
    """The joints of ``openpose137`` in pixels of a frame; those that have no landmark, or a score of 0, are
    missing (zeros)."""
    two, joints = landmarks[PAIRS], np.zeros((len(OPENPOSE_137), 3), landmarks.dtype)
    mean = two.mean(1) * np.array([width, height, 1], landmarks.dtype)
    mean[:, 2] = two[..., 2].min(1)
    joints[JOINTS] = np.where(mean[:, 2:] > 0, mean, 0)
    return joints


def interpreter() -> Path:
    """Python in the environment of MediaPipe: the folder MIGA_DETECT, or ``detect`` in the environment that
    is in use. Raises RuntimeError where there is none."""
    folder = Path(os.environ.get("MIGA_DETECT") or Path(sys.prefix) / "detect")
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        way_out = "run `make detect`, or use --detector rtmlib"
        raise RuntimeError(f"{folder}: the environment of MediaPipe is not there; {way_out}")
    return python


@contextmanager
def detector() -> Iterator[tuple[str, Callable[[UInt8[np.ndarray, "H W 3"]], Float[np.ndarray, "M 137 3"]]]]:
    """The version of MediaPipe, and a function that finds the joints of at most one person in the frames of
    one video, in their order. Raises RuntimeError where MediaPipe is not installed, or fails."""
    command = [str(interpreter()), "-I", str(WORKER)]
    pipe = subprocess.PIPE
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log) as worker,
    ):
        source, answers = worker.stdin, worker.stdout
        assert source is not None
        assert answers is not None

        def failed() -> RuntimeError:
            worker.kill()
            log.seek(0)
            lines = log.read().decode(errors="replace").split("\n")
            last = next((printable(line) for line in reversed(lines) if line.strip()), "no message")
            return RuntimeError(f"MediaPipe stopped ({last:.200}); run `make detect` again, then the command")

        def joints(picture: UInt8[np.ndarray, "H W 3"]) -> Float[np.ndarray, "M 137 3"]:
            height, width = picture.shape[:2]
            with suppress(BrokenPipeError):
                source.write(np.array([height, width], np.int32).tobytes())
                source.write(np.ascontiguousarray(picture).data)
                source.flush()
            answer = answers.read(LANDMARKS * 3 * 4)
            if len(answer) < LANDMARKS * 3 * 4:
                raise failed()
            person = to_openpose(np.frombuffer(answer, np.float32).reshape(LANDMARKS, 3), width, height)
            return person[None][person[None, :, 2].any(1)]

        try:
            version = answers.readline().decode().strip()
            if not version:
                raise failed()
            yield version, joints
        finally:
            worker.kill()
            with suppress(BrokenPipeError):
                source.close()
