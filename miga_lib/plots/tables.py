"""Tables that can be sorted, in a notebook and in pages exported from it. Text from data is escaped here."""

import html
import uuid
from collections.abc import Collection
from typing import Any

import pandas as pd
from IPython.display import HTML
from pandas.io.formats.style import Styler

from ..metrics import percent

RECORD_COLUMNS = {
    "run": "run",
    "state": "state",
    "epochs_done": "epochs",
    "val_top1": "val top-1",
    "test_top1": "test top-1",
    "test_mean_class": "test mean class",
    "test_macro_f1": "test macro-F1",
    "test_majority": "test majority",
    "seconds": "seconds",
    "changed": "changed (UTC)",
}
"""The columns of the table of runs that are shown, and their headings."""


def points(difference: float) -> str:
    """A difference of two shares in percentage points, such as +1.5."""
    return f"{100 * difference:+.1f}"


SCORE_COLUMNS: dict[str, tuple[str, Any]] = {
    "weight": ("weight", "{:.2f}"),
    "top1": ("top-1", percent),
    "mean_class": ("mean class", percent),
    "macro_f1": ("macro-F1", percent),
    "cross_entropy": ("cross-entropy", "{:.3f}"),
    "calibration_error": ("calibration error", percent),
    "alone": ("alone", percent),
    "without": ("without it", percent),
    "gain": ("gain (points)", points),
    "contribution": ("adds (points)", points),
    "low": ("from", points),
    "high": ("to", points),
    "p": ("p", "{:.2g}"),
}
"""Heading and number format of the columns of ``recipes.compare`` and ``recipes.contributions``."""

NO_FORMULAS = "tex2jax_ignore mathjax_ignore"
"""Classes of HTML elements in which MathJax, which notebooks load, leaves ``$`` alone."""
BREAK_LONG_WORDS = "overflow-wrap: anywhere"
"""Style of elements that a long id must not make wider than the page."""
MAX_UNBROKEN = 20
"""Letters of a word, and of a cell, that stays on one line."""

STYLE = """
#KEY th {cursor: pointer; text-align: left}
#KEY th.short {overflow-wrap: normal}
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


def record(table: pd.DataFrame) -> HTML:
    """The runs of ``runs.runs_table``, in any state. A click on a heading sorts by it."""
    shown = table[[column for column in RECORD_COLUMNS if column in table]]
    if len(shown):
        shown = shown.assign(changed=shown["changed"].dt.strftime("%Y-%m-%d %H:%M"))
    shares = [heading for column, heading in RECORD_COLUMNS.items() if column.startswith(("val_", "test_"))]
    return sortable(shown.rename(columns=RECORD_COLUMNS), shares)


def comparison_table(table: pd.DataFrame) -> Styler:
    """A table of ``recipes.compare`` or ``recipes.contributions``, with a dash where there is no value."""
    heads = {column: SCORE_COLUMNS[column][0] for column in table}
    return styled(table.rename(columns=heads)).format(dict(SCORE_COLUMNS.values()), na_rep="–")


def styled(table: pd.DataFrame) -> Styler:
    """A table to show and to style, in which no text of cells and headings is markup, script or formula.

    Numbers do not break, nor do short words of headings and of columns without long ones.
    """
    unbroken, normal = [], "overflow-wrap: normal"
    for level in range(table.columns.nlevels):
        for i, name in enumerate(table.columns.get_level_values(level)):
            if not _has_long_word(name):
                unbroken.append({"selector": f"th.col_heading.level{level}.col{i}", "props": normal})
    for level in range(table.index.nlevels):
        if not table.index.get_level_values(level).map(_has_long_word).any():
            unbroken.append({"selector": f"th.row_heading.level{level}", "props": normal})
    for i, kind in enumerate(table.dtypes):
        if pd.api.types.is_numeric_dtype(kind):
            unbroken.append({"selector": f"td.col{i}", "props": "white-space: nowrap"})
        elif not table.iloc[:, i].map(_has_long_word).any():
            unbroken.append({"selector": f"td.col{i}", "props": normal})
    shown = table.map(_escaped).rename(index=_escaped, columns=_escaped)
    attributes = f'class="{NO_FORMULAS}" style="{BREAK_LONG_WORDS}"'
    return shown.style.set_table_attributes(attributes).set_table_styles(unbroken)


def _escaped(value: object) -> object:
    return html.escape(value) if isinstance(value, str) else value


def _has_long_word(text: object) -> bool:
    return any(len(word) > MAX_UNBROKEN for word in str(text).split())


def sortable(table: pd.DataFrame, shares: Collection[str] = ()) -> HTML:
    """A table that is sorted by a column when its heading is clicked, or gets Enter: first descending, then
    ascending.

    Numbers are sorted as numbers, everything else as text. Empty cells stay last. Where scripts do not run,
    the table is not sorted.

    Args:
        shares: columns of numbers that are written in percent.
    """
    key, heads, rows = f"sortable-{uuid.uuid4().hex[:12]}", "", ""
    for name in table:
        kind = "" if _has_long_word(name) else ' class="short"'
        heads += f'<th tabindex="0" aria-sort="none"{kind}>{html.escape(str(name))}</th>'
    for row in table.itertuples(index=False):
        cells = [_cell(value, name in shares) for name, value in zip(table, row, strict=True)]
        rows += f"<tr>{''.join(cells)}</tr>"
    style, script = (text.replace("KEY", key) for text in (STYLE, SCRIPT))
    opening = f'<table id="{key}" class="{NO_FORMULAS}" style="{BREAK_LONG_WORDS}">'
    body = f"{opening}<thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    return HTML(f"<style>{style}</style>{body}<script>{script}</script>")


def _cell(value: object, share: bool) -> str:
    if pd.isna(value):
        return "<td></td>"
    if not isinstance(value, int | float):
        kind = "" if len(str(value)) > MAX_UNBROKEN else ' class="short"'
        return f"<td{kind}>{html.escape(str(value))}</td>"
    text = f"{value:.0f}"
    if share:
        text = percent(value)
    elif isinstance(value, float) and abs(value) < 10:
        text = f"{value:.3f}"
    return f'<td class="number" data-value="{value!r}">{text}</td>'
