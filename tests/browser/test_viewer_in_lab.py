"""The viewer in JupyterLab: drawing, playing, controls, missing joints, and messages about what cannot be
shown."""

import re

import lab
import numpy as np
import pytest
import samples
import torch
from conftest import CUT, SETUP

from miga_lib import augmentation, heatmaps, layouts

SHOWS = "([viewer, id]) => viewer.querySelector('figcaption').textContent.startsWith(id)"
"""Whether a viewer shows the clip with an id."""
SAYS = "([viewer, text]) => viewer.querySelector('.miga-message').textContent.includes(text)"
MAIN, RING, EMPTY, NOBODY, OTHER, LONG = range(6)
CELLS = (
    """shown = load('synthetic-smoke', 'openpose137', OUTPUTS)
predicted = samples.predictions_of(shown.split('val'))
display(plots.linked(plots.confusion(predicted, order='index').figure, 'matrix'))
video = samples.red_video('red.mp4', shown, '0001_2')
viewer.SkeletonViewer(shown, predicted, clip='0001_2', beside='align', outputs='kept',
    saliency=samples.at_joint(shown, 'nose'), video=video)""",
    "viewer.SkeletonViewer(samples.oddities(), clip=0, outputs='kept')",
    "viewer.SkeletonViewer(samples.oddities().where([]))",
    "viewer.SkeletonViewer(samples.oddities(), clip=2)",
    """nods = Predictions(np.array(['a_0']), np.array([0]), np.ones((1, 1)), np.array(['nod']))
viewer.SkeletonViewer(samples.oddities(), nods)""",
    """shown = samples.many(OUTPUTS, 40)
viewer.SkeletonViewer(shown, samples.predictions_of(shown), beside='align')""",
)


@pytest.fixture(scope="module")
def page(open_page, jupyter, folder, smoke_outputs):
    """A notebook with six viewers, run; the file browser beside it is hidden."""
    lab.write_notebook(folder / "viewers.ipynb", SETUP + f"OUTPUTS = {str(smoke_outputs)!r}", *CELLS)
    page = open_page()
    lab.run_notebook(page, jupyter, "viewers.ipynb", viewers=len(CELLS), view="lab")
    show_file_browser(page, False)
    yield page
    page.close()


@pytest.fixture
def show(page):
    """A function that returns the viewer of a number, paused at its first frame."""

    def of(number):
        found = page.locator(lab.VIEWER).nth(number)
        if found.get_by_label("play or pause").get_attribute("aria-pressed") == "true":
            found.get_by_label("play or pause").click()
        move(found, 0)
        return found

    return of


def show_file_browser(page, shown):
    """JupyterLab may restore its own state late on a busy machine."""
    listing, state = page.locator(".jp-DirListing"), "visible" if shown else "hidden"
    if listing.is_visible() != shown:
        page.evaluate("void jupyterapp.commands.execute('application:toggle-left-area')")
    listing.wait_for(state=state)


def settle(viewer):
    """Wait until the requested frame is drawn."""
    viewer.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def move(viewer, frame):
    """Move the slider as a user does."""
    viewer.get_by_label("Frame", exact=True).evaluate(
        "(slider, frame) => { slider.value = frame; slider.dispatchEvent(new Event('input')); }", frame
    )
    settle(viewer)


def drawn(viewer, canvas=0):
    return viewer.locator("figure canvas").nth(canvas).evaluate("(canvas) => canvas.toDataURL()")


def listed(viewer):
    """The ids of the clips of the list that are in the page."""
    titles = viewer.locator(".miga-list [role=option] div:first-child span:first-child")
    return [text.strip("✓✗✎ ") for text in titles.all_inner_texts()]


def place(viewer):
    return viewer.locator(".miga-place").inner_text()


def alpha(viewer, x, y, reach):
    """The opacity of the first canvas in a square around a pixel."""
    script = """(canvas, [x, y, side]) =>
        [...canvas.getContext('2d').getImageData(x, y, side, side).data.filter((_, i) => i % 4 === 3)]"""
    canvas = viewer.locator("figure canvas").first
    return np.array(canvas.evaluate(script, [x - reach, y - reach, 2 * reach + 1]))


def ring_on_canvas(viewer, px, py):
    """The position of a point on the first canvas while the ring is shown: the person is centred and fills
    9/10 of the shorter side."""
    x, y, _ = samples.ring()[0].T
    size = "(canvas) => [canvas.clientWidth, canvas.clientHeight]"
    width, height = viewer.locator("figure canvas").first.evaluate(size)
    scale = 0.9 * min(width, height) / max(np.ptp(x), np.ptp(y))
    left = round((px - (x.min() + x.max()) / 2) * scale + width / 2)
    return left, round((py - (y.min() + y.max()) / 2) * scale + height / 2)


def test_both_canvases_are_drawn(show):
    shown = show(MAIN)
    blank = """({ width, height }) => {
        return Object.assign(document.createElement('canvas'), { width, height }).toDataURL();
    }"""
    picture = shown.locator("figure canvas").first.evaluate(blank)
    assert picture not in (drawn(shown, 0), drawn(shown, 1))
    label = shown.locator("[aria-selected=true] div:last-child span").first.inner_text()
    assert shown.locator("figcaption").all_inner_texts() == [f"0001_2: {label}", "aligned to 48"]


def test_the_slider_draws_without_the_kernel(show, page):
    shown = show(MAIN)
    sent, before = [], drawn(shown)
    page.evaluate("""() => {
        const send = WebSocket.prototype.send;
        window.sent = 0;
        WebSocket.prototype.send = function (data) { window.sent += 1; return send.call(this, data); };
    }""")
    for frame in (3, 9, 20):
        move(shown, frame)
        sent.append(drawn(shown))
    assert len({before, *sent}) == 4, "each frame looks different"
    assert place(shown).startswith("21 / ")
    assert page.evaluate("window.sent") == 0


def test_play_and_pause(show, page):
    shown = show(MAIN)
    first = drawn(shown)
    shown.get_by_label("play or pause").click()
    page.wait_for_function(
        "(viewer) => viewer.querySelector('.miga-frame').value > 5", arg=shown.element_handle()
    )
    assert drawn(shown) != first
    shown.get_by_label("play or pause").click()
    settle(shown)
    paused = drawn(shown)
    page.wait_for_timeout(200)
    assert drawn(shown) == paused


def test_keys_step_jump_and_play_and_the_notebook_does_not_take_them(show, page):
    shown = show(RING)
    cells = page.locator(".jp-Cell").count()
    shown.locator("figure canvas").first.click()
    keys = ["ArrowRight", "ArrowRight", "ArrowLeft", "Home", "End", "ArrowRight"]
    for key, frame in zip(keys, [2, 3, 2, 1, 5, 1], strict=True):  # after the last frame comes the first
        page.keyboard.press(key)
        settle(shown)
        assert place(shown) == f"{frame} / 5"
    page.keyboard.press("]")
    assert shown.get_by_label("Speed").input_value() == "2"
    page.keyboard.press("[")
    page.keyboard.press("Space")
    settle(shown)
    assert shown.get_by_label("play or pause").get_attribute("aria-pressed") == "true"
    page.keyboard.press("Space")
    page.keyboard.press("a")  # in JupyterLab's command mode: a new cell above
    assert page.locator(".jp-Cell").count() == cells


def test_a_missing_joint_is_a_ring_where_it_was_and_never_at_the_origin(show):
    shown = show(RING)
    nose, origin = ring_on_canvas(shown, 100, 0), ring_on_canvas(shown, 0, 0)
    assert alpha(shown, *nose, 1).min() > 200, "the nose is a filled dot"
    move(shown, 1)
    assert alpha(shown, *origin, 12).max() == 0, "nothing is drawn at the origin"
    assert alpha(shown, *nose, 1).max() < 100, "the nose is hollow"
    assert alpha(shown, *nose, 5).max() > 100, "and has a rim"
    assert shown.locator(".miga-caption").first.inner_text() == "2/5: 1 of 17 missing"
    assert "1 of 17 missing" in shown.locator("figure canvas").first.get_attribute("aria-label")


def test_pointing_at_a_joint_names_it(show):
    shown = show(RING)
    x, y = ring_on_canvas(shown, 100, 0)
    shown.locator("figure canvas").first.hover(position={"x": x, "y": y})
    assert shown.locator(".miga-caption").first.inner_text() == "nose: score 1.00"
    move(shown, 1)
    assert shown.locator(".miga-caption").first.inner_text() == "nose: missing"
    shown.locator(".miga-legend").hover()


def test_the_viewer_says_what_cannot_be_shown(show, page):
    messages = {
        EMPTY: "There are no clips to show: the selection is empty.",
        NOBODY: "Clip a_2 has no person: no joint was found in any of its 4 frames.",
        OTHER: "The run predicts 1 classes and the data have 32: no bars are shown.",
    }
    for number, text in messages.items():
        assert show(number).locator(".miga-message").inner_text().startswith(text)
    assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count() == 0


def test_every_option_changes_the_picture(show):
    shown = show(MAIN)
    move(shown, 20)
    pictures = {drawn(shown)}
    for label, value in [("Score", "colour"), ("Score", "off"), ("Heatmap", "joints"), ("Heatmap", "limbs")]:
        shown.get_by_label(label).select_option(value)
        settle(shown)
        pictures.add(drawn(shown))
    shown.get_by_label("trails").click()
    settle(shown)
    pictures.add(drawn(shown))
    for name in ("imigue41", "imigue22"):
        shown.get_by_label("Layout").select_option(label=f"{name} ({len(layouts.get(name).joints)})")
        settle(shown)
        pictures.add(drawn(shown))
    assert len(pictures) == 8


def test_clips_are_found_chosen_and_compared(show, page):
    shown = show(MAIN)
    shown.get_by_label("Split").select_option(label="val")
    rows = shown.locator(".miga-list [role=option]")
    # The filter excludes the clip that was shown.
    page.wait_for_function(SHOWS, arg=[shown.element_handle(), listed(shown)[0]])
    assert shown.locator(".miga-filters output").inner_text() == "9 of 42 clips"
    shown.get_by_label("Correct").select_option("wrong")
    assert all(text.startswith("✗") for text in shown.locator(".miga-list [role=option]").all_inner_texts())
    shown.get_by_label("Correct").select_option("all")
    shown.get_by_label("Find").fill("no such id")
    assert shown.locator(".miga-filters output").inner_text() == "no clip matches"
    shown.get_by_label("Find").fill("")
    rows.nth(2).click()
    id = listed(shown)[2]
    page.wait_for_function(SHOWS, arg=[shown.element_handle(), id])
    assert shown.locator(".miga-bars [role=listitem]").count() >= 5
    assert shown.locator(".miga-truth").count() == 1
    shown.get_by_role("listbox", name="Clips").press("ArrowDown")
    page.wait_for_function(
        "([viewer, id]) => !viewer.querySelector('figcaption').textContent.startsWith(id)",
        arg=[shown.element_handle(), id],
    )
    shown.get_by_label("Beside").select_option("nearest")
    page.wait_for_function(
        "(viewer) => viewer.querySelectorAll('figcaption')[1].textContent.startsWith('nearest:')",
        arg=shown.element_handle(),
    )
    assert rows.count() == 9
    shown.get_by_label("Show all clips again").click()


def test_another_second_pane_keeps_the_frame_also_by_key(show, page):
    shown = show(MAIN)
    move(shown, 4)
    titled = "([viewer, title]) => viewer.querySelectorAll('figcaption')[1].textContent == title"
    denoised = "denoised: swaps+outliers+gaps+savitzky_golay"
    for beside, title in (("mirrored", "mirrored"), ("denoised", denoised), ("align", "aligned to 48")):
        shown.get_by_label("Beside").select_option(beside)
        page.wait_for_function(titled, arg=[shown.element_handle(), title])
        settle(shown)
        assert place(shown).startswith("5 / ")
    shown.focus()
    page.keyboard.press("b")
    page.wait_for_function(titled, arg=[shown.element_handle(), "cropped, padded to 48"])
    before = shown.get_by_label("Layout").input_value()
    page.keyboard.press("l")
    assert shown.get_by_label("Layout").input_value() != before


def test_a_click_on_the_matrix_lists_and_shows_its_clips(show, page):
    shown = show(MAIN)
    cell = page.locator("svg[aria-label=matrix] a:not(:has(text))").first
    label, predicted = re.match("(.*) predicted as (.*): 1 clip$", cell.get_attribute("aria-label")).groups()
    cell.click()
    page.wait_for_function(SHOWS, arg=[shown.element_handle(), listed(shown)[0]])
    assert shown.locator(".miga-filters output").inner_text() == "1 of 42 clips"
    assert shown.locator("figcaption").first.inner_text().endswith(f": {label}")
    first = shown.locator(".miga-first").first
    assert first.evaluate("(node) => node.parentNode.firstChild.textContent").startswith(predicted)
    shown.get_by_label("Show all clips again").click()


def test_notes_and_animations_are_kept(show, page, folder):
    shown = show(MAIN)
    id = shown.locator("figcaption").first.inner_text().split(":")[0]
    shown.focus()
    page.keyboard.press("e")
    page.keyboard.type("look again")
    page.keyboard.press("Enter")
    page.wait_for_function(SAYS, arg=[shown.element_handle(), "notes.csv"])
    assert (folder / "kept" / "notes.csv").read_text() == f"id,note\n{id},look again\n"
    assert "✎" in shown.locator("[aria-selected=true]").inner_text()
    shown.get_by_label("Find").fill("again")
    assert listed(shown) == [id]
    shown.get_by_label("Find").fill("")
    shown.get_by_label("save the clip as GIF").click()
    page.wait_for_function(SAYS, arg=[shown.element_handle(), f"{id}.gif"])
    assert (folder / "kept" / "figures" / f"{id}.gif").stat().st_size > 1000


def test_what_the_network_used_is_computed_when_asked(show, page):
    shown = show(MAIN)
    before = drawn(shown)
    shown.focus()
    page.keyboard.press("x")
    page.wait_for_function(SAYS, arg=[shown.element_handle(), "Used most: nose."])
    settle(shown)
    assert drawn(shown) != before
    page.keyboard.press("x")
    settle(shown)
    assert drawn(shown) == before


def test_the_video_is_behind_the_skeleton(show, page):
    shown = show(MAIN)
    corner = "(canvas) => [...canvas.getContext('2d').getImageData(canvas.width / 2, 3, 1, 1).data]"
    canvas = shown.locator("figure canvas").first
    assert canvas.evaluate(corner)[3] == 0
    shown.focus()
    page.keyboard.press("v")
    page.wait_for_function(SAYS, arg=[shown.element_handle(), "frames of the video are shown"])
    page.wait_for_timeout(500)
    red, green, blue, alpha = canvas.evaluate(corner)
    assert red > 150 > 80 > max(green, blue)
    assert alpha == 255
    page.keyboard.press("v")
    settle(shown)
    assert canvas.evaluate(corner)[3] == 0


def test_nothing_is_cut_at_800_px_with_the_side_bar_open(show, page):
    """137 joints, captions of clips of up to 300 frames, in JupyterLab's window with its file browser."""
    size = page.viewport_size
    page.set_viewport_size({"width": 800, "height": size["height"]})
    show_file_browser(page, True)
    shown = show(LONG)
    shown.scroll_into_view_if_needed()
    move(shown, 299)
    assert page.evaluate(CUT) == []
    beyond = """(node) => node.scrollWidth > node.clientWidth ||
        node.getBoundingClientRect().right > node.closest('.jp-Notebook').getBoundingClientRect().right"""
    assert not shown.evaluate(beyond)
    show_file_browser(page, False)
    page.set_viewport_size(size)


def test_full_screen_fills_the_screen(show, page):
    shown = show(MAIN)
    before = shown.locator("figure canvas").first.bounding_box()["height"]
    shown.focus()
    page.keyboard.press("f")
    page.wait_for_function(
        "document.querySelector('.miga-viewer:fullscreen figure canvas')?.clientHeight > 600"
    )
    assert shown.locator("figure canvas").first.bounding_box()["height"] > before
    page.keyboard.press("f")
    page.wait_for_function("!document.fullscreenElement")


def test_every_control_has_a_name(show):
    unnamed = """(viewer) => [...viewer.querySelectorAll('select, input, button, [role=listbox], [tabindex]')]
        .filter((node) => !node.getAttribute('aria-label') && !node.labels?.[0]?.textContent.trim())
        .map((node) => node.outerHTML)"""
    assert show(MAIN).evaluate(unnamed) == []


def test_no_elements_overlap(show):
    overlapping = """(viewer) => {
        const parts = 'label, button, canvas, output, .miga-list, .miga-frame, .miga-legend span';
        const nodes = viewer.querySelectorAll(`${parts}, [role=listitem] span`);
        const boxes = [...nodes].filter((node) => node.offsetParent);
        const edge = viewer.getBoundingClientRect();
        const overlap = (node, other) => {
            const [a, b] = [node.getBoundingClientRect(), other.getBoundingClientRect()];
            const apart = a.left >= b.right - 1 || b.left >= a.right - 1;
            return !node.contains(other) && !apart && a.top < b.bottom - 1 && b.top < a.bottom - 1;
        };
        const outside = boxes.filter((node) => {
            const box = node.getBoundingClientRect();
            return box.right > edge.right || box.bottom > edge.bottom;
        });
        const covered = boxes.filter((node, i) => boxes.slice(i + 1).some((other) => overlap(node, other)));
        return [...outside, ...covered].map((node) => node.outerHTML);
    }"""
    assert show(MAIN).evaluate(overlapping) == []


def test_heatmaps_and_boxes_in_the_browser_are_those_of_the_library(page):
    """Random points, some of them outside the map or missing; some limbs are shorter than a pixel."""
    random, layout = np.random.default_rng(0), layouts.get("imigue22")
    scores = random.random((22, 1)) * (random.random((22, 1)) > 0.2)
    points = np.concatenate([random.uniform(-3, 31, (22, 2)), scores], axis=1)
    points[layout.limbs[0][1], :2] = points[layout.limbs[0][0], :2] + 0.3
    keypoints = torch.tensor(points)
    limbs = [list(limb) for limb in layout.limbs]
    maps = {
        "joints": heatmaps.joints(keypoints[:, :2], keypoints[:, 2], (28, 28)),
        "limbs": heatmaps.limbs(keypoints[:, :2], keypoints[:, 2], layout.limbs, (28, 28)),
    }
    script = """(module, points, limbs) => {
        const values = Float64Array.from(points);
        const map = (chosen) => Array.from(module.heatmap(values, chosen, 28, 0.6));
        return { joints: map(null), limbs: map(limbs), box: module.cropBox(values) };
    }"""
    drawn = lab.call(page, script, points.ravel().tolist(), limbs)
    for kind, expected in maps.items():
        drawn_map = np.array(drawn[kind]).reshape(28, 28)
        assert drawn_map == pytest.approx(expected.amax(0).numpy(), abs=1e-6), kind
    x0, y0, x1, y1 = augmentation.crop_box(keypoints[None, None])[0].tolist()
    assert list(drawn["box"].values()) == pytest.approx([x0, y0, x1 - x0])
    assert y1 - y0 == pytest.approx(drawn["box"]["side"])
