"""BACKENDS: registry name → back-end, built from the shape of the cached features and its own settings."""

from collections.abc import Callable, Mapping

from torch import nn

from models.lcnn import LCNN

BACKENDS: Mapping[str, Callable[..., nn.Module]] = {
    "lcnn": LCNN,
}
