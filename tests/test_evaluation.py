"""Figures of an evaluation show what they are given, and are legible with 32 classes at the width of a
notebook."""

import base64
import html
import itertools
import re
from dataclasses import replace
from urllib.parse import parse_qsl

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from miga_lib import labels, metrics, plots
from miga_lib.analysis import failures
from miga_lib.ensemble import recipes
from miga_lib.predictions import Predictions

MAX_WIDTH = 833
"""In pixels, about the width of a notebook's output."""


@pytest.fixture(autouse=True)
def figures():
    plt.switch_backend("agg")
    with plt.rc_context():
        plots.style()
        yield
    plt.close("all")


def of_32_classes(clips=200, absent=(3, 17)):
    """Predictions of which two thirds are correct, of clips of all classes but two."""
    random = np.random.default_rng(0)
    truth = random.choice([k for k in range(32) if k not in absent], clips)
    probabilities = random.dirichlet(np.full(32, 0.1), clips)
    probabilities[np.arange(clips), truth] += np.where(random.random(clips) < 0.66, 3, 0)
    ids = np.array([f"{i:04d}_0" for i in range(clips)])
    return Predictions(
        ids, truth, probabilities / probabilities.sum(1, keepdims=True), np.array(labels.CLASSES)
    )


PREDICTIONS = of_32_classes()


def by_clip(predictions):
    """A table like that of ``failures.by_clip``, for clips that are not in any data."""
    random = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "class": predictions.classes[predictions.labels],
            "right": predictions.predicted == predictions.labels,
        }
    )
    table["frames"] = random.integers(2, 300, len(table))
    table["missing"] = random.uniform(0, 0.5, len(table))
    table["group"] = random.integers(0, 35, len(table)).astype(str)
    return table.assign(training=np.where(table["class"] == "head up", 0, 40))


def check_legible(figure):
    """No text is cut off, and names along an axis do not overlap."""
    figure.canvas.draw()
    page = figure.get_tightbbox(figure.canvas.get_renderer())
    assert page.width * figure.dpi <= MAX_WIDTH
    for axis in (axis for ax in figure.axes for axis in (ax.xaxis, ax.yaxis)):
        low, high = sorted(axis.get_view_interval())
        names = [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
        boxes = [
            name.get_window_extent().shrunk(0.9, 0.9)
            for name in names
            if name.get_text() and name.get_visible()
        ]
        assert all(
            box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
            for box in boxes
        )
        assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


@pytest.mark.parametrize("order", plots.ORDERS)
@pytest.mark.parametrize("per", plots.PER)
def test_all_classes_can_be_read_in_a_confusion_matrix(per, order):
    ax = plots.confusion(PREDICTIONS, per, order)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class (clips)", "true class (clips)")
    check_legible(ax.figure)
    names = [text.get_text().rpartition(" (")[0] for text in ax.get_yticklabels()]
    assert sorted(names) == sorted(labels.CLASSES)
    values = np.ma.filled(ax.images[0].get_array().astype(float), np.nan)
    diagonal = metrics.confusion_matrix(PREDICTIONS).diagonal()[
        [labels.CLASSES.index(name) for name in names]
    ]
    if per == "counts":
        assert values.diagonal().tolist() == diagonal.tolist()
    else:
        sums = np.nansum(values, axis=1 if per == "class" else 0)
        assert set(sums.round(6)) <= {0, 100}
        shares = metrics.per_class(PREDICTIONS)["recall" if per == "class" else "precision"][names]
        assert np.allclose(values.diagonal(), 100 * shares, equal_nan=True), "absent classes are blank, not 0"


def test_a_number_of_three_digits_is_a_dot_where_cells_are_narrow():
    """Two clips of the first class, predicted so: 100 %."""
    for classes, number in ((20, "100"), (21, "●")):
        sure = np.eye(classes)[[0, 0]]
        ax = plots.confusion(
            Predictions(np.array(["a", "b"]), np.zeros(2, int), sure, np.arange(classes).astype(str)),
            order="index",
        )
        assert ax.texts[0].get_text() == number
        assert ("● = 100" in ax.figure.axes[-1].get_xlabel()) == (classes > 20)


def test_rare_classes_share_the_last_row_and_column():
    """Nothing is lost: the clips of each other class, and of all rare ones together."""
    matrix = metrics.confusion_matrix(PREDICTIONS)
    clips = matrix.sum(1)
    ax = plots.confusion(PREDICTIONS, "counts", "index", fewest=10)
    values = ax.images[0].get_array().astype(int)
    common = np.flatnonzero(clips >= 10)
    assert values[:-1, :-1].tolist() == matrix[np.ix_(common, common)].tolist()
    assert values.sum() == matrix.sum()
    assert (
        ax.get_yticklabels()[-1].get_text()
        == f"{np.sum(clips < 10)} rare classes ({clips[clips < 10].sum()})"
    )
    assert 0 < len(common) < len(clips)
    assert ax.xaxis.get_label_position() == "top"
    rare = "%2C".join(map(str, np.flatnonzero(clips < 10)))
    assert f"label={rare}&" in ax.get_yticklabels()[-1].get_url()
    outlines = [patch.get_xy() for patch in ax.patches if patch.get_linewidth() > 1]
    assert outlines == [(i - 0.5, i - 0.5) for i in range(len(values))]


def test_other_ways_of_showing_a_confusion_are_refused():
    with pytest.raises(ValueError, match="per must be one of class, predicted, counts, got 'row'"):
        plots.confusion(PREDICTIONS, per="row")
    with pytest.raises(ValueError, match="order must be one of confusion, region, index, got 'name'"):
        plots.confusion(PREDICTIONS, order="name")


def test_absent_classes_are_named_as_such():
    axes = plots.class_scores(metrics.per_class(PREDICTIONS))
    check_legible(axes[0].figure)
    assert [text.get_text() for text in axes[0].texts] == ["no clips", "no clips"]
    assert len(axes[0].lines[0].get_xdata()) == 30


def test_links_name_the_clips_of_a_cell_a_class_and_a_bin():
    """Each cell with clips, and both names of each class; no text of the data is markup."""
    hostile = replace(PREDICTIONS, classes=np.array([f"<script>{k}" for k in range(32)]))
    page = plots.linked(plots.confusion(hostile, order="index").figure, "<b>").data
    assert "&lt;b&gt;" in page
    figure = base64.b64decode(page.split("base64,")[1].split('"')[0]).decode()
    assert "<script>" not in figure
    assert "<script>" not in plots.pair_table(failures.confused(hostile), hostile.classes.tolist()).to_html()
    links = [
        dict(parse_qsl(html.unescape(link))) for link in re.findall(r'xlink:href="#miga\?([^"]*)"', figure)
    ]
    cells = {
        (int(link["label"]), int(link["predicted"]))
        for link in links
        if {"label", "predicted"} <= link.keys()
    }
    matrix = metrics.confusion_matrix(hostile)
    assert cells == set(zip(*map(np.ndarray.tolist, matrix.nonzero()), strict=True))
    assert len(links) == len(cells) + 2 * 32
    assert f"<script>5 predicted as <script>5: {plots.links.counted(int(matrix[5, 5]))}" in [
        link["title"] for link in links
    ]


def test_recall_is_drawn_at_the_training_clips_of_the_class():
    by_class, table = metrics.per_class(PREDICTIONS), by_clip(PREDICTIONS)
    table["training"] = table["class"].map({name: 2 * number for number, name in enumerate(labels.CLASSES)})
    (points,) = plots.hard_clips(table, by_class)[2].lines
    expected = {
        (max(2 * labels.CLASSES.index(name), 0.5), round(100 * recall, 6))
        for name, recall in by_class["recall"].dropna().items()
    }
    assert {(x, round(y, 6)) for x, y in zip(*points.get_data(), strict=True)} == expected
    assert len(points.get_xdata()) == 30, "two classes have no clips"


def test_the_other_figures_can_be_read():
    by_class, table = metrics.per_class(PREDICTIONS), by_clip(PREDICTIONS)
    check_legible(plots.hard_clips(table, by_class)[0].figure)
    check_legible(plots.accuracy_by_group(table).figure)
    names = (
        "synthetic-posec3d-joint-imigue41-align-quick-0",
        "synthetic-posec3d-limb-imigue41-align-quick-0",
    )
    check_legible(plots.calibration(dict.fromkeys(names, PREDICTIONS))[0].figure)
    check_legible(plots.alone(metrics.outcomes_per_class(PREDICTIONS, PREDICTIONS), names).figure)


def test_names_of_hundreds_of_letters_leave_room_for_the_data():
    """What tells two of them apart is often at the end, so it is common."""
    names = np.array([f"{'very long ' * 24}{k:04d}" for k in range(len(PREDICTIONS.classes))])
    long = Predictions(PREDICTIONS.ids, PREDICTIONS.labels, PREDICTIONS.probabilities, names)
    table = by_clip(long)
    groups = table.assign(group="video " * 40 + table["group"])
    gains = pd.DataFrame({"gain": [0.1], "low": [0.0], "high": [0.2]}, index=["x" * 250])
    figures = {
        "confusion": plots.confusion(long),
        "class scores": plots.class_scores(metrics.per_class(long))[0],
        "groups": plots.accuracy_by_group(groups),
        "alone": plots.alone(metrics.outcomes_per_class(long, long), (names[0], names[1])),
        "gains": plots.gains(gains, "gain", f"gain over {names[0]}"),
    }
    for name, ax in figures.items():
        ax.figure.canvas.draw()
        box = ax.get_window_extent()
        assert min(box.width, box.height) > 100, f"{name}: {box}"
        labels_of = [text.get_text() for text in (*ax.get_yticklabels(), *ax.get_xticklabels())]
        assert max(map(len, labels_of)) <= 75, name
    assert figures["alone"].get_yticklabels()[0].get_text().partition(" (")[0][-4:].isdigit()


def test_gains_are_in_points_and_leave_out_the_reference():
    groups = pd.Series(np.arange(len(PREDICTIONS)) % 7, index=PREDICTIONS.ids)
    other = Predictions(
        PREDICTIONS.ids,
        PREDICTIONS.labels,
        np.roll(PREDICTIONS.probabilities, 1, axis=1),
        PREDICTIONS.classes,
    )
    table = recipes.compare({"first": PREDICTIONS, "rolled": other}, "first", groups)
    ax = plots.gains(table, "gain", "gain over first")
    check_legible(ax.figure)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["rolled"]
    assert ax.lines[-1].get_xdata() == pytest.approx(100 * table.loc["rolled", "gain"])
    assert plots.comparison_table(table).to_html().count("–") == 4


def test_one_subject_gives_a_gain_without_an_interval():
    table = pd.DataFrame({"gain": [0.1], "low": [np.nan], "high": [np.nan]}, index=["fused"])
    assert "no interval" in plots.gains(table, "gain", "gain").texts[0].get_text()


def test_logarithmic_axes_have_plain_numbers(smoke):
    """Powers of ten as matplotlib writes them are markup, which is off in our style."""
    epochs = pd.DataFrame(
        {
            "epoch": [1, 2],
            "loss": [2.0, 1.0],
            "cross_entropy": [2.0, 0.7],
            "val_top1": 0.5,
            "val_mean_class": 0.5,
        }
    )
    curves = plots.learning_curves(epochs.assign(val_macro_f1=0.5))[0]
    axes = [
        curves,
        plots.clip_lengths(smoke),
        plots.hard_clips(by_clip(PREDICTIONS), metrics.per_class(PREDICTIONS))[0],
    ]
    for axis in (axes[0].yaxis, axes[1].xaxis, axes[2].xaxis):
        axis.axes.figure.canvas.draw()
        labels = [tick.get_text() for tick in axis.get_ticklabels(which="both") if tick.get_text()]
        assert len(labels) > 1
        assert all(float(label) > 0 for label in labels)


def test_text_in_a_table_is_escaped():
    table = pd.DataFrame({"run": ["<b>x</b>", "y"], "top-1": [0.5, None], "seconds": [1234.5, 2.0]})
    page = plots.sortable(table, ["top-1"]).data
    assert "<b>" not in page
    assert "&lt;b&gt;x&lt;/b&gt;" in page
    assert '<td class="number" data-value="0.5">50.0 %</td>' in page
    assert '<td class="number" data-value="1234.5">1234</td>' in page
    assert "<td></td>" in page


def test_the_record_shows_runs_of_any_state():
    times = pd.to_datetime(["2026-01-02 03:04", "2026-01-01 00:00"], utc=True)
    table = pd.DataFrame(
        {
            "run": ["a", "b"],
            "state": ["finished", "broken: ValueError: not json"],
            "changed": times,
            "secret": [1, 2],
        }
    )
    table["test_top1"] = [0.533, None]
    page = plots.runs_list(table).data
    assert "2026-01-02 03:04" in page
    assert "broken: ValueError: not json" in page
    assert "secret" not in page
    assert '<td class="number" data-value="0.533">53.3 %</td>' in page
    assert "<tbody></tbody>" in plots.runs_list(table.iloc[:0]).data


def test_regions_of_other_classes_are_drawn():
    classes = np.array(["jump", "bite lip", "run"])
    predictions = Predictions(np.array(["a", "b"]), np.array([0, 1]), np.eye(3)[[0, 2]], classes)
    ax = plots.confusion(predictions, order="region")
    assert [text.get_text().rpartition(" (")[0] for text in ax.get_yticklabels()] == [
        "bite lip",
        "jump",
        "run",
    ]
    assert {"head", "other"} <= {text.get_text() for text in ax.texts}
    assert failures.by_region(classes.tolist()) == {"head": [1], "other": [0, 2]}


def test_the_adjustment_is_a_line_of_top_1_against_macro_f1_for_each_table():
    first = pd.DataFrame(
        {
            "strength": metrics.STRENGTHS,
            "top1": np.linspace(0.6, 0.3, 16),
            "macro_f1": np.linspace(0.2, 0.4, 16),
        }
    )
    ax = plots.adjustment({"a": first, "b": first.assign(top1=0.5)}, 0.3)
    assert [text.get_text() for text in ax.figure.legends[0].get_texts()] == ["a", "b"]
    line, start, chosen = ax.lines[:3]
    assert np.allclose(line.get_xydata(), 100 * first[["macro_f1", "top1"]])
    assert np.allclose(start.get_xydata(), [[20, 60]])
    assert np.allclose(chosen.get_xydata(), 100 * first.loc[[3], ["macro_f1", "top1"]])
    assert "ring: 0.3" in ax.get_title()
    assert len(plots.adjustment({"a": first}).lines) == 2, "no strength, no ring"
