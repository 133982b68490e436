"""COCO-WholeBody's 133 joints: the mapping to OpenPose's 137, and the files of MMPose and rtmlib with all
their quirks."""

import json
import pickle

import joblib
import numpy as np
import pytest
from reading import plain, reading

from miga_lib import clips, layouts
from miga_lib.readers import DataError, Report, pyskl, wholebody

OPENPOSE, WHOLE = layouts.get("openpose137"), layouts.get("wholebody133")

FROM_133 = {
    0: 0, 2: 6, 3: 8, 4: 10, 5: 5, 6: 7, 7: 9, 9: 12, 10: 14, 11: 16, 12: 11, 13: 13, 14: 15, 15: 2, 16: 1,
    17: 4, 18: 3, **{19 + i: 17 + i for i in range(6)}, **{25 + i: 23 + i for i in range(68)},
    **{95 + i: 91 + i for i in range(42)},
}  # fmt: skip
FROM_134 = {
    **{i: i for i in range(8)}, **{9 + i: 8 + i for i in range(6)}, **{15 + i: 14 + i for i in range(4)},
    **{19 + i: 18 + i for i in range(6)}, **{25 + i: 24 + i for i in range(68)},
    **{95 + i: 92 + i for i in range(42)},
}  # fmt: skip
"""The index in the file of each joint of OpenPose, as published; without the means and the pupils."""


def body(x=100.0, score=0.5, joints=133):
    """Somebody 40 pixels wide and high, somewhere along a row."""
    keypoints = np.zeros((joints, 3))
    keypoints[:, 0] = x + np.linspace(0, 40, joints)
    keypoints[:, 1] = 50 + 40 * (np.arange(joints) % 2)
    keypoints[:, 2] = score
    return keypoints


def frame(number, *people, box=(90, 40, 150, 100), box_score=0.9):
    """A frame as MMPose writes it."""
    instances = [
        {
            "keypoints": keypoints[:, :2].tolist(), "keypoint_scores": keypoints[:, 2].tolist(),
            "bbox": [list(box)], "bbox_score": box_score,
        } for keypoints in people
    ]  # fmt: skip
    return {"frame_id": number, "instances": instances}


def inferencer(folder, video, frames):
    (folder / "predictions").mkdir(exist_ok=True)
    path = folder / "predictions" / f"{video}.json"
    path.write_text(json.dumps(frames))
    return path


def demo(folder, video, frames):
    path = folder / f"results_{video}.json"
    path.write_text(
        json.dumps(
            {"meta_info": {"dataset_name": "coco_wholebody", "num_keypoints": 133}, "instance_info": frames},
            indent="\t",
        )
    )
    return path


def rtmlib(folder, video, frames, size=(1, 1)):
    """``frames``: for each frame the people (V, 3); None: the two empty lists of the tracker."""
    content = {
        "keypoints": [
            [] if people is None else np.stack(people)[..., :2] / np.array(size) for people in frames
        ],
        "scores": [[] if people is None else np.stack(people)[..., 2] for people in frames],
    }
    path = folder / f"{video}.pkl"
    path.write_bytes(pickle.dumps(content))
    return path


def table(folder, *rows):
    (folder / "segments.csv").write_text(
        "\n".join(["video,start_frame,end_frame,class,split,subject,width,height", *rows]) + "\n"
    )


read, refused = reading(wholebody, WHOLE)


@pytest.fixture
def in_this_process():
    """Files are read here, where limits can be changed."""
    with joblib.parallel_config(backend="sequential"):
        yield


def random(*shape, seed=0):
    keypoints = np.random.default_rng(seed).uniform(0.1, 1, (*shape, 3)) * [1280, 720, 1]
    return keypoints.astype(np.float32)


def test_the_133_joints_are_in_the_published_order():
    index = {joint: v for v, joint in enumerate(WHOLE.joints)}
    expected = {
        "nose": 0,
        "left_eye": 1,
        "right_ear": 4,
        "left_shoulder": 5,
        "right_wrist": 10,
        "left_hip": 11,
        "right_ankle": 16,
    }
    expected |= {
        "left_big_toe": 17,
        "left_small_toe": 18,
        "left_heel": 19,
        "right_big_toe": 20,
        "right_heel": 22,
    }
    expected |= {
        "right_jaw_8": 23,
        "chin": 31,
        "left_jaw_8": 39,
        "nose_bridge_1": 50,
        "upper_mouth": 85,
        "right_lower_mouth": 90,
    }
    expected |= {
        "left_hand": 91,
        "left_thumb_4": 95,
        "left_index_4": 99,
        "left_little_4": 111,
        "right_hand": 112,
        "right_little_4": 132,
    }
    assert {joint: index[joint] for joint in expected} == expected


def test_each_joint_of_openpose_comes_from_its_published_place():
    keypoints = random(133)
    mapped = layouts.to_openpose137(keypoints)
    assert mapped.dtype == np.float32
    assert sorted({*FROM_133, 1, 8, 93, 94}) == list(range(137))
    for to, place in FROM_133.items():
        assert mapped[to].tolist() == keypoints[place].tolist()
    assert not mapped[[93, 94]].any(), "pupils are not among the 133"


def test_neck_and_mid_hip_are_means_with_the_smaller_score():
    keypoints = np.zeros((2, 133, 3))
    keypoints[:, 5], keypoints[:, 6] = (10, 20, 0.9), (30, 60, 0.4)
    keypoints[:, 11], keypoints[:, 12] = (0, 8, 0.5), (4, 0, 0.7)
    keypoints[1, 6, 2] = keypoints[1, 11, 2] = 0
    mapped = layouts.to_openpose137(keypoints)
    assert mapped[0, [1, 8]].tolist() == [[20, 40, 0.4], [2, 4, 0.5]]
    assert not mapped[1, [1, 8]].any(), "one of the two is missing"


def test_mapping_and_mirroring_may_change_places():
    """Left and right agree: flip the picture and swap sides before or after, the result is the same."""
    keypoints = random(4, 133)
    keypoints[0, 5, 2] = keypoints[1, 12, 2] = 0

    def mirrored(keypoints, layout):
        return keypoints[..., layout.mirror, :] * np.array([-1, 1, 1], np.float32)

    np.testing.assert_array_equal(
        layouts.to_openpose137(mirrored(keypoints, WHOLE)),
        mirrored(layouts.to_openpose137(keypoints), OPENPOSE),
    )


def test_the_133_joints_are_selected_unchanged_from_the_mapped_ones():
    keypoints = random(5, 133)
    np.testing.assert_array_equal(
        layouts.to_openpose137(keypoints)[:, layouts.selection(OPENPOSE, WHOLE)], keypoints
    )


def test_the_134_joints_have_a_neck_of_their_own():
    keypoints = random(134)
    mapped = layouts.to_openpose137(keypoints, layouts.WHOLEBODY_134)
    for to, place in FROM_134.items():
        assert mapped[to].tolist() == keypoints[place].tolist()
    assert mapped[8, 2] == min(keypoints[8, 2], keypoints[11, 2])
    assert mapped[8, 0] == pytest.approx((keypoints[8, 0] + keypoints[11, 0]) / 2)
    assert sorted(layouts.WHOLEBODY_134) == sorted([*layouts.WHOLEBODY_133, "neck"])


def test_the_inferencers_files_are_read(tmp_path):
    people = [body(100 + t) for t in range(4)]
    inferencer(tmp_path, "a", [frame(t, person) for t, person in enumerate(people)])
    table(tmp_path, "a,1,2,wave,train,7,640,480")
    (clip,), report = read(tmp_path)
    assert (clip.id, clip.label, clip.split, clip.video, clip.subject, clip.width, clip.height) == (
        "a_0",
        0,
        "train",
        "a",
        "7",
        640,
        480,
    )
    np.testing.assert_array_equal(clip.keypoints, np.float32(people[1:3]))
    assert report.classes == ("wave",)
    event = "frames numbered from 0 in the inferencer's form: start_frame and end_frame are taken as such"
    event += " numbers: a"
    assert event in str(report)


def test_the_demo_scripts_files_count_from_one(tmp_path):
    people = [body(100 + t) for t in range(4)]
    demo(tmp_path, "a", [frame(t, person) for t, person in enumerate(people, 1)])
    table(tmp_path, "a,1,2,wave,train,7,640,480")
    (clip,), report = read(tmp_path)
    np.testing.assert_array_equal(clip.keypoints, np.float32(people[:2]))
    event = "frames numbered from 1 in the demo script's form: start_frame and end_frame are taken as such"
    event += " numbers: a"
    assert event in str(report)


def test_rtmlibs_pickles_are_read(tmp_path):
    people = [body(100 + t) for t in range(3)]
    rtmlib(tmp_path, "a", [[people[0]], None, [people[2]]])
    (clip,), report = read(tmp_path)
    np.testing.assert_array_equal(clip.keypoints[[0, 2]], np.float32([people[0], people[2]]))
    assert not clip.keypoints[1].any()
    assert "frames without numbers, counted from 0: a" in str(report)
    event = "files without boxes: people invented where nobody was found cannot be told from others: a"
    assert event in str(report)


def test_shares_of_the_frame_become_pixels_if_its_size_is_known(tmp_path):
    rtmlib(tmp_path, "a", [[body()], [body()]], size=(640, 480))
    table(tmp_path, "a,0,1,wave,train,7,640,480")
    (clip,), report = read(tmp_path)
    np.testing.assert_allclose(clip.keypoints, np.float32([body(), body()]), rtol=1e-6)
    assert "coordinates were shares of the frame from 0 to 1: now pixels: a" in str(report)
    message = "a: its coordinates, 0.104 to 0.219, are shares of a frame of unknown size; write x and y in"
    for rows in (["a,0,1,wave,train,7,0,0"], ["a,0,0,wave,train,7,640,480", "a,1,1,wave,train,7,480,640"]):
        table(tmp_path, *rows)
        refused(message, tmp_path)


def test_coordinates_in_an_unknown_unit_are_refused(tmp_path):
    inferencer(tmp_path, "a", [frame(0, body() / [20, 20, 1])])
    message = "a: its coordinates, 2.5 to 7, are neither pixels nor shares of the frame; write x and y in"
    refused(message, tmp_path)


def test_134_joints_are_recognised(tmp_path):
    person = body(joints=134)
    rtmlib(tmp_path, "a", [[person]])
    (clip,), report = read(tmp_path, OPENPOSE)
    for to, place in FROM_134.items():
        np.testing.assert_array_equal(clip.keypoints[0, to], np.float32(person[place]))
    assert "134 joints, taken in the order that rtmlib and MMPose call openpose: a" in str(report)


@pytest.mark.parametrize(
    ("layout", "joints"), [("imigue41", 41), ("imigue22", 22), ("light_hand35", 35), ("coco17", 17)]
)
def test_every_layout_of_openposes_joints_can_be_selected(tmp_path, layout, joints):
    inferencer(tmp_path, "a", [frame(0, body())])
    loaded = clips.load(tmp_path, layout, tmp_path / "outputs")
    assert loaded.keypoints.shape == (1, joints, 3)
    assert loaded.keypoints[..., 2].all()
    assert "pupils" not in loaded.report


def test_pupils_that_a_layout_needs_are_reported_missing(tmp_path):
    inferencer(tmp_path, "a", [frame(0, body())])
    (clip,), report = read(tmp_path, OPENPOSE)
    assert np.flatnonzero(clip.keypoints[0, :, 2] == 0).tolist() == [93, 94]
    event = f"pupils, which the layout needs, are not among the 133 joints: missing: {tmp_path.name}"
    assert event in str(report)


def test_scores_above_one_are_set_to_one(tmp_path):
    person = body()
    person[3, 2], person[4, 2] = 6.25, 1
    inferencer(tmp_path, "a", [frame(0, person)])
    (clip,), report = read(tmp_path)
    assert clip.keypoints[0, 2:5, 2].tolist() == [0.5, 1, 1]
    assert "scores above 1, which these models give, set to 1: a (up to 6.25)" in str(report)


def test_joints_below_the_score_threshold_are_missing(tmp_path):
    """The threshold is compared with the scores of the file, before those above 1 become 1."""
    person = body(score=3)
    person[:13, 2] = 1.5
    inferencer(tmp_path, "a", [frame(0, person), frame(1, person)])
    report = read(tmp_path)[1]
    unset = (
        "score_threshold in reader.json not set: these models place every joint, so joints out of sight are"
    )
    unset += " not missing"
    assert f"{unset}: {tmp_path.name}" in str(report)
    (tmp_path / "reader.json").write_text('{"score_threshold": 2}')
    (clip,), report = read(tmp_path, OPENPOSE)
    assert not clip.keypoints[:, [0, 1, 2, 5, 8, 15]].any(), (
        "the joints, and the means of which one is missing"
    )
    assert clip.keypoints[:, 9, 2].tolist() == [0, 0]
    assert clip.keypoints[:, [10, 13, 25, 95], 2].tolist() == [[1] * 4] * 2
    assert "joints with a score below 2 taken as missing: a (26 of 266)" in str(report)
    assert unset not in str(report)


def test_scores_in_percent_are_divided(tmp_path):
    """Of these models, scores up to 10 are usual; a threshold is of the scores of the file."""
    inferencer(tmp_path, "a", [frame(0, body(score=80), body(x=300, score=20))])
    (clip,), report = read(tmp_path)
    np.testing.assert_allclose(clip.keypoints[..., 2], 0.8)
    assert "scores were percent: divided by 100: a (up to 80)" in str(report)
    (tmp_path / "reader.json").write_text('{"score_threshold": 0.3}')
    message = r"a\.json: score_threshold is 0\.3 and the scores go up to 80; write both as shares of 1"
    refused(message, tmp_path)
    for score in (20, 200):
        inferencer(tmp_path, "a", [frame(0, body(score=score))])
        (tmp_path / "reader.json").unlink(missing_ok=True)
        refused(f"a: its scores, up to {score}, are neither from 0 to 1 nor percent", tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"threshold": 1}', r"reader\.json: expected a JSON object with 'score_threshold'"),
        ('{"score_threshold": "1"}', r"reader\.json: score_threshold must be a number of 0 or more"),
        ('{"score_threshold": -1}', r"reader\.json: score_threshold must be a number of 0 or more, found -1"),
        (
            f'{{"score_threshold": 1{"0" * 400}}}',
            r"reader\.json: score_threshold must be a number of 0 or more, found 10+\.\.\.0+; correct",
        ),
        ('{"score_threshold": NaN}', r"reader\.json: score_threshold must be a number of 0 or more"),
        ('{"score_threshold": Infinity}', r"reader\.json: score_threshold must be a number of 0 or more"),
    ],
)
def test_a_wrong_threshold_is_refused(tmp_path, content, message):
    inferencer(tmp_path, "a", [frame(0, body())])
    (tmp_path / "reader.json").write_text(content)
    refused(message, tmp_path)


def test_boxes_of_the_whole_image_are_flagged(tmp_path):
    whole = {"box": (0, 0, 640, 480), "box_score": 1}
    frames = [
        frame(0, body()),
        frame(1, body(), **whole),
        frame(2, body(), box=(0, 0, 300, 480), box_score=1.0),
        frame(3),
    ]
    inferencer(tmp_path, "a", frames)
    flagged = "people in a box of the whole image: MMPose invents one if it finds nobody; they were read: a"
    assert f"{flagged} (2 of 3)" in str(read(tmp_path)[1]), "without the size of the frame, the score tells"
    table(tmp_path, "a,0,3,wave,train,7,640,480")
    (clip,), report = read(tmp_path)
    assert f"{flagged} (1 of 3)" in str(report)
    assert clip.keypoints[:, 0, 2].tolist() == [0.5, 0.5, 0.5, 0]
    inferencer(tmp_path, "a", frames[:1])
    assert flagged not in str(read(tmp_path)[1])


def test_a_box_in_one_bracket_is_understood_and_its_absence_reported(tmp_path):
    frames = [frame(0, body(), box=(0, 0, 9, 9), box_score=1), frame(1, body()), frame(2, body())]
    frames[0]["instances"][0]["bbox"] = [0, 0, 9, 9]
    del frames[1]["instances"][0]["bbox"]
    inferencer(tmp_path, "a", frames)
    report = str(read(tmp_path)[1])
    assert "they were read: a (1 of 3)" in report
    event = "people without a box: those invented where nobody was found cannot be told from others: a (1)"
    assert event in report


def test_the_person_with_the_highest_total_score_is_followed(tmp_path):
    sitting, passing = [body(300 + t) for t in range(8)], {t: body(60 * t, score=0.9) for t in range(2, 5)}
    frames = [frame(t, *([passing[t], sitting[t]] if t in passing else [sitting[t]])) for t in range(8)]
    inferencer(tmp_path, "a", frames)
    (clip,), report = read(tmp_path)
    np.testing.assert_array_equal(clip.keypoints, np.float32(sitting))
    event = "frames with several people: the one with the highest total score was followed: a (3 of 8 frames)"
    assert event in str(report)


def test_frames_are_placed_by_their_numbers(tmp_path):
    inferencer(tmp_path, "a", [frame(5, body(105)), frame(2, body(102)), frame(3)])
    (clip,), report = read(tmp_path)
    assert clip.keypoints[:, 0, 0].tolist() == [102, 0, 0, 105]
    assert "frames without an entry: all joints missing: a (1 of 4 frames)" in str(report)
    assert "frames numbered from 2" in str(report)


def test_impossible_values_become_missing(tmp_path):
    person = body()
    person[0, 0], person[1, 2], person[2, 1] = np.nan, -0.5, 1e9
    inferencer(tmp_path, "a", [frame(0, person)])
    (clip,), report = read(tmp_path)
    assert not clip.keypoints[0, :3].any()
    for fault in ("an empty or infinite cell", "a negative score", "a coordinate beyond 131072 pixels"):
        assert f"joints with {fault} taken as missing: a" in str(report)


def test_a_video_without_anybody_is_reported(tmp_path):
    inferencer(tmp_path, "a", [frame(0), frame(1)])
    (clip,), report = read(tmp_path)
    assert clip.keypoints.shape == (2, 133, 3)
    assert not clip.keypoints.any()
    assert "no joint was found in any frame: a" in str(report)


def test_a_folder_may_have_files_of_all_forms(tmp_path):
    inferencer(tmp_path, "a", [frame(0, body())])
    demo(tmp_path, "b", [frame(1, body())])
    rtmlib(tmp_path, "results_c", [[body()]])
    found, report = read(tmp_path)
    assert sorted(clip.video for clip in found) == ["a", "b", "results_c"]
    assert "no segments.csv: each video taken as one clip of unknown class, in the test split" in str(report)


def test_the_table_may_be_in_the_folder_of_predictions_and_archives_may_add_folders(tmp_path):
    inner = tmp_path / "in" / "unpacked" / "predictions"
    inner.mkdir(parents=True)
    inferencer(inner.parent, "a", [frame(0, body())])
    (inner.parent / "visualizations").mkdir()
    table(inner, "a,0,0,wave,train,7,640,480")
    assert wholebody.recognises(tmp_path / "in")
    assert [clip.id for clip in read(tmp_path / "in")[0]] == ["a_0"]
    table(inner.parent, "a,0,0,wave,train,7,640,480")
    message = r"predictions/segments\.csv: there is another one in .*unpacked; remove one of them"
    refused(message, tmp_path / "in")


def test_litter_and_files_in_other_folders_are_reported(tmp_path):
    inferencer(tmp_path, "a", [frame(0, body())])
    (tmp_path / "predictions" / "._a.json").write_bytes(b"\0\5\x16\7")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.json").write_text("[]")
    found, report = read(tmp_path)
    assert [clip.id for clip in found] == ["a"]
    assert "files and folders of other programs ignored: predictions/._a.json" in str(report)
    assert "json files and pickles in other folders left out: more/b.json" in str(report)


def test_two_files_of_one_video_are_refused(tmp_path):
    inferencer(tmp_path, "a", [frame(0, body())])
    demo(tmp_path, "a", [frame(1, body())])
    refused(r"a\.json: results_a\.json is of the same video, 'a'; remove or rename one of them", tmp_path)


def test_a_video_that_the_table_names_must_be_there(tmp_path):
    inferencer(tmp_path, "a", [frame(0, body())])
    table(tmp_path, "b,0,0,wave,train,7,640,480")
    message = r"segments\.csv: row 0 has video 'b'; there is no folder or file of this video: correct"
    refused(message, tmp_path)


@pytest.mark.parametrize(
    "write",
    [lambda folder: demo(folder, "a", [frame(1, body())]), lambda folder: rtmlib(folder, "a", [[body()]])],
)
def test_a_file_alone_asks_for_its_folder(tmp_path, write):
    path = write(tmp_path)
    assert wholebody.recognises(path)
    with pytest.raises(
        DataError,
        match=f"{path.name}: give the folder of this file, so that segments.csv and reader.json are read",
    ):
        clips.load(path, "coco17", tmp_path / "outputs")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a json file"),
        ("[]", r"expected MMPose's result of a video, a list of frames with frame_id and instances"),
        ("{}", "expected MMPose's result of a video"),
        (json.dumps(frame(0, body())["instances"]), "results of single images are not read"),
        ('[{"frame_id": true, "instances": []}]', "expected MMPose's result of a video"),
        ('[{"frame_id": -1, "instances": []}]', "expected MMPose's result of a video"),
        ('[{"frame_id": 0, "instances": [1]}]', "expected MMPose's result of a video"),
        ('[{"frame_id": 0, "instances": []}, {"frame_id": 0, "instances": []}]', "frame_id 0 is there twice"),
        (
            '[{"frame_id": 0, "instances": []}, {"frame_id": 5000, "instances": []}]',
            "has 2 entries for frames 0 to 5000; at most 200,000 frames are read, and at least every second",
        ),
        (
            json.dumps([frame(0, body(joints=17))]),
            r"has people of 17 joints; .* a layout of your own \(docs/",
        ),
        (json.dumps([frame(0, body(), body(joints=134))]), "has people of 133 and 134 joints"),
        ('[{"frame_id": 3, "instances": [{}]}]', "frame_id 3 has keypoints None and keypoint_scores None"),
        (
            '[{"frame_id": 3, "instances": [{"keypoints": [[1, 2, 3]], "keypoint_scores": [1]}]}]',
            r"frame_id 3 has keypoints \[\[1, 2, 3\]\]",
        ),
        (
            '[{"frame_id": 3, "instances": [{"keypoints": [["1", "2"]], "keypoint_scores": [1]}]}]',
            "expected x and y in pixels",
        ),
        (
            '[{"frame_id": 3, "instances": [{"keypoints": [[1, 2]], "keypoint_scores": [null]}]}]',
            r"keypoint_scores \[None\]",
        ),
        (
            '[{"frame_id": 3, "instances": [{"keypoints": [[1, 2], [1]], "keypoint_scores": [1, 1]}]}]',
            r"keypoints \[\[1, 2\], \[1\]\]",
        ),
    ],
)
def test_a_wrong_json_file_is_named(tmp_path, content, message):
    inferencer(tmp_path, "b", [frame(0, body())])
    (tmp_path / "predictions" / "a.json").write_text(content)
    with pytest.raises(DataError, match=message) as error:
        read(tmp_path)
    assert "a.json" in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], r"expected a dict of two lists of one length, keypoints and scores, found \[1\]"),
        ({"keypoints": [], "scores": []}, "expected a dict of two lists of one length"),
        ({"keypoints": [[]], "scores": [[], []]}, "expected a dict of two lists of one length"),
        (
            {"keypoints": [[[1, 2]]], "scores": [[[1]]]},
            r"frame 0 has keypoints \[\[1, 2\]\] and scores \[\[1\]\]; expected arrays",
        ),
        (
            {"keypoints": [np.ones((133, 2))], "scores": [np.ones(133)]},
            r"frame 0 has keypoints an array of shape \(133, 2\)",
        ),
        (
            {"keypoints": [np.ones((1, 133, 3))], "scores": [np.ones((1, 133))]},
            r"shape \(1, 133, 3\) .* expected arrays \(persons, 133, 2\)",
        ),
        ({"keypoints": [np.ones((1, 133, 2), bool)], "scores": [np.ones((1, 133))]}, "or two empty lists"),
        ({"keypoints": [np.ones((1, 26, 2))], "scores": [np.ones((1, 26))]}, "has people of 26 joints"),
    ],
)
def test_a_wrong_pickle_is_named(tmp_path, content, message):
    rtmlib(tmp_path, "b", [[body()]])
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=message) as error:
        read(tmp_path)
    assert "a.pkl" in str(error.value)


def test_one_array_claimed_by_many_frames_is_refused(tmp_path):
    shared = np.ones((1, 133, 2)), np.ones((1, 133))
    content = {"keypoints": [shared[0]] * 100, "scores": [shared[1]] * 100}
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(content))
    refused(r"a\.pkl: its frames share a few arrays, .*; write each frame with an array of its own", tmp_path)


@pytest.mark.usefixtures("in_this_process")
def test_too_many_frames_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(wholebody, "MAX_FRAMES", 2)
    rtmlib(tmp_path, "a", [[body()]] * 3)
    refused(r"a\.pkl: has 3 frames, at most 2 are read; split it", tmp_path)
    (tmp_path / "a.pkl").unlink()
    inferencer(tmp_path, "a", [frame(t) for t in range(3)])
    refused(r"a\.json: has 3 entries for frames 0 to 2; at most 2 frames are read", tmp_path)


@pytest.mark.usefixtures("in_this_process")
def test_the_limit_of_a_json_file_is_above_that_of_openposes(tmp_path, monkeypatch):
    path = inferencer(tmp_path, "a", [frame(0, body())])
    monkeypatch.setitem(wholebody.untrusted.MAX_BYTES, ".json", 10)
    assert len(read(tmp_path)[0]) == 1
    monkeypatch.setattr(wholebody, "MAX_JSON_BYTES", 1000)
    message = f"a.json: has {path.stat().st_size:,} bytes, at most 1,000 are read; split it or remove it"
    refused(message, tmp_path)


def test_the_other_videos_are_checked_after_a_broken_one(tmp_path):
    inferencer(tmp_path, "a", [frame(0, body(joints=17))])
    inferencer(tmp_path, "b", [frame(0, body())])
    report = Report(errors=[])
    assert [clip.id for clip in wholebody.read(tmp_path, WHOLE, report, plain)] == ["b"]
    assert len(report.errors) == 1


def test_other_files_are_not_taken_for_these(tmp_path):
    """OpenPose's frames, PySkl's pickles and json files of anything else have readers of their own, or
    none."""
    (tmp_path / "a_000000000000_keypoints.json").write_text('{"version": 1.3, "people": []}')
    (tmp_path / "reader.json").write_text('{"score_threshold": 1}')
    (tmp_path / "own.pkl").write_bytes(pickle.dumps({"split": {}, "annotations": []}))
    (tmp_path / "empty.pkl").touch()
    (tmp_path / "folder.json").mkdir()
    assert not wholebody.recognises(tmp_path)
    assert not wholebody.recognises(tmp_path / "own.pkl")
    assert pyskl.recognises(tmp_path / "own.pkl")
    path = rtmlib(tmp_path, "b", [[body()]])
    assert wholebody.recognises(tmp_path)
    assert not pyskl.recognises(path)


def annotated(folder, keypoints):
    """A PySkl pickle of one clip (M, T, V, 3)."""
    annotation = {
        "frame_dir": "a", "label": 0, "total_frames": keypoints.shape[1], "img_shape": (720, 1280),
        "keypoint": keypoints[..., :2], "keypoint_score": keypoints[..., 2],
    }  # fmt: skip
    path = folder / "own.pkl"
    path.write_bytes(
        pickle.dumps({"split": {"train": ["a"]}, "annotations": [annotation], "classes": ["wave"]})
    )
    return path


def test_pickles_of_pyskl_with_133_joints_are_mapped(tmp_path):
    keypoints = random(1, 4, 133)
    keypoints[0, 0, 5, 2] = 0
    path = annotated(tmp_path, keypoints)
    for name in ("openpose137", "imigue41", "coco17"):
        report = Report()
        (clip,) = pyskl.read(path, layouts.get(name), report, plain)
        expected = layouts.to_openpose137(keypoints[0])[:, layouts.selection(OPENPOSE, layouts.get(name))]
        np.testing.assert_array_equal(clip.keypoints, expected)
        event = "the 133 joints of the file taken in the order of layout 'wholebody133' and mapped to"
        event += " 'openpose137', with neck and mid hip as means, without pupils: own.pkl"
        assert event in str(report)


def test_pickles_of_pyskl_with_133_joints_are_read_as_they_are(tmp_path):
    keypoints, report = random(1, 4, 133), Report()
    (clip,) = pyskl.read(annotated(tmp_path, keypoints), WHOLE, report, plain)
    np.testing.assert_array_equal(clip.keypoints, keypoints[0])
    assert not report.events
    with pytest.raises(
        DataError, match="has 133 joints and layout 'stick' has 2; choose layout wholebody133"
    ):
        list(
            pyskl.read(
                tmp_path / "own.pkl", layouts.make("stick", ["head", "hip"], [(0, 1)], 0), report, plain
            )
        )


def test_of_a_pickle_with_133_joints_two_persons_are_mapped_each(tmp_path):
    keypoints = random(2, 4, 133)
    (clip,) = pyskl.read(annotated(tmp_path, keypoints), layouts.pair(layouts.get("body25")), Report(), plain)
    np.testing.assert_array_equal(
        clip.keypoints, layouts.to_openpose137(keypoints)[:, :, :25].swapaxes(0, 1).reshape(4, 50, 3)
    )
