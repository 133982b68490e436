"""Loading: recognised, cached under a key of the source, whole or not at all; the table."""

import errno
import json
import os
import re
import shutil
import zipfile
import zlib
from dataclasses import replace
from types import SimpleNamespace

import fuzzing
import numpy as np
import pandas as pd
import pytest

from miga_lib import atomic, cache, clips, layouts, runs, sources, splits, training
from miga_lib.readers import DataError, miga, pyskl, untrusted
from miga_lib.settings import choose


def counted():
    """Keypoints of five frames; each number is the next, but for the scores."""
    return np.arange(5 * 137 * 3).reshape(5, 137, 3) * np.float32([1, 1, 1 / 3000])


@pytest.fixture
def source(tmp_path):
    root = tmp_path / "source"
    keypoints = counted()
    miga.write_video(root, "train", "0012", keypoints, [(3, 0, 1), (4, 1, 4)])
    miga.write_video(root, "train", "0013", keypoints[:2], [(3, 0, 1)])
    miga.write_video(root, "test", "0200", keypoints, [(3, 4, 4), (7, 0, 4)])
    return root


def test_each_row_of_the_table_finds_its_frames(source, tmp_path):
    loaded = clips.load(source, "openpose137", tmp_path / "outputs")
    assert loaded.table["id"].tolist() == ["0012_0", "0012_1", "0013_0", "0200_0", "0200_1"]
    assert loaded.table["frames"].tolist() == [2, 4, 2, 1, 5]
    assert loaded[1][0, 0, 0] == 137 * 3
    assert loaded.split("test")[0].shape == (1, 137, 3)
    assert loaded.where([2])[0][1, 0, 0] == 137 * 3


def test_the_share_of_missing_joints_goes_by_the_score(tmp_path):
    keypoints = np.ones((2, 137, 3), np.float32)
    keypoints[0, :, 2] = 0  # one of two frames
    keypoints[1, :, :2] = 0  # a joint at the origin is there
    miga.write_video(tmp_path / "source", "train", "0012", keypoints, [(3, 0, 1)])
    assert clips.load(tmp_path / "source", outputs=tmp_path).table["missing"].tolist() == [0.5]


def test_the_second_time_nothing_is_read(source, tmp_path, monkeypatch):
    first = clips.load(source, outputs=tmp_path)
    monkeypatch.setattr(miga, "read", lambda *_: pytest.fail("the source was read again"))
    second = clips.load(source, outputs=tmp_path)
    assert first.table.equals(second.table)
    assert np.array_equal(first.keypoints, second.keypoints)
    assert isinstance(second.keypoints, np.memmap)
    assert second.report == first.report


def test_a_changed_file_is_read_again(source, tmp_path):
    assert len(clips.load(source, outputs=tmp_path)) == 5
    (source / "imigue_skeleton_train/0013/0013_label.csv").write_text("4,0,1\n5,0,0\n")
    assert len(clips.load(source, outputs=tmp_path)) == 6


def test_a_new_version_of_its_reader_reads_a_source_again(source, tmp_path, monkeypatch):
    clips.load(source, outputs=tmp_path)
    monkeypatch.setattr(pyskl, "VERSION", pyskl.VERSION + 1)
    clips.load(source, outputs=tmp_path)
    assert len(list((tmp_path / "cache").iterdir())) == 1, "another reader does not matter"
    monkeypatch.setattr(miga, "VERSION", miga.VERSION + 1)
    monkeypatch.setattr(miga, "read", lambda *_: iter(()))
    with pytest.raises(DataError, match="source: has no clips; `python -m miga_lib.clips check` shows"):
        clips.load(source, outputs=tmp_path)


def test_a_changed_file_that_its_reader_reads_beside_the_source_is_a_change(source, tmp_path):
    names = tmp_path / "names.txt"
    toy = SimpleNamespace(
        __name__="toy", VERSION=1, CACHED_LAYOUT="", recognises=any, read=iter, beside=lambda source: [names]
    )
    folders = []
    for content in (None, "sit\n", "sit\nstand\n"):
        if content:
            names.write_text(content)
        folders += [cache.folder(source, toy, layouts.get("imigue22"), tmp_path) for _ in range(2)]
    assert len(set(folders)) == 3
    assert folders[::2] == folders[1::2]


def test_a_changed_file_in_a_linked_folder_is_read_again(source, tmp_path):
    linked = source / "imigue_skeleton_train" / "0013"
    linked.rename(tmp_path / "elsewhere")
    linked.symlink_to(tmp_path / "elsewhere")
    assert len(clips.load(source, outputs=tmp_path)) == 5
    (tmp_path / "elsewhere/0013_label.csv").write_text("4,0,1\n5,0,0\n")
    assert len(clips.load(source, outputs=tmp_path)) == 6


def test_links_in_a_circle_end_and_a_link_that_points_elsewhere_is_a_change(source, tmp_path):
    train = source / "imigue_skeleton_train"
    (train / "0012" / "above").symlink_to(train)
    first = cache.folder(source, miga, layouts.get("imigue22"), tmp_path)
    assert first == cache.folder(source, miga, layouts.get("imigue22"), tmp_path)
    (train / "0012" / "above").unlink()
    (train / "0012" / "above").symlink_to(source)
    assert cache.folder(source, miga, layouts.get("imigue22"), tmp_path) != first


def test_a_folder_that_cannot_be_listed_is_named(source, tmp_path, monkeypatch):
    listed = os.scandir

    def locked(folder):
        if str(folder).endswith("0013"):
            raise PermissionError(errno.EACCES, "Permission denied", str(folder))
        return listed(folder)

    monkeypatch.setattr(os, "scandir", locked)
    message = "0013: cannot be listed \\(Permission denied\\); allow reading this folder, or remove it"
    with pytest.raises(DataError, match=message):
        clips.load(source, outputs=tmp_path)


def test_a_source_with_a_long_name_is_cached(source, tmp_path):
    long = source.rename(tmp_path / ("é" * 127))  # 254 bytes of the 255 that a name may have
    assert len(clips.load(long, outputs=tmp_path)) == 5


def swapped(tmp_path):
    """Two sources of the same clips with other keypoints, and a run's folder as training on the first leaves
    it."""
    keypoints = counted()
    for name, values in {"before": keypoints, "after": keypoints[::-1]}.items():
        for split, video in (("train", "0012"), ("val", "0014")):
            miga.write_video(tmp_path / name, split, video, values, [(3, 0, 1), (4, 1, 4)])
    before, after = (clips.load(tmp_path / name, outputs=tmp_path) for name in ("before", "after"))
    settings = choose(preset="smoke", device="cpu")
    run = runs.run_folder("run", tmp_path)
    about = {"settings": settings.values(), "data": runs.fingerprint(before)}
    atomic.write_json(run / "settings.json", about)
    atomic.write_json(run / "result.json", about | {"scores": {}})
    for name in ("metrics.csv", "clips.csv", "last.ckpt", "best.ckpt"):
        (run / name).touch()
    return before, after, settings, run


def test_replaced_keypoints_do_not_get_the_old_result(tmp_path):
    before, after, settings, run = swapped(tmp_path)
    assert before.table.drop(columns="missing").equals(after.table.drop(columns="missing"))
    assert training.fit(before, settings, run)["data"] == runs.fingerprint(before)
    message = (
        "holds a run with other clips in split 'train', other clips in split 'val'; choose another `run`"
    )
    with pytest.raises(ValueError, match=message):
        training.fit(after, settings, run)


def test_the_checksum_is_that_of_the_clips_in_the_order_of_the_table(source, tmp_path):
    loaded = clips.load(source, outputs=tmp_path)

    def expected(*rows):
        return f"{zlib.crc32(b''.join(loaded[row].tobytes() for row in rows)):08x}"

    assert loaded.checksum == expected(0, 1, 2, 3, 4)
    assert replace(loaded).checksum == loaded.checksum, "computed, and not from the cache"
    assert loaded.where([1, 4]).checksum == expected(1, 4)
    assert loaded.where([4, 1]).checksum == expected(4, 1)
    assert loaded.split("test").checksum == expected(3, 4)
    doubled = replace(loaded, keypoints=loaded.keypoints * 2)
    assert doubled.checksum != loaded.checksum
    assert doubled.where([0]).checksum == f"{zlib.crc32((loaded[0] * 2).tobytes()):08x}"
    other_split = replace(loaded, table=loaded.table.assign(split="train"))
    assert other_split.checksum == loaded.checksum
    assert runs.fingerprint(other_split) != runs.fingerprint(loaded)


@pytest.fixture
def phases(tmp_path):
    """The folders of both phases of a challenge, in a folder ``both``."""
    keypoints = np.random.default_rng(0).random((9, 137, 3), np.float32) * np.float32([700, 700, 0.9])
    phases = tmp_path / "both" / "phase1", tmp_path / "both" / "phase2"
    for split, video, phase in (("train", "0012", 0), ("val", "0014", 0), ("test", "0013", 1)):
        miga.write_video(
            phases[phase], split, video, np.roll(keypoints, int(video), 1), [(3, 0, 1), (4, 1, 8)]
        )
    return phases


def test_sources_that_are_joined_are_the_same_as_one_folder(phases, tmp_path):
    joined = " + ".join(map(str, phases))
    for load in (clips.load, clips.load_recordings):
        several, whole = (load(source, outputs=tmp_path) for source in (joined, phases[0].parent))
        columns = [column for column in whole.table if column != "start"]
        pd.testing.assert_frame_equal(several.table[columns], whole.table[columns])
        assert all(np.array_equal(several[i], whole[i]) for i in range(len(whole)))
        assert runs.fingerprint(several) == runs.fingerprint(whole)
    pd.testing.assert_frame_equal(several.segments, whole.segments)
    assert several.report.startswith("phase1:\n")
    assert clips.has_recordings(joined)
    settings = choose(preset="smoke")
    assert runs.run_name(settings, joined) == runs.run_name(settings, phases[0])


def test_each_place_of_a_joined_source_is_checked(phases, tmp_path):
    text, usable = clips.check(f"{phases[0]} + {phases[1]}", outputs=tmp_path)
    assert usable
    assert text.count("Can be used.") == 2
    text, usable = clips.check(f"{phases[0]} + {tmp_path / 'phase3'}", outputs=tmp_path)
    assert not usable
    assert "Can be used." in text
    assert text.endswith("Cannot be used: 1 error.")


def test_what_cannot_be_joined_is_refused(phases, tmp_path):
    with pytest.raises(DataError, match="ids of clips must differ, '0012_0' is in two of the joined sources"):
        clips.load(f"{phases[0]} + {phases[0].parent}", outputs=tmp_path)
    with pytest.raises(DataError, match="phase3: no such file or folder"):
        clips.load(f"{phases[0]} + {tmp_path / 'phase3'}", outputs=tmp_path)
    other = clips.load(phases[1], outputs=tmp_path)
    pyskl.write(tmp_path / "other.pkl", replace(other, classes=("nod", *other.classes[1:])))
    with pytest.raises(DataError, match=r"other\.pkl: has 32 classes, and .*phase1 has 32 others; join"):
        clips.load(f"{phases[0]} + {tmp_path / 'other.pkl'}", outputs=tmp_path)


def rows_cut(folder):
    lines = (folder / "clips.csv").read_text().splitlines(keepends=True)
    (folder / "clips.csv").write_text("".join(lines[:-2]))


def labels_edited(folder):
    text = (folder / "clips.csv").read_text()
    assert "0012_0,3," in text
    (folder / "clips.csv").write_text(text.replace("0012_0,3,", "0012_0,5,"))


def array_cut(folder):
    with (folder / "keypoints.npy").open("r+b") as file:
        file.truncate(1000)


def array_shortened(folder):
    np.save(folder / "keypoints.npy", np.load(folder / "keypoints.npy")[:-1])


def array_zeroed(folder):
    np.save(folder / "keypoints.npy", np.zeros_like(np.load(folder / "keypoints.npy")))
    os.utime(
        folder / "keypoints.npy", (0, 0)
    )  # that the time has changed must not depend on the clock's ticks


def array_of_other_joints(folder):
    np.save(folder / "keypoints.npy", np.load(folder / "keypoints.npy")[:, :-1])


def array_of_another_type(folder):
    np.save(folder / "keypoints.npy", np.load(folder / "keypoints.npy").view("<i4"))


def about_truncated(folder):
    (folder / "about.json").write_text((folder / "about.json").read_text()[:100])


def about_without_checksums(folder):
    about = json.loads((folder / "about.json").read_text())
    (folder / "about.json").write_text(
        json.dumps({key: about[key] for key in ("layout", "joints", "classes", "report")})
    )


def classes_swapped(folder):
    about = json.loads((folder / "about.json").read_text())
    about["classes"].reverse()
    (folder / "about.json").write_text(json.dumps(about, indent=1))


def array_lost(folder):
    (folder / "keypoints.npy").unlink()


DAMAGES = {
    rows_cut: "clips.csv or about.json is not as it was written",
    labels_edited: "clips.csv or about.json is not as it was written",
    array_cut: "keypoints.npy: ",
    array_shortened: r"keypoints.npy has shape \(13, 41, 3\) and type float32, not \(14, 41, 3\) and float32",
    array_zeroed: "keypoints.npy is not as it was written",
    array_of_other_joints: r"keypoints.npy has shape \(14, 40, 3\)",
    array_of_another_type: r"keypoints.npy has shape \(14, 41, 3\) and type int32",
    about_truncated: "Unterminated string",
    about_without_checksums: "'checksum'",
    classes_swapped: "clips.csv or about.json is not as it was written",
    array_lost: "keypoints.npy: ",
}


@pytest.mark.parametrize(("damage", "reason"), DAMAGES.items(), ids=[damage.__name__ for damage in DAMAGES])
def test_a_damaged_cache_is_refused_and_made_anew_once_it_is_deleted(source, tmp_path, damage, reason):
    first = clips.load(source, outputs=tmp_path)
    (folder,) = (tmp_path / "cache").iterdir()
    damage(folder)
    message = f"{re.escape(str(folder))}: this cache is damaged .*{reason}.*; delete this folder"
    with pytest.raises(DataError, match=message) as error:
        clips.load(source, outputs=tmp_path)
    assert len(str(error.value)) - len(str(folder)) < 300
    shutil.rmtree(folder)
    assert clips.load(source, outputs=tmp_path).table.equals(first.table)


def test_the_cache_of_another_source_is_refused(source, tmp_path):
    clips.load(source, outputs=tmp_path)
    (folder,) = (tmp_path / "cache").iterdir()
    (source / "imigue_skeleton_train/0013/0013_label.csv").write_text("4,0,1\n5,0,0\n")
    folder.rename(cache.folder(source, miga, layouts.get("imigue41"), tmp_path))
    with pytest.raises(DataError, match="this cache is damaged"):
        clips.load(source, outputs=tmp_path)


def test_one_changed_value_that_left_no_trace_is_found_by_check(source, tmp_path):
    clips.load(source, outputs=tmp_path)
    assert clips.check(source, outputs=tmp_path)[1]
    (folder,) = (tmp_path / "cache").iterdir()
    path = folder / "keypoints.npy"
    state = path.stat()
    np.load(path, mmap_mode="r+")[3, 2, 1] += 1
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    clips.load(source, outputs=tmp_path)
    text, usable = clips.check(source, outputs=tmp_path)
    assert not usable
    assert (
        f"ERROR {folder}: this cache is damaged (keypoints.npy is not as it was written); delete this folder"
        in text
    )


def test_a_copied_cache_is_compared_once(source, tmp_path, monkeypatch):
    first = clips.load(source, outputs=tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b", copy_function=shutil.copyfile)
    (path,) = (tmp_path / "b").rglob("keypoints.npy")
    os.utime(path, (0, 0))
    assert np.array_equal(clips.load(source, outputs=tmp_path / "b").keypoints, first.keypoints)
    monkeypatch.setattr(os, "utime", lambda *_, **__: pytest.fail("compared again"))
    clips.load(source, outputs=tmp_path / "b")


def packed(source, path):
    with zipfile.ZipFile(path, "w") as archive:
        for file in source.rglob("*.*") if source.is_dir() else [source]:
            archive.write(file, file.relative_to(source) if source.is_dir() else file.name)
    return path


def test_zip_files_in_a_folder_and_in_each_other_are_one_source(phases, tmp_path):
    whole, place = clips.load(phases[0].parent, outputs=tmp_path), tmp_path / "downloads"
    place.mkdir()
    inner = packed(phases[1], tmp_path / "inner.zip")
    for path, content in (("phase1.zip", phases[0]), ("phase2.ZIP", inner)):
        packed(content, place / path)
    again = clips.load(place, outputs=tmp_path)
    columns = [column for column in whole.table if column != "start"]
    pd.testing.assert_frame_equal(again.table[columns], whole.table[columns])
    assert all(np.array_equal(again[i], whole[i]) for i in range(len(whole)))
    (place / "phase1.zip").unlink()
    assert set(clips.load(place, outputs=tmp_path).table["split"]) == {"test"}
    one = clips.load(place / "phase2.ZIP", outputs=tmp_path)
    assert set(one.table["split"]) == {"test"}


def test_a_zip_file_beside_the_data_is_told(phases, tmp_path):
    packed(phases[1], phases[0] / "phase2.zip")
    message = "zip files beside the data not read (to read both, give folder + file): phase2.zip"
    assert message in clips.load(phases[0], outputs=tmp_path).report
    both = clips.load(f"{phases[0]} + {phases[0] / 'phase2.zip'}", outputs=tmp_path)
    assert set(both.table["split"]) == {"train", "val", "test"}


def test_zip_files_are_unpacked_to_a_limited_depth(tmp_path):
    path = tmp_path / "0.txt"
    path.touch()
    for number in range(1, 6):
        path = packed(path, tmp_path / f"{number}.zip")
    with pytest.raises(DataError, match="no known format"):
        clips.load(path, outputs=tmp_path / "outputs")


def test_three_processes_open_the_same_zip_at_once(source, tmp_path, monkeypatch):
    """The second begins while the first unpacks, the third while the second does; so the third is ready
    first."""
    path, begun, unpack = packed(source, tmp_path / "own.zip"), [], untrusted.unpack

    def late(archive, folder):
        begun.append(folder)
        if len(begun) < 3:
            assert len(clips.load(path, outputs=tmp_path / "outputs")) == 5
        unpack(archive, folder)

    monkeypatch.setattr(untrusted, "unpack", late)
    assert len(clips.load(path, outputs=tmp_path / "outputs")) == 5
    assert len(begun) == 3
    assert [len(list((tmp_path / "outputs" / name).iterdir())) for name in ("data", "cache")] == [1, 1]


@pytest.mark.parametrize("place", ["cache", "data"])
def test_what_killed_loads_left_is_removed_and_what_others_write_is_not(source, tmp_path, place):
    with atomic.folder(tmp_path / place / "other") as other:
        (other / "inner").mkdir(parents=True)
        for path in [
            *other.parent.parent.iterdir()
        ]:  # a killed process leaves the same, and nobody has its lock
            copy = path.with_name(re.sub("[0-9a-f]{32}", "0" * 32, path.name))
            shutil.copytree(path, copy) if path.is_dir() else shutil.copy(path, copy)
        assert len(list((tmp_path / place).glob(".unfinished-*"))) == 4
        clips.load(source, outputs=tmp_path)
        assert len(list((tmp_path / place).glob(".unfinished-*"))) == 2
        assert (other / "inner").exists()
    assert (tmp_path / place / "other" / "inner").exists()
    assert list((tmp_path / place).glob(".unfinished-*")) == []


def test_what_is_left_of_another_user_does_not_matter(source, tmp_path):
    (tmp_path / "cache" / ".unfinished-0.lock").mkdir(
        parents=True
    )  # cannot be opened, as if it belonged to another user
    assert len(clips.load(source, outputs=tmp_path)) == 5


@pytest.mark.parametrize(
    ("where", "name"), [(np.lib.format, "write_array_header_1_0"), (zipfile.ZipFile, "extractall")]
)
def test_a_full_disk_names_the_folder_and_nothing_is_left(source, tmp_path, monkeypatch, where, name):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = packed(source, tmp_path / "own.zip")
    monkeypatch.setattr(where, name, full)
    message = r"own-\S+: cannot be written \(No space left on device\), nothing of it was kept; make room"
    with pytest.raises(OSError, match=message):
        clips.load(path, outputs=tmp_path / "outputs")
    assert list((tmp_path / "outputs").rglob(".unfinished-*")) == []


def test_where_nothing_can_be_written_a_cached_source_is_read_and_another_refused(source, tmp_path, close):
    outputs = tmp_path / "outputs"
    clips.load(source, "imigue22", outputs)
    close(outputs)
    assert len(clips.load(source, "imigue22", outputs)) == 5
    for given in (source, packed(source, tmp_path / "own.zip")):
        message = r"cannot be written \(Permission denied\); give a folder that you may write to as"
        with pytest.raises(OSError, match=message):
            clips.load(given, "imigue41", outputs)
    assert list(outputs.rglob(".unfinished-*")) == []


@pytest.mark.parametrize("name", ["x" * 300, "file.txt/outputs"])
def test_an_impossible_outputs_folder_is_named(source, tmp_path, name):
    (tmp_path / "file.txt").touch()
    message = rf"{name}/cache/source-\S+: cannot be written \((File name too long|Not a directory)\); give"
    with pytest.raises(OSError, match=message):
        clips.load(source, outputs=tmp_path / name)


def test_nothing_is_left_of_a_reading_that_failed(source, tmp_path):
    (source / "imigue_skeleton_test/0200/0200_light_hand.csv").write_text("")
    with pytest.raises(DataError, match="0200_light_hand"):
        clips.load(source, "imigue22", tmp_path / "outputs")
    assert list((tmp_path / "outputs" / "cache").iterdir()) == []


def test_a_source_of_a_name_that_no_file_can_have_is_refused(tmp_path):
    for names in ({"source": "a\0b"}, {"source": "synthetic-smoke", "outputs": "a\0b"}):
        with pytest.raises(DataError, match=r"'a\\x00b': a path cannot have a null character; remove it"):
            clips.load(**names)
    with pytest.raises(DataError, match="xxx: no such file or folder; give an existing one"):
        clips.load(tmp_path / ("x" * 300), outputs=tmp_path)


def test_a_missing_folder_says_what_there_is(tmp_path):
    message = "nowhere: no such file or folder; give an existing one or one of synthetic-smoke, synthetic"
    with pytest.raises(DataError, match=message):
        clips.load(tmp_path / "nowhere")


def test_an_unknown_format_says_what_was_found(tmp_path):
    with pytest.raises(
        DataError, match=r"no known format, tried miga, .*, smg; it has no files: .*; see docs/own-data\.md"
    ):
        clips.load(tmp_path)


def test_an_unknown_split_says_which_there_are(source, tmp_path):
    with pytest.raises(ValueError, match="no clips of split 'hard'; there are test, train, val"):
        clips.load(source, outputs=tmp_path).split("hard")


def test_an_id_given_twice_is_refused_with_both_places(source, tmp_path):
    """The usual way: a video in the folders of two splits."""
    shutil.copytree(source / "imigue_skeleton_train" / "0012", source / "imigue_skeleton_test" / "0012")
    places = r"clip 0 in split train, of video '0012' and clip 3 in split test, of video '0012'"
    message = rf"source: ids of clips must differ, '0012_0' is there twice \({places}\); rename"
    with pytest.raises(DataError, match=message):
        clips.load(source, "imigue22", tmp_path / "outputs")


def test_outputs_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("MIGA_OUTPUTS", raising=False)
    assert sources.outputs_folder().name == "outputs"
    assert (sources.outputs_folder().parent / "pyproject.toml").exists()
    monkeypatch.setenv("MIGA_OUTPUTS", str(tmp_path))
    assert sources.outputs_folder() == tmp_path.resolve()
    assert sources.outputs_folder("~").is_absolute()


def test_groups_are_subjects_and_else_videos(smoke):
    mixed = clips.Clips(
        smoke.table.assign(subject=["7", *[""] * (len(smoke) - 1)]),
        smoke.keypoints,
        smoke.layout,
        smoke.classes,
        "",
    )
    assert mixed.groups().tolist()[:2] == ["7", "video 0001"]


def test_summary_counts_each_split(smoke):
    assert smoke.summary().loc["test", "clips"] == (smoke.table["split"] == "test").sum()


def test_the_cache_says_what_it_holds(source, tmp_path):
    clips.load(source, "imigue22", tmp_path / "outputs")
    (folder,) = (tmp_path / "outputs" / "cache").iterdir()
    assert json.loads((folder / "about.json").read_text())["layout"] == "imigue22"
    assert np.load(folder / "keypoints.npy").shape == (14, 22, 3)


def test_clips_know_the_name_of_their_source_also_in_joints_from_the_cache_of_another_layout(tmp_path):
    fuzzing.make_smg(tmp_path / "mine")
    kinect = layouts.get("kinect25")
    few = layouts.make("few", kinect.joints[:3], [(0, 1), (1, 2)], kinect.joints[0])
    data = clips.load(tmp_path / "mine", few, tmp_path / "outputs")
    assert any(name.startswith(splits.PROTOCOL) for name in cache.read(data.cached, few)["table"])
    assert data.source == "mine"
