"""Sensitive layer selection (SLS): a gate on each hidden layer, then one large linear layer.

Source: Zhang, Wen, Hu: "Audio deepfake detection with self-supervised XLS-R and SLS classifier", ACM Multimedia 2024.
State-dict names are those of its public repository QiShanZhang/SLSforASVspoof-2021-DF.
"""

import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.models.layerwise import require_layers
from spoofcache.models.output import BackendOutput


class SLS(nn.Module):
    """Raw layers [B, L, T, D] → embedding [B, 1024], logits [B, 2]; 23,399,429 parameters at 201×1024, for any L.

    As in the repository the logits are the log-soft-max of SELU(·). A log-soft-max subtracts the same number from both
    values, so the log-odds and the cross-entropy are those of the SELU's two values.

    Args:
        feature_shape: (L, T, D), raw outputs of layers 1…L. T and D determine the size of the large linear layer.

    Raises:
        ValueError: The shape is not (L, T, D) with at least 3 frames and 3 coefficients.
    """

    def __init__(self, feature_shape: tuple[int, ...]) -> None:
        super().__init__()
        _, frames, coefficients = require_layers(type(self).__name__, feature_shape, frames=3, coefficients=3)
        self.fc0 = nn.Linear(coefficients, 1)
        self.first_bn = nn.BatchNorm2d(1)
        self.fc1 = nn.Linear((frames // 3) * (coefficients // 3), 1024)
        self.fc3 = nn.Linear(1024, 2)

    def forward(self, features: torch.Tensor) -> BackendOutput:
        gates = torch.sigmoid(self.fc0(features.mean(2)))[..., 0]  # [B, L]
        x = torch.einsum("bltd,bl->btd", features, gates)[:, None]
        x = F.max_pool2d(F.selu(self.first_bn(x)), 3)
        embedding = F.selu(self.fc1(x.flatten(1)))
        return BackendOutput(embedding, F.selu(self.fc3(embedding)).log_softmax(1))
