"""What people do to good files: other programs save them, rows are sorted, titles added, folders packed. No
other clips in silence."""

import csv
import io
import json
import pickle
import shutil
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import fuzzing
import joblib
import numpy as np
import python_calamine
from hypothesis import strategies as st

from miga_lib import layouts
from miga_lib.readers import DataError, Report, checks, folders, miga, openpose, pyskl, videos

HABITS = st.lists(
    st.tuples(st.integers(0, 999), st.integers(0, 999), st.integers(0, 2**16)), min_size=1, max_size=3
)
"""Which file, which of its habits, and the seed of the habit's choices; one to three times."""

SOURCE = "source"
LONG = "very long " * 99
Rows = list[list]


def _at(rng: np.random.Generator, rows: Rows) -> int:
    """Some row, often the first."""
    return int(rng.integers(len(rows))) if rng.integers(2) else 0


# Of any table: its rows, and then its rows afterwards.


def spreadsheet_title(rows: Rows, rng: np.random.Generator) -> Rows:
    return [["Video 12", *[""] * (len(rows[0]) - 1)], *[[""] * len(rows[0])] * int(rng.integers(2)), *rows]


def title(rows: Rows, rng: np.random.Generator) -> Rows:
    return [["exported by hand"], *[[]] * int(rng.integers(2)), *rows]


def names_above(rows: Rows, rng: np.random.Generator) -> Rows:
    return [[f"{'xys'[c % 3]}{c // 3}" for c in range(len(rows[0]))], *rows]


def numbers_above(rows: Rows, rng: np.random.Generator) -> Rows:
    """Pandas counts columns from 0, R from 1; the place above an index is empty."""
    first, empty = rng.integers(2), int(rng.integers(2))
    return [[""] * empty + [str(first + c) for c in range(len(rows[0]) - empty)], *rows]


def index_in_front(rows: Rows, rng: np.random.Generator) -> Rows:
    first = int(rng.integers(2))
    return [[str(number), *row] for number, row in enumerate(rows, first)]


def comma_at_the_end(rows: Rows, rng: np.random.Generator) -> Rows:
    return [[*row, ""] for row in rows]


def comma_in_a_row(rows: Rows, rng: np.random.Generator) -> Rows:
    rows[_at(rng, rows)].append("")
    return rows


def column_at_the_end(rows: Rows, rng: np.random.Generator) -> Rows:
    note = [str(rng.choice(["blurred", "1", "0.5"])) if rng.integers(3) else "" for _ in rows]
    return [[*row, cell] for row, cell in zip(rows, note, strict=True)]


def column_in_front(rows: Rows, rng: np.random.Generator) -> Rows:
    cell = str(rng.choice(["", "0012", "0"]))
    return [[cell, *row] for row in rows]


def column_lost(rows: Rows, rng: np.random.Generator) -> Rows:
    column = int(rng.integers(1, max(len(rows[0]), 2)))
    return [row[:column] + row[column + 1 :] for row in rows]


def cell_lost(rows: Rows, rng: np.random.Generator) -> Rows:
    row = rows[_at(rng, rows)]
    del row[max(len(row) - 1, 1) :]  # without any cell, the last row would be a blank line, which is none
    return rows


def empty_row(rows: Rows, rng: np.random.Generator) -> Rows:
    rows.insert(_at(rng, rows) if rng.integers(3) else len(rows), [""] * len(rows[0]))
    return rows


def blank_line(rows: Rows, rng: np.random.Generator) -> Rows:
    rows.insert(_at(rng, rows) if rng.integers(3) else len(rows), [])
    return rows


def first_row_became_a_header(rows: Rows, rng: np.random.Generator) -> Rows:
    """``pd.read_csv(path).to_csv(path)``: doubled names get .1, .2 and so on."""
    seen: dict[str, int] = {}
    header = []
    for cell in (f"{cell:g}" if isinstance(cell, float) else str(cell) for cell in rows[0]):
        header.append(f"{cell}.{seen[cell]}" if cell in seen else cell)
        seen[cell] = seen.get(cell, 0) + 1
    indexed = int(rng.integers(2))
    return [[""] * indexed + header, *([str(number)] * indexed + row for number, row in enumerate(rows[1:]))]


def numbers_as_text(rows: Rows, rng: np.random.Generator) -> Rows:
    return [[f" {cell}" if rng.integers(2) else str(cell) for cell in row] for row in rows]


def numbers_in_another_form(rows: Rows, rng: np.random.Generator) -> Rows:
    form = str(rng.choice([".3f", ".1e", ".6e", "+.3f"]))

    def formed(cell):
        if isinstance(cell, bool):  # no number, and programs leave it so
            return cell
        try:
            return format(float(cell), ".9e" if form == ".1e" else form)
        except ValueError:
            return cell

    return [[formed(cell) for cell in row] for row in rows]


def bad_cell(rows: Rows, rng: np.random.Generator) -> Rows:
    row = rows[_at(rng, rows)]
    bad = ["NA", "null", "-", " ", "", "x", "nan", "#DIV/0!", "12,5", "1.2.3", "TRUE", LONG]
    if row:
        row[int(rng.integers(len(row)))] = str(rng.choice(bad))
    return rows


def truth_in_a_cell(rows: Rows, rng: np.random.Generator) -> Rows:
    row = rows[_at(rng, rows)]
    if row:
        row[int(rng.integers(len(row)))] = bool(rng.integers(2))
    return rows


def in_another_unit(rows: Rows, rng: np.random.Generator) -> Rows:
    """The joints of a table, in front of which there may be an index; other rows stay."""
    form, joints = int(rng.integers(3)), len(rows[0]) // 3 * 3
    if joints not in (75, 105, 411):  # of SMG, whose joints have other numbers
        return rows
    changed = []
    for row in rows:
        try:
            if any(isinstance(cell, bool) for cell in row):
                raise ValueError
            values = np.array(row[-joints:], float).reshape(-1, 3)
        except ValueError:
            changed.append(row)
        else:
            changed.append(row[:-joints] + [f"{cell:.9g}" for cell in of_unit(values, form).ravel()])
    return changed


def of_unit(values: np.ndarray, form: int) -> np.ndarray:
    """Joints (…, 3) in shares of the frame from 0 or from −1 to 1, or with scores in percent."""
    xy, scores = values[..., :2], values[..., 2:]
    if form < 2:
        xy = xy / [1280, 720] * (1 + form) - form
    return np.concatenate([xy, scores * (100 if form == 2 else 1)], -1)


def subject_in_other_letters(rows: Rows, rng: np.random.Generator) -> Rows:
    """Of one row, where another row has the same subject."""
    if "subject" not in rows[0]:
        return rows
    column = rows[0].index("subject")
    names = [row[column] for row in rows if len(row) > column]
    again = [row for row in rows if len(row) > column and names.count(row[column]) > 1 and row[column]]
    if again:
        row = again[int(rng.integers(len(again)))]
        name = str(row[column])
        wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in name)
        row[column] = str(rng.choice([f"0{name}", f"00{name}", f"{name} ", wide]))
    return rows


# Of tables with an index or a header: what else would be another table.


def in_another_order(rows: Rows, rng: np.random.Generator) -> Rows:
    return rows[::-1] if rng.integers(2) else [rows[i] for i in rng.permutation(len(rows))]


def doubled_rows(rows: Rows, rng: np.random.Generator) -> Rows:
    if rng.integers(2):
        return [*rows, *rows]
    return [row for row in rows for _ in range(1 + int(rng.integers(2)))]


def rows_lost(rows: Rows, rng: np.random.Generator) -> Rows:
    return [row for row in rows if rng.integers(4)] or rows


def without_index(rows: Rows, rng: np.random.Generator) -> Rows:
    return [row[1:] for row in rows]


ANY_TABLE = [
    spreadsheet_title, title, names_above, numbers_above, index_in_front, comma_at_the_end, comma_in_a_row,
    column_at_the_end, column_in_front, column_lost, cell_lost, empty_row, blank_line,
    first_row_became_a_header, numbers_as_text,
]  # fmt: skip


def _of_rows(habit: Callable[[Rows, np.random.Generator], Rows]) -> Callable:
    """A habit of rows as one of files."""

    @wraps(habit)
    def changed(path: Path, rng: np.random.Generator) -> None:
        if path.suffix == ".xlsx":
            workbook = python_calamine.CalamineWorkbook.from_path(path)
            rows: Rows = workbook.get_sheet_by_index(0).to_python(skip_empty_area=False)
            _save_workbook(path, habit(rows, rng), rng)
        else:
            text = path.read_text(encoding="utf-8-sig", errors="replace")
            rows = list(csv.reader(io.StringIO(text, newline="")))
            with path.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows(habit(rows, rng) if any(rows) else rows)

    return changed


def _save_workbook(path: Path, rows: Rows, rng: np.random.Generator) -> None:
    import openpyxl

    workbook = openpyxl.Workbook(write_only=True)
    sheets = [workbook.create_sheet(), *([workbook.create_sheet("notes")] if not rng.integers(8) else [])]
    for row in rows:
        sheets[0].append([None if cell == "" else cell for cell in row])
    workbook.save(path)


def _of_text(name: str, change: Callable[[bytes], bytes]) -> Callable:
    """A habit of programs that save text."""

    def changed(path: Path, rng: np.random.Generator) -> None:
        path.write_bytes(change(path.read_bytes()))

    changed.__name__ = name
    return changed


def _quoted(line: bytes) -> bytes:
    return b'"' + line.replace(b",", b'","') + b'"' if line else line


TEXT = [
    _of_text("byte_order_mark", lambda text: b"\xef\xbb\xbf" + text),
    _of_text("utf_16", lambda text: text.decode("utf-8", "replace").encode("utf-16")),
    _of_text("windows_lines", lambda text: text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")),
    _of_text("windows_lines_twice", lambda text: text.replace(b"\n", b"\r\r\n")),
    _of_text("old_mac_lines", lambda text: text.replace(b"\r\n", b"\n").replace(b"\n", b"\r")),
    _of_text("no_last_newline", lambda text: text.rstrip(b"\r\n")),
    _of_text("newlines_at_the_end", lambda text: text + b"\n\n"),
]
CSV = [
    *TEXT,
    _of_text("semicolons", lambda text: text.replace(b",", b";")),
    _of_text("decimal_commas", lambda text: text.replace(b",", b";").replace(b".", b",")),
    _of_text("tabs", lambda text: text.replace(b",", b"\t")),
    _of_text("spaces", lambda text: text.replace(b",", b", ")),
    _of_text("all_quoted", lambda text: b"\n".join(map(_quoted, text.splitlines()))),
]
CUT_OFF = _of_text("cut_off", lambda text: text[: len(text) * 2 // 3])


def _only(condition: Callable[[Rows], bool], habit: Callable[[Rows, np.random.Generator], Rows]) -> Callable:
    @wraps(habit)
    def guarded(rows: Rows, rng: np.random.Generator) -> Rows:
        return habit(rows, rng) if condition(rows) else rows

    return guarded


def _counts(rows: Rows) -> bool:
    """Whether the first cells of a table number its rows, in any order, from 0 or 1."""
    first = sorted(str(row[0]) if row else "" for row in rows)
    return len(rows) > 2 and first in [sorted(map(str, range(start, start + len(rows)))) for start in (0, 1)]


def _counts_in_order(rows: Rows) -> bool:
    return [str(row[0]) if row else "" for row in rows] == [str(number) for number in range(len(rows))]


def _below_header(habit: Callable[[Rows, np.random.Generator], Rows]) -> Callable:
    @wraps(habit)
    def below(rows: Rows, rng: np.random.Generator) -> Rows:
        return [*rows[:1], *habit(rows[1:], rng)]

    return below


KEYPOINT_TABLE = [
    *map(_of_rows, ANY_TABLE), _of_rows(numbers_in_another_form), _of_rows(bad_cell),
    _of_rows(truth_in_a_cell), _of_rows(in_another_unit),
    *(_of_rows(_only(_counts, habit)) for habit in (in_another_order, doubled_rows, rows_lost)),
    _of_rows(_only(_counts_in_order, without_index)),
]  # fmt: skip


def known_header(rows: Rows, rng: np.random.Generator) -> Rows:
    headers = [["class", "start_frame", "end_frame"], ["label", "start", "end"], ["Class", "Start", "End"]]
    return [list(rng.choice(headers)), *rows]


def another_header(rows: Rows, rng: np.random.Generator) -> Rows:
    headers = [["gesture", "from", "to"], ["", "start", "end"], ["class", "", ""], ["x", "0", "5"]]
    return [list(rng.choice(headers)), *rows]


def bad_class(rows: Rows, rng: np.random.Generator) -> Rows:
    row = rows[_at(rng, rows)]
    if row:
        row[0] = str(rng.choice(["", "nan", "x", "NA", " ", LONG]))
    return rows


LABEL_HABITS = [known_header, another_header, bad_class, in_another_order, doubled_rows, truth_in_a_cell]
LABEL_TABLE = [*map(_of_rows, [*ANY_TABLE, *LABEL_HABITS, numbers_in_another_form])]
TABLE_WITH_HEADER = [
    *map(_of_rows, [*ANY_TABLE, subject_in_other_letters]),
    *(_of_rows(_below_header(habit)) for habit in (in_another_order, doubled_rows)),
]


# Of arrays, pickles and json files.


def array_saved_again(path: Path, rng: np.random.Generator) -> None:
    array = np.load(path)
    form = int(rng.integers(7))
    if form == 0 and array.ndim == 2:
        array = array.reshape(len(array), -1, 3)
    if form == 1 and array.ndim == 2:
        array = np.column_stack([np.arange(len(array)), array])
    if form == 2:
        array = np.moveaxis(array, -1, 0)
    if form == 6 and array.ndim == 5 and array.shape[1] == 3:  # another person, in places of the first
        array = np.concatenate([array, array * np.reshape([1, 1, 0.7], (3, 1, 1, 1))], -1)
        array[:, :2, :, :, 1] += 400 * (array[:, 2:, :, :, 1] > 0)
        swapped = rng.random(array.shape[2]) < 0.2
        array[:, :, swapped] = array[:, :, swapped][..., ::-1]
    array = array.astype({3: "f8", 4: ">f4"}.get(form, array.dtype), order="F" if form == 5 else "C")
    np.save(path, array)


def pickle_saved_again(path: Path, rng: np.random.Generator) -> None:
    content = pickle.loads(path.read_bytes())
    if isinstance(content, tuple):
        names, classes = content
        forms = [(names, np.array(classes)), [list(names), list(classes)], (np.array(names), classes)]
        forms.append(([f"{name}.npy" for name in names], classes))
        shifted = np.array(classes) + 1 if 31 in classes else classes  # a smaller class is only another one
        invalid = [int(rng.choice([-1, 32, 99])), *classes[1:]]
        changed = [shifted, list(map(bool, classes)), list(map(str, classes)), invalid]
        forms += [(names, labels) for labels in changed]
        content = forms[int(rng.integers(len(forms)))]
    elif isinstance(content, dict):
        form = int(rng.integers(8))
        for annotation in content["annotations"]:
            points, scores = annotation["keypoint"], annotation["keypoint_score"]
            if form == 0 and scores is not None and points.shape == (*scores.shape, 2):
                joined = np.concatenate([points, scores[..., None]], -1)
                annotation |= {"keypoint": joined, "keypoint_score": None}
            if form == 1:
                annotation["keypoint"] = np.asfortranarray(points.astype("f8"))
                annotation["img_shape"] = np.array(annotation["img_shape"])
            if form == 2:
                annotation["keypoint"] = np.swapaxes(points, 0, 1)
            if form == 3:
                annotation |= {"label": np.int64(annotation["label"]), "note": "seen"}
                annotation["total_frames"] = np.int32(annotation["total_frames"])
            if form == 4:
                annotation["frame_dir"] = str(annotation["frame_dir"]).replace("_", "-")
        if form == 5:
            content["split"] = {name: np.array(ids) for name, ids in content["split"].items()}
        if form == 6:
            held = content["annotations"]
            content["annotations"] = held[:: -1 if rng.integers(2) else 1] + held[: int(rng.integers(2))]
        if form == 7:
            content = content["annotations"]
    path.write_bytes(pickle.dumps(content, protocol=int(rng.integers(2, 6))))


def _of_annotations(habit: Callable[[list[dict], np.random.Generator], None]) -> Callable:
    """A habit of PySkl's annotations as one of pickles."""

    @wraps(habit)
    def changed(path: Path, rng: np.random.Generator) -> None:
        content = pickle.loads(path.read_bytes())
        annotations = content["annotations"] if isinstance(content, dict) else content
        if isinstance(annotations[0], dict):
            habit(annotations, rng)
            path.write_bytes(pickle.dumps(content))

    return changed


def people_as_numbers(annotations: list[dict], rng: np.random.Generator) -> None:
    kind = [int, np.int64, float, np.float32, bool, lambda number: None, lambda number: [number]]
    kind = kind[int(rng.integers(len(kind)))]
    key = str(rng.choice(["subject", "video", "frame_dir", "person", "subject_id"]))
    for number, annotation in enumerate(annotations):
        annotation[key] = kind(number // 2)


def labels_in_another_form(annotations: list[dict], rng: np.random.Generator) -> None:
    names = ["sit", "stand", "wave", "bow"]
    form = int(rng.integers(9))
    for annotation in annotations[: None if rng.integers(2) else 1]:
        label = annotation.get("label")
        if isinstance(label, int):
            kinds = [
                label + 1,
                bool(label),
                str(label),
                names[label % 4],
                [label],
                label + 0.5,
                float(label),
                None,
            ]
            annotation["label"] = [*kinds, 9999][form]


def nobody_in_a_clip(annotations: list[dict], rng: np.random.Generator) -> None:
    axis, annotation = int(rng.integers(2)), annotations[int(rng.integers(len(annotations)))]
    for key in ("keypoint", "keypoint_score"):
        if annotation[key] is not None:
            annotation[key] = np.delete(annotation[key], np.s_[:], axis)


def booleans(annotations: list[dict], rng: np.random.Generator) -> None:
    key = str(rng.choice(["keypoint", "keypoint_score", "total_frames", "img_shape"]))
    for annotation in annotations:
        if isinstance(annotation[key], np.ndarray):
            annotation[key] = annotation[key].astype(bool)
        elif annotation[key] is not None:
            annotation[key] = (True, True) if key == "img_shape" else True


def second_person(annotations: list[dict], rng: np.random.Generator) -> None:
    """Another one, with lower scores, who may take the place of the first."""
    share, more = float(rng.choice([0, 0.2, 0.5])), rng.integers(2)
    for annotation in annotations:
        points, scores = annotation["keypoint"], annotation["keypoint_score"]
        if scores is not None and points.shape[:3] == scores.shape:
            if more:
                points, scores = (
                    np.concatenate([points, points + 400]),
                    np.concatenate([scores, scores * 0.7]),
                )
            points, scores, swapped = points.copy(), scores.copy(), rng.random(points.shape[1]) < share
            points[:, swapped], scores[:, swapped] = points[::-1, swapped], scores[::-1, swapped]
            annotation |= {"keypoint": points, "keypoint_score": scores}


def compressed(annotations: list[dict], rng: np.random.Generator) -> None:
    for annotation in annotations:
        points = annotation["keypoint"]
        scores = annotation["keypoint_score"]
        if scores is not None and points.shape[:-1] == scores.shape:
            joined = np.concatenate([points, scores[..., None]], -1)
            annotation |= {"keypoint": joined.reshape(-1, *joined.shape[2:]), "keypoint_score": None}
            annotation["frame_inds"] = np.tile(np.arange(points.shape[1]), len(points))


def depths(annotations: list[dict], rng: np.random.Generator) -> None:
    for annotation in annotations:
        points = annotation["keypoint"]
        annotation["keypoint"] = np.concatenate(
            [points[..., :2], rng.uniform(0, 4, (*points.shape[:-1], 1))], -1
        )
        if rng.integers(2):
            annotation["keypoint_score"] = None


ANNOTATION_HABITS = [
    people_as_numbers, labels_in_another_form, nobody_in_a_clip, booleans, second_person, compressed, depths,
]  # fmt: skip


def _save_json(path: Path, content: object, rng: np.random.Generator) -> None:
    text = json.dumps(content, indent=int(rng.integers(3)) or None, sort_keys=bool(rng.integers(2)))
    path.write_text(text, encoding=str(rng.choice(["utf-8", "utf-8-sig", "utf-16"])))


def json_saved_again(path: Path, rng: np.random.Generator) -> None:
    content = json.loads(path.read_bytes())
    form = int(rng.integers(5))
    if form == 0:
        content["people"] = content["people"][::-1]
    for person in content["people"]:
        if form == 1:
            person.pop(str(rng.choice(list(openpose.PARTS))), None)
        if form == 2:
            person[str(rng.choice(list(openpose.PARTS)))] = []
    _save_json(path, content, rng)


def json_in_another_unit(path: Path, rng: np.random.Generator) -> None:
    """All frames of a video."""
    form = int(rng.integers(3))
    for frame in path.parent.glob(f"[!.]*{openpose.FRAMES}"):
        content = json.loads(frame.read_bytes())
        for person in content["people"]:
            for part in openpose.PARTS:
                values = np.reshape(person.get(part, []), (-1, 3))
                person[part] = of_unit(values, form).ravel().tolist()
        _save_json(frame, content, rng)


def truth_in_json(path: Path, rng: np.random.Generator) -> None:
    content = json.loads(path.read_bytes())
    for person in content["people"]:
        part = person.get(str(rng.choice(list(openpose.PARTS))))
        if part:
            part[int(rng.integers(len(part)))] = bool(rng.integers(2))
    _save_json(path, content, rng)


def _rename(path: Path, names: list[str], rng: np.random.Generator) -> None:
    """Give a file another name, or copy it."""
    name = str(rng.choice(names))
    if rng.integers(2):
        path.rename(path.with_name(name))
    elif name != path.name:
        shutil.copy(path, path.with_name(name))


def json_renamed(path: Path, rng: np.random.Generator) -> None:
    number = int(path.name.rsplit("_", 2)[-2])
    _rename(path, [f"frame_{number}_keypoints.json", f"copy {path.name}", f"{path.stem} (1).json"], rng)


def _change_person(instance: dict, form: int, rng: np.random.Generator) -> None:
    points, scores = instance["keypoints"], instance["keypoint_scores"]
    if form == 5:
        instance["bbox"] = np.ravel(instance.get("bbox", [])).tolist()
    if form == 6:
        instance.pop("bbox", None)
    if form == 7:
        instance["keypoints"] = [[x / 1280, y / 720, *z] for x, y, *z in points]
    if form == 8:
        instance["keypoints"] = [[*point, 0] for point in points]
    if form == 9:
        instance["keypoints"] = [[x / 640 - 1, y / 360 - 1, *z] for x, y, *z in points]
    if form == 10:
        instance["keypoint_scores"] = [100 / 3 * score for score in scores]
    if form == 11:
        scores[int(rng.integers(len(scores)))] = True


def mmpose_saved_again(path: Path, rng: np.random.Generator) -> None:
    content = json.loads(path.read_bytes())
    frames = content["instance_info"] if isinstance(content, dict) else content
    instances = [instance for frame in frames for instance in frame["instances"]]
    form = int(rng.integers(12))
    if form == 0:
        frames.reverse()
    if form == 1:
        del frames[int(rng.integers(len(frames)))]
    if form == 2:
        content = frames if isinstance(content, dict) else {"meta_info": {}, "instance_info": frames}
    for frame in frames:
        if form == 3:
            frame["instances"].reverse()
        if form == 4:
            frame["frame_id"] += 1
    for instance in instances:
        _change_person(instance, form, rng)
    _save_json(path, content, rng)


def rtmlib_saved_again(path: Path, rng: np.random.Generator) -> None:
    content = pickle.loads(path.read_bytes())
    form = int(rng.integers(6))
    kind = {0: "f4", 1: ">f4"}.get(form, "f8")
    order = "F" if form == 2 else "C"
    content = {key: [np.asarray(array, kind, order=order) for array in content[key]] for key in pyskl.RTMLIB}
    if form == 3:
        content = {key: np.stack(arrays) for key, arrays in content.items()}
    if form == 4:
        content = {"video": "c.mp4", "scores": content["scores"], "keypoints": content["keypoints"]}
    if form == 5:
        content["keypoints"] = [points * [1280, 720] for points in content["keypoints"]]
    path.write_bytes(pickle.dumps(content, protocol=int(rng.integers(2, 6))))


def video_renamed(path: Path, rng: np.random.Generator) -> None:
    names = [f"results_{path.name}", path.name.removeprefix("results_"), f"copy {path.name}"]
    _rename(path, [*names, f"{path.stem} (1){path.suffix}"], rng)


def file_lost(path: Path, rng: np.random.Generator) -> None:
    path.unlink()


# Of folders.


def litter(path: Path, rng: np.random.Generator) -> None:
    for name in (".DS_Store", "Thumbs.db", f"._{path.name}"):
        path.with_name(name).write_bytes(b"\0\5\x16\7")
    for name in ("@eaDir", ".ipynb_checkpoints", "__MACOSX"):
        inner = path.parent / name / path.parent.name
        inner.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, inner / path.name)
        shutil.copy(path, inner.parent / f"{path.stem}-checkpoint{path.suffix}")


def litter_above(path: Path, rng: np.random.Generator) -> None:
    above = path.parents[path.parent.name != SOURCE]
    for name in ("__MACOSX", ".ipynb_checkpoints"):
        ignore, place = shutil.ignore_patterns(name), above / name / path.parent.name
        shutil.copytree(path.parent, place, dirs_exist_ok=True, ignore=ignore)


def packed_in_its_own_name(path: Path, rng: np.random.Generator) -> None:
    _nest(path.parent, path.parent.name)


def folder_above_packed_in_its_own_name(path: Path, rng: np.random.Generator) -> None:
    above = path.parents[path.parent.name != SOURCE]
    _nest(above, above.name)


def packed_in_another_name(path: Path, rng: np.random.Generator) -> None:
    _nest(path.parent, "unpacked")


def folder_doubled(path: Path, rng: np.random.Generator) -> None:
    if path.parent.name != SOURCE:
        shutil.copytree(path.parent, path.parent.with_name(f"{path.parent.name} - Copy"), dirs_exist_ok=True)


def folder_with_a_long_name(path: Path, rng: np.random.Generator) -> None:
    name = path.parent.name
    if name != SOURCE:
        more = "x" * (250 - len(name))
        path.parent.rename(path.parent.with_name(f"{name}{more}" if rng.integers(2) else f"{more}{name}"))


def empty_folder(path: Path, rng: np.random.Generator) -> None:
    above = path.parents[path.parent.name != SOURCE]
    (above / str(rng.choice(["0099", "new", path.stem]))).mkdir(exist_ok=True)


def _nest(folder: Path, name: str) -> None:
    """Move what a folder has into a new folder in it."""
    inside = list(folder.iterdir())
    (folder / name).mkdir(exist_ok=True)
    for path in inside:
        if path != folder / name:
            path.rename(folder / name / path.name)


FOLDER = [litter, litter_above, packed_in_its_own_name, folder_above_packed_in_its_own_name]
FOLDER += [packed_in_another_name, folder_doubled, folder_with_a_long_name, empty_folder]
OF_SUFFIX = {
    ".csv": [*KEYPOINT_TABLE, *CSV, CUT_OFF],
    ".xlsx": KEYPOINT_TABLE,
    ".npy": [array_saved_again],
    ".pkl": [pickle_saved_again, *map(_of_annotations, ANNOTATION_HABITS)],
    ".json": [json_saved_again, json_renamed, json_in_another_unit, truth_in_json, file_lost],
    ".txt": [_of_rows(blank_line), *TEXT],
}


def habits_of(path: Path) -> list[Callable]:
    if path.name.endswith(("_label.csv", "_finelabels.csv")):
        return [*LABEL_TABLE, *CSV, *FOLDER]
    if path.name in (videos.SEGMENTS, miga.SUBJECTS_FILE):
        return [*TABLE_WITH_HEADER, *CSV, *FOLDER]
    if path.name == folders.OPTIONS:
        return [file_lost, *TEXT, *FOLDER]
    if path.suffix == ".json" and not path.name.endswith(openpose.FRAMES):
        return [mmpose_saved_again, video_renamed, file_lost, *FOLDER]
    if path.suffix == ".pkl" and b"keypoints" in path.read_bytes():
        return [rtmlib_saved_again, video_renamed, file_lost, *FOLDER]
    return [*OF_SUFFIX.get(path.suffix, []), *FOLDER]


def read(name: str, source: Path) -> tuple[dict[str, tuple], Report]:
    """Everything about the clips of a source, by id. Raises DataError."""
    reader, layout, _ = fuzzing.SOURCES[name]
    report = Report()
    if not reader.recognises(source):
        raise DataError("no known format")
    with joblib.parallel_config(backend="sequential"):
        clips = reader.read(source, layouts.get(layout), report, lambda items, **_: items)
        clips = list(checks.named(clips, report))
    if len({clip.id for clip in clips}) < len(clips):
        raise DataError("ids of clips must differ")  # refused by the cache
    found = {}
    for clip in clips:
        name = report.classes[clip.label] if clip.label >= 0 else None
        about = (name, clip.split, clip.video, clip.subject, clip.width, clip.height)
        found[clip.id] = (*about, clip.keypoints)
    return found, report


def same(one: dict[str, tuple], other: dict[str, tuple]) -> bool:
    return one.keys() == other.keys() and all(
        one[id][:-1] == other[id][:-1]
        and one[id][-1].shape == other[id][-1].shape
        and np.allclose(one[id][-1], other[id][-1], rtol=1e-5, atol=1e-5)
        for id in one
    )


def follow(name: str, folder: Path) -> Callable[[list], str]:
    """Writes a good source once; gives a function that changes it as people do, reads it, compares the clips,
    and restores it."""
    source = folder / SOURCE
    source.mkdir()
    fuzzing.SOURCES[name][2](source)
    good = {path: path.read_bytes() for path in sorted(source.rglob("*")) if path.is_file()}
    clips, report = read(name, source)

    def once(changes: list) -> str:
        done = []
        try:
            for number, which, seed in changes:
                path = list(good)[number % len(good)]
                if path.exists():
                    habit = habits_of(path)[which % len(habits_of(path))]
                    done.append(f"{habit.__name__} of {path.relative_to(source)}")
                    habit(path, np.random.default_rng(seed))
            found, told = read(name, source)
        except DataError as error:
            short, refusal = fuzzing.is_short(error, source), str(error)
            assert short, refusal
            return "refused"
        else:
            if same(clips, found):
                return "same"
            assert told.events != report.events, f"other clips in silence: {done}"
            return "reported"
        finally:
            shutil.rmtree(source)
            for path, content in good.items():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)

    return once
