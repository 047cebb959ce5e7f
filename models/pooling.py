"""Statistics over time, the pooling that several back-ends share."""

import torch


def time_statistics(x: torch.Tensor, floor: float = 1e-12, correction: int = 0) -> torch.Tensor:
    """Mean and standard deviation over time, side by side: [B, C, T] → [B, 2C].

    Args:
        x: features.
        floor: least variance; keeps the root's gradient finite on a constant channel.
        correction: what is taken off T in the variance's denominator.

    >>> time_statistics(torch.tensor([[[1.0, 3.0]]]))
    tensor([[2., 1.]])
    """
    variance = x.var(dim=2, correction=correction)
    return torch.cat([x.mean(dim=2), variance.clamp(min=floor).sqrt()], dim=1)


def with_context(x: torch.Tensor, floor: float = 1e-12, correction: int = 0) -> torch.Tensor:
    """Every frame beside the whole utterance's mean and deviation: [B, C, T] → [B, 3C, T].

    What attention over time sees in Desplanques, Thienpondt, Demuynck: "ECAPA-TDNN", Interspeech 2020, §3.1.
    """
    statistics = time_statistics(x, floor, correction)
    return torch.cat([x, statistics[:, :, None].expand(-1, -1, x.shape[2])], dim=1)


def attentive_statistics(x: torch.Tensor, weights: torch.Tensor, floor: float = 1e-12) -> torch.Tensor:
    """Weighted mean and standard deviation over time, side by side: [B, C, T] → [B, 2C].

    Okabe, Koshinaka, Shinoda: "Attentive statistics pooling for deep speaker embedding", Interspeech 2018, eq. 5 and 6.
    The variance is taken around the mean: the originals' Σ w·x² − mean² is the same number with more cancellation.

    Args:
        x: features.
        weights: [B, C, T], adding up to 1 over time.
        floor: least variance.
    """
    mean = (weights * x).sum(dim=2)
    variance = (weights * (x - mean[:, :, None]).square()).sum(dim=2)
    return torch.cat([mean, variance.clamp(min=floor).sqrt()], dim=1)
