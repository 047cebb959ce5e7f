"""AASIST and AASIST-L: raw waveform → residual encoder → spectral and temporal graphs.

Source: Jung, Heo, Tak, Shim, Chung, Lee, Yu, Evans: "AASIST: audio anti-spoofing using integrated spectro-temporal
graph attention networks", ICASSP 2022, and its public repository clovaai/aasist (commit a04c986). State-dict names are
those of that repository, so its published checkpoints load unchanged.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.models.graph import GraphClassifier
from spoofcache.models.layout import as_image
from spoofcache.models.output import BackendOutput
from spoofcache.models.sinc import MelSincFilters


class FrequencyMask(nn.Module):
    """Set a random range of neighbouring bands to zero in training, the same for the whole batch: [B, F, n] → same.

    As in clovaai/aasist (its option `freq_aug`), the width is uniform in 0…`widest` − 1 and the position uniform over
    all positions at which it fits. It is written in tensor arithmetic so that the network still compiles as one graph.
    """

    def __init__(self, widest: int = 20) -> None:
        super().__init__()
        self.widest = widest

    def forward(self, bands: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return bands
        n_bands, device = bands.shape[1], bands.device
        width = torch.randint(self.widest, (), device=device)
        first = (torch.rand((), device=device) * (n_bands - width + 1)).long()
        band = torch.arange(n_bands, device=device)
        return bands * ((band < first) | (band >= first + width))[:, None]


class ResidualBlock(nn.Module):
    """[B, channels_in, F, W] → [B, channels_out, F, W // time_pool]: two convolutions of height 2 around a skip.

    Every block except the first owns a batch norm `bn1` that is never applied: clovaai/aasist computes SELU(bn1(x)),
    discards the result and convolves x. Its published checkpoints depend on that.
    """

    def __init__(self, channels_in: int, channels_out: int, *, first: bool, time_pool: int = 1) -> None:
        super().__init__()
        if not first:
            self.bn1 = nn.BatchNorm2d(channels_in)
        self.conv1 = nn.Conv2d(channels_in, channels_out, (2, 3), padding=(1, 1))  # adds one row
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, (2, 3), padding=(0, 1))  # removes it
        same = channels_in == channels_out
        self.conv_downsample = nn.Identity() if same else nn.Conv2d(channels_in, channels_out, (1, 3), padding=(0, 1))
        self.pool = nn.Identity() if time_pool == 1 else nn.MaxPool2d((1, time_pool))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv2(F.selu(self.bn2(self.conv1(x))))
        return self.pool(y + self.conv_downsample(x))


ENCODER_CHANNELS = (1, 32, 32)
"""Input channels of the first three residual blocks; the later blocks have as many channels as a node has values."""


def residual_encoder(channels: int, time_pool: int = 1) -> nn.Sequential:
    """Return six residual blocks: [B, 1, F, W] → [B, channels, F, W // time_pool⁶], rounded down after each block."""
    widths = (*ENCODER_CHANNELS, *4 * (channels,))
    return nn.Sequential(
        *(
            # clovaai/aasist wraps every block in a sequence of one, hence the names encoder.0.0.…
            nn.Sequential(ResidualBlock(widths[i], widths[i + 1], first=i == 0, time_pool=time_pool))
            for i in range(6)
        )
    )


class AASIST(GraphClassifier):
    """Waveform [B, n] → embedding [B, 160], logits [B, 2]; 297,866 parameters.

    For n = 64,600: fixed sinc filters [B, 70, n − 128] → magnitude and max-pool 3×3 → residual encoder
    [B, channels, 23, 29]. The largest magnitude over time gives 23 spectral nodes, the largest over frequency
    29 temporal nodes. The waveform is not normalised.

    Args:
        feature_shape: (n,), the number of samples at 16 kHz; the published models take 64,600.
        channels: The number of channels of the encoder's last four blocks, and of values per node.
        pool_ratios: See GraphClassifier.
        frequency_mask: Set a random range of bands to zero in training (off in the published configurations).

    Raises:
        ValueError: The shape is not (n,) with at least 2,315 samples, or a pool ratio is out of range.
    """

    UNUSED = ("bn1",)
    """Names of modules, anywhere in the network, that are kept for the published checkpoints and never applied."""

    def __init__(
        self,
        feature_shape: tuple[int, ...],
        channels: int = 64,
        pool_ratios: Sequence[float] = (0.5, 0.7, 0.5),
        frequency_mask: bool = False,
    ) -> None:
        shortest = 128 + 3**7  # the filters take 128 samples, then seven poolings divide by 3
        if len(feature_shape) != 1 or feature_shape[0] < shortest:
            raise ValueError(f"AASIST on features of shape {feature_shape}; expected (n,), at least {shortest} samples")
        super().__init__(channels, pool_ratios)
        n_filters = 70
        self.filters = MelSincFilters(n_filters, 129)
        self.mask = FrequencyMask() if frequency_mask else nn.Identity()
        self.first_bn = nn.BatchNorm2d(1)
        self.encoder = residual_encoder(channels, time_pool=3)
        self.pos_S = nn.Parameter(torch.randn(1, n_filters // 3, channels))

    def forward(self, features: torch.Tensor) -> BackendOutput:
        bands = self.mask(self.filters(features)).abs()
        x = F.selu(self.first_bn(F.max_pool2d(bands[:, None], 3)))
        x = self.encoder(as_image(x.squeeze(1))).abs()
        return self.classify(x.amax(3).mT + self.pos_S, x.amax(2).mT)


class AASISTL(AASIST):
    """AASIST-L: AASIST with 24 channels and other pool ratios, as published; 85,306 parameters.

    Arguments and errors are those of AASIST.
    """

    def __init__(self, feature_shape: tuple[int, ...], frequency_mask: bool = False) -> None:
        super().__init__(feature_shape, 24, (0.4, 0.5, 0.7), frequency_mask)
