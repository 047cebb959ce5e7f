"""The AASIST flavour of SpeechFake: every frame of XLS-R is a node (SPECS.md §3.4).

Huang, Gu, Wang, Zhu, Qian: "SpeechFake", ACL 2025, as its `W2VAASIST` is coded. The names below the projection are
AASIST's; the projection's are ours.
"""

import torch
from torch import nn

from spoofcache.models.checks import require_frames
from spoofcache.models.graph import GraphClassifier
from spoofcache.models.output import BackendOutput


class W2VAASIST(GraphClassifier):
    """Features [B, T, D] → embedding [B, 160], logits [B, 2]; 151,048 parameters at D = 1024.

    Linear to 64, layer norm, SELU → T nodes, which serve as spectral and as temporal graph alike (the original does
    so) → 0.5·T and 0.7·T of them → heterogeneous layers on 240 nodes at T = 201. No residual encoder, no attention
    map, no position: what is left of the spectral side is its own weights and pool.

    Args:
        feature_shape: (T, D); the original hears the 201×1024 of XLS-R.

    Raises:
        ValueError: the shape is not (T, D).
    """

    def __init__(self, feature_shape: tuple[int, ...]) -> None:
        _, coefficients = require_frames(type(self).__name__, feature_shape)
        channels = 64
        super().__init__(channels, (0.5, 0.7, 0.5))
        self.projection = nn.Sequential(nn.Linear(coefficients, channels), nn.LayerNorm(channels), nn.SELU())

    def forward(self, features: torch.Tensor) -> BackendOutput:
        frames = self.projection(features)
        return self.classify(spectral=frames, temporal=frames)
