"""Checkpoints of other projects: networks as PySkl stores them (read; PoseC3D also written), ST-GCN as its
authors store it (read).

The networks have the same weights, so only names differ: PySkl's heads are called ``cls_head.…``; the names
of ST-GCN's files are the same. Files are opened by PyTorch's weights-only loader, which runs no code.
"""

import re
import warnings
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from . import atomic, layouts
from .models.ctrgcn import CTRGCN
from .models.posec3d import PoseC3D
from .models.stgcn import STGCN
from .models.stgcnpp import STGCNPP
from .readers import DataError, untrusted

HEAD_PREFIX = "cls_head."
GRAPH = "A"
"""The name of the partitions in an ST-GCN's checkpoint."""
ORIGIN = "origin"
"""The key of what a file of ``training.pretraining`` says about the training of its weights."""
PARTITIONS = {1: "uniform", 2: "distance", 3: "spatial"}
"""ST-GCN's partition partitions, by P, their number of partitions."""

MOST_JOINTS = 1000

Weights = dict[str, Tensor]
Network = TypeVar("Network", bound=nn.Module)


def load_pyskl(
    path: str | Path,
    num_classes: int | None = None,
    in_channels: int | None = None,
    layout: str | layouts.Layout = "coco17",
) -> PoseC3D | STGCNPP | CTRGCN:
    """The PoseC3D, ST-GCN++ or CTR-GCN of a PySkl checkpoint, of any width and depth, in evaluation mode.

    Args:
        path: a checkpoint of PySkl or of ``save_pyskl``: a state dict (with or without ``module.``), or a
            dict that contains one.
        num_classes: K. Where it differs from the file, the classification head is initialised randomly, with
            a warning.
        in_channels: C of a PoseC3D, the number of joints or limbs. Where it differs from the file, the first
            convolution is initialised randomly, with a warning.
        layout: the skeleton of an ST-GCN++ or CTR-GCN; the file does not name its joints, so their order is
            not checked. Where their number differs from the file, the graphs are those of the layout, and the
            batch norm of the input is newly initialised, with a warning.

    Raises:
        DataError: the file is not a checkpoint, or its tensors do not fit one of these networks; the message
            names the first of them.
        ValueError: ``in_channels`` was given for a network that is not a PoseC3D.
    """
    weights = {name.removeprefix(HEAD_PREFIX): tensor for name, tensor in read(path).items()}
    known = {
        "backbone.conv1.conv.weight": PoseC3D,
        "backbone.gcn.0.tcn.transform.0.weight": STGCNPP,
        "backbone.net.0.gcn1.A": CTRGCN,
    }
    kind = next((network for name, network in known.items() if name in weights), None)
    if kind is None:
        raise DataError(
            f"{path}: not a PoseC3D, ST-GCN++ or CTR-GCN of PySkl: it has none of {', '.join(known)}; found {_first(weights)}"
        )
    if kind is PoseC3D:
        return _posec3d(path, weights, num_classes, in_channels)
    if in_channels is not None:
        raise ValueError(
            f"{path}: in_channels is of PoseC3D, and the file is of {kind.__name__}; give its `layout`"
        )
    return (_stgcnpp if kind is STGCNPP else _ctrgcn)(path, weights, layout, num_classes)


def _posec3d(path: str | Path, weights: Weights, num_classes: int | None, in_channels: int | None) -> PoseC3D:
    stem, head = "backbone.conv1.conv.weight", "fc_cls.weight"
    _require(path, weights, "a PoseC3D", {stem: 5, head: 2})
    blocks = [
        len(_numbers(weights, rf"backbone\.layer{stage}\.(\d{{1,4}})\."))
        for stage in _numbers(weights, r"backbone\.layer(\d{1,4})\.")
    ]

    def build(channels: int, classes: int) -> PoseC3D:
        embedding = _rows(weights, "emb_fc.weight")
        base, kernel = len(weights[stem]), weights[stem].shape[-1]
        return PoseC3D(
            channels,
            classes,
            base_channels=base,
            stage_blocks=blocks,
            stem_kernel=kernel,
            embedding_size=embedding,
        )

    stored = weights[stem].shape[1], len(weights[head])
    _check(path, weights, lambda: build(*stored))
    return _fill(path, build(in_channels or stored[0], num_classes or stored[1]), weights)


def _stgcnpp(
    path: str | Path, weights: Weights, layout: str | layouts.Layout, num_classes: int | None
) -> STGCNPP:
    graph, first = "backbone.gcn.0.gcn.A", "backbone.gcn.0.gcn.conv.weight"
    _require(path, weights, "an ST-GCN++", {graph: 3, first: 4, "fc_cls.weight": 2})

    def build(skeleton: layouts.Layout, classes: int, partition: str) -> STGCNPP:
        channels = [
            _rows(weights, f"backbone.gcn.{i}.gcn.bn.weight")
            for i in _numbers(weights, r"backbone\.gcn\.(\d{1,4})\.")
        ]
        sizes = {"in_channels": weights[first].shape[1], "embedding_size": _rows(weights, "emb_fc.weight")}
        return STGCNPP(skeleton, classes, partition=partition, channels=channels, **sizes)

    return _graph_network(path, weights, layout, num_classes, graph, "fc_cls.weight", build)


def _ctrgcn(
    path: str | Path, weights: Weights, layout: str | layouts.Layout, num_classes: int | None
) -> CTRGCN:
    graph, first, norm = (
        "backbone.net.0.gcn1.A",
        "backbone.net.0.gcn1.convs.0.conv3.weight",
        "backbone.data_bn.weight",
    )
    _require(path, weights, "a CTR-GCN", {graph: 3, first: 4, norm: 1, "fc_cls.weight": 2})

    def build(skeleton: layouts.Layout, classes: int, partition: str) -> CTRGCN:
        channels = [
            _rows(weights, f"backbone.net.{i}.gcn1.bn.weight")
            for i in _numbers(weights, r"backbone\.net\.(\d{1,4})\.")
        ]
        values = weights[first].shape[1]
        sizes = {"in_channels": values, "embedding_size": _rows(weights, "emb_fc.weight")}
        persons = max(1, len(weights[norm]) // (values * weights[graph].shape[1]))
        return CTRGCN(skeleton, classes, partition=partition, channels=channels, persons=persons, **sizes)

    return _graph_network(path, weights, layout, num_classes, graph, "fc_cls.weight", build)


def load_stgcn(
    path: str | Path, layout: str | layouts.Layout = "openpose18", num_classes: int | None = None
) -> STGCN:
    """The ST-GCN of a checkpoint of its authors, with any blocks and partitions, in evaluation mode.

    The network uses the graph in the file. Where the layout has another number of joints than the file, it
    uses the layout's graph, and the weights that depend on joints (batch norm of the input, edge importance)
    are newly initialised, with a warning.

    Args:
        path: a checkpoint: a state dict (with or without ``module.``), or a dict that contains one.
        layout: the skeleton of the network's input; that of the published checkpoints is ``openpose18``.
        num_classes: K. Where it differs from the file, the classification head is initialised randomly, with
            a warning.

    Raises:
        DataError: the file is not a checkpoint, or its tensors do not fit an ST-GCN; the message names the
            first of them.
    """
    weights = read(path)
    head, graph, norm = "fcn.weight", "A", "data_bn.weight"
    _require(path, weights, "an ST-GCN", {head: 4, graph: 3, norm: 1, "st_gcn_networks.0.gcn.conv.weight": 4})
    joints = weights[graph].shape[1]
    if len(weights[norm]) % joints:
        raise DataError(
            f"{path}: a graph of shape {tuple(weights[graph].shape)} with {len(weights[norm])} input values is not an ST-GCN's"
        )
    blocks = _numbers(weights, r"st_gcn_networks\.(\d{1,4})\.")
    channels = [_rows(weights, f"st_gcn_networks.{block}.tcn.2.weight") for block in blocks]

    def build(skeleton: layouts.Layout, classes: int, partition: str) -> STGCN:
        return STGCN(
            skeleton,
            classes,
            partition=partition,
            in_channels=len(weights[norm]) // joints,
            edge_importance="edge_importance.0" in weights,
            embedding_size=_rows(weights, "emb_fc.weight"),
            channels=channels,
        )

    model = _graph_network(path, weights, layout, num_classes, graph, head, build)
    own = torch.from_numpy(layouts.partitions(model.layout, PARTITIONS[len(weights[graph])]))
    if own.shape == weights[graph].shape and not torch.allclose(weights[graph].float(), own, atol=1e-3):
        warnings.warn(
            f"{Path(path).name}: its graph differs from that of layout {model.layout.name!r} and was kept; check the order of joints",
            stacklevel=2,
        )
    return model


def fitting(path: str | Path, model: nn.Module, anew: Collection[str] = ()) -> Weights:
    """The tensors of a checkpoint, of this library, PySkl or ST-GCN, that a network has with the same name
    and shape.

    Args:
        anew: names of tensors that are left out. The graph of an ST-GCN is always left out: it belongs to the
            network's layout.

    Raises:
        DataError: the file is not a checkpoint, or less than half of the network's other weights are in it.
    """
    weights = {name.removeprefix(HEAD_PREFIX): tensor for name, tensor in read(path).items()}
    own = {name: tensor for name, tensor in model.state_dict().items() if name != GRAPH and name not in anew}
    found = {
        name: weights[name]
        for name, tensor in own.items()
        if name in weights and weights[name].shape == tensor.shape
    }
    if len(found) < len(own) / 2:
        differing = next(iter(own.keys() - found.keys()))
        other = f"is {tuple(weights[differing].shape)} there" if differing in weights else "is not there"
        raise DataError(
            f"{path}: {len(found)} of {len(own)} tensors fit this network; {differing} of shape {tuple(own[differing].shape)} {other}: "
            "start from the same model, width and preset"
        )
    return found


def save_pyskl(model: PoseC3D, path: str | Path) -> None:
    """Write a PoseC3D as a checkpoint that PySkl loads. The file gets its name when it is complete."""
    weights = {
        name if name.startswith("backbone.") else HEAD_PREFIX + name: tensor.cpu()
        for name, tensor in model.state_dict().items()
    }
    with atomic.file(Path(path)) as unfinished:
        torch.save({"meta": {}, "state_dict": weights}, unfinished)


def read(path: str | Path) -> Weights:
    """The tensors of a checkpoint by name, without the dict around them and without ``module.``.

    Raises:
        DataError: the file is not a checkpoint, requests to run code, or contains anything else than named
            tensors.
    """
    stored = _loaded(path)
    for key in ("state_dict", "model_state_dict", "model"):
        stored = (
            stored[key] if isinstance(stored, Mapping) and isinstance(stored.get(key), Mapping) else stored
        )
    if not isinstance(stored, Mapping) or not stored:
        raise DataError(f"{path}: expected tensors by name, found {type(stored).__name__}")
    for name, tensor in stored.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise DataError(
                f"{path}: expected tensors by name, found {type(tensor).__name__} under {str(name)[:60]!r}"
            )
        if (
            tensor.layout is not torch.strided
            or tensor.is_meta
            or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes()
        ):
            raise DataError(
                f"{path}: {name[:60]!r} has shape {tuple(tensor.shape)}, and its data are shorter"
            )
    wrapped = all(name.startswith("module.") for name in stored)
    return {name.removeprefix("module.") if wrapped else name: tensor for name, tensor in stored.items()}


def origin(path: str | Path) -> Mapping[str, Any] | None:
    """What a file of ``training.pretraining`` says about its training; None for other files. Raises DataError
    as ``read`` does."""
    stored = _loaded(path)
    found = stored.get(ORIGIN) if isinstance(stored, Mapping) else None
    return found if isinstance(found, Mapping) else None


def _loaded(path: str | Path) -> Any:
    """What PyTorch's weights-only loader finds in a file. Raises DataError where it cannot load it."""
    try:
        untrusted.unpacked(Path(path))
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except Exception as error:  # torch raises half a dozen kinds for a file that is not its own
        if asked := re.search(r"GLOBAL (\S+)", str(error)):
            raise DataError(
                f"{path}: the checkpoint asks for {asked[1]}: refused, and nothing was run; save only its state dict"
            ) from None
        raise DataError(
            f"{path}: not a checkpoint of PyTorch ({' '.join(str(error).split())[:200] or type(error).__name__})"
        ) from None


def _numbers(weights: Weights, pattern: str) -> list[int]:
    """The numbers that a pattern finds at the beginning of names, each once, sorted."""
    return sorted({int(found[1]) for name in weights if (found := re.match(pattern, name))})


def _rows(weights: Weights, name: str) -> int:
    """The output size of a layer, the first axis of its weight; 0 where there is no such layer."""
    return weights[name].shape[0] if name in weights and weights[name].ndim else 0


def _require(path: str | Path, weights: Weights, network: str, dimensions: Mapping[str, int]) -> None:
    """Check that the tensors are there from which the size of the network is read. Raises DataError naming
    the first that is not."""
    for name, count in dimensions.items():
        if name not in weights or weights[name].ndim != count or not all(weights[name].shape):
            found = f"it is {tuple(weights[name].shape)}" if name in weights else f"found {_first(weights)}"
            raise DataError(
                f"{path}: not {network}: it must have a tensor {name!r} of {count} dimensions, {found}"
            )


def _check(path: str | Path, weights: Weights, build: Callable[[], nn.Module]) -> None:
    """Compare the file with a network of its size, built without memory. Raises DataError naming the first
    tensors that differ."""
    try:
        with torch.device("meta"):
            expected = build().state_dict()
    except (ValueError, RuntimeError, IndexError) as error:
        raise DataError(
            f"{path}: no network can be built with the sizes in it ({' '.join(str(error).split())[:200]})"
        ) from None
    differing = [
        f"{name} is {tuple(weights[name].shape)}, expected {tuple(tensor.shape)}"
        if name in weights
        else f"{name} is missing"
        for name, tensor in expected.items()
        if (
            weights[name].shape != tensor.shape
            if name in weights
            else not name.endswith("num_batches_tracked")
        )
    ]
    differing += [f"{name} is unknown" for name in weights if name not in expected]
    if differing:
        more = f"; and {len(differing) - 3} more" if len(differing) > 3 else ""
        raise DataError(
            f"{path}: tensors do not fit the network of the other tensors: {'; '.join(differing[:3])}{more}"
        )


def _graph_network(
    path: str | Path,
    weights: Weights,
    layout: str | layouts.Layout,
    num_classes: int | None,
    graph: str,
    head: str,
    build: Callable[[layouts.Layout, int, str], Network],
) -> Network:
    """The network of a layout, a number of classes and a partition, with the weights of the file.

    Args:
        graph: the name of a tensor of shape (P, V, V).
        head: the name of the weight of the classification head.
    """
    layout = layouts.get(layout) if isinstance(layout, str) else layout
    partitions, joints, _ = weights[graph].shape
    if partitions not in PARTITIONS or not 2 <= joints <= MOST_JOINTS:
        raise DataError(
            f"{path}: {graph} of shape {tuple(weights[graph].shape)} is not a graph of 1 to 3 partitions and 2 to 1000 joints"
        )
    partition, classes = PARTITIONS[partitions], len(weights[head])
    same = len(layout.joints) == joints
    stored = layout if same else layouts.make("chain", [f"joint {v}" for v in range(joints)], [(0, 1)], 0)
    _check(path, weights, lambda: build(stored, classes, partition))
    return _fill(path, build(layout, num_classes or classes, partition), weights)


def _fill(path: str | Path, model: Network, weights: Weights) -> Network:
    """The network with the weights of the file, except those of another shape, which a warning lists."""
    own = model.state_dict()
    anew = [name for name, tensor in weights.items() if tensor.shape != own[name].shape]
    if anew:
        warnings.warn(
            f"{Path(path).name}: not loaded from the file, newly initialised: {', '.join(anew)}", stacklevel=4
        )
    model.load_state_dict(
        {name: tensor for name, tensor in weights.items() if name not in anew}, strict=False
    )
    return model.eval()


def _first(weights: Weights) -> str:
    """The names of the first tensors, for a message."""
    return f"{', '.join(name[:60] for name in list(weights)[:3])}, …"
