"""ECAPA-TDNN as SpeechBrain builds it (SPECS.md §6).

Desplanques, Thienpondt, Demuynck: "ECAPA-TDNN: emphasized channel attention, propagation and aggregation in TDNN based
speaker verification", Interspeech 2020. State-dict names are SpeechBrain's, our 2-class layer `classifier` aside.
"""

from collections import OrderedDict

import torch
from torch import nn

from spoofcache.models.checks import require_frames, require_groups
from spoofcache.models.output import BackendOutput
from spoofcache.models.pooling import attentive_statistics, with_context
from spoofcache.models.res2net import cascade

SCALE = 8
"""Groups that a block splits its channels into."""

DILATIONS = (2, 3, 4)
"""Of the three SE-Res2Net blocks, in frames."""


def _named(**modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(modules))


def _convolution(channels_in: int, channels_out: int, kernel: int = 1, dilation: int = 1) -> nn.Sequential:
    """[B, channels_in, T] → [B, channels_out, T], the ends padded with their reflection."""
    padding = dilation * (kernel - 1) // 2
    return _named(
        conv=nn.Conv1d(channels_in, channels_out, kernel, dilation=dilation, padding=padding, padding_mode="reflect")
    )


def _norm(channels: int) -> nn.Sequential:
    return _named(norm=nn.BatchNorm1d(channels))


def _tdnn(channels_in: int, channels_out: int, kernel: int = 1, dilation: int = 1) -> nn.Sequential:
    """Time-delay layer: convolution → ReLU → batch norm, in this order."""
    conv = _convolution(channels_in, channels_out, kernel, dilation)
    return _named(conv=conv, activation=nn.ReLU(), norm=_norm(channels_out))


class Res2Net(nn.Module):
    """[B, C, T] → [B, C, T]: the first of 8 groups passes, a cascade of time-delay layers runs over the others."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        width = channels // SCALE
        self.blocks = nn.ModuleList(_tdnn(width, width, 3, dilation) for _ in range(SCALE - 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, *parts = x.chunk(SCALE, dim=1)
        return torch.cat([first, *cascade(parts, lambda number, part: self.blocks[number](part))], dim=1)


class SqueezeExcitation(nn.Module):
    """[B, C, T] times a gate per channel from its time mean (ECAPA-TDNN, §3.2)."""

    def __init__(self, channels: int, bottleneck: int = 128) -> None:
        super().__init__()
        self.conv1 = _convolution(channels, bottleneck)
        self.conv2 = _convolution(bottleneck, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.conv2(self.conv1(x.mean(dim=2, keepdim=True)).relu()).sigmoid()


class SERes2NetBlock(nn.Module):
    """[B, C, T] → [B, C, T] with a short cut (ECAPA-TDNN, figure 1)."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.tdnn1 = _tdnn(channels, channels)
        self.res2net_block = Res2Net(channels, dilation)
        self.tdnn2 = _tdnn(channels, channels)
        self.se_block = SqueezeExcitation(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.se_block(self.tdnn2(self.res2net_block(self.tdnn1(x)))) + x


class AttentiveStatisticsPooling(nn.Module):
    """[B, C, T] → [B, 2C]; the attention is per channel and sees the whole utterance (ECAPA-TDNN, §3.1)."""

    def __init__(self, channels: int, bottleneck: int = 128) -> None:
        super().__init__()
        self.tdnn = _tdnn(3 * channels, bottleneck)
        self.conv = _convolution(bottleneck, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return attentive_statistics(x, self.conv(self.tdnn(with_context(x)).tanh()).softmax(dim=2))


class ECAPATDNN(nn.Module):
    """Features [B, T, D] → embedding [B, 192], logits [B, 2].

    Args:
        feature_shape: (T, D) of the cached features; 80 coefficients give 6,194,048 parameters and 386 of the 2-class
            layer, which SpeechBrain's network has not.
        channels: of the time-delay layers, a multiple of 8; three times as many after their aggregation. SpeechBrain's
            own recipe has 1024.

    Raises:
        ValueError: the shape is not (T, D), fewer than 5 frames (a reflection of 4 needs them), or channels that do
            not split into 8 groups.
    """

    def __init__(self, feature_shape: tuple[int, ...], channels: int = 512) -> None:
        super().__init__()
        _, coefficients = require_frames("ECAPATDNN", feature_shape, frames=max(DILATIONS) + 1)
        require_groups("ECAPATDNN", channels, SCALE)
        residual = [SERes2NetBlock(channels, dilation) for dilation in DILATIONS]
        self.blocks = nn.ModuleList([_tdnn(coefficients, channels, 5), *residual])
        self.mfa = _tdnn(3 * channels, 3 * channels)
        self.asp = AttentiveStatisticsPooling(3 * channels)
        self.asp_bn = _norm(6 * channels)
        self.fc = _convolution(6 * channels, 192)
        self.classifier = nn.Linear(192, 2)

    def forward(self, features: torch.Tensor) -> BackendOutput:
        x = features.transpose(1, 2)
        outputs = []
        for block in self.blocks:
            x = block(x)
            outputs.append(x)
        x = self.mfa(torch.cat(outputs[1:], dim=1))  # multi-layer feature aggregation
        embedding = self.fc(self.asp_bn(self.asp(x)).unsqueeze(2)).squeeze(2)
        return BackendOutput(embedding, self.classifier(embedding))
