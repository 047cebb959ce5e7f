"""Vocoders with a source and a filter: copy synthesis, and conversion to another voice."""

from typing import NamedTuple

import librosa
import numpy as np
import pyworld

from spoofcache.features.waveform import SAMPLE_RATE, Waveform
from spoofcache.tools.spoofing.request import Request, median_f0, pitch_track
from spoofcache.tools.spoofing.spectrum import FloatArray, excitation_of, filter_in_time, match_spectrum

LPC_ORDER = 18
LPC_HOP = 160
LPC_WINDOW = 400
LPC_N_FFT = 1024
FORMANT_EXPONENT = 1 / 3
"""Formants grow roughly with this power of the pitch: women's pitch is 1.7 times men's, their formants 1.17 times."""
LEAST_WARP = 0.06
"""A conversion moves the formants by at least 6 %; otherwise, a target of similar pitch would change nothing."""


class World(NamedTuple):
    """WORLD's analysis of T frames of 5 ms (Morise et al., IEICE Trans. E99-D(7), 2016)."""

    f0: FloatArray
    """Fundamental frequency [T] in Hz; 0 if unvoiced."""
    envelope: FloatArray
    """Spectral envelope [T, 513]."""
    aperiodicity: FloatArray
    """Share of noise in each band [T, 513]."""


def analyse(waveform: Waveform) -> World:
    """Analyse a waveform [n] with WORLD (DIO, StoneMask, CheapTrick, D4C)."""
    x = waveform.astype(np.float64)
    coarse, times = pitch_track(waveform)
    f0 = pyworld.stonemask(x, coarse, times, SAMPLE_RATE)
    envelope = pyworld.cheaptrick(x, f0, times, SAMPLE_RATE)
    return World(f0, envelope, pyworld.d4c(x, f0, times, SAMPLE_RATE))


def synthesise(world: World, n_samples: int) -> Waveform:
    """Synthesise a waveform [n_samples] from WORLD parameters."""
    waveform = pyworld.synthesize(*(np.ascontiguousarray(part) for part in world), SAMPLE_RATE)
    return librosa.util.fix_length(waveform, size=n_samples).astype(np.float32)


def world_copy(request: Request) -> Waveform:
    """Copy synthesis: analyse the source with WORLD, and synthesise it again unchanged."""
    return synthesise(analyse(request.source), len(request.source))


def world_convert(request: Request) -> Waveform:
    """Voice conversion: the source with the pitch and the average spectrum of the target, and with warped formants."""
    world = analyse(request.source)
    ratio = request.target.f0 / median_f0(request.source)
    warp = _formant_warp(ratio, request.rng)
    converted = World(
        world.f0 * ratio, _stretch(world.envelope, warp), np.clip(_stretch(world.aperiodicity, warp), 0, 1)
    )
    return match_spectrum(synthesise(converted, len(request.source)), request.target.channel.speech)


def _formant_warp(pitch_ratio: float, rng: np.random.Generator) -> float:
    warp = pitch_ratio**FORMANT_EXPONENT * rng.uniform(0.97, 1.03)
    if abs(warp - 1) < LEAST_WARP:
        warp = 1 + (LEAST_WARP if warp >= 1 else -LEAST_WARP)
    return float(np.clip(warp, 0.75, 1.33))


def _stretch(spectra: FloatArray, factor: float) -> FloatArray:
    """Move the content at frequency f to factor·f, in every row of [T, F]."""
    bins = np.arange(spectra.shape[1], dtype=np.float64)
    return np.stack([np.interp(bins / factor, bins, row) for row in spectra])


def lpc_vocoder(request: Request) -> Waveform:
    """Linear prediction of order 18, excited by pulses or noise: the classic vocoder.

    Each frame of 10 ms is filtered by gain / A(z). A comes from Burg's method (librosa.lpc) over 25 ms, and the gain
    preserves the energy of the frame.
    """
    x = request.source.astype(np.float64)
    padded = np.pad(x, LPC_WINDOW // 2)
    padded += 1e-5 * request.rng.standard_normal(len(padded))  # linear prediction is not defined on digital silence
    frames = np.lib.stride_tricks.sliding_window_view(padded, LPC_WINDOW)[::LPC_HOP] * np.hanning(LPC_WINDOW)
    response = 1 / np.fft.rfft(librosa.lpc(frames, order=LPC_ORDER), LPC_N_FFT)
    # by Parseval's theorem, the power of the output for an excitation of unit power
    power_gain = np.mean(np.abs(response) ** 2, axis=1)
    gain = np.sqrt(np.mean(frames**2, axis=1) / power_gain)
    f0, times = pitch_track(request.source)
    f0_at_sample = f0[np.minimum(np.searchsorted(times, np.arange(len(x)) / SAMPLE_RATE), len(f0) - 1)]
    excitation = excitation_of(f0_at_sample, request.rng)
    return filter_in_time(excitation, response * gain[:, None], LPC_HOP).astype(np.float32)
