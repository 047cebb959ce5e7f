"""Fine-tuning: the trainable part of a speech model for an experiment, chosen by the caches that it continues."""

import dataclasses
from pathlib import Path

from spoofcache.engine.about import RunError
from spoofcache.engine.config import EncoderConfig
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.encoder import WAVEFORM, Opened, open_checkpoint
from spoofcache.features.plan import weights_folder

OF_TRAINING = ("weights", "lr", "weight_decay", "normalize")
"""Keys of EncoderConfig that do not describe the encoder itself."""


def open_encoder(config: EncoderConfig, cache: CachedFeatures) -> Opened:
    """Load the speech model whose upper part continues the features of a cache.

    Raises:
        RunError: the cache holds another hidden state than the one that enters the first trainable block, or was made
            with other weights.
        FrontEndError: the checkpoint cannot be loaded, or cannot be fine-tuned in this way.
    """
    front_end = cache.plan.identity.settings["front_end"]
    _require_boundary(config, front_end, cache.folder)
    name, folder = _place(config, front_end, cache.folder)
    normalize = None if config.normalize == "checkpoint" else config.normalize
    if config.trainable_from != WAVEFORM:
        normalize = front_end["normalize"]  # it was applied before the cache was written
    settings = {key: value for key, value in dataclasses.asdict(config).items() if key not in OF_TRAINING}
    settings["layers_out"] = (config.layers_out,) if isinstance(config.layers_out, str) else config.layers_out
    opened = open_checkpoint(name, folder, normalize, settings)
    expected = front_end.get("weights_sha256")
    if config.trainable_from != WAVEFORM and opened.spec.weights_sha256 != expected:
        raise RunError(
            f"{folder or name}: the SHA-256 of its weights is {opened.spec.weights_sha256[:12]}…; {cache.folder} was "
            f"made with {str(expected)[:12]}…, which the blocks above encoder.trainable_from must belong to"
        )
    return opened


def _require_boundary(config: EncoderConfig, front_end: dict[str, object], where: Path) -> None:
    """RunError unless the cache holds the hidden state, or the waveform, that the encoder takes."""
    if config.trainable_from == WAVEFORM:
        if front_end.get("name") != "raw":
            raise RunError(
                f'{where}: features of {front_end.get("name")}; encoder.trainable_from = "waveform" expects a cache of '
                "--frontend raw"
            )
        if not config.weights:
            raise RunError(
                'encoder.weights is missing; with encoder.trainable_from = "waveform" the cache does not say which '
                "speech model to train; expected its name, such as xls-r-300m, or its folder"
            )
        return
    layers = front_end.get("layers")
    if layers != [str(config.trainable_from)]:
        held = f"layers {layers}" if layers else f"features of {front_end.get('name')}"
        raise RunError(
            f"{where}: {held}; encoder.trainable_from = {config.trainable_from} expects a cache of a speech model with "
            f"--layer {config.trainable_from} alone"
        )


def _place(config: EncoderConfig, front_end: dict[str, object], cache: Path) -> tuple[str, Path | None]:
    """Name of the speech model, and its folder: those of the configuration, else those of the cache."""
    own = config.trainable_from == WAVEFORM
    if config.weights and Path(config.weights).is_dir():
        return "" if own else str(front_end["name"]), Path(config.weights)
    if config.weights:
        return config.weights, None
    return str(front_end["name"]), weights_folder(cache)
