"""Imports only go up the table of modules, so the data goes one way; and importing the package costs next to
nothing."""

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import miga_lib

PACKAGE = Path(miga_lib.__file__).parent
README = (PACKAGE.parent / "README.md").read_text(encoding="utf-8")
ORDER = re.findall(
    r"`(\w+)`",
    "".join(row.split("|")[1] for row in README.partition("| module |")[2].splitlines()[2:] if "|" in row),
)
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
    modules = {path.relative_to(PACKAGE).with_suffix("").parts[0] for path in PACKAGE.rglob("*.py")} - {
        "__init__",
        "data",
    }
    assert sorted(ORDER) == sorted(modules)


def test_imports_only_go_up():
    for path in PACKAGE.rglob("*.py"):
        module = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if module in ("__init__", "data"):
            continue
        for other in imported(path):
            assert ORDER.index(other) <= ORDER.index(module), (
                f"{path.name} imports {other}, which stands below {module}"
            )


def test_clips_and_runs_are_names_of_variables_and_of_no_imported_module():
    notebooks = [path.read_text(encoding="utf-8") for path in (PACKAGE.parent / "notebooks").glob("*.ipynb")]
    modules = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")]
    as_module = re.compile(r"^\s*\"?from (?:\.+|miga_lib) import [^\n]*\b(?:clips|runs)\b", re.MULTILINE)
    assert [found for text in notebooks + modules for found in as_module.findall(text)] == []


def test_every_package_that_is_imported_is_declared_and_the_other_way_round():
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.match(r"[\w-]+", line)[0] for line in project["dependencies"]}
    optional = {
        re.match(r"[\w-]+", line)[0] for lines in project["optional-dependencies"].values() for line in lines
    }
    nodes = [
        node
        for path in PACKAGE.rglob("*.py")
        if path.parent.name != "data" and path.name != "worker.py"  # these have environments of their own
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    ]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    tops = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"miga_lib"}
    distributions = packages_distributions()
    imported = {distributions.get(top, [top])[0].lower().replace("_", "-") for top in tops}
    assert imported - needed - optional == set()
    assert needed - imported == {"ipywidgets", "jupyterlab", "papermill", "openpyxl"}, (
        "notebooks and pandas need these"
    )


def test_the_package_itself_imports_nothing_heavy():
    code = (
        "import sys, miga_lib; print([m for m in ('torch', 'matplotlib', 'pandas', 'sklearn') if m in"
        " sys.modules])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )
