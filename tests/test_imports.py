"""Imports only go up the table of modules, so the data goes one way; and importing the package costs next to nothing."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import miga_lib

PACKAGE = Path(miga_lib.__file__).parent
README = (PACKAGE.parent / "README.md").read_text(encoding="utf-8")
ORDER = re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in README.partition("| module |")[2].splitlines()[2:] if "|" in row))
"""The modules in the order of the table in the README."""


def imported(path):
    """The modules of the package that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            anchor = path.relative_to(PACKAGE).parts[: -node.level]
            target = [*anchor, *(node.module or "").split(".")] if node.module else list(anchor)
            yield from [target[0]] if target else [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("miga_lib"):
            parts = node.module.split(".")[1:]
            yield from parts[:1] or [alias.name for alias in node.names]


def test_the_readme_lists_every_module_once():
    modules = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in PACKAGE.rglob("*.py")} - {"__init__", "data"}
    assert sorted(ORDER) == sorted(modules)


def test_imports_only_go_up():
    for path in PACKAGE.rglob("*.py"):
        module = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if module in ("__init__", "data"):
            continue
        for other in imported(path):
            assert ORDER.index(other) <= ORDER.index(module), f"{path.name} imports {other}, which stands below {module}"


def test_the_package_itself_imports_nothing_heavy():
    code = "import sys, miga_lib; print([m for m in ('torch', 'matplotlib', 'pandas', 'sklearn') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
