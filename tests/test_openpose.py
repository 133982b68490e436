"""OpenPose's folders: frames by their numbers, one person followed among several, clips from a table or
none."""

import json

import numpy as np
import pytest
from reading import reading

from miga_lib import clips, labels, layouts
from miga_lib.readers import DataError, openpose

WHOLE = layouts.get("openpose137")


def person(keypoints):
    """One of the people of a frame, as OpenPose 1.7 writes it."""
    parts = np.split(np.asarray(keypoints), np.cumsum(list(openpose.PARTS.values()))[:-1])
    lists = {name: part.ravel().tolist() for name, part in zip(openpose.PARTS, parts, strict=True)}
    return {"person_id": [-1], **lists, "pose_keypoints_3d": [], "face_keypoints_3d": []}


def write(folder, frames, first=0):
    """A file for each frame, each with the people given for it; None: no file."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, people in enumerate(frames, first):
        if people is not None:
            content = {"version": 1.3, "people": [person(keypoints) for keypoints in people]}
            (folder / f"{folder.name}_{number:012d}_keypoints.json").write_text(json.dumps(content))


def body(x=100.0, score=0.5):
    """Somebody 40 pixels wide and high, somewhere along a row."""
    keypoints = np.zeros((137, 3), np.float32)
    keypoints[:, 0] = x + np.linspace(0, 40, 137)
    keypoints[:, 1] = 50 + 40 * (np.arange(137) % 2)
    keypoints[:, 2] = score
    return keypoints


read, refused = reading(openpose, WHOLE)


def test_synthetic_clips_make_the_round_trip(smoke_outputs, tmp_path):
    """Videos that hold clips one after the other, and a table that says where each begins."""
    smoke = clips.load("synthetic-smoke", "openpose137", smoke_outputs)
    smoke = smoke.where(range(0, len(smoke), 4))
    rows = ["video,start_frame,end_frame,class,split,subject,width,height"]
    for video, of in smoke.table.reset_index(drop=True).groupby("video"):
        start = 7
        for i, row in zip(of.index, of.itertuples(), strict=True):
            write(tmp_path / "in" / video, [[frame] for frame in smoke[i]], first=start)
            name = smoke.classes[row.label]
            rows.append(f"{video},{start},{start + row.frames - 1},{name},{row.split},{row.subject},1280,720")
            start += row.frames
    (tmp_path / "in" / "segments.csv").write_text("\n".join(rows))
    again = clips.load(tmp_path / "in", "openpose137", tmp_path / "outputs")
    assert (
        again.table.drop(columns="id").to_numpy().tolist()
        == smoke.table.drop(columns="id").assign(start=again.table["start"].to_numpy()).to_numpy().tolist()
    )
    assert all(np.array_equal(again[i], smoke[i]) for i in range(len(smoke)))
    assert again.classes == labels.CLASSES


def test_without_a_table_each_video_is_one_clip_of_unknown_class(tmp_path):
    write(tmp_path / "a", [[body()], [body()]], first=3)
    write(tmp_path / "b", [[body()]])
    found, report = read(tmp_path)
    assert [(clip.id, clip.label, clip.split, len(clip.keypoints)) for clip in found] == [
        ("a", -1, "test", 2),
        ("b", -1, "test", 1),
    ]
    assert "no segments.csv: each video taken as one clip of unknown class, in the test split" in str(report)
    assert (found[0].width, found[0].height) == (140, 90)
    event = "frame size unknown (no width and height in segments.csv): taken from the largest coordinates:"
    event += " a, b"
    assert event in str(report)


def test_a_folder_of_frames_alone_is_one_video(tmp_path):
    write(tmp_path / "a", [[body()]])
    assert [clip.id for clip in read(tmp_path / "a")[0]] == ["a"]


def test_frames_without_a_file_are_missing_joints(tmp_path):
    write(tmp_path / "a", [[body()], None, None, [body()], []])
    (clip,), report = read(tmp_path)
    assert clip.keypoints[..., 2].any(1).tolist() == [True, False, False, True, False]
    assert "frames without a file: all joints missing: a (2 of 5 frames)" in str(report)


def test_the_person_with_the_highest_total_score_is_followed(tmp_path):
    """Somebody passes with a better score, and the order in the file changes; who sits there all the time is
    followed."""
    sitting = [body(300 + t, score=0.5) for t in range(8)]
    passing = {t: body(60 * t, score=0.9) for t in range(2, 5)}
    write(tmp_path / "a", [[passing[t], sitting[t]] if t in passing else [sitting[t]] for t in range(8)])
    (clip,), report = read(tmp_path)
    np.testing.assert_array_equal(clip.keypoints, np.stack(sitting))
    event = "frames with several people: the one with the highest total score was followed: a (3 of 8 frames)"
    assert event in str(report)


def test_who_was_lost_is_found_again_and_nobody_takes_the_place(tmp_path):
    write(tmp_path / "a", [[body(300)], [body(300)], [body(600)], [], [body(301)], [body(302)]])
    (clip,), _ = read(tmp_path)
    assert clip.keypoints[..., 2].any(1).tolist() == [True, True, False, False, True, True]


def test_hands_and_face_may_be_left_out(tmp_path):
    write(tmp_path / "a", [[body()]])
    path = next((tmp_path / "a").iterdir())
    content = json.loads(path.read_text())
    content["people"][0]["face_keypoints_2d"] = []
    del content["people"][0]["hand_left_keypoints_2d"]
    path.write_text(json.dumps(content))
    (clip,), _ = read(tmp_path)
    found = clip.keypoints[0, :, 2] > 0
    assert found.tolist() == [True] * 25 + [False] * 70 + [False] * 21 + [True] * 21


def test_the_18_joints_of_the_coco_model_find_their_places(tmp_path):
    write(tmp_path / "a", [[body()]])
    path = next((tmp_path / "a").iterdir())
    pose = np.stack([np.arange(18.0), np.arange(18.0), np.ones(18)], 1)
    path.write_text(json.dumps({"people": [{"pose_keypoints_2d": pose.ravel().tolist()}]}))
    (clip,), _ = read(tmp_path, layouts.get("openpose18"))
    np.testing.assert_array_equal(clip.keypoints[0], pose)


def test_classes_of_ones_own_are_given_by_name(tmp_path):
    write(tmp_path / "a", [[body()]] * 4)
    (tmp_path / "segments.csv").write_text(
        "video,start_frame,end_frame,class\na,0,1,wave\na,2,3,bow\na,0,3,\n"
    )
    found, report = read(tmp_path)
    assert report.classes == ("bow", "wave")
    assert [(clip.id, clip.label, clip.split) for clip in found] == [
        ("a_0", 1, "train"),
        ("a_1", 0, "train"),
        ("a_2", -1, "test"),
    ]


def test_classes_by_number_are_those_of_the_label_files(tmp_path):
    write(tmp_path / "a", [[body()]] * 4)
    (tmp_path / "segments.csv").write_text("video,start_frame,end_frame,class\na,0,1,1\na,2,3,99\n")
    assert [clip.label for clip in read(tmp_path)[0]] == [0, 31]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("video,start_frame\na,0\n", r"segments\.csv: has no column 'end_frame'"),
        ("video,start_frame,end_frame\nb,0,1\n", "row 0 has video 'b'"),
        ("video,start_frame,end_frame\na,0,x\n", "row 0 has end_frame 'x'; expected a whole number up to 9+"),
        ("video,start_frame,end_frame,class\na,0,1,wave\na,0,1,3\n", "has classes by name and by number"),
        ("video,start_frame,end_frame,class\na,0,1,64\n", "a class is 1 to 31 or 99, found 64"),
        ("video,start_frame,end_frame\na,TRUE,1\n", "row 0 has start_frame 'TRUE'; expected a whole number"),
        ("video,start_frame,end_frame,split\na,0,1,dev\n", "row 0 has split 'dev'; expected one of train"),
        ("", "has no column 'video'; write the header video,start_frame,end_frame"),
    ],
)
def test_a_wrong_table_is_named(tmp_path, table, message):
    write(tmp_path / "a", [[body()]] * 2)
    (tmp_path / "segments.csv").write_text(table)
    refused(message, tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a json file"),
        ("[" * 100_000, "not a json file"),
        ("[1]", r"expected an object with a list `people`, found \[1\]"),
        ('{"people": [3]}', "expected an object with a list `people`"),
        ('{"people": [{"pose_keypoints_2d": [1, 2]}]}', "pose_keypoints_2d must have 75 numbers, found 2"),
        ('{"people": [{"pose_keypoints_2d": 5}]}', "pose_keypoints_2d must have 75 numbers, found 5"),
        (
            '{"people": [{"hand_left_keypoints_2d": ["a"' + ', "a"' * 62 + "]}]}",
            "hand_left_keypoints_2d must have numbers only, found 'a'",
        ),
        (
            '{"people": [{"pose_keypoints_2d": [1' + "0" * 400 + ", 1" * 74 + "]}]}",
            "has a number that is too large to read",
        ),
    ],
)
def test_a_wrong_frame_is_named(tmp_path, content, message):
    write(tmp_path / "a", [[body()]] * 2)
    (tmp_path / "a" / "a_000000000001_keypoints.json").write_text(content)
    with pytest.raises(DataError, match=message) as error:
        read(tmp_path)
    assert "a_000000000001_keypoints.json" in str(error.value)


def test_impossible_file_names_are_refused(tmp_path):
    write(tmp_path / "a", [[body()]] * 2)
    (tmp_path / "a" / "a_999999999999_keypoints.json").write_text('{"people": []}')
    refused("3 files for frames 0 to 999999999999; too many are missing: correct their names", tmp_path)
    (tmp_path / "a" / "a_999999999999_keypoints.json").rename(tmp_path / "a" / "b_0_keypoints.json")
    message = "frame 0 is there twice, also as a_000000000000_keypoints.json; keep one, and one video a"
    message += " folder"
    refused(message, tmp_path)


def test_videos_without_a_row_are_reported(tmp_path):
    for video in ("a", "b", "c"):
        write(tmp_path / video, [[body()]])
    (tmp_path / "segments.csv").write_text(
        "video,start_frame,end_frame,class,split,subject,width,height\nb,0,0,wave,train,7,640,480\n"
    )
    found, report = read(tmp_path)
    assert [clip.id for clip in found] == ["b_0"]
    assert str(report) == "     2 × videos without a row in segments.csv left out: a, c"


def test_folders_that_are_deeper_than_the_videos_are_reported(tmp_path):
    write(tmp_path / "a", [[body()]])
    write(tmp_path / "a" / "second", [[body()]])
    write(tmp_path / "day2" / "b", [[body()]])
    found, report = read(tmp_path)
    assert [clip.id for clip in found] == ["a"]
    event = "2 × folders of json files left out: they are deeper than the videos, or a video has the same"
    event += " name: a/second, day2/b"
    assert event in str(report)


def test_videos_are_found_in_the_folders_that_archives_make(tmp_path):
    write(tmp_path / "in" / "unpacked" / "a" / "a", [[body()]])
    write(tmp_path / "in" / "unpacked" / "b", [[body()], [body()]])
    (tmp_path / "in" / "unpacked" / "segments.csv").write_text("video,start_frame,end_frame\na,0,0\nb,0,1\n")
    assert openpose.recognises(tmp_path / "in")
    found, report = read(tmp_path / "in")
    assert [(clip.id, len(clip.keypoints)) for clip in found] == [("a_0", 1), ("b_0", 2)]
    assert "left out" not in str(report)


def test_empty_folders_are_reported(tmp_path):
    write(tmp_path / "a", [[body()]])
    (tmp_path / "b").mkdir()
    assert "1 × empty folders left out: b" in str(read(tmp_path)[1])


def test_litter_is_ignored_and_counted(tmp_path):
    write(tmp_path / "a", [[body()]])
    (tmp_path / "a" / "._a_000000000000_keypoints.json").write_bytes(b"\0\5\x16\7")
    write(tmp_path / "__MACOSX" / "a", [[body()]])
    found, report = read(tmp_path)
    assert [(clip.id, len(clip.keypoints)) for clip in found] == [("a", 1)]
    event = f"2 × files and folders of other programs ignored: {tmp_path.name}/__MACOSX,"
    event += " a/._a_000000000000_keypoints.json"
    assert event in str(report)


def test_people_without_hands_or_face_that_the_layout_needs_are_reported(tmp_path):
    """OpenPose writes empty lists if it was run without --hand or --face."""
    write(tmp_path / "a", [[body()], [body()], [body()]])
    for number, (part, value) in enumerate([("face_keypoints_2d", []), ("hand_left_keypoints_2d", None)]):
        path = tmp_path / "a" / f"a_{number:012d}_keypoints.json"
        content = json.loads(path.read_text())
        content["people"][0][part] = value
        path.write_text(json.dumps(content))
    event = "people without {}, which the layout needs: its joints are missing: a (1 of 3 frames)"
    report = str(read(tmp_path, layouts.get("imigue41"))[1])
    assert event.format("face_keypoints_2d") in report
    assert event.format("hand_left_keypoints_2d") in report
    report = str(read(tmp_path, layouts.get("imigue22"))[1])
    assert "face" not in report
    assert event.format("hand_left_keypoints_2d") in report
    assert "people without" not in str(read(tmp_path, layouts.get("body25"))[1])


def test_the_coco_model_is_reported(tmp_path):
    write(tmp_path / "a", [[body()]])
    (tmp_path / "a" / "a_000000000000_keypoints.json").write_text(
        json.dumps({"people": [{"pose_keypoints_2d": [50.0, 60.0, 0.5] * 18}]})
    )
    event = "people with the 18 joints of the COCO model: the other joints of BODY_25 are missing: a (1 of"
    event += " 1 frames)"
    assert event in str(read(tmp_path)[1])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a,0,1,wave,train,7,1280000,720", "row 0 has width '1280000'; expected a whole number up to 32768"),
        ("a,0,1,nan,train,7,1280,720", "row 0 has class 'nan'; expected a printable name or a whole number"),
        ("a,0,1,wave,train,7,1280,720\na,0,1,1.0,train,7,1280,720", "row 1 has class '1.0'"),
        ("a,0,1,wave,train,7,1280", "line 2 has 7 cells and line 1 has 8"),
    ],
)
def test_absurd_values_of_a_table_are_refused(tmp_path, rows, message):
    write(tmp_path / "a", [[body()]] * 2)
    (tmp_path / "segments.csv").write_text(
        f"video,start_frame,end_frame,class,split,subject,width,height\n{rows}\n"
    )
    refused(message, tmp_path)


def test_a_table_without_rows_has_no_clips(tmp_path):
    write(tmp_path / "a", [[body()]])
    (tmp_path / "segments.csv").write_text("video,start_frame,end_frame,class\n")
    found, report = read(tmp_path)
    assert found == []
    assert "1 × videos without a row in segments.csv left out: a" in str(report)


def test_columns_that_the_table_lacks_and_its_order_are_reported(tmp_path):
    write(tmp_path / "a", [[body()]] * 4)
    (tmp_path / "segments.csv").write_text(
        "\ufeffvideo,start_frame,end_frame,width,height\na,2,3,640,480\na,0,1,640,480\n"
    )
    found, report = read(tmp_path)
    assert [len(clip.keypoints) for clip in found] == [2, 2]
    assert "3 × columns that segments.csv does not have: unknown: class, split, subject" in str(report)
    event = "videos whose segments are not sorted by start frame: clips are numbered in the order of the"
    event += " rows: a"
    assert event in str(report)
