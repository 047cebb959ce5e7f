"""Logistic regression on the time mean of the features.

After Pascu et al.: "Towards generalisable and calibrated audio deepfake detection with self-supervised
representations", Interspeech 2024 (arXiv 2309.05384; SPECS.md §9.1): on frozen speech models the plainest head is hard
to beat.
"""

import torch
from torch import nn

from spoofcache.models.checks import require_frames
from spoofcache.models.output import BackendOutput
from spoofcache.models.pooling import time_statistics


class PooledLinear(nn.Module):
    """Features [B, T, D] → embedding [B, D] or [B, 2D] (the pooled features themselves), logits [B, 2].

    Weights w and intercept b of a two-class logistic regression, such as scikit-learn's, go into row 1 of `linear`,
    with zeros in row 0: the log-odds are then its decision function.

    Args:
        feature_shape: (T, D) of the cached features; 1024 coefficients give 2,050 parameters, 4,098 with deviation.
        deviation: pool the standard deviation over time (1/T form) beside the mean.

    Raises:
        ValueError: the shape is not (T, D).
    """

    def __init__(self, feature_shape: tuple[int, ...], deviation: bool = False) -> None:
        super().__init__()
        _, coefficients = require_frames("PooledLinear", feature_shape)
        self.deviation = deviation
        self.linear = nn.Linear(coefficients * (2 if deviation else 1), 2)

    def forward(self, features: torch.Tensor) -> BackendOutput:
        pooled = time_statistics(features.transpose(1, 2)) if self.deviation else features.mean(dim=1)
        return BackendOutput(pooled, self.linear(pooled))
