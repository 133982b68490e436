"""What every notebook needs of its surroundings: checked parameters, and a display of progress that updates in place.

Papermill runs a notebook whatever its parameters: an unknown name passes with a warning, and ``false`` or ``[3, 4]`` may arrive as
a string. So the second code cell of every notebook calls ``parameters()``, which stops at the first thing that is off.
"""

import ast
import difflib
import json
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from IPython import get_ipython
from IPython.display import DisplayHandle, display

from . import training

INJECTED = "# Parameters"
"""First line of the cell that papermill puts after the notebook's own parameters."""


def parameters() -> dict[str, Any]:
    """The parameters of this notebook, each checked to be one that it declares and of the type declared.

    The cell before the one that calls this must hold the declarations, ``name: type = literal``, and nothing else. A number, list
    or truth value that arrived as a string is turned into what was declared, in the notebook's variables too. From here on a
    ValueError or FileNotFoundError that ``miga_lib`` raises is shown as the one line that it is.

    Returns:
        The values by name, in the order of declaration.

    Raises:
        ValueError: a name that is not declared, or a value of another type; the message lists what there is.
    """
    shell = get_ipython()
    shell.set_custom_exc((ValueError, FileNotFoundError), _show_own_errors_in_one_line)
    cells = [cell for cell in shell.user_ns["In"][:-1] if cell.strip()]
    injected = cells.pop() if cells and cells[-1].lstrip().startswith(INJECTED) else ""
    declared = declarations(cells[-1])
    for name in assignments(injected):
        if name not in declared:
            near = difflib.get_close_matches(name, declared, n=1)
            meant = f" (did you mean {near[0]!r}?)" if near else ""
            raise ValueError(f"this notebook has no parameter {name!r}{meant}; it has {', '.join(declared)}")
    values = {name: coerce(name, shell.user_ns[name], kind) for name, kind in declared.items()}
    shell.user_ns.update(values)
    return values


def declarations(cell: str) -> dict[str, str]:
    """Name and type of each parameter that a cell declares. Raises ValueError for any other statement in it."""
    found = {}
    for statement in ast.parse(cell).body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            raise ValueError(f"the parameters cell may hold only `name: type = literal`, found `{ast.unparse(statement)}`")
        found[statement.target.id] = ast.unparse(statement.annotation)
    return found


def assignments(cell: str) -> list[str]:
    """The names that an injected cell sets."""
    return [target.id for statement in ast.parse(cell).body for target in getattr(statement, "targets", []) if isinstance(target, ast.Name)]


def coerce(name: str, value: Any, kind: str) -> Any:
    """The value as the declared type: as it is, or read from the string that papermill made of it.

    Raises:
        ValueError: it is neither.
    """
    types = {"str": str, "int": int, "float": float, "bool": bool, "list": list}
    wanted = types[kind.partition("[")[0]]
    if wanted is not str and isinstance(value, str):
        value = _read(name, value, kind)
    if wanted is float and type(value) is int:
        value = float(value)
    if type(value) is not wanted:
        way_out = f"; papermill passes it as text with `-r {name} ...`" if wanted is str else ""
        raise ValueError(f"parameter {name!r} must be {kind}, got {value!r} ({type(value).__name__}){way_out}")
    if kind.startswith("list["):
        return [coerce(f"{name}[{i}]", item, kind[5:-1]) for i, item in enumerate(value)]
    return value


def _read(name: str, text: str, kind: str) -> Any:
    """What a string stands for, in the notation of Python or of json."""
    for notation in (ast.literal_eval, json.loads):
        with suppress(ValueError, SyntaxError):
            return notation(text.strip())
    raise ValueError(f"parameter {name!r} must be {kind}, got the string {text!r}")


def _show_own_errors_in_one_line(shell: Any, kind: type, error: Exception, trace: Any, tb_offset: int | None = None) -> list[str]:
    """The errors that a user can mend need no stack; all others are shown whole."""
    frames = traceback.extract_tb(trace)
    if Path(frames[-1].filename).is_relative_to(Path(__file__).parent):
        lines = [f"{kind.__name__}: {error}"]
    else:
        lines = shell.InteractiveTB.structured_traceback(kind, error, trace, tb_offset=tb_offset)
    shell._showtraceback(kind, error, lines)
    return lines


class Progress:
    """One line under the cell that is rewritten in place, and one printed line an epoch, which a log keeps.

    Args:
        every_epoch: whether the printed lines are wanted.
    """

    def __init__(self, every_epoch: bool = True) -> None:
        self.every_epoch = every_epoch
        self._handle: DisplayHandle | None = None
        self._shown = 0.0

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
        """What ``training.fit`` tells after each step and each epoch."""
        if self.every_epoch and "val_top1" in row:
            print(training.epoch_line(row), flush=True)
        if row["epoch"] == row["epochs"] and row["step"] == row["steps"]:
            self.close()
        else:
            self.show("epoch {epoch} of {epochs}, step {step} of {steps}: loss {loss:.3f}".format(**row))

    def close(self) -> None:
        """Leave nothing behind."""
        if self._handle is not None:
            self._handle.update({"text/plain": ""}, raw=True)
            self._handle = None


def progress(items: Iterable, total: int, desc: str) -> Iterator:
    """The items, with a line that says how many of them are done; called like ``tqdm``."""
    line = Progress()
    for done, item in enumerate(items):
        line.show(f"{desc}: {done} of {total}")
        yield item
    line.close()
