"""MediaPipe Holistic as a process of its own: pictures on standard input, landmarks on standard output.

Runs in the environment of ``requirements.txt``, whose numpy is older than ours, so it imports nothing of
``miga_lib``. ``holistic`` starts it. First it writes a line, the version of MediaPipe. A picture is its
height and width, int32, and its RGB bytes. The answer is float32 (553, 3): the 33 landmarks of the body, 478
of the face, 21 of the left and 21 of the right hand; x and y as shares of the width and height, and a score:
of the body the visibility, of face and hands 1. All are 0 where a part is not found.
"""

import os
import signal
import sys

import numpy as np

PARTS = {
    "pose_landmarks": 33,
    "face_landmarks": 478,
    "left_hand_landmarks": 21,
    "right_hand_landmarks": 21,
}


def landmarks(result: object) -> np.ndarray:
    """(553, 3) float32."""
    values, first = np.zeros((sum(PARTS.values()), 3), np.float32), 0
    for part, count in PARTS.items():
        found = getattr(result, part)
        for row, point in enumerate(found.landmark if found else [], first):
            score = point.visibility if part == "pose_landmarks" else 1.0
            values[row] = point.x, point.y, score
        first += count
    return values


def main() -> None:
    """Answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both processes; the other one decides
    source, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what libraries print goes to the log
    import mediapipe

    with mediapipe.solutions.holistic.Holistic(refine_face_landmarks=True) as holistic:
        answers.write(f"{mediapipe.__version__}\n".encode())
        answers.flush()
        while header := source.read(8):
            height, width = np.frombuffer(header, np.int32).tolist()
            picture = np.frombuffer(source.read(3 * height * width), np.uint8).reshape(height, width, 3)
            answers.write(landmarks(holistic.process(picture)).tobytes())
            answers.flush()


if __name__ == "__main__":
    main()
