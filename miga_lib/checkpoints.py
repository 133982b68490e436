"""Checkpoints of other projects: networks as PySkl stores them (read; PoseC3D also written), ST-GCN as its
authors store it (read).

The networks have the same weights, so only names differ: PySkl's heads are called ``cls_head.…``; the names
of ST-GCN's files are the same. Files are opened by PyTorch's weights-only loader, which runs no code.
"""

import re
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from . import atomic, layouts
from .layouts import Layout
from .models.ctrgcn import CTRGCN
from .models.posec3d import PoseC3D
from .models.stgcn import STGCN
from .models.stgcnpp import STGCNPP
from .readers import DataError, untrusted

HEAD_PREFIX = "cls_head."
PARTITIONS = {1: "uniform", 2: "distance", 3: "spatial"}
"""The partitions of a graph by P, their number."""
MAX_JOINTS = 1000

Weights = dict[str, Tensor]
Network = TypeVar("Network", bound=nn.Module)


class GraphFiles(NamedTuple):
    """A graph network, and the tensors of its files from which its size is read."""

    network: Callable[..., Any]
    graph: str
    """(P, V, V)."""
    conv: str
    """(C_out, C, 1, 1), of the first block."""
    width: str
    """Has as many rows as a block has output channels; ``#`` stands for the number of the block."""
    head: str = "fc_cls.weight"
    head_axes: int = 2


STEM = "backbone.conv1.conv.weight"
"""The first convolution of a PoseC3D."""
GCN, NET = "backbone.gcn.", "backbone.net."
STGCNPP_FILES = GraphFiles(STGCNPP, GCN + "0.gcn.A", GCN + "0.gcn.conv.weight", GCN + "#.gcn.bn.weight")
CTRGCN_FILES = GraphFiles(
    CTRGCN, NET + "0.gcn1.A", NET + "0.gcn1.convs.0.conv3.weight", NET + "#.gcn1.bn.weight"
)
STGCN_FILES = GraphFiles(
    STGCN, "A", "st_gcn_networks.0.gcn.conv.weight", "st_gcn_networks.#.tcn.2.weight", "fcn.weight", 4
)


def load_pyskl(
    path: str | Path,
    num_classes: int | None = None,
    in_channels: int | None = None,
    layout: str | Layout = "coco17",
) -> PoseC3D | STGCNPP | CTRGCN:
    """The PoseC3D, ST-GCN++ or CTR-GCN of a PySkl checkpoint, of any width and depth, in evaluation mode.

    Args:
        path: a state dict (with or without ``module.``), or a dict that contains one.
        num_classes: K. Where it differs from the file, a warning says that the head is initialised randomly.
        in_channels: C of a PoseC3D, the number of joints or limbs. Where it differs from the file, a warning
            says that the first convolution is initialised randomly.
        layout: the skeleton of an ST-GCN++ or CTR-GCN; the file does not name its joints, so their order is
            not checked. Where their number differs from the file, a warning says that the graphs are those of
            the layout, and the batch norm of the input is new.

    Raises:
        DataError: the file is not a checkpoint, or its tensors do not fit one of these networks.
        ValueError: ``in_channels`` was given for a network that is not a PoseC3D.
    """
    weights = {name.removeprefix(HEAD_PREFIX): tensor for name, tensor in read(path).items()}
    if STEM in weights:
        return _load_posec3d(path, weights, num_classes, in_channels)
    for files in (STGCNPP_FILES, CTRGCN_FILES):
        if files.graph in weights:
            if in_channels is not None:
                raise ValueError(
                    f"{path}: in_channels is of PoseC3D, and the file is not of one; give its `layout`"
                )
            return _load_graph_network(path, weights, files, layout, num_classes)
    raise DataError(
        f"{path}: not a PoseC3D, ST-GCN++ or CTR-GCN of PySkl: it has none of {STEM}, {STGCNPP_FILES.graph}, "
        f"{CTRGCN_FILES.graph}; found {_first(weights)}"
    )


def load_stgcn(
    path: str | Path, layout: str | Layout = "openpose18", num_classes: int | None = None
) -> STGCN:
    """The ST-GCN of a checkpoint of its authors, with any blocks and partitions, in evaluation mode.

    The network uses the graph in the file. Where the layout has another number of joints than the file, it
    uses the layout's graph, and a warning says that the weights that depend on joints (batch norm of the
    input, edge importance) are new. ``openpose18`` is the layout of the published checkpoints. The rest is as
    for ``load_pyskl``.
    """
    weights = read(path)
    model = _load_graph_network(path, weights, STGCN_FILES, layout, num_classes)
    graph = torch.from_numpy(layouts.partitions(model.layout, PARTITIONS[len(weights["A"])]))
    if graph.shape == weights["A"].shape and not torch.allclose(weights["A"].float(), graph, atol=1e-3):
        warnings.warn(
            f"{Path(path).name}: its graph differs from that of layout {model.layout.name!r} and was kept; "
            "check the order of joints",
            stacklevel=2,
        )
    return model


def fitting(path: str | Path, model: nn.Module, anew: Collection[str] = ()) -> Weights:
    """The tensors of a checkpoint, of this library, PySkl or ST-GCN, that a network has with the same name
    and shape, without those in ``anew`` and without the graph of an ST-GCN, which belongs to the network's
    layout.

    Raises DataError where less than half of the network's other weights are in the file.
    """
    weights = {name.removeprefix(HEAD_PREFIX): tensor for name, tensor in read(path).items()}
    own = {
        name: tensor for name, tensor in model.state_dict().items() if name not in {STGCN_FILES.graph, *anew}
    }
    shapes = {name: tensor.shape for name, tensor in weights.items()}
    differing = [name for name, tensor in own.items() if shapes.get(name) != tensor.shape]
    if len(differing) > len(own) / 2:
        name = differing[0]
        other = f"is {tuple(shapes[name])} there" if name in shapes else "is not there"
        raise DataError(
            f"{path}: {len(own) - len(differing)} of {len(own)} tensors fit this network; {name} of shape "
            f"{tuple(own[name].shape)} {other}: start from the same model, width and preset"
        )
    return {name: weights[name] for name in own if name not in differing}


def save_pyskl(model: PoseC3D, path: str | Path) -> None:
    """Write a PoseC3D as a checkpoint that PySkl loads. The file gets its name when it is complete."""
    weights = {}
    for name, tensor in model.state_dict().items():
        if not name.startswith("backbone."):
            name = HEAD_PREFIX + name
        weights[name] = tensor.cpu()
    with atomic.file(Path(path)) as unfinished:
        torch.save({"meta": {}, "state_dict": weights}, unfinished)


def read(path: str | Path) -> Weights:
    """The tensors of a checkpoint by name, without the dict around them and without ``module.``. Raises
    DataError where the file requests to run code, or contains anything else than named tensors."""
    stored = _load(path)
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(stored, Mapping) and isinstance(stored.get(key), Mapping):
            stored = stored[key]
    if not isinstance(stored, Mapping) or not stored:
        raise DataError(f"{path}: expected tensors by name, found {type(stored).__name__}")
    for name, tensor in stored.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise DataError(
                f"{path}: expected tensors by name, found {type(tensor).__name__} under {str(name)[:60]!r}"
            )
        dense = tensor.layout is torch.strided and not tensor.is_meta
        if not dense or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise DataError(
                f"{path}: {name[:60]!r} has shape {tuple(tensor.shape)}, and its data are shorter"
            )
    if all(name.startswith("module.") for name in stored):
        return {name.removeprefix("module."): tensor for name, tensor in stored.items()}
    return dict(stored)


def _load(path: str | Path) -> Any:
    try:
        untrusted.unpacked(Path(path))
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except Exception as error:  # torch raises half a dozen kinds for a file that is not its own
        code = re.search(r"GLOBAL (\S+)", str(error))
        if code:
            raise DataError(
                f"{path}: the checkpoint asks for {code[1]}: refused, and nothing was run; "
                "save only its state dict"
            ) from None
        raise DataError(f"{path}: not a checkpoint of PyTorch ({_one_line(error)})") from None


def _load_posec3d(
    path: str | Path, weights: Weights, num_classes: int | None, in_channels: int | None
) -> PoseC3D:
    base_channels, channels, _, _, stem_kernel = _shape(path, weights, STEM, 5)
    classes, _ = _shape(path, weights, "fc_cls.weight", 2)
    blocks = Counter(stage for stage, _ in _numbers(weights, r"backbone\.layer(\d{1,4})\.(\d{1,4})\."))
    build = partial(
        PoseC3D,
        base_channels=base_channels,
        stage_blocks=list(blocks.values()),
        stem_kernel=stem_kernel,
        embedding_size=_rows(weights, "emb_fc.weight"),
    )
    _check(path, weights, lambda: build(channels, classes))
    return _fill(path, build(in_channels or channels, num_classes or classes), weights)


def _load_graph_network(
    path: str | Path, weights: Weights, files: GraphFiles, layout: str | Layout, num_classes: int | None
) -> Any:
    layout = layouts.get(layout) if isinstance(layout, str) else layout
    classes, *_ = _shape(path, weights, files.head, files.head_axes)
    partitions, joints, _ = _shape(path, weights, files.graph, 3)
    _, in_channels, *_ = _shape(path, weights, files.conv, 4)
    if partitions not in PARTITIONS or not 2 <= joints <= MAX_JOINTS:
        raise DataError(
            f"{path}: {files.graph} of shape {tuple(weights[files.graph].shape)} is not a graph of 1 to 3 "
            f"partitions and 2 to {MAX_JOINTS} joints"
        )
    prefix, suffix = files.width.split("#")
    blocks = _numbers(weights, re.escape(prefix) + r"(\d{1,4})\.")
    build = partial(
        files.network,
        partition=PARTITIONS[partitions],
        in_channels=in_channels,
        embedding_size=_rows(weights, "emb_fc.weight"),
        channels=[_rows(weights, f"{prefix}{block}{suffix}") for (block,) in blocks],
    )
    if files is CTRGCN_FILES:
        values = _rows(weights, "backbone.data_bn.weight")
        build = partial(build, persons=max(1, values // (in_channels * joints)))
    stored = layout
    if len(layout.joints) != joints:
        stored = layouts.make("chain", [f"joint {v}" for v in range(joints)], [(0, 1)], 0)
    _check(path, weights, lambda: build(stored, classes))
    return _fill(path, build(layout, num_classes or classes), weights)


def _numbers(weights: Weights, pattern: str) -> list[tuple[int, ...]]:
    """The numbers in a pattern at the beginning of names, each tuple once, sorted."""
    matches = [re.match(pattern, name) for name in weights]
    return sorted({tuple(map(int, match.groups())) for match in matches if match})


def _rows(weights: Weights, name: str) -> int:
    """The first axis of a tensor, a layer's output size; 0 where there is no such layer."""
    return weights[name].shape[0] if name in weights and weights[name].ndim else 0


def _shape(path: str | Path, weights: Weights, name: str, axes: int) -> torch.Size:
    """The shape of a tensor that tells the size of the network."""
    if name not in weights:
        raise DataError(f"{path}: it must have a tensor {name!r}, found {_first(weights)}")
    shape = weights[name].shape
    if len(shape) != axes or 0 in shape:
        raise DataError(f"{path}: {name!r} must have {axes} axes and be filled, found shape {tuple(shape)}")
    return shape


def _check(path: str | Path, weights: Weights, build: Callable[[], nn.Module]) -> None:
    """Compare the file with a network of its size, built without memory."""
    try:
        with torch.device("meta"):
            network = build()
        network.load_state_dict(weights, assign=True)
    except (ValueError, RuntimeError, IndexError) as error:
        raise DataError(f"{path}: its tensors do not fit each other: {_one_line(error)}") from None


def _fill(path: str | Path, model: Network, weights: Weights) -> Network:
    """The network with the weights of the file, except those of another shape, which a warning lists."""
    own = model.state_dict()
    anew = [name for name, tensor in weights.items() if tensor.shape != own[name].shape]
    if anew:
        warnings.warn(
            f"{Path(path).name}: not loaded from the file, newly initialised: {', '.join(anew)}", stacklevel=4
        )
    model.load_state_dict({name: weights[name] for name in weights if name not in anew}, strict=False)
    return model.eval()


def _first(weights: Weights) -> str:
    """The names of the first tensors, for a message."""
    return f"{', '.join(name[:60] for name in list(weights)[:3])}, …"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:400] or type(error).__name__
