"""The full release: workbooks read once, clips named by video and row, and the official split between
subjects."""

import numpy as np
import pandas as pd
import pytest
from reading import reading

from miga_lib import clips, labels, layouts
from miga_lib.readers import DataError, miga, release

WHOLE = layouts.get("openpose137")
COLUMNS = ["video_id", "subject_id", "class", "start_frame", "end_frame", "win_or_lose"]


def video(frames=6, seed=0):
    keypoints = np.random.default_rng(seed).uniform(1, 700, (frames, 137, 3)) * [1, 1, 1 / 700]
    return keypoints.round(3).astype(np.float32)


def write(root, videos, rows):
    """Videos {id: keypoints} and rows of the label table, as the release has them."""
    for name, keypoints in videos.items():
        folder = root / "mg_skeleton_only" / name
        folder.mkdir(parents=True)
        table = pd.DataFrame(keypoints.reshape(len(keypoints), -1)).astype(float).round(3)
        table.to_excel(folder / f"{name}_2.xlsx", header=False, index=False)
    miga.write_subjects(root, pd.DataFrame(rows, columns=COLUMNS))


@pytest.fixture
def root(tmp_path):
    """Subject 2 trains, subject 1 tests."""
    rows = [(12, 2, 1, 0, 2, 1), (7, 1, 99, 1, 1, 0), (12, 2, 99, 3, 5, 1)]
    write(tmp_path / "release", {"0007": video(seed=1), "0012": video()}, rows)
    return tmp_path / "release"


read, refused = reading(release, WHOLE, by_id=True)


def test_synthetic_clips_make_the_round_trip(smoke_outputs, tmp_path):
    smoke = clips.load("synthetic-smoke", "openpose137", smoke_outputs)
    smoke = smoke.where(range(0, len(smoke), 4))
    videos, rows = {}, []
    for name, of in smoke.table.reset_index(drop=True).groupby("video"):
        videos[name] = np.concatenate([smoke[i] for i in of.index])
        ends = of["frames"].cumsum()
        rows += zip(
            of["video"],
            of["subject"],
            of["label"].map(labels.to_file),
            ends - of["frames"],
            ends - 1,
            [0] * len(of),
            strict=True,
        )
    write(tmp_path / "in", videos, rows)
    again = clips.load(tmp_path / "in", "openpose137", tmp_path / "outputs")
    assert again.table["label"].tolist() == smoke.table["label"].tolist()
    assert again.table["subject"].tolist() == smoke.table["subject"].tolist()
    assert all(np.array_equal(again[i], smoke[i]) for i in range(len(smoke)))
    assert (again.table["split"] == "test").tolist() == (smoke.table["split"] == "test").tolist()


def test_clips_are_named_by_video_and_row_and_split_by_subject(root):
    found, report = read(root)
    about = {
        id: (clip.label, clip.split, clip.video, clip.subject, len(clip.keypoints))
        for id, clip in found.items()
    }
    assert about == {
        "0007_0": (31, "test", "0007", "1", 1),
        "0012_0": (0, "train", "0012", "2", 3),
        "0012_1": (31, "train", "0012", "2", 3),
    }
    assert np.array_equal(found["0012_1"].keypoints, video()[3:6])
    assert str(report) == "Nothing was skipped, clamped or repaired."


def test_empty_rows_at_the_top_are_frames(root):
    """A workbook's reader may leave out an empty beginning: every clip would come too early."""
    empty = video()
    table = pd.DataFrame(empty.reshape(6, -1)).astype(object)
    table.iloc[:2] = None
    import openpyxl

    workbook = openpyxl.Workbook()
    for row in table.to_numpy().tolist():
        workbook.active.append(row)
    workbook.save(root / "mg_skeleton_only/0012/0012_2.xlsx")
    found, report = read(root)
    assert np.array_equal(found["0012_1"].keypoints, video()[3:6])
    assert not found["0012_0"].keypoints[:2].any()
    assert "taken as missing: 0012" in str(report)


def test_there_are_37_training_and_35_test_subjects():
    assert (len(release.TRAINING_SUBJECTS), len(release.TEST_SUBJECTS)) == (37, 35)
    assert sorted(release.TRAINING_SUBJECTS + release.TEST_SUBJECTS) == list(range(1, 73))


def test_the_workbooks_are_read_once_for_all_layouts(root, tmp_path, monkeypatch):
    first = clips.load(root, "imigue22", tmp_path / "outputs")
    monkeypatch.setattr(release, "read", lambda *_: pytest.fail("the workbooks were read again"))
    second = clips.load(root, "imigue41", tmp_path / "outputs")
    assert np.array_equal(second.keypoints[:, :22], first.keypoints)
    assert isinstance(second.keypoints, np.memmap)
    assert second.report == first.report
    with pytest.raises(DataError, match="needs 1 joints that 'openpose137' does not have"):
        clips.load(root, layouts.make("tail", ["nose", "tail"], [(0, 1)], "nose"), tmp_path / "outputs")


def test_a_changed_label_table_beside_the_skeletons_is_read_again(root, tmp_path):
    of_skeletons = root / "mg_skeleton_only"
    assert clips.load(of_skeletons, "imigue22", tmp_path / "outputs").table["label"].tolist() == [31, 0, 31]
    miga.write_subjects(root, pd.DataFrame([(12, 2, 5, 0, 2, 1)], columns=COLUMNS))
    assert clips.load(of_skeletons, "imigue22", tmp_path / "outputs").table["label"].tolist() == [4]


def test_what_has_no_counterpart_is_left_out_and_reported(root):
    miga.write_subjects(root, pd.DataFrame([(12, 2, 1, 0, 2, 1), (13, 2, 1, 0, 2, 1)], columns=COLUMNS))
    found, report = read(root)
    assert list(found) == ["0012_0"]
    assert "labelled videos without a skeleton folder left out: 0013" in str(report)
    assert "skeleton folders without labels left out: 0007" in str(report)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((12, 73, 1, 0, 2, 1), r"labels_20200831\.csv: row 0 has subject_id '73'; a subject is 1 to 72"),
        ((12, 2, 32, 0, 2, 1), "row 0 has class '32'; a class is 1 to 31 or 99"),
        ((12, 2, 1, "x", 2, 1), "row 0 has start_frame 'x'; expected a whole number"),
        ((12, 2, 1, 0, 2.5, 1), "row 0 has end_frame '2.5'; expected a whole number"),
    ],
)
def test_a_wrong_label_is_named(root, row, message):
    miga.write_subjects(root, pd.DataFrame([row], columns=COLUMNS))
    refused(message, root)


def test_a_missing_workbook_or_table_is_named(root):
    (root / "mg_skeleton_only/0012/0012_2.xlsx").unlink()
    refused(r"0012_2\.xlsx: cannot be read \(No such file", root)
    (root / "Label" / miga.SUBJECTS_FILE).unlink()
    message = r"expected labels_20200831\.csv once beside mg_skeleton_only, as in Label/, found it 0 times"
    refused(message, root)


def test_a_release_beside_the_challenge_asks_which(root):
    miga.write_video(root, "train", "0012", video(), [(0, 0, 2)])
    with pytest.raises(DataError, match="could be any of miga, release"):
        clips.load(root)


def pack(folder):
    inside = list(folder.iterdir())
    (folder / folder.name).mkdir()
    for path in inside:
        path.rename(folder / folder.name / path.name)


def test_nested_folders_are_found_and_litter_is_counted(root):
    before, _ = read(root)
    for folder in ("mg_skeleton_only/0012", "mg_skeleton_only", "Label"):
        pack(root / folder)
    (root / "__MACOSX/mg_skeleton_only/0012").mkdir(parents=True)
    (root / "mg_skeleton_only/mg_skeleton_only/@eaDir").mkdir()
    after, report = read(root)
    assert list(after) == list(before)
    event = f"2 × files and folders of other programs ignored: {root.name}/__MACOSX, mg_skeleton_only/@eaDir"
    assert event in str(report)


def test_two_folders_of_skeletons_are_refused(root):
    (root / "old/mg_skeleton_only").mkdir(parents=True)
    refused("found mg_skeleton_only 2 times; keep one of mg_skeleton_only, old/mg_skeleton_only", root)


def test_labels_that_were_sorted_are_reported(root):
    """Their order is the number in the clip's id."""
    miga.write_subjects(
        root, pd.DataFrame([(12, 2, 99, 3, 5, 1), (12, 2, 1, 0, 2, 1), (7, 1, 99, 1, 1, 0)], columns=COLUMNS)
    )
    event = "1 × videos whose segments are not sorted by start frame: clips are numbered in the order of"
    event += " the rows: 0012"
    assert event in str(read(root)[1])


def test_a_header_in_a_workbook_is_no_frame(root):
    table = pd.DataFrame(video().reshape(6, -1)).astype(object)
    miga_rows = [[f"{'xys'[c % 3]}{c // 3}" for c in range(411)], *table.to_numpy().tolist()]
    import openpyxl

    workbook = openpyxl.Workbook()
    for row in miga_rows:
        workbook.active.append(row)
    workbook.save(root / "mg_skeleton_only/0012/0012_2.xlsx")
    found, report = read(root)
    assert np.array_equal(found["0012_1"].keypoints, video()[3:6])
    assert "1 × title or header rows left out: 0012_2.xlsx (1)" in str(report)


@pytest.mark.parametrize("suffix", [".npy", ".csv"])
def test_keypoints_kept_as_arrays_or_text_give_the_same_clips(root, suffix):
    before, _ = read(root)
    for path in (root / "mg_skeleton_only").glob("*/*.xlsx"):
        table = pd.read_excel(path, header=None, engine="calamine")
        if suffix == ".npy":
            np.save(path.with_suffix(suffix), table.to_numpy())
        else:
            table.to_csv(path.with_suffix(suffix), header=False, index=False)
        path.unlink()
    after, _ = read(root)
    assert list(after) == list(before)
    assert all(np.array_equal(after[id].keypoints, before[id].keypoints) for id in before)
