"""No file can run code, write outside its folder or exhaust the machine: it is refused with a message, and
without effect."""

import itertools
import os
import pickle
import pickletools
import stat
import zipfile
from collections import OrderedDict, defaultdict

import fuzzing
import habits
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

from miga_lib import checkpoints, clips, layouts, predictions
from miga_lib.ensemble import score_files
from miga_lib.readers import DataError, Report, miga, unpickling, untrusted
from miga_lib.training import checkpoint

pytestmark = pytest.mark.slow

HUGE = (10**10).to_bytes(8, "little")


class Harm:
    """An object whose pickle makes a folder when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def pickled(tmp_path, content):
    path = tmp_path / "file.pkl"
    path.write_bytes(content)
    return path


PLAIN = {
    "split": {"train": ["a", "ä"]},
    "half": np.arange(6, dtype="f2").reshape(1, 2, 3),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big endian": np.arange(3, dtype=">i4"),
    "names": np.array(["ab", "c"]),
    "empty": np.zeros((0, 3)),
    "scalars": [np.int64(3), np.float32(2.5), np.bool_(True), np.str_("x")],
    "sets": [{1, 2}, frozenset(["a"])],
    "dicts": [OrderedDict(a=1), defaultdict(list, a=[1])],
    "bytes": [b"", b"\x00\xff", bytearray(b"\x80")],
    "numbers": [0, -5, 300, 70000, 10**30, -(2**70), 1.5, True, None],
    "tuples": [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)],
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_content_of_any_protocol_is_read(tmp_path, protocol):
    content = unpickling.load(pickled(tmp_path, pickle.dumps(PLAIN, protocol)))
    assert content.keys() == PLAIN.keys()
    for name, value in PLAIN.items():
        np.testing.assert_equal(content[name], value)
        if isinstance(value, np.ndarray):
            assert content[name].dtype.newbyteorder("=") == value.dtype.newbyteorder("=")


PYTHON_2 = (
    # What cPickle of Python 2.7 with numpy 1.16 writes of (["0012_0"], array([1.5, -2], "f4")): bytes are
    # strings there.
    b"\x80\x02]q\x01U\x060012_0q\x02acnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00"
    b"\x85U\x01b\x87Rq\x05(K\x01K\x02\x85cnumpy\ndtype\nq\x06U\x02f4K\x00K\x01\x87Rq\x07(K\x03U\x01<NNNJ"
    b"\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x08\x00\x00\xc0?\x00\x00\x00\xc0tb\x86q\x08."
)
PYTHON_2_TEXT = (
    b"((lp1\nS'0012_0'\np2\nacnumpy.core.multiarray\n_reconstruct\np3\n(cnumpy\nndarray\np4\n(I0\ntp5\nS'b'"
    b"\np6\ntp7\nRp8\n(I1\n(I2\ntp9\ncnumpy\ndtype\np10\n(S'f4'\np11\nI0\nI1\ntp12\nRp13\n(I3\nS'<'\np14\nN"
    b"NNI-1\nI-1\nI0\ntp15\nbI00\nS'\\x00\\x00\\xc0?\\x00\\x00\\x00\\xc0'\np16\ntp17\nbtp18\n."
)


@pytest.mark.parametrize("content", [PYTHON_2, PYTHON_2_TEXT], ids=["protocol 2", "protocol 0"])
def test_files_of_python_2_and_an_old_numpy_are_read(tmp_path, content):
    names, values = unpickling.load(pickled(tmp_path, content))
    assert names == ["0012_0"]
    assert values.tolist() == [1.5, -2.0]


def test_an_odd_escape_sequence_of_python_2_is_read_without_a_warning(tmp_path):
    """Found by mutation: Python warns of it, in text and in names."""
    path = pickled(tmp_path, b"S'\\*'\np0\n.")
    assert (unpickling.load(path), unpickling.first_text(path)) == ("\\*", "\\*")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_that_would_run_code_is_refused_by_name(tmp_path, protocol):
    path = pickled(tmp_path, pickle.dumps({"annotations": [Harm(tmp_path / "done")]}, protocol))
    message = rf"file\.pkl: the pickle asks for {os.name}\.mkdir: refused, and nothing was run"
    with pytest.raises(DataError, match=message):
        clips.load(path, "coco17", tmp_path / "outputs")
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize(
    ("content", "asked"),
    [
        (b"cos\nsystem\n(S'exit 3'\ntR.", r"os\.system"),
        (b"(S'exit 3'\nios\nsystem\n.", r"os\.system"),
        (b"(cos\nsystem\nS'exit 3'\no.", r"os\.system"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.", r"builtins\.eval"),
        (b"\x80\x04\x8c\x05numpy\x8c\x04load\x93.", r"numpy\.load"),
        (b"\x80\x04\x8c\x05numpy\x8c\x0cndarray.dump\x93.", r"numpy\.ndarray\.dump"),
        (b"\x80\x02\x82\x01.", "the opcode EXT1"),
        (b"Pabc\n.", "the opcode PERSID"),
        (b"\x80\x02cnumpy\nndarray\n)\x81.", "the opcode NEWOBJ"),
        (b"\x80\x02]K\x01b.", r"the state of \[\]"),
        (pickle.dumps(np.array([{}], dtype=object)), "a numpy array of objects"),
        (pickle.dumps(np.zeros(2, [("a", "f4")])), "a numpy array of type 'V4'"),
        (pickle.dumps(np.zeros(2, "M8[s]")), "a numpy array of type 'M8'"),
        (pickle.dumps(range(3)), r"builtins\.range"),
    ],
)
def test_anything_beyond_plain_content_is_refused_by_name(tmp_path, content, asked):
    with pytest.raises(DataError, match=rf"the pickle asks for .*{asked}"):
        unpickling.load(pickled(tmp_path, content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x80\x04\x8e" + HUGE + b"abc", "it claims 10,000,000,000 bytes where 3 are left"),
        (b"\x80\x05\x96" + HUGE + b"abc", "it claims 10,000,000,000 bytes where 3 are left"),
        (b"\x80\x04\x95" + HUGE + b"abc", "it claims 10,000,000,000 bytes where 3 are left"),
        (b"\x80\x02T\x00\x945\x77abc", "it claims 2,000,000,000 bytes where 3 are left"),
        (
            b"\x80\x02cnumpy\nndarray\n(\x8a\x05\x00\xe4\x0bT\x02\x85X\x02\x00\x00\x00f4X\x01\x00\x00\x00atR.",
            "claims 40,000,000,000 bytes and holds 1",
        ),
        (
            b"\x80\x02cnumpy\nndarray\n(K\x02J\xff\xff\xff\xff\x86X\x02\x00\x00\x00f4X\x00\x00\x00\x00tR.",
            "claims -8 bytes and holds 0",
        ),
        (b"\x80\x02cbuiltins\nbytearray\n\x8a\x05\x00\xe4\x0bT\x02\x85R.", "a bytes-like object is required"),
        (b"\x80\x02](h\x00e.", "Memo value not found"),
        (b"(" * 100_000, "it unfolds to far more than its size"),
        (b"\x80\x04]" + b"\x94" * 100_000, "it unfolds to far more than its size"),
        (b"\x80\x04" + b"\x8f" * 100_000, "it unfolds to far more than its size"),
        (b"\x80\x02}" + b")" + b"2\x86" * 60 + b"Ns.", "a tuple as a key"),
        (b"\x80\x02}]Ns.", "a list as a key"),
        (b"", "it claims 1 bytes where 0 are left"),
        (b"no pickle at all", "byte 110 is no opcode"),
        (pickle.dumps(PLAIN)[:-40], r"it claims 1,027 bytes where 987 are left"),
    ],
)
def test_a_pickle_that_claims_more_than_it_holds_is_refused(tmp_path, content, message):
    message = rf"file\.pkl: not a complete pickle of arrays and plain containers \(.*{message}"
    with pytest.raises(DataError, match=message):
        unpickling.load(pickled(tmp_path, content))


def test_a_megabyte_asked_for_again_and_again_is_refused(tmp_path):
    """The same bytes are made into an array many times: 30 bytes of the file for a megabyte of memory."""
    megabyte = b"\x80\x02(X\x02\x00\x00\x00f4q\x01B" + (2**20).to_bytes(4, "little") + bytes(2**20) + b"q\x02"
    request = b"cbuiltins\nbytearray\nh\x02\x85R"
    with pytest.raises(DataError, match="it unfolds to far more than its size"):
        unpickling.load(pickled(tmp_path, megabyte + request * 200 + b"t."))


def test_every_opcode_is_allowed_or_refused():
    """An opcode that a later Python adds is refused until this list is changed."""
    opcodes = {opcode.name for opcode in pickletools.opcodes}
    allowed = [*unpickling.OPCODES, *unpickling.COSTS, *unpickling.STEPS]
    assert len(allowed) == len(set(allowed))
    assert set(allowed) <= opcodes
    assert opcodes - set(allowed) == {
        "PERSID", "BINPERSID", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER",
        "READONLY_BUFFER",
    }  # fmt: skip


def npy(path, array, **changes):
    """A npy file, perhaps with another header than its numbers."""
    header = np.lib.format.header_data_from_array_1_0(array) | changes
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        file.write(array.tobytes())
    return path


@pytest.mark.parametrize(
    ("array", "changes", "message"),
    [
        (
            np.zeros((10, 411)),
            {"shape": (100, 411)},
            "array of numbers .mmap length is greater than file size",
        ),
        (np.zeros((10, 411)), {"shape": (10**7, 411)}, "not a complete numpy array of numbers"),
        (np.zeros((10, 411)), {"shape": (2**62, 411)}, "not a complete numpy array of numbers"),
        (np.zeros(4), {"descr": "|O"}, "not a complete numpy array of numbers .*(object|Object)"),
        (np.array(["a"]), {}, "it holds <U1"),
        (np.zeros((2, 411), complex), {}, "it holds complex128"),
    ],
)
def test_a_npy_file_that_claims_more_or_has_no_numbers_is_refused(tmp_path, array, changes, message):
    with pytest.raises(DataError, match=message):
        untrusted.array(npy(tmp_path / "a.npy", array, **changes))


def npz(path, scores, encrypted=False):
    """A zip file with the bytes of one array."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("scores.npy", scores)
    if encrypted:  # as the flags of its two headers say
        content = bytearray(path.read_bytes())
        content[6] |= 1
        content[content.find(b"PK\x01\x02") + 8] |= 1
        path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("array", "changes", "message"),
    [
        (
            np.zeros(3),
            {"shape": (10**12,)},
            "shape .1000000000000,. claims 8,000,000,000,000 bytes and has 24",
        ),
        (np.zeros(3), {"shape": (2,)}, "claims 16 bytes and has 24"),
        (np.zeros(3), {"descr": "<U250000000"}, "claims 3,000,000,000 bytes and has 24"),
        (np.zeros(0), {"descr": "<U0", "shape": (10**12,)}, "an array holds <U0"),
        (np.zeros(3), {"descr": "|O"}, "an array holds object"),
        (np.zeros(10**7), {}, "to unpack to 80,000,.* bytes from .*; more than 100 times are not unpacked"),
    ],
)
def test_an_npz_that_claims_more_or_has_objects_is_refused(tmp_path, array, changes, message):
    path = npz(tmp_path / "a.npz", npy(tmp_path / "a.npy", array, **changes).read_bytes())
    for reader in (untrusted.arrays, predictions.load, score_files.read):
        with pytest.raises(ValueError, match=rf"a\.npz: .*{message}"):
            reader(path)


def test_an_encrypted_npz_is_refused(tmp_path):
    path = npz(tmp_path / "a.npz", npy(tmp_path / "a.npy", np.zeros(3)).read_bytes(), encrypted=True)
    message = r"a\.npz: not an npz file of complete arrays .*'scores\.npy' is encrypted"
    with pytest.raises(DataError, match=message):
        untrusted.arrays(path)


def test_an_npz_that_lies_about_its_size_is_never_read_beyond_its_claim(tmp_path, monkeypatch):
    content = npy(tmp_path / "a.npy", np.zeros(10**6)).read_bytes()
    path = npz(tmp_path / "a.npz", content)
    claim, lie = (size.to_bytes(4, "little") for size in (len(content), 1000))
    path.write_bytes(path.read_bytes().replace(claim, lie))
    sizes, decompress = [], zipfile.ZipExtFile._read1

    def read1(file, n):
        sizes.append(n)
        return decompress(file, n)

    monkeypatch.setattr(zipfile.ZipExtFile, "_read1", read1)
    with pytest.raises(DataError, match=r"a\.npz: not an npz file of complete arrays .*Bad CRC-32"):
        untrusted.arrays(path)
    assert max(sizes) <= 2**16


def test_a_checkpoint_that_unfolds_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.ckpt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(80 * untrusted.MB))
    for reader in (checkpoints.read, checkpoint.read):
        with pytest.raises(ValueError, match=r"a\.ckpt: .*claims to unpack to 80,000,000 bytes"):
            reader(tmp_path / "a.ckpt")


def test_a_truncated_npy_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((10, 411)))
    whole = (tmp_path / "a.npy").read_bytes()
    for length in (0, 5, 60, 128, len(whole) - 1):
        (tmp_path / "a.npy").write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"a\.npy: not a complete numpy array of numbers"):
            untrusted.array(tmp_path / "a.npy")


def test_no_array_file_is_opened_with_pickle(tmp_path):
    harm = np.array([Harm(tmp_path / "done")], dtype=object)
    np.save(tmp_path / "a.npy", harm, allow_pickle=True)
    with pytest.raises(DataError, match="not a complete numpy array of numbers"):
        untrusted.array(tmp_path / "a.npy")
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Harm(tmp_path / "done")))
    with pytest.raises(DataError, match="not a complete numpy array of numbers"):
        untrusted.array(tmp_path / "b.npy")
    np.savez(tmp_path / "c.npz", ids=harm, labels=harm, probabilities=harm, classes=harm, allow_pickle=True)
    with pytest.raises(ValueError, match="an array holds object"):
        predictions.load(tmp_path / "c.npz")
    assert not (tmp_path / "done").exists()


def test_a_table_of_short_lines_after_a_long_one_is_refused(tmp_path):
    """Filled up to 411 columns, each of these lines of two bytes would take 3288."""
    path = tmp_path / "a.csv"
    path.write_text(",".join(["0"] * 411) + "\n" + "0\n" * 1000)
    message = r"a\.csv: line 2 has 1 cells and line 1 has 411; all rows need the same number"
    with pytest.raises(DataError, match=message):
        miga.read_frames(path, layouts.get("openpose137"), Report())


def test_a_table_of_nan_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text((",".join(["nan"] * 411) + "\n") * 5)
    with pytest.raises(DataError, match="every joint of every frame is empty or not finite"):
        miga.read_frames(path, layouts.get("openpose137"), Report())


def test_files_that_are_far_too_large_are_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setitem(untrusted.MAX_BYTES, ".json", 10)
    (tmp_path / "a.json").write_text("[" + "1," * 10 + "1]")
    with pytest.raises(DataError, match=r"a\.json: has 23 bytes, at most 10 are read; split it or remove it"):
        untrusted.document(tmp_path / "a.json")
    (tmp_path / "b.json").mkdir()
    with pytest.raises(DataError, match=r"b\.json: is not a file; remove it"):
        untrusted.document(tmp_path / "b.json")


def cell(column, row):
    return f'<row r="{row}"><c r="{column}{row}"><v>1</v></c></row>'.encode()


def workbook(path, sheet=b"", **members):
    """A workbook whose sheet holds those bytes, and further members."""
    pd.DataFrame(np.ones((2, 411))).to_excel(path, header=False, index=False)
    with zipfile.ZipFile(path) as source:
        parts = {member.filename: source.read(member) for member in source.infolist()}
    name = "xl/worksheets/sheet1.xml"
    parts[name] = parts[name].replace(b"<sheetData>", b"<sheetData>" + sheet)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
        for part, content in (parts | members).items():
            target.writestr(part, content)
    return path


@pytest.mark.parametrize(
    ("sheet", "message"),
    [
        (cell("A", 1) + b" " * (70 * 2**20), r"claims to unpack to 7\d,\d{3},\d{3} bytes from"),
        (cell("A", 1048576), "has a cell at 104857…; up to column OV and row 99999 are read"),
        (cell("OV", 99999), r"sheet1\.xml claims 99,999 rows in [\d,]+ bytes: delete its far cells"),
        (cell("XFD", 1), "has a cell at XFD1…; up to column OV"),
        (b"<row r=\"1\"><c\tr = 'OW1'><v>1</v></c></row>", "has a cell at OW1…; up to column OV"),
    ],
)
def test_a_workbook_that_unfolds_is_refused(tmp_path, sheet, message):
    with pytest.raises(DataError, match=message):
        miga.read_frames(workbook(tmp_path / "a.xlsx", sheet), layouts.get("openpose137"), Report())


def test_a_workbook_that_lies_about_its_size_is_refused(tmp_path):
    path = workbook(tmp_path / "a.xlsx", b" " * (70 * 2**20))
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        sizes = {member.file_size for member in archive.infolist() if member.file_size > 2**20}
    for size in sizes:
        content = content.replace(size.to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"sheet1\.xml unpacks to more than the 1,000 bytes that it claims"):
        untrusted.workbook(path)


def test_a_workbook_that_repeats_a_long_text_is_refused(tmp_path):
    path = workbook(
        tmp_path / "a.xlsx",
        b'<row><c t="s"><v>0</v></c></row>' * 2000,
        **{"xl/sharedStrings.xml": b"<t>" + os.urandom(2**19).hex().encode()},
    )
    with pytest.raises(DataError, match="holds 2,000 cells of long text; store keypoints as numbers"):
        untrusted.workbook(path)


def test_an_honest_workbook_is_read(tmp_path):
    frames = miga.read_frames(workbook(tmp_path / "a.xlsx"), layouts.get("openpose137"), Report())
    assert frames.shape == (2, 137, 3)


def archive(path, **members):
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


@pytest.mark.parametrize("start", ["../", "a/../../", "/", "C:\\", "..\\", "C:"], ids=repr)
def test_a_zip_that_leads_out_of_its_folder_is_refused(tmp_path, start):
    path = archive(tmp_path / "inner" / "a.zip", **{"good.txt": "1", f"{start}outside.txt": "1"})
    message = r"its member .*outside.txt' would leave the folder that it is unpacked to; nothing was unpacked"
    with pytest.raises(DataError, match=rf"a\.zip: {message}"):
        clips.load(path, outputs=tmp_path / "inner" / "outputs")
    assert list(tmp_path.rglob("*.txt")) == []


def test_a_zip_with_a_link_is_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr(link, "/etc")
    with pytest.raises(DataError, match="its member 'link' is a link; nothing was unpacked"):
        clips.load(tmp_path / "a.zip", outputs=tmp_path / "outputs")


def test_a_zip_bomb_is_refused(tmp_path):
    path = archive(tmp_path / "a.zip", zeros=bytes(80 * 2**20))
    message = r"claims to unpack to 83,886,080 bytes from [\d,]+; more than 100 times are not unpacked"
    with pytest.raises(DataError, match=rf"a\.zip: {message}"):
        clips.load(path, outputs=tmp_path / "outputs")
    assert list((tmp_path / "outputs").rglob("zeros")) == []


def test_clips_load_from_a_zip_once(tmp_path):
    keypoints = np.ones((3, 137, 3), np.float32)
    miga.write_video(tmp_path / "in", "train", "0012", keypoints, [(3, 0, 2)])
    with zipfile.ZipFile(tmp_path / "own.zip", "w") as target:
        for file in (tmp_path / "in").rglob("*.*"):
            target.write(file, file.relative_to(tmp_path))
    data = clips.load(tmp_path / "own.zip", outputs=tmp_path / "outputs")
    assert data.table["id"].tolist() == ["0012_0"]
    (unpacked,) = (tmp_path / "outputs" / "data").iterdir()
    before = unpacked.stat().st_mtime_ns
    assert len(clips.load(tmp_path / "own.zip", outputs=tmp_path / "outputs")) == 1
    assert unpacked.stat().st_mtime_ns == before


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"PK\x05\x06" + bytes(18)])
def test_a_broken_zip_is_refused(tmp_path, content):
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.zip: cannot be unpacked|no known format"):
        clips.load(tmp_path / "a.zip", outputs=tmp_path / "outputs")


def test_names_that_a_table_cannot_store_are_refused(tmp_path):
    annotation = {
        "frame_dir": "a\rb", "label": 0, "img_shape": (9, 9), "keypoint": np.ones((1, 2, 17, 2)),
        "keypoint_score": np.ones((1, 2, 17)),
    }  # fmt: skip
    path = pickled(tmp_path, pickle.dumps({"split": {"train": ["a\rb"]}, "annotations": [annotation]}))
    message = r"ids, videos and subjects are up to 250 printable characters, found 'a\\rb'"
    with pytest.raises(DataError, match=message):
        clips.load(path, "coco17", tmp_path / "outputs")
    assert Report().errors is None


def test_a_table_that_asks_for_the_whole_video_again_and_again_is_refused(tmp_path):
    miga.write_video(tmp_path, "train", "0012", np.ones((50, 137, 3), np.float32), [(0, 0, 49)] * 400)
    message = "0012: its clips have 20,000 frames together, the video has 50; correct the table of segments"
    with pytest.raises(DataError, match=message):
        clips.load(tmp_path, outputs=tmp_path / "outputs")


@pytest.mark.parametrize("name", fuzzing.SOURCES)
def test_what_people_do_to_files_never_gives_other_clips_in_silence(name, tmp_path):
    """The first cases of ``benchmarks/fuzz_readers.py``, which tries ten thousand."""
    attempt, outcomes = habits.follow(name, tmp_path), set()
    cases = {"release": 30, "miga23": 400}.get(name, 60)

    @settings(max_examples=cases, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(habits.HABITS)
    def attempt_all(changes):
        outcomes.add(attempt(changes))

    attempt_all()
    assert {"same", "refused"} <= outcomes


@pytest.mark.parametrize("name", fuzzing.SOURCES)
def test_mutated_files_give_clips_or_an_error_of_ours(name, tmp_path):
    """The first fifty cases of ``benchmarks/fuzz_readers.py``, which tries ten thousand."""
    attempt, outcomes = fuzzing.attack(name, tmp_path), set()

    @settings(max_examples=50, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(fuzzing.CHANGES)
    def attempt_all(changes):
        outcomes.add(attempt(changes))

    attempt_all()
    assert outcomes == {"clips", "refused"}


@pytest.mark.parametrize("name", fuzzing.SOURCES)
def test_a_refusal_of_long_cells_and_names_is_short(name, tmp_path):
    """One cell or value after the other in the first and last files of a source. All of them cannot be
    clips."""
    attempt, values = fuzzing.attack(name, tmp_path), itertools.cycle(fuzzing.LONG_VALUES)
    cells = itertools.product(range(-6, 6), (0, 3, 4, 5))
    outcomes = {attempt((file, [], [(place, next(values))], "edit")) for file, place in cells}
    assert "refused" in outcomes


def test_impossible_numbers_become_missing_joints(tmp_path):
    """Found by mutation: they were accepted, and overflowed when they were squared."""
    frames = np.ones((6, 411))
    frames[0, 0], frames[1, 1], frames[2, 2], frames[3, 2] = 1e300, -1e30, -0.5, 1e20
    np.save(tmp_path / "a.npy", frames)
    report = Report()
    read = miga.read_frames(tmp_path / "a.npy", layouts.get("openpose137"), report)
    assert read[:4, 0].tolist() == [[0, 0, 0]] * 4
    assert read[4:].all()
    assert list(report.events) == [
        "joints with an empty or infinite cell taken as missing",
        "joints with a coordinate beyond 131072 pixels taken as missing",
        "joints with a negative score taken as missing",
    ]


def test_a_signalling_nan_is_a_missing_joint(tmp_path):
    """Found by mutation: numpy warns when it is converted to another type."""
    frames = np.ones((2, 411), "f4")
    frames.view("u4")[0, 0] = 0x7F800001
    np.save(tmp_path / "a.npy", frames)
    assert miga.read_frames(tmp_path / "a.npy", layouts.get("openpose137"), Report())[0, 0].tolist() == [
        0,
        0,
        0,
    ]


def test_the_header_that_python_2_wrote_is_read_without_a_warning(tmp_path):
    path = npy(tmp_path / "a.npy", np.ones((2, 411)))
    path.write_bytes(path.read_bytes().replace(b"(2, 411), } ", b"(2L, 411L), }", 1))
    assert untrusted.array(path).shape == (2, 411)


def test_a_folder_in_place_of_a_file_is_refused(tmp_path):
    miga.write_video(tmp_path, "train", "0012", np.ones((3, 137, 3), np.float32), [(0, 0, 2)])
    path = tmp_path / "imigue_skeleton_train/0012/0012_openpose.npy"
    path.unlink()
    path.mkdir()
    with pytest.raises(DataError, match=r"0012_openpose\.npy: not a complete numpy array"):
        clips.load(tmp_path, outputs=tmp_path / "outputs")
