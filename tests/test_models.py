"""Laws that every network keeps, whatever its layers."""

import pytest
import torch
from networks import CHAIN, draw, randomised
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from miga_lib import layouts
from miga_lib.models import MODELS
from miga_lib.models.ctrgcn import CTRGCN
from miga_lib.models.folding import folded
from miga_lib.models.posec3d import PoseC3D
from miga_lib.models.stgcn import STGCN
from miga_lib.models.stgcnpp import STGCNPP

GRAPHS = [name for name, model in MODELS.items() if model.input == "graph"]
COCO = layouts.get("coco17")
SMALL = {
    "graph": {"width": 24, "multiples": (1, 1, 2), "partition": "spatial"},
    "heatmaps": {"width": 4, "stage_blocks": (2, 1), "stem_kernel": 3},
}


def built(name: str, layout: layouts.Layout = CHAIN, dropout: float = 0.0) -> nn.Module:
    """A small network of 4 classes and embeddings of 5 values."""
    model = MODELS[name]
    return model.build(layout, 3, 4, dropout=dropout, embedding_size=5, **SMALL[model.input])


def clips(name: str, number: int, joints: int = 3) -> Tensor:
    """Random inputs of a network: maps of three channels, or two persons."""
    shape = (3, 4, 8, 8) if MODELS[name].input == "heatmaps" else (3, 12, joints, 2)
    return draw(number, *shape)


@pytest.mark.parametrize("name", MODELS)
def test_clips_are_independent_in_evaluation(name):
    model, inputs = randomised(built(name)).eval(), clips(name, 5)
    order = torch.tensor([3, 0, 4, 2, 1])
    for output, shuffled, again in zip(model(inputs), model(inputs[order]), model(inputs), strict=True):
        torch.testing.assert_close(output[order], shuffled)
        assert torch.equal(output, again)


@pytest.mark.parametrize("name", MODELS)
def test_gradient_reaches_every_parameter(name):
    """In evaluation, since that of a bias before a batch norm is 0 in training."""
    model = randomised(built(name)).eval()
    logits, embedding = model(clips(name, 4))
    (logits.square().sum() + embedding.square().sum()).backward()
    assert all(parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize("name", MODELS)
def test_half_precision_agrees_with_full_precision(name):
    model, inputs = randomised(built(name)).eval(), clips(name, 2)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(inputs)
    for half, full in zip(rounded, model(inputs), strict=True):
        torch.testing.assert_close(half.float(), full, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "stgcn"])
def test_dropout_is_before_the_class_head_and_not_before_the_embedding_head(name):
    model = randomised(built(name, dropout=0.999999999))
    logits, embedding = model(clips(name, 2))
    torch.testing.assert_close(logits, model.fc_cls.bias.expand(2, -1))
    assert (embedding - model.emb_fc.bias).abs().min() > 0


@pytest.mark.parametrize(("name", "norms"), [("posec3d", 0), ("stgcn", 3), ("stgcnpp", 9), ("ctrgcn", 6)])
def test_folding_batch_norm_keeps_the_results(name, norms):
    """The norms that do not follow a convolution stay, and the network itself stays as it is."""
    model, inputs = randomised(built(name)).eval(), clips(name, 2)
    state = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    fast = folded(model)
    for output, expected in zip(fast(inputs), model(inputs), strict=True):
        torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)
    assert sum(isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d) for module in fast.modules()) == norms
    torch.testing.assert_close(dict(model.state_dict()), state, rtol=0, atol=0)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_order_and_the_number_of_equal_persons_does_not_matter(name):
    model, poses = randomised(built(name)).eval(), clips(name, 2)
    for output, swapped in zip(model(poses), model(poses.flip(4)), strict=True):
        torch.testing.assert_close(output, swapped)
    alone = poses[..., :1]
    for output, doubled in zip(model(alone), model(alone.expand(-1, -1, -1, -1, 2)), strict=True):
        torch.testing.assert_close(output, doubled)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_joints_may_be_in_any_order(name):
    order = [2, 0, 1]
    other = layouts.make("chain", [CHAIN.joints[v] for v in order], "head-hip-foot", center="head")
    first, second = built(name).eval(), built(name, other).eval()
    state = first.state_dict()
    second.load_state_dict(
        {key: state[key] for key in state if state[key].shape[-2:] != (3, 3) and "data_bn" not in key},
        strict=False,
    )
    poses = clips(name, 2)
    for output, expected in zip(second(poses[:, :, :, order]), first(poses), strict=True):
        torch.testing.assert_close(output, expected)


@pytest.mark.parametrize("name", GRAPHS)
def test_joints_and_clips_that_are_missing_give_finite_outputs(name):
    poses = clips(name, 3, joints=41)
    poses[0], poses[1, :, :, 5:], poses[2, :, 4:] = 0, 0, 0
    for training in (True, False):
        outputs = randomised(built(name, layouts.get("imigue41"))).train(training)(poses)
        assert [tuple(output.shape) for output in outputs] == [(3, 4), (3, 5)]
        assert all(output.isfinite().all() for output in outputs)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_batch_of_other_joints_is_refused(name):
    with pytest.raises(ValueError, match="layout 'chain' has 3 joints, found 22 in the batch"):
        built(name)(clips(name, 2, joints=22))


@pytest.mark.parametrize(
    ("build", "shape", "parameters", "multiply_adds"),
    [
        (lambda: PoseC3D(17, 60), (1, 17, 48, 56, 56), 2_024_860, 15.9e9),
        (lambda: STGCN(COCO, 60), (1, 3, 100, 17, 2), 3_088_704, 3.8e9),
        (lambda: STGCNPP(COCO, 60), (1, 3, 100, 17, 2), 1_393_016, 1.95e9),
    ],
)
def test_published_numbers_of_parameters_and_multiply_adds(build, shape, parameters, multiply_adds):
    """Of the papers and of MMAction2's table, with 17 joints of COCO, 60 classes and two persons."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        model = build()
        model(torch.empty(shape))
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    assert counter.get_total_flops() / 2 == pytest.approx(multiply_adds, rel=0.02)


@pytest.mark.parametrize(("network", "least"), [(STGCN, 1), (STGCNPP, 6), (CTRGCN, 4)])
def test_channels_that_cannot_be_are_refused(network, least):
    for channels in ((), (8, least - 1)):
        with pytest.raises(ValueError, match=rf"channels must have a number of {least} or more .*, got \("):
            network(CHAIN, 4, channels=channels)
