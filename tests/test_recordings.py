"""Whole videos: their clips are those of ``clips.load``, bit for bit; frame rates, splits, their cache, and
who has none."""

import fuzzing
import numpy as np
import pytest

from miga_lib import clips, layouts, sources
from miga_lib.readers import READERS, DataError, RecordingReader, Report, miga, openpose

HAVING = [name for name, reader in READERS.items() if isinstance(reader, RecordingReader)]


def equal(one, other):
    """Whether two sets of clips have the same tables and the same keypoints."""
    assert one.table.drop(columns="start").to_dict("list") == other.table.drop(columns="start").to_dict(
        "list"
    )
    assert type(one) is type(other) is clips.Clips
    assert one.checksum == other.checksum
    return one.classes == other.classes


@pytest.fixture(params=HAVING)
def source(request, tmp_path):
    """A source of each format that has whole videos, and a layout that it has."""
    _, layout, write = fuzzing.SOURCES[request.param]
    (tmp_path / "in").mkdir()
    write(tmp_path / "in")
    for table in tmp_path.glob("in/segments.csv"):
        table.write_text(table.read_text().replace(",,test,", ",,val,"))
    return tmp_path / "in", layout


def test_all_formats_of_whole_videos_are_known():
    assert HAVING == ["miga", "release", "openpose", "wholebody", "smg"]


def test_recordings_cut_at_their_segments_are_the_clips(source, tmp_path):
    path, layout = source
    of_videos = clips.load_recordings(path, layout, tmp_path / "outputs")
    assert equal(of_videos.cut(), clips.load(path, layout, tmp_path / "outputs"))
    again = clips.load_recordings(path, layout, tmp_path / "outputs")
    assert again.segments.equals(of_videos.segments), "now from the cache"
    assert again.table.equals(of_videos.table)


@pytest.mark.parametrize(
    "options", [{}, {"folds": 3, "fold": 1}, {"protocol": "leave-one-subject-out", "fold": 2}]
)
def test_synthetic_recordings_are_divided_as_their_clips(smoke_outputs, options):
    of_videos = clips.load_recordings("synthetic-smoke", outputs=smoke_outputs, **options)
    assert equal(of_videos.cut(), clips.load("synthetic-smoke", outputs=smoke_outputs, **options))
    assert set(of_videos.table["split"]) == {"train", "val", "test"}


def test_a_recording_has_the_frames_between_its_segments(smoke_outputs):
    of_videos = clips.load_recordings("synthetic-smoke", "imigue22", smoke_outputs)
    place = sources.place_of("synthetic-smoke", smoke_outputs)
    for video, keypoints in zip(
        of_videos.table["video"], map(of_videos.__getitem__, range(len(of_videos))), strict=True
    ):
        (folder,) = place.glob(f"*/{video}")
        assert np.array_equal(
            keypoints, miga.read_keypoints(folder / folder.name, layouts.get("imigue22"), Report())
        )
    gaps = of_videos.segments.groupby("video").apply(
        lambda of: (of["first"].iloc[1:].to_numpy() - of["last"].iloc[:-1].to_numpy()).min()
    )
    assert (gaps > 1).any()


def test_another_layout_is_taken_from_the_cache_of_a_slow_format(tmp_path, monkeypatch):
    _, _, write = fuzzing.SOURCES["release"]
    (tmp_path / "in").mkdir()
    write(tmp_path / "in")
    whole = clips.load_recordings(tmp_path / "in", "openpose137", tmp_path / "outputs")
    monkeypatch.setattr(READERS["release"], "recordings", None)
    part = clips.load_recordings(tmp_path / "in", "body25", tmp_path / "outputs")
    assert np.array_equal(part[0], whole[0][:, :25])
    assert part.segments.equals(whole.segments)


def test_one_split_keeps_its_segments_only(smoke_outputs):
    of_videos = clips.load_recordings("synthetic-smoke", outputs=smoke_outputs)
    test = of_videos.split("test")
    assert 0 < len(test) < len(of_videos)
    assert set(test.segments["video"]) == set(test.table["video"])
    assert len(test.cut()) == len(of_videos.cut().split("test"))
    for record, keypoints in zip(test.records(), map(test.__getitem__, range(len(test))), strict=True):
        assert np.array_equal(record.keypoints, keypoints)
        assert max(last for _, _, last in record.segments) < len(keypoints)


def test_an_unknown_frame_rate_is_assumed_and_reported(smoke_outputs):
    assumed, given = (
        clips.load_recordings("synthetic-smoke", outputs=smoke_outputs, fps=fps) for fps in (0, 30)
    )
    assert set(assumed.table["fps"]) == {25.0}
    assert (
        f"frames per second of {len(assumed)} videos: 25 assumed; give `fps` to change it" in assumed.report
    )
    assert set(given.table["fps"]) == {30}
    assert "assumed" not in given.report
    with pytest.raises(ValueError, match=r"fps must be 0 \(of the source\) to 1000, got -1"):
        clips.load_recordings("synthetic-smoke", outputs=smoke_outputs, fps=-1)


def test_frame_rates_come_from_the_source_where_it_says_them(tmp_path):
    for name, fps in (("smg", 28.0), ("openpose", 29.97)):
        (tmp_path / name).mkdir()
        fuzzing.SOURCES[name][2](tmp_path / name)
        for table in tmp_path.glob(f"{name}/segments.csv"):
            rows = table.read_text().splitlines()[:3]
            table.write_text("\n".join([rows[0] + ",fps", *(row + ",29.97" for row in rows[1:])]))
        found = clips.load_recordings(tmp_path / name, fuzzing.SOURCES[name][1], tmp_path / "outputs")
        assert set(found.table["fps"]) == {fps}
        assert "assumed" not in found.report


def openpose_of(folder, *rows):
    """The videos a and b, with these rows of a table; without any there is none."""
    folder.mkdir()
    fuzzing.make_openpose(folder)
    (folder / "segments.csv").write_text("\n".join(rows))
    if not rows:
        (folder / "segments.csv").unlink()
    return folder


def test_a_folder_without_segments_is_not_annotated(tmp_path):
    source = openpose_of(tmp_path / "in")
    found = clips.load_recordings(source, "imigue41", tmp_path / "outputs")
    assert found.segments.empty
    assert found.table["split"].tolist() == ["test", "test"]
    assert equal(found.cut(), clips.load(source, "imigue41", tmp_path / "outputs"))


def test_a_recording_whose_rows_are_in_several_splits_is_in_none(tmp_path):
    source = openpose_of(
        tmp_path / "in", "video,start_frame,end_frame,split", "a,0,2,train", "b,0,1,train", "b,2,3,test"
    )
    found = clips.load_recordings(source, "imigue41", tmp_path / "outputs")
    assert found.table["split"].tolist() == ["train", "none"]
    assert "videos whose rows in segments.csv have several splits: used in none: b" in found.report


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            ["subject", "a,0,2,7", "a,3,4,8"],
            "a: its rows in segments.csv have subject '7' and '8'; a recording has one: correct the table",
        ),
        (
            ["fps", "a,0,2,25", "a,3,4,0"],
            "a: its rows in segments.csv have fps 25.0 and 0.0; a recording has one",
        ),
        (
            ["fps", "a,0,2,x"],
            "segments.csv: row 0 has fps 'x'; expected 0 .unknown. to 1000: correct the row",
        ),
        (["fps", "a,0,2,-1"], "segments.csv: row 0 has fps '-1'; expected 0"),
    ],
)
def test_rows_that_make_no_recording_are_refused(tmp_path, rows, message):
    source = openpose_of(tmp_path / "in", f"video,start_frame,end_frame,{rows[0]}", *rows[1:])
    with pytest.raises(DataError, match=message):
        list(openpose.recordings(source, layouts.get("body25"), Report(), lambda items, **_: items))


@pytest.mark.parametrize("name", ["pyskl", "miga23"])
def test_formats_of_cut_clips_are_refused(tmp_path, name):
    _, layout, write = fuzzing.SOURCES[name]
    (tmp_path / "in").mkdir()
    write(tmp_path / "in")
    message = (
        f"format {name} has only cut clips; give whole videos in one of the formats miga, release, openpose"
    )
    with pytest.raises(DataError, match=message):
        clips.load_recordings(tmp_path / "in", layout, tmp_path / "outputs")


def test_a_damaged_cache_is_refused(smoke_outputs):
    clips.load_recordings("synthetic-smoke", "body25", smoke_outputs)
    (folder,) = (smoke_outputs / "cache").glob("synthetic-smoke*-body25-recordings-*")
    before = (folder / "segments.csv").read_text()
    (folder / "segments.csv").write_text(before.replace("\n", "\n0", 1))
    message = r"this cache is damaged \(clips.csv or segments.csv or about.json is not as it was written\)"
    with pytest.raises(DataError, match=message):
        clips.load_recordings("synthetic-smoke", "body25", smoke_outputs)
    text, usable = clips.check("synthetic-smoke", "body25", smoke_outputs)
    assert f"ERROR {folder}: this cache is damaged" in text
    assert not usable
    (folder / "segments.csv").write_text(before)
    assert len(clips.load_recordings("synthetic-smoke", "body25", smoke_outputs))
