"""Light CNN with one transformer encoder layer: the network `lcnnsf` of xieyuankun/ADD-W2V2-LCNN-19LA0.6.

The layer is that of Chen et al.: "SpeechFormer: a hierarchical efficient framework incorporating the characteristics of
speech", Interspeech 2022. State-dict names are those of the repository (commit c5982b2).
"""

import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.models.checks import require_rate
from spoofcache.models.lcnn import LCNN
from spoofcache.models.output import BackendOutput


class WindowOfOneAttention(nn.Module):
    """Attention of each position to itself alone, [B, N, C] → [B, N, C]: a projection of the values.

    The local attention of the original has a window of one position. The soft-max over a single score is 1 whatever the
    query and the key are, so neither of them is computed, and the number of heads does not matter. Of the joint
    projection only the last third, the values, is used.
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

    The 32 channels of the convolutions form the sequence; each element has ⌊D/16⌋·⌊T/16⌋ values.

    Args:
        feature_shape: (T, D) of the cached features; 201×1024 gives 9,625,058 parameters.
        dropout: The dropout rate before the linear layers.
        encoder_dropout: The dropout rate inside the encoder layer.

    Raises:
        ValueError: The shape is not (T, D) with at least 16 frames and 16 coefficients, or a rate is not in [0, 1).
    """

    def __init__(self, feature_shape: tuple[int, ...], dropout: float = 0.7, encoder_dropout: float = 0.5) -> None:
        super().__init__(feature_shape, dropout)
        require_rate("LCNNTransformer", "encoder_dropout", encoder_dropout)
        frames, coefficients = feature_shape
        self.speechtransformer1 = EncoderLayer((coefficients // 16) * (frames // 16), encoder_dropout)

    def forward(self, features: torch.Tensor) -> BackendOutput:
        x = self.trunk(features.transpose(1, 2))
        return self.classify(self.speechtransformer1(x.flatten(2)))
