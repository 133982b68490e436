"""The viewer in a page without a kernel, with all that needs none: zoom, list, links of figures, keys, files,
narrow windows."""

import xml.etree.ElementTree as ElementTree

import lab
import numpy as np
import pytest
import samples
from conftest import CUT
from PIL import Image
from test_viewer_in_lab import listed, move, ring_on_canvas, settle

from miga_lib import alignment, layouts, metrics, plots
from miga_lib.analysis import failures
from miga_lib.predictions import Predictions
from miga_lib.viewer import SkeletonViewer
from miga_lib.viewer.views import views

FRAMES = [5, 10, 4, 60, 8, 12] + [4] * 24
LABELS = [3, 5, 5, 3, 7, 7] + [9] * 24
JOINT = {3: [0, 2, 5], 5: [1, 3], 7: [4], 9: [*range(6, 30)]}  # rows by predicted class: 2, 3 and 5 are wrong
LIMB = {3: [0, 3], 5: [2, 4], 7: [1, 5], 9: [*range(6, 30)]}  # 1 and 4 are wrong
SURE = [0.9, 0.6, 0.5, 0.4, 0.8, 0.7] + [0.3] * 24


def library():
    """A ring, a rotating one, and more rings of other lengths; a hostile id."""
    turning = samples.oddities()[1]
    clips = samples.clips_of(
        [turning if row == 1 else samples.ring(frames) for row, frames in enumerate(FRAMES)], LABELS
    )
    clips.table.loc[4, "id"] = "<b>&4"
    return clips


def predicted(clips, rows_by_class):
    probabilities = np.zeros((30, 32))
    for k, rows in rows_by_class.items():
        for row in rows:
            probabilities[row] = (1 - SURE[row]) / 31
            probabilities[row, k] = SURE[row]
    return Predictions(
        clips.table["id"].to_numpy(str), np.array(LABELS), probabilities, np.array(clips.classes)
    )


@pytest.fixture(scope="module")
def page(open_page, tmp_path_factory):
    """Two notebooks in one page, as JupyterLab shows them: figures and a viewer of two runs; a viewer without
    predictions."""
    clips = library()
    runs = {"joint": predicted(clips, JOINT), "limb": predicted(clips, LIMB)}
    first = runs["joint"]
    figures = [
        plots.linked(plots.confusion(first, order="index").figure, "matrix").data,
        plots.linked(plots.confusion(first, order="index", fewest=3).figure, "folded").data,
        plots.linked(plots.class_scores(metrics.per_class(first))[0].figure, "scores").data,
        plots.linked(plots.calibration(runs, 10)[0].figure, "calibration").data,
        plots.pair_table(failures.confused(first), first.classes.tolist()).to_html(),
    ]
    saliency = samples.at_joint(clips, "nose")
    main = SkeletonViewer(clips, runs, 0, "align", length=3, kept=range(30), saliency=saliency)
    assert main._compute_used(3) == "Used most: nose."
    recordings = samples.recording_of(clips)
    second = SkeletonViewer(clips, clip=29, beside="denoised", filters="gaps", recordings=recordings)
    first_viewer, second_viewer = (viewer.standalone()["text/html"] for viewer in (main, second))
    notebooks = ["".join([*figures, first_viewer]), second_viewer]
    body = "".join(f'<div class="jp-Notebook">{notebook}</div>' for notebook in notebooks)
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(f'<!doctype html><meta charset="utf-8">{body}', encoding="utf-8")
    page = open_page()
    page.set_default_timeout(5000)
    page.set_viewport_size({"width": 1000, "height": 900})
    page.goto(path.as_uri())
    page.locator(".miga-viewer").nth(1).wait_for()
    page.locator("svg a").nth(9).wait_for(state="attached")
    yield page
    page.close()


@pytest.fixture
def shown(page):
    """The first viewer, as it opened."""
    viewer = page.locator(".miga-viewer").first
    viewer.focus()
    page.set_viewport_size({"width": 1000, "height": 900})
    if viewer.get_by_label("play or pause").get_attribute("aria-pressed") == "true":
        page.keyboard.press("Space")
    for key in ("c", "Escape", "1", "0", "u"):
        page.keyboard.press(key)
    viewer.get_by_label("List shows").select_option("0")
    viewer.locator(".miga-list [role=option]").first.click()
    viewer.focus()
    move(viewer, 0)
    return viewer


def caption(shown, pane=0):
    return shown.locator(".miga-caption").nth(pane).inner_text()


def box(shown):
    return shown.locator("figure canvas").first.bounding_box()


def pointed(shown, page, x, y):
    """What the first pane says of the place x, y, in pixels of its canvas."""
    settle(shown)  # the pane knows the places of what it has drawn
    corner = box(shown)
    page.mouse.move(corner["x"] + 1 + x, corner["y"] + 1 + y)
    settle(shown)
    return caption(shown).split(":")[0]


# ---- Zoom, views


def test_the_wheel_zooms_around_the_pointer_only_over_the_stage(shown, page):
    nose, opposite = ring_on_canvas(shown, 100, 0), ring_on_canvas(shown, *samples.ring()[0, 8, :2])
    assert pointed(shown, page, *nose) == "nose"
    before = page.evaluate("scrollY")
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(100)
    settle(shown)
    assert pointed(shown, page, *nose) == "nose", "what is under the pointer stays there"
    assert pointed(shown, page, *opposite) != "left wrist", "the rest is farther away"
    factor = np.exp(0.45)
    middle = np.array(nose) + factor * (np.array(ring_on_canvas(shown, *samples.ring()[0, 2, :2])) - nose)
    assert pointed(shown, page, *middle) == "right eye"
    page.keyboard.press("0")
    assert pointed(shown, page, *nose) == "nose"
    page.keyboard.down("Control")  # as a pinch on a touchpad comes
    page.mouse.wheel(0, -45)
    page.keyboard.up("Control")
    page.wait_for_timeout(100)
    settle(shown)
    assert pointed(shown, page, *middle) == "right eye", "exp(45 / 100) as exp(300 · 0.0015)"
    assert page.evaluate("scrollY") == before
    shown.locator(".miga-legend").hover()
    page.mouse.wheel(0, 100)
    page.wait_for_function("before => scrollY != before", arg=before)


def test_a_drag_moves_and_a_double_click_resets(shown, page):
    x, y = ring_on_canvas(shown, 100, 0)
    corner = box(shown)
    page.mouse.move(corner["x"] + 100, corner["y"] + 100)
    page.mouse.down()
    page.mouse.move(corner["x"] + 60, corner["y"] + 125, steps=3)
    page.mouse.up()
    assert pointed(shown, page, x - 40, y + 25) == "nose"
    shown.locator("figure canvas").first.dblclick(position={"x": 30, "y": 30})
    assert pointed(shown, page, x, y) == "nose"


def test_two_fingers_zoom(shown, page, context):
    shown.locator("figure canvas").first.scroll_into_view_if_needed()
    corner, (x, y) = box(shown), ring_on_canvas(shown, 100, 0)
    touch = context.new_cdp_session(page)

    def fingers(kind, apart):
        places = [{"x": corner["x"] + 1 + x, "y": corner["y"] + 1 + y + shift} for shift in (-apart, apart)]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": places if apart else []})

    for kind, apart in (("touchStart", 20), ("touchMove", 25), ("touchMove", 40), ("touchEnd", 0)):
        fingers(kind, apart)
    settle(shown)
    eye = np.array(ring_on_canvas(shown, *samples.ring()[0, 1, :2])) - (x, y)
    assert pointed(shown, page, *(np.array((x, y)) + 2 * eye)) == "left eye"


def test_a_view_follows_its_joints(page):
    """A window is of one size, and both joints of the arm are in it in every frame of a clip that turns by
    half in 40 frames."""
    clip = samples.turning(np.arange(40) / 80)
    arm = views(layouts.get("coco17"))["left arm"]
    script = """(module, values, arm) => {
        const [T, V, points] = [40, 17, Float32Array.from(values)];
        const seen = Int32Array.from({ length: T * V }, (_, i) => Math.floor(i / V));
        const layout = { views: [["arm", arm]] };
        const figure = { points, T, V, box: module.cropBox(points), seen, windows: new Map(), layout };
        const windows = (view) => {
            return Array.from({ length: T }, (_, t) => Object.values(module.windowOf(figure, view, t)));
        };
        return [windows("arm"), windows("whole body"), Object.values(figure.box)];
    }"""
    around, whole, everything = lab.call(page, script, clip.ravel().tolist(), arm)
    corner, side = np.array(around)[:, None, :2], np.array(around)[:, None, 2:]
    assert np.ptp(side) == 0
    assert side.max() < everything[2] / 2
    assert whole == [everything] * 40
    assert ((clip[:, arm, :2] > corner) & (clip[:, arm, :2] < corner + side)).all()
    assert not ((clip[:, arm, :2] > corner[:1]) & (clip[:, arm, :2] < corner[:1] + side)).all(), (
        "which it would not be if it stayed"
    )


def test_views_are_chosen_by_keys(shown, page):
    before = shown.locator("figure canvas").first.evaluate("(canvas) => canvas.toDataURL()")
    page.keyboard.press("2")
    settle(shown)
    assert shown.get_by_label("View").input_value() == "face"
    assert shown.locator("figure canvas").first.evaluate("(canvas) => canvas.toDataURL()") != before
    page.keyboard.press("1")
    assert shown.get_by_label("View").input_value() == "whole body"


# ---- The list


def test_the_list_shows_prediction_and_probability_and_the_selected_clip(shown, page):
    lines = [line.inner_text().split("\n") for line in shown.locator(".miga-list [role=option]").all()[:3]]
    assert lines == [
        ["✓ a_0", "5 frames", "touch face", "90 %"],
        ["✓ a_1", "10 frames", "cover face", "60 %"],
        ["✗ a_2", "4 frames", "cover face", "→ touch face", "50 %"],
    ]
    second = page.locator(".miga-viewer").nth(1)
    panel, chosen = (second.locator(which).bounding_box() for which in (".miga-list", "[aria-selected=true]"))
    assert panel["y"] <= chosen["y"] <= panel["y"] + panel["height"] - chosen["height"] + 1, (
        "it opened on the last of 30"
    )


def test_the_gesture_before_a_clip_is_told(page):
    """The last clip, of 4 frames, is 25 frames after the one before it. There are 99 frames in the first six
    clips."""
    first = 99 + 23 * 4 + 29 * 25
    line = page.locator(".miga-viewer").nth(1).locator(".miga-around").inner_text()
    assert line == f"a: {first / 25:.1f} to {(first + 4) / 25:.1f} s; 1.0 s before: {library().classes[9]}"
    assert page.locator(".miga-viewer").first.locator(".miga-around").is_hidden()


def test_one_run_right_and_the_other_wrong(shown):
    shown.get_by_label("A: joint", exact=True).select_option("right")
    shown.get_by_label("B: limb", exact=True).select_option("wrong")
    assert listed(shown) == ["a_1", "<b>&4"]
    assert shown.locator("figcaption").first.inner_text() == "a_1: cover face", (
        "the filter excluded the clip: the first match is shown"
    )
    shown.get_by_label("List shows").select_option("1")
    assert shown.locator(".miga-list [role=option]").first.inner_text().split("\n")[::2] == [
        "✗ a_1",
        "cover face",
        "60 %",
    ]


def test_the_list_is_sorted_found_in_and_narrowed_by_predicted_class(shown, page):
    shown.get_by_label("Predicted").select_option("3")
    assert listed(shown) == ["a_0", "a_2", "a_5"]
    shown.get_by_label("Sort").select_option("unsure")
    assert listed(shown) == ["a_2", "a_5", "a_0"]
    shown.get_by_label("Sort").select_option("surest")
    assert listed(shown) == ["a_0", "a_5", "a_2"]
    shown.get_by_label("Sort").select_option("longest")
    assert listed(shown) == ["a_5", "a_0", "a_2"]
    shown.get_by_label("Sort").select_option("shortest")
    assert listed(shown) == ["a_2", "a_0", "a_5"]
    shown.focus()
    page.keyboard.press("c")
    page.keyboard.press("/")
    page.keyboard.type("Touch FACE")
    assert listed(shown) == ["a_0", "a_2", "a_3", "a_5"], "true or predicted"
    page.keyboard.press("Escape")
    page.keyboard.press("c")
    assert shown.locator(".miga-filters output").inner_text() == "30 of 30 clips"


def test_keys_go_to_the_next_mistake_and_the_next_clip(shown, page):
    def title():
        settle(shown)
        return shown.locator("figcaption").first.inner_text().split(":")[0]

    for key, expected in [
        ("n", "a_2"),
        ("n", "a_3"),
        ("n", "a_5"),
        ("n", "a_2"),
        ("N", "a_5"),
        ("k", "<b>&4"),
        ("j", "a_5"),
    ]:
        page.keyboard.press(key)
        assert title() == expected, key


def test_bars_of_two_runs_are_concat_branches(shown):
    assert shown.locator(".miga-head").all_inner_texts() == ["A: joint", "B: limb"]
    assert shown.locator(".miga-truth .miga-track").count() == 2
    assert shown.locator(".miga-truth span").all_inner_texts() == [
        "touch face (true class)",
        "90.0 %",
        "90.0 %",
    ]
    assert "✓" not in shown.locator(".miga-bars").inner_text()


# ---- From a number to its clips


def test_a_cell_a_class_a_bin_and_a_pair_list_their_clips(shown, page):
    names = library().classes
    other = page.locator(".miga-viewer").nth(1).locator(".miga-filters output")
    untouched = other.inner_text()
    clicks = {
        f"{names[5]} predicted as {names[3]}: 1 clip": ["a_2"],
        f"{names[9]} predicted as {names[9]}: 24 clips": [f"a_{row}" for row in range(6, 30)],
        f"clips predicted as {names[3]}": ["a_0", "a_2", "a_5"],
        f"clips of {names[7]}": ["<b>&4", "a_5"],
        "31 rare classes predicted as 31 rare classes: 6 clips": ["a_0", "a_1", "a_2", "a_3", "<b>&4", "a_5"],
        "joint, confidence 50 to 60 %: 1 clip": ["a_1"],
        "limb, confidence 40 to 50 %: 1 clip": ["a_2"],
    }
    for title, expected in clicks.items():
        link = page.locator("svg a").filter(has=page.locator("title", has_text=title)).last
        link.dispatch_event("click")
        assert listed(shown)[: len(expected)] == expected[:20], title
        assert (
            shown.locator(".miga-filters output").inner_text().startswith(f"{len(expected)} of 30 clips")
        ), title
    assert shown.get_by_label("List shows").input_value() == "1", "the last number was one of the second run"
    page.locator("table a").first.click()
    assert shown.locator(".miga-filters output").inner_text() == "1 of 30 clips"
    assert shown.evaluate("(viewer) => viewer.getBoundingClientRect().top < innerHeight"), "it is scrolled to"
    assert other.inner_text() == untouched, "the viewer of another notebook"


def test_a_click_on_a_cell_reaches_the_link(shown, page):
    """The number in the cell does not cover its link."""
    names = library().classes
    cell = page.locator("svg").first.locator(f"a[aria-label='{names[9]} predicted as {names[9]}: 24 clips']")
    cell.click()
    assert shown.locator(".miga-filters output").inner_text() == "24 of 30 clips"


# ---- Second pane, time strip


def test_the_second_pane_shows_the_same_source_frame(shown):
    """Of 5 frames, `align` to 3 keeps the first, third and fifth."""
    captions = []
    for frame in range(5):
        move(shown, frame)
        captions.append(caption(shown, 1))
    assert captions == [
        "frame 1 → 1/3: 0 of 17 missing",
        "frame 2 is left out",
        "frame 3 → 2/3: 0 of 17 missing",
        "frame 4 is left out",
        "frame 5 → 3/3: 0 of 17 missing",
    ]
    colours = """(canvas) => {
        const pixels = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
        const opaque = [...pixels.keys()].filter((i) => i % 4 === 0 && pixels[i + 3] === 255);
        return Math.max(...opaque.map((i) => Math.abs(pixels[i] - pixels[i + 2])));
    }"""
    second = shown.locator("figure canvas").nth(1)
    assert second.evaluate(colours) > 50
    move(shown, 1)
    assert second.evaluate(colours) == 0, "grey"


def test_a_joint_that_denoising_filled_in_is_hollow(page):
    """The nose of the ring, at (100, 0), is missing in its second frame."""
    second = page.locator(".miga-viewer").nth(1)
    move(second, 1)
    assert [caption(second, pane) for pane in (0, 1)] == [
        "2/4: 1 of 17 missing",
        "2/4: 0 of 17 missing, 1 filled in (○)",
    ]
    x, y = ring_on_canvas(second, 100, 0)
    alpha = "(canvas, [x, y]) => canvas.getContext('2d').getImageData(x, y, 1, 1).data[3]"
    for frame, filled in ((1, False), (2, True)):
        move(second, frame)
        for pane in second.locator("figure canvas").all():
            assert (pane.evaluate(alpha, [x + 1, y + 1]) > 200) == filled, frame
    move(second, 1)
    assert second.locator("figure canvas").nth(1).evaluate(alpha, [x + 3, y]) > 100 > 0, "a rim"


def test_the_frame_shown_is_the_nearest_of_an_alignment(page):
    script = "(module, places, T) => Array.from(module.shownAt(Float32Array.from(places), T))"
    for frames, length in ((5, 3), (3, 5), (48, 48), (100, 48), (7, 23)):
        for method in alignment.METHODS:
            places = alignment.source_frames(frames, length, method).float().numpy()  # as they are sent
            shown = lab.call(page, script, places.tolist(), frames)
            distance = np.abs(np.arange(frames)[:, None] - np.where(places < 0, np.inf, places))
            expected = np.where(distance.min(1) <= 0.5, distance.argmin(1), -1)
            assert shown == expected.tolist(), (frames, length, method)


def test_a_drag_on_the_strip_sets_a_loop_and_play_stays_in_it(shown, page):
    strip = shown.locator(".miga-strip")
    shown.locator(".miga-list [role=option]").nth(3).click()
    strip.scroll_into_view_if_needed()
    edge = strip.bounding_box()
    page.mouse.move(edge["x"] + 0.255 * edge["width"], edge["y"] + 20)
    page.mouse.down()
    page.mouse.move(edge["x"] + 0.35 * edge["width"], edge["y"] + 20, steps=4)
    page.mouse.up()
    settle(shown)
    assert strip.get_attribute("aria-label") == "Frame 16 of 60; loop from 16 to 21; 3 frames kept"
    shown.focus()
    seen = shown.evaluate("""async (viewer) => {
        const [seen, play] = [[], viewer.querySelector('[aria-label^=play]')];
        play.click();
        for (const start = performance.now(); performance.now() < start + 600; ) {
            await new Promise(requestAnimationFrame);
            seen.push(Number(viewer.querySelector('.miga-frame').value));
        }
        play.click();
        return seen;
    }""")
    assert set(seen) <= set(range(15, 21))
    assert len(set(seen)) > 2
    strip.dblclick()
    settle(shown)
    assert "no loop" in strip.get_attribute("aria-label")
    for key, expected in [
        ("Home", "no loop"),
        ("ArrowRight", "no loop"),
        ("i", "loop from 2 to 60"),
        ("End", "2 to 60"),
        ("o", "2 to 60"),
        ("u", "no"),
    ]:
        page.keyboard.press(key)
        settle(shown)
        assert expected in strip.get_attribute("aria-label"), key


def test_motion_by_hand(page):
    """Of two joints one moves by 3 and 4 px in a box of side 50 and the other is missing: 5/50 in the second
    frame."""
    points = [0, 0, 1, 9, 9, 1, 3, 4, 1, 0, 0, 0]
    script = """(module, points) => {
        return Array.from(module.motionEnergy({ points, T: 2, V: 2, box: { side: 50 } }));
    }"""
    assert lab.call(page, script, points) == pytest.approx([0, 0.1])


# ---- Files


def test_the_frame_is_saved_as_svg_and_png(shown, page, tmp_path):
    shown.locator(".miga-list [role=option]").nth(4).click()
    shown.focus()
    for key in ("g", "p"):
        with page.expect_download() as download:
            page.keyboard.press(key)
        download.value.save_as(tmp_path / key)
        assert download.value.suggested_filename == f"-b-4-1.{ {'g': 'svg', 'p': 'png'}[key] }"
    figure = ElementTree.parse(tmp_path / "g").getroot()
    space = "{http://www.w3.org/2000/svg}"
    texts = [node.text for node in figure.iter(f"{space}text")]
    assert texts[0] == f"<b>&4: {library().classes[7]}"
    assert [len(list(pane.iter(f"{space}path"))) > 3 for pane in figure.iter(f"{space}svg")][1:] == [
        True,
        True,
    ]
    with Image.open(tmp_path / "p") as picture:
        assert picture.size == (3 * int(figure.get("width")), 3 * int(figure.get("height")))
        assert len(picture.getcolors(10**6)) > 10


def test_notes_and_animations_say_that_they_need_a_kernel(shown, page):
    assert shown.get_by_label("Note").is_disabled()
    assert shown.get_by_label("Note").get_attribute("placeholder") == "a note needs a running kernel"
    page.keyboard.press("a")
    assert shown.locator(".miga-message").inner_text() == "This needs a running kernel."
    shown.get_by_label("Beside").select_option("mirrored")
    assert "Another clip or comparison needs a running kernel." in shown.locator(".miga-message").inner_text()
    shown.get_by_label("Beside").select_option("align")


def test_what_the_network_used_is_drawn_at_its_joint(shown, page):
    """The nose is at (100, 0) of the ring. Its disc has the full radius of 16 px in the last of 60 frames,
    and 2 px in the first."""
    purple = "(canvas, [x, y]) => [...canvas.getContext('2d').getImageData(x, y, 1, 1).data]"
    canvas = shown.locator("figure canvas").first
    page.keyboard.press("x")  # it was computed of one clip only
    assert "This needs a running kernel." in shown.locator(".miga-message").inner_text()
    shown.get_by_label("Find").fill("a_3")
    shown.focus()
    move(shown, 59)
    x, y = ring_on_canvas(shown, 100, 0)
    assert shown.get_by_label("what the network used").get_attribute("aria-pressed") == "true"
    red, green, blue, alpha = canvas.evaluate(purple, [x - 10, y])
    assert red > green < blue
    assert alpha > 100
    move(shown, 0)
    assert canvas.evaluate(purple, [x - 10, y])[3] == 0
    move(shown, 59)
    page.keyboard.press("x")
    settle(shown)
    assert canvas.evaluate(purple, [x - 10, y])[3] == 0


# ---- Keyboard, narrow windows


def test_every_button_and_choice_has_a_key_and_the_keys_are_listed(shown, page):
    page.keyboard.press("?")
    keys = shown.locator(".miga-help kbd").all_inner_texts()
    assert len(keys) == len(set(keys)) > 35
    names = [button.get_attribute("aria-label") for button in shown.locator("button").all()]
    assert [name for name in names if name.rpartition("(")[2].rstrip(")") not in keys] == []
    shortcuts = [select.get_attribute("aria-keyshortcuts") for select in shown.locator("select").all()]
    assert len(shortcuts) == len(set(shortcuts)) == 13
    assert set(shortcuts) <= set(keys)
    page.keyboard.press("Escape")
    assert shown.locator(".miga-help").is_hidden()


def test_a_list_is_narrowed_and_sorted_by_keys_alone(shown, page):
    """The clips of a matrix cell, of which there are too many for the tab key; then a bin of the calibration,
    by its link."""
    labels = ["Split", "Class", "Predicted", "A", "B", "List shows", "Sort"]
    for key, label in zip("dyrwWmq", labels, strict=True):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.labels[0].firstChild.data") == label
        page.keyboard.press("Escape")
    for key, name in (("y", "cover"), ("r", "touch f")):
        page.keyboard.press(key)
        page.keyboard.type(name)
        page.keyboard.press("Escape")
    assert listed(shown) == ["a_2"]
    page.keyboard.press("c")
    bin = page.locator("svg a[aria-label='joint, confidence 50 to 60 %: 1 clip']").last
    assert bin.evaluate("(node) => node.tabIndex") == 0
    bin.focus()
    page.keyboard.press("Enter")
    assert listed(shown) == ["a_1"]


def test_a_key_says_what_was_not_given(page):
    second = page.locator(".miga-viewer").nth(1)
    second.focus()
    for key, argument in (("x", "saliency"), ("v", "video")):
        page.keyboard.press(key)
        assert f"pass `{argument}=` to the viewer" in second.locator(".miga-message").inner_text()
        page.keyboard.press(key)


def test_keys_change_what_is_shown(shown, page):
    for key, label in [("s", "Score"), ("h", "Heatmap"), ("]", "Speed"), ("[", "Speed")]:
        before = shown.get_by_label(label).input_value()
        page.keyboard.press(key)
        assert shown.get_by_label(label).input_value() != before, key
    page.keyboard.press("t")
    assert shown.get_by_label("trails").get_attribute("aria-pressed") == "true"
    nose = ring_on_canvas(shown, 100, 0)
    page.keyboard.press("Shift+ArrowDown")
    assert pointed(shown, page, nose[0], nose[1] + 40) == "nose"
    page.keyboard.press("0")
    page.keyboard.press("-")
    middle = np.array([box(shown)["width"] / 2, box(shown)["height"] / 2])
    assert pointed(shown, page, *(middle + 0.8 * (np.array(nose) - middle))) == "nose"
    for key in ("t", "s", "s", "h", "h"):
        page.keyboard.press(key)


def test_space_plays_wherever_the_focus_is(shown, page):
    count = shown.locator("select, button, input[type=range], [role=listbox]").count()
    assert count > 20
    for i in range(count):
        node = shown.locator("select, button, input[type=range], [role=listbox]").nth(i)
        if not node.is_visible():
            continue
        node.focus()
        for pressed in ("true", "false"):
            page.keyboard.press("Space")
            settle(shown)
            assert shown.get_by_label("play or pause").get_attribute("aria-pressed") == pressed, (
                node.evaluate("(node) => node.outerHTML")
            )
    shown.get_by_label("Find").focus()
    page.keyboard.press("Space")
    assert shown.get_by_label("play or pause").get_attribute("aria-pressed") == "false", "it is written there"
    shown.get_by_label("Find").fill("")


@pytest.mark.parametrize("width", [800, 560, 380])
def test_nothing_is_cut_in_a_narrow_window(shown, page, width):
    page.set_viewport_size({"width": width, "height": 900})
    page.keyboard.press("?")
    settle(shown)
    beyond = """(viewer) => [...viewer.querySelectorAll(':not(option)')]
        .filter((node) => node.getBoundingClientRect().right > viewer.getBoundingClientRect().right)
        .map((node) => node.outerHTML.slice(0, 200))"""
    assert shown.evaluate(beyond) == []
    shown.get_by_label("List shows").select_option("1")
    assert "touch other face part" in shown.locator(".miga-list").inner_text()
    assert page.evaluate(CUT) == []
    panes = [shown.locator("figure").nth(k).bounding_box() for k in (0, 1)]
    assert (panes[0]["y"] < panes[1]["y"]) == (width < 600), "below 600 px one is under the other"
    assert min(pane["width"] for pane in panes) > 200
    page.keyboard.press("?")
