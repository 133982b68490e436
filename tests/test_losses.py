import math

import pytest
import torch

from miga_lib import losses


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "logits": torch.randn(5, 4, generator=generator, requires_grad=True),
        "embedding": torch.randn(5, 3, generator=generator, requires_grad=True),
        "labels": torch.tensor([0, 3, 1, 1, 2]),
        "class_embeddings": torch.randn(4, 3, generator=generator),
    }


def total(batch: dict[str, torch.Tensor], semantic: float = 20.0) -> dict[str, torch.Tensor]:
    return losses.total(losses.LossInputs(**batch), {"semantic": semantic})


def test_two_clips_worked_by_hand():
    # Equal logits over 4 classes: cross-entropy ln 4. Errors (1, 0) and (2, 1): mean square (1 + 0 + 4 + 1) /
    # 4 = 1.5.
    batch = losses.LossInputs(
        logits=torch.zeros(2, 4),
        embedding=torch.tensor([[1.0, 0.0], [2.0, 2.0]]),
        labels=torch.tensor([0, 2]),
        class_embeddings=torch.tensor([[0.0, 0.0], [9.0, 9.0], [0.0, 1.0], [9.0, 9.0]]),
    )
    parts = losses.total(batch, {"semantic": 20})
    assert parts["cross_entropy"].item() == pytest.approx(math.log(4))
    assert parts["semantic"].item() == pytest.approx(1.5)
    assert parts["loss"].item() == pytest.approx(math.log(4) + 20 * 1.5)


def test_predicting_the_class_embedding_has_no_semantic_loss(batch):
    batch["embedding"] = batch["class_embeddings"][batch["labels"]]
    assert total(batch)["semantic"] == 0


def test_gradient_is_that_of_the_weighted_sum(batch):
    gradients = {}
    for weight in (1.0, 3.0):
        loss = total(batch, weight)["loss"]
        gradients[weight] = torch.autograd.grad(loss, [batch["logits"], batch["embedding"]])
    torch.testing.assert_close(gradients[1.0][0], gradients[3.0][0])
    torch.testing.assert_close(3 * gradients[1.0][1], gradients[3.0][1])
    # d/de of the mean over 15 values of (e − c)² is 2 (e − c) / 15.
    torch.testing.assert_close(
        gradients[1.0][1], 2 * (batch["embedding"] - batch["class_embeddings"][batch["labels"]]).detach() / 15
    )


def test_only_the_loss_is_attached_to_the_graph(batch):
    for weight in (0.0, 20.0):
        parts = total(batch, weight)
        assert {name: part.requires_grad for name, part in parts.items()} == {
            "loss": True,
            "cross_entropy": False,
            "semantic": False,
        }


def test_weight_0_works_without_embeddings(batch):
    parts = losses.total(
        losses.LossInputs(batch["logits"], torch.empty(5, 0), batch["labels"]), {"semantic": 0}
    )
    assert parts["semantic"] == 0
    assert parts["loss"] == parts["cross_entropy"] > 0


def test_order_of_clips_does_not_matter(batch):
    order = torch.tensor([4, 2, 0, 1, 3])
    shuffled = {
        name: values if name == "class_embeddings" else values[order] for name, values in batch.items()
    }
    for name, part in total(batch).items():
        torch.testing.assert_close(part, total(shuffled)[name])


def test_half_precision_embeddings_are_compared_in_the_precision_of_the_table(batch):
    batch["embedding"] = batch["embedding"].detach().bfloat16().requires_grad_()
    parts = total(batch)
    assert parts["semantic"].dtype == torch.float32
    parts["loss"].backward()
    assert batch["embedding"].grad.dtype == torch.bfloat16


@pytest.mark.parametrize("unknown", [-1, -100])
def test_an_unknown_label_is_refused(batch, unknown):
    batch["labels"][2] = unknown
    with pytest.raises(
        ValueError, match=f"labels must be 0 or more in training, found {unknown}; leave out clips"
    ):
        total(batch)


def test_missing_or_wrong_class_embeddings_are_refused(batch):
    with pytest.raises(
        ValueError, match="predicts embeddings of 3 values and the class embeddings have none"
    ):
        total(batch | {"class_embeddings": None})
    with pytest.raises(
        ValueError, match="predicts embeddings of 0 values and the class embeddings have 3; build it with"
    ):
        total(batch | {"embedding": torch.empty(5, 0)})


def test_adjusted_logits_worked_by_hand():
    # Equal logits, classes with shares 3/4 and 1/4: the softmax is the shares, so a clip of the rare class
    # costs ln 4.
    batch = losses.LossInputs(
        torch.zeros(1, 2), torch.zeros(1, 0), torch.tensor([1]), adjustment=torch.tensor([0.75, 0.25]).log()
    )
    assert losses.cross_entropy(batch).item() == pytest.approx(math.log(4))
