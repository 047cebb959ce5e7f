"""Light CNN with one transformer encoder layer of seed 003 (`lcnnsf`; SPECS.md §8).

The layer is that of Chen et al.: "SpeechFormer: a hierarchical efficient framework incorporating the characteristics of
speech", Interspeech 2022. State-dict names are those of the original.
"""

import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.models.checks import require_rate
from spoofcache.models.lcnn import LCNN
from spoofcache.models.output import BackendOutput


class WindowOfOneAttention(nn.Module):
    """[B, N, C] → [B, N, C], each position attending to itself alone: the values, projected.

    The original's local attention has a window of one position; its soft-max is 1 whatever query and key say, so
    neither these nor the heads are computed. Of the joint projection only the last third, the values, is read.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.project_qkv = nn.Linear(width, 3 * width)
        self.project_out = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weight, bias = self.project_qkv.weight.chunk(3)[2], self.project_qkv.bias.chunk(3)[2]
        return self.project_out(F.linear(x, weight, bias))


class EncoderLayer(nn.Module):
    """Post-norm transformer encoder layer [B, N, C] → [B, N, C], feed-forward of 2048 with ReLU."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.attention = WindowOfOneAttention(width)
        self.attention_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 2048)
        self.fc2 = nn.Linear(2048, width)
        self.final_layer_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.attention_layer_norm(x + self.dropout(self.attention(x)))
        return self.final_layer_norm(x + self.dropout(self.fc2(self.dropout(F.relu(self.fc1(x))))))


class LCNNTransformer(LCNN):
    """Features [B, T, D] → embedding [B, 256], logits [B, 2].

    The 32 channels of the convolutions are the sequence, each of ⌊D/16⌋·⌊T/16⌋ values.

    Args:
        feature_shape: (T, D) of the cached features; 201×1024 gives 9,625,058 parameters.
        dropout: before the linear layers.
        encoder_dropout: within the encoder layer.

    Raises:
        ValueError: the shape is not (T, D) with at least 16 frames and 16 coefficients, or a dropout not in [0, 1).
    """

    def __init__(self, feature_shape: tuple[int, ...], dropout: float = 0.7, encoder_dropout: float = 0.5) -> None:
        super().__init__(feature_shape, dropout)
        require_rate("LCNNTransformer", "encoder_dropout", encoder_dropout)
        frames, coefficients = feature_shape
        self.speechtransformer1 = EncoderLayer((coefficients // 16) * (frames // 16), encoder_dropout)

    def forward(self, features: torch.Tensor) -> BackendOutput:
        x = self.trunk(features.transpose(1, 2))
        return self.classify(self.speechtransformer1(x.flatten(2)))
