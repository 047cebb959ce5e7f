"""A substitute for a speech model whose checkpoint is not on this machine, for estimates of size and time."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch

from spoofcache.common.machine import available_memory
from spoofcache.features.frontends.base import (
    NO_NORMALIZATION,
    ZERO_MEAN_UNIT_VARIANCE,
    FrontEnd,
    FrontEndOptions,
)
from spoofcache.features.frontends.geometry import configuration, n_bytes, n_frames, normalises, random_model
from spoofcache.features.frontends.inputs import model_input, published_extractor
from spoofcache.features.frontends.ssl import Checkpoint, HiddenStates, blocks_of, encoder_of, named_layers, slug_of

COPIES = 2
"""Copies of the weights in memory during the first batch: the model of transformers and our own network."""


class StandIn(FrontEnd):
    """A front-end with the size and the speed of the named one, but random weights, so its numbers mean nothing.

    The shape of a row follows from the architecture. The first call of `extract` makes the model.

    Args:
        name: key of `geometry.ARCHITECTURES`.
        options: options of the front-end.

    Raises:
        FrontEndError: a layer is unknown.
    """

    is_stand_in = True

    def __init__(self, name: str, options: FrontEndOptions) -> None:
        self._name, self._options = name, options
        self._config = configuration(name)
        self._layers = named_layers(name, options.layers, self._config.num_hidden_layers)
        self.blocks = blocks_of(self._layers, self._config.num_hidden_layers)
        extractor = published_extractor(self._config, normalises(self._config))
        self._input = model_input(extractor, self._config, name)
        self._front_end: HiddenStates | None = None
        self.slug = slug_of(name, self._layers)

    def settings(self) -> Mapping[str, Any]:
        return {"name": self._name, "weights_sha256": None, "layers": list(self._layers)}

    def row_shape(self, n_samples: int) -> tuple[int, ...]:
        length = self._input.n_frames(n_samples)
        if length is None:
            length = n_frames(n_samples, self._config.conv_kernel, self._config.conv_stride)
        shape = (len(self._layers), length, self._config.hidden_size)
        return shape if len(self._layers) > 1 else shape[1:]

    def obstacle(self) -> str:
        needed, free = COPIES * n_bytes(self._config), available_memory()
        if needed <= free:
            return ""
        return f"a model of this size needs {needed / 1e9:.1f} GB of memory, of which {free / 1e9:.1f} GB are free"

    def extract(self, waveforms: torch.Tensor) -> torch.Tensor:
        if self._front_end is None:
            normalization = ZERO_MEAN_UNIT_VARIANCE if normalises(self._config) else NO_NORMALIZATION
            checkpoint = Checkpoint(
                f"random {self._name}", encoder_of(random_model(self._config).eval()), normalization, self._input
            )
            options = replace(self._options, layers=self._layers)
            self._front_end = HiddenStates(self._name, options, checkpoint)
        return self._front_end.extract(waveforms)
