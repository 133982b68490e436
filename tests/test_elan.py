"""ELAN's files: times are the same frames after a round trip, faults are refused in words, and a corrected
file is read again as annotation."""

from itertools import pairwise

import fuzzing
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miga_lib import clips
from miga_lib.readers import DataError, Report, elan

RATES = (24.0, 24000 / 1001, 25.0, 30000 / 1001, 30.0, 50.0, 60000 / 1001, 60.0, 120.0)
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
        ({"slot": 'ts2" TIME_ORIGIN="500'}, "its video begins at '500' ms; set this offset to 0"),
        (
            {"tier": 'a" TIER_ID2="" TIME_UNITS="seconds'},
            "its times are in 'seconds', and not in milliseconds",
        ),
        ({"slot": 'ts2" TIME_SLOT_ID="ts1'}, "'ts1' is there twice"),
        ({"slot": "ts3"}, "annotation 'touch face': has no time; give it a beginning and an end in ELAN"),
        ({"slot": "ts9"}, "has no time"),
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
        DataError, match="found tiers 'left hand', 'head', 'speech'; name the one with the gestures"
    ):
        elan.read(path, 25, Report())


@pytest.fixture
def folder(tmp_path):
    """A video of OpenPose's files, without gestures in its table."""
    fuzzing.make_openpose(tmp_path)
    video = next(path.name for path in sorted(tmp_path.iterdir()) if path.is_dir())
    (tmp_path / "segments.csv").write_text(f"video,start_frame,end_frame,class,fps\n{video},0,3,,25\n")
    return tmp_path, video


def test_the_gestures_of_a_source_are_those_of_its_files(folder, tmp_path):
    source, video = folder
    saved(source / f"{video}.eaf", 0, 80)
    data = clips.load(source, outputs=tmp_path / "outputs")
    assert data.table[["id", "frames", "split"]].to_numpy().tolist() == [[f"{video}_0", 2, "train"]]
    assert data.classes[data.table["label"].iloc[0]] == "touch face"
    saved(source / f"{video}.eaf", 0, 120)
    changed = clips.load(source, outputs=tmp_path / "outputs")
    assert changed.table["frames"].tolist() == [3], "a corrected file is read again"


def test_a_file_of_no_video_is_refused(folder, tmp_path):
    saved(folder[0] / "other.eaf")
    with pytest.raises(
        DataError, match=r"other\.eaf: segments\.csv has no video of this name; rename the file"
    ):
        clips.load(folder[0], outputs=tmp_path / "outputs")


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
