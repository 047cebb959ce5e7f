"""Check what a checkpoint states about itself: its architecture, frame rate, sample rate and normalisation."""

from collections.abc import Mapping
from typing import Any

from spoofcache.features.frontends.base import NO_NORMALIZATION, ZERO_MEAN_UNIT_VARIANCE, FrontEndError
from spoofcache.features.frontends.hub import Source
from spoofcache.features.waveform import NORMALIZATIONS, SAMPLE_RATE

FAMILIES = ("wav2vec2", "hubert", "wavlm", "data2vec-audio", "unispeech", "unispeech-sat", "wav2vec2-conformer")
"""Names in transformers of the architectures that take waveforms and keep their blocks in `encoder.layers`."""


def require_family(source: str, config: Mapping[str, Any]) -> None:
    """Raise FrontEndError if the architecture is not one of FAMILIES, before transformers offers to run its code."""
    family, expected = config.get("model_type"), f"expected one of {', '.join(FAMILIES)}"
    if family in FAMILIES or family is None:  # if there is no name, transformers reports what is wrong
        return
    if "auto_map" in config:
        raise FrontEndError(
            f"{source}: a {family} model that needs program code from the checkpoint, which is never run; {expected}"
        )
    raise FrontEndError(f"{source}: a {family} model; {expected}")


def require_frame_rate(source: str, config: Any) -> None:
    """Raise FrontEndError if an adapter behind the blocks merges several frames into one."""
    if getattr(config, "add_adapter", False) and config.adapter_stride > 1 and config.num_adapter_layers > 0:
        frames = config.adapter_stride**config.num_adapter_layers
        raise FrontEndError(
            f"{source}: an adapter behind its blocks merges {frames} frames into one; expected a checkpoint without "
            'an adapter ("add_adapter": false in config.json)'
        )


def normalization_of(source: Source, asked: str | None) -> str:
    """The normalisation that the user asked for, or else the one that the checkpoint's feature extractor applies.

    Raises:
        FrontEndError: neither the user nor the checkpoint states it, or the checkpoint takes another sample rate.
    """
    from transformers import Wav2Vec2FeatureExtractor

    try:
        extractor = Wav2Vec2FeatureExtractor.from_pretrained(source.name, local_files_only=source.only_local)
    except (OSError, ValueError) as error:
        if asked:
            return asked
        raise FrontEndError(
            f"{source.name}: no preprocessor_config.json, which says whether the waveform is normalised; "
            f"expected one, or --normalize {'|'.join(NORMALIZATIONS)}"
        ) from error
    if extractor.sampling_rate != SAMPLE_RATE:
        raise FrontEndError(
            f"{source.name}: the model was made for audio at {extractor.sampling_rate} Hz (sampling_rate in "
            f"preprocessor_config.json); expected {SAMPLE_RATE} Hz"
        )
    return asked or (ZERO_MEAN_UNIT_VARIANCE if extractor.do_normalize else NO_NORMALIZATION)
