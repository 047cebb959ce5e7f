"""ECAPA for hidden states of wav2vec 2.0: the class `Res2Net2` of xieyuankun/ADD-W2V2-LCNN-19LA0.6 (commit c5982b2).

It differs from Desplanques, Thienpondt, Demuynck: "ECAPA-TDNN", Interspeech 2020 (models/ecapa.py) in five places:
zero padding, a batch norm inside the squeeze-and-excitation, no tanh in the attention of the pooling, T − 1 in the
variance of the pooling's context, and a batch norm on the two logits. State-dict names are those of the repository.
"""

import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.models.checks import require_frames, require_groups
from spoofcache.models.output import BackendOutput
from spoofcache.models.pooling import attentive_statistics, with_context
from spoofcache.models.res2net import cascade

SCALE = 8
"""The number of groups that a bottleneck splits its channels into."""


class SqueezeExcitation(nn.Module):
    """Multiply each channel of [B, C, T] by a gate from the means over time (Hu et al., CVPR 2018, eq. 2–4)."""

    def __init__(self, channels: int, bottleneck: int, norm: bool) -> None:
        super().__init__()
        squeeze = [nn.AdaptiveAvgPool1d(1), nn.Conv1d(channels, bottleneck, 1), nn.ReLU()]
        if norm:
            squeeze.append(nn.BatchNorm1d(bottleneck))
        self.se = nn.Sequential(*squeeze, nn.Conv1d(bottleneck, channels, 1), nn.Sigmoid())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.se(x)


class Res2Bottleneck(nn.Module):
    """Bottleneck of Res2Net, [B, C, T] → [B, C, T], with a shortcut.

    A convolution 1×1, a cascade of dilated convolutions over the first 7 of 8 groups, a convolution 1×1 and a gate per
    channel. Every convolution is followed by the activation and then by a batch norm.
    """

    def __init__(self, channels: int, dilation: int, se: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        width = channels // SCALE
        self.conv1 = nn.Conv1d(channels, channels, 1)
        self.bn1 = nn.BatchNorm1d(channels)
        self.convs = nn.ModuleList(
            nn.Conv1d(width, width, 3, dilation=dilation, padding=dilation) for _ in range(SCALE - 1)
        )
        self.bns = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(SCALE - 1))
        self.conv3 = nn.Conv1d(channels, channels, 1)
        self.bn3 = nn.BatchNorm1d(channels)
        self.se = se
        self.activation = activation

    def _step(self, number: int, part: torch.Tensor) -> torch.Tensor:
        return self.bns[number](self.activation(self.convs[number](part)))

    def mix(self, parts: list[torch.Tensor], last: torch.Tensor) -> list[torch.Tensor]:
        """Return the results for all groups but the last, each [B, C/8, T]."""
        return cascade(parts, self._step)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        *parts, last = self.bn1(self.activation(self.conv1(x))).chunk(SCALE, dim=1)
        out = torch.cat([*self.mix(parts, last), last], dim=1)
        return self.se(self.bn3(self.activation(self.conv3(out)))) + x


def _bottleneck(channels: int, dilation: int) -> Res2Bottleneck:
    return Res2Bottleneck(channels, dilation, SqueezeExcitation(channels, 128, norm=True), nn.ReLU())


class ECAPAW2V(nn.Module):
    """Features [B, T, D] → embedding [B, 256], logits [B, 2].

    Args:
        feature_shape: (T, D) of the cached features; 1024 coefficients give 8,805,574 parameters.
        channels: C, the number of channels between the first convolution and the aggregation; a multiple of 8.

    Raises:
        ValueError: The shape is not (T, D) with at least 2 frames (a standard deviation needs two), or `channels` is
            not a multiple of 8.
    """

    def __init__(self, feature_shape: tuple[int, ...], channels: int = 512) -> None:
        super().__init__()
        _, coefficients = require_frames("ECAPAW2V", feature_shape, frames=2)
        require_groups("ECAPAW2V", channels, SCALE)
        self.conv1 = nn.Conv1d(coefficients, channels, 5, padding=2)
        self.bn1 = nn.BatchNorm1d(channels)
        self.layer1 = _bottleneck(channels, dilation=2)
        self.layer2 = _bottleneck(channels, dilation=3)
        self.layer3 = _bottleneck(channels, dilation=4)
        self.layer4 = nn.Conv1d(3 * channels, 1536, 1)
        self.attention = nn.Sequential(
            nn.Conv1d(3 * 1536, 128, 1), nn.ReLU(), nn.BatchNorm1d(128), nn.Conv1d(128, 1536, 1), nn.Softmax(dim=2)
        )
        self.bn5 = nn.BatchNorm1d(2 * 1536)
        self.fc6 = nn.Linear(2 * 1536, 256)
        self.fc7 = nn.Linear(256, 2)
        self.bn7 = nn.BatchNorm1d(2)

    def forward(self, features: torch.Tensor) -> BackendOutput:
        x = self.bn1(F.relu(self.conv1(features.transpose(1, 2))))
        first = self.layer1(x)
        second = self.layer2(first)
        third = self.layer3(second)
        x = F.relu(self.layer4(torch.cat([first, second, third], dim=1)))
        weights = self.attention(with_context(x, floor=1e-4, correction=1))
        embedding = self.fc6(self.bn5(attentive_statistics(x, weights, floor=1e-4)))
        return BackendOutput(embedding, self.bn7(self.fc7(embedding)))
