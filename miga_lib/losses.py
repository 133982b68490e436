"""The training loss: cross-entropy on the classes, and a pull of the predicted embedding to that of the class name."""

from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional


def semantic_loss(
    logits: Float[Tensor, "N K"],
    embedding: Float[Tensor, "N E"],
    labels: Int[Tensor, " N"],
    class_embeddings: Float[Tensor, "K D"] | None,
    semantic_weight: float,
) -> dict[str, Float[Tensor, ""]]:
    """Cross-entropy plus ``semantic_weight`` times the mean squared error between embeddings, over clips and their E values.

    Args:
        labels: class indices, 0 to K − 1.
        class_embeddings: (K, E), a row for each class as ``labels.embeddings`` gives them; may be None where the weight is 0.
        semantic_weight: 0 leaves the embeddings out of it.

    Returns:
        ``loss``, to minimise, and detached from the graph its parts: ``cross_entropy`` and, not yet weighted, ``semantic``, which
        is 0 where it was left out.

    Raises:
        ValueError: a label below 0, as of a clip whose class is unknown (on a GPU PyTorch's own assertion, since to look at the
            labels there is to wait for them); no class embeddings to pull to, or ones of another size.

    Source: Li et al., Joint Skeletal and Semantic Embedding Loss for Micro-gesture Classification, arXiv 2307.10624.
    """
    if not labels.is_cuda and (labels < 0).any():
        raise ValueError(f"labels must be 0 or more to learn from, found {labels.min().item()}; leave out clips whose class is unknown")
    cross_entropy = functional.cross_entropy(logits, labels)
    if semantic_weight == 0:
        return {"loss": cross_entropy, "cross_entropy": cross_entropy.detach(), "semantic": cross_entropy.new_zeros(())}
    if class_embeddings is None or class_embeddings.shape[1] != embedding.shape[1]:
        found = "none" if class_embeddings is None else class_embeddings.shape[1]
        raise ValueError(
            f"the network predicts embeddings of {embedding.shape[1]} values and the class embeddings have {found}; "
            "build it with their `embedding_size`, or set `semantic_weight` to 0"
        )
    semantic = functional.mse_loss(embedding.to(class_embeddings.dtype), class_embeddings[labels])
    loss = cross_entropy + semantic_weight * semantic
    return {"loss": loss, "cross_entropy": cross_entropy.detach(), "semantic": semantic.detach()}
