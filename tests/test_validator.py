"""The validator's reports of broken sources: what is there, what is suspicious, what makes it unusable."""

import os
import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from miga_lib import clips
from miga_lib.readers import miga, pyskl


def annotation(id, label=0, frames=4, width=1280, height=720, **more):
    points = np.random.default_rng(list(id.encode())).uniform(0.1, 0.9, (1, frames, 17, 2)) * [width, height]
    return {
        "frame_dir": id, "total_frames": frames, "img_shape": (height, width), "label": label,
        "keypoint": points.astype(np.float32), "keypoint_score": np.full((1, frames, 17), 0.5, np.float32),
    } | more  # fmt: skip


def pickled(folder, *annotations, **split):
    ids = [a["frame_dir"] for a in annotations]
    (folder / "own.pkl").write_bytes(
        pickle.dumps(
            {"split": split or {"train": ids}, "annotations": list(annotations), "classes": ["sit", "stand"]}
        )
    )
    return folder / "own.pkl"


def transposed(folder):
    """(width, height) where (height, width) belongs."""
    clip = annotation("0012_0")
    return pickled(
        folder,
        clip | {"img_shape": (1280, 720), "keypoint": clip["keypoint"].clip(max=(1270, 719))},
        annotation("0013_0"),
    )


def outside(folder):
    return pickled(
        folder,
        annotation("0012_0", keypoint=np.full((1, 4, 17, 2), 1500.0, np.float32)),
        annotation("0013_0"),
    )


def not_a_number(folder):
    broken = annotation("0012_0")
    broken["keypoint"][0, 1:3, 5] = np.nan
    broken["keypoint_score"][0, 0, 0] = -1
    return pickled(folder, broken)


def percent(folder):
    shares = annotation("0013_0")
    return pickled(
        folder,
        annotation("0012_0", keypoint_score=np.full((1, 4, 17), 93.5, np.float32)),
        shares | {"keypoint": shares["keypoint"] / [1280, 720]},
        annotation("0014_0", keypoint_score=np.full((1, 4, 17), 1.09, np.float32)),
    )


def nobody(folder):
    empty, half = annotation("0012_0"), annotation("0012_1")
    empty["keypoint_score"][:] = 0
    half["keypoint_score"][:, 1:3] = 0
    return pickled(folder, empty, half, annotation("0013_0", frames=1))


def lengths(folder):
    return pickled(
        folder,
        annotation("0012_0", keypoint_score=np.ones((1, 3, 17))),
        annotation("0012_1", total_frames=9),
        annotation("0012_2", keypoint=np.ones((4, 17, 2))),
        annotation("0012_3", keypoint=np.ones((1, 4, 18, 2))),
    )


def labels(folder):
    unknown = annotation("0012_2")
    del unknown["label"]
    return pickled(folder, annotation("0012_0", label=2), annotation("0012_1", label="sit"), unknown)


def duplicates(folder):
    first = annotation("0012_0", subject="7")
    again, other = first | {"frame_dir": "0012_1"}, annotation("0013_0", subject="7")
    return pickled(
        folder, first, first, again, other, train=["0012_0", "0012_1"], val=["0012_1"], test=["0013_0"]
    )


def challenge(folder):
    """Several things at once in the challenge's folders; all of them are told."""
    keypoints = np.full((4, 137, 3), 0.5, np.float32)
    for video in ("0012", "0013", "0014", "0319"):
        miga.write_video(folder, "train", video, keypoints, [(0, 0, 2), (1, 3, 7)])
    root = folder / "imigue_skeleton_train"
    (root / "0012" / "0012_openpose.npy").unlink()
    (root / "0013" / "0013_label.csv").write_text("40,0,2\n")
    (root / "0319" / "0319_openpose.npy").write_bytes(b"")
    return folder


def other_joints(folder):
    return pickled(folder, annotation("0012_0"))


def harmful(folder):
    class Harm:
        def __reduce__(self):
            return os.system, ("exit 3",)

    (folder / "own.pkl").write_bytes(pickle.dumps({"annotations": [Harm()]}))
    return folder / "own.pkl"


def nothing(folder):
    (folder / "notes.md").write_text("to do")
    return folder


WORDS = {
    "PYSKL": "The annotation pickles of PySkl and mmaction2, of any skeleton layout, read and written",
    "NONE_HELD_OUT": "There is no validation split, and all training clips are of one subject or video, "
    "so none can be held out.",
}
"""Sentences that the texts below repeat. A line that ends with a backslash goes on in the next one."""

EXPECTED = {
    transposed: """
        SOURCE/own.pkl: PYSKL [pyskl]

               clips  classes  videos  subjects  median frames joints missing
        split
        train      2        1       2         –              4          0.0 %
        2 classes, layout 'coco17'

        There is no validation split: the training clips of video 0013 (1) are held out for validation.

             1 × all clips of known class are of the same: 'sit'
             1 × the frame size seems transposed: joints fit a frame of height × width: 0012_0 (width 720, \\
        height 1280)

        Can be used.
    """,
    outside: """
        SOURCE/own.pkl: PYSKL [pyskl]

               clips  classes  videos  subjects  median frames joints missing
        split
        train      2        1       2         –              4          0.0 %
        2 classes, layout 'coco17'

        There is no validation split: the training clips of video 0013 (1) are held out for validation.

             1 × all clips of known class are of the same: 'sit'
             1 × joints outside the frame: 0012_0 (x 1500 to 1500 of 1280, y 1500 to 1500 of 720)

        Can be used.
    """,
    not_a_number: """
        SOURCE/own.pkl: PYSKL [pyskl]

               clips  classes  videos  subjects  median frames joints missing
        split
        train      1        1       1         –              4          4.4 %
        2 classes, layout 'coco17'

        NONE_HELD_OUT

             1 × joints with an empty or infinite cell taken as missing: 0012_0
             1 × joints with a negative score taken as missing: 0012_0

        Can be used.
    """,
    percent: """
        SOURCE/own.pkl: PYSKL [pyskl]

               clips  classes  videos  subjects  median frames joints missing
        split
        train      3        1       3         –              4          0.0 %
        2 classes, layout 'coco17'

        There is no validation split: the training clips of video 0014 (1) are held out for validation.

             1 × all clips of known class are of the same: 'sit'
             1 × scores above 1.1: divide them, so that 1 is certain: 0012_0 (93.5)
             1 × coordinates seem to be shares of the frame: multiply by its width and height: 0013_0

        Can be used.
    """,
    nobody: """
        SOURCE/own.pkl: PYSKL [pyskl]

               clips  classes  videos  subjects  median frames joints missing
        split
        train      3        1       2         –              4         50.0 %
        2 classes, layout 'coco17'

        There is no validation split: the training clips of video 0013 (1) are held out for validation.

             1 × all clips of known class are of the same: 'sit'
             1 × no joint was found in any frame: 0012_0
             1 × clips with frames without a person: 0012_1 (2 of 4)
             1 × clips of a single frame: 0013_0

        Can be used.
    """,
    lengths: """
        SOURCE/own.pkl: PYSKL [pyskl]

               clips  classes  videos  subjects  median frames joints missing
        split
        train      1        1       1         –              4          0.0 %
        2 classes, layout 'coco17'

        NONE_HELD_OUT

             1 × all clips of known class are of the same: 'sit'
             1 × `total_frames` differs from the frames of `keypoint`, which were read: 0012_1 (9 for 4)

        ERROR SOURCE/own.pkl: annotation '0012_0': keypoint_score is an array of shape (1, 3, 17) and type \\
        float64; expected one of shape (1, 4, 17), as of keypoint (1, 4, 17, 2)
        ERROR SOURCE/own.pkl: annotation '0012_2': keypoint must have shape (persons, frames, 17 joints, 2 \\
        or 3), found an array of shape (4, 17, 2) and type float64
        ERROR SOURCE/own.pkl: annotation '0012_3': keypoint must have shape (persons, frames, 17 joints, 2 \\
        or 3), found an array of shape (1, 4, 18, 2) and type float64
        Cannot be used: 3 errors.
    """,
    labels: """
        SOURCE/own.pkl: PYSKL [pyskl]

               clips  classes  videos  subjects  median frames joints missing
        split
        train      2        1       1         –              4          0.0 %
        2 classes, layout 'coco17'

        NONE_HELD_OUT

             1 × all clips of known class are of the same: 'sit'
             1 × clips without a label, or with label -1: of unknown class: 0012_2
             1 × clips of unknown class in the train split: not trained on: 0012_2

        ERROR SOURCE/own.pkl: annotation '0012_0' has label 2; expected a whole number from 0 to 1
        Cannot be used: 1 error.
    """,
    duplicates: """
        SOURCE/own.pkl: PYSKL [pyskl]

               clips  classes  videos  subjects  median frames joints missing
        split
        train      2        1       1         1              4          0.0 %
        val        1        1       1         1              4          0.0 %
        test       1        1       1         1              4          0.0 %
        2 classes, layout 'coco17'

             1 × ids in several splits taken from train for val: 0012_1
             1 × all clips of known class are of the same: 'sit'
             1 × clips with exactly the keypoints of another: 0012_1 (of 0012_0)
             1 × subjects in the train and in the test split: 7

        ERROR ids of clips must differ, '0012_0' is there twice, in splits train and train
        Cannot be used: 1 error.
    """,
    challenge: """
        SOURCE: The folders of the MiGA challenges 2024 to 2026, read and written [miga]

               clips  classes  videos  subjects  median frames joints missing
        split
        train      2        2       1         –              2          0.0 %
        32 classes, layout 'imigue41'

        NONE_HELD_OUT

             1 × segment clamped to the frames of the video: 0014_1
             2 × coordinates seem to be shares of the frame: multiply by its width and height: 0014_0, 0014_1
             1 × clips of a single frame: 0014_1
             1 × video skipped: its skeleton file is known to be unusable: 0319

        ERROR SOURCE/imigue_skeleton_train/0013/0013_label.csv: row 0: a class is 1 to 31 or 99, found 40; \\
        correct the label file
        ERROR SOURCE/imigue_skeleton_train/0012: layout 'imigue41' has 41 joints and needs a file \\
        *_openpose.npy or *_openpose.csv or *_openpose.xlsx; found *_light_hand.csv (35 joints)
        Cannot be used: 2 errors.
    """,
    other_joints: """
        SOURCE/own.pkl: PYSKL [pyskl]

        ERROR SOURCE/own.pkl: has 17 joints and layout 'imigue41' has 41; choose layout coco17
        Cannot be used: 1 error.
    """,
    harmful: """
        SOURCE/own.pkl: PYSKL [pyskl]

        ERROR SOURCE/own.pkl: the pickle asks for os.system: refused, and nothing was run; write it again \\
        from numpy arrays of numbers or strings in plain lists, tuples and dicts
        Cannot be used: 1 error.
    """,
    nothing: """
        SOURCE

        ERROR SOURCE: no known format, tried miga, miga23, release, openpose, pyskl, wholebody, smg
        Cannot be used: 1 error.
    """,
}  # fmt: skip


@pytest.mark.parametrize("make", EXPECTED, ids=lambda make: make.__name__)
def test_what_is_said_of_a_broken_source(tmp_path, make):
    source = make(tmp_path)
    layout = "coco17" if source.suffix and make is not other_joints else "imigue41"
    text, usable = clips.check(source, layout, tmp_path / "outputs")
    plain = "\n".join(line.rstrip() for line in text.replace(os.name + ".system", "os.system").splitlines())
    expected = textwrap.dedent(EXPECTED[make]).strip().replace(" \\\n", " ")
    for name, words in WORDS.items():
        expected = expected.replace(name, words)
    expected = expected.replace("SOURCE", str(tmp_path.resolve()))
    assert plain == expected
    assert usable == plain.endswith("Can be used.")


def test_a_source_without_faults_can_be_used(smoke, tmp_path):
    pyskl.write(tmp_path / "smoke.pkl", smoke)
    text, usable = clips.check(tmp_path / "smoke.pkl", outputs=tmp_path)
    assert usable
    assert "train     24        8       3" in text


def test_the_exit_status_tells_whether_a_source_can_be_used(tmp_path):
    command = [sys.executable, "-m", "miga_lib.clips", "check", "--layout", "coco17"]
    good = subprocess.run(
        [*command, str(pickled(tmp_path, annotation("0012_0")))],
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    assert good.returncode == 0, good.stderr
    assert good.stdout.endswith("Can be used.\n")
    bad = subprocess.run(
        [*command, str(tmp_path / "nowhere")], capture_output=True, text=True, encoding="utf-8"
    )
    assert bad.returncode == 1
    assert bad.stdout.endswith("Cannot be used: 1 error.\n")
    assert good.stderr == bad.stderr == ""
