"""Light CNN with two recurrent layers: the LFCC-LCNN baseline of ASVspoof 2021.

Source: Wang, Yamagishi: "A comparative study on recent neural spoofing countermeasures for synthetic speech detection",
Interspeech 2021, and the public repository asvspoof-challenge/2021 (commit 9b33f5e). State-dict names are our own.
"""

import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.models.checks import require_frames, require_rate
from spoofcache.models.lcnn import LCNNTrunk
from spoofcache.models.output import BackendOutput


class LCNNLSTM(LCNNTrunk):
    """Features [B, T, D] → embedding [B, 32·⌊D/16⌋], logits [0, z] [B, 2], for any T.

    Args:
        feature_shape: (T, D) of the cached features; 60 coefficients give 269,729 parameters.
        dropout: The dropout rate after the convolutions.

    Raises:
        ValueError: The shape is not (T, D) with at least 16 frames and 16 coefficients, or `dropout` is not in [0, 1).
    """

    def __init__(self, feature_shape: tuple[int, ...], dropout: float = 0.7) -> None:
        super().__init__()
        _, coefficients = require_frames("LCNNLSTM", feature_shape, frames=16, coefficients=16)
        require_rate("LCNNLSTM", "dropout", dropout)
        width = 32 * (coefficients // 16)
        self.dropout = nn.Dropout(dropout)
        self.lstm = nn.LSTM(width, width // 2, num_layers=2, batch_first=True, bidirectional=True)
        self.classifier = nn.Linear(width, 1)

    def forward(self, features: torch.Tensor) -> BackendOutput:
        x = self.dropout(self.trunk(features))  # the height is time, unlike in LCNN
        x = x.transpose(1, 2).flatten(2)  # [B, T/16, 32·D/16]
        states, _ = self.lstm(x)
        embedding = (x + states).mean(dim=1)
        return BackendOutput(embedding, F.pad(self.classifier(embedding), (1, 0)))
