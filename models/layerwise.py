"""Back-ends that learn how much each hidden layer of a frozen speech model contributes.

Source: El Kheir, Samih, Maharjan, Polzehl, Möller: "Comprehensive layer-wise analysis of SSL models for audio deepfake
detection", Findings of NAACL 2025, and its public repository Yaselley/SSL_Layerwise_Deepfake. State-dict names are
those of that repository.
"""

import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.models.output import BackendOutput
from spoofcache.models.ssl_aasist import SSLAASIST

HIDDEN = 128


def require_layers(
    backend: str, feature_shape: tuple[int, ...], frames: int = 1, coefficients: int = 1
) -> tuple[int, int, int]:
    """Return (L, T, D) of features [L, T, D] that have a layer and at least that many frames and coefficients.

    Raises:
        ValueError: The features do not have three axes, or one of them is too short.
    """
    if len(feature_shape) != 3 or any(n < m for n, m in zip(feature_shape, (1, frames, coefficients), strict=True)):
        least = f"L at least 1, T at least {frames} and D at least {coefficients}"
        raise ValueError(f"{backend} on features of shape {feature_shape}; expected (L, T, D), {least}")
    return feature_shape[0], feature_shape[1], feature_shape[2]


def mix_layers(layers: torch.Tensor, norm: nn.BatchNorm2d, weights: torch.Tensor) -> torch.Tensor:
    """Normalise each layer as one channel and sum them with soft-max weights: [B, L, T, D], weights [L] → [B, T, D]."""
    return torch.einsum("bltd,l->btd", norm(layers), weights.softmax(0))


class FrameAttention(nn.Module):
    """Weights [B, T] of the frames [B, T, HIDDEN] that sum to 1: the soft-max over time of tanh((W h + b)·v)."""

    def __init__(self) -> None:
        super().__init__()
        self.lin_proj = nn.Linear(HIDDEN, HIDDEN)
        self.v = nn.Parameter(torch.randn(HIDDEN))

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.lin_proj(frames) @ self.v).softmax(1)


class LayerwiseFFN(nn.Module):
    """Raw layers [B, L, T, D] → embedding [B, 128], logits [B, 2]; 197,578 parameters for 24 layers of D = 1024.

    The frames are pooled by an attentive mean and variance. The mean is divided by T once more, although its weights
    already sum to 1; the variance is taken around that mean. Both follow the public repository.

    Args:
        feature_shape: (L, T, D), raw outputs of layers 1…L.

    Raises:
        ValueError: The shape is not (L, T, D).
    """

    def __init__(self, feature_shape: tuple[int, ...]) -> None:
        super().__init__()
        n_layers, _, coefficients = require_layers(type(self).__name__, feature_shape)
        self.layer_norm = nn.BatchNorm2d(n_layers)
        self.weight_hidd = nn.Parameter(torch.ones(n_layers))
        self.LL = nn.Linear(coefficients, HIDDEN)
        self.LL2 = nn.Linear(HIDDEN, HIDDEN)
        self.attention_block = FrameAttention()
        self.LL3 = nn.Linear(2 * HIDDEN, HIDDEN)
        self.LL4 = nn.Linear(HIDDEN, 2)

    def forward(self, features: torch.Tensor) -> BackendOutput:
        frames = F.relu(self.LL(mix_layers(features, self.layer_norm, self.weight_hidd)))
        frames = F.relu(self.LL2(frames))
        attention = self.attention_block(frames)[:, :, None]
        mean = (attention * frames).mean(1)  # divided by T once more, as in the repository
        variance = (attention * frames.square()).sum(1) - mean.square()
        embedding = F.relu(self.LL3(torch.cat([mean, variance], dim=1)))
        return BackendOutput(embedding, self.LL4(embedding))


class LayerwiseAASIST(SSLAASIST):
    """Raw layers [B, L, T, D] → embedding [B, 160], logits [B, 2]: SSLAASIST on a learned mixture of the layers.

    447,314 parameters for 24 layers of D = 1024.

    Args:
        feature_shape: (L, T, D), raw outputs of layers 1…L.

    Raises:
        ValueError: The shape is not (L, T, D) with at least 3 frames.
    """

    def __init__(self, feature_shape: tuple[int, ...]) -> None:
        n_layers, frames, coefficients = require_layers(type(self).__name__, feature_shape, frames=3)
        super().__init__((frames, coefficients))
        self.layer_norm = nn.BatchNorm2d(n_layers)
        self.weight_hidd = nn.Parameter(torch.ones(n_layers))

    def forward(self, features: torch.Tensor) -> BackendOutput:
        return super().forward(mix_layers(features, self.layer_norm, self.weight_hidd))
