"""The light CNN of the public repository xieyuankun/ADD-W2V2-LCNN-19LA0.6 (commit c5982b2).

The max-feature-map, its only activation, is that of Wu, He, Sun, Tan: "A light CNN for deep face representation with
noisy labels", IEEE TIFS 2018. State-dict names are those of the repository.
"""

from typing import Any

import torch
from torch import nn

from spoofcache.models.checks import require_frames, require_rate
from spoofcache.models.layout import as_image
from spoofcache.models.output import BackendOutput


class _LargerHalf(torch.autograd.Function):
    """`torch.maximum` of both halves, with a backward pass that reads one byte per result instead of both halves.

    Where both values are equal, the first one gets the whole gradient, as in max-pooling; `torch.maximum` would divide
    it between the two.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        first, second = x.chunk(2, dim=1)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(first >= second)
        return torch.maximum(first, second)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        (is_first,) = ctx.saved_tensors
        first = gradient * is_first
        return torch.cat([first, gradient - first], dim=1)


class MaxFeatureMap(nn.Module):
    """Max-feature-map (Wu et al. 2018, eq. 2): the larger of channel c and channel c + C/2; [B, C, …] → [B, C/2, …]."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if torch.compiler.is_compiling():  # the compiler fuses PyTorch's own gradient
            return torch.maximum(*x.chunk(2, dim=1))
        larger: torch.Tensor = _LargerHalf.apply(x)
        return larger


def _stage(
    channels_in: int, channels_out: int, kernel: int, *, pool: bool = False, norm: bool = False
) -> nn.Sequential:
    """Return one stage: convolution [→ max-pool 2×2] → max-feature-map [→ batch norm without affine parameters].

    `channels_out` is the number of the convolution's channels; the max-feature-map halves it. The original repository
    pools after the max-feature-map. Both take a maximum over the same eight values, so the order does not matter for
    the result; in this order the max-feature-map and its gradient work on a quarter of the values.
    """
    stage: list[nn.Module] = [nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2)]
    if pool:
        stage.append(nn.MaxPool2d(2))
    stage.append(MaxFeatureMap())
    if norm:
        stage.append(nn.BatchNorm2d(channels_out // 2, affine=False))
    return nn.Sequential(*stage)


class LCNNTrunk(nn.Module):
    """The nine convolutional stages; 157,504 parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _stage(1, 64, 5, pool=True)
        self.conv2 = _stage(32, 64, 1, norm=True)
        self.conv3 = _stage(32, 96, 3, pool=True, norm=True)
        self.conv4 = _stage(48, 96, 1, norm=True)
        self.conv5 = _stage(48, 128, 3, pool=True)
        self.conv6 = _stage(64, 128, 1, norm=True)
        self.conv7 = _stage(64, 64, 3, norm=True)
        self.conv8 = _stage(32, 64, 1, norm=True)
        self.conv9 = _stage(32, 64, 3, pool=True)

    def trunk(self, maps: torch.Tensor) -> torch.Tensor:
        """[B, H, W] → [B, 32, H // 16, W // 16]."""
        x = as_image(maps)
        for number in range(1, 10):
            x = self.get_submodule(f"conv{number}")(x)
        return x


class LCNN(LCNNTrunk):
    """Features [B, T, D] → embedding [B, 256], logits [B, 2].

    Args:
        feature_shape: (T, D) of the cached features. It determines the size of the first linear layer: 201×1024 gives
            4,111,074 parameters, and 404×60 (LFCC) gives 562,914.
        dropout: The dropout rate before the linear layers.

    Raises:
        ValueError: The shape is not (T, D) with at least 16 frames and 16 coefficients, or `dropout` is not in [0, 1).
    """

    def __init__(self, feature_shape: tuple[int, ...], dropout: float = 0.7) -> None:
        super().__init__()
        name = type(self).__name__
        frames, coefficients = require_frames(name, feature_shape, frames=16, coefficients=16)
        require_rate(name, "dropout", dropout)
        flat = 32 * (coefficients // 16) * (frames // 16)
        self.out = nn.Sequential(nn.Dropout(dropout), nn.Linear(flat, 160), MaxFeatureMap(), nn.Linear(80, 256))
        self.fc_mu = nn.Linear(256, 2)

    def forward(self, features: torch.Tensor) -> BackendOutput:
        return self.classify(self.trunk(features.transpose(1, 2)))  # the height is the coefficient

    def classify(self, x: torch.Tensor) -> BackendOutput:
        """Turn the output of the convolutions, [B, …] with 32·⌊D/16⌋·⌊T/16⌋ values, into embedding and logits."""
        embedding = self.out(x.flatten(1))
        return BackendOutput(embedding, self.fc_mu(embedding))
