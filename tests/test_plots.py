"""What figures show: their labels and their data. How they look is checked by people."""

import itertools

import matplotlib as mpl

mpl.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.collections import LineCollection
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Text
from PIL import Image
from test_survey import STICK, clips_of, still

from miga_lib import alignment, clips, layouts, plots, viewer
from miga_lib.analysis import survey
from miga_lib.models import MODELS
from miga_lib.plots import answers, data, evaluation, inputs, motion, spotting
from miga_lib.predictions import Predictions
from miga_lib.settings import choose
from miga_lib.spotting import scoring

COCO, IMIGUE, BODY, WHOLE = map(layouts.get, ("coco17", "imigue41", "body25", "openpose137"))


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@pytest.fixture
def four():
    return clips_of(
        (still(10), 0, "train", "v1", "anna"),
        (still(60, scores=(0.5, 0, 0.5)), 2, "train", "v2", "anna"),
        (still(30), 0, "val", "v3", "anna"),
        (still(48), 0, "train", "v4", "ben"),
    )


def places(collection):
    return np.asarray(collection.get_offsets())


def texts(items):
    return [item.get_text() for item in items]


def titles(axes):
    return [ax.get_title() for ax in axes]


def fanned(layout, frames=0):
    """A frame, or a clip, in which all joints have different positions."""
    v = np.arange(len(layout.joints))
    frame = np.stack([100 + 7 * (v % 12), 50 + 11 * (v // 12), np.full(len(v), 0.8)], axis=1)
    return np.stack([frame] * frames) if frames else frame


# ---- The data


def test_classes_are_ordered_by_their_training_clips_on_a_logarithmic_axis(four):
    ax = plots.class_counts(four)
    assert texts(ax.get_yticklabels()) == ["wave", "bow", "nod"]
    assert ax.get_xscale() == "symlog"
    train, val = ax.collections
    assert places(train)[:, 0].tolist() == [2, 1, 0]
    assert places(val)[:, 0].tolist() == [1, 0, 0]
    assert train.get_facecolors()[:, 3].tolist() == [1, 1, 0], "a class without clips is hollow"
    assert texts(ax.get_legend().get_texts()) == ["train: 3 clips", "val: 1 clips"]
    assert ax.get_title() == "Always predicting “wave” is correct for 66.7 % of train"


def test_all_32_classes_are_named_and_no_unknown_one_is_the_most_frequent(smoke):
    assert sorted(texts(plots.class_counts(smoke).get_yticklabels())) == sorted(smoke.classes)
    assert plots.class_counts(clips_of((still(), -1, "test", "v", ""))).get_title() == ""


def test_lengths_are_shares_of_each_split(four):
    ax = plots.clip_lengths(four)
    assert [patch.get_data()[0].sum() for patch in ax.patches] == pytest.approx([1, 1])
    assert ax.get_title() == "10 to 60 frames: 25 % of the clips are shortened, 50 % are lengthened"
    assert ax.lines[0].get_xdata()[0] == 48
    assert "train: median 48 frames" in texts(ax.get_legend().get_texts())


def test_subjects_in_two_splits_are_crossed(four):
    ax = plots.group_counts(four)
    assert texts(ax.get_xticklabels()) == ["anna", "ben"]
    assert ax.get_title() == "2 subjects, 1 of them in more than one split"
    assert places(ax.collections[0])[:, 0].tolist() == [0]
    assert [bar.get_height() for bar in ax.patches] == [2, 1, 1, 0], "train of anna and ben, then val"
    assert plots.group_counts(four, "video").collections[:] == []


def test_missing_joints_are_shares_of_all_frames(four):
    body, regions = plots.missing_joints(four)
    # The neck is missing in the 60 frames of one clip, of 148 in all.
    assert places(regions.collections[0])[:, 0] == pytest.approx([0, 60 / 148, 0])
    assert regions.patches[0].get_width() == pytest.approx(20 / 148)
    assert texts(regions.texts) == ["neck"]
    assert body.collections[1].get_array().data == pytest.approx(np.array([0, 6000 / 148, 0]))
    assert body.get_title() == "14 % of all joints are missing"


def test_joints_that_are_always_missing_are_counted_and_have_no_score():
    never = clips_of((still(4, scores=(0.5, 0.5, 0)), 0, "train", "v", ""))
    title = "33 % of all joints are missing, 1 joints always missing"
    assert plots.missing_joints(never)[0].get_title() == title
    nobody = clips_of((still(4, scores=(0, 0, 0)), 0, "train", "v", ""))
    assert "3 joints always missing" in plots.missing_joints(nobody)[0].get_title()
    plots.confidence(nobody).figure.canvas.draw()


def test_confidence_is_that_of_the_detected_joints(four):
    ax = plots.confidence(four)
    assert places(ax.collections[2]).tolist() == [[0.505, 0]], "the middle of the bin that begins at 0.5"
    assert texts(ax.get_yticklabels()) == ["all"]


def test_the_regions_have_the_same_order_in_both_figures(smoke):
    missing, names = plots.missing_joints(smoke)[1], texts(plots.confidence(smoke).get_yticklabels())
    assert names == texts(missing.get_yticklabels())
    assert set(names) == {region.replace("_", " ") for region in smoke.layout.regions}
    widths = [bar.get_width() for bar in missing.patches]
    assert widths == sorted(widths)


def test_the_table_shows_the_highest_first(four, monkeypatch):
    monkeypatch.setattr(data, "MAX_ROWS", 2)
    page = plots.clip_table(four, "frames").data
    assert page.index("clip_1") < page.index("clip_3")
    assert "clip_0" not in page
    assert ">33<" in page, "a third of the joints is missing in clip_1"
    with pytest.raises(ValueError, match="clips can be sorted by one of label, split, .*, got 'speed'"):
        plots.clip_table(four, "speed")


# ---- Results

EPOCHS = pd.DataFrame({"epoch": [1, 2], "loss": [5.0, 4.0], "cross_entropy": [3.0, 2.5]})
SCORES = {"val_top1": [0.1, 0.2], "val_top5": 1, "val_mean_class": 0.5, "val_macro_f1": 0.5}


def test_every_term_of_the_loss_has_a_curve():
    """Any column between ``loss`` and ``val_top1`` is a term. One that is always 0 was not used."""
    rows = EPOCHS.assign(semantic=0.0, arm_length=[0.5, 0.25], **SCORES, learning_rate=0.1)
    *losses, scores = plots.learning_curves(rows)
    assert {ax.get_title(): ax.lines[0].get_ydata().tolist() for ax in losses} == {
        "cross-entropy": [3.0, 2.5],
        "arm length (unweighted)": [0.5, 0.25],
    }
    assert scores.lines[0].get_ydata().tolist() == [10, 20]
    assert [line.get_label() for line in scores.lines] == ["top-1", "mean class", "macro-F1"]


def test_the_kept_epoch_and_the_commonest_class_are_marked():
    result = {"best_epoch": 2, "scores": {"val": {"majority": 0.3}}}
    losses, scores = plots.learning_curves(EPOCHS.assign(**SCORES), result)
    assert [line.get_xdata() for line in (losses.lines[-1], scores.lines[-1])] == [[2, 2], [2, 2]]
    assert (scores.lines[-2].get_label(), scores.lines[-2].get_ydata()) == ("commonest class", [30, 30])
    assert "kept: epoch 2" in texts(losses.figure.legends[0].get_texts())


def test_samples_show_no_empty_frame_and_always_the_true_class():
    clip = still(12)
    clip[[0, 1, 2, 11], :, 2] = 0
    one = clips_of((clip, 0, "val", "v", ""))
    classes = np.array([f"class {k}" for k in range(7)])
    probabilities = np.array([[0.01, 0.09, 0.1, 0.15, 0.2, 0.25, 0.2]])
    predicted = Predictions(one.table["id"].to_numpy(str), np.array([0]), probabilities, classes)
    *shown, bars = plots.sample_predictions(predicted, one, [0])[0]
    assert titles(shown) == ["frame 4", "frame 8", "frame 11"]
    assert texts(bars.get_yticklabels())[-1] == "class 0 (rank 7)"
    assert [to_hex(bar.get_facecolor()) for bar in bars.patches] == 5 * ["#b0b0b0"] + ["#000000"]


def test_scores_are_in_percent_and_differences_in_points():
    scores = {"top1": [0.502], "gain": [0.0149], "low": [-0.02], "high": [float("nan")]}
    page = plots.comparison_table(pd.DataFrame(scores, index=["fused"])).to_html()
    assert all(f">{text}<" in page for text in ("gain (points)", "from", "50.2 %", "+1.5", "-2.0", "–"))
    page = plots.score_table({"val": {"top1": 0.502, "clips": 3}}).to_html()
    assert all(f">{text}<" in page for text in ("top-1", "50.2 %", "3"))


def test_only_long_words_of_a_table_break_and_no_number():
    page = plots.styled(pd.DataFrame({"id": ["a " + "x" * 21], "y" * 300: [0.5]})).to_html()
    assert f'>a <span style="overflow-wrap: anywhere">{"x" * 21}</span><' in page
    assert f'<span style="overflow-wrap: anywhere">{"y" * 300}</span>' in page
    assert page.count("<span") == 2
    assert "td.col0 {" not in page
    assert "td.col1 {\n  white-space: nowrap" in page
    assert "<span" not in plots.sortable(pd.DataFrame({"id": ["x" * 20]})).data


# ---- Skeletons


@pytest.mark.parametrize("name", ["imigue22", "imigue41", "coco17", "light_hand35"])
def test_every_name_is_at_its_joint(name):
    layout, frame = layouts.get(name), fanned(WHOLE)
    own = frame[layouts.selection(WHOLE, layout)]
    labels = [text for ax in plots.layout_skeletons(frame, WHOLE, [name]).flat for text in ax.texts]
    named = {text.get_text().replace(" ", "_"): text.xy for text in labels}
    left_hand = {joint for joint in layout.joints if joint.startswith("left_") and joint.endswith("_4")}
    assert named.keys() == {*layout.joints} - left_hand
    for joint, place in named.items():
        assert tuple(place) == tuple(own[layout.joints.index(joint), :2])


def test_many_joints_share_labels():
    axes = plots.layout_skeletons(fanned(WHOLE), WHOLE, ["openpose137"])
    labels = [text for ax in axes.flat for text in texts(ax.texts)]
    assert {"left jaw 1–8", "right index 1–4", "chin"} <= set(labels)
    assert len(labels) == len(set(labels))


def test_missing_joints_are_counted_and_not_named():
    frame = fanned(BODY)
    frame[[0, 10]] = 0
    axes = plots.layout_skeletons(frame, BODY, ["body25"])
    assert "23 of 25 joints" in axes[0, 0].get_title()
    assert not {"nose", "right knee"} & {text for ax in axes.flat for text in texts(ax.texts)}


def test_layouts_are_shown_beside_each_other_without_names():
    names = ["coco17", "body25", "imigue22_official"]
    axes = plots.layout_skeletons(fanned(WHOLE), WHOLE, names, labelled=False)
    assert axes.shape == (1, 3)
    assert not any(ax.texts for ax in axes.flat)
    assert [len(ax.collections[0].get_segments()) for ax in axes[0]] == [17, 24, 21], "all limbs are drawn"
    with pytest.raises(ValueError, match="layout 'openpose137' needs"):
        plots.layout_skeletons(fanned(BODY), BODY, ["openpose137"])


def test_labels_of_joints_lie_on_no_other_label_and_on_no_limb(smoke_outputs):
    whole = clips.load("synthetic-smoke", "openpose137", smoke_outputs)
    with mpl.rc_context():
        plots.style()
        names = ["imigue22", "imigue41", "openpose137"]
        axes = plots.layout_skeletons(survey.clearest_frame(whole), whole.layout, names)
        axes[0, 0].figure.canvas.draw()
    assert axes.shape == (3, 3)
    for ax in axes.flat:
        boxes = [Text.get_window_extent(text) for text in ax.texts]  # that of an annotation has its line
        limbs = [ax.transData.transform(limb) for limb in ax.collections[0].get_segments()]
        along = [point for limb in limbs for point in np.linspace(*limb, 50)]
        assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2)), ax.get_title()
        assert not any(box.contains(*point) for box in boxes for point in along), ax.get_title()


# ---- One clip


def test_paths_have_gaps_where_the_joint_is_missing():
    clip = still(6)
    clip[:, 0, 0] = np.arange(6)
    clip[2:4, 0, 2] = 0
    path, x, y = plots.trajectories(clip, STICK)
    assert np.isnan(x.lines[0].get_ydata()).tolist() == [False, False, True, True, False, False]
    assert x.lines[0].get_xdata().tolist() == [1, 2, 3, 4, 5, 6]
    assert y.lines[2].get_ydata().tolist() == [2] * 6
    assert len(path.lines) == 3, "a layout without the default joints: the first five"


def test_hands_and_nose_are_shown_if_the_layout_has_them(smoke):
    names = [line.get_label() for line in plots.trajectories(smoke[0], smoke.layout)[1].lines]
    assert names == ["nose", "right wrist", "left wrist", "right index 4", "left index 4"]


def test_a_filtered_clip_is_shown_where_it_changed_most():
    clip, clean = fanned(COCO, 6), fanned(COCO, 6)
    clip[4, 2, 0] += 50
    clip[2, 5] = 0
    before, after, first, second = plots.denoised(clip, clean, COCO, clean[..., :2])
    assert titles([before, after]) == ["before, frame 5", "after, frame 5"]
    assert titles([first, second]) == [COCO.joints[v].replace("_", " ") for v in (2, 5)]
    dots, line, true = (line.get_ydata() for line in first.lines)
    assert (dots[4] - line[4], dots[3] - line[3]) == (50, 0)
    assert np.array_equal(line, true)
    assert np.isnan(second.lines[0].get_ydata()).tolist() == [False, False, True, False, False, False]


def test_the_mirror_image_swaps_positions_and_names():
    clip = fanned(COCO, 3)
    axes = plots.mirrored(clip, COCO, width=640, count=3)
    filmed, mirrored = (row[0].collections[1] for row in axes)
    v = COCO.joints.index("left_wrist")
    assert places(mirrored)[v].tolist() == [639 - clip[0, COCO.mirror[v], 0], clip[0, COCO.mirror[v], 1]]
    assert np.array_equal(filmed.get_facecolors(), mirrored.get_facecolors()), "the left joints stay blue"
    labels = texts(axes[0, 0].figure.legends[0].get_texts())
    assert labels == ["subject's left", "subject's right", "middle"]


def test_an_animation_has_a_picture_for_each_frame(tmp_path):
    moving = still(7)
    moving[..., 0] += 30 * np.arange(7)[:, None]
    path = plots.animate({"long": moving, "short": still(4)}, STICK, tmp_path / "new" / "film.gif", rate=20)
    with Image.open(path) as film:
        assert film.n_frames == 7
        assert film.info["duration"] == 50, "in milliseconds"
    assert [file.name for file in path.parent.iterdir()] == ["film.gif"]
    assert plots.film(path).data.startswith('<img src="data:image/gif;base64,R0lGOD')


@pytest.mark.parametrize(
    ("shown", "name", "message"),
    [
        ({"a": still()}, "film.avi", r"film.avi: an animation must be a .gif or .mp4 file, got '.avi'"),
        ({"a": still()}, "film.mp4", r"film.mp4: writing .mp4 needs ffmpeg, .* choose .gif"),
        ({}, "film.gif", "an animation needs at least one clip, and each clip at least one frame"),
        ({"a": np.zeros((0, 3, 3))}, "film.gif", "an animation needs at least one clip"),
    ],
)
def test_an_animation_that_cannot_be_written_is_refused(tmp_path, monkeypatch, shown, name, message):
    monkeypatch.setattr(motion.shutil, "which", lambda program: None)
    with pytest.raises(ValueError, match=message):
        plots.animate(shown, STICK, tmp_path / name)
    assert not list(tmp_path.iterdir())


def marks(axes):
    """How many joints, limbs, points of lines and images that are not 0 are drawn."""
    collections = [collection for ax in axes.flat for collection in ax.collections]
    limbs = [lines for lines in collections if isinstance(lines, LineCollection)]
    joints = [dots for dots in collections if not isinstance(dots, LineCollection)]
    return (
        sum(len(lines.get_segments()) for lines in limbs)
        + sum(len(places(dots)) for dots in joints)
        + sum(np.isfinite(line.get_ydata()).sum() for ax in axes.flat for line in ax.lines)
        + sum(image.get_array().any() for ax in axes.flat for image in ax.images)
    )


@pytest.mark.parametrize(
    "draw",
    [
        plots.frames,
        plots.trajectories,
        plots.heatmaps,
        lambda clip, layout: plots.alignments(clip, layout)[:, :-1],  # the last column has numbers of frames
        lambda clip, layout: plots.mirrored(clip, layout, 640),
        lambda clip, layout: plots.denoised(clip, clip, layout),
    ],
)
@pytest.mark.parametrize("frames", [1, 5])
def test_of_a_clip_without_a_person_no_joint_limb_or_map_is_drawn(draw, frames):
    empty = np.zeros((frames, 41, 3), dtype=np.float32)
    axes = draw(empty, IMIGUE)
    axes.flat[0].figure.canvas.draw()
    assert marks(axes) == 0
    assert marks(draw(empty + 1, IMIGUE)) > 0


# ---- The input of a network


def test_heatmaps_show_the_highest_of_all_joints_and_limbs(smoke):
    axes = plots.heatmaps(smoke[0], smoke.layout, size=32, count=3)
    assert axes.shape == (4, 3)
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["skeleton", "41 joints", "43 limbs", "overlaid"]
    assert titles(axes[0]) == ["frame 1", "frame 25", "frame 48"], "23.5 is rounded to an even index"
    joint, limb, both = (axes[row, 1].images[0].get_array() for row in (1, 2, 3))
    assert joint.shape == (32, 32)
    assert np.array_equal(both, np.maximum(joint, limb))
    assert 0 < joint.max() <= smoke[0][..., 2].max()


def test_each_alignment_shows_its_source_frames():
    axes = plots.alignments(still(100), STICK, length=20, count=3)
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["clip", "align", "crop_pad", "segments"]
    # The central crop of 20 of 100 frames begins after frame 40. The middle of the first of 20 segments of 5
    # frames is frame 3.
    assert titles(axes[:, -1]) == [
        "100 frames, from 1 to 100",
        "20 frames, from 1 to 100",
        "20 frames, from 41 to 60, 80 outside",
        "20 frames, from 3 to 98, 4 outside",
    ]
    assert places(axes[1, -1].collections[0])[:, 0].tolist() == (np.linspace(0, 99, 20).round() + 1).tolist()
    assert titles(axes[2, :3]) == ["41", "51", "60"]


def test_a_short_clip_is_lengthened_or_padded():
    axes = plots.alignments(still(5), STICK, length=9, count=3)
    whole = "9 frames, from 1 to 5"
    assert titles(axes[1:, -1]) == [whole, f"{whole}, 4 empty", whole]
    assert texts(axes[2, 2].texts) == ["empty"]
    assert places(axes[1, -1].collections[0])[:, 0].tolist() == np.linspace(1, 5, 9).tolist()


@pytest.mark.parametrize("method", alignment.METHODS)
def test_the_frames_shown_are_those_of_the_alignment(smoke, method):
    taken, _ = inputs.aligned(smoke[0], 10, method)
    expected = getattr(alignment, method)(torch.tensor(smoke[0]), 10)
    assert np.array_equal(taken, expected.numpy())


def test_maps_are_blended_in_the_colours_of_their_sides():
    left, right, middle = (np.array(to_rgb(plots.SIDES[side])) for side in ("left", "right", "middle"))
    maps = np.zeros((17, 2, 2), dtype=np.float32)
    maps[COCO.joints.index("left_wrist"), 0, 0] = 1
    maps[COCO.joints.index("right_wrist"), 1, 1] = 0.5
    picture = inputs.blended(maps, [{joint} for joint in COCO.joints])
    assert picture[0, 0] == pytest.approx(left)
    assert picture[1, 1] == pytest.approx(1 - (1 - right) / 2)
    assert picture[0, 1].tolist() == [1, 1, 1], "white where all maps are 0"
    limbs = [{"neck", "left_wrist"}, {"left_eye", "left_ear"}, {"left_hip", "right_hip"}, {"nose"}]
    picture = inputs.blended(np.eye(4)[:, None, :], limbs)
    assert picture[0] == pytest.approx(np.array([left, left, middle, middle]))


@pytest.mark.parametrize("stream", [*MODELS["posec3d"].streams])
def test_augmented_samples_differ_by_epoch_and_repeat_by_seed(smoke, stream):
    def drawn(seed):
        settings = choose(stream=stream, preset="smoke", device="cpu", precision="fp32", seed=seed)
        axes = plots.augmented(smoke, 3, settings, count=4)
        return np.stack([ax.images[0].get_array() for ax in axes.flat])

    first = drawn(seed=0)
    assert len(first) == 4
    assert not np.array_equal(first[0], first[1])
    assert np.array_equal(first, drawn(seed=0))
    assert not np.array_equal(first[0], drawn(seed=1)[0])


# ---- Gestures in recordings

SPOTTED = pd.DataFrame(
    [("a", 0, 0, 9, 0.9), ("a", 1, 20, 24, 0.5), ("a", 2, 60, 69, 0.4)],
    columns=["video", "label", "first", "last", "probability"],
)
TRUE = SPOTTED.assign(label=[0, 2, 1])[["video", "label", "first", "last"]]


def test_a_timeline_has_true_and_predicted_segments_in_seconds_with_links():
    probabilities, classes = np.eye(3) * 0.7 + 0.1, np.array(["wave", "nod", "bow"])
    shown = Predictions(np.array(["x", "y", "z"]), np.array([0, 1, 2]), probabilities, classes)
    (ax,) = plots.timeline(TRUE, SPOTTED, ["a"], shown, fps=10)
    spans = [bars.get_paths()[0].get_extents() for bars in ax.collections]
    expected = np.array([(0, 1), (2, 2.5), (6, 7)] * 2)
    assert np.array([(span.x0, span.x1) for span in spans]) == pytest.approx(expected)
    assert [span.y0 for span in spans] == [1, 1, 1, 0, 0, 0]
    links = [bars.get_urls() for bars in ax.collections]
    assert not any(map(any, links[:3])), "true segments have no clip in the viewer"
    assert "title=nod%2C+frames+20+to+24%3A+wrong+class" in links[4][0]


def test_precision_falls_where_less_probable_predictions_are_kept():
    """The most probable prediction is the only hit of three, and of three true segments."""
    ax = plots.precision_recall(TRUE, {"one": SPOTTED, "none": SPOTTED[:0]})
    np.testing.assert_allclose(ax.lines[0].get_xydata(), [[100 / 3, 100], [100 / 3, 50], [100 / 3, 100 / 3]])


def test_errors_are_counted_by_kind():
    ax = plots.error_kinds(TRUE, {"one": SPOTTED})
    assert texts(ax.texts) == ["1", "2", "2"], "correct, wrong class, missed"


def test_a_table_of_spotting_scores_has_readable_headings():
    page = plots.spotting_table({"one": scoring.scores(TRUE, SPOTTED)}).to_html()
    assert all(f">{text}<" in page for text in ("F1 at 0.1", "mAP at 0.5", "official F1", "from"))


def test_lines_of_one_figure_differ_in_colour_or_dashes():
    """The colours are those of ``runs``, so that none means a side of the subject."""
    seen = plots.over_time(np.eye(8)[:6], list("abcdefgh"), 25.0)
    spotted = plots.precision_recall(TRUE, dict.fromkeys("abcdef", SPOTTED))
    for ax in (seen, spotted):
        looks = [(line.get_color(), line.get_linestyle()) for line in ax.lines]
        looks = [(colour, dash) for colour, dash in looks if dash != "None"]
        assert len(looks) == len(set(looks)) == 6
        assert {colour for colour, _ in looks} == set(evaluation.RUN_COLOURS)


# ---- Sizes, colours and alternative texts


def test_no_figure_is_wider_than_a_cell_or_has_text_below_9_points(smoke):
    clip, layout = smoke[0], smoke.layout
    drawn = [
        plots.clip_lengths(smoke),
        plots.missing_joints(smoke)[0],
        plots.frames(clip, layout)[0],
        plots.layout_skeletons(clip[0], layout, ["imigue22", "imigue41"])[0, 0],
        plots.mirrored(clip, layout, 1280)[0, 0],
    ]
    for ax in drawn:
        assert ax.figure.get_figwidth() <= 8.33
        assert min(text.get_fontsize() for text in ax.figure.findobj(Text) if text.get_text()) >= 9


def test_the_alternative_text_has_titles_and_labels_once():
    axes = plt.subplots(1, 3)[1]
    axes[0].set(title="loss", ylabel="nats", xlabel="epoch")
    axes[1].set(title="validation", xlabel="epoch")
    axes[2].set(title="validation", xlabel="epoch")
    axes[0].figure.suptitle("a <run>")
    assert plots.alternative(axes[0].figure) == "a <run>; loss; nats by epoch; validation; epoch"
    assert plots.alternative(plt.figure()) == "figure without text"


def test_pictures_have_a_white_background_on_any_page(tmp_path):
    with mpl.rc_context():
        plots.style()
        plt.subplots()[0].savefig(tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as picture:
        assert picture.convert("RGBA").getpixel((0, 0)) == (255, 255, 255, 255)


DEUTERANOPIA = (
    (0.367322, 0.860646, -0.227968),
    (0.280085, 0.672501, 0.047413),
    (-0.011820, 0.042940, 0.968881),
)
"""Of linear RGB, severity 1. Source: Machado, Oliveira and Fernandes, IEEE TVCG 2009."""
HEATMAP = to_hex([part / 255 for part in viewer.HEATMAP["rgb"]])
TOGETHER = {
    "sides": plots.SIDES.values(),
    "runs": (*evaluation.RUN_COLOURS, evaluation.INTERVAL_COLOUR),
    "outcomes": evaluation.OUTCOME_COLOURS.values(),
    "verdicts": answers.VERDICT_COLOURS.values(),
    "splits": [colour for colour, _ in (*data.SPLIT_MARKS.values(), data.OTHER_MARK)],
    "segments": {*spotting.KIND_COLOURS.values(), *spotting.TRUTH_COLOURS.values()},
    **{f"viewer, {theme}": colours.values() for theme, colours in viewer.COLOURS.items()},
    # Without missing joints: these are rings, and the heatmap is an area.
    **{
        f"viewer with heatmap, {theme}": [*(colours[name] for name in colours if name != "missing"), HEATMAP]
        for theme, colours in viewer.COLOURS.items()
    },
    "curves": ("black", "#8c8c8c", "#8b2161"),
}
"""Colours that have different meanings in one figure."""
TO_XYZ = [
    [0.4124564, 0.3575761, 0.1804375],
    [0.2126729, 0.7151522, 0.0721750],
    [0.0193339, 0.1191920, 0.9503041],
]


def as_seen(colour, matrix):
    """CIELAB (D65) of a colour after a matrix of linear RGB."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    x, y, z = np.cbrt(np.array(TO_XYZ) @ np.clip(np.array(matrix) @ linear, 0.001, 1) / [0.95047, 1, 1.08883])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("colours", TOGETHER.values(), ids=TOGETHER)
@pytest.mark.parametrize("matrix", [DEUTERANOPIA, np.eye(3)], ids=["deuteranopia", "normal"])
def test_colours_of_one_figure_are_distinct_with_and_without_deuteranopia(colours, matrix):
    """At least 20 apart in CIELAB; 2.3 is just noticeable."""
    apart = {
        pair: np.linalg.norm(as_seen(pair[0], matrix) - as_seen(pair[1], matrix))
        for pair in itertools.combinations(colours, 2)
    }
    assert min(apart.values()) >= 20, min(apart, key=apart.get)
