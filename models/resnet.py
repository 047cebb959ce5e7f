"""ResNet-18, with the features as an image of one channel.

Source: He, Zhang, Ren, Sun: "Deep residual learning for image recognition", CVPR 2016, table 1. The `resnet` of
xieyuankun/ADD-W2V2-LCNN-19LA0.6 has its convolutions commented out and cannot take features of 1024×201; this network
is our own.
"""

import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.models.checks import require_frames
from spoofcache.models.layout import as_image
from spoofcache.models.output import BackendOutput


class BasicBlock(nn.Module):
    """[B, C, H, W] → [B, C', ⌈H/stride⌉, ⌈W/stride⌉]: two 3×3 convolutions with a shortcut around them."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.shortcut = nn.Sequential()
        if channels_in != channels_out:
            projection = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(channels_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + self.shortcut(x))


def _layer(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(channels_in, channels_out, stride), BasicBlock(channels_out, channels_out, 1))


class ResNet(nn.Module):
    """Features [B, T, D] → embedding [B, 256], logits [B, 2]; 11,302,082 parameters whatever the shape.

    Args:
        feature_shape: (T, D) of the cached features, of any size.

    Raises:
        ValueError: The shape is not (T, D).
    """

    def __init__(self, feature_shape: tuple[int, ...]) -> None:
        super().__init__()
        require_frames("ResNet", feature_shape)
        self.stem = nn.Sequential(
            nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        self.layers = nn.Sequential(_layer(64, 64, 1), _layer(64, 128, 2), _layer(128, 256, 2), _layer(256, 512, 2))
        self.embedding = nn.Linear(512, 256)
        self.classifier = nn.Linear(256, 2)

    def forward(self, features: torch.Tensor) -> BackendOutput:
        x = self.layers(self.stem(as_image(features)))  # the height is time
        embedding = self.embedding(x.mean(dim=(2, 3)))
        return BackendOutput(embedding, self.classifier(embedding))
