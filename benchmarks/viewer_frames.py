"""How fast the viewer draws and finds clips, measured in Chromium: `python benchmarks/viewer_frames.py`.

A notebook in JupyterLab shows 20,000 clips of 137 joints and 300 frames. In each frame of the browser
(requestAnimationFrame) the slider is moved by one frame of the clip, and the draws are counted: once at the
browser's limit of 60 frames per second, once without this limit. In the same way the list is scrolled by 26
rows, or moved on by one clip, which the kernel sends. And the list is timed from a keystroke in the search
field to the next frame of the browser, which shows the new list.
"""

import sys
import tempfile
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS / "browser")]

import lab  # noqa: E402

CELL = f"""import sys
sys.path[:0] = [{str(TESTS / "browser")!r}]
import samples
from miga_lib import viewer
clips = samples.many("outputs", 20_000)
viewer.SkeletonViewer(clips, samples.predictions_of(clips), clip=0, beside="align")"""
SCRUB = """(viewer) => new Promise((done) => {
    const slider = viewer.querySelector('.miga-frame');
    const draws = { ...viewer.draws };
    let [frame, start] = [0, performance.now()];
    requestAnimationFrame(function next() {
        slider.value = frame % 300;
        slider.dispatchEvent(new Event('input'));
        if (frame++ < 600) return requestAnimationFrame(next);
        const seconds = (performance.now() - start) / 1000;
        const count = viewer.draws.count - draws.count;
        done([count / seconds, (viewer.draws.milliseconds - draws.milliseconds) / count]);
    });
})"""
EACH_FRAME = """(viewer) => new Promise((done) => {
    const panel = viewer.querySelector('.miga-list');
    let [count, start] = [0, performance.now()];
    requestAnimationFrame(function next() {
        if (count === 300) return done(300 / ((performance.now() - start) / 1000));
        count += 1;
        CHANGE;
        requestAnimationFrame(next);
    });
})"""
SCROLL = EACH_FRAME.replace(
    "CHANGE", "panel.scrollTop = (count * 997) % (panel.scrollHeight - panel.clientHeight)"
)
STEP = EACH_FRAME.replace("CHANGE", "panel.dispatchEvent(new KeyboardEvent('keydown', { key: 'ArrowDown' }))")
TYPE = """async (viewer) => {
    const find = viewer.querySelector('input[type=search]');
    const times = [];
    for (const text of ['0', '00', '001', '0012', '0012_', '0012_3', '', '7', '']) {
        await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)));
        const start = performance.now();
        find.value = text;
        find.dispatchEvent(new Event('input'));
        viewer.querySelector('.miga-list').getBoundingClientRect();  // includes the time for the layout
        const filtered = performance.now() - start;
        await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
        times.push([filtered, performance.now() - start]);
    }
    return times;
}"""
LOOKS = {"skeleton alone": {}, "with trails and limb heatmap": {"Trails": True, "Heatmap": "limbs"}}


def measure(address: str, flags: tuple[str, ...], name: str) -> None:
    """Print the rate of draws while the slider moves, a line for each of ``LOOKS``, and the times of the
    list."""
    with lab.browser(flags=flags) as browser:
        page = browser.new_page()
        viewer = lab.run_notebook(page, address, "viewer.ipynb").first
        for beside, canvases in (("align", "two canvases"), ("nothing", "one canvas")):
            viewer.get_by_label("Beside").select_option(beside)
            viewer.get_by_label("View").select_option("face" if beside == "align" else "whole body")
            page.wait_for_timeout(1000)
            for look, choices in LOOKS.items():
                viewer.get_by_label("Heatmap").select_option(choices.get("Heatmap", "off"))
                trails = viewer.get_by_label("trails")
                if (trails.get_attribute("aria-pressed") == "true") != choices.get("Trails", False):
                    trails.click()
                rate, script = viewer.evaluate(SCRUB)
                speed = f"{rate:.1f} draws a second, {script:.2f} ms of script each"
                print(f"{name}, {canvases}, {look}: {speed}", flush=True)
        scrolling, stepping = viewer.evaluate(SCROLL), viewer.evaluate(STEP)
        rates = f"{scrolling:.1f} frames a second while scrolling, {stepping:.1f} while stepping"
        print(f"{name}, list of 20,000 clips: {rates}", flush=True)
        times = viewer.evaluate(TYPE)
        filtered, painted = (sorted(column) for column in zip(*times, strict=True))
        print(f"{name}, list of 20,000 clips after a keystroke:")
        print(f"    median {filtered[4]:.1f} ms (worst {filtered[-1]:.1f}) until it is laid out,")
        print(
            f"    median {painted[4]:.1f} ms (worst {painted[-1]:.1f}) until it has been painted", flush=True
        )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, lab.jupyterlab(Path(folder)) as address:
        lab.write_notebook(Path(folder) / "viewer.ipynb", CELL)
        measure(address, (), "paced at 60 Hz")
        measure(address, ("--disable-frame-rate-limit", "--disable-gpu-vsync"), "unlimited")
