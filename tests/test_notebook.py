"""Parameters as papermill really passes them: right, misspelt, as strings."""

import html
from dataclasses import replace
from pathlib import Path

import matplotlib
import nbformat
import pytest
from IPython.core.interactiveshell import InteractiveShell

from miga_lib import clips, compare, notebook

DEFAULTS = {
    "stream": "joint",
    "epochs": 0,
    "rate": 0.1,
    "resume": True,
    "seeds": [0],
    "flags": [True],
    "more": {},
}
CELL = """stream: str = "joint"  # joint or limb
epochs: int = 0
rate: float = 0.1
resume: bool = True
seeds: list[int] = [0]
flags: list[bool] = [True]
more: dict = {}
"""


class Shell:
    """As much of IPython's shell as the check looks at."""

    def __init__(self, *cells, **values):
        self.user_ns = {"In": ["", *cells, "notebook.parameters()"], **values}

    def set_custom_exc(self, *_):
        pass


def code_cells(stem):
    """The code of each cell of a notebook of the repository."""
    cells = nbformat.read(Path(__file__).parents[1] / "notebooks" / f"{stem}.ipynb", 4).cells
    return [cell.source for cell in cells if cell.cell_type == "code"]


def check(monkeypatch, injected, choices=None, after=(), **values):
    shell = Shell(CELL, *([f"# Parameters\n{injected}"] if injected else []), *after, **DEFAULTS | values)
    monkeypatch.setattr(notebook, "get_ipython", lambda: shell)
    return notebook.parameters(**choices or {}), shell


def test_the_values_come_back_in_the_order_of_declaration(monkeypatch):
    values, _ = check(monkeypatch, 'stream = "limb"\n', stream="limb")
    assert list(values.items()) == list((DEFAULTS | {"stream": "limb"}).items())
    assert check(monkeypatch, "")[0]["stream"] == "joint", "without papermill"


@pytest.mark.parametrize(
    ("stem", "name", "message"),
    [
        ("01_explore", "layout", "layout 'x' is unknown; known are openpose137, "),
        ("02_visualise", "source_layout", "layout 'x' is unknown; known are openpose137, "),
        ("02_visualise", "layout", "layout must be one of openpose137, "),
        ("02_visualise", "preset", "preset must be one of auto, smoke, "),
        ("02_visualise", "filters", "a name in filters must be one of '', swaps, "),
        ("03_compare", "models", "models must be one of posec3d, "),
        ("03_compare", "layouts", "layout must be one of openpose137, "),
        ("03_compare", "temporals", "temporals must be one of align, "),
        ("03_compare", "streams", "a value of streams must be one of joint, "),
        ("03_compare", "preset", "preset must be one of auto, smoke, "),
        ("03_compare", "split", "split must be one of test, val"),
        ("04_train", "model", "model must be one of posec3d, "),
        ("04_train", "stream", "stream must be one of joint, limb, "),
        ("04_train", "layout", "layout must be one of openpose137, "),
        ("04_train", "temporal", "temporal must be one of align, "),
        ("04_train", "preset", "preset must be one of auto, smoke, "),
        ("05_confusion", "split", "split must be one of test, val"),
        ("05_confusion", "per", "per must be one of class, predicted, counts"),
        ("05_confusion", "order", "order must be one of confusion, region, index"),
        ("06_ensemble", "fusion", "fusion must be one of '', equal, "),
        ("06_ensemble", "normalise", "normalise must be one of '', softmax, divide"),
        ("08_spot", "decoder", "decoder must be one of '', threshold, semi-markov"),
    ],
)
def test_a_value_outside_a_closed_set_stops_the_notebook_at_its_second_cell(
    monkeypatch, tmp_path, stem, name, message
):
    """Its first two cells are run here, without a kernel, with a value that no set has."""
    first, second = code_cells(stem)[:2]
    shell = Shell(first)
    exec(first, shell.user_ns)
    shell.user_ns |= {"outputs": str(tmp_path), name: ["x"] if isinstance(shell.user_ns[name], list) else "x"}
    monkeypatch.setattr(notebook, "get_ipython", lambda: shell)
    with matplotlib.rc_context(), pytest.raises(ValueError, match=f"^{message}") as error:
        exec(second, shell.user_ns)
    assert "'x'" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_03_knows_where_it_evaluates_before_it_trains(monkeypatch, smoke):
    cells = code_cells("03_compare")
    shell = Shell(cells[0])
    exec(cells[0], shell.user_ns)
    monkeypatch.setattr(notebook, "get_ipython", lambda: shell)
    monkeypatch.setattr(compare, "train", lambda *_, **__: pytest.fail("it trained"))

    def without_labels(*splits):
        label = smoke.table["label"].mask(smoke.table["split"].isin(splits), -1)
        return replace(smoke, table=smoke.table.assign(label=label))

    with matplotlib.rc_context():
        monkeypatch.setattr(clips, "load", lambda *_, **__: without_labels("test"))
        exec(cells[1], shell.user_ns)
        for _ in range(2):  # a cell that is run twice says the same
            exec(cells[1], shell.user_ns)
            assert shell.user_ns["scored"] == "val"
            assert "validation clips" in shell.user_ns["note"]
        monkeypatch.setattr(clips, "load", lambda *_, **__: without_labels("val", "test"))
        with pytest.raises(ValueError, match="no label of split .* is known"):
            exec("\n".join(cells[1:]), shell.user_ns)


def test_04_ends_with_the_commands_of_the_next_notebooks_on_its_own_data():
    given = {"data": "/my $data", "name": "mine", "outputs": "/out", "folder": Path("/out/runs/mine")}
    text = html.unescape(eval(code_cells("04_train")[-1], {"Markdown": str, "notebook": notebook, **given}))
    start = "out.ipynb -r data '/my $data'"
    assert f"papermill 05_confusion.ipynb {start} -p runs '[\"mine\"]' -r outputs /out<" in text
    assert f"papermill 06_ensemble.ipynb {start} -r outputs /out<" in text


def test_a_misspelt_name_stops_with_what_there_is(monkeypatch):
    meant, names = r"\(did you mean 'epochs'\?\)", ", ".join(DEFAULTS)
    with pytest.raises(ValueError, match=f"no parameter 'epoch' {meant}; it has {names}"):
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
        ("epochs", "many", r"parameter 'epochs' must be int, got 'many' \(str\)"),
        ("epochs", 1.5, r"parameter 'epochs' must be int, got 1.5 \(float\)"),
        ("epochs", True, r"parameter 'epochs' must be int, got True \(bool\)"),
        ("resume", 1, r"parameter 'resume' must be bool, got 1 \(int\)"),
        ("seeds", [1, "b"], r"parameter 'seeds\[1\]' must be int, got 'b' \(str\)"),
        ("stream", 3, r"must be str, got 3 \(int\); papermill passes it as text with `-r stream \.\.\.`"),
    ],
)
def test_another_type_is_refused(monkeypatch, name, passed, message):
    with pytest.raises(ValueError, match=message):
        check(monkeypatch, "", **{name: passed})


@pytest.mark.parametrize(
    "after", [["notebook.parameters()"], ["x = 1", "print(x)", "notebook.parameters()"], ["", "1 +", "!ls"]]
)
def test_the_cell_can_be_run_again_and_after_other_cells(monkeypatch, after):
    values, _ = check(monkeypatch, 'stream = "limb"\n', stream="limb", after=after)
    assert values == DEFAULTS | {"stream": "limb"}
    with pytest.raises(ValueError, match="no parameter 'epoch'"):
        check(monkeypatch, "epoch = 3\n", after=after)


def test_a_parameters_cell_that_is_run_again_counts(monkeypatch):
    values, _ = check(monkeypatch, "epoch = 3\n", after=[CELL])
    assert values == DEFAULTS, "what papermill injected before it was overwritten by it"


@pytest.mark.parametrize(
    "cell", ["import os", "a = 1", "a: int", "a: int = 3\nb = a * 10", "a: int = 3 * 10"]
)
def test_without_a_cell_of_literals_it_says_so(monkeypatch, cell):
    monkeypatch.setattr(notebook, "get_ipython", lambda: Shell(cell, a=3))
    with pytest.raises(ValueError, match="no parameters cell was run: it holds only `name: type = literal`"):
        notebook.parameters()


def test_a_value_outside_its_choices_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="stream must be one of joint, limb, got 'elbow'"):
        check(monkeypatch, "", {"stream": ("joint", "limb")}, stream="elbow")
    with pytest.raises(ValueError, match="seeds must be one of 0, 1, got 7"):
        check(monkeypatch, "", {"seeds": (0, 1)}, seeds=[1, 7])


@pytest.fixture
def shown(monkeypatch):
    """What a progress line shows, one text after another, on a clock that the test sets."""
    texts, clock = [], [100.0]

    class Handle:
        def update(self, content, raw=False):
            texts.append(content["text/plain"] if raw else len(content.axes[-1].lines[0].get_xdata()))

    def display(content, raw, display_id):
        texts.append(content["text/plain"])
        return Handle()

    monkeypatch.setattr(notebook, "display", display)
    monkeypatch.setattr(notebook.time, "monotonic", lambda: clock[0])
    return texts, clock


def step(epoch, epochs, step, steps, **more):
    """What ``training.fit`` reports."""
    return {"epoch": epoch, "epochs": epochs, "step": step, "steps": steps, "loss": 1.0} | more


def test_the_bar_shows_the_share_that_is_done_and_the_time_left(shown):
    texts, clock = shown
    progress = notebook.Progress(every_epoch=False)
    progress(step(2, 4, 0, 10))
    clock[0] += 30
    progress(step(2, 4, 5, 10))  # an eighth of the run took 30 s, five eighths are left
    assert texts == [
        "█████░░░░░░░░░░░░░░░ 25 %  epoch 2 of 4, step 0 of 10: loss 1.000",
        "████████░░░░░░░░░░░░ 38 %, 2 min left  epoch 2 of 4, step 5 of 10: loss 1.000",
    ]


def test_a_run_that_ends_early_removes_the_line_and_a_second_run_has_its_own_clock(shown, capsys):
    texts, clock = shown
    progress = notebook.Progress()
    progress(step(3, 9, 1, 2))
    progress(step(3, 3, 2, 2, val_top1=0.5, seconds=2.0))
    assert texts[-1] == ""
    assert capsys.readouterr().out == "epoch   3: loss 1.000 (), validation top-1 50.0 %, 2 s\n"
    clock[0] += 1000
    progress(step(1, 4, 0, 2))
    assert "left" not in texts[-1]


def test_curves_are_redrawn_in_place_now_and_then_and_removed_at_the_end(shown, monkeypatch):
    texts, clock = shown
    monkeypatch.setattr(notebook.training, "print_epoch", lambda row: None)
    progress = notebook.Progress()
    scores = dict.fromkeys(("cross_entropy", "val_top1", "val_mean_class", "val_macro_f1"), 0.5)
    for epoch in range(1, 7):
        progress(step(epoch, 6, 1, 2))
        progress(step(epoch, 6, 2, 2) | scores)
        clock[0] += notebook.CURVES_SECONDS / 2
    assert texts[0] == "", "their place"
    assert [text for text in texts if isinstance(text, int)] == [2, 4, 6], "epochs"
    assert texts[-2:] == ["", ""], "the bar and the curves"
    assert not notebook.plt.get_fignums()


def test_a_resumed_run_prints_where_and_starts_no_bar(shown, capsys):
    progress = notebook.Progress()
    progress(step(1, 4, 2, 2, resumed=True, val_top1=0.5, seconds=2.0))
    progress({"epoch": 2, "epochs": 4, "step": 1, "steps": 2, "resumed": True})
    assert capsys.readouterr().out.splitlines()[1:] == ["resumed at step 2 of epoch 2"]
    assert shown[0] == []


def test_an_interrupt_is_one_line_wherever_it_comes_from(monkeypatch, capsys):
    shell = InteractiveShell()
    monkeypatch.setattr(notebook, "get_ipython", lambda: shell)
    shell.user_ns |= {"In": ["a: int = 1"], "a": 1}
    notebook.parameters()
    for raised, line in (("", "KeyboardInterrupt"), ("'run: stopped'", "KeyboardInterrupt: run: stopped")):
        outcome = shell.run_cell(f"raise KeyboardInterrupt({raised})")
        assert isinstance(outcome.error_in_exec, KeyboardInterrupt), "papermill must see it"
        assert capsys.readouterr().out.strip() == line
