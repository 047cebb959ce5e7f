"""Derived caches hold the rows, audio and omissions of their sources, and continue after an interruption."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from spoofcache import main_train
from spoofcache.common.files import Claim
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.plan import Identity, read_manifest
from spoofcache.features.store import ShardReader, ShardWriter
from spoofcache.features.verify import verify_partition
from spoofcache.tools.cache import main
from spoofcache.tools.caches.facts import omitted
from tests.corpora import IDENTITY, make_trials, separable_rows, write_cache
from tests.features.frames import OPTIONS, Frames, extract
from tests.features.test_verify import flip_a_byte

TRIALS = make_trials(10)
ROWS = separable_rows(TRIALS, (4, 8))
WIDE = Identity({**IDENTITY.settings, "dtype": "float32"})


def run(*options):
    return CliRunner().invoke(main, [str(option) for option in options])


def done(*options):
    result = run(*options)
    assert result.exit_code == 0, result.output
    return result


def refused(sentence, *options):
    result = run(*options)
    assert result.exit_code == 2
    assert sentence in result.stderr, result.stderr


def names(folder):
    return list(CachedFeatures(folder).trials.names)


def rows(folder):
    """Every row [*row] as stored, by the name of its utterance."""
    return {
        item.utt_id: item.features.numpy()
        for item in map(CachedFeatures(folder).__getitem__, range(len(names(folder))))
    }


def same_rows(found, expected):
    assert all(np.array_equal(row, expected[name]) for name, row in found.items())


def audio(folder):
    """The fingerprint of each row's audio, by the name of its utterance."""
    shards = [ShardReader(path) for path in sorted(folder.glob("shard-*.h5"))]
    return {name: tuple(of) for shard in shards for name, of in zip(shard.utt_ids, shard.layout.audio, strict=True)}


@pytest.fixture
def cache(tmp_path):
    return write_cache(tmp_path / "cache/train", TRIALS, ROWS, WIDE)


def test_a_subset_has_the_chosen_trials_with_their_rows(cache, tmp_path):
    out = tmp_path / "new/chosen"
    done("subset", cache, "--where", "attack=A01,A02", "--where", "speaker!=S2", "--out", out)
    chosen = [trial for trial in TRIALS if trial.key == "spoof" and trial.speaker != "S2"]
    assert list(CachedFeatures(out).trials) == chosen
    same_rows(rows(out), rows(cache))
    plan = read_manifest(out)
    assert (plan.corpus, plan.partition, plan.identity, plan.shard_count) == ("test", "chosen", WIDE, 2)
    assert verify_partition(out) == []


def test_a_subset_by_a_list_is_in_the_order_of_the_cache(cache, tmp_path):
    (tmp_path / "list.txt").write_text("U_0007\nU_0001\nU_0003\n")
    done("subset", cache, "--list", tmp_path / "list.txt", "--out", tmp_path / "listed")
    assert names(tmp_path / "listed") == ["U_0001", "U_0003", "U_0007"]
    done("subset", cache, "--list", tmp_path / "list.txt", "--where", "key=spoof", "--out", tmp_path / "both")
    assert names(tmp_path / "both") == ["U_0001", "U_0007"]


def test_a_subset_keeps_omissions_audio_and_the_folder_of_the_weights(omitting, tmp_path):
    (omitting / "weights_folder.txt").write_text(f"{tmp_path}\n")
    done("subset", omitting, "--where", "key=spoof", "--out", tmp_path / "spoofs")
    assert names(tmp_path / "spoofs") == ["U_0001", "U_0004", "U_0005", "U_0007", "U_0008"]
    assert omitted(tmp_path / "spoofs") == omitted(omitting)
    assert audio(tmp_path / "spoofs").items() <= audio(omitting).items()
    assert (tmp_path / "spoofs/weights_folder.txt").read_text() == f"{tmp_path}\n"
    assert verify_partition(tmp_path / "spoofs") == []


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("U_0001\nU_0099\n", "list.txt:2: 'U_0099' is no utterance of"),
        ("U_0001\nU_0001\n", "list.txt:2: utterance U_0001 is listed twice"),
        ("", "no utterance with features is chosen"),
        ("U_0002\n", "no utterance with features is chosen"),
        ("\xff", "list.txt:1: byte 0xff is not text"),
    ],
)
def test_a_list_of_other_utterances_is_refused(omitting, tmp_path, content, sentence):
    (tmp_path / "list.txt").write_bytes(content.encode("latin-1"))
    refused(sentence, "subset", omitting, "--list", tmp_path / "list.txt", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_subset_needs_something_to_choose_by(cache, tmp_path):
    refused("expected --where or --list", "subset", cache, "--out", tmp_path / "out")
    refused("codec", "subset", cache, "--where", "codec=opus", "--out", tmp_path / "out")


def test_partitions_of_one_identity_are_joined(omitting, tmp_path):
    other = tmp_path / "dev"
    done("subset", omitting, "--where", "key=bonafide", "--out", tmp_path / "bonafide")
    done("subset", omitting, "--where", "key=spoof", "--out", other)
    done("merge", tmp_path / "bonafide", other, "--out", tmp_path / "joined")
    assert sorted(names(tmp_path / "joined")) == sorted(names(omitting))
    same_rows(rows(tmp_path / "joined"), rows(omitting))
    assert audio(tmp_path / "joined") == audio(omitting)
    assert omitted(tmp_path / "joined") == omitted(omitting)
    assert verify_partition(tmp_path / "joined") == []


def test_joined_corpora_have_both_names_and_all_columns(tmp_path):
    noisy = [replace(trial, conditions={"snr": "5"}) for trial in make_trials(3, "V")]
    one = write_cache(tmp_path / "one", TRIALS, ROWS)
    two = write_cache(tmp_path / "two", noisy, ROWS[:3], corpus="noisy")
    done("merge", one, two, "--out", tmp_path / "both")
    assert read_manifest(tmp_path / "both").corpus == "test+noisy"
    assert list(CachedFeatures(tmp_path / "both").trials) == [*TRIALS, *noisy]


@pytest.mark.parametrize(
    ("identity", "shape", "prefix", "sentence"),
    [
        (WIDE, (4, 8), "V", "a cache of another identity: dtype is 'float32', expected 'float16'"),
        (IDENTITY, (8, 4), "V", "rows of shape (8, 4); expected (4, 8)"),
        (IDENTITY, (4, 8), "U", "utterance U_0000 is in"),
    ],
)
def test_what_does_not_belong_together_is_not_joined(tmp_path, identity, shape, prefix, sentence):
    one = write_cache(tmp_path / "one", TRIALS, ROWS)
    two = write_cache(tmp_path / "two", make_trials(10, prefix), ROWS.reshape(10, *shape), identity)
    refused(sentence, "merge", one, two, "--out", tmp_path / "both")
    assert not (tmp_path / "both").exists()


def test_a_cache_in_half_precision_equals_one_that_was_extracted_so(omitting, tmp_path):
    done("convert", omitting, "--dtype", "float16", "--out", tmp_path / "half/train")
    trials = [replace(trial, path=path) for trial, path in _with_audio(tmp_path)]
    extract(trials, tmp_path / "again/train", Frames(), replace(OPTIONS, skip_bad_audio=True, dtype="float16"))
    assert read_manifest(tmp_path / "half/train").identity.dtype == "float16"
    for path in sorted((tmp_path / "again/train").glob("shard-*.h5")):
        with h5py.File(path) as expected, h5py.File(tmp_path / "half/train" / path.name) as found:
            assert json.loads(found.attrs["identity"]) == json.loads(expected.attrs["identity"])
    same_rows(rows(tmp_path / "half/train"), rows(tmp_path / "again/train"))
    assert verify_partition(tmp_path / "half/train") == []


def _with_audio(place):
    return [
        (trial, None if trial.utt_id == "U_0002" else place / f"corpus/flac/{trial.utt_id}.flac") for trial in TRIALS
    ]


def test_a_value_that_half_precision_cannot_hold_is_refused_with_its_utterance(tmp_path):
    loud = ROWS.copy()
    loud[6, 1, 1] = 70_000
    cache = write_cache(tmp_path / "loud", TRIALS, loud, WIDE)
    sentence = f"{cache}: utterance U_0006: a feature of magnitude 70000.0 does not fit float16"
    refused(sentence, "convert", cache, "--dtype", "float16", "--out", tmp_path / "half")
    assert not (tmp_path / "half/manifest.json").exists()


def test_only_a_wider_type_is_converted(tmp_path):
    cache = write_cache(tmp_path / "cache", TRIALS, ROWS)
    sentence = "stores float16; expected float32 to convert it to float16"
    refused(sentence, "convert", cache, "--dtype", "float16", "--out", tmp_path / "half")


@pytest.mark.parametrize("compression", ["gzip", "lzf"])
def test_a_cache_is_compressed_and_unpacked_again(cache, tmp_path, compression):
    done("convert", cache, "--compression", compression, "--out", tmp_path / "packed/train")
    with h5py.File(tmp_path / "packed/train/shard-00000.h5") as file:
        assert file["features"].compression == compression
    assert verify_partition(tmp_path / "packed/train") == []
    done("convert", tmp_path / "packed/train", "--compression", "none", "--out", tmp_path / "plain/train")
    assert CachedFeatures(tmp_path / "plain/train").is_mapped
    assert run("diff", cache, tmp_path / "plain/train").exit_code == 0
    for path in cache.iterdir():
        if path.suffix != ".h5":
            assert (tmp_path / "plain/train" / path.name).read_bytes() == path.read_bytes()


def test_nothing_to_convert_to_is_refused(cache, tmp_path):
    refused("expected --dtype, --compression or --to", "convert", cache, "--out", tmp_path / "out")
    refused(
        "expected it without --dtype", "convert", cache, "--to", "npy", "--dtype", "float16", "--out", tmp_path / "out"
    )


def test_what_is_there_is_not_overwritten(cache, tmp_path):
    before = {path.name: path.read_bytes() for path in cache.iterdir()}
    refused("exists already, and is not overwritten", "subset", cache, "--where", "key=spoof", "--out", cache)
    assert {path.name: path.read_bytes() for path in cache.iterdir() if path.suffix != ".lock"} == before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("mine")
    refused(
        "not empty, and not what the same command", "subset", cache, "--where", "key=spoof", "--out", tmp_path / "mine"
    )
    (tmp_path / "file").write_text("mine")
    refused("exists already", "convert", cache, "--compression", "lzf", "--out", tmp_path / "file")


class Interruption:
    """Ends the work with Ctrl-C before a shard is committed."""

    def __init__(self, monkeypatch, at):
        commit, self.committed = ShardWriter.commit, []

        def counted(writer, audio=None):
            if len(self.committed) == at:
                raise KeyboardInterrupt
            commit(writer, audio)
            self.committed.append(writer)

        monkeypatch.setattr(ShardWriter, "commit", counted)


def test_an_interrupted_command_continues_with_its_finished_shards(cache, tmp_path, monkeypatch):
    out = tmp_path / "packed"
    with monkeypatch.context() as patch:
        Interruption(patch, at=2)
        result = run("convert", cache, "--compression", "lzf", "--out", out)
        assert result.exit_code == 130
        assert "Run the same command again" in result.stderr
    assert sorted(path.name for path in out.iterdir()) == ["shard-00000.h5", "shard-00001.h5", "trials.tsv"]
    with monkeypatch.context() as patch:
        later = Interruption(patch, at=99)
        done("convert", cache, "--compression", "lzf", "--out", out)
    assert len(later.committed) == 1
    assert verify_partition(out) == []
    same_rows(rows(out), rows(cache))


def test_an_unfinished_cache_of_other_trials_or_another_identity_is_not_continued(cache, tmp_path, monkeypatch):
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        Interruption(patch, at=1)
        run("convert", cache, "--compression", "none", "--out", out)
    refused("not empty, and not what the same command left", "subset", cache, "--where", "key=spoof", "--out", out)
    refused("dtype is 'float32', expected 'float16'", "convert", cache, "--dtype", "float16", "--out", out)


def test_a_shard_that_was_left_damaged_or_in_another_form_is_made_again(cache, tmp_path):
    out = tmp_path / "out"
    done("convert", cache, "--compression", "lzf", "--out", out)
    (out / "manifest.json").unlink()
    (out / "shard-00001.h5").write_bytes(b"")
    done("convert", cache, "--compression", "none", "--out", out)
    assert CachedFeatures(out).is_mapped
    assert verify_partition(out) == []


def test_two_commands_do_not_write_the_same_shard(cache, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    claim = Claim.take(out / "shard-00001.h5")
    refused("shard-00001.h5: another process is writing it", "convert", cache, "--compression", "lzf", "--out", out)
    claim.abandon()
    done("convert", cache, "--compression", "lzf", "--out", out)


def test_a_damaged_row_is_not_copied(cache, tmp_path):
    flip_a_byte(cache / "shard-00001.h5", 1)
    refused("U_0005 changed since it was written", "convert", cache, "--compression", "lzf", "--out", tmp_path / "out")
    assert not (tmp_path / "out/manifest.json").exists()


def test_a_disk_without_space_is_noticed_first(cache, tmp_path, monkeypatch):
    monkeypatch.setattr("spoofcache.tools.caches.writing.free_bytes", lambda folder: 100)
    refused("GB are free", "subset", cache, "--where", "key=spoof", "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_source_must_be_complete(cache, tmp_path):
    (cache / "manifest.json").unlink()
    refused(
        "3 finished shards but no manifest.json", "subset", cache, "--where", "key=spoof", "--out", tmp_path / "out"
    )


def test_a_system_is_trained_on_derived_caches_and_names_them(tmp_path):
    trials = make_trials(16)
    cache = write_cache(tmp_path / "all", trials, separable_rows(trials), WIDE)
    done("convert", cache, "--dtype", "float16", "--out", tmp_path / "half")
    done("subset", tmp_path / "half", "--where", "speaker=S0,S1", "--out", tmp_path / "train")
    done("subset", tmp_path / "half", "--where", "speaker=S2,S3", "--out", tmp_path / "dev")
    (tmp_path / "config.toml").write_text('[backend]\nname = "pooled_linear"\n[train]\nepochs = 1\n')
    places = ["--config", "config.toml", "--train", "train", "--dev", "dev", "--out", "runs/one"]
    options = [word if word.startswith("--") else str(tmp_path / word) for word in places]
    result = CliRunner().invoke(main_train.main, options)
    assert result.exit_code == 0, result.output
    listed = run("rm", tmp_path / "train", "--runs", tmp_path / "runs")
    assert f"{tmp_path}/runs/one: this run was trained or validated on it" in listed.stdout
