"""Audio files of every format that the two libraries can write, made of the same two seconds of sound."""

import av
import numpy as np
import pytest
import soundfile

RATE = 16_000
SOUND = np.convolve(np.random.default_rng(0).uniform(-0.4, 0.4, 2 * RATE), np.hanning(9) / 4, "same").astype(np.float32)
"""[n] at 16 kHz, low-passed so that lossy codings keep most of it."""


@pytest.fixture
def sound():
    return SOUND


@pytest.fixture
def by_libsndfile(tmp_path):
    """`by_libsndfile("a.wav")`: the sound in that file; further settings go to soundfile."""

    def write(name, samples=SOUND, rate=RATE, **how):
        soundfile.write(tmp_path / name, samples, rate, **how)
        return tmp_path / name

    return write


@pytest.fixture
def by_ffmpeg(tmp_path):
    """`by_ffmpeg("a.m4a", "aac")`: the sound in that file; `options` go to the container."""

    def write(name, codec, samples=SOUND, rate=RATE, form=None, options=None):
        with av.open(str(tmp_path / name), "w", format=form, options=options or {}) as container:
            stream = container.add_stream(codec, rate=rate, layout="mono")
            to_codec = av.AudioResampler(stream.format, "mono", rate, frame_size=stream.frame_size or None)
            frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
            frame.sample_rate = RATE
            for part in [*to_codec.resample(frame), *to_codec.resample(None), None]:
                container.mux([packet for packet in stream.encode(part) if packet.size])
        return tmp_path / name

    return write


@pytest.fixture
def changed(tmp_path):
    """`changed(path, change)`: a copy of a file whose bytes `change` has changed."""

    def write(path, change, name=""):
        copy = tmp_path / (name or f"changed-{path.name}")
        copy.write_bytes(change(path.read_bytes()))
        return copy

    return write
