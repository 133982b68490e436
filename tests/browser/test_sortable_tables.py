"""A table is sorted by clicks on its headings, in a page of its own."""

import pandas as pd

from miga_lib import plots

TABLE = pd.DataFrame(
    {"run": ["b", "a", "c", "d"], "top-1": [0.5, 0.25, None, 10.0], "seconds": [100.0, 20.0, 3.0, 1000.0]}
)


def test_a_click_sorts_and_another_reverses_the_order(open_page, tmp_path):
    path = tmp_path / "table.html"
    tables = "".join(plots.sortable(table).data for table in (TABLE, TABLE.iloc[:2]))
    path.write_text(f"<!doctype html><meta charset=utf-8>{tables}", encoding="utf-8")
    page = open_page()
    page.goto(path.as_uri())
    table = page.locator("table").first

    def order():
        return "".join(table.locator("tbody td:first-child").all_inner_texts())

    def click(name):
        table.get_by_role("columnheader", name=name).click()

    assert order() == "bacd"
    click("top-1")
    assert order() == "dbac", "numbers as numbers, the empty cell last"
    click("top-1")
    assert order() == "abdc", "the empty cell still last"
    click("seconds")
    assert order() == "dbac"
    click("run")
    assert order() == "dcba"
    table.get_by_role("columnheader", name="run").press("Enter")
    assert order() == "abcd"
    assert table.locator("th").first.get_attribute("aria-sort") == "ascending"
    other = page.locator("table").nth(1).locator("tbody td:first-child")
    assert other.all_inner_texts() == ["b", "a"], "each table is sorted separately"
    page.close()
