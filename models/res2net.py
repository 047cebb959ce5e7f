"""The SE-Res2Net-50 of the public repository xieyuankun/ADD-W2V2-LCNN-19LA0.6 (commit c5982b2).

Source of its blocks: Gao et al.: "Res2Net: a new multi-scale backbone architecture", IEEE TPAMI 2021, and Hu, Shen,
Sun: "Squeeze-and-excitation networks", CVPR 2018. State-dict names are those of the repository.
"""

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.models.checks import require_frames
from spoofcache.models.output import BackendOutput

SCALE = 4
"""The number of groups that a block splits its channels into."""


def cascade(parts: Sequence[torch.Tensor], step: Callable[[int, torch.Tensor], torch.Tensor]) -> list[torch.Tensor]:
    """Run Res2Net's recursion over groups of channels: y_0 = step(0, x_0), y_i = step(i, x_i + y_{i−1}).

    Source: Gao et al. 2021, eq. 1. All groups have the same shape, and each gives one result.
    """
    outputs: list[torch.Tensor] = []
    for number, part in enumerate(parts):
        outputs.append(step(number, part + outputs[-1] if outputs else part))
    return outputs


class SqueezeExcitation(nn.Module):
    """Multiply each channel of [B, C, H, W] by a gate from the means over H and W (Hu et al., eq. 2–4, no biases)."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels // reduction, bias=False),
            nn.ReLU(),
            nn.Linear(channels // reduction, channels, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.fc(x.mean(dim=(2, 3)))[:, :, None, None]


def _downsample(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    """Return the shortcut of a layer's first block: average-pool, then widen. Sizes are rounded up."""
    return nn.Sequential(
        nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False),
        nn.Conv2d(channels_in, channels_out, 1, bias=False),
        nn.BatchNorm2d(channels_out),
    )


class Res2Block(nn.Module):
    """[B, C, H, W] → [B, 2·planes, ⌈H/stride⌉, ⌈W/stride⌉].

    The first block of a layer changes width and size. It omits the recursion and average-pools its last group.
    """

    def __init__(self, channels_in: int, planes: int, stride: int, first: bool) -> None:
        super().__init__()
        width, channels_out = planes * 26 // 64, 2 * planes  # Res2Net-50 26w×4s: 26 channels per group at 64 planes
        self.conv1 = nn.Conv2d(channels_in, SCALE * width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(SCALE * width)
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, stride, padding=1, bias=False) for _ in range(SCALE - 1))
        self.bns = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(SCALE - 1))
        self.conv3 = nn.Conv2d(SCALE * width, channels_out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels_out)
        self.se = SqueezeExcitation(channels_out)
        self.downsample = _downsample(channels_in, channels_out, stride) if first else None
        self.stride = stride

    def _step(self, number: int, part: torch.Tensor) -> torch.Tensor:
        return F.relu(self.bns[number](self.convs[number](part)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        *parts, last = F.relu(self.bn1(self.conv1(x))).chunk(SCALE, dim=1)
        if self.downsample is None:
            shortcut, outputs = x, cascade(parts, self._step)
        else:
            shortcut, outputs = self.downsample(x), [self._step(number, part) for number, part in enumerate(parts)]
            last = F.avg_pool2d(last, 3, self.stride, padding=1)
        out = self.bn3(self.conv3(torch.cat([*outputs, last], dim=1)))
        return F.relu(self.se(out) + shortcut)


def _layer(channels_in: int, planes: int, blocks: int, stride: int) -> nn.Sequential:
    later = [Res2Block(2 * planes, planes, 1, first=False) for _ in range(blocks - 1)]
    return nn.Sequential(Res2Block(channels_in, planes, stride, first=True), *later)


class SERes2Net(nn.Module):
    """Features [B, T, D] → embedding [B, 256], logits [B, 2]; 923,102 parameters whatever the shape.

    As in the original repository the logits are a log-soft-max, which leaves the log-odds unchanged. The network is
    slow, because its first layers run at the full resolution T×D.

    Args:
        feature_shape: (T, D) of the cached features, of any size.

    Raises:
        ValueError: The shape is not (T, D).
    """

    def __init__(self, feature_shape: tuple[int, ...]) -> None:
        super().__init__()
        require_frames("SERes2Net", feature_shape)
        self.conv1 = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1, bias=False),
        )
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _layer(16, 16, blocks=3, stride=1)
        self.layer2 = _layer(32, 32, blocks=4, stride=2)
        self.layer3 = _layer(64, 64, blocks=6, stride=2)
        self.layer4 = _layer(128, 128, blocks=3, stride=2)
        self.cls_layer = nn.Linear(256, 2)

    def forward(self, features: torch.Tensor) -> BackendOutput:
        x = features.transpose(1, 2).unsqueeze(1)  # [B, 1, D, T]: the height is the coefficient, the width is time
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        embedding = x.mean(dim=(2, 3))
        return BackendOutput(embedding, F.log_softmax(self.cls_layer(embedding), dim=1))
