"""LOSSES: registry name → training loss, a function of logits [B, 2] and class indices [B]."""

from collections.abc import Callable, Mapping

import torch
from torch import nn


def cross_entropy(class_weights: torch.Tensor) -> nn.Module:
    """Weighted cross-entropy: Σ w(y)·(−log p(y)) / Σ w(y) over the batch, weights [2] by class index."""
    return nn.CrossEntropyLoss(weight=class_weights)


LOSSES: Mapping[str, Callable[[torch.Tensor], nn.Module]] = {
    "cross_entropy": cross_entropy,
}
