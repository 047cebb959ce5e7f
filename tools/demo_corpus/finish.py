"""The last step of every utterance, bona fide or spoof, so that level, silence and codec do not reveal its class."""

import av
import numpy as np
from librosa.effects import trim as trim_silence

from spoofcache.features.waveform import SAMPLE_RATE, Waveform
from spoofcache.tools.spoofing.spectrum import FloatArray

RMS = 10 ** (-26 / 20)
"""Root mean square (RMS) of every utterance: −26 dB of full scale."""
PEAK = 3.5 * RMS
"""Largest sample of every utterance. The peaks of recorded speech are 4 to 6 times its RMS, those of vocoders and
synthesisers up to 12 times: without a limiter, the peak alone separates the classes (area under the ROC curve 0.91 on
the utterances of the demo)."""
LIMITER_FRAME = 160
LIMITER_ROUNDS = 50
LIMITER_GAIN = 8.0
"""Largest gain that makes up for the limiter. A voice that consists of clicks stays below RMS, because a larger gain
would raise the noise in its pauses too far."""
SILENCE_DB = 30.0
"""Frames this far below the loudest frame are trimmed from the ends. At 40 dB, the reverberation of a room would
remain, which synthetic speech does not have."""
FADE_SAMPLES = 160


def trim(waveform: Waveform) -> Waveform:
    """Trim silence from both ends of a waveform [n]: frames of 32 ms that are SILENCE_DB below the loudest."""
    return trim_silence(waveform, top_db=SILENCE_DB, frame_length=512, hop_length=128)[0]


def finish(waveform: Waveform, coded: bool) -> Waveform:
    """Trim a waveform, code it if requested, remove its mean, fade 10 ms at both ends, and set its RMS and peak.

    Args:
        waveform: [n], at any level, not silent.
        coded: whether to code it with G.722 (ITU-T, 64 kbit/s) and decode it again.

    Returns:
        [m], m ≤ n.
    """
    waveform = trim(waveform)
    if coded:
        waveform = through_g722(limit(waveform))
    fade = np.minimum(np.arange(len(waveform)) / FADE_SAMPLES, 1).astype(np.float32)
    waveform = (waveform - waveform.mean()) * fade * fade[::-1]
    return limit(waveform - waveform.mean())


def limit(waveform: Waveform) -> Waveform:
    """Bring a waveform [n] that is not silent to RMS, with no sample above PEAK.

    The gain is piecewise linear over frames of 10 ms, and never larger than the peaks of the frames allow. Wherever
    they allow it, the gain is one constant, found by bisection, which restores the RMS that limiting reduces.
    """
    frames = np.pad(waveform, (0, -len(waveform) % LIMITER_FRAME)).reshape(-1, LIMITER_FRAME)
    allowed = PEAK / np.maximum(np.abs(frames).max(axis=1), 1e-9)
    # the energy of a frame under a gain that runs from s to e is s²·m0 + s·e·m1 + e²·m2
    t = np.arange(LIMITER_FRAME) / LIMITER_FRAME
    moments = np.square(frames, dtype=np.float64) @ np.stack(((1 - t) ** 2, 2 * t * (1 - t), t**2), axis=1)
    least = RMS * np.sqrt(len(waveform) / np.sum(np.square(frames, dtype=np.float64)))
    most = LIMITER_GAIN * least
    for _ in range(LIMITER_ROUNDS):
        gain = np.sqrt(least * most)
        edges = _edges(np.minimum(gain, allowed))
        start, end = edges[:-1], edges[1:]
        power = np.sum(moments * np.stack((start**2, start * end, end**2), axis=1)) / len(waveform)
        least, most = (gain, most) if power < RMS**2 else (least, gain)
    gains = np.interp(np.arange(len(waveform)), np.arange(len(edges)) * LIMITER_FRAME, edges)
    return (waveform * gains).astype(np.float32)


def _edges(gains: FloatArray) -> FloatArray:
    """Gains at the edges of frames [T + 1] from the gains of the frames [T].

    Each is the smaller gain of the two neighbours, so that interpolation never exceeds the gain of a frame.
    """
    return np.minimum(np.append(gains, np.inf), np.insert(gains, 0, np.inf))


def through_g722(waveform: Waveform) -> Waveform:
    """Encode a waveform [n] (16 kHz, within ±1) with FFmpeg's G.722 codec and decode it again: [n]."""
    encoder = av.AudioCodecContext.create("g722", "w")
    encoder.sample_rate, encoder.layout, encoder.format = SAMPLE_RATE, "mono", "s16"
    decoder = av.AudioCodecContext.create("g722", "r")
    decoder.layout = "mono"
    samples = np.round(np.pad(waveform, (0, len(waveform) % 2)) * 32_767).astype(np.int16)  # two samples per byte
    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate = SAMPLE_RATE
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    decoded = [part.to_ndarray()[0] for packet in packets for part in decoder.decode(packet)]
    return np.concatenate(decoded)[: len(waveform)].astype(np.float32) / np.float32(32_768)
