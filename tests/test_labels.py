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
def test_a_number_that_is_no_class_is_refused(number):
    with pytest.raises(ValueError, match=f"a class is 1 to 31 or 99, found {number}$"):
        labels.from_file(number)


def test_there_are_32_different_classes_with_12893_training_clips():
    assert len(set(labels.CLASSES)) == len(labels.CLASSES) == len(labels.TRAINING_COUNTS) == 32
    assert sum(labels.TRAINING_COUNTS) == 12893
    assert labels.CLASSES[labels.from_file(99)] == "illustrative"


def test_shipped_table_has_a_row_for_each_class_in_any_order():
    rows = labels.embeddings()
    assert rows.shape == (32, 384)
    assert rows.dtype == np.float32
    chosen = ("touch chin", "illustrative", "turtle neck")
    np.testing.assert_array_equal(labels.embeddings(chosen), rows[[labels.CLASSES.index(name) for name in chosen]])


def test_shipped_rows_have_the_scale_that_their_provenance_tells():
    with resources.files("miga_lib").joinpath("data/class_embeddings.npz").open("rb") as file:
        provenance = json.loads(str(np.load(file)["provenance"]))
    rows = labels.embeddings()
    np.testing.assert_allclose((rows**2).mean(1), 0.1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(rows / provenance["scale"], axis=1), 1, rtol=1e-5)
    assert re.fullmatch("[0-9a-f]{64}", provenance["weights_sha256"])
    assert provenance["licence"]


@pytest.mark.parametrize(
    ("name", "near", "far"),
    [("touch chin", "touch neck", "arm akimbo"), ("scratch arm", "scratch back", "deep breath"), ("bite lip", "bite nails", "fold arm")],
)
def test_shipped_table_puts_like_names_together(name, near, far):
    rows = dict(zip(labels.CLASSES, labels.embeddings(), strict=True))
    assert rows[name] @ rows[near] > rows[name] @ rows[far]


def test_a_class_without_shipped_embedding_is_named():
    with pytest.raises(ValueError, match="no embedding is shipped for class 'stand up' \\(2 such\\); set `semantic_weight` to 0"):
        labels.embeddings(("touch chin", "stand up", "kick"))


def test_npy_table(tmp_path):
    table = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "table.npy", table)
    rows = labels.embeddings(("a", "b"), tmp_path / "table.npy")
    np.testing.assert_array_equal(rows, table)
    assert rows.dtype == np.float32
    with pytest.raises(ValueError, match=r"table\.npy: expected one row for each of the 3 classes, found shape \(2, 3\)"):
        labels.embeddings(("a", "b", "c"), tmp_path / "table.npy")


def test_glove_words_are_averaged(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("the 9 9\nbite 1 2\nlip 3 0\nface 5 -4\n", encoding="utf-8")
    rows = labels.embeddings(("bite lip", "face"), path)
    # (1 + 3) / 2 and (2 + 0) / 2; a name of one word is that word.
    np.testing.assert_array_equal(rows, np.array([[2, 1], [5, -4]], dtype=np.float32))
    assert rows.dtype == np.float32


def test_a_word_that_glove_lacks_is_named(tmp_path):
    path = tmp_path / "glove.txt"
    path.write_text("bite 1 2\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"glove\.txt: no vector for the words arm, lip"):
        labels.embeddings(("bite lip", "arm bite"), path)
