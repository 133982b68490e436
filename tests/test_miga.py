"""The challenge's folders: what is written is read back, and each peculiarity of the release is handled."""

import shutil

import numpy as np
import pandas as pd
import pytest
from reading import reading

from miga_lib import clips, layouts
from miga_lib.readers import DataError, Report, miga

WHOLE = layouts.get("openpose137")
SMALL = layouts.get("imigue22")


def video(frames=6, seed=0):
    """Keypoints with three decimals, as OpenPose writes them; some joints missing."""
    keypoints = np.random.default_rng(seed).uniform(1, 700, (frames, 137, 3)).round(3).astype(np.float32)
    keypoints[..., 2] = np.round(keypoints[..., 2] / 700, 3)
    keypoints[:, ::7] = 0
    return keypoints


@pytest.fixture
def root(tmp_path):
    """Two training videos, one for validation, one for test, unpacked as the archive unpacks."""
    root = tmp_path / "imigue_data_phase1" / "datasets"
    miga.write_video(root, "train", "0012", video(), [(0, 0, 2), (31, 3, 5)])
    miga.write_video(root, "train", "0013", video(seed=1), [(5, 1, 1)], openpose="csv")
    miga.write_video(root, "val", "0001", video(seed=2), [(30, 0, 5)])
    miga.write_video(root, "test", "0200", video(seed=3), [(0, 0, 5), (0, 1, 2)])
    return tmp_path


read, refused = reading(miga, SMALL, by_id=True)


@pytest.mark.parametrize("openpose", ["npy", "csv", "xlsx"])
def test_what_is_written_is_read_back(tmp_path, openpose):
    miga.write_video(tmp_path, "train", "0012", video(), [(3, 1, 4)], openpose)
    clips, _ = read(tmp_path, WHOLE)
    assert np.array_equal(clips["0012_0"].keypoints, video()[1:5])


def test_the_quick_file_gives_the_same_joints_as_the_whole_one(root):
    small, _ = read(root, SMALL)
    whole, _ = read(root, WHOLE)
    chosen = layouts.selection(WHOLE, SMALL)
    for id, clip in small.items():
        assert np.allclose(clip.keypoints, whole[id].keypoints[:, chosen], rtol=1e-5)


def test_clips_are_named_by_video_and_row_with_classes_as_indices(root):
    clips, _ = read(root)
    assert [(clip.id, clip.label, clip.split, len(clip.keypoints)) for clip in clips.values()][:4] == [
        ("0012_0", 0, "train", 3),
        ("0012_1", 31, "train", 3),
        ("0013_0", 5, "train", 1),
        ("0001_0", 30, "val", 6),
    ]


def test_placeholder_labels_of_the_test_split_become_unknown(root):
    clips, report = read(root)
    assert [clip.label for clip in clips.values() if clip.split == "test"] == [-1, -1]
    assert "taken as placeholders" in str(report)
    folder = root / "imigue_data_phase1/datasets/imigue_skeleton_test/0200"
    (folder / "0200_label.csv").write_text("1,0,5\n99,1,2\n")
    assert [clip.label for clip in read(root)[0].values() if clip.split == "test"] == [0, 31]


@pytest.mark.parametrize("inner", ["", "datasets", "imigue_data_phase1/datasets", "a/b"])
def test_splits_are_found_at_any_usual_depth(tmp_path, inner):
    miga.write_video(tmp_path / inner, "train", "0012", video(), [(0, 0, 2)])
    assert list(miga.split_folders(tmp_path)) == ["train"]


def test_both_phases_are_found_and_a_split_folder_alone_will_do(root):
    miga.write_video(root / "imigue_data_phase2", "test", "0300", video(), [(0, 0, 2)])
    with pytest.raises(
        DataError,
        match="found imigue_skeleton_test 2 times; keep one of imigue_data_phase1/datasets/imigue_skeleton",
    ):
        miga.split_folders(root)
    assert list(miga.split_folders(root / "imigue_data_phase2")) == ["test"]
    assert list(miga.split_folders(root / "imigue_data_phase2" / "imigue_skeleton_test")) == ["test"]


@pytest.mark.parametrize(
    "header", ["frame," + ",".join(f"x{i}" for i in range(105)), ",".join(map(str, range(106)))]
)
def test_a_header_row_is_recognised(root, header):
    """A wrong guess would shift every clip by one frame."""
    before, _ = read(root)
    path = root / "imigue_data_phase1/datasets/imigue_skeleton_train/0012/0012_light_hand.csv"
    path.write_text(header + "\n" + path.read_text())
    after, _ = read(root)
    assert np.array_equal(before["0012_1"].keypoints, after["0012_1"].keypoints)


def test_a_first_frame_without_header_is_kept(root):
    path = root / "imigue_data_phase1/datasets/imigue_skeleton_train/0012/0012_light_hand.csv"
    assert len(miga.read_frames(path, layouts.get("light_hand35"), Report())) == 6


def test_body25_file_of_76_columns(tmp_path):
    folder = tmp_path / "imigue_skeleton_train" / "0012"
    miga.write_video(tmp_path, "train", "0012", video(), [(3, 1, 4)])
    (folder / "0012_light_hand.csv").unlink()
    pd.DataFrame(video()[:, :25].reshape(6, 75)).to_csv(folder / "0012_light.csv", header=False)
    clips, _ = read(tmp_path, layouts.get("body25"))
    assert np.allclose(clips["0012_0"].keypoints, video()[1:5, :25])


@pytest.mark.parametrize(
    ("segment", "kept", "event"),
    [
        ((3, 9), [3, 4, 5], "segment clamped to the frames of the video"),
        ((-2, 1), [0, 1], "segment clamped to the frames of the video"),
        ((7, 9), [5], "segment starts after the video's last frame"),
        ((4, 2), [4], "segment ends before it starts"),
        ((0, 5), [0, 1, 2, 3, 4, 5], None),
        ((5, 5), [5], None),
    ],
)
def test_segments_out_of_range_are_clamped_and_counted(tmp_path, segment, kept, event):
    miga.write_video(tmp_path, "train", "0012", video(), [(3, *segment)])
    clips, report = read(tmp_path, WHOLE)
    assert np.array_equal(clips["0012_0"].keypoints, video()[kept])
    assert (event in str(report)) if event else str(report) == "Nothing was skipped, clamped or repaired."


def test_a_clip_without_a_person_is_kept_and_reported(tmp_path):
    miga.write_video(tmp_path, "train", "0012", np.zeros((3, 137, 3), np.float32), [(3, 0, 2)])
    clips, report = read(tmp_path, WHOLE)
    assert len(clips) == 1
    assert "1 × no joint was found in any frame: 0012_0" in str(report)


def test_empty_cells_become_missing_joints(root):
    path = root / "imigue_data_phase1/datasets/imigue_skeleton_train/0012/0012_light_hand.csv"
    lines = path.read_text().splitlines()
    cells = lines[1].split(",")
    cells[1 + 3 * 3] = ""  # x of joint 3 in frame 1
    path.write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]))
    clips, report = read(root)
    assert clips["0012_0"].keypoints[1, 3].tolist() == [0, 0, 0]
    assert clips["0012_0"].keypoints[0, 3].all()
    assert "1 × joints with an empty or infinite cell taken as missing: 0012" in str(report)


def test_the_known_bad_videos_are_skipped_and_reported(tmp_path):
    for name in ("0012", "0319"):
        miga.write_video(tmp_path, "train", name, video(), [(3, 0, 2)])
    (tmp_path / "imigue_skeleton_train/0319/0319_light_hand.csv").write_text("")
    clips, report = read(tmp_path)
    assert list(clips) == ["0012_0"]
    assert "1 × video skipped: its skeleton file is known to be unusable: 0319" in str(report)


def test_subjects_come_from_the_label_table_of_the_full_release(root):
    miga.write_subjects(
        root,
        pd.DataFrame(
            {"video_id": [12], "subject_id": [7], "class": [1], "start_frame": [0], "end_frame": [2]}
        ),
    )
    clips, _ = read(root)
    assert [clips["0012_0"].subject, clips["0013_0"].subject] == ["7", ""]


def test_fingertips_at_the_wrong_wrist_are_reported(tmp_path):
    keypoints = np.ones((3, 137, 3), np.float32) * np.float32([50, 50, 1])
    keypoints[:, WHOLE.joints.index("left_wrist"), :2] = (500, 100)
    keypoints[:, WHOLE.joints.index("right_wrist"), :2] = (100, 100)
    keypoints[:, 95:116, :2] = (110, 100)
    miga.write_video(tmp_path, "train", "0012", keypoints, [(3, 0, 2)])
    assert "fingertips 25–29 are nearer to the right wrist" in str(read(tmp_path)[1])


def broken(root, file, text):
    path = root / "imigue_data_phase1/datasets/imigue_skeleton_train/0012" / f"0012_{file}"
    path.write_text(text)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("light_hand.csv", "", r"0012_light_hand\.csv: the file is empty"),
        (
            "light_hand.csv",
            "\n".join(",".join(["1"] * 107) for _ in range(3)),
            r"expected 105 columns .*, or 106 with a first one that counts the frames, found 107",
        ),
        ("light_hand.csv", "0,1,2\n1,2,3,4\n", r"0012_light_hand\.csv: line 2 has 4 cells and line 1 has 3"),
        (
            "light_hand.csv",
            "\n".join(["0" + "," * 105] * 3),
            "every joint of every frame is empty or not finite",
        ),
        ("label.csv", "40,0,2\n", r"0012_label\.csv: row 0: a class is 1 to 31 or 99, found 40"),
        ("label.csv", "3,0\n", "expected a table with the columns class,start_frame,end_frame, each once"),
        ("label.csv", "3,0,1.5\n", "row 0 has end_frame '1.5'; expected a whole number"),
        ("label.csv", "", r"0012_label\.csv: no clips in it; expected rows of class,start_frame,end_frame"),
    ],
)
def test_a_broken_file_is_named_with_what_is_wrong(root, file, text, message):
    broken(root, file, text)
    with pytest.raises(DataError, match=message) as error:
        read(root)
    assert "\n" not in str(error.value)


def test_41_joints_from_a_file_of_35_names_the_file_that_has_them(root):
    folder = root / "imigue_data_phase1/datasets/imigue_skeleton_train/0012"
    (folder / "0012_openpose.npy").unlink()
    message = r"'imigue41' has 41 joints and needs a file \*_openpose\.npy or .*found \*_light_hand\.csv"
    message += r" \(35 joints\)"
    refused(message, root, layouts.get("imigue41"))


def test_a_missing_label_file_is_named(root):
    (root / "imigue_data_phase1/datasets/imigue_skeleton_train/0012/0012_label.csv").unlink()
    refused(r"0012_label\.csv: no such file", root)


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(
    "first", [",0,2", "nan,0,2", "x,0,2", "NA,0,2", "x,start,end", "gesture,from,to", "class,0,2"]
)
def test_a_first_row_of_labels_is_a_header_only_if_all_its_cells_are_names_of_columns(root, split, first):
    """If it was left out, all ids of the video would move by one."""
    folder = next(root.rglob(f"{miga.SPLIT_FOLDERS[split]}/*"))
    (folder / f"{folder.name}_label.csv").write_text(f"{first}\n3,0,1\n4,2,5\n")
    cell = next(cell for cell in first.split(",") if not cell.isdecimal())
    message = rf"{folder.name}_label\.csv: row 0 has \w+ '{cell}'; expected a whole number: correct the row"
    refused(message, root)


@pytest.mark.parametrize("first", ["0,1,2", "1,2,3"])
def test_numbers_of_columns_above_labels_are_refused(root, first):
    broken(root, "label.csv", f"{first}\n3,0,1\n")
    message = rf"row 0 is {first}, as programs number columns; delete it, or, if it is a row .*, write class,"
    refused(message, root)
    broken(root, "label.csv", "class,start_frame,end_frame\n1,2,3\n")
    assert len(read(root)[0]["0012_0"].keypoints) == 2


@pytest.mark.parametrize(
    "text",
    [
        "\ufeff3,0,1\n4,2,5\n",
        "class,start_frame,end_frame\n3,0,1\n4,2,5\n",
        "\ufeffStart, End, Label\n0,1,3\n2,5,4\n",
        '"3","0","1"\r\n"4","2","5"\r\n',
        "3.0,0.0,1.0\n4,2e0,5\n\n",
    ],
)
def test_labels_of_other_programs_are_the_same_labels(root, text):
    broken(root, "label.csv", text)
    clips, _ = read(root)
    assert [(clips[f"0012_{k}"].label, len(clips[f"0012_{k}"].keypoints)) for k in range(2)] == [
        (2, 2),
        (3, 4),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("3,0,1,\n4,2,5,\n", "expected a table with the columns class,start_frame,end_frame, each once"),
        (",0,1,2\n0,3,0,1\n", "expected a table with the columns"),
        ("3;0;1\n4;2;5\n", "its cells are separated by semicolons; save it as csv with commas"),
        ("3\t0\t1\n4\t2\t5\n", "its cells are separated by tabs; save it as csv with commas"),
        ("3,0,1\n4,2\n", "line 2 has 2 cells and line 1 has 3"),
        ("labels\n3,0,1\n", "line 2 has 3 cells and line 1 has 1; all rows need the same number"),
        ("3,0,1\n\n4,2,5\n", "line 2 is blank; complete it if a row is missing, or delete it"),
        ("class,class,end\n3,0,1\n", "found 'class,class,end_frame'"),
    ],
)
def test_labels_in_another_form_are_refused(root, text, message):
    broken(root, "label.csv", text)
    refused(message, root)


def test_doubled_and_sorted_labels_are_reported_since_their_places_are_ids(root):
    assert "segment" not in str(read(root)[1])
    broken(root, "label.csv", "4,2,5\n3,0,1\n4,2,5\n")
    report = str(read(root)[1])
    event = "1 × videos whose segments are not sorted by start frame: clips are numbered in the order of"
    event += " the rows: 0012"
    assert event in report
    assert "1 × videos with the same segment twice: both rows are clips: 0012" in report


def pack(folder):
    """Move what is in a folder into a new one of the same name in it, as unpacking an archive twice does."""
    inside = list(folder.iterdir())
    (folder / folder.name).mkdir()
    for path in inside:
        path.rename(folder / folder.name / path.name)


def test_folders_in_a_folder_of_their_own_name_are_found(root):
    before, _ = read(root)
    pack(root / "imigue_data_phase1/datasets/imigue_skeleton_train")
    pack(root / "imigue_data_phase1/datasets/imigue_skeleton_train/imigue_skeleton_train/0012")
    after, report = read(root)
    assert list(after) == list(before)
    assert np.array_equal(after["0012_1"].keypoints, before["0012_1"].keypoints)
    assert list(miga.split_folders(root / "imigue_data_phase1/datasets/imigue_skeleton_train")) == ["train"]
    assert "left out" not in str(report)


def test_an_empty_folder_of_a_split_does_not_hide_the_other(root):
    (root / "imigue_data_phase2/imigue_skeleton_test").mkdir(parents=True)
    assert miga.split_folders(root)["test"].parent.name == "datasets"


def test_litter_of_other_programs_is_ignored_and_counted(root):
    before, _ = read(root)
    datasets = root / "imigue_data_phase1/datasets"
    for litter in (
        "__MACOSX/imigue_skeleton_train/0012",
        "imigue_skeleton_train/.ipynb_checkpoints",
        "imigue_skeleton_train/@eaDir/0012",
    ):
        (datasets / litter).mkdir(parents=True)
    (datasets / "imigue_skeleton_train/.DS_Store").touch()
    (root / "__MACOSX/imigue_skeleton_train/0012").mkdir(parents=True)
    after, report = read(root)
    assert list(after) == list(before)
    assert "4 × files and folders of other programs ignored: " in str(report)
    event = "imigue_skeleton_train/.DS_Store, imigue_skeleton_train/.ipynb_checkpoints,"
    event += " imigue_skeleton_train/@eaDir"
    assert event in str(report)


def test_a_copy_of_a_video_folder_is_named(root):
    train = root / "imigue_data_phase1/datasets/imigue_skeleton_train"
    shutil.copytree(train / "0012", train / "0012 - Copy")
    refused(r"0012 - Copy_label\.csv: no such file; .*restore it, or remove the folder", root)


def test_a_folder_without_keypoints_and_labels_is_left_out_and_reported(root):
    before, _ = read(root)
    train = root / "imigue_data_phase1/datasets/imigue_skeleton_train"
    for empty in ("notes/old", "0099", "0100/0100"):
        (train / empty).mkdir(parents=True)
    (train / "notes" / "to do.txt").touch()
    after, report = read(root)
    assert list(after) == list(before)
    event = "3 × folders without keypoints and without labels left out: 0099, 0100, notes"
    assert event in str(report)


@pytest.mark.parametrize(
    ("file", "message"),
    [("0099_label.csv", "0099: layout 'imigue22' has 22 joints and needs a file"),
     ("0099_light_hand.csv", r"0099_label\.csv: no such file"),
     ("unpacked/0099_label.csv", r"0099_label\.csv: no such file")],
)  # fmt: skip
def test_a_folder_with_some_of_its_files_is_refused(root, file, message):
    path = root / "imigue_data_phase1/datasets/imigue_skeleton_train/0099" / file
    path.parent.mkdir(parents=True)
    path.write_text("3,0,1\n")
    refused(message, root)


def test_classes_of_test_clips_that_do_not_exist_are_told(root):
    folder = root / "imigue_data_phase1/datasets/imigue_skeleton_test/0200"
    (folder / "0200_label.csv").write_text("0,0,5\n40,1,2\n0,1,1\n5,0,0\n")
    clips, report = read(root)
    assert [clips[f"0200_{k}"].label for k in range(4)] == [-1, -1, -1, 4]
    event = "2 × classes that do not exist, of test clips: unknown: 0200_label.csv: 0 (2), 0200_label.csv: 40"
    assert event in str(report)


def test_subjects_in_doubt_are_refused_or_reported(root):
    miga.write_subjects(root, pd.DataFrame({"video_id": [12, 12], "subject_id": [7, 7]}))
    event = "2 × videos that labels_20200831.csv does not list: subject unknown: 0001, 0013"
    assert event in str(read(root)[1])
    miga.write_subjects(root, pd.DataFrame({"video_id": [12, 12], "subject_id": [7, 8]}))
    refused(r"labels_20200831\.csv: video '0012' has two subjects; correct the table", root)
    (root / "copy").mkdir()
    (root / "copy" / miga.SUBJECTS_FILE).write_text("video_id,subject_id\n12,7\n")
    refused(r"found labels_20200831\.csv 2 times; keep one of Label/", root)


@pytest.mark.parametrize(
    "name",
    [
        "imigue_skeleton_valid",
        "imigue_skeleton_val",
        "imigue_skeleton_validation",
        "iMiGUE_Skeleton_Validate",
    ],
)
def test_other_names_of_the_validation_folder_are_read(root, name):
    before, _ = read(root)
    datasets = root / "imigue_data_phase1/datasets"
    (datasets / "imigue_skeleton_validate").rename(datasets / name)
    after, _ = read(root)
    assert {id: clip.split for id, clip in after.items()} == {id: clip.split for id, clip in before.items()}
    if name.islower():
        (datasets / "imigue_skeleton_validate" / "0001").mkdir(parents=True)
        refused("found imigue_skeleton_validate 2 times; keep one of", root)


def test_what_lies_beside_the_data_is_named_and_changes_nothing(root):
    before, _ = read(root)
    datasets = root / "imigue_data_phase1/datasets"
    train = datasets / "imigue_skeleton_train"
    for stray in ("imigue_rgb_train/0012", "imigue_skeleton_train (1)/0012", "imigue_skeleton_train/RGB"):
        (datasets / stray).mkdir(parents=True)
    for stray in ("0012/0012.mp4", "0012/0012.npy", "RGB/0012.mp4"):
        (train / stray).touch()
    after, report = read(root)
    assert list(after) == list(before)
    assert all(np.array_equal(after[id].keypoints, before[id].keypoints) for id in before)
    for event in (
        "2 × folders beside those of the splits not read: imigue_rgb_train, imigue_skeleton_train (1)",
        "1 × other files in the folders of videos not read: '.mp4': 0012",
        "1 × other files in the folders of videos not read: '.npy': 0012",
        "1 × folders without keypoints and without labels left out: RGB",
    ):
        assert event in str(report)


def test_a_video_in_a_renamed_folder_has_the_name_of_its_files(root):
    before, _ = read(root)
    train = root / "imigue_data_phase1/datasets/imigue_skeleton_train"
    (train / "0012").rename(train / "12")
    after, report = read(root)
    assert set(after) == set(before)
    assert "1 × folders with files of another name: the video has theirs: 12 (0012)" in str(report)


def test_test_videos_without_label_files_are_recordings_without_gestures(root, tmp_path):
    test = root / "imigue_data_phase1/datasets/imigue_skeleton_test"
    miga.write_video(root / "imigue_data_phase1/datasets", "test", "0201", video(seed=4), [(0, 0, 1)])
    for label_file in test.glob("*/*_label.csv"):
        label_file.unlink()
    found, report = read(root)
    assert [clip.id for clip in found.values() if clip.split == "test"] == ["0200", "0201"]
    assert found["0200"].label == -1
    assert "2 × test videos without a label file: each is one clip of unknown class: 0200, 0201" in str(
        report
    )
    of_videos = clips.load_recordings(root, "imigue22", tmp_path / "outputs")
    assert of_videos.split("test").table["id"].tolist() == ["0200", "0201"]
    assert set(of_videos.segments["video"]) == {"0012", "0013", "0001"}
    loaded = clips.load(root, "imigue22", tmp_path / "outputs")
    assert of_videos.cut().table["id"].tolist() == loaded.table["id"].tolist()
    assert of_videos.cut().table["split"].tolist() == loaded.table["split"].tolist()
    train = root / "imigue_data_phase1/datasets/imigue_skeleton_train"
    (train / "0012" / "0012_label.csv").unlink()
    refused(r"0012_label\.csv: no such file; each video folder needs its label file", root)
