"""Good sources with a few bytes or values changed, for every reader, and what must hold of whatever it makes
of them."""

import io
import json
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from hypothesis import strategies as st

from miga_lib import cache, layouts
from miga_lib.readers import DataError, Report, checks, miga, miga23, openpose, pyskl, release, smg, wholebody

TOKENS = [
    b"", b"\0", b"\n", b"\r\n", b",", b",,", b'"', b"nan", b"inf", b"-1", b"0", b"1e308", b"1e999", b"0.5",
    b"99999999999999999999", b"-", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\xef\xbb\xbf",
    b"PK\x03\x04", b"[", b"{", b"]", b"}", b"null", b"true", b"\\u0000", b"(", b")", b".", b"N", b"h\x00",
    b"q\x00", b"\x94", b"R", b"b", b"\x93", b"cos\nsystem\n", b"O", b"|O", b"<f8", b"<U5", b"(9999999999,)",
    b"True", b'r="XFD1048576"', b't="s"', b"<row>", b"</row>", b"<c/>", b"&#65;", b"<v>1e400</v>", b"#DIV/0!",
    "ä".encode(), "€".encode("utf-16"),
]  # fmt: skip
LONG_TOKENS = [b"x" * 3000, b"7" * 3000, b"x y" * 1000, b",x" * 400, b"\nx" * 400, b'"' + b"x" * 3000 + b'"']
LONG_TOKENS += ["€".encode() * 1000]
LONG_VALUES = ["x" * 3000, b"x" * 3000, 10**3000, ["x" * 3000] * 9, {"x" * 3000: 1}, ("x" * 3000, 1)]
LONG_VALUES += [np.array(["x" * 3000]), "x\ny" * 999]
ODD_VALUES = [
    10**30, -(10**18), "0001_0", "train", np.int64(3), np.float32("nan"), np.zeros(0),
    np.zeros((1, 2, 17, 2)), np.ones((0, 2, 17, 3)), np.full((1, 3, 17, 2), np.nan), np.array(["a"]),
    np.full((2, 3, 17), 1e30), np.full((1, 3, 17, 3), -1, "i2"), np.zeros((1, 3, 17), bool),
    np.array(5.0), *LONG_VALUES,
]  # fmt: skip
PLACES = st.one_of(st.integers(0, 160), st.integers(-160, -1), st.floats(0, 1))
KINDS = st.sampled_from(["put", "insert", "cut", "flip", "end", "again"])
BYTES = st.sampled_from(TOKENS) | st.binary(max_size=8) | st.sampled_from(LONG_TOKENS)
EDITS = st.tuples(KINDS, PLACES, BYTES)
SINGLE = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | st.binary(max_size=4)


def containers(inner: st.SearchStrategy) -> st.SearchStrategy:
    listed, keyed = st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    return listed | keyed | st.tuples(inner, inner)


VALUES = st.recursive(SINGLE | st.sampled_from(ODD_VALUES), containers, max_leaves=5)
CHANGES = st.tuples(
    st.integers(0, 999),
    st.lists(EDITS, min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 9999), VALUES), max_size=2),
    st.sampled_from(["edit"] * 12 + ["empty", "remove", "folder"]),
)
"""Which file, which edits of its bytes, which values to replace in what it holds, or what else happens to
it."""


def edited(content: bytes, edits: list) -> bytes:
    """Bytes after some edits, each at a place counted from the beginning, the end, or as a share of the
    length."""
    for kind, place, token in edits:
        at = int(place * len(content)) if isinstance(place, float) else place % (len(content) + 1)
        before, after = content[:at], content[at:]
        content = {
            "put": lambda b, a, t: b + t + a[len(t) :],
            "insert": lambda b, a, t: b + t + a,
            "cut": lambda b, a, t: b + a[1 + 3 * len(t) :],
            "flip": lambda b, a, t: b + bytes([a[0] ^ (1 << len(t) % 8)]) + a[1:] if a else b,
            "end": lambda b, a, t: b,
            "again": lambda b, a, t: b + a[:64] * 2 + a,
        }[kind](before, after, token)
    return content


def replaced(held: object, values: list) -> object:
    """Plain content with the value in some place, counted through all of it, replaced."""
    for number, value in values:
        places: list[tuple] = []
        todo = [held]
        while todo:
            container = todo.pop()
            for key in list(container) if isinstance(container, dict) else range(len(container)):
                places.append((container, key))
                if isinstance(container[key], dict | list) and container[key]:
                    todo.append(container[key])
        if places:
            container, key = places[number % len(places)]
            container[key] = value
    return held


def change(path: Path, edits: list, values: list) -> None:
    """Edit a file: its bytes, or what is inside where bytes alone would only break the wrapping."""
    content = path.read_bytes()
    if values and path.suffix == ".pkl":
        held = pickle.loads(content)
        held = replaced(list(held) if isinstance(held, tuple) else held, values)
        content = pickle.dumps(held, protocol=len(edits) + 1)
        edits = edits[2:]
    elif values and path.suffix == ".json":
        content = json.dumps(replaced(json.loads(content), values), default=str).encode()
        edits = edits[2:]
    elif values and path.suffix in (".csv", ".txt"):
        cells = re.split(rb"([,\n])", content)
        for number, value in values:
            cells[2 * number % len(cells) // 2 * 2] = str(value).encode(errors="replace")
        content, edits = b"".join(cells), edits[2:]
    elif values and path.suffix == ".xlsx":
        with zipfile.ZipFile(path) as whole:
            parts = {member.filename: whole.read(member) for member in whole.infolist()}
        name = sorted(parts)[values[0][0] % len(parts)] if values[0][0] % 2 else "xl/worksheets/sheet1.xml"
        parts[name] = edited(parts[name], edits)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as whole:
            for part, inner in parts.items():
                whole.writestr(part, inner)
        content, edits = packed.getvalue(), []
    path.write_bytes(edited(content, edits))


def keypoints(frames: int = 9, joints: int = 137) -> np.ndarray:
    """Coordinates and scores; the last joint is missing, and so is every fifth one of the first frame."""
    values = np.random.default_rng(0).uniform(1, 99, (frames, joints, 3)).round(3).astype(np.float32)
    values = values * [1, 1, 0.01]
    values[:, -1] = values[0, ::5] = 0
    return values


def write_miga(folder: Path, videos: dict[str, tuple[str, str]]) -> None:
    for video, (split, kind) in videos.items():
        miga.write_video(folder, split, video, keypoints(), [(4, 0, 1), (31, 1, 2), (2, 3, 6)], openpose=kind)


def make_miga(folder: Path) -> None:
    write_miga(folder, {"0012": ("train", "csv"), "0013": ("val", "xlsx"), "0014": ("test", "npy")})
    miga.write_subjects(folder, pd.DataFrame({"video_id": ["0012", "0013"], "subject_id": [2, 3]}))
    (folder / "imigue_skeleton_train/0012/0012_light_hand.csv").unlink()
    (folder / "imigue_skeleton_test/0014/0014_openpose.npy").unlink()


def make_miga_arrays(folder: Path) -> None:
    """The npy files of challenge folders, and tables of all 137 joints."""
    write_miga(folder, {"0012": ("train", "npy"), "0014": ("test", "csv")})
    for path in folder.glob("*/*/*_light_hand.csv"):
        path.unlink()


def make_miga23(folder: Path) -> None:
    splits = {"valid": ["0001_0"], "train": ["0012_0", "0001_0"], "test": ["0300_0", "0300_1"]}
    for split, names in splits.items():
        data = np.zeros((len(names), 3, 12, 22, 1), np.float32)
        data[:, :, :9, :, 0] = keypoints(joints=22).transpose(2, 0, 1)
        np.save(folder / f"{split}_data.npy", data)
        (folder / f"{split}_label.pkl").write_bytes(pickle.dumps((names, [3, 31][: len(names)])))


def make_pyskl(folder: Path) -> None:
    """The last clip has two people."""
    points, annotations = keypoints(joints=17)[None], []
    both = np.concatenate([points, points * [1, 1, 0.7] + [400, 400, 0]])
    for k, people in enumerate((points, points, both)):
        held = {"keypoint": people[..., :2], "keypoint_score": people[..., 2]}
        about = {"frame_dir": f"0012_{k}", "label": k, "total_frames": 9, "img_shape": (720, 1280)}
        annotations.append(about | held)
    content = {"split": {"train": ["0012_0", "0012_1"], "val": ["0012_2"]}, "annotations": annotations}
    (folder / "own.pkl").write_bytes(pickle.dumps(content))
    (folder / "label_map.txt").write_text("sit\nstand\nwave\n")


TABLE = """video,start_frame,end_frame,class,split,subject,width,height
a,0,1,wave,train,7,1280,720
b,1,2,bow,val,8,1280,720
a,2,6,bow,train,7,1280,720
"""


def make_openpose(folder: Path) -> None:
    for video in ("a", "b"):
        (folder / video).mkdir()
        for number, frame in enumerate(keypoints()):
            parts = np.split(frame, np.cumsum(list(openpose.PARTS.values()))[:-1])
            person = {name: part.ravel().tolist() for name, part in zip(openpose.PARTS, parts, strict=True)}
            content = {"version": 1.3, "people": [person] * (number % 3)}
            (folder / video / f"{video}_{number:012d}_keypoints.json").write_text(json.dumps(content))
    (folder / "segments.csv").write_text(TABLE + "b,3,8,,test,8,1280,720\n")


def make_wholebody(folder: Path) -> None:
    """A file of each form: of MMPose's inferencer, of its demo script, and of rtmlib with shares of the
    frame."""
    people = keypoints(joints=133)
    frames = []
    for number, frame in enumerate(people):
        both = [frame, frame * [1, 1, 0.3] + [500, 0, 0]][: number % 3]
        boxed = {"bbox": [[9, 9, 99, 99]], "bbox_score": 0.9}
        instances = [
            {"keypoints": person[:, :2].tolist(), "keypoint_scores": (3 * person[:, 2]).tolist(), **boxed}
            for person in both
        ]
        frames.append({"frame_id": number, "instances": instances})
    (folder / "predictions").mkdir()
    (folder / "predictions" / "a.json").write_text(json.dumps(frames))
    later = [frame | {"frame_id": frame["frame_id"] + 1} for frame in frames]
    demo = json.dumps({"meta_info": {}, "instance_info": later}, indent="\t")
    (folder / "predictions" / "results_b.json").write_text(demo)
    shares = {"keypoints": [frame[None, :, :2] / [1280, 720] for frame in people]}
    shares["scores"] = [frame[None, :, 2] for frame in people]
    (folder / "predictions" / "c.pkl").write_bytes(pickle.dumps(shares))
    (folder / "reader.json").write_text('{"score_threshold": 0.05}')
    (folder / "segments.csv").write_text(TABLE + "b,3,9,,test,8,1280,720\nc,2,8,wave,train,9,1280,720\n")


def make_release(folder: Path) -> None:
    for video in ("0012", "0013"):
        path = folder / "mg_skeleton_only" / video / f"{video}_2.xlsx"
        path.parent.mkdir(parents=True)
        table = pd.DataFrame(keypoints().reshape(9, -1)).astype(float).round(3)
        table.to_excel(path, header=False, index=False)
    columns = ["video_id", "subject_id", "class", "start_frame", "end_frame", "win_or_lose"]
    rows = [(12, 2, 1, 0, 1, 1), (13, 1, 99, 1, 1, 0), (12, 2, 7, 2, 8, 1)]
    miga.write_subjects(folder, pd.DataFrame(rows, columns=columns))


def write_smg(folder: Path, person: str, values: np.ndarray, segments: list[tuple[int, int, int]]) -> None:
    """One person like SMG's authors: the numbers (T, 25, 11 or 9) of each joint, and (class, start, end) of
    each clip."""
    place = folder / person
    place.mkdir(parents=True)
    np.savetxt(place / f"{person}_skeleton.csv", values.reshape(len(values), -1), "%.6g", ",")
    np.savetxt(place / f"{person}_finelabels.csv", segments, "%d", ",")
    (place / f"{person}_data.csv").write_text(f"{len(values)},28,4500\n")


def kinect(frames: int = 9) -> np.ndarray:
    """Numbers of 25 joints as a Kinect's: metres, orientation, pixels of depth and colour; the last joint is
    missing, as above."""
    found = keypoints(frames, 25)
    metres, orientation = found / 50, np.full((frames, 25, 4), 0.5)
    values = np.concatenate([metres, orientation, found[..., :2] * 4, found[..., :2] * [15, 10]], -1)
    return values * (found[..., 2:] > 0)


def make_smg(folder: Path) -> None:
    for split, person in (("train", "Sample0001"), ("validate", "Sample0031"), ("test", "Sample0036")):
        write_smg(folder / f"smg_skeleton_{split}", person, kinect(), [(5, 1, 3), (9, 3, 6), (17, 5, 9)])
    (folder / "reader.json").write_text(json.dumps({"frames": "inclusive"}))


SOURCES: dict[str, tuple] = {
    "miga": (miga, "body25", make_miga),
    "miga arrays": (miga, "imigue41", make_miga_arrays),
    "miga23": (miga23, "imigue22", make_miga23),
    "pyskl": (pyskl, "coco17", make_pyskl),
    "openpose": (openpose, "imigue41", make_openpose),
    "wholebody": (wholebody, "imigue41", make_wholebody),
    "release": (release, "openpose137", make_release),
    "smg": (smg, "kinect25", make_smg),
}
"""Of each reader: the module, the layout that is asked for, and what writes a good source."""


def is_short(error: DataError, source: Path) -> bool:
    """Whether a message is one line of at most 400 characters, not counting the path at its beginning."""
    paths = [str(path) for path in (source, *source.rglob("*"))]
    path = max((path for path in paths if str(error).startswith(path)), key=len, default="")
    text = str(error).removeprefix(path).replace(str(source), "")
    return text.isprintable() and len(text) <= 400


def outcome(name: str, source: Path) -> str:
    """``clips`` or ``refused``. Anything else that a reader does is a fault: another exception, or clips that
    break their promise."""
    reader, layout, _ = SOURCES[name]
    report = Report()
    try:
        read = []
        if reader.recognises(source):
            with joblib.parallel_config(backend="sequential"):
                read = list(reader.read(source, layouts.get(layout), report, lambda items, **_: items))
        rows = [cache.row(clip, 0) for clip in read]
    except DataError as error:
        return "refused" if is_short(error, source) else f"refused at length: {error}"
    report.errors = []
    for clip in checks.look(read, report):
        assert clip.keypoints.dtype == np.float32
        assert clip.keypoints.shape[0] > 0
        assert clip.keypoints.shape[1:] == (len(layouts.get(layout).joints), 3)
        assert np.isfinite(clip.keypoints).all()
        assert (clip.keypoints[..., 2] >= 0).all()
        assert type(clip.label) is int
        assert -1 <= clip.label < len(report.classes)
        assert clip.split in ("train", "val", "test")
        assert 0 < clip.width <= 2**16
        assert 0 < clip.height <= 2**16
        assert all(isinstance(text, str) for text in (clip.id, clip.video, clip.subject))
    assert len(str(report)) < 20_000
    assert len(rows) == len(read)
    return "clips"


def attack(name: str, folder: Path) -> Callable[[tuple], str]:
    """Writes a good source into an empty folder once; gives a function that changes it, has it read, and
    restores it."""
    source = folder / "source"
    source.mkdir()
    SOURCES[name][2](source)
    good = {path: path.read_bytes() for path in sorted(source.rglob("*")) if path.is_file()}
    assert outcome(name, source) == "clips"

    def once(changes: tuple) -> str:
        number, edits, values, kind = changes
        path = list(good)[number % len(good)]
        try:
            if kind == "edit":
                change(path, edits, values)
            else:
                path.unlink()
            if kind == "empty":
                path.touch()
            if kind == "folder":
                path.mkdir()
            made = outcome(name, source)
            assert made in ("clips", "refused"), made
            return made
        finally:
            if path.is_dir():
                path.rmdir()
            path.write_bytes(good[path])

    return once
