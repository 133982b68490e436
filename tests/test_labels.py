import hashlib
import json
import re
from importlib import resources

import numpy as np
import pytest

from miga_lib import labels


def test_from_file_and_to_file_are_inverse():
    numbers = [labels.to_file(label) for label in range(32)]
    assert numbers == [*range(1, 32), 99]
    assert [labels.from_file(number) for number in numbers] == list(range(32))


@pytest.mark.parametrize("number", [0, 32, 98, 100, -1])
def test_a_number_that_is_not_a_class_is_refused(number):
    with pytest.raises(ValueError, match=f"a class is 1 to 31 or 99, found {number}$"):
        labels.from_file(number)


def test_there_are_32_different_classes_with_12893_training_clips():
    assert len(set(labels.CLASSES)) == len(labels.CLASSES) == len(labels.TRAINING_COUNTS) == 32
    assert sum(labels.TRAINING_COUNTS) == 12893
    assert labels.CLASSES[labels.from_file(99)] == "illustrative"


def test_the_table_of_the_package_has_a_row_for_each_class_in_any_order():
    rows = labels.embeddings()
    assert rows.shape == (32, 384)
    assert rows.dtype == np.float32
    chosen = ("touch chin", "illustrative", "turtle neck")
    np.testing.assert_array_equal(
        labels.embeddings(chosen), rows[[labels.CLASSES.index(name) for name in chosen]]
    )


def test_no_gesture_has_the_mean_of_the_other_classes():
    rows = labels.embeddings((*labels.SMG_CLASSES, labels.NO_GESTURE))
    np.testing.assert_allclose(rows[-1], labels.embeddings(labels.SMG_CLASSES).mean(0), rtol=1e-6)
    assert rows.dtype == np.float32
    with pytest.raises(ValueError, match=r"no embedding for class 'nod' \(2 classes are missing\)"):
        labels.embeddings(("nod", labels.NO_GESTURE))


def test_the_table_of_the_package_has_the_17_classes_of_smg():
    smg = labels.embeddings(labels.SMG_CLASSES)
    assert len(set(labels.SMG_CLASSES)) == len(smg) == 17
    np.testing.assert_allclose((smg**2).mean(1), 0.1, rtol=1e-5)
    nearest = {
        name: labels.CLASSES[k]
        for name, k in zip(labels.SMG_CLASSES, (smg @ labels.embeddings().T).argmax(1), strict=True)
    }
    expected = {
        "folding arms": "fold arm",
        "arms akimbo": "arm akimbo",
        "playing or adjusting hair": "play hair",
    }
    assert {name: nearest[name] for name in expected} == expected


def test_rows_that_networks_were_trained_with_never_change():
    assert (
        hashlib.sha256(labels.embeddings().astype("<f4").tobytes()).hexdigest()
        == "b62629c16821730797ada3d94304032967e5c7dd04ab60002eaa3a3fc9f79826"
    )


def test_rows_of_the_package_have_the_scale_in_their_provenance():
    with resources.files("miga_lib").joinpath("data/class_embeddings.npz").open("rb") as file:
        provenance = json.loads(str(np.load(file)["provenance"]))
    rows = labels.embeddings()
    np.testing.assert_allclose((rows**2).mean(1), 0.1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(rows / provenance["scale"], axis=1), 1, rtol=1e-5)
    assert re.fullmatch("[0-9a-f]{64}", provenance["weights_sha256"])
    assert provenance["licence"]


@pytest.mark.parametrize(
    ("name", "near", "far"),
    [
        ("touch chin", "touch neck", "arm akimbo"),
        ("scratch arm", "scratch back", "deep breath"),
        ("bite lip", "bite nails", "fold arm"),
    ],
)
def test_similar_names_have_similar_embeddings(name, near, far):
    rows = dict(zip(labels.CLASSES, labels.embeddings(), strict=True))
    assert rows[name] @ rows[near] > rows[name] @ rows[far]


def test_a_class_without_an_embedding_is_named():
    message = (
        "the table of the package has no embedding for class 'stand up' \\(2 classes are missing\\); set"
    )
    with pytest.raises(ValueError, match=message):
        labels.embeddings(("touch chin", "stand up", "kick"))


def test_npy_table(tmp_path):
    table = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "table.npy", table)
    rows = labels.embeddings(("a", "b"), tmp_path / "table.npy")
    np.testing.assert_array_equal(rows, table)
    assert rows.dtype == np.float32
    message = (
        r"table\.npy: expected numbers of shape \(3, up to 16384\), a row for each class, found float64 of"
    )
    with pytest.raises(ValueError, match=message):
        labels.embeddings(("a", "b", "c"), tmp_path / "table.npy")


def test_glove_words_are_averaged(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("the 9 9\nbite 1 2\nlip 3 0\nface 5 -4\n", encoding="utf-8")
    rows = labels.embeddings(("bite lip", "face"), path)
    # (1 + 3) / 2 and (2 + 0) / 2; the embedding of a single word is its vector.
    np.testing.assert_array_equal(rows, np.array([[2, 1], [5, -4]], dtype=np.float32))
    assert rows.dtype == np.float32


def test_a_word_without_a_vector_is_named(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("bite 1 2\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"glove\.txt: no vector for the words arm, lip"):
        labels.embeddings(("bite lip", "arm bite"), path)


def test_a_table_that_claims_more_than_it_holds_is_refused(tmp_path):
    path = tmp_path / "claims.npy"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<f8", "fortran_order": False, "shape": (32, 10**12)}
        )
    with pytest.raises(ValueError, match=r"claims\.npy: not a numpy array"):
        labels.embeddings(table=path)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.full((32, 2), np.nan), "embeddings must be finite numbers, those of class 0 are not"),
        (np.zeros((32, 2), dtype="U1"), "expected numbers of shape"),
        (np.zeros((31, 2)), r"found float64 of shape \(31, 2\)"),
        (np.zeros((32, 0)), r"found float64 of shape \(32, 0\)"),
    ],
)
def test_a_table_of_something_else_is_refused(tmp_path, rows, message):
    np.save(tmp_path / "rows.npy", rows)
    with pytest.raises(ValueError, match=message):
        labels.embeddings(table=tmp_path / "rows.npy")


@pytest.mark.parametrize(
    "content",
    [
        b"wave\nnod\n",
        b"wave 1 2\nnod 1\n",
        b"wave 1 x\nnod 1 2\n",
        b"wave 1 \xff\nnod 1 2\n",
        b"wave 1 nan\nnod 1 2\n",
    ],
)
def test_a_damaged_glove_file_is_named(tmp_path, content):
    (tmp_path / "glove.txt").write_bytes(content)
    with pytest.raises(ValueError, match=r"glove\.txt: "):
        labels.embeddings(("wave", "nod"), tmp_path / "glove.txt")


def test_a_missing_table_is_named(tmp_path):
    for name in ("none.npy", "none.txt"):
        with pytest.raises(ValueError, match=name):
            labels.embeddings(table=tmp_path / name)
