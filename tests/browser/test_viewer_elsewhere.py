"""Without a kernel, exported pages play and untrusted notebooks show the still picture."""

import base64
import copy
import re

import lab
import nbformat.sign
import pytest
import samples
from nbconvert import HTMLExporter

from miga_lib import viewer


@pytest.fixture(params=["widget state", "no widget state"])
def export(request, executed, tmp_path):
    """A page as `jupyter nbconvert --to html` makes it."""
    notebook = copy.deepcopy(executed)
    if request.param == "no widget state":
        del notebook.metadata["widgets"]
    path = tmp_path / "exported.html"
    path.write_text(HTMLExporter().from_notebook_node(notebook)[0], encoding="utf-8")
    return path.as_uri()


def test_an_exported_page_plays_without_kernel_or_network(export, open_page):
    page = open_page()
    page.route(re.compile("^https?:"), lambda route: route.abort())
    page.goto(export)
    shown = page.locator(lab.VIEWER)
    canvas = shown.locator("figure canvas").first
    assert shown.locator("figcaption").first.inner_text() == "a_1: cover face"
    before = canvas.evaluate("(canvas) => canvas.toDataURL()")
    shown.get_by_label("play or pause").click()
    page.wait_for_function("document.querySelector('.miga-frame').value > 2")
    assert canvas.evaluate("(canvas) => canvas.toDataURL()") != before
    assert shown.locator(".miga-truth").count() == 1
    shown.locator(".miga-list [role=option]").first.click()
    assert "needs a running kernel" in shown.locator(".miga-message").inner_text()
    assert shown.locator("figcaption").first.inner_text() == "a_1: cover face"
    page.close()


def test_every_clip_of_a_saved_page_plays_without_kernel_or_network(open_page, tmp_path):
    shown = samples.oddities()
    path = viewer.save_page(tmp_path / "page.html", shown, samples.predictions_of(shown))
    page = open_page()
    page.route(re.compile("^https?:"), lambda route: route.abort())
    page.goto(path.as_uri())
    assert page.title() == "page"
    for row, caption in ((0, "a_0: "), (1, "a_1: cover face"), (2, "a_2: cover face")):
        page.locator(".miga-list [role=option]").nth(row).click()
        page.wait_for_function(
            "(start) => document.querySelector('figcaption').innerText.startsWith(start)", arg=caption
        )
    page.locator(".miga-list [role=option]").nth(1).click()
    page.locator(lab.VIEWER).get_by_label("play or pause").click()
    page.wait_for_function("document.querySelector('.miga-frame').value > 2")
    page.close()


def test_an_executed_notebook_has_the_still_picture(executed):
    data = executed.cells[1].outputs[1].data
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert data["text/plain"] == "SkeletonViewer of 3 clips, showing a_1: cover face"


def test_an_untrusted_notebook_shows_the_still_picture(executed, jupyter, folder, open_page):
    nbformat.write(executed, folder / "untrusted.ipynb")
    page = open_page()
    lab.open_notebook(page, jupyter, "untrusted.ipynb")
    picture = page.locator(".jp-OutputArea img").first
    picture.wait_for()
    assert picture.evaluate("(image) => image.naturalWidth") > 500
    assert page.locator(lab.VIEWER).count() == 0
    page.close()


def test_a_trusted_notebook_plays_where_the_kernel_does_not_know_its_viewer(
    executed, jupyter, folder, open_page
):
    notebook = copy.deepcopy(executed)
    del notebook.metadata["widgets"]
    nbformat.sign.NotebookNotary(data_dir=str(folder / ".jupyter" / "data")).sign(notebook)
    nbformat.write(notebook, folder / "trusted.ipynb")
    page = open_page()
    lab.open_notebook(page, jupyter, "trusted.ipynb")
    page.wait_for_function("document.querySelector('.miga-frame')", timeout=10_000)
    page.locator(lab.VIEWER).get_by_label("play or pause").click()
    page.wait_for_function("document.querySelector('.miga-frame').value > 2")
    assert "Error" not in page.locator(".jp-OutputArea").last.inner_text()
    page.close()
