"""What every back-end returns, and the countermeasure score that follows from it."""

from typing import NamedTuple

import torch


class BackendOutput(NamedTuple):
    """Embedding [B, E] and logits [B, 2]; class index 0 = spoof, 1 = bona fide."""

    embedding: torch.Tensor
    logits: torch.Tensor


def require_output(backend: str, output: object, batch: int) -> BackendOutput:
    """Check the result of a back-end for a batch of `batch` utterances.

    Raises:
        ValueError: the result is not a BackendOutput, or its embedding or its logits have the wrong shape.
    """
    if isinstance(output, BackendOutput):
        embedding, logits = (tuple(tensor.shape) for tensor in output)
        if len(embedding) == 2 and embedding[0] == batch and logits == (batch, 2):
            return output
        found = f"an embedding of shape {embedding} and logits of shape {logits}"
    else:
        found = f"a tensor of shape {tuple(output.shape)}" if isinstance(output, torch.Tensor) else f"{type(output)}"
    raise ValueError(
        f"{backend} returned {found} for {batch} utterance(s); expected spoofcache.models.output.BackendOutput("
        f"embedding [{batch}, E], logits [{batch}, 2]), with the logit of spoof first and that of bona fide second"
    )


def log_odds(logits: torch.Tensor) -> torch.Tensor:
    """Return the countermeasure score [B] in float32: logit of bona fide − logit of spoof; higher is more bona fide.

    These are the log-odds of the soft-max: with p = soft-max(logits), log(p[1] / p[0]) = logits[1] − logits[0]. The
    probability itself would saturate: values that round to 0 or 1 become equal scores.
    """
    logits = logits.float()
    return logits[:, 1] - logits[:, 0]
