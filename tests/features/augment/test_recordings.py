"""A folder of recordings is what is in it, not where it lies."""

import shutil

import numpy as np
import pytest
import soundfile

from spoofcache.features.augment import EffectError, parse_effect
from spoofcache.features.augment.recordings import Recordings


def test_audio_is_found_by_its_ending_in_every_folder_below(recordings):
    assert [path.relative_to(recordings).as_posix() for path in Recordings(recordings).files] == [
        "deep/long.flac",
        "short.wav",
    ]


def test_every_recording_is_drawn_sooner_or_later(recordings):
    rng = np.random.default_rng(0)
    folder = Recordings(recordings)
    assert {folder.draw(rng) for _ in range(20)} == set(folder.files)


def test_the_digest_follows_the_contents_to_another_place(recordings, tmp_path):
    copy = shutil.copytree(recordings, tmp_path / "copy")
    settings = parse_effect(f"reverb:{recordings}").settings()
    assert parse_effect(f"reverb:{copy}").settings() == settings
    assert settings["folder"].startswith("sha256:")
    assert str(recordings) not in str(settings)
    (copy / "LICENSE").write_text("another")  # no audio
    (copy / "deep/._long.flac").write_text("what a Mac leaves beside it")
    assert parse_effect(f"reverb:{copy}").settings() == settings


@pytest.mark.parametrize("change", ["byte", "name", "file"])
def test_the_digest_changes_with_them(recordings, tmp_path, change):
    copy = shutil.copytree(recordings, tmp_path / "copy")
    path = copy / "short.wav"
    if change == "byte":
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif change == "name":
        path.rename(copy / "other.wav")
    else:
        shutil.copy(path, copy / "other.wav")
    assert Recordings(copy).digest != Recordings(recordings).digest


def test_recordings_that_cannot_be_opened_are_reported_when_the_settings_are_requested(recordings, tmp_path):
    copy = shutil.copytree(recordings, tmp_path / "copy")
    (copy / "page.mp3").write_text("<html>")
    soundfile.write(copy / "none.wav", np.zeros(0), 16_000)
    with pytest.raises(EffectError) as refusal:
        parse_effect(f"background:{copy}").settings()
    assert str(refusal.value).startswith(
        f"effect background: {copy}: 2 of 4 recordings cannot be opened, first none.wav: "
    )
    assert "page.mp3: empty, truncated or not audio" in str(refusal.value)


def test_a_folder_without_audio_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("not audio")
    with pytest.raises(EffectError, match=f"^effect reverb:{tmp_path}: folder={tmp_path}; {tmp_path}: no audio; "):
        parse_effect(f"reverb:{tmp_path}")
    with pytest.raises(EffectError, match=r"no audio; expected a folder with \.flac, "):
        parse_effect(f"background:{tmp_path / 'absent'}")
