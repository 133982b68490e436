"""What every notebook needs: checked parameters, and a display of progress that updates in place.

Papermill runs a notebook whatever its parameters: an unknown name passes with a warning, and ``false`` or
``[3, 4]`` may arrive as a string. So the second code cell of every notebook calls ``parameters()``, which
stops at the first fault.
"""

import ast
import difflib
import json
import math
import re
import shlex
import time
import traceback
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from IPython import get_ipython
from IPython.display import HTML, DisplayHandle, display

from . import metrics, plots, threads, training
from .plots.tables import NO_FORMULAS, escaped
from .settings import check_choice

CURVES_SECONDS = 15.0
"""Between two drawings of the learning curves during a training, each of which takes half a second."""
INJECTED = "# Parameters"
"""First line of the cell that papermill puts after the notebook's own parameters."""
TYPES: dict[str, type[Any]] = {kind.__name__: kind for kind in (str, int, float, bool, list, dict)}


def parameters(**choices: Collection[Any]) -> dict[str, Any]:
    """The parameters of this notebook by name, each checked to be declared, of its type, among its choices.

    The parameters cell holds the declarations, ``name: type = literal``, and nothing else. The last such cell
    that was run counts, so this can be called again, and after any other cell. A number, list, dict or truth
    value that arrived as a string is turned into what was declared, in the notebook's variables too. From
    here on a ValueError, OSError or RuntimeError that ``miga_lib`` raises, and an interrupt, are shown in one
    line.

    Args:
        choices: for parameters with a closed set of values, the values; for a list, those of its items.
    """
    shell = get_ipython()
    shell.set_custom_exc((ValueError, OSError, RuntimeError, KeyboardInterrupt), _show_own_errors_in_one_line)
    types, injected = find_declarations(shell.user_ns["In"])
    for name in injected:
        if name not in types:
            near = difflib.get_close_matches(name, types, n=1)
            meant = f" (did you mean {near[0]!r}?)" if near else ""
            raise ValueError(f"this notebook has no parameter {name!r}{meant}; it has {', '.join(types)}")
    values = {name: coerce(name, shell.user_ns[name], kind) for name, kind in types.items()}
    for name, allowed in choices.items():
        for value in values[name] if isinstance(values[name], list) else [values[name]]:
            check_choice(name, value, allowed)
    shell.user_ns.update(values)
    threads.choose()
    return values


def find_declarations(cells: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Of all cells in the order in which they were run: name and type of each parameter in the last cell of
    annotated literals, and the names that papermill set after it."""
    injected: list[str] = []
    for cell in reversed(cells):
        with suppress(ValueError, SyntaxError):
            statements = ast.parse(cell).body
            if cell.lstrip().startswith(INJECTED):
                names = [ast.unparse(line.targets[0]) for line in statements if isinstance(line, ast.Assign)]
                injected = injected or names
            types = declarations(statements)
            if types:
                return types, injected
    raise ValueError(
        "no parameters cell was run: it holds only `name: type = literal`; run it, then this cell again"
    )


def declarations(statements: list[ast.stmt]) -> dict[str, str]:
    """Name and type of each parameter in a cell of annotated literals, of another cell none."""
    types = {}
    for statement in statements:
        if not isinstance(statement, ast.AnnAssign) or statement.value is None:
            return {}
        ast.literal_eval(statement.value)
        types[ast.unparse(statement.target)] = ast.unparse(statement.annotation)
    return types


def coerce(name: str, value: Any, kind: str) -> Any:
    """The value in the declared type: as it is, or read from the string that papermill made of it."""
    declared = TYPES[kind.partition("[")[0]]
    if isinstance(value, str) and declared is not str:
        for notation in (json.loads, ast.literal_eval):
            with suppress(ValueError, SyntaxError):
                value = notation(value.strip())
                break
    if declared is float and type(value) is int:
        value = float(value)
    if type(value) is not declared:
        way_out = f"; papermill passes it as text with `-r {name} ...`" if declared is str else ""
        shown = f"{value!r:.100} ({type(value).__name__})"
        raise ValueError(f"parameter {name!r} must be {kind}, got {shown}{way_out}")
    if kind.startswith("list["):
        return [coerce(f"{name}[{i}]", item, kind[5:-1]) for i, item in enumerate(value)]
    return value


def code(value: object) -> str:
    """Any text as Markdown that shows it literally, in code type, not as markup, a formula or a script."""
    literal = re.sub(r"[^\w ./-]", lambda character: f"&#{ord(character[0])};", str(value))
    return f'<code style="white-space: normal; overflow-wrap: anywhere">{literal}</code>'


def plain(sentences: Iterable[str]) -> HTML:
    """Sentences as a list in which no text is taken as markup, script or formula."""
    items = "".join(f"<li>{escaped(sentence)}</li>" for sentence in sentences)
    return HTML(f'<ul class="{NO_FORMULAS}">{items}</ul>')


def command(name: str, **parameters: Any) -> str:
    """The command that runs another notebook with these parameters; those that are empty are left out."""
    words = ["papermill", f"{name}.ipynb", "out.ipynb"]
    for key, value in parameters.items():
        if isinstance(value, str) and value:
            words += ["-r", key, value]
        elif value:
            words += ["-p", key, json.dumps(value)]
    return shlex.join(words)


def _show_own_errors_in_one_line(
    shell: Any, kind: type, error: BaseException, trace: Any, tb_offset: int | None = None
) -> list[str]:
    """Errors that a user can fix need no stack; all others are shown whole."""
    frames = traceback.extract_tb(trace)
    if kind is KeyboardInterrupt or Path(frames[-1].filename).is_relative_to(Path(__file__).parent):
        lines = [f"{kind.__name__}: {error}".removesuffix(": ")]
    else:
        lines = shell.InteractiveTB.structured_traceback(kind, error, trace, tb_offset=tb_offset)
    shell._showtraceback(kind, error, lines)
    return lines


class Progress:
    """A bar with the time left under the cell, which goes at the end; with ``every_epoch`` also learning
    curves, which go too, and a printed line an epoch."""

    def __init__(self, every_epoch: bool = True) -> None:
        self.every_epoch = every_epoch
        self._line: DisplayHandle | None = None
        self._curves: DisplayHandle | None = None
        self._rows: list[dict[str, Any]] = []
        self._shown = self._drawn = -math.inf
        self._began: tuple[float, float] | None = None

    def show(self, text: str) -> None:
        """Rewrite the line, at most a few times a second."""
        if time.monotonic() - self._shown < 0.3:
            return
        self._shown = time.monotonic()
        if self._line:
            self._line.update({"text/plain": text}, raw=True)
        else:
            self._line = display({"text/plain": text}, raw=True, display_id=True)

    def __call__(self, row: dict[str, Any]) -> None:
        """Take what ``training.fit`` reports after each step and each epoch, and where it resumes."""
        if self.every_epoch:
            training.print_epoch(row)
            self._draw(row)
        if row["epoch"] == row["epochs"] and row["step"] == row["steps"]:
            self.close()
        elif "loss" in row and "resumed" not in row:
            bar = self._bar((row["epoch"] - 1 + row["step"] / row["steps"]) / row["epochs"])
            self.show(
                bar + "  epoch {epoch} of {epochs}, step {step} of {steps}: loss {loss:.3f}".format(**row)
            )

    def _draw(self, row: dict[str, Any]) -> None:
        """Draw the curves, before the lines of the epochs, again after an epoch, but not too often."""
        if "val_top1" in row:
            self._rows.append(row)
            if self._curves and len(self._rows) > 1 and time.monotonic() - self._drawn >= CURVES_SECONDS:
                self._drawn = time.monotonic()
                figure = plots.learning_curves(pd.DataFrame(self._rows))[0].figure
                self._curves.update(figure)
                plt.close(figure)
        elif not self._curves and "resumed" not in row:
            self._curves = display({"text/plain": ""}, raw=True, display_id=True)

    def _bar(self, done: float) -> str:
        """The share of all steps that is done as a bar, and the time left at the speed so far."""
        now = time.monotonic()
        began, first = self._began = self._began or (now, done)
        bar = f"{'█' * round(20 * done):░<20} {metrics.percent(done, 0)}"
        if done <= first:
            return bar
        left = (now - began) * (1 - done) / (done - first)
        return f"{bar}, {left:.0f} s left" if left < 90 else f"{bar}, {left / 60:.0f} min left"

    def close(self) -> None:
        """Remove the line and the curves."""
        for handle in (self._line, self._curves):
            if handle:
                handle.update({"text/plain": ""}, raw=True)
        self._began = self._line = self._curves = None
        self._rows = []


def progress(items: Iterable[Any], total: int, desc: str) -> Iterator[Any]:
    """The items, with a line that says how many of them are done; called like ``tqdm``."""
    line = Progress()
    for done, item in enumerate(items):
        line.show(f"{desc}: {done} of {total}")
        yield item
    line.close()
