"""What every loss has in common: the weighted mean over a batch, and the score that belongs to the loss."""

import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.models.output import BackendOutput, log_odds


class Objective(nn.Module):
    """The loss of a batch, Σ w(y)·ℓ / Σ w(y) over its utterances as in nn.CrossEntropyLoss, and the score [B].

    The losses below give the formula of ℓ, the loss of one utterance. y is its class index: 0 is spoof, 1 is bona fide.
    With both class weights equal to 1, a loss is the plain mean that its paper defines.

    Args:
        class_weights: Positive weights w [2], by class index.
        embedding_size: E, the size of the back-end's embeddings. Losses without vectors of their own ignore it.
    """

    uses_logits = True
    """False if the loss compares the embedding with class vectors of its own. The layers that a back-end applies after
    its embedding then get no gradient and keep their random initial values, so that its logits mean nothing; only
    `score` does."""

    class_weights: torch.Tensor

    def __init__(self, class_weights: torch.Tensor, embedding_size: int) -> None:
        super().__init__()
        # a setting of the experiment and not learned, hence not part of the state
        self.register_buffer("class_weights", class_weights.float(), persistent=False)
        self._weights_on_host = class_weights.float().cpu()

    def forward(self, output: BackendOutput, labels: torch.Tensor) -> torch.Tensor:
        """Return the loss, a scalar in float32, of embeddings [B, E] and logits [B, 2] with class indices [B]."""
        weights = self.class_weights[labels]
        return (weights * self.per_utterance(output, labels)).sum() / weights.sum()

    def per_utterance(self, output: BackendOutput, labels: torch.Tensor) -> torch.Tensor:
        """Return ℓ of each utterance, [B] in float32."""
        raise NotImplementedError

    def score(self, output: BackendOutput) -> torch.Tensor:
        """Return the countermeasure score [B] in float32, the log-odds of the logits; higher is more bona fide."""
        return log_odds(output.logits)

    def batch_weight(self, labels: torch.Tensor) -> float:
        """Return Σ w(y) over class indices [B], the weight of this batch's loss in a mean over batches.

        If the labels are on the host, this does not wait for a GPU.
        """
        return float(self._weights_on_host[labels.cpu()].sum())

    def begin_epoch(self, epoch: int, best_dev_eer: float | None) -> None:
        """Prepare for an epoch. The trainer calls this before each one.

        Args:
            epoch: The number of the epoch, starting at 0.
            best_dev_eer: The lowest dev EER so far, a fraction; None before the first.
        """


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Return the cross-entropy [B] of each utterance in float32, of logits [B, K] with class indices [B]."""
    return F.cross_entropy(logits.float(), labels, reduction="none")


def require(holds: bool, otherwise: str) -> None:
    """ValueError with the sentence `otherwise`, unless a condition on a loss's settings holds."""
    if not holds:
        raise ValueError(otherwise)
