"""From audio file to waveform: what is decoded, to which numbers, and what is refused."""

import doctest
import struct
from itertools import cycle, islice
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from spoofcache.features import waveform as module
from spoofcache.features.audio import isolated
from spoofcache.features.audio.kinds import FLAC
from spoofcache.features.audio.result import Wish
from spoofcache.features.waveform import FIT_RULES, N_SAMPLES, AudioError, fit_length, load_waveform

NOISE = np.random.RandomState(0).randint(-32_768, 32_768, 8_000).astype(np.int16)


def sine(frequency, rate, seconds=1.0, amplitude=0.5):
    return amplitude * np.sin(2 * np.pi * frequency / rate * np.arange(int(seconds * rate)))


def encode(path, samples, codec, rate=16_000, title=""):
    """Write 16-bit samples [n] with FFmpeg, in the container that the path's ending names."""
    with av.open(str(path), "w") as container:
        container.metadata["title"] = title
        stream = container.add_stream(codec, rate=rate, layout="mono")
        to_codec = av.AudioResampler(stream.format, "mono", rate, frame_size=stream.frame_size or None)
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = rate
        for part in [*to_codec.resample(frame), *to_codec.resample(None), None]:
            container.mux(stream.encode(part))
    return path


@pytest.fixture
def wav(tmp_path):
    """`wav(samples, rate)`: a 16-bit WAV file; further settings go to soundfile."""

    def write(samples, rate=16_000, name="a.wav", **how):
        soundfile.write(tmp_path / name, samples, rate, **how)
        return tmp_path / name

    return write


@pytest.fixture
def damaged(tmp_path):
    """`damaged(path, change)`: a copy whose bytes `change` has changed."""

    def write(path, change):
        copy = tmp_path / f"damaged{path.suffix}"
        copy.write_bytes(change(path.read_bytes()))
        return copy

    return write


def test_the_examples_in_the_docstrings():
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("name", ["a.flac", "a.wav", "a.aiff", "a.au"])
def test_sixteen_bits_are_read_to_the_last_one(wav, name):
    waveform = load_waveform(wav(NOISE, name=name, subtype="PCM_16"))
    assert waveform.dtype == np.float32
    np.testing.assert_array_equal(waveform * 32_768, NOISE)


def test_channels_are_averaged(wav):
    left, right = sine(100, 16_000), sine(300, 16_000)
    waveform = load_waveform(wav(np.stack([left, right], axis=1), subtype="DOUBLE"))
    np.testing.assert_allclose(waveform, (left + right) / 2, atol=1e-7)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_other_rates_are_resampled_to_16_kilohertz(wav, rate):
    waveform = load_waveform(wav(sine(440, rate), rate, subtype="FLOAT"))
    assert len(waveform) == 16_000
    inside = slice(800, -800)  # away from the edges, where the filter rings
    np.testing.assert_allclose(waveform[inside], sine(440, 16_000)[inside], atol=1e-4)


def test_what_lies_above_the_new_nyquist_frequency_is_filtered_away(wav):
    waveform = load_waveform(wav(sine(10_000, 48_000), 48_000, subtype="FLOAT"))
    assert np.abs(waveform[800:-800]).max() < 1e-4


@pytest.mark.parametrize(("name", "codec"), [("a.m4a", "aac"), ("a.mka", "aac")])
def test_what_libsndfile_refuses_is_decoded_by_ffmpeg(tmp_path, name, codec):
    path = encode(tmp_path / name, (sine(440, 16_000) * 32_767).astype(np.int16), codec)
    with pytest.raises(soundfile.LibsndfileError):
        soundfile.read(path)
    waveform = load_waveform(path)
    spectrum = np.abs(np.fft.rfft(waveform[4_000:12_000]))
    assert spectrum.argmax() == 220  # 440 Hz in steps of 2 Hz
    assert np.abs(waveform[4_000:12_000]).max() == pytest.approx(0.5, abs=0.02)


def test_ffmpeg_gives_g722_its_rate(tmp_path):
    waveform = load_waveform(encode(tmp_path / "a.g722", NOISE, "g722"))
    assert len(waveform) == len(NOISE)


def test_a_title_that_is_not_utf8_does_no_harm(tmp_path, damaged):
    path = encode(tmp_path / "a.m4a", NOISE, "aac", title="café")
    assert len(load_waveform(damaged(path, lambda data: data.replace("é".encode(), b"\xe9 ")))) > 0


def test_gsm_has_no_length_that_soundfile_knows_and_is_read_all_the_same(wav):
    assert len(load_waveform(wav(sine(440, 8_000), 8_000, format="WAV", subtype="GSM610"))) == 16_000


def test_a_streamed_flac_declares_no_length_and_is_read_all_the_same(wav, damaged):
    def without_length(data):  # the 36 bits after 14 bytes of STREAMINFO, less four
        return data[:21] + bytes([data[21] & 0xF0, 0, 0, 0, 0]) + data[26:]

    path = damaged(wav(NOISE, name="a.flac"), without_length)
    np.testing.assert_array_equal(load_waveform(path) * 32_768, NOISE)


@pytest.mark.parametrize("size", [0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF - 36])
def test_a_streamed_wav_declares_the_largest_length_and_is_read_all_the_same(wav, damaged, size):
    def with_size(data):
        start = data.index(b"data") + 4
        return data[:start] + struct.pack("<I", size) + data[start + 4 :]

    np.testing.assert_array_equal(load_waveform(damaged(wav(NOISE), with_size)) * 32_768, NOISE)


@pytest.mark.parametrize("lost", [1, 46, 3_000, 15_000])
@pytest.mark.parametrize(
    "name", ["a.wav", "a.flac", "a.mp3", "a.aiff", "a.au", "a.ogg", "a.w64", "a.caf", "a.sph", "a.opus", "a.rf64"]
)
def test_a_truncated_file_is_refused(wav, damaged, name, lost):
    form = {".sph": "NIST", ".opus": "OGG"}.get(Path(name).suffix)
    how = {"subtype": "OPUS"} if name == "a.opus" else {}
    whole = wav(sine(440, 16_000) + 0.1 * np.random.RandomState(0).randn(16_000), name=name, format=form, **how)
    path = damaged(whole, lambda data: data[: -min(lost, len(data) * 9 // 10)])
    with pytest.raises(AudioError, match=f"^{path}: .*truncated.*; expected "):
        load_waveform(path)


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_a_truncated_file_that_only_ffmpeg_reads_is_refused(tmp_path, damaged, codec):
    path = encode(tmp_path / "a.m4a" if codec == "aac" else tmp_path / "a.mov", np.tile(NOISE, 8), codec)
    cut = damaged(path, lambda data: data[: len(data) // 2])
    with pytest.raises(AudioError, match=f"^{cut}: damaged or cut off; FFmpeg: .*; expected a whole audio file$"):
        load_waveform(cut)


@pytest.mark.parametrize("content", [b"", b"not audio at all\n" * 50, bytes(5_000)], ids=["empty", "text", "zeros"])
@pytest.mark.parametrize("name", ["a.flac", "a.wav", "a.mp3", "a.raw", "a.txt", "a"])
def test_what_is_not_audio_is_refused(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(AudioError, match=f"^{path}: empty, truncated or not audio; expected a whole audio file"):
        load_waveform(path)


def test_a_flac_that_declares_more_than_memory_holds_is_refused(wav, damaged):
    path = damaged(wav(NOISE, name="a.flac"), lambda data: data[:22] + b"\xff\xff\xff\xff" + data[26:])
    with pytest.raises(AudioError, match="truncated"):
        load_waveform(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(AudioError, match=r"a\.flac: no such file; expected the audio of an utterance$"):
        load_waveform(tmp_path / "a.flac")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused(wav, value):
    samples = sine(440, 16_000)
    samples[5_000] = value
    path = wav(samples, subtype="FLOAT")
    with pytest.raises(AudioError, match=f"^{path}: NaN or infinite samples; expected finite ones$"):
        load_waveform(path)


@pytest.mark.parametrize(("n", "rate", "left"), [(399, 16_000, 399), (0, 16_000, 0), (1_000, 48_000, 333)])
def test_less_than_a_frame_is_refused(wav, n, rate, left):
    path = wav(np.zeros(n), rate)
    with pytest.raises(AudioError, match=f"^{path}: {left} samples at 16 kHz; expected at least 400, one frame"):
        load_waveform(path)


def test_one_frame_is_enough(wav):
    assert load_waveform(wav(np.zeros(400))).shape == (400,)


def slow_fit(waveform, n_samples, how):
    filling = cycle(waveform) if how == "repeat" else [*waveform, *[0.0] * n_samples]
    return list(islice(filling, n_samples))


@given(st.integers(1, 60), st.integers(1, 60), st.sampled_from(sorted(FIT_RULES)))
def test_fitting_equals_the_slow_way(length, n_samples, how):
    waveform = np.arange(1, length + 1, dtype=np.float32)
    fitted = fit_length(waveform, n_samples, how)
    assert fitted.dtype == np.float32
    assert fitted.tolist() == slow_fit(waveform, n_samples, how)


@pytest.mark.parametrize("length", [N_SAMPLES // 2, N_SAMPLES // 4, N_SAMPLES])
def test_a_length_that_divides_is_tiled_without_a_remainder(length):
    waveform = np.arange(length, dtype=np.float32)
    np.testing.assert_array_equal(fit_length(waveform), np.tile(waveform, N_SAMPLES // length))


def test_by_default_the_beginning_of_64600_samples_is_kept():
    assert fit_length(np.arange(70_000, dtype=np.float32)).tolist() == list(range(64_600))


@pytest.mark.corpus
@pytest.mark.parametrize("utt_id", ["LA_T_1272637", "LA_D_1003356", "LA_E_6163791"])
def test_both_decoders_read_genuine_files_alike(shared, utt_id):
    path = shared / f"data/asvspoof2019_la/flac/{utt_id}.flac"
    by_ffmpeg = isolated.decode_second(path, 0, FLAC, Wish())
    np.testing.assert_array_equal(load_waveform(path), by_ffmpeg.samples)
    assert by_ffmpeg.rate == 16_000
