"""Runs that start from the weights of others, in layouts from files, with two persons, and in folds."""

import pickle
import shutil
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from miga_lib import checkpoints, clips, ensemble, layouts, predictions, runs, streams, training
from miga_lib.models import MODELS
from miga_lib.readers import DataError
from miga_lib.settings import choose
from miga_lib.splits import LEAVE_ONE_OUT
from miga_lib.training import checkpoint, loop, starting_weights

pytestmark = pytest.mark.slow

BASE = {"preset": "smoke", "epochs": 1, "device": "cpu", "precision": "fp32", "semantic_weight": 0.0}
SMOKE = choose(**BASE)
STICK = layouts.make("stick", ["nose", "left_wrist", "right_wrist"], [(0, 1), (0, 2)], "nose")


def quiet(row):
    """Progress that reports nothing."""


def fit(data, outputs, name, **settings):
    """A run and its weights."""
    run = runs.run_folder(name, outputs)
    training.fit(data, choose(**{**BASE, **settings}), run, progress=quiet)
    return run


def weights(run):
    return torch.load(run / "best.ckpt", weights_only=True)["model"]


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A pickle of two persons with three joints, four subjects and two classes of other names; and a file of
    its layout."""
    folder, random = tmp_path_factory.mktemp("own"), np.random.default_rng(0)
    annotations = []
    for i in range(24):
        facts = {"frame_dir": f"clip{i}", "label": i % 2, "video": f"v{i}", "subject": f"p{i % 4}"}
        facts |= {"total_frames": 6, "img_shape": (100, 100)}
        facts["keypoint"] = random.uniform(0, 99, (2, 6, 3, 2)).astype(np.float32)
        annotations.append(facts | {"keypoint_score": np.ones((2, 6, 3), np.float32)})
    content = {
        "split": {"train": [a["frame_dir"] for a in annotations]},
        "annotations": annotations,
        "classes": ["wave", "nod"],
    }
    (folder / "own.pkl").write_bytes(pickle.dumps(content))
    return folder / "own.pkl", layouts.save(STICK, folder / "stick.json")


@pytest.fixture(scope="module")
def finished(smoke_outputs, tmp_path_factory):
    """Outputs with a finished joint run of each model on the smallest synthetic set."""
    outputs = tmp_path_factory.mktemp("outputs")
    smoke = clips.load("synthetic-smoke", outputs=smoke_outputs)
    for model in MODELS:
        fit(smoke, outputs, model, model=model)
    return outputs


@pytest.mark.parametrize("model", MODELS)
def test_a_run_on_the_same_joints_and_classes_starts_with_all_weights(
    smoke, finished, tmp_path, model, capsys
):
    settings = choose(**BASE, model=model, start_from=str(finished / "runs" / model))
    network = training.build(settings, len(smoke.classes), 0)
    assert [
        name
        for name in starting_weights.start_weights(network, settings, smoke.classes, 0, tmp_path / "new")
        if name != "A"
    ] == []
    kept = weights(finished / "runs" / model)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    ("model", "anew"),
    [
        ("posec3d", {"backbone.conv1.conv.weight"}),
        ("stgcn", {"A", "data_bn.weight", "edge_importance.0", "edge_importance.1"}),
        ("stgcnpp", {"backbone.data_bn.weight", "backbone.gcn.0.gcn.A", "backbone.gcn.1.gcn.A"}),
        (
            "ctrgcn",
            {"backbone.A", "backbone.data_bn.weight", "backbone.net.0.gcn1.A", "backbone.net.1.gcn1.A"},
        ),
    ],
)
def test_with_other_joints_the_stem_is_new_and_with_other_classes_the_head(
    smoke, finished, model, anew, tmp_path
):
    settings = choose(**BASE, model=model, layout="light_hand35", start_from=model)
    beside = finished / "runs" / "new"
    network = training.build(settings, len(smoke.classes), 0)
    joints = set(starting_weights.start_weights(network, settings, smoke.classes, 0, beside))
    assert anew <= joints
    assert not any(
        name.startswith(("fc", "backbone.layer", "st_gcn_networks")) or ".conv" in name
        for name in joints - anew
    )
    same = replace(settings, layout="imigue41")
    classes = set(
        starting_weights.start_weights(training.build(same, 32, 0), same, smoke.classes[::-1], 0, beside)
    ) - {"A"}
    assert classes in ({"fc_cls.weight", "fc_cls.bias"}, {"fcn.weight", "fcn.bias"})


@pytest.mark.parametrize("stream", ["joint", "limb"])
def test_the_stem_keeps_the_channels_of_joints_and_limbs_that_both_layouts_have(smoke, finished, stream):
    run = finished / "runs" / f"stem-{stream}"
    fit(smoke, finished, run.name, stream=stream)
    settings = replace(SMOKE, layout="light_hand35", stream=stream, start_from=run.name)
    network = training.build(settings, len(smoke.classes), 0)
    name = "backbone.conv1.conv.weight"
    initial = network.state_dict()[name].clone()
    assert name in starting_weights.start_weights(network, settings, smoke.classes, 0, run.parent / "new")
    found, kept = network.state_dict()[name], weights(run)[name]
    old, new = layouts.get("imigue41"), layouts.get("light_hand35")
    common = 0
    for i, members in enumerate([(v,) for v in range(len(new.joints))] if stream == "joint" else new.limbs):
        wanted = {new.joints[v] for v in members}
        groups = [(v,) for v in range(len(old.joints))] if stream == "joint" else old.limbs
        same = [j for j, group in enumerate(groups) if {old.joints[v] for v in group} == wanted]
        assert torch.equal(found[:, i], kept[:, same[0]] if same else initial[:, i])
        common += len(same)
    assert 0 < common < found.shape[1]


def test_the_layout_of_the_same_number_of_joints_is_still_another_one(smoke, finished):
    """22 joints of two layouts: their graphs differ, so what depends on joints is new."""
    settings = choose(**BASE, model="stgcn", layout="imigue22")
    run = fit(smoke_in("imigue22", smoke), finished, "stgcn22", model="stgcn", layout="imigue22")
    other = replace(settings, layout="imigue22_official", start_from=str(run))
    anew = starting_weights.start_weights(
        training.build(other, 32, 0), other, smoke.classes, 0, run.parent / "new"
    )
    assert {"data_bn.weight", "edge_importance.0"} <= set(anew)


def smoke_in(name, smoke):
    joints = layouts.selection(smoke.layout, layouts.get(name))
    return replace(smoke, keypoints=smoke.keypoints[:, joints], layout=layouts.get(name))


def test_a_checkpoint_of_pyskl_gives_its_weights(smoke, finished, tmp_path):
    model, _ = training.load_model(finished / "runs" / "posec3d", "cpu")
    checkpoints.save_pyskl(model, tmp_path / "theirs.pth")
    settings = replace(SMOKE, start_from=str(tmp_path / "theirs.pth"))
    network = training.build(settings, len(smoke.classes), 0)
    assert starting_weights.start_weights(network, settings, smoke.classes, 0, tmp_path / "new") == ()


def test_a_state_dict_with_the_names_of_st_gcn_gives_its_weights(smoke, finished, tmp_path):
    torch.save(weights(finished / "runs" / "stgcn"), tmp_path / "st_gcn.pt")
    settings = choose(**BASE, model="stgcn", start_from=str(tmp_path / "st_gcn.pt"))
    assert starting_weights.start_weights(
        training.build(settings, 32, 0), settings, smoke.classes, 0, tmp_path / "new"
    ) == ("A",)


def test_the_channels_of_a_stream_are_named_by_what_it_shows(monkeypatch):
    row, coco = MODELS["posec3d"], layouts.get("coco17")
    monkeypatch.setitem(row.streams, "edges", streams.HeatmapStream(streams.limb_heatmaps, shows="limbs"))
    assert {"left_elbow", "left_wrist"} in row.channel_names("limb", coco)
    assert row.channel_names("edges", coco) == row.channel_names("limb", coco)
    assert not MODELS["stgcn"].channel_names("joint", coco)


@pytest.mark.parametrize(
    ("start_from", "message"),
    [
        (
            "none",
            "start_from 'none' is no finished run and no file; finished runs are ctrgcn, posec3d, .*stgcn",
        ),
        ("stgcn", "stgcn: its model is 'stgcn'; start a run of model 'posec3d' from one of the same model"),
        ("{folder}/posec3d/metrics.csv", "metrics.csv: not a checkpoint of PyTorch"),
        (
            "{folder}/stgcn/best.ckpt",
            (
                r"best.ckpt: 0 of \d+ tensors fit this network; .* is not there: start from the same model,"
                r" width"
            ),
        ),
    ],
)
def test_what_cannot_be_started_from_is_refused(smoke, finished, start_from, message):
    settings = replace(SMOKE, start_from=start_from.format(folder=finished / "runs"))
    with pytest.raises((ValueError, DataError), match=message):
        starting_weights.start_weights(
            training.build(settings, 32, 0), settings, smoke.classes, 0, finished / "runs" / "new"
        )


def test_a_run_that_started_from_other_weights_resumes_without_them(
    smoke, finished, tmp_path, monkeypatch, capsys
):
    settings = replace(SMOKE, epochs=2, start_from=str(finished / "runs" / "posec3d"))
    reversed_classes = replace(smoke, classes=smoke.classes[::-1])
    straight, stopped = tmp_path / "straight", tmp_path / "stopped"
    for run in (straight, stopped):
        run.mkdir()
    training.fit(reversed_classes, settings, straight, progress=quiet)
    assert "Newly initialised, at least in part: fc_cls.weight, fc_cls.bias." in capsys.readouterr().out

    def interrupt(row):
        if row["epoch"] == 1 and "val_top1" in row:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        training.fit(reversed_classes, settings, stopped, progress=interrupt)
    monkeypatch.setattr(loop, "start_weights", None)  # not read again
    training.fit(reversed_classes, settings, stopped, progress=quiet)
    resumed = checkpoint.read(stopped / "last.ckpt")["model"]
    trained = checkpoint.read(straight / "last.ckpt")["model"]
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in trained.items())


def test_other_weights_or_embeddings_under_the_same_name_do_not_get_the_old_result(smoke, tmp_path):
    table, start = tmp_path / "table.npy", tmp_path / "runs" / "start"
    np.save(table, np.eye(32))
    fit(smoke, tmp_path, "start")
    given = {"start_from": "start", "embeddings": str(table), "semantic_weight": 1.0}
    result = training.fit(
        smoke, replace(SMOKE, **given), fit(smoke, tmp_path, "run", **given), progress=quiet
    )
    assert training.fit(smoke, replace(SMOKE, **given), tmp_path / "runs" / "run", progress=quiet) == result
    shutil.rmtree(start)
    fit(smoke, tmp_path, "start", seed=1)
    with pytest.raises(
        ValueError,
        match="holds a run with an earlier content of start_from='start'; choose another `run` name, or",
    ):
        fit(smoke, tmp_path, "run", **given)
    shutil.rmtree(start)
    assert fit(smoke, tmp_path, "run", **given), "the run needs the weights no more"
    np.save(table, np.eye(32)[::-1])
    with pytest.raises(
        ValueError, match=r"holds a run with an earlier content of embeddings='.*table.npy'; choose"
    ):
        fit(smoke, tmp_path, "run", **given)


def test_without_a_file_to_start_from_an_older_run_stays(smoke, tmp_path):
    run = fit(smoke, tmp_path, "run")
    with pytest.raises(
        ValueError, match="start_from 'none' is no finished run and no file; finished runs are run"
    ):
        training.fit(smoke, replace(SMOKE, start_from="none", resume=False), run, progress=quiet)
    assert (run / runs.RESULT).exists()


def test_a_run_in_a_layout_from_a_file_is_loaded_without_the_file(own, tmp_path, capsys):
    path, layout = own
    mine = layouts.save(layouts.get(str(layout)), tmp_path / "stick.json")
    data = clips.load(path, str(mine), tmp_path)
    assert runs.run_name(replace(SMOKE, layout=str(mine)), path).startswith(
        "own.pkl-posec3d-joint-stick-align-smoke"
    )
    run = fit(data, tmp_path, "mine", layout=str(mine))
    mine.unlink()
    model, settings = training.load_model(run, "cpu")
    again = training.predict(model, data.split("val"), replace(settings, precision="fp32"))
    assert np.array_equal(again.probabilities, predictions.load(run / "val.npz").probabilities)
    copied = layouts.save(STICK, tmp_path / "copied.json")
    training.fit(
        data, replace(SMOKE, layout=str(copied)), run, progress=quiet
    )  # finished, in the same layout
    other = layouts.save(replace(STICK, limbs=STICK.limbs[::-1]), tmp_path / "other.json")
    with pytest.raises(ValueError, match=r"holds a run with layout=.*layout.json"):
        training.fit(data, replace(SMOKE, layout=str(other)), run, progress=quiet)


def test_without_embeddings_of_the_classes_the_semantic_loss_is_switched_off_and_this_is_printed(
    own, tmp_path, capsys
):
    path, layout = own
    data, said = (
        clips.load(path, str(layout), tmp_path),
        "The semantic loss is switched off: the table of the package has no embedding for",
    )
    run = fit(data, tmp_path, "plain", layout=str(layout), semantic_weight=20.0)
    assert f"{said} class 'wave'" in capsys.readouterr().out
    assert runs.run_result(run)["settings"]["semantic_weight"] == 0
    fit(
        data, tmp_path, "plain", layout=str(layout), semantic_weight=20.0
    )  # finished: nothing is switched off now
    assert said not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("model", "stream"), [("posec3d", "joint"), ("posec3d", "limb"), ("stgcn", "joint"), ("stgcn", "bone")]
)
def test_two_persons_are_merged_in_heatmaps_and_apart_in_graphs(model, stream):
    two = layouts.pair(STICK)
    random = torch.Generator().manual_seed(0)
    keypoints = torch.rand(2, 4, 6, 3, generator=random) * 8
    row = MODELS[model]
    found = row.tensor(stream, keypoints, two, 8)
    if row.input == "heatmaps":
        each = [row.tensor(stream, keypoints[:, :, part], STICK, 8) for part in (slice(0, 3), slice(3, 6))]
        torch.testing.assert_close(found, torch.maximum(*each))
    else:
        assert found.shape == (2, 3, 4, 3, 2)
        swapped = row.tensor(stream, torch.cat([keypoints[:, :, :3], keypoints[:, :, :3]], dim=2), two, 8)
        torch.testing.assert_close(swapped[..., 0], swapped[..., 1])
        torch.testing.assert_close(
            swapped[..., 0], row.tensor(stream, keypoints[:, :, :3], STICK, 8)[..., 0], rtol=1e-4, atol=1e-4
        )


def test_a_run_of_two_persons_trains_and_one_of_one_person_refuses_its_clips(own, tmp_path):
    path, layout = own
    data = clips.load(path, str(layout), tmp_path, persons=2)
    for model in MODELS:
        run = fit(data, tmp_path, f"two-{model}", model=model, layout=str(layout), persons=2)
        assert runs.clip_arguments([run])["persons"] == 2
    with pytest.raises(
        ValueError,
        match=(
            r"the clips have the joints of 'stick-2' and the settings those of 'stick'; load the clips with"
        ),
    ):
        fit(data, tmp_path, "one", layout=str(layout))


def test_the_folds_of_a_run_are_joined(own, tmp_path):
    path, layout = own
    for fold in range(4):
        settings = replace(SMOKE, layout=str(layout), protocol=LEAVE_ONE_OUT, fold=fold)
        data = clips.load(path, outputs=tmp_path, **settings.clip_arguments)
        training.fit(data, settings, runs.run_folder(runs.run_name(settings, path), tmp_path), progress=quiet)
    names = [folder.name for folder in (tmp_path / "runs").iterdir()]
    common = f"own.pkl-posec3d-joint-stick-align-smoke-semantic_weight=0-epochs=1-protocol={LEAVE_ONE_OUT}-0"
    assert f"{common}-fold2" in names
    folds = runs.all_folds([tmp_path / "runs" / names[0]])
    assert [folder.name for folder in folds] == [f"{common}-fold{fold}" for fold in range(4)]
    data = clips.load(path, outputs=tmp_path, **runs.clip_arguments(folds))
    ((name, joined),) = ensemble.gather(
        folds, [], "test", data, partial(clips.load, path, outputs=tmp_path)
    ).items()
    assert name == common
    assert sorted(joined.ids) == sorted(data.table["id"])
    assert ensemble.joined_folds(folds, data) == [f"{common}: 4 of 4 folds are joined."]
    (folds[3] / runs.RESULT).unlink()
    (sentence,) = ensemble.joined_folds(runs.all_folds(folds[:1]), data)
    assert "3 of 4 folds are joined; missing: fold 3 (no finished run)" in sentence


def test_folds_of_other_settings_or_clips_are_not_joined(own, tmp_path):
    path, layout = own
    for fold, changes in enumerate(({}, {"dropout": 0.5}, {})):
        settings = replace(SMOKE, layout=str(layout), folds=3, fold=fold, **changes)
        data = clips.load(path, outputs=tmp_path, **settings.clip_arguments)
        training.fit(data, settings, runs.run_folder(f"fold{fold}", tmp_path), progress=quiet)
    assert [folder.name for folder in runs.all_folds([tmp_path / "runs" / "fold2"])] == ["fold0", "fold2"]
    assert [folder.name for folder in runs.all_folds([tmp_path / "runs" / "fold1"])] == ["fold1"]


def test_a_clip_in_two_folds_is_refused():
    part = predictions.Predictions(np.array(["a"]), np.array([0]), np.array([[1.0]]), np.array(["x"]))
    with pytest.raises(ValueError, match="ids of predictions must be unique, found 'a' 2 times"):
        predictions.concatenate([part, part])
    with pytest.raises(ValueError, match="predictions of the folds have different classes"):
        predictions.concatenate([part, replace(part, classes=np.array(["y"]))])
