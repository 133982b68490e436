"""Tables of keypoints from many programs: csv and xlsx by the same rules; every frame at its place, or a
message."""

import csv

import numpy as np
import openpyxl
import pytest

from miga_lib import layouts
from miga_lib.readers import DataError, Report, miga, tables, untrusted

SMALL = layouts.make("two_joints", ["nose", "neck"], [(0, 1)], "neck")
ROWS = [[f"{100 * t + 7 * c}.5" for c in range(6)] for t in range(10)]
"""Ten frames of two joints, x, y and score: 0.5, 7.5, …, then 100.5, …"""
FRAMES = np.array(ROWS, dtype=np.float32).reshape(10, 2, 3)
INDEXED = [[str(t), *row] for t, row in enumerate(ROWS)]


def save(folder, rows, kind="csv"):
    path = folder / f"a.{kind}"
    if kind == "csv":
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    else:
        workbook = openpyxl.Workbook()
        for row in rows:
            workbook.active.append([None if cell == "" else cell for cell in row])
        workbook.save(path)
    return path


def read(path):
    report = Report()
    return miga.read_frames(path, SMALL, report), report.events


def refused(message, *arguments):
    with pytest.raises(DataError, match=message):
        read(*arguments)


KINDS = pytest.mark.parametrize("kind", ["csv", "xlsx"])


@KINDS
@pytest.mark.parametrize("row", [0, 7])
@pytest.mark.parametrize("cell", ["NA", "null", "-", " ", "", "nan"])
def test_a_cell_without_a_value_is_a_missing_joint_in_any_row(tmp_path, kind, row, cell):
    rows = [list(cells) for cells in ROWS]
    rows[row][1] = cell
    frames, events = read(save(tmp_path, rows, kind))
    expected = FRAMES.copy()
    expected[row, 0] = 0
    assert np.array_equal(frames, expected)
    assert events == {"joints with an empty or infinite cell taken as missing": [f"a.{kind}"]}


@KINDS
@pytest.mark.parametrize("row", [0, 7])
@pytest.mark.parametrize("cell", ["x", "TRUE", "false", "12,5", "1.2.3", "#DIV/0"])
def test_any_other_text_is_refused_in_any_row(tmp_path, kind, row, cell):
    rows = [list(cells) for cells in ROWS]
    rows[row][1] = cell
    message = rf"a\.{kind}: line {row + 1}, column 2 holds '{cell}'; expected a number"
    refused(message, save(tmp_path, rows, kind))


@KINDS
@pytest.mark.parametrize("truth", [True, False])
def test_a_column_of_true_or_false_is_refused(tmp_path, kind, truth):
    """As a program writes whether a joint was seen."""
    rows = [[*row[:5], truth] for row in ROWS]
    refused(rf"a\.{kind}: line 1, column 6 holds '?{truth}'?; expected a number", save(tmp_path, rows, kind))


@KINDS
def test_quoted_numbers_are_numbers(tmp_path, kind):
    path = save(tmp_path, ROWS, kind)
    if kind == "csv":
        path.write_text("\n".join(",".join(f'"{cell}"' for cell in row) for row in ROWS))
    assert np.array_equal(read(path)[0], FRAMES)


@KINDS
@pytest.mark.parametrize(
    ("above", "rows"),
    [
        ([["x0", "y0", "s0", "x1", "y1", "s1"]], ROWS),
        ([["", *"012345"]], INDEXED),
        ([["", *"123456"]], INDEXED),
        ([["frame", *"012345"]], INDEXED),
        ([[*"0123456"]], INDEXED),
        ([["Video 12", *[""] * 5], ["x0", "y0", "s0", "x1", "y1", "s1"]], ROWS),
        ([["Video 12", *[""] * 5], [""] * 6, ["x0", "", "", "x1", "", ""]], ROWS),
    ],
)
def test_titles_and_headers_are_left_out_and_reported(tmp_path, kind, above, rows):
    frames, events = read(save(tmp_path, above + rows, kind))
    assert np.array_equal(frames, FRAMES)
    assert events == {"title or header rows left out": [f"a.{kind} ({len(above)})"]}


def test_a_title_of_one_cell_may_stand_above_a_csv(tmp_path):
    frames, events = read(save(tmp_path, [["exported by hand"], [], *INDEXED]))
    assert np.array_equal(frames, FRAMES)
    assert list(events) == ["title or header rows left out", "empty rows without a frame index left out"]


@KINDS
def test_an_empty_row_below_a_header_is_refused_without_an_index(tmp_path, kind):
    message = "the row below the header is empty; delete it, or write a frame without a person as zeros"
    refused(message, save(tmp_path, [["x0", "y0", "s0", "x1", "y1", "s1"], [""] * 6, *ROWS], kind))


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_a_byte_order_mark_is_no_header(tmp_path, line_end):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbf" + line_end.join(map(",".join, ROWS)).encode())
    assert np.array_equal(read(path)[0], FRAMES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("\n".join(map(",".join, ROWS)).encode("utf-16"), "is not text in UTF-8"),
        (b"\xff,1,2,3,4,5\n1,2,3,4,5,6\n", "line 1, column 1 holds '�'; expected a number"),
        (
            "\n".join(map(";".join, ROWS)).encode(),
            "line 1, column 1 holds '0.5;7.5;.*expected a number.*separate cells by commas",
        ),
        (b'0,1,2,3,"4,5\n1,2,3,4,5,6\n', "line 1 has|not a csv table"),
    ],
)
def test_other_encodings_and_separators_are_refused(tmp_path, content, message):
    (tmp_path / "a.csv").write_bytes(content)
    refused(message, tmp_path / "a.csv")


@KINDS
@pytest.mark.parametrize("rows", [ROWS, INDEXED])
def test_empty_columns_at_the_end_are_left_out_and_reported(tmp_path, kind, rows):
    rows = [[*row, "", ""] if kind == "csv" else row for row in rows]
    frames, events = read(save(tmp_path, rows, kind))
    assert np.array_equal(frames, FRAMES)
    assert events == ({"empty columns at the end left out": ["a.csv (2)"]} if kind == "csv" else {})


@KINDS
@pytest.mark.parametrize(
    "rows",
    [
        [[*row, "1"] for row in ROWS],
        [[*row, "7"] for row in INDEXED],
        [["12", *row] for row in ROWS],
        [["", *row] for row in ROWS],
        [[*row, str(t)] for t, row in enumerate(ROWS)],
        [[row[0], *row] for row in ROWS],
        [[str(9 - t), *row] for t, row in enumerate(INDEXED)],
    ],
    ids=[
        "at the end",
        "at the end of an index",
        "of one value",
        "empty",
        "index at the end",
        "doubled",
        "two indices",
    ],
)
def test_a_first_column_is_an_index_only_if_it_counts(tmp_path, kind, rows):
    message = r"expected 6 columns \(2 joints × x, y, score\), or 7 with a first one that counts the"
    message += r" frames, found"
    refused(message, save(tmp_path, rows, kind))


@KINDS
def test_an_index_that_two_programs_wrote_is_one(tmp_path, kind):
    assert np.array_equal(
        read(save(tmp_path, [[str(t), *row] for t, row in enumerate(INDEXED)], kind))[0], FRAMES
    )


@KINDS
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [row[:-1] for row in INDEXED],
            "its first column counts the frames, so a column of the 2 joints is missing",
        ),
        (
            [[*row[:4], *row[5:], ""] for row in INDEXED],
            "joint 1 has an empty column beside a filled one|its first column counts the frames, so a column",
        ),
    ],
)
def test_a_lost_column_is_refused(tmp_path, kind, rows, message):
    refused(message, save(tmp_path, rows, kind))


@KINDS
@pytest.mark.parametrize(
    ("rows", "event"),
    [
        (INDEXED[::-1], "rows put into the order of their frame index"),
        (
            [INDEXED[t] for t in (3, 1, 4, 0, 5, 9, 2, 6, 8, 7)],
            "rows put into the order of their frame index",
        ),
        ([row for row in INDEXED for _ in range(2)], "rows of a frame that was there before left out"),
        ([*INDEXED[:4], [""] * 7, *INDEXED[4:]], "empty rows without a frame index left out"),
        ([[str(t + 1), *row] for t, row in enumerate(ROWS)], tables.FROM_1),
    ],
)
def test_the_index_decides_which_frame_a_row_is(tmp_path, kind, rows, event):
    frames, events = read(save(tmp_path, rows, kind))
    assert np.array_equal(frames, FRAMES)
    assert list(events) == [event]


@KINDS
def test_an_index_from_1_and_a_lost_first_row_look_the_same_so_the_report_says_both(tmp_path, kind):
    frames, events = read(save(tmp_path, INDEXED[1:], kind))
    assert np.array_equal(frames, FRAMES[1:])
    (event,) = events
    assert "taken as the first frame; if these videos are numbered from 0, their first row is lost" in event


@KINDS
def test_frames_that_the_index_does_not_have_are_missing(tmp_path, kind):
    frames, events = read(save(tmp_path, [*INDEXED[:3], *INDEXED[5:]], kind))
    expected = FRAMES.copy()
    expected[3:5] = 0
    assert np.array_equal(frames, expected)
    assert events == {"frames that the index has no row for: all joints missing": [f"a.{kind} (2 of 10)"]}


@KINDS
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*INDEXED, ["4", *ROWS[5]]], "frame index 4 is there twice, with different joints"),
        ([*INDEXED[:4], ["", *ROWS[4]], *INDEXED[5:]], "row 4 has joints and no frame index"),
    ],
)
def test_an_index_in_doubt_is_refused(tmp_path, kind, rows, message):
    refused(message, save(tmp_path, rows, kind))


def test_blank_lines_without_an_index_are_refused_except_at_the_end(tmp_path):
    message = "has 1 blank lines between its rows, and no frame index; delete them"
    refused(message, save(tmp_path, [*ROWS[:4], [], *ROWS[4:]]))
    assert np.array_equal(read(save(tmp_path, [*ROWS, [], []]))[0], FRAMES)


@KINDS
def test_empty_rows_without_an_index_are_reported(tmp_path, kind):
    frames, events = read(save(tmp_path, [[""] * 6, *ROWS[1:], *([[""] * 6] * (kind == "csv"))], kind))
    assert np.array_equal(frames[1:], FRAMES[1:])
    assert not frames[0].any()
    ends = {"empty rows at the end left out": ["a.csv (1)"]} if kind == "csv" else {}
    empty = {"empty rows taken as frames without a person": [f"a.{kind} (1 of 10)"]}
    assert events == ends | empty | {"joints with an empty or infinite cell taken as missing": [f"a.{kind}"]}


@KINDS
def test_rows_of_different_length_are_refused(tmp_path, kind):
    """A lost cell moves all later cells of its row. A workbook has no end of a row, only an empty last
    cell."""
    rows = [list(row) for row in INDEXED]
    del rows[4][3]
    if kind == "csv":
        refused("line 5 has 6 cells and line 1 has 7; all rows need the same number", save(tmp_path, rows))
    else:
        assert list(read(save(tmp_path, rows, kind))[1]) == [
            "joints with an empty or infinite cell taken as missing"
        ]


@KINDS
def test_a_first_frame_that_became_a_header_is_refused(tmp_path, kind):
    """Pandas writes doubled names of columns as 0, 0.1, 0.2: a missing joint gets coordinates."""
    rows = [["0", "0.1", "0.2", *ROWS[0][3:]], *ROWS[1:]]
    refused("a joint lies between 0 and 1 pixel in the first row only", save(tmp_path, rows, kind))


def test_a_workbook_of_several_sheets_is_reported(tmp_path):
    path = save(tmp_path, ROWS, "xlsx")
    workbook = openpyxl.load_workbook(path)
    workbook.create_sheet("notes")
    workbook.save(path)
    assert read(path)[1] == {"workbooks with several sheets: the first one was read": ["a.xlsx ('Sheet')"]}


def test_a_workbook_without_frames_is_refused(tmp_path):
    refused(r"a\.xlsx: no frames in it; restore the file", save(tmp_path, [], "xlsx"))


@pytest.mark.parametrize("shape", [(10, 6), (10, 2, 3)])
def test_an_array_has_frames_first_and_values_last(tmp_path, shape):
    np.save(tmp_path / "a.npy", FRAMES.reshape(shape))
    assert np.array_equal(read(tmp_path / "a.npy")[0], FRAMES)
    np.save(tmp_path / "a.npy", FRAMES.transpose(0, 2, 1))
    message = r"expected an array \(frames, 3 × joints\) or \(frames, joints, 3\), found shape \(10, 3, 2\)"
    refused(message, tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1," * 2_500_000 + b"1", "has a line of 5,000,001 bytes, at most 65,536 are read"),
        (b"1," * 3000 + b"1", "has a line of 3,001 cells, at most 2,000 are read"),
        (b"title\n" + b"1," * 3000 + b"1", "has a line of 3,001 cells, at most 2,000 are read"),
        (b"\n" * 1_000_001, "has more than 1,000,000 lines"),
        (b"\r" * 1_000_001, "has more than 1,000,000 lines"),
        (b'"' + b"1" * 200_000, "has a line of 200,001 bytes"),
    ],
)
def test_a_table_is_bounded_before_it_is_parsed(tmp_path, content, message, monkeypatch):
    monkeypatch.setattr(untrusted.pd, "read_csv", lambda *_, **__: pytest.fail("it was parsed"))
    (tmp_path / "a.csv").write_bytes(content)
    for parse in (read, untrusted.rows):
        with pytest.raises(DataError, match=rf"a\.csv: {message}"):
            parse(tmp_path / "a.csv")
