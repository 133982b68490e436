"""Checkpoints of other projects: equal outputs from their files, new heads on request, and a clear error for
a file that does not fit."""

import os
import pickle

import pytest
import test_posec3d
import test_stgcn
import test_stgcnpp
import torch

from miga_lib import checkpoints, layouts
from miga_lib.models.ctrgcn import CTRGCN
from miga_lib.models.posec3d import PoseC3D
from miga_lib.models.stgcn import STGCN
from miga_lib.models.stgcnpp import STGCNPP
from miga_lib.readers import DataError

PYSKL = {"base_channels": 4, "stage_blocks": (2, 1)}


def pyskl_weights(joints=5, classes=7, **more):
    """A state dict with PySkl's names, and heatmaps as input."""
    model = test_posec3d.randomised(PoseC3D(joints, classes, **PYSKL, **more)).eval()
    state = {
        f"cls_head.{name}" if name.startswith(("fc_cls", "emb_fc")) else name: value
        for name, value in model.state_dict().items()
    }
    return state, model


def heatmaps(joints=5):
    return torch.rand((2, joints, 4, 16, 16), generator=torch.Generator().manual_seed(0))


def stgcn_weights(layout="openpose18", classes=7, partition="spatial"):
    """A state dict with the names of ST-GCN's authors and the layout's graph."""
    model = STGCN(layouts.get(layout), classes, partition=partition, channels=(8, 8, 16))
    graph = model.A.clone()
    test_stgcn.randomised(model).A.copy_(graph)
    return model.state_dict(), model.eval()


def graph_weights(network, classes=7, **more):
    """A state dict with PySkl's names, of an ST-GCN++ or CTR-GCN with joints of COCO."""
    model = test_stgcnpp.randomised(
        network(layouts.get("coco17"), classes, channels=(8, 8, 16), **more)
    ).eval()
    return {
        f"cls_head.{name}" if name.startswith("fc_cls") else name: value
        for name, value in model.state_dict().items()
    }, model


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
def test_pyskl_files_give_equal_outputs(tmp_path, wrap):
    state, model = pyskl_weights()
    torch.save(wrap(state), tmp_path / "best.pth")
    loaded = checkpoints.load_pyskl(tmp_path / "best.pth")
    assert not loaded.training
    torch.testing.assert_close(loaded(heatmaps())[0], model(heatmaps())[0], rtol=0, atol=0)


def test_the_published_size_gives_the_outputs_of_the_paper(tmp_path):
    """Compared with the network computed sum by sum, for a file with PySkl's names."""
    model = test_posec3d.randomised(PoseC3D(3, 4, embedding_size=5))
    checkpoints.save_pyskl(model, tmp_path / "best.pth")
    clips = torch.rand((1, 3, 4, 16, 16), generator=torch.Generator().manual_seed(0))
    expected = test_posec3d.reference(torch.load(tmp_path / "best.pth")["state_dict"], clips)
    torch.testing.assert_close(
        checkpoints.load_pyskl(tmp_path / "best.pth")(clips), expected, rtol=1e-4, atol=1e-4
    )


def test_the_embedding_head_of_2023_is_loaded(tmp_path):
    state, model = pyskl_weights(embedding_size=6)
    assert "cls_head.emb_fc.weight" in state
    torch.save(state, tmp_path / "best.pth")
    torch.testing.assert_close(
        checkpoints.load_pyskl(tmp_path / "best.pth")(heatmaps())[1], model(heatmaps())[1], rtol=0, atol=0
    )


@pytest.mark.parametrize(
    ("network", "more"),
    [
        (STGCNPP, {}),
        (STGCNPP, {"partition": "distance"}),
        (CTRGCN, {"persons": 2}),
        (CTRGCN, {"in_channels": 2}),
    ],
)
def test_graph_networks_of_pyskl_give_equal_outputs(tmp_path, network, more):
    state, model = graph_weights(network, **more)
    poses = torch.rand((2, more.get("in_channels", 3), 8, 17, 2), generator=torch.Generator().manual_seed(0))
    torch.save({"meta": {}, "state_dict": state}, tmp_path / "j.pth")
    loaded = checkpoints.load_pyskl(tmp_path / "j.pth")
    assert type(loaded) is network
    assert not loaded.training
    torch.testing.assert_close(loaded(poses)[0], model(poses)[0], rtol=0, atol=0)


@pytest.mark.parametrize(("network", "graph"), [(STGCNPP, "backbone.gcn.0.gcn.A"), (CTRGCN, "backbone.A")])
def test_graph_networks_of_pyskl_in_another_layout_begin_with_its_graph(tmp_path, network, graph):
    state, _ = graph_weights(network)
    torch.save(state, tmp_path / "j.pth")
    with pytest.warns(
        UserWarning, match=rf"newly initialised: .*{graph}.*cls.weight, fc_cls.bias$"
    ) as warned:
        loaded = checkpoints.load_pyskl(tmp_path / "j.pth", num_classes=3, layout="imigue22")
    anew = str(warned[0].message).partition("newly initialised: ")[2].split(", ")
    assert all(name.endswith(".A") or name.startswith(("backbone.data_bn", "fc_cls")) for name in anew)
    assert loaded(torch.rand(1, 3, 8, 22, 1))[0].shape == (1, 3)
    own, graph = loaded.state_dict(), torch.from_numpy(layouts.partitions(layouts.get("imigue22")))
    assert all(torch.equal(own[name], graph) for name in anew if name.endswith(".A"))
    assert all(
        torch.equal(own[name], tensor)
        for name, tensor in state.items()
        if name.startswith("backbone.") and name not in anew
    )


def test_files_of_other_networks_of_pyskl_are_refused(tmp_path):
    """Its ST-GCN has a graph ``A`` with importances ``PA``; a DG-STGCN has the ends of the blocks of
    ST-GCN++."""
    state, _ = graph_weights(STGCNPP)
    path = tmp_path / "j.pth"
    torch.save(state | {"backbone.gcn.0.gcn.PA": torch.ones(3, 17, 17)}, path)
    with pytest.raises(
        DataError,
        match=r"tensors do not fit the network of the other tensors: backbone\.gcn\.0\.gcn\.PA is unknown$",
    ):
        checkpoints.load_pyskl(path)
    torch.save({name: tensor for name, tensor in state.items() if ".transform." not in name}, path)
    with pytest.raises(
        DataError,
        match=r"not a PoseC3D, ST-GCN\+\+ or CTR-GCN of PySkl: it has none of .*; found backbone\.data_bn",
    ):
        checkpoints.load_pyskl(path)
    torch.save(state | {"backbone.gcn.0.gcn.A": torch.ones(4, 17, 17)}, path)
    with pytest.raises(
        DataError, match=r"A of shape \(4, 17, 17\) is not a graph of 1 to 3 partitions and 2 to 1000 joints"
    ):
        checkpoints.load_pyskl(path)
    torch.save(
        {name: tensor for name, tensor in state.items() if name != "backbone.gcn.1.gcn.bn.weight"}, path
    )
    with pytest.raises(
        DataError,
        match=r"no network can be built with the sizes in it \(channels must have a number of 6 or more",
    ):
        checkpoints.load_pyskl(path)
    torch.save(state, path)
    with pytest.raises(
        ValueError, match=r"in_channels is of PoseC3D, and the file is of STGCNPP; give its `layout`"
    ):
        checkpoints.load_pyskl(path, in_channels=3)


def test_stgcn_files_give_equal_outputs(tmp_path):
    state, model = stgcn_weights()
    poses = torch.rand((2, 3, 8, 18, 2), generator=torch.Generator().manual_seed(0))
    torch.save(state, tmp_path / "st_gcn.kinetics.pt")
    loaded = checkpoints.load_stgcn(tmp_path / "st_gcn.kinetics.pt")
    torch.testing.assert_close(loaded(poses)[0], model(poses)[0], rtol=0, atol=0)


def test_files_of_old_pytorch_versions_are_read(tmp_path):
    """They are not zip archives, and their batch norms have no counters."""
    state, model = stgcn_weights()
    old = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "st_gcn.pt", _use_new_zipfile_serialization=False)
    poses = torch.rand((2, 3, 8, 18, 1), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        checkpoints.load_stgcn(tmp_path / "st_gcn.pt")(poses)[0], model(poses)[0], rtol=0, atol=0
    )


@pytest.mark.parametrize("partition", ["uniform", "distance", "spatial"])
def test_the_number_of_partitions_gives_the_strategy(tmp_path, partition):
    state, _ = stgcn_weights(partition=partition)
    torch.save(state, tmp_path / "st_gcn.pt")
    assert checkpoints.load_stgcn(tmp_path / "st_gcn.pt").A.shape == state["A"].shape


def test_another_number_of_classes_initialises_the_head_anew_with_a_warning(tmp_path):
    state, model = pyskl_weights()
    torch.save(state, tmp_path / "best.pth")
    with pytest.warns(
        UserWarning,
        match=r"best\.pth: not loaded from the file, newly initialised: fc_cls\.weight, fc_cls\.bias$",
    ):
        loaded = checkpoints.load_pyskl(tmp_path / "best.pth", num_classes=3)
    torch.testing.assert_close(loaded.features(heatmaps()), model.features(heatmaps()), rtol=0, atol=0)
    assert loaded(heatmaps())[0].shape == (2, 3)
    torch.save(stgcn_weights()[0], tmp_path / "st_gcn.pt")
    with pytest.warns(UserWarning, match="newly initialised: fcn.weight, fcn.bias"):
        assert checkpoints.load_stgcn(tmp_path / "st_gcn.pt", num_classes=3).fcn.out_channels == 3


def test_another_number_of_joints_initialises_the_stem_anew_with_a_warning(tmp_path):
    state, _ = pyskl_weights()
    torch.save(state, tmp_path / "best.pth")
    with pytest.warns(UserWarning, match=r"newly initialised: backbone\.conv1\.conv\.weight$"):
        loaded = checkpoints.load_pyskl(tmp_path / "best.pth", in_channels=9)
    assert loaded(heatmaps(9))[0].shape == (2, 7)
    assert torch.equal(
        loaded.backbone.layer1[0].conv1.conv.weight, state["backbone.layer1.0.conv1.conv.weight"]
    )
    state, _ = stgcn_weights()
    torch.save(state, tmp_path / "st_gcn.pt")
    with pytest.warns(UserWarning, match=r"newly initialised: A, data_bn\.weight.*edge_importance\.2$"):
        loaded = checkpoints.load_stgcn(tmp_path / "st_gcn.pt", "imigue22")
    assert loaded(torch.rand(1, 3, 8, 22, 1))[0].shape == (1, 7)
    assert torch.equal(loaded.A, STGCN(layouts.get("imigue22"), 2).A)
    assert torch.equal(loaded.st_gcn_networks[1].gcn.conv.weight, state["st_gcn_networks.1.gcn.conv.weight"])


def test_with_the_numbers_of_the_file_all_weights_are_loaded(tmp_path):
    """A warning would be an error here."""
    torch.save(pyskl_weights()[0], tmp_path / "best.pth")
    checkpoints.load_pyskl(tmp_path / "best.pth", num_classes=7, in_channels=5)


def test_another_graph_is_kept_with_a_warning(tmp_path):
    state, _ = stgcn_weights("imigue22")
    torch.save(state, tmp_path / "st_gcn.pt")
    with pytest.warns(
        UserWarning, match="its graph differs from that of layout 'imigue22_official' and was kept"
    ):
        loaded = checkpoints.load_stgcn(tmp_path / "st_gcn.pt", "imigue22_official")
    assert torch.equal(loaded.A, state["A"])


@pytest.mark.parametrize("size", [{}, {"embedding_size": 6}, {"stem_kernel": 3}], ids=str)
def test_saved_checkpoints_have_the_names_of_pyskl(tmp_path, size):
    state, model = pyskl_weights(**size)
    checkpoints.save_pyskl(model, tmp_path / "ours.pth")
    held = torch.load(tmp_path / "ours.pth", weights_only=True)["state_dict"]
    assert held.keys() == state.keys()
    assert torch.equal(checkpoints.load_pyskl(tmp_path / "ours.pth")(heatmaps())[0], model(heatmaps())[0])
    assert [path.name for path in tmp_path.iterdir()] == ["ours.pth"]


def test_a_wrong_file_names_the_first_tensors_that_do_not_fit(tmp_path):
    path = tmp_path / "best.pth"
    state, _ = pyskl_weights()
    other = dict(state)
    other["backbone.layer2.0.conv2.conv.weight"] = torch.zeros(8, 8, 3, 3, 3)
    del other["backbone.layer1.1.conv3.bn.running_var"]
    torch.save(other | {"neck.weight": torch.zeros(1)}, path)
    with pytest.raises(
        DataError,
        match=r"best\.pth: tensors do not fit the network of the other tensors: backbone\.layer1\.1\.conv3\.bn\.running_var is missing; "
        r"backbone\.layer2\.0\.conv2\.conv\.weight is \(8, 8, 3, 3, 3\), expected \(8, 8, 1, 3, 3\); neck\.weight is unknown$",
    ):
        checkpoints.load_pyskl(path)
    torch.save(stgcn_weights()[0], path)
    with pytest.raises(
        DataError,
        match=r"not a PoseC3D, ST-GCN\+\+ or CTR-GCN of PySkl: it has none of backbone\.conv1.*; found A, ",
    ):
        checkpoints.load_pyskl(path)
    torch.save(state, path)
    with pytest.raises(
        DataError, match=r"not an ST-GCN: it must have a tensor 'fcn\.weight' of 4 dimensions"
    ):
        checkpoints.load_stgcn(path)


class Harm:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_that_would_run_code_is_refused_by_name(tmp_path, zipped):
    path = tmp_path / "harm.pth"
    torch.save({"state_dict": Harm(tmp_path / "done")}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(DataError, match=rf"harm\.pth: the checkpoint asks for {os.name}\.mkdir: refused"):
        checkpoints.load_pyskl(path)
    assert not (tmp_path / "done").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a checkpoint of PyTorch"),
        (b"PK\x03\x04 and no more", "not a checkpoint of PyTorch"),
        (pickle.dumps([1, 2]), "not a checkpoint of PyTorch"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    (tmp_path / "best.pth").write_bytes(content)
    with pytest.raises(DataError, match=message):
        checkpoints.load_pyskl(tmp_path / "best.pth")


def test_tensors_larger_than_their_data_are_refused(tmp_path):
    state, _ = pyskl_weights()
    state["backbone.conv1.conv.weight"] = torch.zeros(1).expand(10**6, 5, 1, 7, 7)
    torch.save(state, tmp_path / "best.pth")
    with pytest.raises(
        DataError,
        match=r"backbone\.conv1\.conv\.weight' has shape \(1000000, 5, 1, 7, 7\), and its data are shorter",
    ):
        checkpoints.load_pyskl(tmp_path / "best.pth")
    state["backbone.conv1.conv.weight"] = torch.zeros(10**5, 1, 1, 1, 1)
    torch.save(state, tmp_path / "best.pth")
    with pytest.raises(DataError, match="tensors do not fit"):  # and no network of that width was built
        checkpoints.load_pyskl(tmp_path / "best.pth")
    torch.save({"weights": 3}, tmp_path / "best.pth")
    with pytest.raises(DataError, match="expected tensors by name, found int under 'weights'"):
        checkpoints.load_pyskl(tmp_path / "best.pth")
    with pytest.raises(DataError, match="nothing.pth: no such file"):
        checkpoints.load_pyskl(tmp_path / "nothing.pth")
