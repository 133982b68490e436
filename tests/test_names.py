"""Names of people, videos and classes that read the same are told in every format; no name reaches a terminal
as a command."""

import pickle

import fuzzing
import numpy as np
import pytest
from test_openpose import body, write

from miga_lib import clips
from miga_lib.readers import DataError, Report, checks, contract

ALIKE = "differ only by case, spaces, leading zeros or letters that look the same: kept apart"
PAIRS = [("7", "07"), ("Ann", "ann"), ("P 1", "P1"), ("Bob", "\u0412\u043eb"), ("A", "\u0391"), ("S1", "s01")]


def table(folder, *rows):
    (folder / "segments.csv").write_text(
        "\n".join(["video,start_frame,end_frame,class,split,subject", *rows])
    )


def said(source, layout, outputs, event):
    """Whether the report of loading, of loading whole videos and of the validator have this event."""
    texts = [clips.load(source, layout, outputs).report, clips.check(source, layout, outputs)[0]]
    if clips.has_recordings(source, outputs):
        texts.append(clips.load_recordings(source, layout, outputs).report)
    return {event in text for text in texts}


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_subjects_and_classes_that_read_the_same_are_told(tmp_path, one, other):
    for video in ("a", "b"):
        write(tmp_path / "in" / video, [[body()]])
    table(tmp_path / "in", f"a,0,0,{one},train,{one}", f"b,0,0,{other},test,{other}")
    if not one.isdigit():
        names = " and ".join(map(ascii, sorted([one, other])))
        for kind in ("subjects", "classes"):
            event = f"1 × {kind} that {ALIKE}: {names}"
            assert said(tmp_path / "in", "body25", tmp_path / "outputs", event) == {True}
    else:
        event = f"1 × subjects that {ALIKE}: '07' and '7'"
        assert said(tmp_path / "in", "body25", tmp_path / "outputs", event) == {True}


def test_a_class_that_reads_as_one_of_imigue_is_told(tmp_path):
    """It is a class of its own, and so are then all others."""
    write(tmp_path / "in" / "a", [[body()]] * 2)
    table(tmp_path / "in", "a,0,0,Touch Chin,train,7", "a,1,1,touch neck,train,7")
    event = f"1 × classes that {ALIKE}: 'Touch Chin' and 'touch chin'"
    assert said(tmp_path / "in", "body25", tmp_path / "outputs", event) == {True}


def test_other_names_are_not_told(tmp_path):
    for video in ("a", "b"):
        write(tmp_path / "in" / video, [[body()]])
    table(tmp_path / "in", "a,0,0,touch chin,train,7", "b,0,0,touch neck,test,70")
    assert said(tmp_path / "in", "body25", tmp_path / "outputs", ALIKE) == {False}


def test_videos_that_read_the_same_are_told(tmp_path):
    for video in ("0012", "12"):
        fuzzing.write_miga(tmp_path / "in", {video: ("train", "npy")})
    event = f"1 × videos that {ALIKE}: '0012' and '12'"
    assert said(tmp_path / "in", "imigue41", tmp_path / "outputs", event) == {True}


@pytest.mark.parametrize("name", fuzzing.SOURCES)
def test_classes_without_a_clip_are_told_in_every_format(tmp_path, name):
    _, layout, make = fuzzing.SOURCES[name]
    (tmp_path / "in").mkdir()
    make(tmp_path / "in")
    classes = clips.load(tmp_path / "in", layout, tmp_path / "outputs").classes
    told = len(classes) > 3  # the table of openpose and wholebody names two classes, with clips
    assert said(tmp_path / "in", layout, tmp_path / "outputs", "× classes without a clip: ") == {told}


def test_a_single_class_is_told(tmp_path):
    write(tmp_path / "in" / "a", [[body()]] * 2)
    table(tmp_path / "in", "a,0,0,wave,train,7", "a,1,1,wave,train,7")
    event = "1 × all clips of known class are of one class: nothing can be learned: wave"
    assert said(tmp_path / "in", "body25", tmp_path / "outputs", event) == {True}


FORGED = "a\x1b[2J\x1b[1;1H\nCan be used.\r\u202e\u200b\xa0"
"""Clears the screen, writes a line of the validator, turns the text around."""
SHOWN = r"a\x1b[2J\x1b[1;1H\nCan be used.\r\u202e\u200b\xa0"


def test_text_of_data_is_shown_escaped():
    assert contract.printable(FORGED) == SHOWN
    assert str(DataError(f"{FORGED}: é")) == f"{SHOWN}: é"
    report = Report()
    report.note(f"of {FORGED}", FORGED)
    assert str(report) == f"     1 × of {SHOWN}: {SHOWN}"
    assert str(pickle.loads(pickle.dumps(DataError(FORGED)))) == SHOWN


@pytest.mark.parametrize("column", ["class", "subject"])
@pytest.mark.parametrize("sign", ["\x1b[2J", "\u202e", "\u200b", "\xa0", "\x07"])
def test_a_name_that_cannot_be_printed_is_refused(tmp_path, column, sign):
    write(tmp_path / "in" / "a", [[body()]])
    names = {"class": "wave", "subject": "7", column: f"x{sign}y"}
    table(tmp_path / "in", f"a,0,0,{names['class']},train,{names['subject']}")
    with pytest.raises(DataError, match="printable") as error:
        clips.load(tmp_path / "in", "body25", tmp_path / "outputs")
    assert str(error.value).isprintable()
    assert contract.printable(sign) in str(error.value)


@pytest.mark.parametrize("name", ["openpose", "miga", "wholebody", "smg", "pyskl"])
def test_no_name_of_a_file_reaches_the_terminal_as_a_command(tmp_path, name):
    """The name of the source, of a video, and of a file that the report has."""
    _, layout, make = fuzzing.SOURCES[name]
    source = tmp_path / FORGED
    source.mkdir()
    make(source)
    if name == "openpose":
        (source / "a").rename(source / f"a{FORGED}")
    (source / f"._{FORGED}").touch()
    (source / f".{FORGED}").mkdir()
    text, _ = clips.check(source, layout, tmp_path / "outputs")
    assert not set("\x1b\r\u202e\u200b\xa0") & set(text)
    assert text.splitlines().count("Can be used.") <= 1


def test_a_protocol_is_shown_escaped(tmp_path):
    fuzzing.make_pyskl(tmp_path)
    content = pickle.loads((tmp_path / "own.pkl").read_bytes())
    ids = [annotation["frame_dir"] for annotation in content["annotations"]]
    content["split"] = {"xsub_train": ids, f"{FORGED}_train": ids}
    (tmp_path / "own.pkl").write_bytes(pickle.dumps(content))
    text, _ = clips.check(tmp_path / "own.pkl", "coco17", tmp_path / "outputs")
    assert text.splitlines().count("Can be used.") <= 1
    assert "\x1b" not in text


def test_clips_pass_the_check_of_names_unchanged():
    keypoints = np.zeros((1, 2, 3), np.float32)
    made = [contract.Clip(str(i), -1, "test", "v", "", 9, 9, keypoints) for i in range(3)]
    report = Report()
    assert list(checks.named(iter(made), report)) == made
    assert not report.events
