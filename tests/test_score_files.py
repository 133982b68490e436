"""Scores of other toolboxes are read as predictions of the right clips and classes, or refused. Every repair
is reported."""

import contextlib
import os
import pickle
import re
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from miga_lib.ensemble import score_files
from miga_lib.readers import DataError, Report

CLASSES = ("nod", "shake", "touch face")
IDS = ("0001_0", "0001_1", "0002_0")
ROWS = np.array([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125], [0.0, 0.0, 1.0]])


def write(path, text):
    path.write_text("\n".join(text) + "\n")
    return path


def csv_lines(ids=IDS, rows=ROWS):
    return [",".join([id, *map(str, row)]) for id, row in zip(ids, rows, strict=True)]


def read(path, **options):
    return score_files.read(path, CLASSES, **options)


@pytest.fixture
def annotations(tmp_path):
    """A PySkl annotation file whose order is neither that of its splits nor that of the ids."""
    listed = [
        {"frame_dir": id, "label": label}
        for id, label in zip(("0002_0", "9999_0", "0001_0", "0001_1"), (2, 1, 0, 1), strict=True)
    ]
    path = tmp_path / "annotations.pkl"
    path.write_bytes(
        pickle.dumps({"split": {"xsub_train": ["9999_0"], "xsub_val": list(IDS)}, "annotations": listed})
    )
    return path


@pytest.mark.parametrize("header", [[], ["id,nod,shake,touch face"], ["frame_dir,0,1,2"]])
def test_a_csv_with_ids_needs_no_header(tmp_path, header):
    predictions = read(write(tmp_path / "rgb.csv", [*header, *csv_lines()]))
    assert predictions.ids.tolist() == list(IDS)
    assert predictions.probabilities.tolist() == ROWS.tolist()
    assert predictions.labels.tolist() == [-1, -1, -1]
    assert predictions.classes.tolist() == list(CLASSES)


@given(st.permutations(range(3)), st.permutations(range(3)))
def test_the_order_of_lines_and_of_named_columns_changes_nothing(tmp_path_factory, clips, columns):
    lines = [
        "id," + ",".join(CLASSES[k] for k in columns),
        *csv_lines([IDS[i] for i in clips], ROWS[clips][:, columns]),
    ]
    report = Report()
    predictions = read(write(tmp_path_factory.mktemp("any") / "rgb.csv", lines), report=report).of(IDS)
    assert predictions.probabilities.tolist() == ROWS.tolist()
    assert ("columns reordered by class" in str(report)) == (list(columns) != [0, 1, 2])


def test_names_of_columns_are_matched_and_labels_are_left_to_the_data(tmp_path):
    lines = ["id,label,shake,nod,Touch_Face", "a,0,0.5,0.25,0.25", "b,2,0.5,0.25,0.25"]
    predictions = read(write(tmp_path / "rgb.csv", lines))
    assert predictions.labels.tolist() == [-1, -1]
    assert predictions.probabilities[0].tolist() == [0.25, 0.5, 0.25]


def test_an_npz_can_have_ids_and_classes(tmp_path):
    np.savez(tmp_path / "a.npz", ids=np.array(IDS), scores=ROWS[:, ::-1], classes=np.array(CLASSES[::-1]))
    predictions = read(tmp_path / "a.npz")
    assert predictions.ids.tolist() == list(IDS)
    assert predictions.probabilities.tolist() == ROWS.tolist()


def test_a_pickled_dict_has_its_ids(tmp_path):
    """What the test scripts of ST-GCN's descendants write."""
    (tmp_path / "score.pkl").write_bytes(pickle.dumps(dict(zip(IDS, ROWS, strict=True))))
    assert read(tmp_path / "score.pkl").of(IDS[::-1]).probabilities.tolist() == ROWS[::-1].tolist()


@pytest.mark.parametrize("name", ["result.pkl", "bare.npy", "bare.npz", "bare.csv"])
def test_scores_without_ids_are_in_the_order_of_the_annotations(tmp_path, annotations, name):
    """PySkl reads the annotations in their order and keeps those of the split: 0002_0, 0001_0, 0001_1."""
    path, rows = tmp_path / name, ROWS[[2, 0, 1]]
    if name == "result.pkl":
        path.write_bytes(pickle.dumps(list(rows.astype(np.float32))))
    elif name == "bare.csv":
        write(path, [",".join(map(str, row)) for row in rows])
    else:
        np.save(path, rows) if name == "bare.npy" else np.savez(path, rows)
    report = Report()
    predictions = read(path, annotations=annotations, split="val", report=report)
    assert predictions.of(IDS).probabilities.tolist() == ROWS.tolist()
    assert f"ids taken from the order of an annotation file: {name} (from annotations.pkl)" in str(report)


def test_logits_are_converted_only_if_the_caller_says_so(tmp_path):
    report = Report()
    path = write(tmp_path / "rgb.csv", csv_lines(rows=np.log(np.maximum(ROWS, 1e-30)) + 7))
    with pytest.raises(
        ValueError,
        match=r"rgb\.csv: scores of a clip must be 0 or more and sum to 1, those of clip '0002_0' .*`normali",
    ):
        read(path)
    assert np.allclose(read(path, normalise="softmax", report=report).probabilities, ROWS)
    assert "scores converted to probabilities by softmax: rgb.csv" in str(report)
    with pytest.raises(
        ValueError,
        match="only scores of 0 or more, not all 0, can be divided by their sum, .*; for logits .*'softmax'",
    ):
        read(path, normalise="divide")


def test_other_scores_are_divided_by_their_sum(tmp_path):
    path, report = write(tmp_path / "rgb.csv", csv_lines(rows=100 * ROWS)), Report()
    assert np.allclose(read(path, normalise="divide", report=report).probabilities, ROWS)
    assert "scores divided by their sum: rgb.csv" in str(report)


def test_probabilities_are_never_normalised(tmp_path):
    path = write(tmp_path / "rgb.csv", csv_lines())
    assert read(path, normalise="softmax").probabilities.tolist() == ROWS.tolist()


def test_rounding_is_repaired_and_reported(tmp_path):
    report = Report()
    predictions = read(write(tmp_path / "rgb.csv", csv_lines(rows=ROWS * 1.004)), report=report)
    assert np.allclose(predictions.probabilities, ROWS)
    assert "rounded probabilities divided by their sum: rgb.csv" in str(report)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (csv_lines(ids=("a", "a", "b")), "ids of predictions must be unique, found 'a' 2 times"),
        (["0.5,0.25,0.25"], "has no ids; give `annotations`"),
        (["a,0.5,0.5"], "must have scores of 3 classes .*, found 2"),
        (["a,0.5,0.25,0.25,0"], r"must have scores of 3 classes \('nod' to 'touch face'\), found 4"),
        (
            ["id,nod,shake,bow", "a,0.5,0.25,0.25"],
            "its 3 classes must be the 3 of the data: 'touch face' is missing",
        ),
        (
            ["id,nod,shake,touch face,bow", "a,0.5,0.25,0.25,0"],
            "its 4 classes must be the 3 of the data: 'bow' is not one of them",
        ),
        (["id,0,1,2", "a,0.5,,0.5"], "scores must be finite numbers, found nan in row 0, column 1"),
        (["id,0,1,2", "a,0.5,inf,0.5"], "scores must be finite numbers, found inf"),
        (["id,0,1,2", "a,0.5,0.5,0,1"], "line 2 has 5 cells and line 1 has 4"),
        (["id,0,1,2", "a," + "0.1," * 5000], "has a line of 5,002 cells, at most 2,000 are read"),
        (["a," + "0.1," * 20_000], "has a line of 80,002 bytes, at most 65,536 are read"),
        ([""], "not a table of scores"),
    ],
)
def test_an_invalid_csv_is_refused(tmp_path, lines, message):
    with pytest.raises(ValueError, match=rf"rgb\.csv: .*{message}"):
        read(write(tmp_path / "rgb.csv", lines))


def test_other_invalid_files_are_refused(tmp_path, annotations):
    np.savez(tmp_path / "two.npz", a=ROWS, b=ROWS)
    with pytest.raises(
        ValueError,
        match=r"two\.npz: expected one array of numbers of shape \(clips, classes\), found 'a', 'b'",
    ):
        read(tmp_path / "two.npz")
    np.savez(tmp_path / "few.npz", scores=ROWS, ids=np.array(IDS[:2]))
    with pytest.raises(
        ValueError, match=r"few\.npz: has scores of shape \(3, 3\) and `ids` of shape \(2,\); "
    ):
        read(tmp_path / "few.npz")
    np.save(tmp_path / "flat.npy", ROWS[0])
    with pytest.raises(ValueError, match=r"flat\.npy: expected an array .* found an array of shape \(3,\)"):
        read(tmp_path / "flat.npy")
    (tmp_path / "views.pkl").write_bytes(pickle.dumps([ROWS, ROWS]))
    with pytest.raises(
        ValueError,
        match=r"views\.pkl: expected arrays of a score for each class, .* average the views of a clip first",
    ):
        read(tmp_path / "views.pkl")
    (tmp_path / "text.pkl").write_bytes(pickle.dumps("text"))
    with pytest.raises(
        ValueError,
        match=r"text\.pkl: expected a list of score arrays, .* or a dict of them by id, found 'text'",
    ):
        read(tmp_path / "text.pkl")
    with pytest.raises(
        ValueError,
        match=r"scores\.json: a score file must be one of \.csv, \.npz, \.npy, \.pkl, \.pickle, got \.json",
    ):
        read(tmp_path / "scores.json")
    with pytest.raises(ValueError, match="normalise must be one of '', softmax, divide, got 'sum'"):
        read(tmp_path / "two.npz", normalise="sum")


@pytest.mark.parametrize("ids", [np.array(5.0), 3, "text"])
def test_a_split_that_is_no_list_is_refused(tmp_path, annotations, ids):
    (tmp_path / "result.pkl").write_bytes(pickle.dumps(list(ROWS)))
    (tmp_path / "other.pkl").write_bytes(
        pickle.dumps({**pickle.loads(annotations.read_bytes()), "split": {"val": ids}})
    )
    with pytest.raises(ValueError, match=r"other\.pkl: split 'val' must be a list of ids, found"):
        read(tmp_path / "result.pkl", annotations=tmp_path / "other.pkl", split="val")


def test_scores_of_another_split_or_file_are_refused(tmp_path, annotations):
    (tmp_path / "result.pkl").write_bytes(pickle.dumps(list(ROWS)))
    with pytest.raises(
        ValueError, match=r"result\.pkl: has scores of 3 clips, and split 'train' of .*annotations\.pkl has 1"
    ):
        read(tmp_path / "result.pkl", annotations=annotations, split="train")
    with pytest.raises(
        ValueError, match=r"annotations\.pkl: split must be one of 'xsub_train', 'xsub_val', got 'test'"
    ):
        read(tmp_path / "result.pkl", annotations=annotations, split="test")


def test_no_pickle_is_run(tmp_path):
    class Harm:
        def __reduce__(self):
            return (tmp_path / "done").touch, ()

    (tmp_path / "result.pkl").write_bytes(pickle.dumps([Harm()]))
    with pytest.raises(ValueError, match="refused, and nothing was run"):
        read(tmp_path / "result.pkl")
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize("suffix", ["csv", "npz", "npy", "pkl"])
def test_a_missing_file_is_named_with_the_way_out(tmp_path, suffix):
    with pytest.raises(
        ValueError, match=rf"none\.{suffix}: cannot be read \(No such file or directory\); give the path"
    ):
        read(tmp_path / f"none.{suffix}")


def test_probabilities_stored_as_text_are_refused(tmp_path):
    np.savez(tmp_path / "text.npz", ids=np.array(IDS), scores=ROWS.astype(str))
    with pytest.raises(
        ValueError,
        match=r"text\.npz: expected one array of .* found none among 'ids' \(<U6\), 'scores' \(<U32\)",
    ):
        read(tmp_path / "text.npz")


def test_messages_stay_short_whatever_the_file_holds(tmp_path):
    long = "x" * 5000
    np.savez(tmp_path / "two.npz", **{f"{long}{i}": ROWS for i in range(2)}) if os.name != "nt" else None
    np.savez(tmp_path / "names.npz", ids=np.array(IDS), scores=ROWS, classes=np.array([long, "b", "c"]))
    write(tmp_path / "header.csv", [f"id,{long},b,c", *csv_lines()])
    write(tmp_path / "ids.csv", csv_lines(ids=(long, long, "b")))
    write(tmp_path / "logits.csv", csv_lines(ids=(long, "a", "b"), rows=ROWS * 9))
    (tmp_path / "text.pkl").write_bytes(pickle.dumps({long: long}))
    for path in tmp_path.iterdir():
        with pytest.raises(ValueError) as error:  # noqa: PT011
            read(path)
        assert len(str(error.value)) <= 400 + len(str(path)), path.name
        assert "\n" not in str(error.value)


MANY = [f"gesture {letter}" for letter in "abcdefghijklmnopqrst"]
TEXT_ORDER = sorted(range(20), key=str)
"""0, 1, 10, 11, …, 19, 2, …: as pandas sorts names of columns."""


@pytest.mark.parametrize("word", ["", "class_", "c", "class ", "Logit-", "class_id_"])
@pytest.mark.parametrize("first", ["id", "my clips", ""])
@settings(max_examples=5)
@given(order=st.permutations(range(20)))
def test_numbered_columns_are_put_into_the_order_of_the_classes(tmp_path_factory, word, first, order):
    logits, report = np.random.default_rng(0).normal(size=(3, 20)), Report()
    for columns in (order, TEXT_ORDER):
        header = ",".join([first, *(f"{word}{k}" for k in columns)])
        path = write(tmp_path_factory.mktemp("any") / "x.csv", [header, *csv_lines(rows=logits[:, columns])])
        predictions = score_files.read(path, MANY, normalise="softmax", report=report)
        assert predictions.ids.tolist() == list(IDS)
        assert np.allclose(predictions.probabilities, softmax(logits, axis=1))
    assert "columns reordered by class: x.csv" in str(report)


@pytest.mark.parametrize(
    "columns", ["label,id,0,1,2", "id,0,Label,1,2", "id,2,0,1,label", "id,label,c0,c1,c2"]
)
@pytest.mark.parametrize("label", ["0", "shake", ""])
def test_a_label_is_no_score_at_any_place(tmp_path, columns, label):
    values = {name: str(ROWS[0][int(name[-1])]) for name in columns.split(",") if name[-1].isdigit()}
    values |= {"id": "a", "label": label, "Label": label}
    path = write(tmp_path / "rgb.csv", [columns, ",".join(values[name] for name in columns.split(","))])
    predictions = read(path)
    assert predictions.ids.tolist() == ["a"]
    assert predictions.probabilities.tolist() == ROWS[:1].tolist()


def test_row_numbers_of_pandas_are_no_ids(tmp_path):
    numbered = [f"{row},{line}" for row, line in enumerate(csv_lines())]
    for header in (",id,0,1,2", "Unnamed: 0,id,nod,shake,touch face"):
        report = Report()
        predictions = read(write(tmp_path / "rgb.csv", [header, *numbered]), report=report)
        assert predictions.ids.tolist() == list(IDS)
        assert predictions.probabilities.tolist() == ROWS.tolist()
        assert "row numbers of pandas before the first column ignored: rgb.csv" in str(report)
    path = write(tmp_path / "rgb.csv", [",nod,shake,touch face", *csv_lines(ids=("0", "1", "2"))])
    with pytest.raises(ValueError, match="has no ids; give `annotations`"):
        read(path)


def test_a_header_above_scores_without_ids_is_no_clip(tmp_path, annotations):
    lines = ["shake,nod,touch face", *(",".join(map(str, row[[1, 0, 2]])) for row in ROWS[[2, 0, 1]])]
    predictions = read(write(tmp_path / "rgb.csv", lines), annotations=annotations, split="val")
    assert predictions.of(IDS).probabilities.tolist() == ROWS.tolist()


def test_classes_of_an_npz_are_matched_in_any_order_and_case(tmp_path):
    for classes in (["TOUCH face", "Nod", "SHAKE"], [2, 0, 1], ["class_2", "class_0", "class_1"]):
        report = Report()
        np.savez(tmp_path / "a.npz", ids=np.array(IDS), scores=ROWS[:, [2, 0, 1]], classes=np.array(classes))
        assert read(tmp_path / "a.npz", report=report).probabilities.tolist() == ROWS.tolist()
        assert "columns reordered by class: a.npz" in str(report)


def test_ids_are_text_without_the_spaces_around_them(tmp_path):
    report = Report()
    path = write(tmp_path / "rgb.csv", [f"{id} , 0.5, 0.25,0.25 " for id in ("007", " 08")])
    assert read(path).ids.tolist() == ["007", "08"]
    np.savez(tmp_path / "a.npz", ids=np.array([" a", "b ", "c"]), scores=ROWS)
    assert read(tmp_path / "a.npz", report=report).ids.tolist() == ["a", "b", "c"]
    assert "spaces around ids removed: a.npz (2 of 3)" in str(report)
    np.savez(tmp_path / "b.npz", ids=np.array([7, 8, 9]), scores=ROWS)
    (tmp_path / "c.pkl").write_bytes(pickle.dumps(dict(zip((7, 8, 9), ROWS, strict=True))))
    for name in ("b.npz", "c.pkl"):
        assert read(tmp_path / name, report=report).ids.tolist() == ["7", "8", "9"]
    assert "ids stored as numbers, without leading zeros, taken as text: b.npz, c.pkl" in str(report)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([*csv_lines(), "Mean,0.25,0.5,0.25"], "row 3 has id 'Mean', which is no clip; delete the row"),
        (
            ["id,0,1,2", *csv_lines(), "total ,1,1,1"],
            "row 3 has id 'total', which is no clip; delete the row",
        ),
        ([*csv_lines(), ",0.25,0.5,0.25"], "row 3 has id '', which is no clip; delete the row"),
        (["id,0,1,2", *csv_lines(), "id,0,1,2"], "row 3 is the header again; delete the row"),
        (
            ["id,nod,shake,touch face", "a,True,False,False"],
            "scores must be finite numbers, found nan in row 0",
        ),
        (
            ["x,0,2,1", *csv_lines()],
            r"line 1 \('x,0,2,1'\) is a header or a clip; write a header above it, or",
        ),
        (
            ["id,1,2,3", *csv_lines()],
            "its 3 classes must be .*; name the columns as the classes, or number them 0",
        ),
        (["id,0.0,1.0,2.0", *csv_lines()], "its 3 classes must be the 3 of the data: 'nod' is missing"),
        (
            ["id,class_0,c1,class_2", *csv_lines()],
            "its 3 classes must be the 3 of the data: 'nod' is missing",
        ),
        (["id,0,1,2"], "has no scores of clips; write them again"),
        (["id"], "has no scores of clips; write them again"),
    ],
)
def test_what_is_no_clip_and_no_class_is_refused(tmp_path, lines, message):
    with pytest.raises(ValueError, match=rf"^{re.escape(str(tmp_path))}/rgb\.csv: {message}") as error:
        read(write(tmp_path / "rgb.csv", lines), normalise="softmax")
    assert "\n" not in str(error.value)


def test_numbers_of_columns_that_are_names_of_other_classes_are_refused(tmp_path):
    path = write(tmp_path / "rgb.csv", ["id,0,1,2", *csv_lines()])
    assert score_files.read(path, ("0", "1", "2")).probabilities.tolist() == ROWS.tolist()
    with pytest.raises(
        ValueError, match=r"rgb\.csv: its columns are names or indices of classes, in other ord"
    ):
        score_files.read(path, ("2", "0", "1"))


def test_empty_files_are_refused_in_one_line(tmp_path):
    for name in ("a.csv", "a.npz", "a.npy", "a.pkl"):
        (tmp_path / name).touch()
    np.savez(tmp_path / "none.npz")
    np.savez(tmp_path / "no_rows.npz", scores=ROWS[:0])
    np.save(tmp_path / "no_rows.npy", ROWS[:0])
    for name, content in (("dict", {}), ("list", []), ("array", ROWS[:0])):
        (tmp_path / f"{name}.pkl").write_bytes(pickle.dumps(content))
    for path in tmp_path.iterdir():
        with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: ") as error:
            read(path)
        assert "\n" not in str(error.value)
    for name in ("no_rows.npz", "no_rows.npy", "dict.pkl", "list.pkl"):
        with pytest.raises(ValueError, match="has no scores of clips"):
            read(tmp_path / name)


@pytest.mark.parametrize("ids", [[1.0, 2.0, 3.0], [True, False, True]])
def test_ids_that_are_no_text_are_refused(tmp_path, ids):
    np.savez(tmp_path / "a.npz", ids=np.array(ids), scores=ROWS)
    with pytest.raises(
        ValueError, match=r"a\.npz: row 0 has id .*; ids must be text: write those of the data"
    ):
        read(tmp_path / "a.npz")


def test_control_characters_of_a_file_do_not_reach_the_terminal(tmp_path):
    evil = "\x1b[2Ja"
    write(tmp_path / "twice.csv", csv_lines(ids=(evil, evil, "b")))
    write(tmp_path / "logits.csv", csv_lines(ids=(evil, "b", "c"), rows=ROWS * 9))
    write(
        tmp_path / "header.csv", [f"id,nod,shake,touch face,{evil}", *(f"{line},0" for line in csv_lines())]
    )
    np.savez(tmp_path / "names.npz", **{evil: ROWS, f"{evil}b": ROWS})
    for path in tmp_path.iterdir():
        with pytest.raises(ValueError, match=r"\\x1b\[2Ja") as error:
            read(path)
        assert str(error.value).isprintable()


def samples(scores, **keys):
    """What mmaction2 writes with ``--dump``: a dict for each clip, tensors as PyTorch pickles them."""
    return [
        {"pred_score": row, "pred_label": row.argmax()[None], "gt_label": torch.tensor([0]), "num_classes": 2}
        | {"img_shape": (224, 224)}
        | {key: values[number] for key, values in keys.items()}
        for number, row in enumerate(scores)
    ]


def dumped(path, content):
    path.write_bytes(pickle.dumps(content))
    return path


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.float16])
def test_results_of_mmaction2_are_read_as_tensors_and_arrays(tmp_path, kind):
    scores = torch.tensor([[0.75, 0.25], [0.5, 0.5], [0.125, 0.875]], dtype=kind)
    names = {"frame_dir": ["0012_0", "0012_1", "0013_0"]}
    for content in (scores, scores.numpy()):
        found = score_files.read(dumped(tmp_path / "a.pkl", samples(content, **names)), ["nod", "wave"])
        assert found.ids.tolist() == names["frame_dir"]
        assert found.probabilities.tolist() == scores.double().tolist()
    first = [
        {"pred_scores": {"item": row}, "filename": f"{id}.mp4"} for id, row in zip("abc", scores, strict=True)
    ]
    found = score_files.read(dumped(tmp_path / "a.pkl", first), ["nod", "wave"])
    assert found.ids.tolist() == ["a.mp4", "b.mp4", "c.mp4"]


def test_a_clip_that_is_there_twice_is_refused_and_not_taken_by_its_place(tmp_path):
    (tmp_path / "list.txt").write_text("a 0\nb 1\n")
    path = dumped(tmp_path / "a.pkl", samples(torch.tensor([[0.75, 0.25], [0.5, 0.5]]), frame_dir=["a", "a"]))
    with pytest.raises(DataError, match="ids of predictions must be unique, found 'a' 2 times"):
        score_files.read(path, ["nod", "wave"], tmp_path / "list.txt", "test")


def test_one_of_several_modalities_is_named(tmp_path):
    rgb, pose = torch.tensor([[1.0, 0.0], [0.25, 0.75]]), torch.tensor([[0.5, 0.5], [0.0, 1.0]])
    both = [{"rgb": a, "pose": b} for a, b in zip(rgb, pose, strict=True)]
    content = [{"pred_score": row, "frame_dir": id} for row, id in zip(both, "ab", strict=True)]
    path = dumped(tmp_path / "a.pkl", content)
    for name, scores in {"rgb": rgb, "pose": pose}.items():
        found = score_files.read(f"{path}#{name}", ["nod", "wave"])
        assert found.probabilities.tolist() == scores.tolist()
    for place in (path, f"{path}#depth"):
        with pytest.raises(DataError, match=r"several modalities \('rgb', 'pose'\); name one .* a\.pkl#rgb"):
            score_files.read(place, ["nod", "wave"])


def test_samples_without_an_id_have_the_order_of_an_annotation_file(tmp_path):
    path = dumped(tmp_path / "a.pkl", samples(torch.tensor([[0.75, 0.25], [0.5, 0.5]])))
    with pytest.raises(DataError, match="has no ids; give `annotations`"):
        score_files.read(path, ["nod", "wave"])
    (tmp_path / "list.txt").write_text("b_1.mp4 0\nb_0.mp4 1\n")
    found = score_files.read(path, ["nod", "wave"], tmp_path / "list.txt", "test")
    assert found.ids.tolist() == ["b_1.mp4", "b_0.mp4"]
    with pytest.raises(DataError, match=r"sample 0 has no pred_score, found \['frame_dir'\]"):
        score_files.read(dumped(tmp_path / "b.pkl", [{"frame_dir": "a"}]), ["nod", "wave"])


def test_a_tensor_is_no_larger_than_its_bytes(tmp_path):
    content = pickle.dumps([{"pred_score": torch.tensor([0.75, 0.25]), "frame_dir": "a"}])
    path = tmp_path / "a.pkl"
    path.write_bytes(content)
    assert score_files.read(path, ["nod", "wave"]).probabilities.tolist() == [[0.75, 0.25]]
    count = (2).to_bytes(8, "little") + np.float32([0.75, 0.25]).tobytes()
    assert content.count(count) == 1
    path.write_bytes(content.replace(count, (2**60).to_bytes(8, "little") + count[8:]))
    with pytest.raises(DataError, match="not a complete pickle"):
        score_files.read(path, ["nod", "wave"])
    for number in range(0, len(content), 7):  # any damage is refused, or gives another number
        path.write_bytes(content[:number] + bytes([content[number] ^ 65]) + content[number + 1 :])
        with contextlib.suppress(DataError):
            score_files.read(path, ["nod", "wave"])


def test_a_modality_that_a_file_does_not_have_is_refused(tmp_path):
    scores = torch.tensor([[0.75, 0.25]])
    dumped(tmp_path / "a.pkl", samples(scores, frame_dir=["a"]))
    dumped(tmp_path / "b.pkl", {"a": scores[0].numpy()})
    (tmp_path / "c.csv").write_text("a,0.75,0.25\n")
    for name in ("a.pkl", "b.pkl", "c.csv"):
        with pytest.raises(DataError, match=rf"{name}: has no modalities; leave out #'pose'"):
            score_files.read(f"{tmp_path / name}#pose", ["nod", "wave"])


def test_one_storage_is_not_unfolded_to_many_tensors(tmp_path):
    with warnings.catch_warnings(action="ignore"):  # PyTorch warns about what it pickles itself
        storage = torch.zeros(100_000).storage()

    class Tensor:
        def __reduce__(self):
            return torch._utils._rebuild_tensor_v2, (storage, 0, (100_000,), (1,), False, {})

    content = [{"pred_score": Tensor(), "frame_dir": str(row)} for row in range(400)]
    path = dumped(tmp_path / "a.pkl", content)
    assert path.stat().st_size < 2**20
    with pytest.raises(DataError, match="it unfolds to far more than its size"):
        score_files.read(path, ["nod", "wave"])
    views = torch.rand(400, 100).softmax(1)  # the usual case: rows of one batch
    names = [f"class {row}" for row in range(100)]
    path = dumped(tmp_path / "b.pkl", samples(views, frame_dir=list(map(str, range(400)))))
    assert np.allclose(score_files.read(path, names).probabilities, views)


def test_a_list_of_names_in_another_encoding_is_refused(tmp_path):
    path = dumped(tmp_path / "a.pkl", samples(torch.tensor([[0.75, 0.25]])))
    (tmp_path / "list.txt").write_bytes("ä 0\n".encode("latin1"))
    with pytest.raises(DataError, match=r"list\.txt: not text in UTF-8"):
        score_files.read(path, ["nod", "wave"], tmp_path / "list.txt", "test")
