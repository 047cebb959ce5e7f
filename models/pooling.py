"""Pooling over time by its statistics, which several back-ends share."""

import torch


def time_statistics(x: torch.Tensor, floor: float = 1e-12, correction: int = 0) -> torch.Tensor:
    """Concatenate the mean and the standard deviation over time: [B, C, T] → [B, 2C].

    Args:
        x: Features.
        floor: The smallest variance; it keeps the gradient of the square root finite on a constant channel.
        correction: The variance is the sum of squared differences divided by T − correction.

    >>> time_statistics(torch.tensor([[[1.0, 3.0]]]))
    tensor([[2., 1.]])
    """
    variance = x.var(dim=2, correction=correction)
    return torch.cat([x.mean(dim=2), variance.clamp(min=floor).sqrt()], dim=1)


def with_context(x: torch.Tensor, floor: float = 1e-12, correction: int = 0) -> torch.Tensor:
    """Append the utterance's mean and standard deviation to every frame: [B, C, T] → [B, 3C, T].

    This is the input of the attention in Desplanques, Thienpondt, Demuynck: "ECAPA-TDNN", Interspeech 2020, section
    "Channel- and context-dependent statistics pooling".
    """
    statistics = time_statistics(x, floor, correction)
    return torch.cat([x, statistics[:, :, None].expand(-1, -1, x.shape[2])], dim=1)


def attentive_statistics(x: torch.Tensor, weights: torch.Tensor, floor: float = 1e-12) -> torch.Tensor:
    """Concatenate the weighted mean and standard deviation over time: [B, C, T] → [B, 2C].

    Okabe, Koshinaka, Shinoda: "Attentive statistics pooling for deep speaker embedding", Interspeech 2018, eq. 5 and 6.
    The variance is Σ w·(x − mean)², which equals their Σ w·x² − mean² because the weights sum to 1, and loses fewer
    digits to cancellation.

    Args:
        x: Features.
        weights: Weights [B, C, T] that sum to 1 over time.
        floor: The smallest variance.
    """
    mean = (weights * x).sum(dim=2)
    variance = (weights * (x - mean[:, :, None]).square()).sum(dim=2)
    return torch.cat([mean, variance.clamp(min=floor).sqrt()], dim=1)
