"""The training loss: a weighted sum of ``TERMS``; each term is also reported by itself.

A new term is a function here, an entry in ``TERMS``, and a field ``<name>_weight`` in ``settings.Settings``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, eq=False)
class LossInputs:
    """The network's output for N clips, and their classes.

    Raises ValueError for a label below 0, as of a clip whose class is unknown. (Not on a GPU, where reading
    the labels would wait for the device; there an assertion of PyTorch fails instead.)
    """

    logits: Float[Tensor, "N K"]
    embedding: Float[Tensor, "N E"]
    labels: Int[Tensor, " N"]
    """Class indices 0 to K − 1."""
    class_embeddings: Float[Tensor, "K _"] | None = None
    """A row for each class, from ``labels.embeddings``; None where no term needs them."""
    adjustment: Float[Tensor, " K"] | float = 0.0
    """Added to the logits in ``cross_entropy``."""

    def __post_init__(self) -> None:
        if not self.labels.is_cuda and (self.labels < 0).any():
            raise ValueError(
                f"labels must be 0 or more in training, found {self.labels.min().item()}; "
                "leave out clips whose class is unknown"
            )


def cross_entropy(batch: LossInputs) -> Float[Tensor, ""]:
    """Mean cross-entropy of the classes, in nats, of logits + adjustment.

    With τ · log(share of each class in training) as the adjustment, a network learns logits that predict all
    classes as if they were equally frequent: Menon et al., Long-Tail Learning via Logit Adjustment, ICLR
    2021, equation 10. τ = 1 is also the balanced softmax of Ren et al., NeurIPS 2020.
    """
    return functional.cross_entropy(batch.logits + batch.adjustment, batch.labels)


def semantic(batch: LossInputs) -> Float[Tensor, ""]:
    """Mean squared error between the predicted embedding and that of the true class, over clips and E values.
    Raises ValueError where there are no class embeddings, or of another size.

    Source: Li et al., Joint Skeletal and Semantic Embedding Loss for Micro-gesture Classification, arXiv
    2307.10624.
    """
    targets = batch.class_embeddings
    if targets is None or targets.shape[1] != batch.embedding.shape[1]:
        values = "none" if targets is None else targets.shape[1]
        raise ValueError(
            f"the network predicts embeddings of {batch.embedding.shape[1]} values and the class embeddings "
            f"have {values}; build it with their `embedding_size`, or set `semantic_weight` to 0"
        )
    return functional.mse_loss(batch.embedding.to(targets.dtype), targets[batch.labels])


TERMS: dict[str, Callable[[LossInputs], Tensor]] = {
    "cross_entropy": cross_entropy,
    "semantic": semantic,
}
"""Every term of the loss by name. The weight of cross-entropy is always 1."""


def total(batch: LossInputs, weights: Mapping[str, float]) -> dict[str, Float[Tensor, ""]]:
    """``loss``, the sum to minimise, and each of ``TERMS`` without its weight, detached from the graph; 0
    where its weight is 0 or missing, since it is not computed then."""
    loss = cross_entropy(batch)
    terms = {name: loss.new_zeros(()) for name in TERMS} | {"cross_entropy": loss.detach()}
    for name, weight in weights.items():
        if weight:
            value = TERMS[name](batch)
            loss = loss + weight * value
            terms[name] = value.detach()
    return {"loss": loss, **terms}
