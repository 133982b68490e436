"""The viewer without a kernel: a page that plays some clips, and a still picture where no script runs."""

import base64
import html
import io
import json
import uuid
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .. import plots
from ..layouts import Layout


def still(text: str, keypoints: np.ndarray, layout: Layout) -> bytes:
    """At most six frames of a clip (T, V, 3) under a text, as a png file; with T = 0 the text alone."""
    figure = Figure(figsize=(8.3, 0.8), layout="constrained")
    figure.suptitle(text, fontsize=9)
    if len(keypoints):
        figure.set_size_inches(8.3, 2.3)
        plots.frames(keypoints, layout, axes=figure.subplots(1, 6, sharex=True, sharey=True))
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()


def markup(state: dict[str, Any], script: str, picture: bytes, text: str) -> str:
    """HTML of a picture that ``text`` describes, and the ``script`` that replaces it by the viewer.

    ``state`` has the traits of the widget, ``_exported``, the clips by row, and ``css``.
    """
    content = json.dumps(state, default=lambda raw: {"base64": base64.b64encode(raw).decode()})
    content = content.replace("<", "\\u003c")
    place = f"miga-{uuid.uuid4().hex}"
    source = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    return (
        f'<div id="{place}" class="{state["_list"]["viewer"]}">'
        f'<img src="{source}" alt="{html.escape(text)}" style="max-width: 100%"></div>'
        f'<script type="application/json" id="{place}-state">{content}</script>'
        f'<script type="module">{script}\nplayUnlessLive("{place}");</script>'
    )
