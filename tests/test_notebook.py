"""Parameters as papermill really passes them: right, misspelt, as strings."""

import pytest

from miga_lib import notebook

CELL = """stream: str = "joint"  # joint or limb
epochs: int = 0
rate: float = 0.1
resume: bool = True
seeds: list[int] = [0]
flags: list[bool] = [True]
more: dict = {}
"""
DEFAULTS = {"stream": "joint", "epochs": 0, "rate": 0.1, "resume": True, "seeds": [0], "flags": [True], "more": {}}


class Shell:
    """As much of IPython's shell as the check looks at."""

    def __init__(self, *cells, **values):
        self.user_ns = {"In": ["", *cells, "notebook.parameters()"], **values}

    def set_custom_exc(self, *_):
        pass


def check(monkeypatch, injected, choices=None, after=(), **values):
    shell = Shell(CELL, *([f"# Parameters\n{injected}"] if injected else []), *after, **DEFAULTS | values)
    monkeypatch.setattr(notebook, "get_ipython", lambda: shell)
    return notebook.parameters(**choices or {}), shell


def test_the_values_come_back_in_the_order_of_declaration(monkeypatch):
    values, _ = check(monkeypatch, 'stream = "limb"\n', stream="limb")
    assert list(values.items()) == list((DEFAULTS | {"stream": "limb"}).items())


def test_without_papermill_the_cell_before_is_the_declaration(monkeypatch):
    assert check(monkeypatch, "")[0]["stream"] == "joint"


def test_a_misspelt_name_stops_with_what_there_is(monkeypatch):
    with pytest.raises(
        ValueError, match=r"no parameter 'epoch' \(did you mean 'epochs'\?\); it has stream, epochs, rate, resume, seeds, flags, more"
    ):
        check(monkeypatch, "epoch = 3\n")


@pytest.mark.parametrize(
    ("name", "passed", "meant"),
    [
        ("resume", "false", False),
        ("resume", "True", True),
        ("rate", "1e-4", 1e-4),
        ("seeds", "[3, 4]", [3, 4]),
        ("flags", "[true, false]", [True, False]),
        ("epochs", "3", 3),
        ("rate", 1, 1.0),
        ("more", '{"dropout": 0.2}', {"dropout": 0.2}),
    ],
)
def test_what_arrives_as_a_string_becomes_what_was_declared(monkeypatch, name, passed, meant):
    values, shell = check(monkeypatch, "", **{name: passed})
    assert values[name] == meant
    assert type(values[name]) is type(meant)
    assert shell.user_ns[name] == meant


@pytest.mark.parametrize(
    ("name", "passed", "message"),
    [
        ("epochs", "many", "parameter 'epochs' must be int, got the string 'many'"),
        ("epochs", 1.5, r"parameter 'epochs' must be int, got 1.5 \(float\)"),
        ("epochs", True, r"parameter 'epochs' must be int, got True \(bool\)"),
        ("resume", 1, r"parameter 'resume' must be bool, got 1 \(int\)"),
        ("seeds", [1, "b"], r"parameter 'seeds\[1\]' must be int, got the string 'b'"),
        ("stream", 3, r"parameter 'stream' must be str, got 3 \(int\); papermill passes it as text with `-r stream \.\.\.`"),
    ],
)
def test_another_type_is_refused(monkeypatch, name, passed, message):
    with pytest.raises(ValueError, match=message):
        check(monkeypatch, "", **{name: passed})


def test_a_parameters_cell_that_computes_is_refused():
    with pytest.raises(ValueError, match=r"may hold only `name: type = literal`, found `steps = epochs \* 10`"):
        notebook.declarations("epochs: int = 3\nsteps = epochs * 10")


@pytest.mark.parametrize("after", [["notebook.parameters()"], ["x = 1", "print(x)", "notebook.parameters()"], ["", "1 +", "!ls"]])
def test_the_cell_can_be_run_again_and_after_other_cells(monkeypatch, after):
    values, _ = check(monkeypatch, 'stream = "limb"\n', stream="limb", after=after)
    assert values == DEFAULTS | {"stream": "limb"}
    with pytest.raises(ValueError, match="no parameter 'epoch'"):
        check(monkeypatch, "epoch = 3\n", after=after)


def test_a_parameters_cell_that_is_run_again_counts(monkeypatch):
    values, _ = check(monkeypatch, "epoch = 3\n", after=[CELL])
    assert values == DEFAULTS, "what papermill injected before it was overwritten by it"


def test_without_a_parameters_cell_it_says_so(monkeypatch):
    shell = Shell("import os", "a = 1", "b: int")
    monkeypatch.setattr(notebook, "get_ipython", lambda: shell)
    with pytest.raises(ValueError, match="no parameters cell was run"):
        notebook.parameters()


def test_a_value_outside_its_choices_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="stream must be one of joint, limb, got 'elbow'"):
        check(monkeypatch, "", {"stream": ("joint", "limb")}, stream="elbow")
    with pytest.raises(ValueError, match="seeds must be one of 0, 1, got 7"):
        check(monkeypatch, "", {"seeds": (0, 1)}, seeds=[1, 7])
