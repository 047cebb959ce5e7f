"""ECAPA-TDNN as SpeechBrain builds it.

Source: Desplanques, Thienpondt, Demuynck: "ECAPA-TDNN: emphasized channel attention, propagation and aggregation in
TDNN based speaker verification", Interspeech 2020, as implemented in the public repository speechbrain/speechbrain
(commit 9c826ef). State-dict names are those of that repository, except our own layer for two classes, `classifier`.
"""

from collections import OrderedDict

import torch
from torch import nn

from spoofcache.models.checks import require_frames, require_groups
from spoofcache.models.output import BackendOutput
from spoofcache.models.pooling import attentive_statistics, with_context
from spoofcache.models.res2net import cascade

SCALE = 8
"""The number of groups that a block splits its channels into."""

DILATIONS = (2, 3, 4)
"""Dilations of the three SE-Res2Net blocks, in frames."""


def _named(**modules: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(modules))


def _convolution(channels_in: int, channels_out: int, kernel: int = 1, dilation: int = 1) -> nn.Sequential:
    """Return a convolution [B, channels_in, T] → [B, channels_out, T] that pads both ends by reflection."""
    padding = dilation * (kernel - 1) // 2
    return _named(
        conv=nn.Conv1d(channels_in, channels_out, kernel, dilation=dilation, padding=padding, padding_mode="reflect")
    )


def _norm(channels: int) -> nn.Sequential:
    return _named(norm=nn.BatchNorm1d(channels))


def _tdnn(channels_in: int, channels_out: int, kernel: int = 1, dilation: int = 1) -> nn.Sequential:
    """Return a time-delay layer: convolution → ReLU → batch norm, in this order."""
    conv = _convolution(channels_in, channels_out, kernel, dilation)
    return _named(conv=conv, activation=nn.ReLU(), norm=_norm(channels_out))


class Res2Net(nn.Module):
    """Pass the first of 8 groups through, and run a cascade of time-delay layers over the others: [B, C, T] → same."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        width = channels // SCALE
        self.blocks = nn.ModuleList(_tdnn(width, width, 3, dilation) for _ in range(SCALE - 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first, *parts = x.chunk(SCALE, dim=1)
        return torch.cat([first, *cascade(parts, lambda number, part: self.blocks[number](part))], dim=1)


class SqueezeExcitation(nn.Module):
    """Multiply each channel of [B, C, T] by a gate computed from the means over time (ECAPA-TDNN, §3.2)."""

    def __init__(self, channels: int, bottleneck: int = 128) -> None:
        super().__init__()
        self.conv1 = _convolution(channels, bottleneck)
        self.conv2 = _convolution(bottleneck, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.conv2(self.conv1(x.mean(dim=2, keepdim=True)).relu()).sigmoid()


class SERes2NetBlock(nn.Module):
    """SE-Res2Net block with a shortcut, [B, C, T] → [B, C, T] (ECAPA-TDNN, figure 1)."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.tdnn1 = _tdnn(channels, channels)
        self.res2net_block = Res2Net(channels, dilation)
        self.tdnn2 = _tdnn(channels, channels)
        self.se_block = SqueezeExcitation(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.se_block(self.tdnn2(self.res2net_block(self.tdnn1(x)))) + x


class AttentiveStatisticsPooling(nn.Module):
    """Attentive pooling [B, C, T] → [B, 2C], with weights per channel that depend on the whole utterance (§3.1)."""

    def __init__(self, channels: int, bottleneck: int = 128) -> None:
        super().__init__()
        self.tdnn = _tdnn(3 * channels, bottleneck)
        self.conv = _convolution(bottleneck, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return attentive_statistics(x, self.conv(self.tdnn(with_context(x)).tanh()).softmax(dim=2))


class ECAPATDNN(nn.Module):
    """Features [B, T, D] → embedding [B, 192], logits [B, 2].

    Args:
        feature_shape: (T, D) of the cached features. 80 coefficients give 6,194,048 parameters, and 386 more in the
            layer for two classes, which SpeechBrain's network does not have.
        channels: The number of channels of the time-delay layers, a multiple of 8. The aggregation has three times as
            many. SpeechBrain's own recipe uses 1024.

    Raises:
        ValueError: The shape is not (T, D), there are fewer than 5 frames (padding by a reflection of 4 needs 5), or
            `channels` is not a multiple of 8.
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
