"""Submissions are complete, sorted and read back; other archives are refused."""

import csv
import zipfile

import pytest
from test_ensemble import make

from miga_lib.ensemble import submissions

THREE = make([("1_0", 0, 0.9), ("1_1", 1, 0.6), ("2_0", 1, 0.2)])


@pytest.mark.parametrize(
    ("year", "archive", "table", "rows"),
    [
        (2023, "Submission.zip", "Submission.csv", [["0002_0", "1"], ["0010_2", "0"], ["0010_10", "1"]]),
        (
            2026,
            "prediction.zip",
            "prediction.csv",
            [["Id", "Target"], ["0002_0", "1"], ["0010_2", "0"], ["0010_10", "1"]],
        ),
    ],
)
def test_a_submission_is_sorted_by_video_and_number(tmp_path, year, archive, table, rows):
    predictions = make([("0010_10", -1, 0.1), ("0010_2", -1, 0.9), ("0002_0", -1, 0.3)])
    path = submissions.write(predictions, tmp_path, year)
    assert path == tmp_path / archive
    with zipfile.ZipFile(path) as file:
        assert file.namelist() == [table]
        assert list(csv.reader(file.read(table).decode().splitlines())) == rows
    assert submissions.read(path) == {"0002_0": 1, "0010_2": 0, "0010_10": 1}
    assert [p.name for p in tmp_path.iterdir()] == [archive]


def test_a_submission_must_be_of_the_test_split(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"exactly the 3 clips of the test split; 1 are missing and 1 are not of it \(such as 2_0\)",
    ):
        submissions.write(THREE, tmp_path, ids=["1_0", "1_1", "7_7"])
    with pytest.raises(ValueError, match="ids of a submission must be <video>_<number>, found 'clip'"):
        submissions.write(make([("clip", 0, 0.5)]), tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("table", "text", "message"),
    [
        ("Submission.csv", "1_0,1\n1_0,2\n", "ids must be unique, found 1 again"),
        ("Submission.csv", "1_0\n", r"rows must be <id>,<class index>, found '1_0'"),
        ("Submission.csv", "Id,Target\n1_0,1\n", r"rows must be <id>,<class index>, found 'Id,Target'"),
        ("prediction.csv", "1_0,1\n", "prediction.csv must begin with Id,Target, found 1_0,1"),
        ("prediction.csv", "", "prediction.csv must begin with Id,Target, found nothing"),
        ("answers.csv", "", "must contain one table, Submission.csv or prediction.csv, found answers.csv"),
    ],
)
def test_another_archive_is_refused(tmp_path, table, text, message):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr(table, text)
    with pytest.raises(ValueError, match=rf"x\.zip: .*{message}"):
        submissions.read(tmp_path / "x.zip")


def test_an_archive_that_unpacks_to_far_more_than_a_submission_is_refused_unread(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("Submission.csv", b"1_0,1\n" * 1_400_000)
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("it was unpacked"))
    with pytest.raises(
        ValueError, match=r"x\.zip: Submission\.csv has 8,400,000 bytes, at most 8,000,000 are read"
    ):
        submissions.read(tmp_path / "x.zip")


def test_an_archive_that_does_not_read_back_is_not_left_behind(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "read", lambda path: {"1_0": 0})
    with pytest.raises(RuntimeError, match="must have the 3 rows that were written, read back 1"):
        submissions.write(THREE, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"id,class", b"PK\x03\x04" + 50 * b"\0"])
def test_a_file_that_is_no_archive_is_refused_by_its_path(tmp_path, content):
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(
        ValueError,
        match=r"x\.zip: not a submission archive \(.*\); give a Submission\.zip or prediction\.zip",
    ):
        submissions.read(tmp_path / "x.zip")


def test_a_long_row_is_refused_in_a_short_line(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("Submission.csv", "1_0," + 5000 * "a")
    with pytest.raises(ValueError, match="rows must be <id>,<class index>") as refused:
        submissions.read(tmp_path / "x.zip")
    assert len(str(refused.value)) < 400 + len(str(tmp_path))
