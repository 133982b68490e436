"""Laws that every graph network keeps, whatever its layers."""

import pytest
import test_stgcn
import torch
from test_stgcn import CHAIN, draw
from test_stgcnpp import randomised
from torch.utils.flop_counter import FlopCounterMode

from miga_lib import layouts
from miga_lib.models import MODELS
from miga_lib.models.stgcnpp import STGCNPP

GRAPHS = [name for name, model in MODELS.items() if model.input == "graph"]
SIZE = {"width": 8, "dropout": 0.0, "embedding_size": 5, "partition": "spatial", "multiples": (1, 1, 2)}


def built(name: str, layout: layouts.Layout = CHAIN, **more: object) -> torch.nn.Module:
    model = MODELS[name].build(layout, 3, 4, **SIZE | more)
    return test_stgcn.randomised(model) if name == "stgcn" else randomised(model)


@pytest.mark.parametrize("name", GRAPHS)
def test_clips_are_independent_and_the_order_of_persons_does_not_matter_in_evaluation(name):
    model = built(name, layouts.get("imigue22")).eval()
    poses = draw(5, 3, 12, 22, 2)
    order = torch.tensor([3, 0, 4, 2, 1])
    outputs = model(poses)
    for together, shuffled, swapped, again in zip(
        outputs, model(poses[order]), model(poses.flip(4)), model(poses), strict=True
    ):
        torch.testing.assert_close(together[order], shuffled)
        torch.testing.assert_close(together, swapped)
        torch.testing.assert_close(together, again, rtol=0, atol=0)


@pytest.mark.parametrize("name", GRAPHS)
def test_two_equal_persons_give_what_one_gives(name):
    model, poses = built(name).eval(), draw(2, 3, 8, 3, 1)
    for one, two in zip(model(poses), model(poses.expand(-1, -1, -1, -1, 2)), strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize("name", GRAPHS)
def test_the_names_of_the_joints_may_be_in_any_order(name):
    """A graph whose joints are permuted gives the same outputs for poses whose joints are permuted."""
    order = [2, 0, 1]
    other = layouts.make("chain", [CHAIN.joints[v] for v in order], "head-hip-foot", center="head")
    first, second = (MODELS[name].build(layout, 3, 4, **SIZE).eval() for layout in (CHAIN, other))
    weights = {
        key: tensor
        for key, tensor in first.state_dict().items()
        if tensor.shape[-2:] != (3, 3) and "data_bn" not in key
    }
    second.load_state_dict(weights, strict=False)
    poses = draw(2, 3, 8, 3, 1)
    for a, b in zip(first(poses), second(poses[:, :, :, order]), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("layout", ["imigue41", "coco17"])
def test_joints_and_clips_that_are_missing_give_finite_outputs(name, layout):
    skeleton = layouts.get(layout)
    poses = draw(3, 3, 8, len(skeleton.joints), 1)
    poses[0], poses[1, :, :, 5:], poses[2, :, 4:] = 0, 0, 0
    for training in (True, False):
        outputs = built(name, skeleton).train(training)(poses)
        assert [tuple(output.shape) for output in outputs] == [(3, 4), (3, 5)]
        assert all(output.isfinite().all() for output in outputs)


@pytest.mark.parametrize("name", GRAPHS)
def test_gradient_reaches_every_parameter(name):
    model = built(name, layouts.get("imigue22"))
    logits, embedding = model(draw(4, 3, 12, 22, 1))
    (logits.square().sum() + embedding.square().sum()).backward()
    assert [
        key
        for key, parameter in model.named_parameters()
        if parameter.grad is None or not parameter.grad.any()
    ] == []


@pytest.mark.parametrize("name", GRAPHS)
def test_half_precision_agrees_with_full_precision(name):
    model, poses = built(name).eval(), draw(2, 3, 8, 3, 1)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = model(poses)
    for half, full in zip(rounded, model(poses), strict=True):
        torch.testing.assert_close(half.float(), full, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("name", GRAPHS)
def test_a_batch_of_other_joints_is_refused(name):
    with pytest.raises(ValueError, match="layout 'chain' has 3 joints, found 22 in the batch"):
        built(name)(draw(2, 3, 8, 22, 1))


@pytest.mark.parametrize("name", ["stgcnpp", "ctrgcn"])
def test_dropout_is_before_the_class_head_and_not_before_the_embedding_head(name):
    model = built(name, dropout=0.999999999)
    logits, embedding = model(draw(2, 3, 8, 3, 1))
    torch.testing.assert_close(logits, model.fc_cls.bias.expand(2, -1))
    assert (embedding - model.emb_fc.bias).abs().min() > 0


def test_multiply_adds_of_st_gcn_plus_plus_are_the_published_1_95_billion():
    # Two persons of 17 joints over 100 frames, as in MMAction2's table.
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        STGCNPP(layouts.get("coco17"), 60)(torch.empty(1, 3, 100, 17, 2))
    assert counter.get_total_flops() / 2 == pytest.approx(1.95e9, rel=0.01)
