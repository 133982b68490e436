"""Clips of the gaps between gestures."""

from dataclasses import replace

import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st

from miga_lib import clips, labels, no_gesture, predictions, runs, training
from miga_lib.settings import choose


def videos(**frames):
    return pd.DataFrame(
        [(name, "train", count) for name, count in frames.items()], columns=["video", "split", "frames"]
    )


def segments(*rows):
    return pd.DataFrame(rows, columns=["video", "first", "last"])


def test_parts_lie_in_the_gaps_and_have_the_lengths_of_gestures():
    """Gestures of 10 frames, gaps 0–99 (100 frames), 110–119 (10 frames) and 130 (one frame, too short)."""
    parts = no_gesture.draw(videos(a=131), segments(("a", 100, 109), ("a", 120, 129)), per_gesture=500)
    assert (parts["last"] - parts["first"] + 1 == 10).all()
    assert set(parts["first"]) == {*range(91), 110}, "each place once"
    assert parts["first"].is_monotonic_increasing


def test_a_gap_shorter_than_the_gestures_is_taken_whole():
    parts = no_gesture.draw(videos(a=35), segments(("a", 5, 34)), per_gesture=1)
    assert parts.to_numpy().tolist() == [["a", 0, 4]]


def test_their_number_is_in_proportion_to_the_gestures():
    parts = no_gesture.draw(
        videos(a=10_000, b=10_000, c=10_000),
        segments(("a", 0, 9), ("b", 0, 9), ("b", 50, 59), ("b", 5_000, 5_009)),
        0.7,
    )
    assert parts["video"].tolist() == ["a", "b", "b"]


def test_lengths_are_those_of_training_videos():
    some = videos(a=1000, b=1000).assign(split=["train", "test"])
    parts = no_gesture.draw(some, segments(("a", 0, 6), ("b", 0, 99)), per_gesture=30)
    assert set(parts["last"] - parts["first"] + 1) == {7}


def test_a_video_without_gaps_or_without_gestures_gives_none():
    assert no_gesture.draw(videos(a=10, b=10), segments(("a", 0, 9)), 3).empty


def test_a_video_gives_the_same_parts_whatever_the_others():
    own = segments(("a", 50, 59), ("a", 300, 309))
    alone = no_gesture.draw(videos(a=1000), own, 5)
    among = no_gesture.draw(videos(b=800, a=1000), pd.concat([segments(("b", 0, 9)), own]), 5)
    assert among[among["video"] == "a"].to_numpy().tolist() == alone.to_numpy().tolist()


@hypothesis.settings(max_examples=30)
@hypothesis.given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 15)), min_size=1, max_size=6), st.floats(0, 4)
)
def test_no_part_touches_a_gesture(rows, per_gesture):
    gestures = segments(*(("a", first, first + extra) for first, extra in rows))
    count = int(gestures["last"].max()) + 3
    parts = no_gesture.draw(videos(a=count), gestures, per_gesture)
    taken = np.zeros(count, bool)
    for first, last in gestures[["first", "last"]].to_numpy():
        taken[first : last + 1] = True
    assert len(parts) <= round(per_gesture * len(rows))
    for first, last in parts[["first", "last"]].to_numpy():
        assert 0 <= first < last < count
        assert not taken[first : last + 1].any()


@pytest.mark.parametrize("per_gesture", [0.0, 0.1])
def test_few_gestures_and_a_small_ratio_give_none(per_gesture):
    assert no_gesture.draw(videos(a=100), segments(("a", 0, 9)), per_gesture).empty


def test_clips_of_gaps_follow_those_of_gestures_bit_for_bit(smoke, smoke_outputs):
    both = clips.load("synthetic-smoke", outputs=smoke_outputs, no_gesture_ratio=2.0)
    assert both.classes == (*smoke.classes, labels.NO_GESTURE)
    columns = smoke.table.columns.drop("start")
    pd.testing.assert_frame_equal(both.table[columns][: len(smoke)], smoke.table[columns])
    assert all(np.array_equal(both[i], smoke[i]) for i in range(len(smoke)))
    added = both.table[len(smoke) :]
    assert set(added["split"]) == {"train", "val", "test"}
    assert set(added["label"]) == {len(smoke.classes)}
    assert added["id"].str.fullmatch(r"\d{4}_gap\d+").all()
    assert added["id"].is_unique
    assert f"{len(added)} parts of the gaps between gestures are clips of class 'no gesture'." in both.report


def test_a_clip_of_a_gap_is_that_part_of_its_video(smoke_outputs):
    whole = clips.load_recordings("synthetic-smoke", outputs=smoke_outputs)
    both = clips.load("synthetic-smoke", outputs=smoke_outputs, no_gesture_ratio=2.0)
    parts = no_gesture.draw(whole.table, whole.segments, 2.0)
    first = both.where(both.table["label"] == len(whole.classes))
    video = whole.table["video"].tolist().index(parts["video"].iloc[0])
    np.testing.assert_array_equal(first[0], whole[video][parts["first"].iloc[0] : parts["last"].iloc[0] + 1])


def test_gaps_that_cannot_be_cut_are_refused(smoke_outputs, tmp_path):
    message = "leave no gap of 2 frames for 0.001 clips each; set `no_gesture_ratio` to 0"
    with pytest.raises(ValueError, match=message):
        clips.load("synthetic-smoke", outputs=smoke_outputs, no_gesture_ratio=0.001)
    whole = clips.load_recordings("synthetic-smoke", outputs=smoke_outputs)
    with pytest.raises(ValueError, match="my data: has a class 'no gesture' of its own"):
        clips._with_gaps(replace(whole, classes=("wave", labels.NO_GESTURE)), 1.0, "my data")


def test_a_run_with_gaps_learns_one_class_more(smoke_outputs, tmp_path):
    settings = choose(preset="smoke", device="cpu", precision="fp32", no_gesture_ratio=1.0)
    assert runs.run_name(settings) == "synthetic-posec3d-joint-imigue41-align-smoke-no_gesture_ratio=1-0"
    both = clips.load("synthetic-smoke", outputs=smoke_outputs, **settings.clip_arguments)
    result = training.fit(both, settings, tmp_path / "run", progress=lambda row: None)
    assert result["settings"]["semantic_weight"] == 20, "no gesture has an embedding"
    assert result["data"]["classes"][-1] == labels.NO_GESTURE
    assert len(predictions.load(tmp_path / "run" / "test.npz").classes) == 33


def test_clips_without_gaps_are_refused_where_the_settings_have_them(smoke, tmp_path):
    with pytest.raises(
        ValueError,
        match=(
            "the settings have no_gesture_ratio 1 and the clips none; load them with `clip_arguments` of the"
            " settings"
        ),
    ):
        training.fit(smoke, choose(preset="smoke", device="cpu", no_gesture_ratio=1.0), tmp_path / "run")
