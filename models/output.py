"""What every back-end returns, and the countermeasure score that follows from it."""

from typing import NamedTuple

import torch


class BackendOutput(NamedTuple):
    """Embedding [B, E] and logits [B, 2]; class index 0 = spoof, 1 = bona fide."""

    embedding: torch.Tensor
    logits: torch.Tensor


def log_odds(logits: torch.Tensor) -> torch.Tensor:
    """Return the countermeasure score [B] in float32: logit of bona fide − logit of spoof; higher is more bona fide.

    These are the log-odds of the soft-max: with p = soft-max(logits), log(p[1] / p[0]) = logits[1] − logits[0]. The
    probability itself would saturate: values that round to 0 or 1 become equal scores.
    """
    logits = logits.float()
    return logits[:, 1] - logits[:, 0]
