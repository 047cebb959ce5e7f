"""Waveforms to augment, and what is measured on the results."""

import numpy as np

RATE = 16_000
ONE_OF_EACH = (
    "rawboost:5",
    "codec:mp3",
    "telephone",
    "noise",
    "background:{folder},snr=5..10,files=1..2",
    "reverb:{folder}",
    "room:rt60=0.15..0.2",
    "lowpass",
    "highpass",
    "bandpass",
    "resample",
    "gain",
    "pitch",
    "shift",
    "pipeline:intensity=1.8,probability=1",
)
"""One spelling per effect, each with something left to chance."""


def voice(n=24_000, seed=0):
    """Buzzing harmonics of a gliding pitch with a syllable's envelope and a little breath; [n] float32."""
    rng = np.random.RandomState(seed)
    time = np.arange(n) / RATE
    phase = 2 * np.pi * (120 * time + 20 * np.sin(3 * time))
    buzz = sum(np.sin(k * phase + rng.uniform(0, 6)) / k for k in range(1, 30))
    envelope = 0.15 * (1 + np.sin(2 * np.pi * 4 * time)) ** 2
    return (envelope * (buzz + 0.1 * rng.standard_normal(n)) / 2).astype(np.float32)


def lag(later, earlier):
    """Samples by which `later` [n] comes after `earlier` [n]: the peak of their cross-correlation."""
    n = len(earlier)
    spectra = (np.fft.rfft(waveform.astype(np.float64), 2 * n) for waveform in (later, earlier))
    products = np.fft.irfft(next(spectra) * next(spectra).conj())
    return int((products.argmax() + n) % (2 * n) - n)


def power(waveform):
    return float(np.mean(np.square(waveform, dtype=np.float64)))


def snr(clean, noisy):
    """Of the noise that was added, in dB."""
    return 10 * np.log10(power(clean) / power(noisy.astype(np.float64) - clean))


def level(waveform, low, high):
    """Power between two frequencies in Hz, in dB of full scale's."""
    spectrum = np.abs(np.fft.rfft(waveform.astype(np.float64) * np.hanning(len(waveform)))) ** 2
    hertz = np.fft.rfftfreq(len(waveform), 1 / RATE)
    inside = (hertz >= low) & (hertz < high)
    return 10 * np.log10(spectrum[inside].sum() / len(waveform) ** 2)
