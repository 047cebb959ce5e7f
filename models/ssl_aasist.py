"""AASIST on the frames of a self-supervised speech model, the back-end of SSL_Anti-spoofing.

Source: Tak, Todisco, Wang, Jung, Yamagishi, Evans: "Automatic speaker verification spoofing and deepfake detection
using wav2vec 2.0 and data augmentation", Odyssey 2022, and its public repository TakHemlata/SSL_Anti-spoofing (commit
4acaa61). State-dict names are those of that repository and of xieyuankun/Codecfake, which uses the same network.
"""

import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.models.aasist import residual_encoder
from spoofcache.models.checks import require_frames
from spoofcache.models.graph import GraphClassifier
from spoofcache.models.output import BackendOutput

PROJECTED = 128
"""The number of values that each frame is projected to; after pooling by 3, 42 of them are the spectral nodes."""


def attentive_nodes(x: torch.Tensor, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum a map x [B, C, F, W] over time to spectral nodes [B, F, C], and over frequency to temporal nodes [B, W, C].

    The weights of each sum are the soft-max of the scores [B, C, F, W] over the axis that is summed.
    """
    spectral = (x * scores.softmax(3)).sum(3).mT
    temporal = (x * scores.softmax(2)).sum(2).mT
    return spectral, temporal


class SSLAASIST(GraphClassifier):
    """Features [B, T, D] → embedding [B, 160], logits [B, 2]; 447,242 parameters at D = 1024.

    Linear layer to 128 values, max-pool 3×3 → [B, 1, 42, T // 3] → residual encoder without pooling
    [B, 64, 42, T // 3]. Attentive sums over time give 42 spectral nodes, sums over frequency T // 3 temporal nodes.

    Args:
        feature_shape: (T, D); the published models take 201×1024, the hidden states of XLS-R.

    Raises:
        ValueError: The shape is not (T, D) with at least 3 frames.
    """

    UNUSED = ("bn1",)
    """See AASIST, whose encoder this is."""

    def __init__(self, feature_shape: tuple[int, ...]) -> None:
        _, coefficients = require_frames(type(self).__name__, feature_shape, frames=3)
        channels = 64
        super().__init__(channels, (0.5, 0.5, 0.5))
        self.LL = nn.Linear(coefficients, PROJECTED)
        self.first_bn = nn.BatchNorm2d(1)
        self.encoder = residual_encoder(channels)
        self.first_bn1 = nn.BatchNorm2d(channels)
        self.attention = nn.Sequential(
            nn.Conv2d(channels, 128, 1), nn.SELU(), nn.BatchNorm2d(128), nn.Conv2d(128, channels, 1)
        )
        self.pos_S = nn.Parameter(torch.randn(1, PROJECTED // 3, channels))

    def forward(self, features: torch.Tensor) -> BackendOutput:
        x = self.LL(features).mT[:, None]  # [B, 1, 128, T]: the height is the coefficient, the width is time
        x = F.selu(self.first_bn(F.max_pool2d(x, 3)))
        x = F.selu(self.first_bn1(self.encoder(x)))
        spectral, temporal = attentive_nodes(x, self.attention(x))
        return self.classify(spectral + self.pos_S, temporal)
