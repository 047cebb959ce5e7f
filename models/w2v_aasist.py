"""The variant of AASIST in SpeechFake, in which every frame of XLS-R is a node.

Source: Huang, Gu, Wang, Zhu, Qian: "SpeechFake", ACL 2025 (arXiv 2507.21463), as the class `W2VAASIST` of the public
repository xiaoyangfengxjtu-dev/Speechfake implements it. State-dict names are those of AASIST; the names in the
projection are our own.
"""

import torch
from torch import nn

from spoofcache.models.checks import require_frames
from spoofcache.models.graph import GraphClassifier
from spoofcache.models.output import BackendOutput


class W2VAASIST(GraphClassifier):
    """Features [B, T, D] → embedding [B, 160], logits [B, 2]; 151,048 parameters at D = 1024.

    A linear layer to 64 values, layer norm and SELU give T nodes. As in the original, the same nodes are used as the
    spectral and as the temporal graph. Pooling keeps 0.5·T and 0.7·T of them; at T = 201 the heterogeneous layers then
    work on 240 nodes. There is no residual encoder, no attention map and no position embedding, so that the spectral
    graph differs from the temporal one only by its weights and its pooling.

    Args:
        feature_shape: (T, D); the original takes 201×1024, the hidden states of XLS-R.

    Raises:
        ValueError: The shape is not (T, D).
    """

    def __init__(self, feature_shape: tuple[int, ...]) -> None:
        _, coefficients = require_frames(type(self).__name__, feature_shape)
        channels = 64
        super().__init__(channels, (0.5, 0.7, 0.5))
        self.projection = nn.Sequential(nn.Linear(coefficients, channels), nn.LayerNorm(channels), nn.SELU())

    def forward(self, features: torch.Tensor) -> BackendOutput:
        frames = self.projection(features)
        return self.classify(spectral=frames, temporal=frames)
