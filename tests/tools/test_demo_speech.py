"""Where the demonstration's speech comes from. apt-get is not called."""

import shutil
import subprocess

import pytest

from spoofcache.features.waveform import load_waveform
from spoofcache.tools import demo_speech
from spoofcache.tools.demo_corpus.builtin_voice import SPEAKERS
from spoofcache.tools.demo_speech import CREDITS, Unavailable, arrange, fetch_prompts, obtain

LANGUAGES = ("en_US_f_Allison", "es_MX_f_Allison", "it_IT_m_Carlo")
NOTICE = "Files: *\nCopyright: 2003-2010, Allison Smith\nLicense: CC-BY-SA-3.0\n"


def unpack(folder, languages=LANGUAGES):
    """What the packages of these languages hold."""
    for language in languages:
        digits = folder / demo_speech.SOUNDS / language / "digits"
        digits.mkdir(parents=True)
        (digits / "1.g722").write_bytes(b"\x00" * 8_000)
        notice = folder / "usr/share/doc" / f"asterisk-core-sounds-{language[:2]}-g722" / "copyright"
        notice.parent.mkdir(parents=True)
        notice.write_text(NOTICE)
    return folder


@pytest.fixture
def no_debian(monkeypatch):
    """Fetching fails, and the built-in voice is brief."""

    def fail(folder):
        raise Unavailable("there is no apt-get on this machine")

    monkeypatch.setattr(demo_speech, "fetch_prompts", fail)
    monkeypatch.setattr(demo_speech, "BUILTIN_RECORDINGS", 1)


def test_one_voice_in_two_languages_is_one_speaker(tmp_path):
    (tmp_path / "out").mkdir()
    arrange(unpack(tmp_path / "unpacked"), tmp_path / "out")
    files = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.g722"))
    assert files == ["Allison/en_US/digits/1.g722", "Allison/es_MX/digits/1.g722", "Carlo/it_IT/digits/1.g722"]


def test_the_credits_are_the_packages_own(tmp_path):
    (tmp_path / "out").mkdir()
    arrange(unpack(tmp_path / "unpacked"), tmp_path / "out")
    names = " ".join(f"asterisk-core-sounds-{language}-g722" for language in ("en", "es", "it"))
    assert (tmp_path / "out" / "CREDITS.txt").read_text() == CREDITS.format(packages=names) + NOTICE


def test_one_voice_is_not_enough(tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(Unavailable, match="1 voice"):
        arrange(unpack(tmp_path / "unpacked", LANGUAGES[:2]), tmp_path / "out")


@pytest.mark.skipif(not shutil.which("dpkg-deb"), reason="dpkg-deb is not there")
def test_packages_are_unpacked(tmp_path, monkeypatch):
    package = unpack(tmp_path / "package")
    (package / "DEBIAN").mkdir()
    (package / "DEBIAN" / "control").write_text(
        "Package: sounds\nVersion: 1\nArchitecture: all\nMaintainer: N. N. <n@example.org>\nDescription: sounds\n"
    )
    subprocess.run(["dpkg-deb", "-b", package, tmp_path / "sounds_1_all.deb"], check=True, capture_output=True)
    monkeypatch.setattr(demo_speech, "_download", lambda work: [tmp_path / "sounds_1_all.deb"])
    monkeypatch.setattr(shutil, "which", lambda tool: tool)
    (tmp_path / "out").mkdir()
    fetch_prompts(tmp_path / "out")
    prompt = tmp_path / "out" / "Carlo" / "it_IT" / "digits" / "1.g722"
    assert len(load_waveform(prompt)) == 16_000


def test_without_apt_get_there_are_no_prompts(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    with pytest.raises(Unavailable, match="there is no apt-get"):
        fetch_prompts(tmp_path)


def apt_get(folder, script, monkeypatch):
    """Put a stand-in for apt-get into the path."""
    stand_in = folder / "bin" / "apt-get"
    stand_in.parent.mkdir()
    stand_in.write_text(f"#!/bin/sh\n{script}\n")
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:/usr/bin:/bin")


def test_the_error_of_apt_get_is_reported(tmp_path, monkeypatch):
    apt_get(tmp_path, "echo 'W: slow' >&2; echo 'E: no network' >&2; exit 100", monkeypatch)
    (tmp_path / "work").mkdir()
    with pytest.raises(Unavailable, match=r"downloaded none of the prompts \(E: no network\)"):
        demo_speech._download(tmp_path / "work")


def test_packages_that_came_are_enough(tmp_path, monkeypatch):
    script = """
    case "$*" in
      *" download asterisk-core-sounds-it-g722") touch asterisk-core-sounds-it-g722_1_all.deb;;
      *" update") ;;
      *) echo 'E: Unable to locate package' >&2; exit 100;;
    esac"""
    apt_get(tmp_path, script, monkeypatch)
    (tmp_path / "work").mkdir()
    assert [path.name for path in demo_speech._download(tmp_path / "work")] == [
        "asterisk-core-sounds-it-g722_1_all.deb"
    ]


@pytest.mark.usefixtures("no_debian")
def test_without_debian_a_built_in_voice_is_used_and_reported(tmp_path):
    speech = obtain(tmp_path)
    assert speech.label == "built-in"
    assert "NOT human speech" in speech.description
    assert "there is no apt-get" in speech.description
    assert sorted(path.name for path in speech.folder.iterdir()) == ["README.txt", *sorted(SPEAKERS)]
    assert [path.name for path in tmp_path.iterdir()] == ["built-in"]


@pytest.mark.usefixtures("no_debian")
def test_what_an_earlier_call_fetched_is_taken_as_it_is(tmp_path):
    (tmp_path / "debian" / "Carlo").mkdir(parents=True)
    speech = obtain(tmp_path)
    assert (speech.folder, speech.label) == (tmp_path / "debian", "debian")
    assert "recorded human speech" in speech.description
    assert "Carlo" in speech.description
