"""AASIST on the frames of a self-supervised speech model, the back-end of SSL_Anti-spoofing (SPECS.md §3.1).

Tak, Todisco, Wang, Jung, Yamagishi, Evans: "Automatic speaker verification spoofing and deepfake detection using
wav2vec 2.0 and data augmentation", Odyssey 2022. State-dict names are those of the original
(TakHemlata/SSL_Anti-spoofing; xieyuankun/Codecfake has the same).
"""

import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.models.aasist import residual_encoder
from spoofcache.models.checks import require_frames
from spoofcache.models.graph import GraphClassifier
from spoofcache.models.output import BackendOutput

PROJECTED = 128
"""Values that a frame is projected to; a third of them remain as spectral nodes."""


def attentive_nodes(x: torch.Tensor, scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Spectral nodes [B, F, C] and temporal nodes [B, W, C]: sums of a map x [B, C, F, W] over its other axis.

    The weights of each sum are the soft-max of the scores [B, C, F, W] over that axis.
    """
    spectral = (x * scores.softmax(3)).sum(3).mT
    temporal = (x * scores.softmax(2)).sum(2).mT
    return spectral, temporal


class SSLAASIST(GraphClassifier):
    """Features [B, T, D] → embedding [B, 160], logits [B, 2]; 447,242 parameters at D = 1024.

    Linear to 128, max-pool 3×3 → [B, 1, 42, T // 3] → residual encoder without pooling [B, 64, 42, T // 3] → attentive
    sums over time: 42 spectral nodes; over frequency: T // 3 temporal nodes.

    Args:
        feature_shape: (T, D); the published models hear the 201×1024 of XLS-R.

    Raises:
        ValueError: the shape is not (T, D) with at least 3 frames.
    """

    UNUSED = ("bn1",)
    """As in AASIST: the encoder is the same."""

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
        x = self.LL(features).mT[:, None]  # [B, 1, 128, T]: height = coefficient, width = time
        x = F.selu(self.first_bn(F.max_pool2d(x, 3)))
        x = F.selu(self.first_bn1(self.encoder(x)))
        spectral, temporal = attentive_nodes(x, self.attention(x))
        return self.classify(spectral + self.pos_S, temporal)
