"""Is there audio for every trial: what is listed before any model runs, and what may be skipped."""

import os

import av
import numpy as np
import pytest
import soundfile

from spoofcache.features.coverage import Coverage, look_for_audio, require_audio
from spoofcache.features.waveform import AudioError, load_waveform
from spoofcache.protocols.trial import Trial


def trial_of(path):
    return Trial(path.stem, "spoof", path=path)


@pytest.fixture
def speech(tmp_path):
    """`speech("a.flac")`: a trial whose file holds half a second of noise."""

    def write(name):
        soundfile.write(tmp_path / name, np.random.default_rng(0).uniform(-0.5, 0.5, 8_000), 16_000)
        return trial_of(tmp_path / name)

    return write


@pytest.mark.parametrize("ending", ["flac", "wav", "ogg", "mp3", "aiff"])
def test_audio_that_opens_is_covered(speech, ending):
    assert look_for_audio([speech(f"a.{ending}")]) == Coverage(1, [], {})


BROKEN = {
    "empty": b"",
    "text": b"hello",
    "zeros": b"\0" * 4_096,
    "header-only": b"fLaC",
    "page": b"<!DOCTYPE html><html>Not found</html>",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_file_that_is_not_audio_is_named(tmp_path, kind):
    path = tmp_path / "u.flac"
    path.write_bytes(BROKEN[kind])
    assert list(look_for_audio([trial_of(path)]).unreadable) == ["u"]
    with pytest.raises(AudioError):
        load_waveform(path)


def test_an_empty_file_of_a_form_without_a_header_is_unreadable(tmp_path):
    (tmp_path / "u.g722").touch()
    assert look_for_audio([trial_of(tmp_path / "u.g722")]).unreadable == {"u": "u.g722: empty, truncated or not audio"}


def test_a_file_of_no_samples_is_unreadable(tmp_path):
    soundfile.write(tmp_path / "u.wav", np.zeros(0), 16_000)
    assert look_for_audio([trial_of(tmp_path / "u.wav")]).unreadable == {"u": "u.wav: no samples"}


def test_a_picture_is_no_audio_and_a_silent_film_has_no_audio_stream(tmp_path):
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "u.png")
    with av.open(str(tmp_path / "v.mp4"), "w") as film:
        stream = film.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 16
        picture = av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")
        film.mux([*stream.encode(picture), *stream.encode(None)])
    assert look_for_audio([trial_of(tmp_path / "u.png"), trial_of(tmp_path / "v.mp4")]).unreadable == {
        "u": "u.png: empty, truncated or not audio",
        "v": "v.mp4: no audio stream",
    }


def test_a_wav_that_was_cut_off_is_found_by_its_header(speech):
    trial = speech("a.wav")
    trial.path.write_bytes(trial.path.read_bytes()[:-1_000])
    expected = {"a": "a.wav: truncated"}
    assert look_for_audio([trial]).unreadable == expected


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "u.wav")
    assert look_for_audio([trial_of(tmp_path / "u.wav")]).unreadable == {"u": "u.wav: neither a file nor a link to one"}


def test_a_file_that_is_gone_and_one_that_was_never_found_are_missing(tmp_path):
    trials = [Trial("a", "spoof"), trial_of(tmp_path / "b.wav"), trial_of(tmp_path / "c.g722")]
    assert look_for_audio(trials) == Coverage(3, ["a", "b", "c"], {})


def test_every_trial_is_looked_at_in_order_and_counted(speech, tmp_path):
    there, count = speech("a.flac"), []
    trials = [there if i % 3 else Trial(f"m{i}", "spoof") for i in range(2_500)]
    coverage = look_for_audio(trials, advance=count.append)
    assert count == [1_000, 1_000, 500]
    assert coverage.missing == [f"m{i}" for i in range(0, 2_500, 3)]


LOST = Coverage(50, [f"u{i}" for i in range(12)], {"v": "v.wav: no samples"})
TOLD = (
    "12 of 50 utterances have no audio file, first u0, u1, u2, u3, u4, u5, u6, u7, u8, u9; "
    "1 of 50 utterances have audio that cannot be opened, first v (v.wav: no samples)"
)


def test_all_missing_files_are_reported_at_once_with_their_number_and_the_first_ten():
    with pytest.raises(AudioError) as refusal:
        require_audio(LOST, skip=False)
    assert str(refusal.value).startswith(f"{TOLD}; expected <utterance>.flac, .wav or another ending")
    assert str(refusal.value).endswith("(--on-missing skip omits them)")


def test_some_may_be_skipped_but_not_all():
    require_audio(LOST, skip=True)
    require_audio(Coverage(50, [], {}), skip=False)
    with pytest.raises(AudioError, match="2 of 2 utterances have no audio file, first a, b; expected"):
        require_audio(Coverage(2, ["a", "b"], {}), skip=True)
