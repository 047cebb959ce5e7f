"""Check what a checkpoint states about itself: its architecture, frame rate, sample rate and normalisation."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from spoofcache.features.frontends.base import NO_NORMALIZATION, ZERO_MEAN_UNIT_VARIANCE, FrontEndError
from spoofcache.features.frontends.hub import Source
from spoofcache.features.frontends.inputs import SPECTRA, Waveforms, extractor_class, model_input
from spoofcache.features.waveform import NORMALIZATIONS, SAMPLE_RATE

FAMILIES = (
    *("wav2vec2", "hubert", "wavlm", "data2vec-audio", "unispeech", "unispeech-sat", "wav2vec2-conformer"),
    *SPECTRA,
)
"""Names in transformers of the architectures that are supported; all keep their blocks in `encoder.layers`."""


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


class Preparation(NamedTuple):
    """How a checkpoint expects waveforms: the normalisation, one of NORMALIZATIONS, and what is computed from them."""

    normalization: str
    model_input: Waveforms


def preparation_of(source: Source, config: Any, asked: str | None) -> Preparation:
    """The normalisation that the user asked for, or else the one that the checkpoint's feature extractor applies, and
    what the extractor computes for a model of that configuration.

    Raises:
        FrontEndError: neither the user nor the checkpoint states the normalisation, the checkpoint takes another sample
            rate, or its feature extractor is absent or does not fit its model.
    """
    try:
        extractor = extractor_class(config.model_type).from_pretrained(source.name, local_files_only=source.only_local)
    except (OSError, ValueError) as error:
        if config.model_type in SPECTRA:
            raise FrontEndError(
                f"{source.name}: no readable preprocessor_config.json, which says what spectrum the model takes; "
                "expected one"
            ) from error
        if asked:
            return Preparation(asked, Waveforms())
        raise FrontEndError(
            f"{source.name}: no preprocessor_config.json, which says whether the waveform is normalised; "
            f"expected one, or --normalize {'|'.join(NORMALIZATIONS)}"
        ) from error
    if extractor.sampling_rate != SAMPLE_RATE:
        raise FrontEndError(
            f"{source.name}: the model was made for audio at {extractor.sampling_rate} Hz (sampling_rate in "
            f"preprocessor_config.json); expected {SAMPLE_RATE} Hz"
        )
    # a call of the extractors that compute a spectrum leaves the waveform as it is
    is_normalised = config.model_type not in SPECTRA and extractor.do_normalize
    normalization = asked or (ZERO_MEAN_UNIT_VARIANCE if is_normalised else NO_NORMALIZATION)
    return Preparation(normalization, model_input(extractor, config, source.name))
