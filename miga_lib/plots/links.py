"""Links from a number in a figure or table to its clips in the viewer of the same notebook or page.

The viewer follows a link in the browser, without the kernel. Where there is no viewer, it leads nowhere.
"""

import base64
import html
import io
import uuid
from functools import partial
from urllib.parse import urlencode

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure
from pandas.io.formats.style import Styler

from ..metrics import percent
from .tables import styled

SCRIPT = """
{
  const picture = document.getElementById("KEY"), start = picture.src.indexOf(",") + 1;
  const bytes = Uint8Array.from(atob(picture.src.slice(start)), (letter) => letter.charCodeAt(0));
  const text = new TextDecoder().decode(bytes);
  const figure = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  for (const link of figure.querySelectorAll("a")) {
    const title = document.createElementNS(figure.namespaceURI, "title");
    const clips = new URLSearchParams(link.getAttribute("xlink:href").split("?")[1]);
    title.textContent = clips.get("title");
    link.prepend(title);
    link.setAttribute("aria-label", title.textContent);
    // Cells are many, and the viewer chooses the same by keys.
    if (!clips.has("run") && !link.querySelector("text")) link.tabIndex = -1;
  }
  figure.id = "KEY";
  figure.setAttribute("aria-label", picture.alt);
  figure.style.cssText = "max-width: 100%; height: auto";
  picture.replaceWith(figure);
}
"""
STYLE = """
#KEY a {pointer-events: all; cursor: pointer}
#KEY :is(a:hover, a:focus-visible) path {stroke: currentColor !important; stroke-width: 1.5px !important}
#KEY a:hover text {text-decoration: underline}
"""


def link(title: str, **clips: str | int | float) -> str:
    """The address of some clips of known class; the title says in words what a click shows.

    Args:
        clips: ``run``, the name of a run of the viewer (by default the first); ``label`` and ``predicted``,
            indices of classes, with commas between; ``low`` and ``high``, the confidence, above ``low``.
    """
    return "#miga?" + urlencode({**clips, "title": title})


def counted(clips: int) -> str:
    """A number of clips in words."""
    return f"{clips} clip" if clips == 1 else f"{clips} clips"


def linked(figure: Figure, description: str) -> HTML:
    """A figure, which is closed, as a picture with links (if scripts run) and a description in words."""
    file, key = io.BytesIO(), f"linked-{uuid.uuid4().hex[:12]}"
    with mpl.rc_context({"svg.fonttype": "none"}):
        figure.savefig(file, format="svg", bbox_inches="tight", dpi=200, metadata={"Date": None})
    plt.close(figure)
    picture = f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}"
    image = f'<img id="{key}" alt="{html.escape(description)}" style="max-width: 100%" src="{picture}">'
    style, script = (text.replace("KEY", key) for text in (STYLE, SCRIPT))
    return HTML(f"<style>{style}</style>{image}<script>{script}</script>")


def pair_table(pairs: pd.DataFrame, classes: list[str]) -> Styler:
    """The table of ``failures.confused``. The number of clips of a pair links to them."""
    table, cells = styled(pairs), []
    for name, guess, clips in pairs[["class", "predicted", "clips"]].itertuples(index=False):
        title = f"{name} predicted as {guess}: {counted(clips)}"
        address = html.escape(link(title, label=classes.index(name), predicted=classes.index(guess)))
        cells.append(f'<a href="{address}" title="{html.escape(title)}">{counted(clips)}</a>')
    table.data["clips"] = cells
    return table.format({"share": partial(percent, decimals=0)}).hide(axis="index")
