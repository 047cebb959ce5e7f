"""Statistics over time of another front-end's features: one vector per layer and utterance, for studies of layers."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from spoofcache.features.frontends.base import POOLS, FrontEnd, FrontEndError


class Pooled(FrontEnd):
    """Waveform [n] → statistics over time [L, D] (`mean`) or [L, 2·D] (`mean+std`), with L = 1 for a single layer.

    The first D numbers of a layer are the means over its frames. The others are the population standard deviations
    √(Σ(x − mean)²/T). Both are computed in float32, whatever type the front-end computes in, on the device where its
    features are.

    Args:
        frontend: the front-end whose features [T, D] or [L, T, D] are pooled.
        pool: one of POOLS.

    Raises:
        FrontEndError: the statistics are not known by that name.
    """

    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float16")

    def __init__(self, frontend: FrontEnd, pool: str) -> None:
        if pool not in POOLS:
            raise FrontEndError(f"--pool {pool}; expected {' or '.join(POOLS)}")
        self._frontend, self._pool = frontend, pool
        self.slug = f"{frontend.slug}-{pool.replace('+', '-')}"
        self.weights = frontend.weights
        self.blocks = frontend.blocks
        self.is_stand_in = frontend.is_stand_in

    def settings(self) -> Mapping[str, Any]:
        return {**self._frontend.settings(), "pool": self._pool}

    def obstacle(self) -> str:
        return self._frontend.obstacle()

    @torch.inference_mode()
    def extract(self, waveforms: torch.Tensor) -> torch.Tensor:
        features = self._frontend.extract(waveforms).float()
        self._require_frames(tuple(features.shape[1:]))
        layers = features if features.ndim == 4 else features[:, None]
        if self._pool == "mean":
            return layers.mean(2)
        variance, mean = torch.var_mean(layers, dim=2, correction=0)
        return torch.cat((mean, variance.sqrt()), dim=-1)

    def row_shape(self, n_samples: int) -> tuple[int, ...]:
        shape = self._frontend.row_shape(n_samples)
        self._require_frames(shape)
        return (shape[0] if len(shape) == 3 else 1, shape[-1] * len(self._pool.split("+")))

    def _require_frames(self, shape: tuple[int, ...]) -> None:
        if len(shape) not in (2, 3):
            raise FrontEndError(
                f"--pool {self._pool} for {self._frontend.slug}, whose rows are of shape "
                f"{' × '.join(map(str, shape))}; expected a front-end with frames"
            )
