"""A plain convolutional network: the least that looks at time and frequency together.

Seed 003 offers a `cnn` that its trainer cannot reach and whose linear layer does not fit (SPECS.md §8); this one is
ours, with the same five stages and a global average in place of that layer.
"""

import torch
from torch import nn

from spoofcache.models.checks import require_frames
from spoofcache.models.layout import as_image
from spoofcache.models.output import BackendOutput

WIDTHS = (1, 16, 24, 32, 48, 64)
"""Channels before the first stage, and after each."""


def _stage(channels_in: int, channels_out: int) -> nn.Sequential:
    """[B, C, H, W] → [B, C', H // 2, W // 2]."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.MaxPool2d(2),
        nn.LeakyReLU(0.1),  # grows with its input: behind the pooling it gives the same, from a quarter of the values
    )


class CNN(nn.Module):
    """Features [B, T, D] → embedding [B, 256], logits [B, 2]; 69,506 parameters whatever the shape.

    Args:
        feature_shape: (T, D) of the cached features.

    Raises:
        ValueError: the shape is not (T, D) with at least 32 frames and 32 coefficients, which five halvings need.
    """

    def __init__(self, feature_shape: tuple[int, ...]) -> None:
        super().__init__()
        require_frames("CNN", feature_shape, frames=32, coefficients=32)
        self.stages = nn.Sequential(*map(_stage, WIDTHS[:-1], WIDTHS[1:]))
        self.embedding = nn.Linear(WIDTHS[-1], 256)
        self.classifier = nn.Linear(256, 2)

    def forward(self, features: torch.Tensor) -> BackendOutput:
        x = self.stages(as_image(features))  # height = time
        embedding = self.embedding(x.mean(dim=(2, 3)))
        return BackendOutput(embedding, self.classifier(embedding))
