"""Where the audio of a trial is found, and what the utterance of an audio file is called."""

import doctest
import os
import unicodedata

import pytest

from spoofcache.common.endings import AUDIO_ENDINGS
from spoofcache.protocols import Location, audio, load_trials
from spoofcache.protocols.audio import find_audio, utterance_of, walk, walk_audio
from spoofcache.protocols.trial import ProtocolError, Trial


def found(audio_dir, utt_id="u", file=""):
    (trial,) = find_audio([Trial(utt_id, "bonafide", file=file)], audio_dir)
    return trial.path and trial.path.relative_to(audio_dir).as_posix()


def test_the_examples_of_the_docstrings():
    assert doctest.testmod(audio).failed == 0


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["u.wav", "u.flac", "u.mp3"], "u.flac"),
        (["u.wav", "u.mp3"], "u.wav"),
        (["u.mp3"], "u.mp3"),
        (["u.g722"], "u.g722"),
        (["u.FLAC"], "u.FLAC"),
        (["u.json", "u.lab", "u.mp3", "u.txt"], "u.mp3"),
        (["u.sph"], "u.sph"),
        (["u"], "u"),
        (["uu.flac", "v.flac"], None),
        ([], None),
    ],
    ids=lambda names: " ".join(names) if isinstance(names, list) else "",
)
def test_flac_comes_first_then_wav_then_other_audio_then_anything(touch, names, chosen):
    assert found(touch(*names)) == chosen


def test_a_dot_within_the_utterance_is_part_of_its_name(touch):
    assert found(touch("talk.1.flac", "talk.2.flac"), "talk.2") == "talk.2.flac"


@pytest.mark.parametrize(
    ("utt_id", "file"),
    [
        ("a/u", "a/u.wav"),
        ("a/b/u", "a/b/u.flac"),
        ("Tacotron_2/u_1", "Tacotron 2/u 1.wav"),
        ("b/u", None),
        ("u", None),
        ("a/u.wav/v", None),
    ],
)
def test_an_utterance_may_be_a_path_below_the_folder_whose_blanks_are_underscores(touch, utt_id, file):
    folder = touch("a/u.wav", "a/b/u.flac", "Tacotron 2/u 1.wav")
    assert found(folder, utt_id) == file


@pytest.mark.parametrize(
    ("names", "file", "chosen"),
    [
        (["c.wav", "c.mp3", "c.flac"], "c.mp3", "c.mp3"),
        (["c.wav", "c.flac"], "c.mp3", "c.flac"),
        (["c.wav", "c.WAV"], "c.WAV", "c.WAV"),
        (["c.wav", "c.flac"], "c", "c.flac"),
        (["a/c.wav", "a/c.opus"], ".\\a\\c.opus", "a/c.opus"),
        (["a b.wav", "a_b.wav"], "a b.wav", "a b.wav"),
        (["a b.wav", "a_b.wav"], "a_b.wav", "a_b.wav"),
        (["a b.wav", "a_b.wav"], "a b", "a b.wav"),
        (["x y/c.wav", "x_y/c.wav"], "x y/c.wav", "x y/c.wav"),
        (["a_b.mp3", "a_b.flac"], "a b.mp3", "a_b.mp3"),
        (["data/c.wav"], "/data/c.wav", "data/c.wav"),
    ],
)
def test_the_very_file_that_a_protocol_names_goes_before_all_others(touch, names, file, chosen):
    assert found(touch(*names), utterance_of(file), file) == chosen


@pytest.mark.parametrize("file", ["../c.wav", "/data/c.wav", "a/../../c.wav", "D:\\c.wav"])
def test_a_path_that_leads_out_of_the_folder_is_refused_with_the_reason(touch, file):
    folder = touch("d.wav")
    with pytest.raises(ProtocolError) as refusal:
        found(folder, utterance_of(file), file)
    expected = f"{folder}: no {file} below it; expected paths that begin there, neither absolute nor with '..'"
    assert str(refusal.value) == expected


@pytest.mark.parametrize(
    ("corpus", "header", "where"),
    [
        ("csv", "file,label\nc.mp3,real\n", "protocol"),
        ("speechfake", "file,label\nc.mp3,bonafide\n", "protocol"),
        ("in_the_wild", "file,speaker,label\nc.mp3,A,bona-fide\n", "meta.csv"),
        ("codecfake", "c.mp3 real 0\n", "label/C1.txt"),
        ("mlaad", "path|x\n./fake/en/vits/c.mp3|y\n", "fake/en/vits/meta.csv"),
    ],
)
@pytest.mark.usefixtures("any_counts")
def test_every_corpus_whose_protocol_names_files_reads_those(touch, corpus, header, where):
    """Beside a degraded copy lies its original."""
    folder = "test/C1" if corpus == "codecfake" else "fake/en/vits" if corpus == "mlaad" else "."
    root = touch(where, f"{folder}/c.mp3", f"{folder}/c.wav")
    (root / where).write_text(header)
    own = corpus in ("csv", "speechfake")
    location = Location(protocol=root / where, audio_dir=root) if own else Location(root=root)
    (trial,) = load_trials(corpus, location, {"codecfake": "C1"}.get(corpus, "eval"))
    assert trial.path == root / folder / "c.mp3"


def test_trials_keep_their_order_and_their_columns(touch):
    trials = [Trial("b", "spoof", "A01", "S1", conditions={"environment": "aaa"}), Trial("a", "bonafide")]
    placed = find_audio(trials, touch("a.flac", "b.flac"))
    assert [trial.utt_id for trial in placed] == ["b", "a"]
    assert placed[0].conditions == {"environment": "aaa"}


def test_a_walk_finds_audio_only_in_alphabetical_order(touch):
    folder = touch("b.wav", "a/z.flac", "a/z.txt", "a/.hidden.wav", "a/b/talk 1.mp3", "c.WAV")
    assert walk_audio(folder) == {
        "a/b/talk_1": folder / "a/b/talk 1.mp3",
        "a/z": folder / "a/z.flac",
        "b": folder / "b.wav",
        "c": folder / "c.WAV",
    }


def test_a_walk_follows_links_to_folders(touch):
    folder = touch("real/a.wav")
    (folder / "linked").symlink_to(folder / "real")
    assert list(walk_audio(folder)) == ["linked/a", "real/a"]


@pytest.mark.parametrize("names", AUDIO_ENDINGS)
def test_an_ending_of_audio_counts_in_walks_tables_and_ids_alike(touch, names):
    folder = touch(f"a/u{names}")
    assert list(walk_audio(folder)) == ["a/u"]
    assert utterance_of(f"a/u{names.upper()}") == "a/u"
    assert found(folder, "a/u", f"a/u{names}") == f"a/u{names}"


def test_hidden_folders_and_trash_are_passed_over(touch):
    names = (".Trash-0/a.wav", ".ipynb_checkpoints/b.wav", "__MACOSX/c.wav", "$RECYCLE.BIN/d.wav", "e/.git/f.wav")
    assert list(walk_audio(touch("e/g.wav", *names))) == ["e/g"]


def test_other_files_are_counted_by_their_ending(touch, caplog):
    folder = touch("a.wav", "b.TXT", "c.txt", "d.json", "README", ".hidden.txt")
    assert walk(folder).others == {".txt": 2, ".json": 1, "without an ending": 1}
    walk_audio(folder)
    assert caplog.messages == [
        f"{folder}: files omitted that are no audio by their endings: 1 .json, 2 .txt, 1 without an ending"
    ]


def test_a_link_to_a_folder_that_it_lies_in_is_not_followed(touch, caplog):
    folder = touch("a/b/c.wav")
    (folder / "a/b/up").symlink_to(folder)
    (folder / "a/b/self").symlink_to(".")
    assert list(walk_audio(folder)) == ["a/b/c"]
    assert len(caplog.messages) == 2
    assert f"{folder}/a/b/up: omitted, a link to a folder that it lies in" in caplog.messages


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_no_audio_and_a_broken_link_is_kept_to_be_missed(touch):
    folder = touch("a.wav")
    os.mkfifo(folder / "pipe.wav")
    (folder / "gone.wav").symlink_to("nowhere")
    files, others = walk(folder)
    assert [path.name for path in files] == ["a.wav", "gone.wav"]
    assert others == {"pipes, sockets or devices": 1}


@pytest.mark.parametrize(("written", "on_disk"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_letters_with_accents_are_found_in_either_unicode_form(touch, written, on_disk):
    stored = unicodedata.normalize(on_disk, "Zoë/Jürgen 1.wav")
    named = unicodedata.normalize(written, "Zoë/Jürgen 1.wav")
    assert found(touch(stored), utterance_of(named), named) == stored
    assert found(touch(stored), utterance_of(named)) == stored


def test_two_files_of_one_utterance_are_refused_and_so_is_a_folder_without_audio(touch, tmp_path):
    folder = touch("a/u.wav", "a/u.flac", "empty/notes.txt")
    with pytest.raises(ProtocolError) as refusal:
        walk_audio(folder / "a")
    assert (
        str(refusal.value)
        == f"{folder}/a/u.wav: utterance u is {folder}/a/u.flac already; expected one file for each utterance"
    )
    with pytest.raises(ProtocolError, match=rf"^{tmp_path}/empty: no audio file below it; expected \.flac, \.wav"):
        walk_audio(folder / "empty")


def test_a_file_name_below_a_folder_that_is_not_utf8_is_refused(tmp_path):
    """An utterance of that name could not be written to the trial list."""
    (tmp_path / "a\udcff.wav").touch()
    with pytest.raises(ProtocolError, match=r"a\\udcff\.wav: utterance 'a\\udcff'; expected a name in UTF-8"):
        walk_audio(tmp_path)


def test_a_control_character_in_a_file_name_below_a_folder_is_refused(tmp_path):
    (tmp_path / "a\x1b[2J.wav").touch()
    with pytest.raises(ProtocolError, match="without control characters"):
        walk_audio(tmp_path)
