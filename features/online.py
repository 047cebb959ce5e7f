"""Computes features like those of a cache from waveforms, without a cache: for the user's own recordings."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from spoofcache.features.extract import make_identity
from spoofcache.features.extract_options import ExtractOptions
from spoofcache.features.frontends import make_frontend
from spoofcache.features.frontends.base import FrontEnd, FrontEndOptions
from spoofcache.features.plan import Identity, ShardMismatch, StoreError
from spoofcache.features.store import from_stored, to_stored
from spoofcache.features.waveform import Waveform, fit_length


class OnlineFeatures:
    """A front-end with the length rule and the stored type of a cache.

    Attributes:
        identity: the identity of a cache with the same features.
        n_samples: length of a window in samples; longer waveforms are cut.

    Raises:
        StoreError: the output of this front-end cannot be stored in the number type of `options`.
    """

    def __init__(self, frontend: FrontEnd, options: ExtractOptions) -> None:
        self._frontend = frontend
        self._options = options
        self.identity = make_identity(frontend, options)
        self.n_samples = options.n_samples

    def row_shape(self) -> tuple[int, ...]:
        """The shape of one utterance's features."""
        return self._frontend.row_shape(self.n_samples)

    def extract(self, waveforms: Sequence[Waveform], name: str) -> torch.Tensor:
        """Waveforms, each [n] at 16 kHz, → features [B, T, D], [B, L, T, D] or [B, n_samples].

        They are rounded to the stored type, because the network was trained on rounded features.

        Raises:
            StoreError: a feature does not fit the stored type; the message contains `name`.
        """
        fitted = [fit_length(waveform, self.n_samples, self._options.fit) for waveform in waveforms]
        features = self._frontend.extract(torch.from_numpy(np.stack(fitted)))
        return from_stored(torch.from_numpy(to_stored(features, self.identity.dtype, [name] * len(fitted))))


def rebuild_features(identity: Identity, weights: Path | None, device: torch.device) -> OnlineFeatures:
    """Rebuild the features of an identity.

    Args:
        identity: the identity of the cache that a network was trained on.
        weights: folder with the speech model's checkpoint in the hub's format. If None, the hub is used.
        device: where the front-end runs.

    Raises:
        FrontEndError: the front-end is not available.
        ShardMismatch: only another version of the front-end is available, for example with other weights; the message
            names the differences.
        StoreError: the identity is not one of SpoofCache.
    """
    try:
        settings, front_end = identity.settings, identity.settings["front_end"]
        how = ExtractOptions(fit=settings["fit"], n_samples=settings["n_samples"], dtype=settings["dtype"])
        layers, name = tuple(front_end.get("layers", ())), front_end.get("plugin") or front_end["name"]
        precision = front_end.get("precision")
    except (KeyError, TypeError, AttributeError) as error:
        raise StoreError(
            f"feature identity {dict(identity.settings)}: not one that SpoofCache writes ({error!r})"
        ) from error
    options = FrontEndOptions(
        layers=layers,
        weights=weights,
        normalize=front_end.get("normalize"),
        precision=precision,
        device=device,
        pool=front_end.get("pool"),
    )
    online = OnlineFeatures(make_frontend(name, options), how)
    found, expected = online.identity.flat(), identity.flat()
    differing = [
        f"{field} is {found.get(field)!r}, expected {expected.get(field)!r}"
        for field in found | expected
        if found.get(field) != expected.get(field)
    ]
    if differing:
        raise ShardMismatch(f"front-end {name}: not the one that the network was trained on: {'; '.join(differing)}")
    return online
