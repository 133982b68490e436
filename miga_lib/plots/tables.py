"""Tables that can be sorted, in a notebook and in pages exported from it. Text from data is escaped here."""

import html
import re
import uuid
from collections.abc import Collection
from typing import Any

import pandas as pd
from IPython.display import HTML
from pandas.io.formats.style import Styler

from ..metrics import percent

RECORD_COLUMNS = (
    *("run", "state", "epochs_done", "val_top1", "test_top1", "test_mean_class", "test_macro_f1"),
    *("test_majority", "seconds", "changed"),
)
"""Those of the table of runs that are shown."""
HEADINGS = {
    "epochs_done": "epochs",
    "changed": "changed (UTC)",
    "cross_entropy": "cross-entropy",
    "mean_f1": "mean of the four F1",
    "without": "without it",
    "gain": "gain (points)",
    "contribution": "adds (points)",
    "low": "from",
    "high": "to",
}
"""Of the columns whose heading is not their name with spaces."""
NO_FORMULAS = "tex2jax_ignore mathjax_ignore"
"""Classes of HTML elements in which MathJax, which notebooks load, leaves ``$`` alone."""
LONG_WORD = re.compile(r"\S{21,}")
"""A word that may break, since it must not make a cell wider than the page."""
MAX_UNBROKEN = 20
"""Letters of a cell that stays on one line."""

STYLE = """
#KEY th {cursor: pointer; text-align: left}
#KEY th[aria-sort=ascending]::after {content: " ▲"}
#KEY th[aria-sort=descending]::after {content: " ▼"}
#KEY td {text-align: left; max-width: 30em}
#KEY td.short {white-space: nowrap}
#KEY td.number {text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums}
"""
SCRIPT = """
{
  const table = document.getElementById("KEY"), body = table.tBodies[0];
  const value = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent;
  const compare = (a, b) => (isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b);
  const sort = (head) => {
    const order = head.getAttribute("aria-sort") === "descending" ? "ascending" : "descending";
    for (const other of head.parentNode.cells) other.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", order);
    const column = head.cellIndex, sign = order === "ascending" ? 1 : -1;
    const rows = [...body.rows], empty = (row) => value(row, column) === "";
    rows.sort((a, b) => empty(a) - empty(b) || sign * compare(value(a, column), value(b, column)));
    body.append(...rows);
  };
  for (const head of table.tHead.rows[0].cells) {
    head.addEventListener("click", () => sort(head));
    head.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(head); });
  }
}
"""


def heading(name: object) -> str:
    """The name of a score or of another column as it is written in figures and tables."""
    words = HEADINGS.get(str(name), str(name)).replace("_", " ")
    return words.replace("top1", "top-1").replace("top5", "top-5").replace("macro f1", "macro-F1")


def runs_list(table: pd.DataFrame) -> HTML:
    """The runs of ``runs.runs_table``, in any state. A click on a heading sorts by it."""
    shown = table[[column for column in RECORD_COLUMNS if column in table]]
    if len(shown):
        shown = shown.assign(changed=shown["changed"].dt.strftime("%Y-%m-%d %H:%M"))
    shares = [heading(column) for column in shown if column.startswith(("val_", "test_"))]
    return sortable(shown.rename(columns=heading), shares)


def comparison_table(table: pd.DataFrame) -> Styler:
    """A table of ``recipes.compare`` or ``recipes.contributions``, with a dash where there is no value."""
    formats: dict[str, Any] = {"weight": "{:.2f}", "cross_entropy": "{:.3f}", "p": "{:.2g}"}
    formats |= dict.fromkeys(("gain", "contribution", "low", "high"), points)
    by_heading = {heading(column): formats.get(column, percent) for column in table}
    return styled(table.rename(columns=heading)).format(by_heading, na_rep="–")


def points(difference: float) -> str:
    """A difference of two shares in percentage points, such as +1.5."""
    return f"{100 * difference:+.1f}"


def escaped(text: object) -> str:
    """Any text as HTML that is no markup; its long words may break, the others not."""
    return LONG_WORD.sub(r'<span style="overflow-wrap: anywhere">\g<0></span>', html.escape(str(text)))


def styled(table: pd.DataFrame) -> Styler:
    """A table to show and to style, in which no text of cells and headings is markup, script or formula."""

    def literal(value: object) -> object:
        return escaped(value) if isinstance(value, str) else value

    shown = table.map(literal).rename(index=literal, columns=literal)
    numbers = [i for i, kind in enumerate(table.dtypes) if pd.api.types.is_numeric_dtype(kind)]
    unbroken = [{"selector": f"td.col{i}", "props": "white-space: nowrap"} for i in numbers]
    return shown.style.set_table_attributes(f'class="{NO_FORMULAS}"').set_table_styles(unbroken)


def sortable(table: pd.DataFrame, shares: Collection[str] = ()) -> HTML:
    """A table that is sorted by a column when its heading is clicked, or gets Enter: first descending.

    Numbers, in percent in the columns ``shares``, are sorted as numbers, all else as text. Empty cells stay
    last. Where scripts do not run, the table is not sorted.
    """
    key, heads, rows = f"sortable-{uuid.uuid4().hex[:12]}", "", ""
    for name in table:
        heads += f'<th tabindex="0" aria-sort="none">{escaped(name)}</th>'
    for row in table.itertuples(index=False):
        cells = [_cell(value, name in shares) for name, value in zip(table, row, strict=True)]
        rows += f"<tr>{''.join(cells)}</tr>"
    style, script = (text.replace("KEY", key) for text in (STYLE, SCRIPT))
    opening = f'<table id="{key}" class="{NO_FORMULAS}">'
    body = f"{opening}<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    return HTML(f"<style>{style}</style>{body}<script>{script}</script>")


def _cell(value: object, share: bool) -> str:
    if pd.isna(value):
        return "<td></td>"
    if not isinstance(value, int | float):
        kind = "" if len(str(value)) > MAX_UNBROKEN else ' class="short"'
        return f"<td{kind}>{escaped(value)}</td>"
    text = f"{value:.0f}"
    if share:
        text = percent(value)
    elif isinstance(value, float) and abs(value) < 10:
        text = f"{value:.3f}"
    return f'<td class="number" data-value="{value!r}">{text}</td>'
