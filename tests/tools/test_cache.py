"""`spoofcache cache`: partitions are listed, described, compared and removed."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner

from spoofcache.common.files import Claim, occupied
from spoofcache.features.dataset import CachedFeatures
from spoofcache.features.plan import Identity, read_manifest
from spoofcache.protocols import find_audio
from spoofcache.tools.cache import main
from tests.corpora import IDENTITY, make_trials, separable_rows, write_cache, write_corpus
from tests.features.frames import OPTIONS, Frames, extract

TRIALS = make_trials(6)
ROWS = separable_rows(TRIALS, (4, 8))
LAYERS = {"name": "xls-r-300m", "layers": ["5", "last"], "pool": "mean"}
AUGMENT = {"name": "rawboost", "algo": 5, "seed": 0, "view": 2}


def run(*options, answer=None):
    return CliRunner().invoke(main, [str(option) for option in options], input=answer)


def identity(**changed):
    return Identity({**IDENTITY.settings, **changed})


@pytest.fixture
def cache(tmp_path):
    return write_cache(tmp_path / "cache/test/frames-1a2b3c4d/train", TRIALS, ROWS)


@pytest.fixture
def recorded(tmp_path):
    """Ten trials, each with half a second of noise in a file of its own."""
    trials = make_trials(10)
    _, audio_dir = write_corpus(tmp_path / "corpus", trials)
    return find_audio(trials, audio_dir)


@pytest.fixture
def omitting(recorded, tmp_path):
    """Ten utterances, of which U_0002 was omitted."""
    trials = [replace(trial, path=None) if index == 2 else trial for index, trial in enumerate(recorded)]
    extract(trials, tmp_path / "omitting", Frames(), replace(OPTIONS, skip_bad_audio=True))
    return tmp_path / "omitting"


def test_a_list_says_what_is_there_and_from_what(cache, tmp_path):
    augmented = identity(front_end=LAYERS, augment=AUGMENT, dtype="float32")
    write_cache(tmp_path / "cache/test/pooled/dev", TRIALS[:2], ROWS[:2], augmented, corpus="other")
    result = run("list", tmp_path)
    assert result.exit_code == 0
    header, *found, total = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert header == "folder corpus partition front-end rows GB dtype state"
    view = "xls-r-300m layers 5,last pool mean view 2 of rawboost-5"
    assert found == [
        f"{cache} test train test 6 0.000 float16 complete",
        f"{tmp_path}/cache/test/pooled/dev other dev {view} 2 0.000 float32 complete",
    ]
    assert total == "2 partitions, 0.000 GB"


def test_a_list_in_json_has_every_fact(cache):
    (facts,) = json.loads(run("list", cache, "--json").stdout)
    assert facts["folder"] == str(cache)
    assert (facts["n_rows"], facts["n_shards"], facts["row_shape"], facts["complete"]) == (6, 1, [4, 8], True)
    assert facts["n_bytes"] == sum(path.stat().st_size for path in cache.iterdir())
    assert facts["identity"] == IDENTITY.digest


def test_an_unfinished_partition_is_listed_as_such(cache):
    (cache / "manifest.json").unlink()
    (facts,) = json.loads(run("list", cache, "--json").stdout)
    assert (facts["state"], facts["corpus"], facts["n_trials"], facts["n_rows"]) == ("not complete", "test", 6, None)
    (cache / "shard-00000.h5").unlink()
    (facts,) = json.loads(run("list", cache, "--json").stdout)
    assert (facts["state"], facts["corpus"]) == ("no shard yet", None)


@pytest.mark.parametrize("name", ["manifest.json", "shard-00000.h5"])
def test_a_partition_that_cannot_be_read_is_listed_with_the_reason(cache, name):
    (cache / "manifest.json").unlink()
    (cache / name).write_text("{}")
    result = run("list", cache.parent)
    assert result.exit_code == 0
    assert "unreadable" in result.stdout
    assert f"Warning: {cache / name}: not a" in result.stderr


def test_a_folder_without_a_cache_is_refused(tmp_path):
    result = run("list", tmp_path)
    assert result.exit_code == 2
    assert f"{tmp_path}: expected a cached partition in this folder or below it" in result.stderr


def test_a_description_has_identity_counts_and_omissions(omitting, tmp_path):
    (omitting / "weights_folder.txt").write_text(f"{tmp_path}\n")
    details = json.loads(run("info", omitting, "--json").stdout)
    assert (details["n_trials"], details["n_rows"]) == (10, 9)
    assert details["keys"] == {"bonafide": 4, "spoof": 6}
    assert details["attacks"] == {"A01": 3, "A02": 3}
    assert details["omitted"] == {
        "U_0002": "utterance U_0002: no audio file; expected U_0002.flac, .wav or another ending"
    }
    assert details["weights_folder"] == str(tmp_path)
    assert details["settings"]["front_end.name"] == Frames().settings()["name"]
    lines = run("info", omitting).stdout.splitlines()
    assert {"n_rows: 9", "  bonafide: 4", "  A01: 3", f"weights_folder: {tmp_path}"} <= set(lines)


def test_a_description_is_of_one_partition(cache, tmp_path):
    write_cache(tmp_path / "cache/test/frames-1a2b3c4d/dev", TRIALS[:2], ROWS[:2])
    result = run("info", tmp_path)
    assert result.exit_code == 2
    assert "holds 2 cached partitions; expected the folder of one" in result.stderr


def test_equal_caches_do_not_differ(cache, tmp_path):
    same = write_cache(tmp_path / "copy/train", TRIALS, ROWS)
    result = run("diff", cache, same)
    assert (result.exit_code, result.stdout) == (0, "nothing differs\n")


def test_the_fields_of_two_identities_that_differ_are_named(cache, tmp_path):
    other = write_cache(tmp_path / "dev", TRIALS, ROWS, identity(fit="zero", front_end=LAYERS))
    result = run("diff", cache, other)
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "partition: A has 'train', B has 'dev'",
        "front_end.name: A has 'test', B has 'xls-r-300m'",
        "fit: A has 'repeat', B has 'zero'",
        "front_end.layers: A has None, B has ['5', 'last']",
        "front_end.pool: A has None, B has 'mean'",
    ]


def test_the_trials_that_differ_are_named(cache, tmp_path):
    changed = replace(TRIALS[3], key="spoof", attack="A09")
    trials = [TRIALS[1], changed, TRIALS[2], *make_trials(1, "V")]
    rows = ROWS[[1, 3, 2, 0]]
    rows[0, 0, 0] += 1
    result = run("diff", cache, write_cache(tmp_path / "b/train", trials, rows))
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        "3 trials only in A: U_0000, U_0004, U_0005",
        "1 trial only in B: V_0000",
        "1 trial with another key, attack, speaker or other column: U_0003",
        "1 trial with other features, although the identities are equal: U_0001",
        "the trials that both have stand in another order",
    ]


def test_an_omitted_utterance_is_a_difference_in_features(omitting, recorded, tmp_path):
    extract(recorded, tmp_path / "whole", Frames())
    found = json.loads(run("diff", omitting, tmp_path / "whole", "--json").stdout)
    assert found["other_rows"] == ["U_0002"]
    assert found["only_a"] == found["only_b"] == found["changed"] == []


def test_a_removal_asks_first(cache):
    result = run("rm", cache, answer="n\n")
    assert result.exit_code == 1
    assert f"{cache}: test, 0.000 GB, complete" in result.stdout
    assert len(CachedFeatures(cache)) == 6


def test_a_removal_takes_the_cache_and_the_folders_that_are_empty_then(cache, tmp_path):
    (tmp_path / "cache/notes.txt").write_text("mine")
    result = run("rm", cache, answer="y\n")
    assert result.exit_code == 0
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["notes.txt"]


def test_a_removal_keeps_empty_folders_of_the_user(tmp_path):
    cache = write_cache(tmp_path / "mine/derived/train", TRIALS, ROWS)
    assert run("rm", cache, "--yes").exit_code == 0
    assert list((tmp_path / "mine").iterdir()) == [tmp_path / "mine/derived"]


def test_a_removal_keeps_files_that_are_no_part_of_the_cache(cache):
    (cache / "notes.txt").write_text("mine")
    result = run("rm", cache, "--yes")
    assert result.stdout.splitlines()[-1] == f"{cache}: removed; 1 other file kept, such as notes.txt"
    assert [path.name for path in cache.iterdir()] == ["notes.txt"]


def refused(cache, sentence):
    result = run("rm", cache, "--yes")
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert read_manifest(cache).n_trials == 6


def test_a_cache_that_is_read_is_not_removed(cache):
    data = CachedFeatures(cache)
    refused(cache, f"{cache}: a process is reading it; expected a cache that no process uses")
    del data
    assert run("rm", cache, "--yes").exit_code == 0


def test_a_cache_that_is_written_is_not_removed(cache):
    with occupied(cache, alone=False):
        refused(cache, f"{cache}: a process is writing into it")


def test_a_cache_of_which_a_shard_is_being_made_is_not_removed(cache):
    claim = Claim.take(cache / "shard-00007.h5")
    refused(cache, "is writing shard-00007.h5")
    claim.abandon()


def test_a_removal_that_was_interrupted_leaves_nothing_that_looks_complete_and_goes_on(cache, monkeypatch):
    unlink = type(cache).unlink

    def interrupted(path, **options):
        if path.name == "shard-00000.h5":
            raise KeyboardInterrupt
        unlink(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(type(cache), "unlink", interrupted)
        result = run("rm", cache, "--yes")
    assert result.exit_code == 130
    assert not (cache / "manifest.json").exists()
    assert run("rm", cache, "--yes").exit_code == 0
    assert not cache.exists()


def test_the_runs_that_name_a_cache_are_listed(cache, tmp_path):
    plan = read_manifest(cache)
    named = f"{plan.identity.digest} {plan.trial_list_sha256} 6"
    for name, about in {
        "one": {"data": {"train": "aaaa bbbb 3", "dev": f"cccc dddd 3; {named}"}},
        "other": {"data": {"train": "aaaa bbbb 3", "dev": "aaaa bbbb 3"}},
        "old": {},
        "odd": [],
    }.items():
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "model.json").write_text(json.dumps(about))
    lines = run("rm", cache, "--runs", tmp_path / "runs", answer="n\n").stdout.splitlines()
    assert [line.partition(":")[0] for line in lines if "this run" in line] == [str(tmp_path / "runs/one")]
