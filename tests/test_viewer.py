"""What the kernel sends to the viewer, its messages where something cannot be shown, and what replaces it
without a browser."""

import base64
import io
import json
import re
from dataclasses import replace

import hypothesis
import matplotlib as mpl
import numpy as np
import pytest
import torch
from browser import samples
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from PIL import Image

from miga_lib import denoising, layouts, viewer
from miga_lib.predictions import Predictions
from miga_lib.viewer import SkeletonViewer, notes
from miga_lib.viewer.beside import motion, nearest, poses, transformed
from miga_lib.viewer.views import views


@pytest.fixture
def clips():
    return samples.oddities()


def predictions(clips, **changes):
    return replace(samples.predictions_of(clips), **changes)


def rows_of(whole, rows):
    return Predictions(whole.ids[rows], whole.labels[rows], whole.probabilities[rows], whole.classes)


def choose(shown, **choice):
    """Choose another clip, by row, or another comparison, as the browser does."""
    shown.set_state({"_choice": shown._choice | choice})
    return shown._clip


def answers(shown, **request):
    """What the browser is told after a request."""
    sent = []
    shown.send = sent.append
    shown._handle_custom_msg(request, [])
    return [content["text"] for content in sent]


def state_of(page):
    """The state in a page."""
    return json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.DOTALL)[1])


def points(sent):
    """The keypoints of a figure as they are sent: (T, V, 3) float32."""
    return np.frombuffer(sent["keypoints"], "<f4").reshape(sent["frames"], -1, 3)


def test_a_clip_is_sent_unchanged(clips):
    sent = SkeletonViewer(clips, clip=0)._clip
    assert np.array_equal(points(sent["main"]), clips[0])
    assert sent["main"]["title"] == "a_0: touch face"
    assert (sent["beside"], sent["bars"], sent["messages"]) == (None, None, [])


def test_the_list_is_sent_in_columns(clips):
    listed = SkeletonViewer(clips)._list
    assert listed["ids"] == "a_0\na_1\na_2"
    assert np.frombuffer(listed["labels"], "<i2").tolist() == [3, 5, 5]
    assert np.frombuffer(listed["frames"], "<i4").tolist() == [5, 10, 4]
    assert listed["runs"] == []
    assert [listed["split_names"][i] for i in listed["splits"]] == ["train"] * 3


def test_another_clip_or_comparison_is_sent_when_the_browser_chooses_it(clips):
    shown = SkeletonViewer(clips, clip="a_1", beside="align")
    assert shown._clip["main"]["title"].startswith("a_1")
    assert choose(shown, row=0)["main"]["title"].startswith("a_0")
    assert shown._clip["beside"]["title"] == "aligned to 48", "the comparison does not change"
    assert np.array_equal(points(shown._clip["main"]), clips[0])
    assert choose(shown, beside="mirrored")["beside"]["title"] == "mirrored"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"clip": "b_0"}, "there is no clip 'b_0' among the 3 clips; give a row, or an id such as 'a_0'"),
        ({"clip": 3}, "there is no clip 3 among the 3 clips"),
        ({"beside": "shadow"}, "beside must be one of nothing, align, .*, got 'shadow'"),
        ({"layout": layouts.get("imigue22")}, "neck"),
        ({"length": 0}, "`length` must be 1 frame or more, got 0"),
        ({"rate": float("inf")}, "rate must be above 0 and up to 1000 frames per second, got inf"),
        ({"rate": float("nan")}, "rate must be above 0 and up to 1000 frames per second, got nan"),
        ({"filters": "gaps+blur"}, "a name in filters must be one of swaps, outliers, .*, got 'blur'"),
    ],
)
def test_wrong_arguments_are_named(clips, arguments, message):
    with pytest.raises(ValueError, match=message):
        SkeletonViewer(clips, **arguments)


# ---- Where something cannot be shown, the viewer says so


def test_an_empty_selection(clips):
    shown = SkeletonViewer(clips.where([]))
    assert shown._clip["messages"] == ["There are no clips to show: the selection is empty."]
    assert shown._clip["main"] is None


def test_a_clip_without_a_person(clips):
    shown = SkeletonViewer(clips, clip=2, beside="nearest")
    assert shown._clip["messages"][0] == "Clip a_2 has no person: no joint was found in any of its 4 frames."
    assert shown._clip["beside"] is None
    assert "a_2" in shown.standalone()["text/plain"]


def test_a_clip_without_frames():
    shown = SkeletonViewer(samples.clips_of([np.zeros((0, 17, 3))], [1]), beside="align")
    assert shown._clip["messages"] == ["Clip a_0 has no frames: there is nothing to draw."]


def test_a_run_of_other_classes(clips):
    fewer = Predictions(np.array(["a_0"]), np.array([0]), np.array([[0.5, 0.5]]), np.array(["nod", "shake"]))
    shown = SkeletonViewer(clips, fewer)
    assert re.match("The run predicts 2 classes and the data have 32", shown._clip["messages"][0])
    assert shown._clip["bars"] is None
    other = predictions(clips, classes=np.array(clips.classes)[[1, 0, *range(2, 32)]])
    (message,) = SkeletonViewer(clips, {"joint": other})._clip["messages"]
    assert message.startswith("joint: The run's class 0 is 'deep breath' and the data's is 'turtle neck'")


def test_a_run_of_other_clips(clips):
    other = predictions(clips, ids=np.array(["b_0", "b_1", "b_2"]))
    assert "predicts 3 clips, but none of these 3" in SkeletonViewer(clips, other)._clip["messages"][0]
    files = [other, predictions(clips)]
    assert SkeletonViewer(clips, files)._clip["messages"] == [], "one of a run's files has these clips"


# ---- Predictions


def test_bars_are_the_five_most_probable_and_the_true_class(clips):
    probabilities = np.zeros((3, 32))
    probabilities[0, [7, 8, 9, 10, 11, 3]] = [0.3, 0.25, 0.2, 0.15, 0.06, 0.04]  # class 3 is true, and sixth
    probabilities[1:, 5] = 1
    shown = SkeletonViewer(clips, predictions(clips, probabilities=probabilities), clip=0)
    bars = shown._clip["bars"]
    assert [bar["name"] for bar in bars] == [clips.classes[k] for k in (7, 8, 9, 10, 11, 3)]
    assert [bar["truth"] for bar in bars] == [False] * 5 + [True]
    assert [bar["ranks"] for bar in bars] == [[1], [2], [3], [4], [5], [6]]
    assert [bar["truth"] for bar in choose(shown, row=1)["bars"]] == [True] + [False] * 4
    columns = shown._list["runs"][0]
    assert np.frombuffer(columns["predicted"], "<i2").tolist() == [7, 5, 5]
    assert np.frombuffer(columns["confidence"], "<f8").tolist() == [0.3, 1, 1]


def test_predictions_of_several_splits_are_joined_on_ids(clips):
    whole = samples.predictions_of(clips)
    shown = SkeletonViewer(clips, [rows_of(whole, [2]), rows_of(whole, [0])], clip=0)
    assert shown._clip["bars"] == SkeletonViewer(clips, whole, clip=0)._clip["bars"]
    assert choose(shown, row=1)["bars"] == [], "neither has this clip"
    assert np.frombuffer(shown._list["runs"][0]["predicted"], "<i2")[1] == -1


def test_bars_of_several_runs_are_side_by_side(clips):
    """Class 7 has 0.9 and 0.1, class 8 has 0.1 and 0.5, class 3, the true one, 0 and 0.4: means 0.5, 0.3 and
    0.2."""
    joint, limb = np.eye(32)[[0, 5, 5]], np.eye(32)[[0, 5, 5]]
    joint[0], limb[0] = 0, 0
    joint[0, [7, 8]], limb[0, [8, 3, 7]] = [0.9, 0.1], [0.5, 0.4, 0.1]
    second = rows_of(predictions(clips, probabilities=limb), [0])
    runs = {"joint": predictions(clips, probabilities=joint), "limb": [second]}
    shown = SkeletonViewer(clips, runs, clip=0)
    bars = [bar for bar in shown._clip["bars"] if max(bar["probabilities"])]
    assert [bar["name"] for bar in bars] == [clips.classes[k] for k in (7, 8, 3)]
    assert [bar["probabilities"] for bar in bars] == [[0.9, 0.1], [0.1, 0.5], [0, 0.4]]
    assert [bar["ranks"][1] for bar in bars] == [3, 1, 2]
    assert choose(shown, row=1)["bars"][0]["probabilities"] == [1, -1], "the second run lacks this clip"
    assert [columns["name"] for columns in shown._list["runs"]] == ["joint", "limb"]


def test_it_opens_on_a_clip_with_motion_that_every_run_predicts(clips):
    """Clip 1 rotates. A run that lacks it leaves clips 0 and 2, neither of which moves: the first counts."""
    assert SkeletonViewer(clips)._clip["row"] == 1
    whole = samples.predictions_of(clips)
    assert SkeletonViewer(clips, {"a": whole, "b": rows_of(whole, [0, 2])})._clip["row"] == 0


def test_it_opens_in_the_layout_that_the_model_sees():
    clips = samples.clips_of([np.ones((2, 137, 3))], [0], "openpose137")
    for layout, name in ((None, "openpose137"), (layouts.get("imigue41"), "imigue41")):
        listed = SkeletonViewer(clips, layout=layout)._list
        assert listed["layouts"][listed["shown"]]["name"] == name


def test_motion_is_in_units_of_the_extent():
    """Two joints at x = 0 and 6 move by 4 px, then one of them by 2: 10 px of 12 over 2 joints. Without a
    common joint there is none."""
    clip = np.ones((3, 2, 3))
    clip[..., 0] = [[0, 6], [4, 10], [4, 12]]
    assert motion(clip) == pytest.approx(10 / 2 / 12)
    clip[1, :, 2] = 0
    assert motion(clip) == 0


# ---- Notes and animations, which the browser asks for


def test_a_note_is_saved_shown_and_removed(clips, tmp_path):
    shown = SkeletonViewer(clips, outputs=tmp_path)
    saved = answers(shown, ask="note", note=' check, "again" =1 ', row=1)
    assert saved == [f"Saved: {tmp_path / 'notes.csv'}"]
    assert (tmp_path / "notes.csv").read_text() == 'id,note\na_1,"check, ""again"" =1"\n'
    assert shown._notes == {"a_1": 'check, "again" =1'}
    notes.write(tmp_path, "b_7", "of other clips")
    answers(shown, ask="note", note="", row=1)
    assert SkeletonViewer(clips, outputs=tmp_path)._notes == {"b_7": "of other clips"}


def test_notes_that_are_no_table_are_named_and_stay(clips, tmp_path):
    path = tmp_path / "notes.csv"
    path.write_text("clip,remark\na_0,x\n")
    shown = SkeletonViewer(clips, outputs=tmp_path)
    rule = "notes have the columns id and note, found 'clip', 'remark'; rename the columns"
    assert shown._clip["messages"] == [f"{path}: {rule}"]
    assert answers(shown, ask="note", note="x", row=0) == [f"{path}: {rule}"]
    assert path.read_text() == "clip,remark\na_0,x\n"


TEXTS = st.text(st.characters(codec="utf-8") | st.sampled_from('\r\n",=+-@#\0\t \x1c\x85\u2028'), max_size=9)


@hypothesis.settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["a", "=1+1", "NA", '"', "#"]) | TEXTS, TEXTS), max_size=4))
def test_notes_of_any_text_are_read_as_they_were_written_or_refused(tmp_path_factory, written):
    folder, kept = tmp_path_factory.mktemp("any"), {}
    for id, note in written:
        try:
            notes.write(folder, id, note)
        except ValueError:
            assert "\0" in id + note or id != id.strip()
        else:
            kept[id] = note.strip()
        assert notes.read(folder) == {id: note for id, note in kept.items() if note}


@pytest.mark.parametrize("note", ["x" * 70_000, "a\0b", "\ud800"])
def test_a_note_that_a_table_cannot_hold_leaves_the_file_as_it_was(tmp_path, note):
    notes.write(tmp_path, "a", "first")
    before = (tmp_path / "notes.csv").read_bytes()
    message = r"notes\.csv: a note on clip 'a' that a table cannot hold; write a shorter one, of usual charac"
    with pytest.raises(ValueError, match=message):
        notes.write(tmp_path, "a", note)
    assert (tmp_path / "notes.csv").read_bytes() == before
    assert not list(tmp_path.glob(".unfinished*"))


def test_a_note_changes_no_other_row_or_column(tmp_path):
    """Written in a spreadsheet: with a mark of UTF-8, a column more, and two rows of a clip."""
    path = tmp_path / "notes.csv"
    rows = ["who,id,note", "Ö,a,one", "P,b,", "Q,a,two", "R,c,x"]
    path.write_text("\n".join(rows), encoding="utf-8-sig")
    assert notes.read(tmp_path) == {"a": "two", "c": "x"}
    notes.write(tmp_path, "a", "three")
    notes.write(tmp_path, "d", "new")
    notes.write(tmp_path, "c", "")
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    expected = ["who,id,note", "Ö,a,one", "P,b,", "Q,a,three", "R,c,", ",d,new"]
    assert path.read_text(encoding="utf-8-sig").splitlines() == expected
    assert notes.read(tmp_path) == {"a": "three", "d": "new"}


def test_an_animation_is_written(clips, tmp_path):
    shown, path = SkeletonViewer(clips, beside="mirrored", outputs=tmp_path), tmp_path / "figures" / "a_0.gif"
    assert answers(shown, ask="film", row=0, layout="coco17") == [f"Saved: {path}"]
    with Image.open(path) as film:
        assert film.size == (432, 230), "two panes of 3 × 3.2 inches at 72 dpi"
    assert "there is no clip 7" in answers(shown, ask="film", row=7, layout="coco17")[0]


# ---- What is shown beside a clip


def test_layouts_are_those_whose_joints_the_clips_have():
    names = [layout.name for layout in viewer.available_layouts(layouts.get("imigue41"))]
    assert names == ["imigue22", "imigue22_official", "imigue41"]
    narrow = viewer.available_layouts(layouts.get("openpose137"))
    assert {"imigue22", "imigue41", "openpose137"} <= {layout.name for layout in narrow}
    listed = SkeletonViewer(samples.clips_of([np.ones((2, 137, 3))], [0], "openpose137"))._list["layouts"]
    for layout in listed:
        assert [layouts.OPENPOSE_137[row] for row in layout["rows"]] == layout["joints"]


def test_views_are_the_face_the_hands_and_the_other_regions():
    whole, coco = (views(layouts.get(name)) for name in ("openpose137", "coco17"))
    assert list(whole)[:3] == ["face", "left hand", "right hand"]
    assert {layouts.OPENPOSE_137[v].split("_")[0] for v in whole["left hand"]} == {"left"}
    assert len(whole["face"]) == 28 + 17 + 10 + 20
    assert list(coco) == ["face", "torso", "left arm", "right arm", "lower body"], "it has no hands"
    stick = layouts.make("stick", ["head", "hip"], [(0, 1)], center="hip")
    assert views(stick) == {}, "its only region is the whole"


def test_an_unregistered_layout_is_shown():
    stick = layouts.make("stick", ["head", "hip"], [(0, 1)], center="hip")
    listed = SkeletonViewer(samples.clips_of([np.ones((3, 2, 3))], [0], stick))._list
    assert [layout["name"] for layout in listed["layouts"]] == ["stick"]


@pytest.mark.parametrize("method", ["align", "crop_pad", "segments"])
def test_alignments_have_the_requested_length(clips, method):
    sent = SkeletonViewer(clips, beside=method, length=7)._clip["beside"]
    assert points(sent).shape == (7, 17, 3)
    assert "7" in sent["title"]


def test_the_mirrored_clip_swaps_sides(clips):
    mirrored = transformed(clips, 0, "mirrored", 48, "")
    left, right = (clips.layout.joints.index(f"{side}_wrist") for side in ("left", "right"))
    assert mirrored[0, left, 0] == pytest.approx(1279 - clips[0][0, right, 0])
    assert mirrored[1, 0].tolist() == [0, 0, 0], "a missing joint stays missing"


def test_a_denoised_clip_is_beside_the_detected_one_in_step():
    """The nose is missing in frame 1 and far away in frame 5; the arms, of different score, are exchanged in
    frame 3."""
    ring, layout = samples.ring(9), layouts.get("coco17")
    ring[5, 0, 0] += 300
    left, right = (list(layout.regions[f"{side}_arm"]) for side in ("left", "right"))
    ring[:, left, 2] = 0.6
    ring[3, left + right] = ring[3, right + left]
    clips = samples.clips_of([ring], [3])
    sent = SkeletonViewer(clips, beside="denoised", filters="gaps+outliers+swaps")._clip["beside"]
    assert np.array_equal(points(sent), denoising.denoised(clips, "swaps+outliers+gaps")[0])
    assert set(points(sent)[3, left, 2]) == {np.float32(0.6)}, "exchanged back"
    assert sent["title"] == "denoised: gaps+outliers+swaps"
    assert np.frombuffer(sent["source"], "<f4").tolist() == list(range(9))
    filled = np.frombuffer(sent["filled"], "u1").reshape(9, 17)
    assert np.argwhere(filled).tolist() == [[1, 0], [5, 0]]
    removed = SkeletonViewer(clips, beside="denoised", filters="outliers")._clip["beside"]
    assert points(removed)[5, 0, 2] == 0
    assert not any(removed["filled"])


def test_clips_that_are_denoised_are_not_filtered_again(clips):
    shown = SkeletonViewer(denoising.denoised(clips, "gaps"), clip=0, beside="denoised")
    way_out = "load them without `denoise` to compare"
    assert shown._clip["messages"] == [f"These clips are already denoised (gaps): {way_out}."]
    assert shown._clip["beside"] is None


def test_the_nearest_clip_is_of_another_class_whatever_its_position_and_size():
    """Clip 1 equals clip 0 and is of the same class. Clip 2 is clip 0 moved and enlarged. Clip 3 is clip 0
    rotated by a quarter turn."""
    base = samples.ring()
    moved, turned = base.copy(), base.copy()
    moved[..., :2] = (3 * moved[..., :2] + 50) * (moved[..., 2:] > 0)
    turned[..., 0], turned[..., 1] = -base[..., 1], base[..., 0]
    clips = samples.clips_of([base, base, moved, turned], [4, 4, 8, 9])
    labels = torch.tensor(clips.table["label"].to_numpy())
    assert [nearest(*poses(clips), labels, row) for row in (0, 2)] == [2, 0]
    assert SkeletonViewer(clips, clip=0, beside="nearest")._clip["beside"]["title"].startswith("nearest: a_2")
    shown = SkeletonViewer(samples.clips_of([base, base], [4, 4]), beside="nearest")
    assert shown._clip["beside"] is None
    message = "No clip of another class has enough joints in common with this one."
    assert shown._clip["messages"] == [message]


def test_the_nearest_row_by_hand():
    """Squared distances from (0, 0): (3, 4) 25, (1, 0) 1. (0.5, 0) has the same label and (0.1, 0) an unknown
    one: neither counts."""
    places = torch.tensor([[[0.0, 0.0]], [[3.0, 4.0]], [[1.0, 0.0]], [[0.5, 0.0]], [[0.1, 0.0]]])
    present = torch.ones(5, 1, dtype=torch.bool)
    assert nearest(places, present, torch.tensor([0, 1, 1, 0, -1]), 0) == 2
    present[2] = False
    assert nearest(places, present, torch.tensor([0, 1, 1, 0, -1]), 0) == 1


# ---- Without a browser


def test_the_bundle_has_a_picture_a_page_and_text(clips):
    bundle = SkeletonViewer(clips, clip=0).standalone()
    assert set(bundle) == {"text/html", "image/png", "text/plain"}
    picture = mpl.image.imread(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert (picture[..., :3].min(2) < 0.9).mean() > 0.01, "something is drawn"
    assert bundle["text/plain"] == "SkeletonViewer of 3 clips, showing a_0: touch face"


def test_the_page_has_the_clip_and_cannot_be_broken_by_a_name(clips):
    named = samples.clips_of([samples.ring()], [3])
    named.table["id"] = ["</script><b>"]
    page = SkeletonViewer(named).standalone()["text/html"]
    assert page.count("</script>") == 2, "its own two"
    sent = base64.b64decode(state_of(page)["_clip"]["main"]["keypoints"]["base64"])
    assert np.array_equal(np.frombuffer(sent, "<f4"), named[0].ravel())
    assert state_of(page)["_list"]["ids"] == "</script><b>"


def test_a_page_has_further_clips(clips):
    state = state_of(SkeletonViewer(clips, clip=0, kept=["a_2"]).standalone()["text/html"])
    assert {row: clip["row"] for row, clip in state["_exported"].items()} == {"0": 0, "2": 2}


def test_there_is_a_picture_even_where_nothing_can_be_drawn(clips):
    still = clips.where([0])
    for shown in (SkeletonViewer(clips.where([])), SkeletonViewer(clips, clip=2), SkeletonViewer(still)):
        assert base64.b64decode(shown.standalone()["image/png"]).startswith(b"\x89PNG")


# ---- Colours


def luminance(colour):
    """Relative luminance by WCAG 2: sRGB made linear, weighted 0.2126, 0.7152, 0.0722."""
    parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return np.dot(parts, [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize(("theme", "page"), [("light", "#ffffff"), ("dark", "#111111")])
def test_colours_stand_out_from_the_page(theme, page):
    for colour in viewer.COLOURS[theme].values():
        low, high = sorted([luminance(colour), luminance(page)])
        assert (high + 0.05) / (low + 0.05) >= 3, f"{colour} on {page}: WCAG requires 3 to 1 for graphics"


def test_a_saved_page_has_all_its_clips_and_needs_nothing_else(clips, tmp_path):
    path = viewer.save_page(tmp_path / "new" / "page.html", clips)
    page = path.read_text(encoding="utf-8")
    exported = state_of(page)["_exported"]
    assert [int(row) for row in exported] == list(range(len(clips)))
    assert [clip["main"]["frames"] for clip in exported.values()] == clips.table["frames"].tolist()
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert [file.name for file in path.parent.iterdir()] == ["page.html"]


@pytest.mark.parametrize("count", [0, 101])
def test_a_page_of_no_clips_or_of_too_many_is_refused(clips, tmp_path, count):
    message = rf"page.html: a page has 1 to 100 clips, got {count}; choose some with `clips.where`"
    with pytest.raises(ValueError, match=message):
        viewer.save_page(tmp_path / "page.html", clips.where([0] * count))
    assert list(tmp_path.iterdir()) == []
