"""What a speech model takes: the waveform itself, or the spectrum that its feature extractor in transformers computes.

The wav2vec 2.0 family takes waveforms. The encoder of Whisper (Radford et al., Robust Speech Recognition via
Large-Scale Weak Supervision, 2022, section 2.2) takes the log-mel spectrum of 30 seconds, so that shorter audio is
padded with silence. w2v-BERT 2.0 (Seamless Communication et al., 2023) takes a log-mel spectrum whose bands are
normalised over the utterance, two frames of 10 ms in one.
"""

from collections.abc import Mapping
from typing import Any

import torch

from spoofcache.features.frontends.base import FrontEndError
from spoofcache.features.frontends.geometry import W2V_BERT, WHISPER
from spoofcache.features.waveform import SAMPLE_RATE

FRAME = 320
"""Number of samples (20 ms) that a frame of hidden states of these two families stands for."""


class Waveforms:
    """Waveforms [B, n] as they are; every frame that the model returns is stored."""

    def settings(self) -> Mapping[str, Any]:
        """What changes a number of the hidden states and does not follow from the model, as JSON types."""
        return {}

    def n_frames(self, n_samples: int) -> int | None:
        """Number of frames of `n_samples` that are stored; None for all that the model returns."""
        return None

    def arguments(self, waveforms: torch.Tensor, dtype: torch.dtype) -> Mapping[str, torch.Tensor]:
        """The arguments of the model for waveforms [B, n] float32; its numbers are of type `dtype`."""
        return {"input_values": waveforms.to(dtype)}


class WhisperSpectrum(Waveforms):
    """The log-mel spectrum of waveforms that are padded with zeros to 30 s; frames of the padding are not stored.

    A frame is stored if the waveform fills its 20 ms: ⌊n/320⌋ of the 1,500 frames.

    Args:
        extractor: a `WhisperFeatureExtractor`.
        config: the configuration of the model.
        source: where both come from, for messages.

    Raises:
        FrontEndError: the extractor does not fit the model, or draws random numbers.
    """

    def __init__(self, extractor: Any, config: Any, source: str) -> None:
        self._extractor, self._source = extractor, source
        found = (extractor.feature_size, extractor.nb_max_frames, extractor.hop_length)
        expected = (config.num_mel_bins, 2 * config.max_source_positions, FRAME // 2)
        if found != expected:
            raise FrontEndError(
                f"{source}: its feature extractor computes {found[0]} bands and {found[1]} frames, one every "
                f"{found[2]} samples; expected {expected[0]}, {expected[1]} and {expected[2]}, as its model does"
            )
        _require_no_dither(extractor, source)

    def settings(self) -> Mapping[str, Any]:
        return {
            "extractor": WHISPER,
            "n_mels": self._extractor.feature_size,
            "n_fft": self._extractor.n_fft,
            "sample_rate": SAMPLE_RATE,
            "padded_to": self._extractor.n_samples,
            "padding_value": self._extractor.padding_value,
            "samples_per_frame": FRAME,
            "frames": "of the audio",
        }

    def n_frames(self, n_samples: int) -> int:
        if n_samples > self._extractor.n_samples:
            raise FrontEndError(
                f"{self._source}: {n_samples} samples; expected at most {self._extractor.n_samples} "
                f"({self._extractor.n_samples / SAMPLE_RATE:g} s), which is all that a Whisper encoder takes"
            )
        return n_samples // FRAME

    def arguments(self, waveforms: torch.Tensor, dtype: torch.dtype) -> Mapping[str, torch.Tensor]:
        spectrum = self._extractor(
            waveforms.cpu().numpy(),
            sampling_rate=SAMPLE_RATE,
            do_normalize=False,  # done before, if the user or the checkpoint asks for it
            return_tensors="pt",
            device=str(waveforms.device),
        ).input_features
        return {"input_features": spectrum.to(waveforms.device, dtype)}


class SeamlessSpectrum(Waveforms):
    """The normalised log-mel spectrum of w2v-BERT 2.0; frames that the extractor fills up with padding are not stored.

    Args:
        extractor: a `SeamlessM4TFeatureExtractor`.
        config: the configuration of the model.
        source: where both come from, for messages.

    Raises:
        FrontEndError: the extractor does not fit the model.
    """

    WINDOW, HOP = 400, 160
    """Samples of a window of the spectrum, and from one to the next; the extractor has them as constants."""

    def __init__(self, extractor: Any, config: Any, source: str) -> None:
        self._extractor, self._source = extractor, source
        size = extractor.num_mel_bins * extractor.stride
        if (size, extractor.stride) != (config.feature_projection_input_dim, FRAME // self.HOP):
            raise FrontEndError(
                f"{source}: its feature extractor computes {size} numbers a frame, which joins {extractor.stride} of "
                f"10 ms; expected {config.feature_projection_input_dim} and {FRAME // self.HOP}, as its model does"
            )

    def settings(self) -> Mapping[str, Any]:
        return {
            "extractor": "seamless_m4t",
            "n_mels": self._extractor.num_mel_bins,
            "sample_rate": SAMPLE_RATE,
            "padding_value": self._extractor.padding_value,
            "samples_per_frame": FRAME,
            "frames": "of the audio",
        }

    def n_frames(self, n_samples: int) -> int:
        frames = (1 + (n_samples - self.WINDOW) // self.HOP) // self._extractor.stride
        if frames < 1:
            raise FrontEndError(
                f"{self._source}: {n_samples} samples; expected at least {self.WINDOW + self.HOP}, of which it makes "
                "the first frame"
            )
        return frames

    def arguments(self, waveforms: torch.Tensor, dtype: torch.dtype) -> Mapping[str, torch.Tensor]:
        self.n_frames(waveforms.shape[1])  # of fewer samples the extractor would make NaN
        spectrum = self._extractor(list(waveforms.cpu().numpy()), sampling_rate=SAMPLE_RATE, return_tensors="pt")
        return {
            "input_features": spectrum.input_features.to(waveforms.device, dtype),
            "attention_mask": spectrum.attention_mask.to(waveforms.device),
        }


def _require_no_dither(extractor: Any, source: str) -> None:
    if extractor.dither:
        raise FrontEndError(f"{source}: its feature extractor adds noise (dither {extractor.dither}); expected 0.0")


SPECTRA: Mapping[str, type[WhisperSpectrum] | type[SeamlessSpectrum]] = {
    WHISPER: WhisperSpectrum,
    W2V_BERT: SeamlessSpectrum,
}
"""Family in transformers → what it takes. All others take waveforms."""


def extractor_class(family: str) -> Any:
    """The class of transformers that prepares the input of a family."""
    from transformers import SeamlessM4TFeatureExtractor, Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

    return {WHISPER: WhisperFeatureExtractor, W2V_BERT: SeamlessM4TFeatureExtractor}.get(
        family, Wav2Vec2FeatureExtractor
    )


def published_extractor(config: Any, is_normalised: bool) -> Any:
    """The extractor of transformers with the settings that are published with the models of this geometry."""
    make = extractor_class(config.model_type)
    if config.model_type == WHISPER:
        return make(feature_size=config.num_mel_bins)
    if config.model_type == W2V_BERT:
        stride = make().stride
        return make(padding_value=1.0, num_mel_bins=config.feature_projection_input_dim // stride)
    return make(do_normalize=is_normalised, return_attention_mask=is_normalised)


def model_input(extractor: Any, config: Any, source: str) -> Waveforms:
    """What a model of that configuration takes, as its extractor prepares it; FrontEndError if the two do not fit."""
    make = SPECTRA.get(config.model_type)
    return make(extractor, config, source) if make else Waveforms()
