"""Back-ends in plain PyTorch, in the order and memory layout of their original code: the baselines for our forms.

They have the same state dict and give the same numbers up to the order of summation in convolutions. Channels come
first, pooling follows the max-feature-map, and there is no custom backward pass. tests/models checks that both forms
agree.
"""

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional as F

from spoofcache.models import BACKENDS
from spoofcache.models.aasist import AASIST
from spoofcache.models.cnn import CNN
from spoofcache.models.lcnn import LCNN
from spoofcache.models.output import BackendOutput
from spoofcache.models.resnet import ResNet


class PlainMaxFeatureMap(nn.Module):
    """The maximum of the two halves of the channels, with the gradient of PyTorch: [B, C, …] → [B, C/2, …]."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.maximum(*x.chunk(2, dim=1))


def _plain_stage(stage: nn.Module, x: torch.Tensor) -> torch.Tensor:
    convolution, *rest = stage.children()
    x = PlainMaxFeatureMap()(convolution(x))
    if any(isinstance(module, nn.MaxPool2d) for module in rest):
        x = F.max_pool2d(x, 2)
    norm = rest[-1]
    return norm(x) if isinstance(norm, nn.BatchNorm2d) else x


class PlainLCNN(LCNN):
    """`lcnn`: convolution → max-feature-map → pooling → norm, channels first."""

    def __init__(self, feature_shape: tuple[int, ...], dropout: float = 0.7) -> None:
        super().__init__(feature_shape, dropout)
        self.out[2] = PlainMaxFeatureMap()

    def trunk(self, maps: torch.Tensor) -> torch.Tensor:
        x = maps.unsqueeze(1)
        for number in range(1, 10):
            x = _plain_stage(self.get_submodule(f"conv{number}"), x)
        return x


class PlainAASIST(AASIST):
    """`aasist` with its residual encoder channels first."""

    def forward(self, features: torch.Tensor) -> BackendOutput:
        bands = self.mask(self.filters(features)).abs()
        x = F.selu(self.first_bn(F.max_pool2d(bands[:, None], 3)))
        x = self.encoder(x).abs()
        return self.classify(x.amax(3).mT + self.pos_S, x.amax(2).mT)


class PlainCNN(CNN):
    """`cnn`: convolution → norm → leaky ReLU → pooling, channels first."""

    def forward(self, features: torch.Tensor) -> BackendOutput:
        x = features.unsqueeze(1)
        for stage in self.stages:
            convolution, norm, pool, activation = stage.children()
            x = pool(activation(norm(convolution(x))))
        embedding = self.embedding(x.mean(dim=(2, 3)))
        return BackendOutput(embedding, self.classifier(embedding))


class PlainResNet(ResNet):
    """`resnet` channels first."""

    def forward(self, features: torch.Tensor) -> BackendOutput:
        x = self.layers(self.stem(features.unsqueeze(1)))
        embedding = self.embedding(x.mean(dim=(2, 3)))
        return BackendOutput(embedding, self.classifier(embedding))


PLAIN: Mapping[str, type[nn.Module]] = {
    "lcnn": PlainLCNN,
    "aasist": PlainAASIST,
    "cnn": PlainCNN,
    "resnet": PlainResNet,
}
"""Registry name → plain form, for the back-ends that have one."""


def build(backend: str, feature_shape: tuple[int, ...], plain: bool) -> nn.Module:
    """A back-end in its plain form or in ours."""
    return (PLAIN if plain else BACKENDS)[backend](feature_shape)
