"""A plain convolutional network, the simplest that looks at time and frequency together.

The network is our own. The trainer of xieyuankun/ADD-W2V2-LCNN-19LA0.6 lists a `cnn` (class `ConvNet`) of five such
stages, which it cannot run: no branch builds it, and its linear layer does not fit features of 1024×201. A global
average replaces that layer here.
"""

import torch
from torch import nn

from spoofcache.models.checks import require_frames
from spoofcache.models.layout import as_image
from spoofcache.models.output import BackendOutput

WIDTHS = (1, 16, 24, 32, 48, 64)
"""Channels before the first stage and after each stage."""


def _stage(channels_in: int, channels_out: int) -> nn.Sequential:
    """[B, C, H, W] → [B, C', H // 2, W // 2]."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.MaxPool2d(2),
        nn.LeakyReLU(0.1),  # increasing, so it commutes with the pooling, after which a quarter of the values remain
    )


class CNN(nn.Module):
    """Features [B, T, D] → embedding [B, 256], logits [B, 2]; 69,506 parameters whatever the shape.

    Args:
        feature_shape: (T, D) of the cached features.

    Raises:
        ValueError: The shape is not (T, D) with at least 32 frames and 32 coefficients: five stages halve both.
    """

    def __init__(self, feature_shape: tuple[int, ...]) -> None:
        super().__init__()
        require_frames("CNN", feature_shape, frames=32, coefficients=32)
        self.stages = nn.Sequential(*map(_stage, WIDTHS[:-1], WIDTHS[1:]))
        self.embedding = nn.Linear(WIDTHS[-1], 256)
        self.classifier = nn.Linear(256, 2)

    def forward(self, features: torch.Tensor) -> BackendOutput:
        x = self.stages(as_image(features))  # the height is time
        embedding = self.embedding(x.mean(dim=(2, 3)))
        return BackendOutput(embedding, self.classifier(embedding))
