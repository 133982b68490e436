"""SMG's folders: which rows are a clip, which numbers are pixels, who is in which split, and what a Kinect
loses."""

import itertools
import json

import fuzzing
import habits
import numpy as np
import pytest
from reading import reading

from miga_lib import clips, labels, layouts
from miga_lib.readers import READERS, DataError, miga, smg

KINECT = layouts.get("kinect25")
FRAMES = 12


def body(frames=FRAMES):
    """Numbers of each joint: metres that change in each frame, an orientation, depth pixels, colour
    pixels."""
    t, v = np.arange(frames)[:, None], np.arange(25)
    numbers = np.zeros((frames, 25, 11))
    numbers[..., 0], numbers[..., 1], numbers[..., 2] = v / 50 - 0.3 + t / 100, 0.4 - v / 50, 2 + t / 100
    numbers[..., 3:7] = 0.5
    numbers[..., 7], numbers[..., 8] = 150 + 8 * v + t, 60 + 10 * v
    numbers[..., 9], numbers[..., 10] = 600 + 24 * v + 3 * t, 200 + 30 * v
    return numbers


def write(root, person="Sample0001", numbers=None, rows=((5, 2, 6),)):
    fuzzing.write_smg(root, person, body() if numbers is None else numbers, list(rows))
    return root / person


def options(root, **chosen):
    (root / "reader.json").write_text(json.dumps(chosen))


read, refused = reading(smg, KINECT)


def rows_of(clip):
    """The rows of ``body`` that a clip has, by the x of its first joint."""
    return ((clip.keypoints[:, 0, 0] - 600) / 3).tolist()


def test_a_clip_has_colour_pixels_a_score_of_one_and_the_names_of_its_person(tmp_path):
    write(tmp_path, "Sample0033", rows=[(17, 2, 6), (1, 7, 9)])
    (first, second), report = read(tmp_path)
    assert (first.id, first.label, first.split, first.video, first.subject) == (
        "Sample0033_0",
        16,
        "val",
        "Sample0033",
        "33",
    )
    assert (second.id, second.label, len(second.keypoints)) == ("Sample0033_1", 0, 2)
    assert (first.width, first.height) == (1920, 1080)
    np.testing.assert_array_equal(first.keypoints[..., :2], body()[2:6, :, 9:])
    assert (first.keypoints[..., 2] == 1).all()
    assert report.classes == labels.SMG_CLASSES
    assert "Sample0033_skeleton.csv" in str(report)


def test_the_report_says_what_the_format_leaves_open(tmp_path):
    write(tmp_path)
    rule = (
        "clips are the rows start … end − 1 of their segments, counted from 0; for start − 1 … end − 1, set"
    )
    rule += " frames to 'inclusive'"
    pixels = "numbers 9-10 of a joint taken as colour pixels (1920 × 1080); numbers 7-8 seem to be depth"
    pixels += " pixels"
    _, report = read(tmp_path)
    assert str(report).splitlines() == [
        f"     1 × {rule} in reader.json: {tmp_path.name}",
        f"     1 × {pixels}: Sample0001_skeleton.csv",
    ]


def test_frames_of_a_segment_are_chosen_in_reader_json(tmp_path):
    write(tmp_path, rows=[(5, 2, 6), (5, 1, FRAMES)])
    assert [rows_of(clip) for clip in read(tmp_path)[0]] == [[2, 3, 4, 5], list(range(1, FRAMES))]
    options(tmp_path, frames="inclusive")
    found, report = read(tmp_path)
    assert [rows_of(clip) for clip in found] == [[1, 2, 3, 4, 5], list(range(FRAMES))]
    event = "clips are the rows start − 1 … end − 1 of their segments, counted from 0; for start … end −"
    event += " 1, set frames to 'half_open'"
    assert event in str(report)


@pytest.mark.parametrize(
    ("row", "rows", "event"),
    [
        ((5, 10, 14), [10, 11], "segment clamped to the frames of the video: Sample0001_0"),
        ((5, 12, 14), [11], "segment starts after the video's last frame: the last frame was kept"),
        ((5, 4, 4), [4], "segment ends before it starts: its first frame was kept: Sample0001_0"),
        ((5, -1, 2), [0, 1], "segment clamped to the frames of the video: Sample0001_0"),
    ],
)
def test_segments_outside_the_recording_are_clamped_and_reported(tmp_path, row, rows, event):
    write(tmp_path, rows=[row])
    (clip,), report = read(tmp_path)
    assert rows_of(clip) == rows
    assert event in str(report)


def test_unsorted_doubled_and_overlapping_segments_are_reported(tmp_path):
    write(tmp_path, "Sample0001", rows=[(5, 8, 10), (5, 2, 4)])
    write(tmp_path, "Sample0002", rows=[(5, 2, 4), (5, 2, 4)])
    write(
        tmp_path, "Sample0003", rows=[(5, 0, 9), (5, 2, 4), (5, 8, 11), (5, 11, 12)]
    )  # row 8 is in two, row 11 is not
    found, report = read(tmp_path)
    assert [rows_of(clip) for clip in found[:2]] == [[8, 9], [2, 3]]
    event = "1 × videos whose segments are not sorted by start frame: clips are numbered in the order of"
    event += " the rows: Sample0001"
    assert event in str(report)
    assert "1 × videos with the same segment twice: both rows are clips: Sample0002" in str(report)
    event = "2 × people with segments that begin before an earlier one ends: Sample0002 (1 of 2),"
    event += " Sample0003 (2 of 4)"
    assert event in str(report)


def test_splits_are_by_person_in_two_protocols(tmp_path):
    people = {"Sample0001": "train", "Sample0030": "train", "Sample0031": "val", "Sample0035": "val"}
    people |= {"Sample0036": "test", "Sample0040": "test"}
    for person in people:
        write(tmp_path / "experimentWell_skeleton", person)
    found, report = read(tmp_path)
    assert {clip.video: clip.split for clip in found} == people
    assert list(report.protocols) == ["challenge", "kit"]
    assert report.protocols["challenge"] == people
    assert report.protocols["kit"] == {
        person: "train" if split == "val" else split for person, split in people.items()
    }


def test_the_folders_of_the_challenge_are_found_in_the_folders_that_archives_make(tmp_path):
    write(tmp_path / "smg_data_phase1" / "smg_data_phase1" / "smg_skeleton_train", "Sample0001")
    write(
        tmp_path / "smg_data_phase1" / "smg_data_phase1" / "smg_skeleton_validate" / "Sample0031",
        "Sample0031",
    )
    write(tmp_path / "phase2" / "smg_skeleton_test", "Sample0036")
    write(tmp_path / "__MACOSX" / "smg_skeleton_test", "Sample0036")
    options(tmp_path / "smg_data_phase1", frames="inclusive")
    assert smg.recognises(tmp_path)
    found, report = read(tmp_path)
    assert [(clip.id, clip.split, len(clip.keypoints)) for clip in found] == [
        ("Sample0001_0", "train", 5),
        ("Sample0031_0", "val", 5),
        ("Sample0036_0", "test", 5),
    ]
    assert f"1 × files and folders of other programs ignored: {tmp_path.name}/__MACOSX" in str(report)
    assert "folder of another split" not in str(report)


def test_a_person_in_the_folder_of_another_split_is_split_by_number(tmp_path):
    write(tmp_path / "smg_skeleton_train", "Sample0036")
    (clip,), report = read(tmp_path)
    assert clip.split == "test"
    assert "people in the folder of another split: split by their number: Sample0036" in str(report)


def test_a_person_alone_is_a_source(tmp_path):
    assert [clip.id for clip in read(write(tmp_path))[0]] == ["Sample0001_0"]


def test_clips_load_with_their_layout_from_a_cache_of_all_joints(tmp_path, monkeypatch):
    write(tmp_path / "smg")
    loaded = clips.load(tmp_path / "smg", "kinect25", tmp_path / "outputs")
    assert (loaded.classes, loaded.layout.name, len(loaded)) == (labels.SMG_CLASSES, "kinect25", 1)
    monkeypatch.setattr(smg, "read", lambda *_: pytest.fail("the tables were read again"))
    arm = layouts.make("arm", ["left_elbow", "left_wrist"], [(0, 1)], 0, mirror=[0, 1])
    np.testing.assert_array_equal(
        clips.load(tmp_path / "smg", arm, tmp_path / "outputs").keypoints, loaded.keypoints[:, [5, 6]]
    )


def test_joints_are_selected_by_name(tmp_path):
    write(tmp_path)
    (clip,), _ = read(
        tmp_path, layouts.make("arm", ["right_wrist", "right_elbow"], [(0, 1)], 0, mirror=[0, 1])
    )
    np.testing.assert_array_equal(clip.keypoints[..., :2], body()[2:6, [10, 9], 9:])


def test_a_layout_with_joints_that_a_kinect_does_not_have_is_refused(tmp_path):
    write(tmp_path)
    message = r"layout 'imigue22' needs 1\d joints that 'kinect25' does not have .*; choose layout kinect25"
    refused(message, tmp_path, layouts.get("imigue22"))


# Which numbers are pixels.


def nine(numbers):
    return numbers[..., :9]


def exchanged(numbers):
    return numbers[..., [*range(7), 9, 10, 7, 8]]


def test_nine_numbers_a_joint_are_depth_pixels(tmp_path):
    write(tmp_path, numbers=nine(body()))
    (clip,), report = read(tmp_path)
    assert (clip.width, clip.height) == (512, 424)
    np.testing.assert_array_equal(clip.keypoints[..., :2], body()[2:6, :, 7:9])
    event = "1 × numbers 7-8 of a joint taken as depth pixels (512 × 424): Sample0001_skeleton.csv"
    assert event in str(report)


def test_an_empty_last_column_is_left_out(tmp_path):
    for number, numbers in enumerate((body(), nine(body())), 1):
        path = write(tmp_path, f"Sample000{number}", numbers) / f"Sample000{number}_skeleton.csv"
        path.write_text(path.read_text().replace("\n", ",\n"))
    found, report = read(tmp_path)
    assert [clip.width for clip in found] == [1920, 512]
    np.testing.assert_array_equal(found[0].keypoints[..., :2], body()[2:6, :, 9:])
    event = "2 × empty columns at the end left out: Sample0001_skeleton.csv (1), Sample0002_skeleton.csv (1)"
    assert event in str(report)


def test_colour_pixels_are_found_in_either_pair(tmp_path):
    write(tmp_path, numbers=exchanged(body()))
    (clip,), report = read(tmp_path)
    np.testing.assert_array_equal(clip.keypoints[..., :2], body()[2:6, :, 9:])
    event = "numbers 7-8 of a joint taken as colour pixels (1920 × 1080); numbers 9-10 seem to be depth"
    event += " pixels"
    assert event in str(report)


def test_some_joints_outside_the_picture_do_not_change_which_it_is(tmp_path):
    """Feet below the depth picture, as of somebody who stands near."""
    numbers = nine(body())
    numbers[:, [14, 15, 18, 19], 8] = 440
    write(tmp_path, numbers=numbers)
    assert read(tmp_path)[0][0].height == 424


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (np.zeros(2), "no"),
        ([2, 1], "no"),
        ([-1e6, np.inf], "no"),
        (np.stack([np.linspace(-1, 1, 25)] * 2, -1), "no"),
    ],
)
def test_numbers_that_are_no_pixels_are_not_taken(tmp_path, other, what):
    """Nothing, states of tracking, impossible values, metres."""
    numbers = body()
    numbers[..., 9:] = other
    numbers[0, 0, 9:] = 1  # a finite value somewhere
    write(tmp_path, numbers=numbers)
    (clip,), report = read(tmp_path)
    np.testing.assert_array_equal(clip.keypoints[..., :2], body()[2:6, :, 7:9])
    event = f"numbers 7-8 of a joint taken as depth pixels (512 × 424); numbers 9-10 seem to be {what} pixels"
    assert event in str(report)


def test_two_pairs_of_the_same_picture_ask_which(tmp_path):
    numbers = body()
    numbers[..., 9:] = numbers[..., 7:9] + 40
    write(tmp_path, numbers=numbers)
    message = (
        r"Sample0001_skeleton\.csv: which numbers of a joint are its pixels\? numbers 7-8 are 16\d to 34\d"
    )
    message += (
        r" and 70 to 290: depth pixels; numbers 9-10 are 20\d to 38\d and 110 to 330: depth pixels; set"
    )
    message += r" pixels to one that fits, '7-8' or '9-10', in reader\.json"
    refused(message, tmp_path)
    options(tmp_path, pixels="9-10")
    (clip,), _ = read(tmp_path)
    np.testing.assert_array_equal(clip.keypoints[..., :2], body()[2:6, :, 7:9] + 40)


def test_depth_pixels_are_taken_on_request(tmp_path):
    write(tmp_path)
    options(tmp_path, pixels="7-8")
    (clip,), report = read(tmp_path)
    assert (clip.width, clip.height) == (512, 424)
    np.testing.assert_array_equal(clip.keypoints[..., :2], body()[2:6, :, 7:9])
    event = "numbers 7-8 of a joint taken as depth pixels (512 × 424); numbers 9-10 seem to be colour pixels"
    assert event in str(report)


@pytest.mark.parametrize("numbers", [nine(body()), body() * ([1] * 9 + [0, 0])])
def test_a_pair_on_request_must_be_pixels(tmp_path, numbers):
    write(tmp_path, numbers=numbers)
    options(tmp_path, pixels="9-10")
    refused(r"which numbers of a joint are its pixels\? numbers 7-8 are .*: depth pixels", tmp_path)


# What is missing.


def test_joints_of_zeros_are_missing_and_counted(tmp_path):
    numbers = body()
    numbers[:2] = numbers[4, 3] = numbers[5] = 0
    numbers[3, 7, 9:] = 0
    write(tmp_path, numbers=numbers, rows=[(5, 0, 12)])
    (clip,), report = read(tmp_path)
    present = clip.keypoints[..., 2] == 1
    assert np.argwhere(~present).tolist() == [
        *([t, v] for t in (0, 1) for v in range(25)),
        [3, 7],
        [4, 3],
        *([5, v] for v in range(25)),
    ]
    assert not clip.keypoints[~present].any()
    text = str(report)
    event = "frames of zeros before the first person: all joints missing: Sample0001_skeleton.csv (2 of 12"
    event += " frames)"
    assert event in text
    event = "frames of zeros after the first person: all joints missing: Sample0001_skeleton.csv (1 of 12"
    event += " frames)"
    assert event in text
    event = "joints of zeros in other frames taken as missing: Sample0001_skeleton.csv (1 of 300 joints)"
    assert event in text
    event = "joints with a position in metres and the pixel 0, 0 taken as missing: Sample0001_skeleton.csv"
    event += " (1 of 300)"
    assert event in text
    assert "exactly" not in text


def test_impossible_pixels_are_missing(tmp_path):
    numbers = body()
    numbers[2, 0, 9], numbers[3, 1, 9], numbers[4, 2, 9], numbers[5, 3, 0] = np.inf, np.nan, -1e9, np.nan
    write(tmp_path, numbers=numbers)
    (clip,), report = read(tmp_path)
    assert clip.width == 1920
    assert np.argwhere(clip.keypoints[..., 2] == 0).tolist() == [[0, 0], [1, 1], [2, 2]]
    assert "joints with an empty or infinite cell taken as missing: Sample0001_skeleton.csv" in str(report)
    event = "joints with a coordinate beyond 131072 pixels taken as missing: Sample0001_skeleton.csv"
    assert event in str(report)


def test_frozen_joints_and_repeated_frames_are_counted_and_kept(tmp_path):
    numbers = body()
    numbers[4:7, 3] = numbers[3, 3]
    numbers[9] = numbers[8]
    write(tmp_path, numbers=numbers)
    (clip,), report = read(tmp_path)
    assert (clip.keypoints[..., 2] == 1).all()
    assert (
        "joints exactly at their last place, where the recorder leaves a joint that it lost: taken as found: "
        "Sample0001_skeleton.csv (3 of 300 joints)" in str(report)
    )
    assert "frames exactly as the one before: Sample0001_skeleton.csv (1 of 12 frames)" in str(report)


def test_a_clip_without_any_joint_is_reported(tmp_path):
    numbers = body()
    numbers[2:6] = 0
    write(tmp_path, numbers=numbers)
    assert "1 × no joint was found in any frame: Sample0001_0" in str(read(tmp_path)[1])


# Files that do not fit.


@pytest.mark.parametrize(
    "about", ["numFrames,fps,maxDepth\n12,28,4500\n", "12,28,4500", "\ufeff12.0,28,4500\r\n"]
)
def test_the_number_of_frames_may_stand_below_a_header(tmp_path, about):
    (write(tmp_path) / "Sample0001_data.csv").write_text(about)
    assert "numFrames" not in str(read(tmp_path)[1])


def test_another_number_of_frames_and_a_missing_file_are_reported(tmp_path):
    (write(tmp_path) / "Sample0001_data.csv").write_text("13,28,4500\n")
    (write(tmp_path, "Sample0002") / "Sample0002_data.csv").unlink()
    found, report = read(tmp_path)
    assert len(found) == 2
    event = "1 × numFrames of _data.csv is not the number of rows: check that none is missing:"
    event += " Sample0001_data.csv (13, 12)"
    assert event in str(report)
    event = "1 × people without a file _data.csv: the number of their frames was not checked:"
    event += " Sample0002_data.csv"
    assert event in str(report)


def test_people_without_labels_or_joints_are_left_out_and_reported(tmp_path):
    write(tmp_path)
    (write(tmp_path, "Sample0036") / "Sample0036_finelabels.csv").unlink()
    (write(tmp_path, "Sample0002") / "Sample0002_skeleton.csv").unlink()
    (tmp_path / "smg_rgb_train" / "Sample0001").mkdir(parents=True)  # the same person's video
    found, report = read(tmp_path)
    assert [clip.id for clip in found] == ["Sample0001_0"]
    event = "1 × people without a file _finelabels.csv left out: their segments are unknown: Sample0036"
    assert event in str(report)
    assert "1 × folders without a file _skeleton.csv left out: Sample0002" in str(report)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("finelabels", "18,2,6\n", r"Sample0001_finelabels\.csv: row 0: a class is 1 to 17, found 18"),
        ("finelabels", "1,2,6\n0,2,6\n", r"row 1: a class is 1 to 17, found 0"),
        ("finelabels", "1,2,x\n", "row 0 has end_frame 'x'; expected a whole number"),
        ("finelabels", "", "no clips in it; expected rows of class,start_frame,end_frame"),
        ("data", "x,28,4500\n", r"Sample0001_data\.csv: row 0 has numFrames 'x'; expected a whole number"),
        ("data", "12,28,4500\n12,28,4500\n", "expected one row numFrames,fps,maxDepth of whole numbers"),
        ("data", "12.5,28,4500\n", "row 0 has numFrames '12.5'; expected a whole number"),
        ("data", "", "expected one row numFrames,fps,maxDepth of whole numbers"),
        (
            "skeleton",
            "1,2,3\n",
            r"expected 275 columns \(25 joints × x, y, z, orientation, two pairs of pixels\) or 225 .*, "
            "or 276 or 226 with a first one that counts the frames, found 3; separate the cells by commas",
        ),
        (
            "skeleton",
            ",".join(["0"] * 275) + "\n",
            r"which numbers of a joint are its pixels\? numbers 7-8 are empty: no pixels",
        ),
        ("skeleton", "", "the file is empty; restore it from the release, or remove its folder"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, file, content, message):
    (write(tmp_path) / f"Sample0001_{file}.csv").write_text(content)
    refused(message, tmp_path)


@pytest.mark.parametrize("zeros", [0, 7, 9])
def test_a_first_frame_that_became_a_header_is_refused(tmp_path, zeros):
    """pandas adds .1, .2, … to numbers that it finds twice: joints of zeros would lie inside the first
    pixel."""
    numbers = body()
    numbers[0] = np.random.default_rng(0).uniform(100, 400, (25, 11))  # nothing else is there twice
    numbers[0, 5:7, zeros : zeros + 2 if zeros else None] = 0
    path = write(tmp_path, numbers=numbers) / "Sample0001_skeleton.csv"
    lines = path.read_text().splitlines()
    (header,) = habits.first_row_became_a_header([lines[0].split(",")], np.random.default_rng(1))
    path.write_text("\n".join([",".join(header), *lines[1:]]))
    refused("a joint lies between 0 and 1 pixel in the first row only", tmp_path)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"frames": "1-based"}, r"reader\.json: frames must be one of 'half_open', 'inclusive'"),
        ({"pixels": "colour"}, r"pixels must be one of 'auto', '7-8', '9-10', found 'colour'"),
        (
            {"frame": "inclusive"},
            r"expected a JSON object with 'frames', 'pixels', found .'frame': 'inclusive'",
        ),
    ],
)
def test_a_wrong_choice_is_refused(tmp_path, chosen, message):
    write(tmp_path)
    options(tmp_path, **chosen)
    refused(message, tmp_path)


def test_choices_in_two_places_are_refused(tmp_path):
    options(write(tmp_path / "in"), frames="inclusive")
    options(tmp_path, frames="half_open")
    refused(r"found reader\.json 2 times; keep one of in/Sample0001/reader\.json, reader\.json", tmp_path)


def test_a_person_twice_is_refused(tmp_path):
    write(tmp_path / "experimentWell_skeleton")
    write(tmp_path / "smg_skeleton_train")
    message = r"found Sample0001_skeleton\.csv 2 times; keep one of"
    message += r" experimentWell_skeleton/Sample0001/Sample0001_skeleton\.csv, smg_sk"
    refused(message, tmp_path)


def test_people_that_are_none_of_the_forty_are_refused(tmp_path):
    write(tmp_path, "Sample0041")
    message = r"Sample0041_skeleton\.csv: the people of SMG are Sample0001 to Sample0040, each in a folder of"
    refused(message, tmp_path)
    write(tmp_path / "in", "Sample0002").rename(tmp_path / "in" / "Sample0003")
    refused(r"Sample0003/Sample0002_skeleton\.csv: the people of SMG are", tmp_path / "in")


def test_a_table_that_asks_for_the_whole_recording_again_and_again_is_refused(tmp_path):
    write(tmp_path, rows=[(5, 0, 12)] * 1000)
    refused("Sample0001: its clips have 12,000 frames together, the video has 12", tmp_path)


def test_a_check_collects_the_errors_of_all_people(tmp_path):
    (write(tmp_path / "smg", "Sample0001") / "Sample0001_finelabels.csv").write_text("18,2,6\n")
    (write(tmp_path / "smg", "Sample0002") / "Sample0002_skeleton.csv").write_text("1,2\n")
    write(tmp_path / "smg", "Sample0003")
    text, usable = clips.check(tmp_path / "smg", "kinect25", tmp_path / "outputs")
    assert not usable
    assert "a class is 1 to 17, found 18" in text
    assert "expected 275 columns" in text
    assert "Cannot be used: 2 errors." in text


def test_the_published_arrays_are_refused_by_name(tmp_path):
    np.save(tmp_path / "train_data.npy", np.zeros((2, 3, 60, 25, 1), np.float32))
    assert [name for name, reader in READERS.items() if reader.recognises(tmp_path)] == ["miga23"]
    with pytest.raises(
        DataError,
        match=r"train_data\.npy: has clips of 25 joints, as the arrays of SMG; these have metres",
    ):
        clips.load(tmp_path, "imigue22", tmp_path / "outputs")


def test_no_other_reader_recognises_smg(tmp_path):
    write(tmp_path / "smg_skeleton_train")
    assert [name for name, reader in READERS.items() if reader.recognises(tmp_path)] == ["smg"]
    assert not smg.recognises(tmp_path / "smg_skeleton_train" / "Sample0001" / "Sample0001_skeleton.csv")
    miga.write_video(tmp_path / "other", "train", "0012", np.ones((3, 137, 3), np.float32), [(3, 0, 2)])
    assert not smg.recognises(tmp_path / "other")


# The layout.


def test_joints_are_in_the_order_of_the_sdk():
    names = "spine_base spine_mid spine_neck head".split()
    assert list(KINECT.joints[:4]) == names
    assert [KINECT.joints[v] for v in (4, 7, 8, 11, 15, 19, 20, 21, 22, 23, 24)] == [
        *("left_shoulder", "left_palm", "right_shoulder", "right_palm", "left_foot", "right_foot"),
        *("spine_shoulder", "left_hand_tip", "left_thumb", "right_hand_tip", "right_thumb"),
    ]
    assert KINECT.joints[KINECT.center] == "spine_shoulder"


def test_limbs_are_the_bones_of_public_code():
    chains = [(3, 2, 20, 1, 0), (0, 12, 13, 14, 15), (0, 16, 17, 18, 19), (20, 4, 5, 6, 7), (7, 21), (7, 22)]
    chains += [(20, 8, 9, 10, 11), (11, 23), (11, 24)]
    bones = {frozenset(bone) for chain in chains for bone in itertools.pairwise(chain)}
    assert {frozenset(limb) for limb in KINECT.limbs} == bones
    assert len(KINECT.limbs) == 24


def test_what_moves_together_is_a_region():
    joints = {region: [KINECT.joints[v] for v in members] for region, members in KINECT.regions.items()}
    assert joints["left_hand"] == ["left_palm", "left_hand_tip", "left_thumb"]
    assert joints["torso"] == ["spine_mid", "spine_neck", "left_shoulder", "right_shoulder", "spine_shoulder"]
    assert joints["head"] == ["head"]
