"""What a checkpoint states of itself, and whether its hidden states are then those that are asked for."""

from collections.abc import Mapping
from typing import Any

from spoofcache.features.frontends.base import NO_NORMALIZATION, ZERO_MEAN_UNIT_VARIANCE, FrontEndError
from spoofcache.features.frontends.hub import Source
from spoofcache.features.waveform import NORMALIZATIONS, SAMPLE_RATE

FAMILIES = ("wav2vec2", "hubert", "wavlm", "data2vec-audio", "unispeech", "unispeech-sat", "wav2vec2-conformer")
"""The library's names of the architectures whose models take waveforms and keep their blocks in `encoder.layers`."""


def require_family(source: str, config: Mapping[str, Any]) -> None:
    """FrontEndError for an architecture that is not one of FAMILIES, before the library offers to run its code."""
    family, expected = config.get("model_type"), f"expected one of {', '.join(FAMILIES)}"
    if family in FAMILIES or family is None:  # without a name the library says what is wrong
        return
    if "auto_map" in config:
        raise FrontEndError(
            f"{source}: a {family} model that needs program code from the checkpoint, which is never run; {expected}"
        )
    raise FrontEndError(f"{source}: a {family} model; {expected}")


def require_frame_rate(source: str, config: Any) -> None:
    """FrontEndError where an adapter behind the blocks makes one frame of several."""
    if getattr(config, "add_adapter", False) and config.adapter_stride > 1 and config.num_adapter_layers > 0:
        frames = config.adapter_stride**config.num_adapter_layers
        raise FrontEndError(
            f"{source}: an adapter behind its blocks makes one frame of {frames}; expected a checkpoint without one "
            '("add_adapter": false in config.json)'
        )


def normalization_of(source: Source, asked: str | None) -> str:
    """What the checkpoint's own feature extractor does to a waveform, unless another normalisation is asked for.

    Raises:
        FrontEndError: the checkpoint says nothing and nothing is asked for, or it takes audio of another sample rate.
    """
    from transformers import Wav2Vec2FeatureExtractor

    try:
        extractor = Wav2Vec2FeatureExtractor.from_pretrained(source.name, local_files_only=source.only_local)
    except (OSError, ValueError) as error:
        if asked:
            return asked
        raise FrontEndError(
            f"{source.name}: no preprocessor_config.json to say whether the waveform is normalised; "
            f"expected one, or --normalize {'|'.join(NORMALIZATIONS)}"
        ) from error
    if extractor.sampling_rate != SAMPLE_RATE:
        raise FrontEndError(
            f"{source.name}: made for audio at {extractor.sampling_rate} Hz (sampling_rate in "
            f"preprocessor_config.json); expected {SAMPLE_RATE} Hz"
        )
    return asked or (ZERO_MEAN_UNIT_VARIANCE if extractor.do_normalize else NO_NORMALIZATION)
