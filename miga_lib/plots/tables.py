"""Tables to read and to sort, in a notebook and in what is exported of it."""

import html
import uuid

import pandas as pd
from IPython.display import HTML
from pandas.io.formats.style import Styler

RECORD = {
    "run": "run", "state": "state", "epochs_done": "epochs", "val_top1": "val top-1", "test_top1": "test top-1",
    "test_mean_class": "test mean class", "test_macro_f1": "test macro-F1", "test_majority": "test majority", "seconds": "seconds",
    "changed": "changed (UTC)",
}  # fmt: skip
"""What a page has room for of the record of runs, and how it is headed."""

SCORES = {
    "weight": ("weight", "{:.2f}"), "top1": ("top-1", "{:.1%}"), "mean_class": ("mean class", "{:.1%}"), "macro_f1": ("macro-F1", "{:.1%}"),
    "cross_entropy": ("cross-entropy", "{:.3f}"), "calibration_error": ("calibration error", "{:.1%}"), "alone": ("alone", "{:.1%}"),
    "without": ("without it", "{:.1%}"), "gain": ("gain", "{:+.1%}"), "contribution": ("adds", "{:+.1%}"), "low": ("from", "{:+.1%}"),
    "high": ("to", "{:+.1%}"), "p": ("p", "{:.2g}"),
}  # fmt: skip
"""How the columns of ``recipes.judge`` and ``recipes.contributions`` are headed and written."""

SHORT = 20
"""Text of so many letters stays on one line."""

STYLE = """
#KEY th {cursor: pointer; text-align: left}
#KEY th[aria-sort=ascending]::after {content: " ▲"}
#KEY th[aria-sort=descending]::after {content: " ▼"}
#KEY td {text-align: left; max-width: 30em}
#KEY td.short {white-space: nowrap}
#KEY td.number {text-align: right; font-variant-numeric: tabular-nums}
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
    """The record of ``runs.table``, whatever state the runs are in; a click on a heading sorts by it."""
    shown = table[[column for column in RECORD if column in table]]
    if len(shown):
        shown = shown.assign(changed=shown["changed"].dt.strftime("%Y-%m-%d %H:%M"))
    return sortable(shown.rename(columns=RECORD))


def judgement(table: pd.DataFrame) -> Styler:
    """A table of ``recipes.judge`` or ``recipes.contributions``; a dash where there is nothing to say."""
    heads, formats = zip(*(SCORES[column] for column in table), strict=True)
    return table.set_axis(list(heads), axis=1).style.format(dict(zip(heads, formats, strict=True)), na_rep="–")


def sortable(table: pd.DataFrame) -> HTML:
    """A table whose rows a click on a heading, or Enter on it, puts in the order of that column: falling at first, then rising.

    Numbers are sorted as numbers, all else as text; empty cells stay last. Where a page runs no scripts the table stands as it is.
    """
    key = f"sortable-{uuid.uuid4().hex[:12]}"
    heads = "".join(f'<th tabindex="0" aria-sort="none">{html.escape(str(name))}</th>' for name in table)
    rows = "".join("<tr>" + "".join(map(_cell, row)) + "</tr>" for row in table.itertuples(index=False))
    style, script = (text.replace("KEY", key) for text in (STYLE, SCRIPT))
    body = f'<table id="{key}"><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>'
    return HTML(f"<style>{style}</style>{body}<script>{script}</script>")


def _cell(value: object) -> str:
    if pd.isna(value):
        return "<td></td>"
    if isinstance(value, int | float):
        text = f"{value:.3f}" if isinstance(value, float) and abs(value) < 10 else f"{value:.0f}"
        return f'<td class="number" data-value="{value!r}">{text}</td>'
    kind = ' class="short"' if len(str(value)) <= SHORT else ""
    return f"<td{kind}>{html.escape(str(value))}</td>"
