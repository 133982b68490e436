"""What every notebook needs: checked parameters, and a display of progress that updates in place.

Papermill runs a notebook whatever its parameters: an unknown name passes with a warning, and ``false`` or
``[3, 4]`` may arrive as a string. So the second code cell of every notebook calls ``parameters()``, which
stops at the first fault.
"""

import ast
import difflib
import html
import itertools
import json
import math
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

from . import metrics, plots, training
from .plots.tables import BREAK_LONG_WORDS, NO_FORMULAS
from .settings import check_choice

CURVES_SECONDS = 15.0
"""Between two drawings of the learning curves during a training, each of which takes half a second."""
INJECTED = "# Parameters"
"""First line of the cell that papermill puts after the notebook's own parameters."""


def parameters(**choices: Collection[Any]) -> dict[str, Any]:
    """The parameters of this notebook, each checked to be one that it declares, of the type declared and
    among its choices.

    The parameters cell holds the declarations, ``name: type = literal``, and nothing else. The last such cell
    that was run counts, so this can be called again, and after any other cell. A number, list, dict or truth
    value that arrived as a string is turned into what was declared, in the notebook's variables too. From
    here on a ValueError, OSError or RuntimeError that ``miga_lib`` raises, and an interrupt, are shown in one
    line.

    Args:
        choices: for parameters with a closed set of values, the values; for a list, those of its items.

    Returns:
        The values by name, in the order of declaration.

    Raises:
        ValueError: a name that is not declared, a value of another type, or one that is not among the
            choices; the message lists what there is. Or no parameters cell was run.
    """
    shell = get_ipython()
    shell.set_custom_exc((ValueError, OSError, RuntimeError, KeyboardInterrupt), _show_own_errors_in_one_line)
    declared, injected = find_declarations(shell.user_ns["In"])
    for name in assignments(injected):
        if name not in declared:
            near = difflib.get_close_matches(name, declared, n=1)
            meant = f" (did you mean {near[0]!r}?)" if near else ""
            raise ValueError(f"this notebook has no parameter {name!r}{meant}; it has {', '.join(declared)}")
    values = {name: coerce(name, shell.user_ns[name], kind) for name, kind in declared.items()}
    for name, known in choices.items():
        for value in values[name] if isinstance(values[name], list) else [values[name]]:
            check_choice(name, value, known)
    shell.user_ns.update(values)
    return values


def find_declarations(cells: Sequence[str]) -> tuple[dict[str, str], str]:
    """Name and type of each parameter in the last cell of annotated literals, and the last cell that
    papermill injected after it.

    Args:
        cells: all that were run, in their order.

    Raises:
        ValueError: no cell is made of annotated literals alone.
    """
    for last in range(len(cells) - 1, -1, -1):
        with suppress(ValueError, SyntaxError):
            if found := declarations(cells[last]):
                injected = [cell for cell in cells[last:] if cell.lstrip().startswith(INJECTED)]
                return found, injected[-1] if injected else ""
    raise ValueError(
        "no parameters cell was run: it holds only `name: type = literal`; run it, then this cell again"
    )


def declarations(cell: str) -> dict[str, str]:
    """Name and type of each parameter that a cell declares. Raises ValueError for any other statement in
    it."""
    found = {}
    for statement in ast.parse(cell).body:
        if (
            not isinstance(statement, ast.AnnAssign)
            or not isinstance(statement.target, ast.Name)
            or statement.value is None
        ):
            raise ValueError(
                f"the parameters cell may hold only `name: type = literal`, found `{ast.unparse(statement)}`"
            )
        ast.literal_eval(statement.value)
        found[statement.target.id] = ast.unparse(statement.annotation)
    return found


def assignments(cell: str) -> list[str]:
    """The names that an injected cell sets."""
    return [
        target.id
        for statement in ast.parse(cell).body
        for target in getattr(statement, "targets", [])
        if isinstance(target, ast.Name)
    ]


def coerce(name: str, value: Any, kind: str) -> Any:
    """The value in the declared type: as it is, or read from the string that papermill made of it.

    Raises:
        ValueError: it is neither.
    """
    types: dict[str, type[Any]] = {
        "str": str,
        "int": int,
        "float": float,
        "bool": bool,
        "list": list,
        "dict": dict,
    }
    wanted = types[kind.partition("[")[0]]
    if wanted is not str and isinstance(value, str):
        value = _read(name, value, kind)
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted:
        way_out = f"; papermill passes it as text with `-r {name} ...`" if wanted is str else ""
        raise ValueError(
            f"parameter {name!r} must be {kind}, got {value!r:.100} ({type(value).__name__}){way_out}"
        )
    if kind.startswith("list["):
        return [coerce(f"{name}[{i}]", item, kind[5:-1]) for i, item in enumerate(value)]
    return value


def code(value: object) -> str:
    """Any text as Markdown that shows it literally, in code type: no character of it is markup, a formula or
    a script."""
    literal = "".join(c if c.isalnum() or c in " ./_-" else f"&#{ord(c)};" for c in str(value))
    return f'<code style="white-space: normal; {BREAK_LONG_WORDS}">{literal}</code>'


def plain(sentences: Iterable[str]) -> HTML:
    """Sentences as a list in which no text is taken as markup, script or formula."""
    items = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in sentences)
    return HTML(f'<ul class="{NO_FORMULAS}" style="{BREAK_LONG_WORDS}">{items}</ul>')


def command(name: str, **parameters: Any) -> str:
    """The command that runs another notebook with these parameters; those that are empty are left out."""
    given = [
        ["-r", key, value] if isinstance(value, str) else ["-p", key, json.dumps(value)]
        for key, value in parameters.items()
        if value
    ]
    return shlex.join(["papermill", f"{name}.ipynb", "out.ipynb", *itertools.chain.from_iterable(given)])


def _read(name: str, text: str, kind: str) -> Any:
    """What a string stands for, in the notation of Python or of json."""
    for notation in (ast.literal_eval, json.loads):
        with suppress(ValueError, SyntaxError):
            return notation(text.strip())
    raise ValueError(f"parameter {name!r} must be {kind}, got the string {text!r:.100}")


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
    """A bar with the time left and learning curves under the cell, which change in place and go at the end;
    and a printed line an epoch.

    Args:
        every_epoch: whether the lines are printed and the curves drawn.
    """

    def __init__(self, every_epoch: bool = True) -> None:
        self.every_epoch = every_epoch
        self._handle: DisplayHandle | None = None
        self._curves: DisplayHandle | None = None
        self._rows: list[dict[str, Any]] = []
        self._shown = self._drawn = -math.inf
        self._began: tuple[float, float] | None = None

    def show(self, text: str) -> None:
        """Rewrite the line, at most a few times a second."""
        if time.monotonic() - self._shown < 0.3:
            return
        self._shown = time.monotonic()
        content = {"text/plain": text}
        if self._handle is None:
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)

    def __call__(self, row: dict[str, Any]) -> None:
        """Take what ``training.fit`` reports after each step and each epoch, and where it resumes."""
        if self.every_epoch:
            training.print_epoch(row)
            self._draw(row)
        if row["epoch"] == row["epochs"] and row["step"] == row["steps"]:
            self.close()
        elif "loss" in row and "resumed" not in row:
            position = "epoch {epoch} of {epochs}, step {step} of {steps}: loss {loss:.3f}".format(**row)
            self.show(
                f"{self._bar((row['epoch'] - 1 + row['step'] / row['steps']) / row['epochs'])}  {position}"
            )

    def _draw(self, row: dict[str, Any]) -> None:
        """Draw the curves again after an epoch, unless that was done a moment ago. Their place is before the
        lines of the epochs."""
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
        """The share of all steps that is done as a bar, and the time left at the speed since the first
        call."""
        now = time.monotonic()
        began, first = self._began = self._began or (now, done)
        bar = f"{'█' * round(20 * done):░<20} {metrics.percent(done, 0)}"
        if done <= first:
            return bar
        left = (now - began) * (1 - done) / (done - first)
        return f"{bar}, {left:.0f} s left" if left < 90 else f"{bar}, {left / 60:.0f} min left"

    def close(self) -> None:
        """Remove the line and the curves."""
        for handle in filter(None, (self._handle, self._curves)):
            handle.update({"text/plain": ""}, raw=True)
        self._began = self._handle = self._curves = None
        self._rows = []


def progress(items: Iterable[Any], total: int, desc: str) -> Iterator[Any]:
    """The items, with a line that says how many of them are done; called like ``tqdm``."""
    line = Progress()
    for done, item in enumerate(items):
        line.show(f"{desc}: {done} of {total}")
        yield item
    line.close()
