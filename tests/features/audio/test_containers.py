"""Formats that FFmpeg would read as far as they go: a file that ends within one of its parts is refused."""

import re

import numpy as np
import pytest

from spoofcache.features.audio.read import read_audio
from spoofcache.features.audio.result import AudioError

WRITTEN = {
    "flv": ("a.flv", "libmp3lame", 44_100, None),
    "flv-adpcm": ("a.flv", "adpcm_swf", 22_050, None),
    "mpeg": ("a.mpg", "mp2", 48_000, "mpeg"),
    "avi": ("a.avi", "libmp3lame", 44_100, None),
    "ac3": ("a.ac3", "ac3", 48_000, None),
    "ac3-44100": ("a.ac3", "ac3", 44_100, None),
    "eac3": ("a.eac3", "eac3", 32_000, None),
}


@pytest.fixture(params=WRITTEN)
def whole(request, by_ffmpeg):
    name, codec, rate, form = WRITTEN[request.param]
    return by_ffmpeg(name, codec, rate=rate, form=form)


def test_a_whole_file_is_read_to_its_end(whole):
    decoded = read_audio(whole)
    assert 1.9 < len(decoded.samples) / decoded.rate < 2.2
    assert np.abs(decoded.samples).max() > 0.05


@pytest.mark.parametrize("kept", [0.31, 0.53, 0.77, -1, -5, -100])
def test_a_file_that_was_cut_off_is_refused(whole, changed, kept):
    path = changed(whole, lambda data: data[: int(len(data) * kept) if kept > 0 else kept])
    with pytest.raises(AudioError, match=f"^{re.escape(str(path))}: (truncated|damaged)"):
        read_audio(path)


@pytest.mark.parametrize("name", ["flv", "mpeg", "ac3", "eac3"])
def test_bytes_that_are_lost_in_the_middle_are_noticed(by_ffmpeg, changed, name):
    file, codec, rate, form = WRITTEN[name]
    path = changed(by_ffmpeg(file, codec, rate=rate, form=form), lambda data: data[:9_000] + data[9_050:])
    with pytest.raises(AudioError, match=r"truncated|damaged"):
        read_audio(path)


def test_an_avi_that_was_written_as_a_stream_states_no_size(by_ffmpeg, changed):
    whole = by_ffmpeg("a.avi", "libmp3lame", rate=44_100)
    for size in (b"\0" * 4, b"\xff" * 4):
        path = changed(whole, lambda data, size=size: data[:4] + size + data[8:])
        assert len(read_audio(path).samples) == len(read_audio(whole).samples)
