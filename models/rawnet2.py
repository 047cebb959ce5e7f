"""RawNet2 on the waveform, a baseline of ASVspoof 2021.

Source: Tak et al.: "End-to-end anti-spoofing with RawNet2", ICASSP 2021, and the public repository
asvspoof-challenge/2021 (commit 9b33f5e), whose state-dict names are kept.
"""

import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.models.output import BackendOutput
from spoofcache.models.sinc import MelSincFilters

KERNEL = 1025
"""The number of taps of the sinc filters."""

WIDTHS = (20, 20, 20, 128, 128, 128, 128)
"""Channels before the first residual block and after each block."""

SHORTEST = KERNEL - 1 + 3 ** len(WIDTHS)
"""The number of samples of which the filters and seven poolings by 3 leave one frame."""


class ResidualBlock(nn.Module):
    """[B, C, n] → [B, C', n // 3].

    The repository creates a batch norm `bn1` for the input and then convolves the input itself. The module is kept so
    that its state dicts can be loaded.
    """

    def __init__(self, channels_in: int, channels_out: int, first: bool) -> None:
        super().__init__()
        if not first:
            self.bn1 = nn.BatchNorm1d(channels_in)
        self.conv1 = nn.Conv1d(channels_in, channels_out, 3, padding=1)
        self.bn2 = nn.BatchNorm1d(channels_out)
        self.conv2 = nn.Conv1d(channels_out, channels_out, 3, padding=1)
        widens = channels_in != channels_out
        self.conv_downsample = nn.Conv1d(channels_in, channels_out, 1) if widens else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.conv2(F.leaky_relu(self.bn2(self.conv1(x)), 0.3))
        shortcut = x if self.conv_downsample is None else self.conv_downsample(x)
        return F.max_pool1d(out + shortcut, 3)


class RawNet2(nn.Module):
    """Waveforms [B, n] at 16 kHz → embedding [B, 1024], logits [B, 2]; 17,621,410 parameters whatever n is.

    As in the repository the logits are a log-soft-max, which leaves the log-odds unchanged.

    Args:
        feature_shape: (n,), the number of samples per waveform.

    Raises:
        ValueError: The shape is not (n,) with at least 3,211 samples.
    """

    UNUSED = ("bn1",)
    """Names of modules that are never applied, see ResidualBlock."""

    def __init__(self, feature_shape: tuple[int, ...]) -> None:
        super().__init__()
        if len(feature_shape) != 1 or feature_shape[0] < SHORTEST:
            raise ValueError(
                f"RawNet2 on features of shape {feature_shape}; expected (n,), at least {SHORTEST} samples"
            )
        self.filters = MelSincFilters(WIDTHS[0], KERNEL)
        self.first_bn = nn.BatchNorm1d(WIDTHS[0])
        self.blocks = range(len(WIDTHS) - 1)
        for number in self.blocks:
            channels_in, channels_out = WIDTHS[number : number + 2]
            block = ResidualBlock(channels_in, channels_out, first=number == 0)
            self.add_module(f"block{number}", nn.Sequential(block))
            self.add_module(f"fc_attention{number}", nn.Sequential(nn.Linear(channels_out, channels_out)))
        self.bn_before_gru = nn.BatchNorm1d(WIDTHS[-1])
        self.gru = nn.GRU(WIDTHS[-1], 1024, num_layers=3, batch_first=True)
        self.fc1_gru = nn.Linear(1024, 1024)
        self.fc2_gru = nn.Linear(1024, 2)

    def _scale(self, number: int, x: torch.Tensor) -> torch.Tensor:
        """Scale each filter [B, C, n]: x·s + s, with s from its mean over time (Jung et al., Interspeech 2020)."""
        scale = self.get_submodule(f"fc_attention{number}")(x.mean(dim=2)).sigmoid()[:, :, None]
        return x * scale + scale

    def forward(self, features: torch.Tensor) -> BackendOutput:
        x = F.max_pool1d(self.filters(features).abs(), 3)
        x = F.selu(self.first_bn(x))
        for number in self.blocks:
            x = self._scale(number, self.get_submodule(f"block{number}")(x))
        x = F.selu(self.bn_before_gru(x))
        states, _ = self.gru(x.transpose(1, 2))
        embedding = self.fc1_gru(states[:, -1])
        return BackendOutput(embedding, F.log_softmax(self.fc2_gru(embedding), dim=1))
