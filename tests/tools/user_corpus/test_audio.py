"""The properties of an audio file: its format, its silence, its level, its faults."""

import av
import numpy as np
import pytest
import soundfile

from spoofcache.tools.demo_corpus.parallel import spread
from spoofcache.tools.user_corpus.audio import AudioProperties, Missing, Unreadable, analyze_file, analyze_files


@pytest.fixture
def write(tmp_path):
    """Writes samples to a file, and returns its path."""

    def save(name, samples, rate=16_000, **form):
        soundfile.write(tmp_path / name, samples, rate, **form)
        return tmp_path / name

    return save


def tone(seconds, amplitude, rate=16_000):
    return amplitude * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)


def test_silence_is_measured_before_within_and_after(write):
    pause = np.zeros(4_000)
    samples = np.concatenate((np.zeros(8_000), tone(1, 0.5), pause, tone(1, 0.5), np.zeros(3_360)))
    found = analyze_file(write("a.wav", samples))
    assert (found.seconds, found.leading) == (2.96, 0.5)
    assert found.trailing == pytest.approx(0.21, abs=0.02)  # a frame is 20 ms
    assert found.silence == pytest.approx(100 * 0.96 / 2.96, abs=2)


def test_levels_are_those_of_a_sine(write):
    found = analyze_file(write("a.wav", tone(1, 0.5), subtype="FLOAT"))
    assert found.peak == pytest.approx(20 * np.log10(0.5), abs=0.01)
    assert found.loudness == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.01)
    assert (found.clipped, found.silent) == (False, False)


def test_format_rate_and_channels_are_the_files_own(write):
    stereo = np.stack([tone(1, 0.5, 22_050)] * 2, axis=1)
    found = analyze_file(write("a.flac", stereo, 22_050, subtype="PCM_24"))
    assert (found.format, found.sample_rate, found.channels) == ("FLAC PCM_24", 22_050, 2)
    assert found.seconds == pytest.approx(1, abs=1e-3)


def test_a_file_that_only_ffmpeg_reads_has_its_names(tmp_path):
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=44_100, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone(1, 0.5, 44_100)[None].astype(np.float32), "fltp", "mono")
        frame.sample_rate = 44_100
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    found = analyze_file(path)
    assert (found.format, found.sample_rate, found.channels) == ("MP4 aac", 44_100, 1)


def test_a_silent_file_is_silent_from_end_to_end(write):
    found = analyze_file(write("a.wav", np.full(16_000, 1e-4), subtype="FLOAT"))
    assert found.silent
    assert (found.leading, found.trailing, found.silence) == (1, 1, 100)
    assert analyze_file(write("b.wav", np.zeros(16_000))).loudness == -200


@pytest.mark.parametrize(("amplitude", "clipped"), [(3.0, True), (1.0, False), (0.5, False)])
def test_a_file_is_clipped_that_was_too_loud_for_it(write, amplitude, clipped):
    samples = tone(1, amplitude)
    samples[1:] *= 0.99 if amplitude == 1 else 1  # normalised to one peak
    samples[0] = min(amplitude, 1)
    assert analyze_file(write("a.wav", np.clip(samples, -1, 1))).clipped is clipped


def test_the_same_samples_in_another_format_are_the_same(write):
    samples = np.round(20_000 * tone(1, 1)).astype(np.int16)
    wav, flac, other = write("a.wav", samples), write("b.flac", samples), write("c.wav", samples // 2)
    assert analyze_file(wav).digest == analyze_file(flac).digest != analyze_file(other).digest


def test_a_file_that_cannot_be_analysed_says_why(tmp_path):
    (tmp_path / "text.wav").write_text("no audio")
    assert analyze_file(None) == analyze_file(tmp_path / "gone.wav") == Missing("no such file")
    unreadable = analyze_file(tmp_path / "text.wav")
    assert isinstance(unreadable, Unreadable)
    assert unreadable.startswith("empty, truncated or not audio; expected a whole audio file")


def test_analyses_of_several_processes_are_those_of_one_in_the_same_order(write):
    paths = [write(f"{k}.wav", tone(0.1, 0.1 + 0.01 * k)) for k in range(40)] + [None]
    with spread(2) as mapping:
        spread_out = analyze_files(paths, mapping)
    assert spread_out == analyze_files(paths)
    assert len({analysis.digest for analysis in spread_out if isinstance(analysis, AudioProperties)}) == 40
    assert isinstance(spread_out[-1], Missing)
