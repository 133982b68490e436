"""Checkpoints of other projects: equal outputs from their files, new heads on request, and a clear error for
a file that does not fit."""

import os
import pickle

import pytest
import torch
from networks import randomised
from test_posec3d import published

from miga_lib import checkpoints, layouts
from miga_lib.models.ctrgcn import CTRGCN
from miga_lib.models.posec3d import PoseC3D
from miga_lib.models.stgcn import STGCN
from miga_lib.models.stgcnpp import STGCNPP
from miga_lib.readers import DataError


def posec3d(joints=5, classes=7, **more):
    return randomised(PoseC3D(joints, classes, base_channels=4, stage_blocks=(2, 1), **more)).eval()


def stgcn(layout="openpose18", partition="spatial"):
    """A network with the layout's graph."""
    model = STGCN(layouts.get(layout), 7, partition=partition, channels=(8, 8, 16))
    graph = model.A.clone()
    randomised(model).A.copy_(graph)
    return model.eval()


def graph_network(network, **more):
    """An ST-GCN++ or CTR-GCN with joints of COCO."""
    return randomised(network(layouts.get("coco17"), 7, channels=(8, 8, 16), **more)).eval()


def state_of(model):
    """A state dict with the published names."""
    state = {}
    for name, value in model.state_dict().items():
        state["cls_head." * name.startswith(("fc_cls", "emb_fc")) + name] = value
    return state


@pytest.fixture
def path(tmp_path):
    return tmp_path / "best.pth"


def random(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def heatmaps(joints=5):
    return random(2, joints, 4, 16, 16)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {
            "meta": {"epoch": 24, "config": "model = dict()"},
            "state_dict": state,
            "optimizer": {"param_groups": [{"lr": 0.1}]},
        },
        lambda state: {"state_dict": {f"module.{name}": value for name, value in state.items()}},
    ],
    ids=["bare", "of a runner", "of several devices"],
)
def test_pyskl_files_give_equal_outputs(path, wrap):
    model = posec3d(embedding_size=6)
    torch.save(wrap(state_of(model)), path)
    loaded = checkpoints.load_pyskl(path)
    assert not loaded.training
    torch.testing.assert_close(loaded(heatmaps()), model(heatmaps()), rtol=0, atol=0)


def test_the_published_size_gives_the_outputs_of_the_paper(path):
    """Compared with the network computed sum by sum, for a file with PySkl's names."""
    checkpoints.save_pyskl(randomised(PoseC3D(3, 4, embedding_size=5)), path)
    clips = random(1, 3, 4, 16, 16)
    expected, _ = published(torch.load(path)["state_dict"], clips)
    torch.testing.assert_close(checkpoints.load_pyskl(path)(clips), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("network", "more"),
    [
        (STGCNPP, {}),
        (STGCNPP, {"partition": "distance"}),
        (CTRGCN, {"persons": 2}),
        (CTRGCN, {"in_channels": 2}),
    ],
)
def test_graph_networks_of_pyskl_give_equal_outputs(path, network, more):
    model, poses = graph_network(network, **more), random(2, more.get("in_channels", 3), 8, 17, 2)
    torch.save({"meta": {}, "state_dict": state_of(model)}, path)
    loaded = checkpoints.load_pyskl(path)
    assert type(loaded) is network
    assert not loaded.training
    torch.testing.assert_close(loaded(poses), model(poses), rtol=0, atol=0)


@pytest.mark.parametrize(("network", "graph"), [(STGCNPP, "backbone.gcn.0.gcn.A"), (CTRGCN, "backbone.A")])
def test_graph_networks_of_pyskl_in_another_layout_begin_with_its_graph(path, network, graph):
    state = state_of(graph_network(network))
    torch.save(state, path)
    with pytest.warns(UserWarning, match=rf"newly initialised: .*{graph}.*, fc_cls.bias$") as warned:
        loaded = checkpoints.load_pyskl(path, num_classes=3, layout="imigue22")
    anew = str(warned[0].message).partition("newly initialised: ")[2].split(", ")
    assert all(name.endswith(".A") or name.startswith(("backbone.data_bn", "fc_cls")) for name in anew)
    assert loaded(random(1, 3, 8, 22, 1))[0].shape == (1, 3)
    own, graph = loaded.state_dict(), torch.from_numpy(layouts.partitions(layouts.get("imigue22")))
    assert all(torch.equal(own[name], graph) for name in anew if name.endswith(".A"))
    kept = [name for name in own if name.startswith("backbone.") and name not in anew]
    assert all(torch.equal(own[name], state[name]) for name in kept)


def test_stgcn_files_give_equal_outputs(path):
    model, poses = stgcn(), random(2, 3, 8, 18, 2)
    torch.save(model.state_dict(), path)
    torch.testing.assert_close(checkpoints.load_stgcn(path)(poses), model(poses), rtol=0, atol=0)


def test_files_of_old_pytorch_versions_are_read(path):
    """They are not zip archives, and their batch norms have no counters."""
    model, poses = stgcn(), random(2, 3, 8, 18, 1)
    state = {name: value for name, value in model.state_dict().items() if "num_batches_tracked" not in name}
    torch.save(state, path, _use_new_zipfile_serialization=False)
    torch.testing.assert_close(checkpoints.load_stgcn(path)(poses), model(poses), rtol=0, atol=0)


@pytest.mark.parametrize(("partition", "count"), [("uniform", 1), ("distance", 2), ("spatial", 3)])
def test_the_number_of_partitions_gives_the_strategy(path, partition, count):
    torch.save(stgcn(partition=partition).state_dict(), path)
    assert checkpoints.load_stgcn(path).A.shape == (count, 18, 18)


def test_another_number_of_classes_initialises_the_head_anew_with_a_warning(path):
    model = posec3d()
    torch.save(state_of(model), path)
    message = r"best\.pth: not loaded from the file, newly initialised: fc_cls\.weight, fc_cls\.bias$"
    with pytest.warns(UserWarning, match=message):
        loaded = checkpoints.load_pyskl(path, num_classes=3)
    torch.testing.assert_close(loaded.features(heatmaps()), model.features(heatmaps()), rtol=0, atol=0)
    assert loaded(heatmaps())[0].shape == (2, 3)
    torch.save(stgcn().state_dict(), path)
    with pytest.warns(UserWarning, match="newly initialised: fcn.weight, fcn.bias"):
        assert checkpoints.load_stgcn(path, num_classes=3).fcn.out_channels == 3


def test_another_number_of_joints_initialises_the_stem_anew_with_a_warning(path):
    model = posec3d()
    torch.save(state_of(model), path)
    with pytest.warns(UserWarning, match=r"newly initialised: backbone\.conv1\.conv\.weight$"):
        loaded = checkpoints.load_pyskl(path, in_channels=9)
    assert loaded(heatmaps(9))[0].shape == (2, 7)
    layers = loaded.backbone.layer1, model.backbone.layer1
    torch.testing.assert_close(*(layer.state_dict() for layer in layers), rtol=0, atol=0)
    model = stgcn()
    torch.save(model.state_dict(), path)
    with pytest.warns(UserWarning, match=r"newly initialised: A, data_bn\.weight.*edge_importance\.2$"):
        loaded = checkpoints.load_stgcn(path, "imigue22")
    assert loaded(random(1, 3, 8, 22, 1))[0].shape == (1, 7)
    assert torch.equal(loaded.A, STGCN(layouts.get("imigue22"), 2).A)
    blocks = loaded.st_gcn_networks, model.st_gcn_networks
    torch.testing.assert_close(*(block.state_dict() for block in blocks), rtol=0, atol=0)


def test_with_the_numbers_of_the_file_all_weights_are_loaded(path):
    """A warning would be an error here."""
    torch.save(state_of(posec3d()), path)
    checkpoints.load_pyskl(path, num_classes=7, in_channels=5)


def test_another_graph_is_kept_with_a_warning(path):
    model = stgcn("imigue22")
    torch.save(model.state_dict(), path)
    with pytest.warns(UserWarning, match="differs from that of layout 'imigue22_official' and was kept"):
        loaded = checkpoints.load_stgcn(path, "imigue22_official")
    assert torch.equal(loaded.A, model.A)


@pytest.mark.parametrize("size", [{}, {"embedding_size": 6}, {"stem_kernel": 3}], ids=str)
def test_saved_checkpoints_have_the_names_of_pyskl(path, size):
    model = posec3d(**size)
    checkpoints.save_pyskl(model, path)
    assert torch.load(path, weights_only=True)["state_dict"].keys() == state_of(model).keys()
    assert torch.equal(checkpoints.load_pyskl(path)(heatmaps())[0], model(heatmaps())[0])
    assert [*path.parent.iterdir()] == [path]


GRAPH, BLOCK = "backbone.gcn.0.gcn.A", "backbone.gcn.1."
STEM, NORM = "backbone.conv1.conv.weight", "backbone.layer1.1.conv3.bn.running_var"


@pytest.mark.parametrize(
    ("model", "change", "message"),
    [
        (posec3d, {"neck.weight": torch.zeros(1)}, r'Unexpected key\(s\) in state_dict: "neck.weight"'),
        (posec3d, {NORM: None}, rf"Missing key\(s\) .*{NORM}"),
        (posec3d, {STEM: torch.zeros(10**5, 1, 1, 1, 1)}, "fit each other: .*size mismatch"),
        (posec3d, {STEM: torch.zeros(4, 5)}, r"conv1.conv.weight' must have 5 axes .*found shape \(4, 5\)"),
        (posec3d, {"cls_head.fc_cls.weight": None}, r"it must have a tensor 'fc_cls.weight', found backbone"),
        # PySkl's ST-GCN has importances PA; a DG-STGCN has the graphs of ST-GCN++ and other convolutions.
        (STGCNPP, {BLOCK + "gcn.PA": torch.ones(3, 17, 17)}, r"Unexpected key\(s\) .*1.gcn.PA"),
        (STGCNPP, {BLOCK + "tcn.transform.2.bias": None}, r"Missing key\(s\) .*tcn.transform.2.bias"),
        (STGCNPP, {BLOCK + "gcn.bn.weight": None}, "channels must have a number of 6 or more"),
        (STGCNPP, {GRAPH: torch.ones(4, 17, 17)}, r"is not a graph of 1 to 3 partitions and 2 to 1000"),
        (stgcn, {}, r"not a PoseC3D, ST-GCN\+\+ or CTR-GCN of PySkl: it has none of backbone.*; found A, "),
    ],
)
def test_a_wrong_file_is_refused_by_the_tensors_that_do_not_fit(path, model, change, message):
    state = state_of(graph_network(model) if model is STGCNPP else model()) | change
    torch.save({name: tensor for name, tensor in state.items() if tensor is not None}, path)
    with pytest.raises(DataError, match=rf"best\.pth: .*{message}"):
        checkpoints.load_pyskl(path)


def test_files_of_the_other_loader_and_wrong_arguments_are_refused(path):
    torch.save(state_of(posec3d()), path)
    with pytest.raises(DataError, match=r"best\.pth: it must have a tensor 'fcn\.weight', found backbone"):
        checkpoints.load_stgcn(path)
    torch.save(state_of(graph_network(STGCNPP)), path)
    with pytest.raises(ValueError, match="in_channels is of PoseC3D, and the file is not of one; give"):
        checkpoints.load_pyskl(path, in_channels=3)


class Harm:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_that_would_run_code_is_refused_by_name(path, zipped):
    done = path.with_name("done")
    torch.save({"state_dict": Harm(done)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DataError, match=rf"best\.pth: the checkpoint asks for {os.name}\.mkdir: refused"):
        checkpoints.load_pyskl(path)
    assert not done.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", pickle.dumps([1, 2])])
def test_other_files_are_refused(path, content):
    path.write_bytes(content)
    with pytest.raises(DataError, match="not a checkpoint of PyTorch"):
        checkpoints.load_pyskl(path)


def test_what_is_not_named_tensors_with_all_their_data_is_refused(path):
    torch.save(state_of(posec3d()) | {STEM: torch.zeros(1).expand(10**6, 5, 1, 7, 7)}, path)
    with pytest.raises(DataError, match=r"has shape \(1000000, 5, 1, 7, 7\), and its data are shorter"):
        checkpoints.load_pyskl(path)
    torch.save({"weights": 3}, path)
    with pytest.raises(DataError, match="expected tensors by name, found int under 'weights'"):
        checkpoints.load_pyskl(path)
    with pytest.raises(DataError, match="nothing.pth: no such file"):
        checkpoints.load_pyskl(path.with_name("nothing.pth"))
