"""What no reader recognises: the files that were found, the nearest format, and a way out that works."""

import json
import os
import re
import zipfile

import fuzzing
import numpy as np
import pytest

from miga_lib import clips
from miga_lib.readers import DataError, miga


def frames_too_deep(folder):
    for day in ("monday", "tuesday"):
        (folder / day).mkdir()
        fuzzing.make_openpose(folder / day)
        (folder / day / "segments.csv").unlink()
    return folder / "monday"


def zips_deep_in_zips(folder):
    (folder / "0.txt").touch()
    for number in range(4):
        with zipfile.ZipFile(folder / f"{number}.zip", "w") as archive:
            for path in folder.iterdir():
                if path.name != f"{number}.zip":
                    archive.write(path, path.name)
                    path.unlink()


def stgcn(folder):
    np.save(folder / "xsub_train_joint.npy", np.zeros((2, 3, 10, 18, 1), np.float32))


def one_image(folder):
    (folder / "photo.json").write_text(json.dumps({"instances": [[1, 2]]}))


def only_videos(folder):
    (folder / "a.mp4").write_bytes(b"\0")
    (folder / "b.MP4").write_bytes(b"\0")


def no_split_folder(folder):
    miga.write_video(folder, "train", "0012", fuzzing.keypoints(), [(3, 0, 1)])
    (folder / miga.SPLIT_FOLDERS["train"]).rename(folder / "training")


def nothing(folder):
    (folder / "inner").mkdir()


def smg_of_three_digits(folder):
    (folder / "Sample001").mkdir()
    (folder / "Sample001" / "Sample001_skeleton.csv").write_text("1,2,3\n")


def workbooks(folder):
    (folder / "0012").mkdir()
    (folder / "0012" / "0012_2.xlsx").write_bytes(b"")


def labels_alone(folder):
    (folder / "train_label.pkl").write_bytes(b"")


def a_pickle_in_a_folder(folder):
    for inner in ("a", "b"):
        (folder / inner).mkdir()
    fuzzing.make_pyskl(folder / "a")


def arrays_of_matlab(folder):
    (folder / "a.mat").touch()


def labels_in_text(folder):
    (folder / "labels.txt").write_text("wave\nbow\n")


FOUND = {
    labels_in_text: r"found 1 × '\.txt': labels in text belong to the column class of segments\.csv, or to",
    frames_too_deep: r"found 36 × '\.json': OpenPose's frames are in deeper or several folders: give one"
    r" that has the folders of the videos directly in it, such as \S+/(monday|tuesday)",
    stgcn: r"found 1 × '\.npy': arrays \(clips, 3, frames, 22 joints, persons\) are read under the names",
    one_image: r"found 1 × '\.json': OpenPose's frames are in a folder for each video and end with 12 digits",
    only_videos: r"found 2 × '\.mp4': videos are not read: run OpenPose with --write_json, or rtmlib, and",
    no_split_folder: r"found 2 × '\.csv', 1 × '\.npy': files of the MiGA challenge need one of the folders ",
    nothing: "it has no files: check the path, and that it was unpacked",
    smg_of_three_digits: r"found 1 × '\.csv': SMG needs files SampleNNNN_skeleton\.csv",
    workbooks: r"found 1 × '\.xlsx': the iMiGUE release needs its videos in",
    labels_alone: r"found 1 × '\.pkl': arrays of the MiGA challenge 2023 are named valid_data",
    a_pickle_in_a_folder: r"found 1 × '\.txt', 1 × '\.pkl': give a pickle itself, such as \S+/a/own\.pkl",
    arrays_of_matlab: r"found 1 × '\.mat': write such arrays as a pickle, see readers\.pyskl\.write",
}


@pytest.mark.parametrize("make", FOUND, ids=lambda make: make.__name__)
def test_what_was_found_and_what_is_needed_are_said(tmp_path, make):
    (tmp_path / "in").mkdir()
    make(tmp_path / "in")
    with pytest.raises(
        DataError, match=f"/in: no known format, tried .*; {FOUND[make]}.*; see docs/own-data.md"
    ) as error:
        clips.load(tmp_path / "in", "coco17", tmp_path / "outputs")
    assert fuzzing.is_short(error.value, tmp_path / "in")


@pytest.mark.parametrize("make", [frames_too_deep, a_pickle_in_a_folder])
def test_the_way_out_works(tmp_path, make):
    (tmp_path / "in").mkdir()
    make(tmp_path / "in")
    with pytest.raises(DataError) as error:
        clips.load(tmp_path / "in", "coco17", tmp_path / "outputs")
    (place,) = re.findall(r"such as (\S+);", str(error.value))
    layout = {frames_too_deep: "body25"}.get(make, "coco17")
    assert len(clips.load(place, layout, tmp_path / "outputs")) > 1


def test_zips_that_are_too_deep_are_named(tmp_path):
    zips_deep_in_zips(tmp_path)
    with pytest.raises(
        DataError, match=r"found 1 × '\.zip': give a zip file itself, such as \S+/0\.zip; see"
    ):
        clips.load(tmp_path / "3.zip", outputs=tmp_path / "outputs")


def test_a_single_frame_asks_for_its_folder(tmp_path):
    fuzzing.make_openpose(tmp_path)
    path = tmp_path / "a" / "a_000000000001_keypoints.json"
    message = f"give one that has the folders of the videos directly in it, such as {path.parent}; see"
    with pytest.raises(DataError, match=message):
        clips.load(path, outputs=tmp_path / "outputs")


@pytest.mark.parametrize(("separator", "name"), [(";", "semicolons"), ("\t", "tabs")])
@pytest.mark.parametrize("format", ["openpose", "wholebody", "release", "smg", "miga"])
def test_tables_with_other_separators_say_so(tmp_path, format, separator, name):
    _, layout, write = fuzzing.SOURCES[format]
    (tmp_path / "in").mkdir()
    write(tmp_path / "in")
    for path in [*tmp_path.rglob("*label*.csv"), *tmp_path.rglob("segments.csv")]:
        path.write_text(path.read_text().replace(",", separator))
    message = rf"\.csv: its cells are separated by {name}; save it as csv with commas"
    with pytest.raises(DataError, match=message):
        clips.load(tmp_path / "in", layout, tmp_path / "outputs")


@pytest.mark.parametrize("source", ["~nobody-of-this-name/data", "loop", "a\0b", "x" * 5000, "no/where"])
def test_a_path_that_cannot_be_is_one_line(tmp_path, monkeypatch, source):
    monkeypatch.chdir(tmp_path)
    os.symlink("loop", "loop")
    with pytest.raises(DataError, match="no such file or folder|cannot have a null character") as error:
        clips.load(source, outputs=tmp_path / "outputs")
    assert str(error.value).isprintable()
    text, usable = clips.check(source, outputs=tmp_path / "outputs")
    assert text.endswith("Cannot be used: 1 error.")
    assert not usable
