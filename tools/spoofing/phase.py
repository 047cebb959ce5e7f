"""Vocoders without a source model: they keep a coarse magnitude, and generate or move the phase."""

import functools

import librosa
import numpy as np
from librosa.effects import pitch_shift
from librosa.filters import mel as mel_filter_bank

from spoofcache.features.waveform import SAMPLE_RATE, Waveform
from spoofcache.tools.spoofing.request import Request, median_f0
from spoofcache.tools.spoofing.spectrum import FloatArray, through_channel

N_FFT = 1024
HOP = 256
N_MELS = 80
ITERATIONS = 32
SEMITONES = (1.5, 6.0)
"""Smallest and largest pitch shift of a conversion. A smaller one is no other voice; a larger one sounds unnatural."""


@functools.cache
def _mel_and_back() -> tuple[FloatArray, FloatArray]:
    """The mel filter bank [80, 513] and its pseudo-inverse [513, 80]."""
    mel = mel_filter_bank(sr=SAMPLE_RATE, n_fft=N_FFT, n_mels=N_MELS).astype(np.float64)
    return mel, np.linalg.pinv(mel)


def griffin_lim(request: Request) -> Waveform:
    """Rebuild the source from its 80-band mel spectrogram (Griffin & Lim, IEEE TASSP 32(2), 1984; 32 iterations).

    Early neural text-to-speech (Tacotron) generated its waveforms in this way.
    """
    to_mel, from_mel = _mel_and_back()
    mel = to_mel @ np.abs(librosa.stft(request.source, n_fft=N_FFT, hop_length=HOP))
    magnitude = np.maximum(from_mel @ mel, 0.0).astype(np.float32)
    seed = int(request.rng.integers(2**31))
    return librosa.griffinlim(
        magnitude, n_iter=ITERATIONS, hop_length=HOP, length=len(request.source), random_state=seed
    )


def shift_pitch(request: Request) -> Waveform:
    """Shift pitch and formants together towards the target with a phase vocoder, and apply its channel.

    The shift is the distance to the pitch of the target in semitones, changed at random by up to one semitone.
    """
    source_f0 = median_f0(request.source)
    towards = 1.0 if request.target.f0 >= source_f0 else -1.0
    distance = abs(12 * np.log2(request.target.f0 / source_f0)) + request.rng.uniform(-1, 1)
    shift = towards * float(np.clip(distance, *SEMITONES))
    shifted = pitch_shift(request.source, sr=SAMPLE_RATE, n_steps=shift, n_fft=N_FFT)
    return through_channel(shifted, request.target.channel, request.rng)
