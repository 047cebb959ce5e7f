"""What every back-end returns, and the score that it means."""

from typing import NamedTuple

import torch


class BackendOutput(NamedTuple):
    """Embedding [B, E] and logits [B, 2]; class index 0 = spoof, 1 = bona fide."""

    embedding: torch.Tensor
    logits: torch.Tensor


def log_odds(logits: torch.Tensor) -> torch.Tensor:
    """Countermeasure score [B] in float32: logit of bona fide − logit of spoof, higher = more bona fide.

    The log-odds of the soft-max, without its saturation: probabilities that round to 0 or 1 would make ties.
    """
    logits = logits.float()
    return logits[:, 1] - logits[:, 0]
