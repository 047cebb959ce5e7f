"""Nes2Net and Nes2Net-X: nested Res2Net blocks on the hidden states of a speech model.

Source: Liu et al.: "Nes2Net: a lightweight nested architecture for foundation model driven speech anti-spoofing",
arXiv 2504.05657, and its public repository Liu-Tianchi/Nes2Net. State-dict names are those of that repository.
"""

import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.models.checks import require_choice, require_frames, require_groups
from spoofcache.models.ecapa_w2v import SCALE, Res2Bottleneck, SqueezeExcitation
from spoofcache.models.output import BackendOutput
from spoofcache.models.pooling import attentive_statistics
from spoofcache.models.res2net import cascade

GROUPS = 8
"""The number of groups that the network splits the coefficients into; each but the last has a bottleneck."""

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "selu": nn.SELU}


class ColumnBottleneck(Res2Bottleneck):
    """The bottleneck of Nes2Net-X, which replaces Res2Net's running sum by a stack of columns and a learned sum.

    The stack starts with the last group as its only column. Each step appends a group as a new column, filters all
    columns with the same convolution, and returns their weighted sum. The weights are learned and start at
    1 / number of columns.
    """

    def __init__(self, channels: int, dilation: int, se: nn.Module, activation: nn.Module) -> None:
        super().__init__(channels, dilation, se, activation)
        width, steps = channels // SCALE, range(1, SCALE)
        self.convs = nn.ModuleList(
            nn.Conv2d(width, width, (3, 1), dilation=(dilation, 1), padding=(dilation, 0)) for _ in steps
        )
        self.bns = nn.ModuleList(nn.BatchNorm2d(width) for _ in steps)
        self.weighted_sum = nn.ParameterList(torch.full((1, 1, 1, i + 1), 1 / (i + 1)) for i in steps)

    def mix(self, parts: list[torch.Tensor], last: torch.Tensor) -> list[torch.Tensor]:
        stack, outputs = last.unsqueeze(3), []  # [B, C/8, T, columns]
        for number, part in enumerate(parts):
            stack = self._step(number, torch.cat([stack, part.unsqueeze(3)], dim=3))
            outputs.append((stack * self.weighted_sum[number]).sum(dim=3))
        return outputs


class ASTP(nn.Module):
    """Attentive statistics pooling [B, C, T] → [B, 2C], with a bottleneck of 128 values and tanh in the attention."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear1 = nn.Conv1d(channels, 128, 1)
        self.linear2 = nn.Conv1d(128, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return attentive_statistics(x, self.linear2(self.linear1(x).tanh()).softmax(dim=2))


class Nes2Net(nn.Module):
    """Features [B, T, D] → embedding [B, D] ([B, 2D] with attentive pooling) and logits [B, 2].

    Args:
        feature_shape: (T, D) of the cached features, where D is a multiple of 64. D = 1024 gives 510,769 parameters.
        pooling: The pooling over time: "mean", or "ASTP" (attentive statistics pooling).
        activation: "relu" or "selu".
        se_ratio: The gate of a bottleneck reduces its D/8 channels by this factor: 1, 2, 4 or 8.
        dilation: The dilation of the bottlenecks in frames, 1 to 4.
        n_logits: The number of outputs of the last layer. A single output z, the score of the original, becomes the
            logits [0, z].

    Raises:
        ValueError: D is not a multiple of 64, or a setting has another value than those above.
    """

    bottleneck: type[Res2Bottleneck] = Res2Bottleneck

    def __init__(
        self,
        feature_shape: tuple[int, ...],
        pooling: str = "mean",
        activation: str = "relu",
        se_ratio: int = 1,
        dilation: int = 2,
        n_logits: int = 1,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        _, coefficients = require_frames(name, feature_shape)
        require_groups(name, coefficients, GROUPS * SCALE, of="coefficients")
        channels = coefficients // GROUPS
        require_choice(name, "pooling", pooling, ("mean", "ASTP"))
        require_choice(name, "activation", activation, ACTIVATIONS)
        require_choice(name, "se_ratio", se_ratio, (1, 2, 4, 8))
        require_choice(name, "dilation", dilation, (1, 2, 3, 4))
        require_choice(name, "n_logits", n_logits, (1, 2))
        self.activation = ACTIVATIONS[activation]()
        self.Build_in_Res2Nets = nn.ModuleList(
            self.bottleneck(
                channels, dilation, SqueezeExcitation(channels, channels // se_ratio, False), self.activation
            )
            for _ in range(GROUPS - 1)
        )
        self.bns = nn.ModuleList(nn.BatchNorm1d(channels) for _ in range(GROUPS - 1))
        self.bn = nn.BatchNorm1d(GROUPS * channels)
        self.pooling = ASTP(GROUPS * channels) if pooling == "ASTP" else None
        self.fc = nn.Linear(GROUPS * channels * (1 if self.pooling is None else 2), n_logits)

    def _step(self, number: int, part: torch.Tensor) -> torch.Tensor:
        return self.bns[number](self.activation(self.Build_in_Res2Nets[number](part)))

    def forward(self, features: torch.Tensor) -> BackendOutput:
        *parts, last = features.transpose(1, 2).chunk(GROUPS, dim=1)
        x = self.activation(self.bn(torch.cat([*cascade(parts, self._step), last], dim=1)))
        embedding = x.mean(dim=2) if self.pooling is None else self.pooling(x)
        logits = self.fc(embedding)
        return BackendOutput(embedding, F.pad(logits, (2 - logits.shape[1], 0)))  # [B, 1] → [0, z]


class Nes2NetX(Nes2Net):
    """Nes2Net with stacked columns in its bottlenecks.

    Arguments and errors are those of Nes2Net, but there are two logits by default. D = 1024 gives 512,039 parameters,
    and 777,383 with pooling "ASTP".
    """

    bottleneck = ColumnBottleneck

    def __init__(
        self,
        feature_shape: tuple[int, ...],
        pooling: str = "mean",
        activation: str = "relu",
        se_ratio: int = 1,
        dilation: int = 2,
        n_logits: int = 2,
    ) -> None:
        super().__init__(feature_shape, pooling, activation, se_ratio, dilation, n_logits)
