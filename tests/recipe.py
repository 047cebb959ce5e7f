"""Weights and inputs that every implementation can make for itself, by name and seed.

The reference numbers in tests/golden were computed from these: a network with the same state-dict names gets
bit-identical weights without a download.
"""

import zlib

import numpy as np
import torch
from torch import nn


def recipe_tensor(name: str, like: torch.Tensor) -> torch.Tensor:
    """The tensor that the recipe gives an entry of that name and shape."""
    if not like.is_floating_point():
        return torch.zeros_like(like)
    u = np.random.RandomState(zlib.crc32(name.encode())).random_sample(tuple(like.shape))
    if name.endswith("running_var"):
        values = 0.5 + u
    elif like.dim() >= 2 and not name.endswith("running_mean"):
        values = (2 * u - 1) * np.sqrt(3 / np.prod(like.shape[1:]))
    elif name.endswith("weight"):
        values = 0.8 + 0.4 * u
    else:
        values = 0.2 * (u - 0.5)
    return torch.from_numpy(values.astype(np.float32))


def fill(model: nn.Module) -> nn.Module:
    """Give a network the recipe's weights; evaluation mode."""
    model.load_state_dict({name: recipe_tensor(name, tensor) for name, tensor in model.state_dict().items()})
    return model.eval()


def ssl_last() -> torch.Tensor:
    """Stand-in for the last hidden state of two utterances [2, 201, 1024]."""
    return torch.from_numpy(np.random.RandomState(7).standard_normal((2, 201, 1024)).astype(np.float32))


def wave() -> torch.Tensor:
    """Two waveforms of noise [2, 64600]."""
    return torch.from_numpy((0.1 * np.random.RandomState(11).standard_normal((2, 64_600))).astype(np.float32))
