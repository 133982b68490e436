"""The survey of clips whose properties are known."""

import numpy as np
import pandas as pd
import pytest

from miga_lib import layouts
from miga_lib.analysis import survey
from miga_lib.clips import Clips

STICK = layouts.make("stick", ["head", "neck", "hip"], "head-neck-hip", center="neck")
CLASSES = ("wave", "nod", "bow")


def clips_of(*rows, layout=STICK):
    """Clips of (keypoints (T, V, 3), class index, split, video, subject)."""
    keypoints = [np.asarray(row[0], dtype=np.float32) for row in rows]
    table = pd.DataFrame([row[1:] for row in rows], columns=["label", "split", "video", "subject"])
    frames = np.array([len(clip) for clip in keypoints])
    missing = [float((clip[..., 2] == 0).mean()) for clip in keypoints]
    ids = [f"clip_{i}" for i in range(len(rows))]
    table = table.assign(
        id=ids, frames=frames, width=640, height=480, missing=missing, start=frames.cumsum() - frames
    )
    return Clips(table, np.concatenate(keypoints), layout, CLASSES, "")


def still(frames=2, scores=(0.5, 0.5, 0.5), at=0.0):
    """A clip without motion: the joints one below the other at x = ``at``."""
    pose = [[at, y, score] for y, score in enumerate(scores)]
    return np.array([pose] * frames)


@pytest.fixture
def some():
    return clips_of(
        (still(2), 0, "val", "v1", "anna"),
        (still(3, at=1), 0, "train", "v2", "anna"),
        (still(4, at=2), 2, "train", "v2", "anna"),
        (still(5, at=3), -1, "test", "v3", "ben"),
    )


def test_clips_are_counted_by_class_and_split(some):
    counts = survey.clips_per_class(some)
    assert list(counts) == ["train", "val", "test"]
    assert counts.index.tolist() == ["wave", "nod", "bow", survey.UNKNOWN]
    assert counts.to_numpy().tolist() == [[1, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 1]]


def test_a_class_without_clips_is_named(some):
    assert survey.absences(some) == [
        "train has clips of 2 classes and none of 1: nod.",
        "val has clips of 1 classes and none of 2: nod, bow.",
        "The classes of test are unknown.",
    ]
    whole = clips_of(*((still(at=k), k, "train", "v", "") for k in range(3)))
    assert survey.absences(whole) == ["train has clips of all 3 classes."]


def test_clips_are_counted_by_subject_or_video(some):
    assert survey.clips_per_group(some).loc["anna"].tolist() == [2, 1, 0]
    assert survey.clips_per_group(some, "video")["train"].to_dict() == {"v1": 0, "v2": 2, "v3": 0}
    with pytest.raises(ValueError, match="kind must be one of subject, video, got 'team'"):
        survey.clips_per_group(some, "team")


def test_a_subject_in_two_splits_is_reported_with_the_consequence(some):
    (sentence,) = survey.overlaps(some)
    assert sentence.startswith("Warning: 1 of 1 subjects of val are also in train (anna). Scores on val are")
    assert "divide by subject with `folds`" in sentence


def test_a_shared_video_or_a_test_subject_has_its_own_consequence():
    shared = clips_of(
        (still(), 0, "train", "v1", "anna"),
        (still(at=1), 0, "test", "v1", "anna"),
        (still(), 1, "test", "v2", "ben"),
    )
    of_video, of_subject = survey.overlaps(shared)
    assert of_video.startswith(
        "Warning: 1 of 2 videos of test are also in train (v1). Clips of one recording are similar"
    )
    assert of_subject.startswith(
        "Warning: 1 of 2 subjects of test are also in train (anna). This is not the cross-subject protocol"
    )


def test_splits_without_shared_subjects_are_reported_with_what_could_not_be_checked():
    apart = clips_of((still(), 0, "train", "v1", ""), (still(), 0, "val", "v2", "ben"))
    fine, unknown = survey.overlaps(apart)
    assert fine == "No video and no known subject is in two splits."
    assert unknown.startswith(
        "The subject of 1 of 2 clips is unknown, so only their videos could be compared."
    )


def test_scores_are_counted_by_joint():
    # 0 is missing; 0.005 is in the first of 100 bins, 0.5 at the start of bin 50, 1 and above in the last
    # bin.
    clip = np.concatenate([still(1, scores=(0, 0.005, 1.0)), still(2, scores=(0.5, 0, 1.3))])
    counts = survey.score_counts(clips_of((clip, 0, "train", "v", "")))
    assert counts.shape == (3, 101)
    assert [np.flatnonzero(row).tolist() for row in counts] == [[0, 51], [0, 1], [100]]
    assert counts[0, [0, 51]].tolist() == [1, 2]
    assert counts.sum(1).tolist() == [3, 3, 3]


def test_missing_joints_agree_with_the_table(smoke):
    counts, frames = survey.score_counts(smoke), smoke.table["frames"]
    assert counts[:, 0].sum() == pytest.approx(
        (smoke.table["missing"] * frames).sum() * len(smoke.layout.joints)
    )


def test_quantiles_come_from_the_counts():
    counts = np.zeros(101, dtype=int)
    counts[0] = 1000  # missing joints do not count
    counts[1:] = 1  # a score in every bin
    assert survey.quantiles(counts, (0.25, 0.5, 1)) == pytest.approx([0.245, 0.495, 0.995])
    assert np.isnan(survey.quantiles(np.array([5, 0, 0]), (0.5,))).all()


def test_the_clearest_frame_has_most_joints_and_then_the_highest_scores():
    poses = [
        still(1, scores=scores, at=x)
        for x, scores in enumerate([(1, 1, 0), (0.2, 0.3, 0.2), (0.4, 0.3, 0.2)])
    ]
    frame = survey.clearest_frame(clips_of(*((pose, 0, "train", "v", "") for pose in poses)))
    assert frame[0, 0] == 2


def test_copies_are_found_and_empty_clips_do_not_count():
    empty = still(2, scores=(0, 0, 0))
    clips = clips_of(
        (still(), 0, "train", "v", ""),
        (empty, 0, "train", "v", ""),
        (still(), 1, "test", "v", ""),
        (still(3), 0, "train", "v", ""),
        (empty, 0, "test", "v", ""),
        (still(), -1, "train", "v", ""),
    )
    copies = survey.duplicates(clips)
    assert copies[["clip", "same as"]].to_numpy().tolist() == [["clip_2", "clip_0"], ["clip_5", "clip_0"]]
    assert copies[["split", "its split"]].to_numpy().tolist() == [["test", "train"], ["train", "train"]]
    assert copies[["class", "its class"]].to_numpy().tolist() == [["nod", "wave"], [survey.UNKNOWN, "wave"]]


def test_without_copies_the_table_is_empty(smoke):
    assert survey.duplicates(smoke).empty
    assert len(survey.duplicates(smoke.where([3, 5, 3]))) == 1


def test_a_clip_is_found_by_id_or_length():
    clips = clips_of(
        *(
            (still(frames, scores=(0.5, 0.5, score)), 0, "train", "v", "")
            for frames, score in ((4, 0), (5, 0.5), (9, 0))
        )
    )
    assert survey.row_of(clips, "clip_2") == 2
    assert survey.row_of(clips) == 1, "the one with no missing joint"
    assert survey.row_of(clips, frames=(1, 4)) == 0
    assert survey.row_of(clips, frames=(20, 30)) == 2, "the nearest in length"
    with pytest.raises(
        ValueError, match="there is no clip 'clip_7' among the 3 clips; give an id such as 'clip_0'"
    ):
        survey.row_of(clips, "clip_7")


def test_clips_in_another_layout_have_the_same_joints(smoke):
    rows, target = [7, 2], layouts.get("imigue22")
    fewer = survey.in_layout(smoke.where(rows), target)
    assert fewer.layout is target
    assert fewer.table["id"].tolist() == smoke.table["id"].iloc[rows].tolist()
    for i, row in enumerate(rows):
        assert np.array_equal(fewer[i], smoke[row][:, :22])
    with pytest.raises(
        ValueError,
        match="these clips: layout 'openpose137' needs 96 joints that .* choose layout imigue22 or",
    ):
        survey.in_layout(smoke, layouts.get("openpose137"))


@pytest.mark.parametrize(
    "count", [survey.CLIPS_PER_CHUNK - 1, survey.CLIPS_PER_CHUNK, survey.CLIPS_PER_CHUNK + 1]
)
def test_no_clip_is_lost_between_chunks(count):
    clips = clips_of(*((still(1, at=i), 0, "train", "v", "") for i in range(count)))
    assert survey.in_layout(clips, STICK).keypoints[:, 0, 0].tolist() == list(range(count))


def test_faults_are_shares_of_the_frames_of_a_regions_joints():
    layout = layouts.make(
        "ends", ["head", "neck", "hip"], "head-neck-hip", "neck", regions={"top": (0, 1), "end": (2,)}
    )
    keypoints = still(10, scores=(0.5, 0.5, 0.5))
    keypoints[:, 1, 1], keypoints[:, 2, 1] = 100, 200  # a person of 200 px
    keypoints[4, 0] = keypoints[0:2, 1] = 0  # a gap, and a joint that comes late
    keypoints[6, 2, 0] = 50
    table = survey.faults(clips_of((keypoints, 0, "train", "v", ""), layout=layout))
    assert table.loc["top"].to_dict() == pytest.approx(
        {"missing": 3 / 20, "in gaps": 1 / 20, "swapped": 0, "outliers": 0}
    )
    assert table.loc["end"].to_dict() == pytest.approx(
        {"missing": 0, "in gaps": 0, "swapped": 0, "outliers": 1 / 10}
    )


def test_swapped_hands_are_found_in_their_frames(smoke):
    clean = np.zeros((8, 41, 3))
    clean[..., :2], clean[..., 2] = np.arange(41)[:, None] * 10, 0.5
    left, right = (list(smoke.layout.regions[f"{side}_hand"]) for side in ("left", "right"))
    clean[3:5, left], clean[3:5, right] = clean[3:5, right], clean[3:5, left].copy()
    table = survey.faults(clips_of((clean, 0, "train", "v", ""), layout=smoke.layout))
    assert table["swapped"].to_dict() == pytest.approx(
        {name: 2 / 8 * name.endswith("hand") for name in smoke.layout.regions}
    )
