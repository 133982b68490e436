"""ELAN's files: times are the same frames after a round trip, faults are refused in words, and a corrected
file is read again as annotation."""

from fractions import Fraction
from itertools import pairwise
from xml.etree import ElementTree

import fuzzing
import pandas as pd
import pympi
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miga_lib import clips, spotting
from miga_lib.readers import DataError, Report, elan

RATES = (24.0, 24000 / 1001, 25.0, 30000 / 1001, 30.0, 50.0, 60000 / 1001, 60.0, 120.0, 999.0, 1000.0)
FILE = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-12-01T10:00:00+01:00" FORMAT="3.0" VERSION="3.0"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
  <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
    <MEDIA_DESCRIPTOR MEDIA_URL="file:///talk.mp4" MIME_TYPE="video/mp4" RELATIVE_MEDIA_URL="./talk.mp4"/>
  </HEADER>
  <TIME_ORDER>
    <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="{}"/>
    <TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="{}"/>
    <TIME_SLOT TIME_SLOT_ID="ts3"/>
  </TIME_ORDER>
  <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="{}">
    <ANNOTATION>
      <ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="{}">
        <ANNOTATION_VALUE>{}</ANNOTATION_VALUE>
      </ALIGNABLE_ANNOTATION>
    </ANNOTATION>
  </TIER>
  <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="speech"/>
  <LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/>
</ANNOTATION_DOCUMENT>
"""
"""As ELAN 6 saves it, with places for the times, the name of the tier, the second time slot, and the text."""


def saved(path, begin=400, end=1200, tier="gestures", slot="ts2", text="touch face"):
    path.write_text(FILE.format(begin, end, tier, slot, text), encoding="utf-8")
    return path


def changed(path, old, new):
    """The file with another text in one place."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def annotations(path, *rows, tier="gestures"):
    """A file with annotations of begin and end in milliseconds and a text."""
    eaf = pympi.Eaf()
    eaf.add_tier(tier)
    for row in rows:
        eaf.add_annotation(tier, *row)
    path.unlink(missing_ok=True)
    eaf.to_file(path)
    return path


def found(*rows):
    return pd.DataFrame(rows, columns=["first", "last", "name", "probability"])


def test_frames_by_hand(tmp_path):
    """At 25 frames a second, frame 10 begins at 400 ms, and frame 29 ends at 1,200 ms."""
    path = saved(tmp_path / "talk.eaf", text=" touch\n face ")
    assert elan.read(path, 25, Report()) == [(10, 29, "touch face")]


@given(
    fps=st.sampled_from(RATES),
    bounds=st.lists(st.integers(0, 200_000), min_size=2, max_size=12, unique=True).map(sorted),
)
def test_a_round_trip_gives_the_same_frames(tmp_path_factory, fps, bounds):
    """Neighbouring gestures share a border, so that the next begins where the one before ends."""
    path = tmp_path_factory.mktemp("elan") / "talk.eaf"
    rows = [(first, after - 1, f"class {first}", 0.5) for first, after in pairwise(bounds)]
    assert elan.write(path, found(*rows), fps)
    assert elan.read(path, fps, Report()) == [row[:3] for row in rows]


@given(
    fps=st.sampled_from(RATES),
    edges=st.lists(st.integers(0, 10**7), min_size=2, max_size=9, unique=True).map(sorted),
)
def test_a_frame_belongs_to_the_annotation_with_its_middle(tmp_path_factory, fps, edges):
    path = annotations(
        tmp_path_factory.mktemp("elan") / "talk.eaf", *((*of, "nod") for of in pairwise(edges))
    )
    gestures = elan.read(path, fps, Report())
    for (begin, end), (first, last, _) in zip(pairwise(edges), gestures, strict=True):
        middles = [(k + Fraction(1, 2)) * 1000 / Fraction(fps) for k in (first - 1, first, last, last + 1)]
        if last > first:
            assert middles[0] < begin <= middles[1] < middles[2] < end <= middles[3]
        assert first <= last
        assert first * 1000 <= end * fps


def test_what_a_network_found_has_its_probabilities_below_it(tmp_path):
    path = tmp_path / "talk.eaf"
    rows = found((5, 9, "a <b> & c", 0.25), (10, 20, "touch face", 0.5))
    assert elan.write(path, rows, 25, tmp_path / "talk.mp4")
    text = path.read_text(encoding="utf-8")
    assert 'RELATIVE_MEDIA_URL="./talk.mp4"' in text
    assert text.index('ANNOTATION_REF="a2"') < text.index("0.250") < text.index("0.500")
    report = Report()
    assert [name for *_, name in elan.read(path, 25, report)] == ["a <b> & c", "touch face"]
    assert "tier 'predicted' is taken as true: correct it first" in str(report)


def test_a_corrected_file_is_never_replaced(tmp_path):
    path = tmp_path / "talk.eaf"
    assert elan.write(path, found((0, 9, "nod", 0.5)), 25)
    assert elan.write(path, found((0, 9, "nod", 0.5)), 25), "it has this content already"
    corrected = saved(path).read_bytes()
    assert not elan.write(path, found((0, 9, "nod", 0.5)), 25)
    assert path.read_bytes() == corrected


def test_gestures_that_overlap_are_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r"talk\.eaf: gestures overlap, and a tier of ELAN holds one at a time"
    ):
        elan.write(tmp_path / "talk.eaf", found((0, 9, "nod", 0.5), (9, 12, "bow", 0.5)), 25)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"end": 400},
            "annotation 'touch face': expected a beginning from 0 and an end after it, .* 400 to 400",
        ),
        ({"begin": -40}, "found -40 to 1200; correct it in ELAN"),
        ({"end": 10**12}, "up to 1,000,000,000 ms, found 400 to 1000000000000"),
        ({"end": "9" * 5000}, "cannot be read as an ELAN file"),
        ({"end": "soon"}, "cannot be read as an ELAN file"),
        ({"slot": "ts3"}, "annotation 'touch face': has no time; give it a beginning and an end in ELAN"),
        ({"slot": "ts9"}, "has no time"),
        ({"tier": "speech"}, "cannot be read as an ELAN file .TIER_ID 'speech' is there 2 times"),
        ({"text": "3"}, "annotation '3' at 400 ms: expected the printable name of a class, no number, or"),
        ({"text": "n/a"}, "annotation 'n/a' at 400 ms: expected the printable name"),
        ({"text": "nod\u202e"}, "expected the printable name of a class"),
    ],
)
def test_faults_are_refused_in_words(tmp_path, change, message):
    path = saved(tmp_path / "talk.eaf", **change)
    with pytest.raises(DataError, match=message):
        elan.read(path, 25, Report())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no xml",
        "<a/>",
        '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>' + FILE.partition("\n")[2],
        '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><a>&c;</a>',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_what_is_no_file_of_elan_is_refused(tmp_path, text, encoding):
    path = tmp_path / "talk.eaf"
    path.write_bytes(text.encode(encoding))
    with pytest.raises(DataError, match=r"talk\.eaf: cannot be read as an ELAN file"):
        elan.read(path, 25, Report())


def test_several_tiers_need_one_with_the_name(tmp_path):
    path = saved(tmp_path / "talk.eaf", tier="left hand")
    text = path.read_text(encoding="utf-8")
    tier = text[
        text.index("  <TIER") : text.index('  <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="speech"/>')
    ]
    both = text.replace(tier, tier + tier.replace("left hand", "gestures").replace("a1", "a2"))
    path.write_text(both, encoding="utf-8")
    assert elan.read(path, 25, Report()) == [(10, 29, "touch face")]
    path.write_text(both.replace('"gestures"', '"head"'), encoding="utf-8")
    with pytest.raises(
        DataError, match="times of their own, found tiers 'left hand', 'head', 'speech'; name the one with"
    ):
        elan.read(path, 25, Report())


def test_what_is_unusual_is_read_and_told(tmp_path):
    """25 frames a second: 40 ms a frame, and 50 to 58 ms is in frame 1 and has the middle of none."""
    rows = (400, 1200, "nod"), (50, 58, "bow"), (800, 1600, "nod"), (1600, 1640, "")
    path, report = annotations(tmp_path / "talk.eaf", *rows), Report()
    assert elan.read(path, 25, report) == [(1, 1, "bow"), (10, 29, "nod"), (20, 39, "nod"), (40, 40, "")]
    assert str(report).split("\n") == [
        "     1 × annotations that contain the middle of no frame: one frame: talk.eaf, 50 ms",
        "     1 × annotations that overlap an earlier one of their tier: both are gestures: talk.eaf, 800 ms",
        "     1 × annotations without a value: of unknown class: talk.eaf, 1600 ms",
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"ts3"/>', '"ts2" TIME_VALUE="80"/>', "TIME_SLOT_ID 'ts2' is there 2 times"),
        ('"speech"/>', '"gestures"/>', "TIER_ID 'gestures' is there 2 times"),
        ('UNITS="milliseconds"', 'UNITS="PAL-frames"', "its times are 'PAL-frames', no milliseconds"),
        ("<MEDIA_DESCRIPTOR", '<MEDIA_DESCRIPTOR TIME_ORIGIN="40"', "begins at an offset of '40' ms; set it"),
        ("<ANNOTATION_VALUE>touch face</ANNOTATION_VALUE>", "", "cannot be read as an ELAN file"),
        ("<ANNOTATION>", "<ANNOTATIONS>", "cannot be read as an ELAN file"),
        (' VERSION="3.0"', ' VERSION="9.9"', ""),
        (
            "</TIER>",
            '<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a9" ANNOTATION_REF="a1"><ANNOTATION_VALUE>nod'
            "</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION></TIER>",
            "tier 'gestures' has annotations that refer to others and have no times",
        ),
        (
            "</HEADER>",
            '<PROPERTY NAME="miga_lib:fps">30.0</PROPERTY></HEADER>',
            "was written for '30.0' frames per second, and the video has 25; correct the fps, or",
        ),
        ("</HEADER>", '<PROPERTY NAME="miga_lib:fps">25.0001</PROPERTY></HEADER>', ""),
        ("</HEADER>", '<PROPERTY NAME="miga_lib:fps">x</PROPERTY></HEADER>', "was written for 'x' frames"),
    ],
)
def test_doubtful_files_are_refused(tmp_path, old, new, message):
    path = changed(saved(tmp_path / "talk.eaf"), old, new)
    if not message:
        assert elan.read(path, 25, Report()) == [(10, 29, "touch face")]
        return
    with pytest.raises(DataError, match=message):
        elan.read(path, 25, Report())


def test_annotations_that_pympi_would_pass_over_are_not_lost(tmp_path):
    path = saved(tmp_path / "talk.eaf")
    path.write_text(path.read_text().replace("ALIGNABLE_ANNOTATION", "TIMED_ANNOTATION"))
    with pytest.raises(DataError, match="1 annotations are not in a tier, or have no times and no reference"):
        elan.read(path, 25, Report())


def test_a_tier_of_references_is_no_tier_of_gestures(tmp_path):
    """ELAN keeps the probability below a gesture: it goes where the gesture goes, and is not read."""
    path = tmp_path / "talk.eaf"
    elan.write(path, found((5, 9, "nod", 0.25)), 25)
    path.write_text(path.read_text().replace('"probability"', '"gestures"'))
    with pytest.raises(
        DataError, match="of their own, found tiers 'predicted', 'gestures'; name the one with"
    ):
        elan.read(path, 25, Report())


def test_a_written_file_has_what_the_schema_of_elan_requires(tmp_path):
    elan.write(tmp_path / "talk.eaf", found((5, 9, "nod", 0.25)), 25, tmp_path / "my talk.mov")
    root = ElementTree.parse(tmp_path / "talk.eaf").getroot()
    order = [
        "HEADER",
        "TIME_ORDER",
        "TIER",
        "TIER",
        "LINGUISTIC_TYPE",
        "LINGUISTIC_TYPE",
        *4 * ["CONSTRAINT"],
    ]
    assert [element.tag for element in root] == order
    assert {"AUTHOR", "DATE", "VERSION"} <= root.attrib.keys()
    header, slots, gestures, probability, *types = root
    assert header.attrib == {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"}
    media = {"MEDIA_URL": f"file://{tmp_path}/my talk.mov", "RELATIVE_MEDIA_URL": "./my talk.mov"}
    assert header[0].attrib == media | {"MIME_TYPE": "video/quicktime"}
    assert [slot.attrib["TIME_VALUE"] for slot in slots] == ["200", "400"]
    assert {tier.attrib["LINGUISTIC_TYPE_REF"] for tier in (gestures, probability)} == {
        about.attrib["LINGUISTIC_TYPE_ID"] for about in types[:2]
    }
    assert probability.attrib["PARENT_REF"] == gestures.attrib["TIER_ID"]


@pytest.fixture
def folder(tmp_path):
    """A video of OpenPose's files, without gestures in its table."""
    source = tmp_path / "in"
    source.mkdir()
    fuzzing.make_openpose(source)
    video = next(path.name for path in sorted(source.iterdir()) if path.is_dir())
    (source / "segments.csv").write_text(f"video,start_frame,end_frame,class,fps\n{video},0,3,,25\n")
    return source, video


def test_the_gestures_of_a_source_are_those_of_its_files(folder, tmp_path):
    source, video = folder
    saved(source / f"{video}.eaf", 0, 80)
    data = clips.load(source, outputs=tmp_path / "outputs")
    assert data.table[["id", "frames", "split"]].to_numpy().tolist() == [[f"{video}_0", 2, "train"]]
    assert data.classes[data.table["label"].iloc[0]] == "touch face"
    saved(source / f"{video}.eaf", 0, 120)
    changed = clips.load(source, outputs=tmp_path / "outputs")
    assert changed.table["frames"].tolist() == [3], "a corrected file is read again"


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            "video,start_frame,end_frame,class,fps\n{},0,3,touch hat,25\n",
            "segments.csv has gestures of this video",
        ),
        (
            "video,start_frame,end_frame\n{},0,3\n",
            "times need the fps of the video; write it into segments.csv",
        ),
        ("", "the frames per second of its video are not known; write segments.csv with its row"),
    ],
)
def test_a_file_beside_a_table_that_does_not_fit_is_refused(folder, tmp_path, table, message):
    source, video = folder
    saved(source / f"{video}.eaf")
    (source / "segments.csv").write_text(table.format(video))
    if not table:
        (source / "segments.csv").unlink()
    with pytest.raises(DataError, match=message):
        clips.load(source, outputs=tmp_path / "outputs")


def test_a_file_that_belongs_to_no_video_or_is_there_twice_is_refused(folder, tmp_path):
    source, video = folder
    saved(source / video / f"{video}.EAF", 0, 80)
    assert len(clips.load(source, outputs=tmp_path / "outputs").table) == 1, "in the folder of the video"
    saved(source / f"{video}.eaf", 0, 80)
    with pytest.raises(DataError, match=r"\.EAF: 'in/.*\.eaf' is of the same video; keep one of them"):
        clips.load(source, outputs=tmp_path / "outputs")
    (source / f"{video}.eaf").rename(source / "talk.eaf")
    with pytest.raises(DataError, match=r"talk\.eaf: there is no folder or file of this video; rename it"):
        clips.load(source, outputs=tmp_path / "outputs")


def test_a_file_whose_video_has_no_row_is_refused(folder, tmp_path):
    source, _ = folder
    saved(source / "b.eaf", 0, 80)
    with pytest.raises(DataError, match=r"b\.eaf: its video has no row in segments.csv; add one without a"):
        clips.load(source, outputs=tmp_path / "outputs")


def test_all_gestures_of_a_file_are_in_one_split(folder, tmp_path):
    """One without a value would be of the test split by itself, and the video in none."""
    source, video = folder
    (source / "segments.csv").write_text(f"video,start_frame,end_frame,fps\n{video},,,25\n")
    annotations(source / f"{video}.eaf", (0, 80, "nod"), (80, 120, ""))
    table = clips.load_recordings(source, outputs=tmp_path / "outputs").cut().table
    assert table[["split", "label"]].to_numpy().tolist() == [["train", 0], ["train", -1]]


@pytest.mark.parametrize(
    ("first", "end", "message"),
    [
        (0, 360, ""),
        (1, 360, "1 × frames numbered from 1: .eaf files begin with that one: a"),
        (2, 360, "a.eaf: times need a video that begins with frame 0 or 1, this one begins with 2"),
        (0, 400, "1 × segment clamped to the frames of the video: a_0"),
        (0, 800, "a.eaf: an annotation begins at frame 10 of 9 at 25 frames per second, after the end"),
    ],
)
def test_times_begin_with_the_first_frame(folder, tmp_path, first, end, message):
    """Of 9 frames, by the numbers in their names."""
    source, _ = folder
    for path in sorted((source / "a").iterdir(), reverse=True):
        number = int(path.name.split("_")[1]) + first
        path.rename(path.with_name(f"a_{number:012d}_keypoints.json"))
    rows = [(320, min(end, 400), "nod"), *([(400, end, "nod")] if end > 400 else [])]
    annotations(source / "a.eaf", *rows)
    if message.startswith("a.eaf"):
        with pytest.raises(DataError, match=message):
            clips.load(source, outputs=tmp_path / "outputs")
        return
    data = clips.load_recordings(source, outputs=tmp_path / "outputs")
    assert data.segments[["first", "last"]].to_numpy().tolist() == [[8, 8]]
    assert message in data.report


def test_what_was_found_is_read_again_as_annotation(folder, tmp_path):
    """In a video whose name has a space and a quote."""
    source, video = folder
    name = "my 'talk'"
    (source / video).rename(source / name)
    (source / "segments.csv").write_text(f"video,start_frame,end_frame,fps\n{name},0,8,29.97002997\n")
    rows = pd.DataFrame([(name, 0, 2, "nod", 0.5), (name, 3, 8, "bow", 0.25)])
    rows = rows.set_axis(["video", "first", "last", "name", "probability"], axis=1)
    (written,) = spotting.annotate(rows, {name: 30000 / 1001}, source)
    assert written == str(source / f"{name}.eaf")
    data = clips.load_recordings(source, outputs=tmp_path / "outputs")
    assert data.segments.to_numpy().tolist() == [[name, 1, 0, 2], [name, 0, 3, 8]]
    assert data.classes == ("bow", "nod")
