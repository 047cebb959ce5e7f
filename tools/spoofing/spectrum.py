"""Average spectra, filters, and the excitation of source-filter voices."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spoofcache.features.waveform import SAMPLE_RATE, Waveform

FloatArray = NDArray[np.float64]

N_FFT = 512
WINDOW = np.hanning(N_FFT)
MAX_GAIN_DB = 20.0
SMOOTHING_BINS = 9
FLOOR = 1e-9
"""Floor of a spectrum that sums to 1; bins below it contain no speech."""


class Channel(NamedTuple):
    """Power spectra [257] from 0 to 8 kHz of recordings, relative to the total power of the speech."""

    speech: FloatArray
    """Average over the louder half of the frames; sums to 1."""
    background: FloatArray
    """Average over the quietest 5 % of the frames: the noise of the room and the recorder."""


def measure_channel(waveform: Waveform) -> Channel:
    """Average spectra of a waveform [n] with n ≥ 512 that is not silent."""
    power = _frame_power(waveform)
    energy = power.sum(axis=1)
    speech = power[energy >= np.quantile(energy, 0.5)].mean(axis=0)
    background = power[energy <= np.quantile(energy, 0.05)].mean(axis=0)
    return Channel(speech / speech.sum(), background / speech.sum())


def match_spectrum(waveform: Waveform, target: FloatArray) -> Waveform:
    """Filter a waveform [n] so that its smoothed average spectrum becomes `target` [257], without changing the phase.

    The gain is limited to ±20 dB.
    """
    gain_db = 10 * np.log10((target + FLOOR) / (measure_channel(waveform).speech + FLOOR))
    kernel = np.hanning(SMOOTHING_BINS + 2)[1:-1]
    smooth = np.convolve(np.pad(gain_db, SMOOTHING_BINS // 2, mode="edge"), kernel / kernel.sum(), mode="valid")
    return _filter(waveform, 10 ** (np.clip(smooth, -MAX_GAIN_DB, MAX_GAIN_DB) / 20))


def through_channel(waveform: Waveform, channel: Channel, rng: np.random.Generator) -> Waveform:
    """Give a waveform [n] the average spectrum and the background noise of `channel`.

    Text-to-speech does not pass through a microphone. The average spectrum of the recordings and the noise in their
    pauses would otherwise reveal the class, although they have nothing to do with the speech.
    """
    matched = match_spectrum(waveform, channel.speech)
    power = _frame_power(matched)
    energy = power.sum(axis=1)
    speech_power = energy[energy >= np.quantile(energy, 0.5)].mean()
    gain = np.sqrt(channel.background * speech_power / np.sum(WINDOW**2))
    return matched + _filter(rng.standard_normal(len(matched)), gain)


def _frame_power(waveform: Waveform) -> FloatArray:
    """Power spectra [T, 257] of half-overlapping frames."""
    frames = np.lib.stride_tricks.sliding_window_view(waveform, N_FFT)[:: N_FFT // 2]
    return np.abs(np.fft.rfft(frames * WINDOW)) ** 2


def _filter(waveform: Waveform | FloatArray, gain: FloatArray) -> Waveform:
    """Apply a gain [257] by frequency to a waveform [n], without delay."""
    padded = len(waveform) + N_FFT  # the impulse response has at most N_FFT samples: nothing wraps around
    spectrum = np.fft.rfft(waveform, padded)
    spectrum *= np.interp(np.linspace(0, 1, len(spectrum)), np.linspace(0, 1, len(gain)), gain)
    return np.fft.irfft(spectrum, padded)[: len(waveform)].astype(np.float32)


def filter_in_time(excitation: FloatArray, responses: NDArray[np.complex128], hop: int) -> FloatArray:
    """Filter an excitation [n] with a filter that changes every `hop` samples, by overlap-add.

    Args:
        excitation: [n].
        responses: frequency responses [T, F] of T ≥ n / hop frames that are centred at multiples of `hop`. F is
            N/2 + 1 for transforms of N ≥ 4·hop samples, which leaves N − 2·hop samples for the impulse response.
        hop: number of samples between frames.

    Returns:
        [n].
    """
    n_fft = 2 * (responses.shape[1] - 1)
    n_frames = min(len(responses), len(excitation) // hop + 1)
    window = np.hanning(2 * hop + 1)[:-1]  # periodic: neighbours sum to 1
    padded = np.pad(excitation, (hop, 2 * hop))
    frames = np.lib.stride_tricks.sliding_window_view(padded, 2 * hop)[::hop][:n_frames]
    filtered = np.fft.irfft(np.fft.rfft(frames * window, n_fft) * responses[:n_frames], n_fft)
    total = np.zeros(n_frames * hop + n_fft)
    for k, frame in enumerate(filtered):
        total[k * hop : k * hop + n_fft] += frame
    return total[hop : hop + len(excitation)]


def excitation_of(f0: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Pulses at the pitch of voiced samples and white noise elsewhere, with unit power throughout.

    Args:
        f0: fundamental frequency in Hz of each sample [n] at 16 kHz; 0 if unvoiced.
        rng: source of the noise.

    Returns:
        [n].
    """
    periods = np.floor(np.cumsum(f0) / SAMPLE_RATE)
    pulses = np.diff(periods, prepend=0.0)
    height = np.sqrt(SAMPLE_RATE / np.maximum(f0, 1.0))
    return np.where(f0 > 0, pulses * height, rng.standard_normal(len(f0)))
