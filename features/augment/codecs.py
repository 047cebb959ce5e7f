"""Codecs: encodes and decodes waveforms with FFmpeg in memory, and removes the delay."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar

import av
import numpy as np
import soxr

from spoofcache.features.augment.base import Effect, Range, WholeRange, require
from spoofcache.features.waveform import SAMPLE_RATE, Waveform

PADDING = 4_096
"""Number of zeros after the waveform. It exceeds the delay of every codec, so that the last samples are complete."""

BITRATE = WholeRange(16_000, 64_000)
"""Default bit rate in bit/s."""


@dataclass(frozen=True)
class Format:
    """FFmpeg's names of a codec, and its properties that FFmpeg does not handle.

    The container must record the number of samples that the encoder adds at the start, so that the decoder removes
    them. MP3, MP4 and Ogg do so; ADTS does not.

    Attributes:
        encoder: FFmpeg's name of the encoder.
        container: FFmpeg's name of the file format.
        bitrates: range of bit rates in bit/s at 16 kHz, mono; None if there is only one.
        rate: sample rate of the codec in Hz.
        delay: delay in samples at `rate` that the file does not record.
    """

    encoder: str
    container: str
    bitrates: Range | None = None
    rate: int = SAMPLE_RATE
    delay: int = 0


FORMATS: Mapping[str, Format] = {
    "mp3": Format("libmp3lame", "mp3", Range(8_000, 160_000)),
    "aac": Format("aac", "mp4", Range(8_000, 96_000)),
    "opus": Format("libopus", "ogg", Range(6_000, 256_000)),
    "g722": Format("g722", "g722", delay=22),
    "alaw": Format("pcm_alaw", "wav", rate=8_000),
    "mulaw": Format("pcm_mulaw", "wav", rate=8_000),
}


@dataclass(frozen=True)
class Codec(Effect):
    """Encodes and decodes: mp3, aac and opus at `bitrate`, g722 at 64 kbit/s, alaw and mulaw at 8 kHz."""

    name: ClassVar[str] = "codec"
    format: str = field(metadata={"choices": FORMATS})
    bitrate: WholeRange | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        allowed = FORMATS[self.format].bitrates
        if allowed is None:
            require(self.bitrate is None, self.name, "bitrate", self.bitrate, f"none, {self.format} has only one")
            return
        if self.bitrate is None:
            object.__setattr__(self, "bitrate", BITRATE)
        require(allowed.holds(self.bitrate or BITRATE), self.name, "bitrate", self.bitrate, allowed)

    def apply(self, waveform: Waveform, rng: np.random.Generator) -> np.ndarray:
        form = FORMATS[self.format]
        bitrate = self.bitrate.draw(rng) if self.bitrate else None
        coded = _encode(soxr.resample(np.pad(waveform, (0, PADDING)), SAMPLE_RATE, form.rate), form, bitrate)
        decoded, rate = _decode(coded, form)
        return soxr.resample(decoded[form.delay :], rate, SAMPLE_RATE)[: len(waveform)]


def _encode(waveform: Waveform, form: Format, bitrate: int | None) -> io.BytesIO:
    """Waveform [n] at the format's sample rate → an encoded file. LAME uses the nearest of its bit rates."""
    file = io.BytesIO()
    with av.open(file, "w", format=form.container) as container:
        stream = container.add_stream(form.encoder, rate=form.rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        encoder = stream.codec_context
        if bitrate is not None:
            encoder.bit_rate = bitrate
        encoder.open()
        frame = av.AudioFrame.from_ndarray(waveform[None].astype(np.float32), format="flt", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = form.rate, 0, Fraction(1, form.rate)
        to_encoder = av.AudioResampler(encoder.format, "mono", form.rate, frame_size=encoder.frame_size or None)
        for part in [*to_encoder.resample(frame), *to_encoder.resample(None), None]:
            container.mux(stream.encode(part))
    file.seek(0)
    return file


def _decode(file: io.BytesIO, form: Format) -> tuple[Waveform, int]:
    """An encoded file → waveform [n] and its sample rate in Hz, which is always 48 kHz for Opus."""
    with av.open(file, "r", format=form.container) as container:
        to_float = av.AudioResampler(format="flt", layout="mono")
        parts = [part for frame in container.decode(audio=0) for part in to_float.resample(frame)]
    return np.concatenate([part.to_ndarray()[0] for part in parts]), parts[0].sample_rate
