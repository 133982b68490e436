"""Every notebook runs headless from its own folder on the smallest clips, and stops at once where a parameter
is wrong."""

import ast
import base64
import os
import re
from pathlib import Path

import nbformat
import papermill
import pytest

from miga_lib import clips, predictions, runs, training
from miga_lib.ensemble import recipes
from miga_lib.settings import choose, names, of_parameters
from miga_lib.training import __main__ as command_line

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).parents[1] / "notebooks"
README = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
NOTEBOOKS = sorted(FOLDER.glob("0*.ipynb"))
SMALLEST = {"data": "synthetic-smoke", "preset": "smoke"}
STREAMS = [f"synthetic-smoke-posec3d-{stream}-imigue41-align-smoke-0" for stream in ("joint", "limb")]
FURTHER = {name: {"runs": ["both", STREAMS[1]]} for name in ("02_visualise", "05_confusion")}
"""Parameters of some notebooks: an ensemble beside a run."""


def run(notebook, output, **given):
    """Execute a notebook as papermill does from its folder; gives the executed notebook."""
    known = papermill.inspect_notebook(str(notebook))
    return papermill.execute_notebook(
        str(notebook),
        str(output),
        {name: value for name, value in SMALLEST.items() if name in known} | given,
        cwd=str(notebook.parent),
        progress_bar=False,
    )


@pytest.fixture(scope="module", autouse=True)
def quiet_kernels():
    """One thread a kernel, and no warning of ipykernel 7 about its own transport, which papermill chooses."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "OMP_NUM_THREADS", "1")
        patch.setitem(os.environ, "PYTHONWARNINGS", "ignore")
        yield


@pytest.fixture(scope="module")
def trained(smoke_outputs, tmp_path_factory):
    """An outputs folder with a limb run, a run that knows no gesture, a joint run made by 04_train and the
    ensemble ``both`` of joint and limb; and the notebook 04_train, executed."""
    settings = choose(preset="smoke", device="cpu", no_gesture_ratio=1.0)
    data = clips.load("synthetic-smoke", outputs=smoke_outputs, **settings.clip_arguments)
    training.fit(data, settings, runs.run_folder("with-no-gesture", smoke_outputs), progress=lambda row: None)
    command_line.main(
        ["--data=synthetic-smoke", "--preset=smoke", "--stream=limb", f"--outputs={smoke_outputs}"]
    )
    executed = run(
        FOLDER / "04_train.ipynb",
        tmp_path_factory.mktemp("nb") / "04_train.ipynb",
        outputs=str(smoke_outputs),
    )
    parts = {
        split: [predictions.load(smoke_outputs / "runs" / name / f"{split}.npz") for name in STREAMS]
        for split in ("val", "test")
    }
    recipe = recipes.Recipe((1.0, 1.0), (0.5, 0.5))
    fused = {split: recipe.fuse(of_split) for split, of_split in parts.items()}
    data = clips.load("synthetic-smoke", outputs=smoke_outputs)
    about = {"data": runs.fingerprint(data), "layout": data.layout.name, "runs": STREAMS}
    recipes.save(smoke_outputs / "ensembles" / "both", recipe, STREAMS, fused, about)
    return smoke_outputs, executed


def test_there_are_notebooks():
    assert "04_train.ipynb" in [notebook.name for notebook in NOTEBOOKS]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "notebook", [n for n in NOTEBOOKS if n.name != "04_train.ipynb"], ids=lambda notebook: notebook.stem
)
def test_the_notebook_runs(notebook, trained, tmp_path):
    executed = run(
        notebook, tmp_path / notebook.name, outputs=str(trained[0]), **FURTHER.get(notebook.stem, {})
    )
    check_as_a_reader(executed)


@pytest.mark.filterwarnings("ignore")
def test_training_leaves_a_finished_run_and_a_notebook_to_read(trained):
    outputs, executed = trained
    check_as_a_reader(executed)
    finished = {path.parent.name for path in (outputs / "runs").glob("*/result.json")}
    assert {*STREAMS} <= finished


def check_as_a_reader(notebook):
    """No warnings on the page, no errors, and something to look at, with alternative text."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    streams = "".join(
        output["text"]
        for output in outputs
        if output["output_type"] == "stream" and output["name"] == "stderr"
    )
    assert not streams
    pictures = [output["data"] for output in outputs if "image/png" in output.get("data", {})]
    assert pictures
    assert all(' alt="' in picture["text/html"] for picture in pictures)
    widths = [
        (png_width(picture["image/png"]), re.match(r'<img [^>]* width="(\d+)"', picture["text/html"]))
        for picture in pictures
    ]
    assert all(pixels // 2 == int(shown[1]) for pixels, shown in widths if shown), "sharp"
    assert any(shown for _, shown in widths)


def png_width(picture):
    """In pixels, from its header: the four bytes after signature, length and name of the first chunk."""
    return int.from_bytes(base64.b64decode(picture)[16:20])


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"streem": "limb"},
            r"no parameter 'streem' \(did you mean 'stream'\?\); it has data, model, stream",
        ),
        (
            {"stream": "elbow"},
            (
                "ValueError: stream must be one of joint, limb, joint_motion, limb_motion for model"
                " 'posec3d', got 'elbow'"
            ),
        ),
    ],
)
def test_a_wrong_parameter_stops_the_notebook_at_its_second_cell(tmp_path, given, message):
    with pytest.raises(papermill.PapermillExecutionError, match=message) as error:
        run(FOLDER / "04_train.ipynb", tmp_path / "out.ipynb", outputs=str(tmp_path), **given)
    assert "notebook.parameters(" in error.value.source
    outputs = [
        output
        for cell in nbformat.read(tmp_path / "out.ipynb", 4).cells
        for output in cell.get("outputs", [])
    ]
    shown = [output for output in outputs if output["output_type"] == "error"]
    assert len(shown[0]["traceback"]) == 1, "one line, no stack"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda notebook: notebook.stem)
def test_the_notebook_is_written_as_agreed(notebook):
    """Bare, one parameters cell of literals, no function definitions, an opening, short cells."""
    cells = nbformat.read(notebook, 4).cells
    assert cells[0].cell_type == "markdown"
    assert f"| `{notebook.stem}` | {cells[0].source.splitlines()[0].removeprefix('# ')}" in README, (
        "the README has its title"
    )
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert [i for i, cell in enumerate(code) if "parameters" in cell.metadata.get("tags", [])] == [0]
    assert "notebook.parameters(" in code[1].source
    assert not any(line.startswith(("def ", "class ")) for cell in code for line in cell.source.splitlines())
    assert not any(".style." in cell.source for cell in code), "`plots.styled` escapes what data name"
    assert max(len(cell.source.splitlines()) for cell in code[1:]) <= 20
    assert {"data", "outputs"} <= papermill.inspect_notebook(str(notebook)).keys()


def test_04_has_few_parameters_each_on_a_line():
    cells = nbformat.read(FOLDER / "04_train.ipynb", 4).cells
    lines = next(cell.source for cell in cells if "parameters" in cell.metadata.get("tags", [])).splitlines()
    assert len(lines) == len(papermill.inspect_notebook(str(FOLDER / "04_train.ipynb"))) <= 12


def test_notebook_and_command_line_take_the_same_settings(monkeypatch):
    """Every setting is an option of the command line, and a parameter of 04_train or reachable through
    `more`; both give equal settings."""
    taken = {}
    monkeypatch.setattr(command_line, "_train", lambda *arguments: taken.update(settings=arguments[0]))
    declared = papermill.inspect_notebook(str(FOLDER / "04_train.ipynb"))
    parameters = {name: ast.literal_eval(entry["default"]) for name, entry in declared.items()}
    assert parameters.keys() - {"data", "run", "outputs", "more"} < names().keys()
    command_line.main([])
    assert of_parameters(parameters) == taken["settings"] == choose()
    others = {
        "persons": 2,
        "keep": "best",
        "augment": "rotate",
        "denoise": "gaps",
        "fold": 0,
        "resume": False,
        "side_stream": True,
    }
    others |= {"device": "cpu", "precision": "fp32"}
    for name, example in names().items():
        if name in parameters or name in ("multiples", "partition"):  # of other models than the default
            continue
        value = others.get(name, {int: 8, float: 0.5, tuple: (1, 2), str: "other"}.get(type(example)))
        text = ",".join(map(str, value)) if isinstance(value, tuple) else value
        option = f"--{name.replace('_', '-')}"
        switches = {"resume": "--no-resume", "side_stream": "--side-stream"}
        command_line.main([switches.get(name, f"{option}={text}")])
        assert of_parameters(parameters | {"more": {name: value}}) == taken["settings"], name
        assert taken["settings"].values()[name] == value
