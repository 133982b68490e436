"""Laws of the generator, and facts about gestures that can be checked by hand."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miga_lib import labels, layouts, synthetic
from miga_lib.readers import Recording, Report, annotation, miga
from miga_lib.synthetic import body, plan, recording, shapes
from miga_lib.synthetic.actor import Actor, Subject
from miga_lib.synthetic.body import LEFT, RIGHT, Move, Pose
from miga_lib.synthetic.detector import Conditions, detect
from miga_lib.synthetic.gestures import clip_length, perform
from miga_lib.synthetic.idling import REST_SHARES, RESTS

OPENPOSE = layouts.get("openpose137")
MIRROR = np.array(OPENPOSE.mirror)
BUILD = body.Build(
    shoulder=0.18, slope=0.0, upper_arm=0.29, forearm=0.25, neck=0.1, head=1.0, hand=1.0, face=shapes.FACE
)
RESTING, NERVOUS = REST_SHARES, np.full(6, 1 / 6)
SUBJECT = Subject(BUILD, RIGHT, 1.0, 1.0, 1.0, talk=0.5, slump=0.0, resting=RESTING, nervous=NERVOUS)
START, END, FRAMES = 25, 85, 110


def joint(name: str) -> int:
    return OPENPOSE.joints.index(name)


def without_progress(videos, **_):
    return videos


@pytest.fixture(scope="module")
def smoke() -> list[Recording]:
    return list(synthetic.recordings("synthetic-smoke", OPENPOSE, Report(), without_progress))


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "smoke"
    synthetic.write(folder, "synthetic-smoke")
    return folder


def actor_at(rest: str, frames: int = FRAMES, seed: int = 0) -> Actor:
    """A right-handed subject of average size with both hands in a rest pose."""
    return Actor(SUBJECT, np.random.default_rng(seed), frames, [RESTS[rest]] * 2, START, END)


def points_of(actor: Actor) -> np.ndarray:
    """Points in space, (T, 137, 3)."""
    return body.points(BUILD, actor.channels, actor.moves)


def performed(name: str, seed: int = 0) -> np.ndarray:
    """Points of one gesture from START to END without other moves."""
    actor = actor_at("table", seed=seed)
    perform(actor, labels.CLASSES.index(name))
    return points_of(actor)


def at_rest(rest: str = "table") -> np.ndarray:
    return points_of(actor_at(rest))


def distance(points: np.ndarray, first: str, second: str) -> np.ndarray:
    return np.linalg.norm(points[:, joint(first)] - points[:, joint(second)], axis=-1)


# --- sizes, splits, classes


def counts_of(size: str, split: str) -> list[int]:
    """Number of clips of each class."""
    clips = [label for video in plan.plans(size) if video.split == split for label in video.labels]
    return np.bincount(clips, minlength=32).tolist()


def test_full_size_has_the_counts_of_imigue():
    videos = plan.plans("synthetic-full")
    assert len(videos) == 359
    counts = {split: counts_of("synthetic-full", split) for split in plan.SPLITS}
    assert [sum(counts[split]) for split in plan.SPLITS] == [12893, 13936 - 12893, 4563]
    assert counts["train"] == list(labels.TRAINING_COUNTS)
    assert {video.subject for video in videos} == set(range(1, 73))


@pytest.mark.parametrize("size", synthetic.SIZES)
def test_test_subjects_never_train(size):
    subjects = {split: set() for split in plan.SPLITS}
    for video in plan.plans(size):
        subjects[video.split].add(video.subject)
    assert subjects["train"] <= set(plan.TRAINING_SUBJECTS)
    assert subjects["val"] <= subjects["train"]
    assert subjects["test"] <= set(plan.TEST_SUBJECTS)
    assert not set(plan.TRAINING_SUBJECTS) & set(plan.TEST_SUBJECTS)
    assert (len(plan.TRAINING_SUBJECTS), len(plan.TEST_SUBJECTS)) == (37, 35)


def test_every_class_has_its_floor():
    for split, floor in zip(plan.SPLITS, synthetic.SIZES["synthetic"].floor, strict=True):
        assert min(counts_of("synthetic", split)) >= floor


def test_class_counts_follow_the_frequencies():
    # 12893 clips give the frequencies themselves, twice as many give twice the frequencies.
    assert plan.class_sizes(2 * 12893, 0).tolist() == [2 * count for count in labels.TRAINING_COUNTS]
    few = plan.class_sizes(100, 5, classes=3)
    # Classes 31, 30 and 28 with 3765 + 2079 + 1155 = 6999 clips: 53.8, 29.7 and 16.5 in a hundred.
    assert {label: count for label, count in enumerate(few.tolist()) if count} == {28: 16, 30: 30, 31: 54}


@given(clips=st.integers(200, 5000), floor=st.integers(0, 6))
def test_class_counts_add_up(clips, floor):
    counts = plan.class_sizes(clips, floor)
    assert counts.sum() == clips
    assert counts.min() >= floor


def test_every_video_has_clips_and_its_own_id():
    videos = plan.plans("synthetic")
    assert min(len(video.labels) for video in videos) >= 1
    assert [video.id for video in videos] == [f"{number:04d}" for number in range(1, len(videos) + 1)]


def test_unknown_size_lists_the_known_ones():
    with pytest.raises(ValueError, match="one of synthetic-smoke, synthetic, synthetic-full, got 'tiny'"):
        plan.plans("tiny")


def test_clip_lengths_are_spread():
    rng = np.random.default_rng(0)
    classes = rng.choice(32, size=4000, p=np.array(labels.TRAINING_COUNTS) / sum(labels.TRAINING_COUNTS))
    lengths = np.array([clip_length(int(label), rng) for label in classes])
    assert lengths.min() == 2
    assert 200 < lengths.max() <= 400
    assert 45 < lengths.mean() < 56
    assert ((lengths >= 15) & (lengths <= 90)).mean() > 0.7


# --- recordings


def test_smoke_is_small_but_has_everything(smoke):
    assert {video.split for video in smoke} == {"train", "val", "test"}
    assert sum(len(video.segments) for video in smoke) >= 40
    assert len({label for video in smoke for label, _, _ in video.segments}) >= 5
    assert sum(len(video.keypoints) for video in smoke) < 1500


def test_keypoints_are_those_of_openpose(smoke):
    for video in smoke:
        assert video.keypoints.dtype == np.float32
        assert video.keypoints.shape[1:] == (137, 3)
        xy, score = video.keypoints[..., :2], video.keypoints[..., 2]
        assert not xy[score == 0].any()
        assert score.min() == 0
        assert 0.9 < score.max() < 1.05
        assert (xy >= 0).all()
        assert (xy[..., 0] < 1280).all()
        assert (xy[..., 1] < 720).all()


def test_segments_lie_inside_the_video_one_after_another(smoke):
    for video in smoke:
        _, starts, ends = np.array(video.segments).T
        assert starts[0] >= 0
        assert (ends > starts).all()
        assert (starts[1:] > ends[:-1]).all()
        assert ends[-1] < len(video.keypoints)


def test_a_video_depends_only_on_its_plan(smoke):
    first, again = (recording.record(plan.plans("synthetic-smoke")[2])[0] for _ in range(2))
    np.testing.assert_array_equal(first.keypoints, again.keypoints)
    np.testing.assert_array_equal(first.keypoints, smoke[2].keypoints)


def test_a_subject_is_the_same_in_every_video():
    first, again, other = (recording.draw_subject(number, 0) for number in (5, 5, 6))
    np.testing.assert_array_equal(first.build.face, again.build.face)
    assert first.pace == again.pace != other.pace
    assert len(RESTS) == len(REST_SHARES)


def detected(space: np.ndarray, table: float = np.inf) -> tuple[np.ndarray, np.ndarray]:
    """The detector's output and the true pixels, at 800 pixels per metre with the neck at (640, 300)."""
    pixels = 800 * space[..., :2] + (640, 300)
    conditions = Conditions(scale=800.0, sharpness=0.6, table=table, flaws=0.0)
    return detect(np.random.default_rng(0), pixels, space, conditions), pixels


def test_hidden_hands_are_missing_with_their_wrists_or_alone():
    # A still pose: both hands are in the lap, which a table at row 560 hides.
    keypoints, pixels = detected(np.repeat(at_rest("lap")[:1], 40, 0), table=560.0)
    assert not keypoints[:, 95:, 2].any()
    assert (keypoints[:, [0, 1, 2, 5], 2] > 0).all()
    # Errors of the neck stay within a centimetre, 8 pixels.
    assert np.abs(keypoints[:, 1, :2] - pixels[:, 1]).max() < 8


def test_a_hand_on_the_face_lowers_the_scores_of_covered_points():
    space = np.repeat(at_rest()[:1], 200, 0)
    free, _ = detected(space)
    mouth, brow = joint("right_lip_corner"), joint("left_brow_3")
    to_mouth = space[:, [mouth]] - space[:, 116:].mean(1, keepdims=True)
    space[:, 116:] += to_mouth + np.array((0, 0, -0.03))
    covered, _ = detected(space)
    assert covered[:, mouth, 2].mean() < 0.7 * free[:, mouth, 2].mean()
    assert covered[:, brow, 2].mean() == pytest.approx(free[:, brow, 2].mean(), rel=0.05)


# --- kinematics


@given(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5))
def test_minimum_jerk_rises_from_0_to_1(first, second):
    low, high = body.minimum_jerk(np.array(sorted((first, second))))
    assert 0 <= low <= high <= 1
    # 10/8 − 15/16 + 6/32 = 1/2 halfway.
    assert body.minimum_jerk(np.array([0.0, 0.5, 1.0])).tolist() == [0, 0.5, 1]


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3))
def test_rotations_keep_lengths_and_sides(yaw, pitch, roll):
    matrix = body.rotation(*(np.array([angle]) for angle in (yaw, pitch, roll)))[0]
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(matrix) == pytest.approx(1)


place = st.tuples(st.floats(-0.4, 0.5), st.floats(-0.4, 0.6), st.floats(-0.6, 0.3))


@given(places=st.lists(place, min_size=2, max_size=4), aim=place)
def test_bones_keep_their_lengths(places, aim):
    moves = [Move(10.0 * k - 2, 10.0 * k + 6, Pose(body.TORSO, at, aim)) for k, at in enumerate(places)]
    points = body.points(BUILD, np.zeros((40, len(body.CHANNELS))), [moves, moves])
    for side in ("left", "right"):
        np.testing.assert_allclose(distance(points, f"{side}_shoulder", f"{side}_elbow"), 0.29, atol=1e-6)
        np.testing.assert_allclose(distance(points, f"{side}_elbow", f"{side}_wrist"), 0.25, atol=1e-6)


@given(calls=st.lists(st.tuples(st.floats(0, 100), st.floats(0, 30)), min_size=1, max_size=8))
def test_moves_of_a_hand_do_not_overlap(calls):
    actor = actor_at("table")
    for start, duration in calls:
        actor.move(LEFT, start, duration, RESTS["lap"])
    times = [time for move in actor.moves[LEFT] for time in (move.start, move.arrive)]
    assert times == sorted(times)
    # The last call always counts, and without delay.
    assert times[-2] == calls[-1][0]


def test_a_bump_of_any_length_begins_and_ends_at_0():
    actor = actor_at("table", frames=40)
    actor.bump(10, 20, 30, 30, nod=1.0)
    nod = body.by_name(actor.channels)["nod"]
    # Rise and fall are shortened to five frames each: the maximum is in the middle, and no value below 0.
    assert nod.argmax() == 15
    assert nod.max() == pytest.approx(1)
    assert nod.min() == 0
    assert np.flatnonzero(nod).tolist() == list(range(11, 20))


def test_the_right_side_is_the_mirror_image_of_the_left():
    to_face = Pose(body.HEAD, (0.05, 0.05, -0.05), swing=(0.01, 0, 0), hertz=2.0)
    moving = [Move(-2.0, -1.0, RESTS["table"]), Move(5.0, 15.0, to_face)]
    still = [Move(-2.0, -1.0, RESTS["lap"])]
    channels = np.zeros((30, len(body.CHANNELS)))
    for name in ("pitch", "nod", "jaw", "smile", "brow", "blink", "wide", "frown"):
        channels[:, body.CHANNEL[name]] = 0.1
    points = body.points(BUILD, channels, [moving, still])
    mirrored = body.points(BUILD, channels, [still, moving])
    np.testing.assert_allclose(mirrored[:, MIRROR] * (-1, 1, 1), points, atol=1e-9)


def test_the_camera_shows_a_metre_at_its_scale():
    camera = body.Camera(0.0, 0.0, 0.0, 3.0, 800.0, (640.0, 300.0), np.zeros((1, 2)), np.ones(1))
    seen = body.view(camera, np.array([[[0.0, 0.0, 0.0], [0.5, 0.25, 0.0], [0.5, 0.25, 1.0]]]))
    # 800 pixels per metre at the subject, three metres away; three quarters of that one metre further away.
    np.testing.assert_allclose(body.project(camera, seen), [[[640, 300], [1040, 500], [940, 450]]])


# --- gestures

HOLD = slice(START + 15, END - 22)
ON_THE_FACE = {
    "touch ears": "right_ear", "touch chin": "chin", "bite nails": "lower_lip", "rub eyes": "right_eye",
    "touch forehead": "right_brow_3", "touch face": "right_jaw_5",
}  # fmt: skip


@pytest.mark.parametrize(("name", "landmark"), ON_THE_FACE.items())
def test_a_fingertip_reaches_the_touched_landmark(name, landmark):
    def from_fingers(points: np.ndarray) -> float:
        return min(distance(points, f"right_{finger}_4", landmark).min() for finger in layouts.FINGERS)

    idle, nearest = from_fingers(at_rest()), [from_fingers(performed(name, k)[HOLD]) for k in range(15)]
    assert idle > 0.3
    assert np.median(nearest) < 0.045
    assert max(nearest) < idle


def test_the_other_hand_rests_while_one_touches():
    points = performed("touch ears")
    assert np.ptp(points[:, joint("left_wrist")], axis=0).max() < 1e-9
    assert np.ptp(points[:, joint("right_wrist")], axis=0).max() > 0.3


def test_folded_forearms_cross():
    for seed in range(5):
        points = performed("fold arm", seed)
        # x is larger on the subject's left.
        across = points[:, joint("left_wrist"), 0] - points[:, joint("right_wrist"), 0]
        assert np.median(across[HOLD]) < -0.06
        assert across[0] > 0.1


def test_akimbo_puts_the_hand_on_the_hip_and_the_elbow_out():
    for seed in range(5):
        points = performed("arm akimbo", seed)[HOLD]
        assert (points[:, joint("right_shoulder"), 0] - points[:, joint("right_elbow"), 0]).min() > 0.1
        # The hip is half a metre below the neck, its crest about 0.1 m higher.
        assert np.abs(points[:, joint("right_wrist"), 1] - 0.38).max() < 0.14


@pytest.mark.parametrize("name", ["cross finger", "rub hand", "minaret hand"])
def test_two_hands_meet(name):
    apart = distance(at_rest(), "left_middle_1", "right_middle_1")[0]
    together = [distance(performed(name, seed), "left_middle_1", "right_middle_1")[HOLD] for seed in range(8)]
    assert apart > 0.2
    assert np.median(together) < 0.11


def test_rubbing_oscillates_and_crossed_fingers_do_not():
    def path(name: str) -> float:
        lengths = []
        for seed in range(8):
            points = performed(name, seed)[HOLD]
            apart = points[:, joint("right_wrist")] - points[:, joint("left_wrist")]
            lengths.append(np.linalg.norm(np.diff(apart, axis=0), axis=-1).sum())
        return float(np.median(lengths))

    assert path("rub hand") > 3 * path("cross finger")


def test_scratching_fingers_are_at_the_other_forearm():
    for seed in range(6):
        points = performed("scratch arm", seed)[HOLD]
        elbow, wrist = points[:, joint("left_elbow")], points[:, joint("left_wrist")]
        tip = points[:, [joint("right_index_4"), joint("right_middle_4")]].mean(1)
        along = np.clip(((tip - elbow) * (wrist - elbow)).sum(-1) / 0.25**2, 0, 1)
        assert np.median(np.linalg.norm(tip - elbow - along[:, None] * (wrist - elbow), axis=-1)) < 0.12


def test_a_bitten_lip_moves_only_the_face():
    idle = at_rest()
    for seed in range(5):
        points = performed("bite lip", seed)
        body_and_hands = np.r_[:25, 95:137]
        np.testing.assert_allclose(points[:, body_and_hands], idle[:, body_and_hands], atol=1e-9)
        lips = [joint("upper_lip"), joint("lower_lip")]
        assert np.abs(points[:, lips] - idle[:, lips])[..., 1].max() > 0.0012


def test_sitting_straight_brings_the_neck_up_and_back():
    actor = actor_at("table")
    actor.channels[:, body.CHANNEL["pitch"]] = 0.12  # leaning forward
    perform(actor, labels.CLASSES.index("sit straight"))
    neck = points_of(actor)[:, joint("neck")]
    assert neck[END, 1] < neck[0, 1] - 0.005
    assert neck[END, 2] > neck[0, 2] + 0.015


def test_head_up_raises_the_nose():
    for seed in range(5):
        nose = performed("head up", seed)[:, joint("nose"), 1]
        assert nose[:START].mean() - nose.min() > 0.008


def test_shoulders_rise_slowly_in_a_breath_and_fast_in_a_shrug():
    def fastest(name: str) -> float:
        heights = [performed(name, seed)[:, joint("right_shoulder"), 1] for seed in range(12)]
        return float(np.median([np.abs(np.diff(height)).max() for height in heights]))

    for seed in range(5):
        height = performed("deep breath", seed)[:, joint("left_shoulder"), 1]
        assert height[0] - height.min() > 0.004
        assert START + 8 < height.argmin() < END
    assert fastest("shake shoulder") > 2 * fastest("deep breath")


def test_a_turtle_neck_brings_the_head_out_or_in_along_the_neck():
    moved = [np.ptp(performed("turtle neck", seed)[:, joint("right_ear"), 2]) for seed in range(8)]
    assert np.median(moved) > 0.015


def test_withdrawn_arms_end_nearer_the_body():
    for seed in range(5):
        wrist = performed("withdraw arms", seed)[:, joint("right_wrist"), 2]
        assert wrist[END - 2] > wrist[START - 6] + 0.04


def test_an_arm_put_back_ends_behind_the_trunk():
    points = performed("put arm back")[HOLD]
    assert (points[:, joint("right_wrist"), 2] > points[:, joint("mid_hip"), 2] + 0.05).all()


def test_every_class_moves_something():
    idle = at_rest()
    for name in labels.CLASSES:
        assert np.abs(performed(name)[START:END] - idle[START:END]).max() > 0.001, name


# --- folders and clips


def test_written_folders_read_back(written, smoke):
    clips = list(miga.read(written, OPENPOSE, Report(), without_progress))
    expected = list(annotation.cut(smoke))
    assert sorted(clip.id for clip in clips) == sorted(clip.id for clip in expected)
    expected = {clip.id: clip for clip in expected}
    for clip in clips:
        same = expected[clip.id]
        assert (clip.label, clip.split, clip.subject) == (same.label, same.split, same.subject)
        np.testing.assert_allclose(clip.keypoints, same.keypoints, atol=0.01)


def test_written_folders_state_their_origin(written):
    origin = json.loads((written / "synthetic.json").read_text())
    assert origin == {"size": "synthetic-smoke", "seed": 0, "version": synthetic.VERSION}
    assert {path.suffix for path in written.rglob("*_openpose.*")} == {".npy", ".csv", ".xlsx"}
    assert [path.name for path in written.parent.iterdir()] == [written.name]


def test_an_existing_folder_is_not_overwritten(written):
    with pytest.raises(FileExistsError, match="already exists; delete it or choose another folder"):
        synthetic.write(written, "synthetic-smoke")


def test_an_interrupted_run_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(miga, "write_subjects", interrupted)
    with pytest.raises(KeyboardInterrupt):
        synthetic.write(tmp_path / "data", "synthetic-smoke")
    assert not list(tmp_path.iterdir())


def test_read_gives_the_clips_of_the_videos(smoke):
    layout, report = layouts.get("imigue41"), Report()
    clips = list(synthetic.read("synthetic-smoke", layout, report, without_progress))
    segments = [(video, *segment) for video in smoke for segment in video.segments]
    assert len({clip.id for clip in clips}) == len(clips) == len(segments)
    joints = layouts.selection(OPENPOSE, layout)
    for clip, (video, label, start, end) in zip(clips, segments, strict=True):
        assert (clip.video, clip.label, clip.split) == (video.id, label, video.split)
        assert (clip.width, clip.height) == (1280, 720)
        np.testing.assert_array_equal(clip.keypoints, video.keypoints[start : end + 1, joints])
    assert not report.events


def test_a_table_edge_is_below_the_neck():
    for seed in range(20):
        camera, conditions = recording._filming(np.random.default_rng(seed), 5)
        assert conditions.table > camera.center[1] + 100


def test_what_a_killed_call_left_is_removed(tmp_path, monkeypatch):
    (tmp_path / ".unfinished-0" / "train").mkdir(parents=True)
    (tmp_path / ".unfinished-0.lock").touch()
    first = plan.plans("synthetic-smoke")[:1]
    monkeypatch.setattr(synthetic, "plans", lambda size, seed: first)
    synthetic.write(tmp_path / "data", "synthetic-smoke")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert (tmp_path / "data" / "synthetic.json").exists()
