"""Logistic regression on the mean of the features over time.

Source: Pascu et al.: "Towards generalisable and calibrated audio deepfake detection with self-supervised
representations", Interspeech 2024 (arXiv 2309.05384), who report that this simplest of back-ends generalises well on
frozen speech models.
"""

import torch
from torch import nn

from spoofcache.models.checks import require_frames
from spoofcache.models.output import BackendOutput
from spoofcache.models.pooling import time_statistics


class PooledLinear(nn.Module):
    """Features [B, T, D] → embedding [B, D] or [B, 2D] (the pooled features themselves), logits [B, 2].

    A two-class logistic regression with weights w and intercept b, such as scikit-learn's, is this network with w and b
    in row 1 of `linear` and zeros in row 0: the log-odds z₁ − z₀ are then w·x + b, its decision function.

    Args:
        feature_shape: (T, D) of the cached features. D = 1024 gives 2,050 parameters, and 4,098 with `deviation`.
        deviation: Pool the standard deviation over time (with 1/T) in addition to the mean.

    Raises:
        ValueError: The shape is not (T, D).
    """

    def __init__(self, feature_shape: tuple[int, ...], deviation: bool = False) -> None:
        super().__init__()
        _, coefficients = require_frames("PooledLinear", feature_shape)
        self.deviation = deviation
        self.linear = nn.Linear(coefficients * (2 if deviation else 1), 2)

    def forward(self, features: torch.Tensor) -> BackendOutput:
        pooled = time_statistics(features.transpose(1, 2)) if self.deviation else features.mean(dim=1)
        return BackendOutput(pooled, self.linear(pooled))
