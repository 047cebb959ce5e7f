"""`--verify`: what has happened to a cache since it was written is found and said."""

import json
from dataclasses import replace

import h5py
import pytest

from spoofcache.features.plan import skipped_table
from spoofcache.features.verify import cached_partitions, verify_partition
from tests.features.frames import OPTIONS, Frames, extract
from tests.features.shards import changed


@pytest.fixture(params=[None, "lzf", "gzip"])
def cache(request, corpus, tmp_path):
    """Ten utterances in shards of four; U_0002 was omitted."""
    trials = [replace(trial, path=None) if index == 2 else trial for index, trial in enumerate(corpus(10))]
    options = replace(OPTIONS, skip_bad_audio=True, compression=request.param)
    extract(trials, tmp_path / "cache", Frames(), options)
    return tmp_path / "cache"


def flip_a_byte(shard, row):
    with h5py.File(shard) as file:
        features = file["features"]
        in_chunk = features.id.get_chunk_info(row).byte_offset + 20 if features.chunks else None
        position = in_chunk or features.id.get_offset() + row * features[0].nbytes + 20
    data = bytearray(shard.read_bytes())
    data[position] ^= 0xFF
    shard.write_bytes(data)


def test_a_cache_as_it_was_written_is_fine(cache):
    steps = []
    assert verify_partition(cache, steps.append) == []
    assert sum(steps) == 3


def test_a_flipped_byte_is_found(cache):
    flip_a_byte(cache / "shard-00001.h5", 2)
    (problem,) = verify_partition(cache)
    fault = "the values of 1 row have changed since they were written, or are not numbers, first U_0006"
    assert problem.startswith(f"{cache}/shard-00001.h5: {fault}; repeat the preprocess.py command that made it with")


def test_a_missing_shard_is_found(cache):
    (cache / "shard-00001.h5").unlink()
    steps = []
    (problem,) = verify_partition(cache, steps.append)
    assert problem.startswith(f"{cache}/shard-00001.h5: cannot be read (No such file or directory)")
    assert sum(steps) == 3


def test_every_damage_is_reported_not_only_the_first(cache):
    (cache / "shard-00000.h5").write_bytes(b"")
    flip_a_byte(cache / "shard-00002.h5", 0)
    first, second = verify_partition(cache)
    assert "shard-00000.h5: not a whole shard" in first
    assert "shard-00002.h5: the values of 1 row have changed" in second


def test_a_missing_manifest_is_found(cache):
    (cache / "manifest.json").unlink()
    (problem,) = verify_partition(cache)
    assert problem.startswith(f"{cache}: 3 finished shards but no manifest.json; expected a complete cache")


def test_a_manifest_that_promises_something_else_is_found(cache):
    manifest = json.loads((cache / "manifest.json").read_text())
    manifest["identity"]["fit"] = "zero"
    (cache / "manifest.json").write_text(json.dumps(manifest))
    problems = verify_partition(cache)
    assert len(problems) == 3
    assert all("another identity: fit is 'repeat', expected 'zero'" in problem for problem in problems)


def test_an_edited_trial_list_is_found(cache):
    text = (cache / "trials.tsv").read_text()
    (cache / "trials.tsv").write_text(text.replace("bonafide", "spoof", 1))
    (problem,) = verify_partition(cache)
    assert problem.startswith(f"{cache}/trials.tsv: another trial list than the requested one")


def test_a_missing_trial_list_is_found(cache):
    (cache / "trials.tsv").unlink()
    (problem,) = verify_partition(cache)
    assert problem.startswith(f"{cache}/trials.tsv: no such file")


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"not a table\n",
        b"\x89HDF\xff",
        skipped_table({}),
        skipped_table({"U_0002": "another reason"}),
        skipped_table({"U_0002": "utterance U_0002: no audio file", "U_0003": "broken"}),
        skipped_table({"elsewhere": "broken"}),
    ],
    ids=["missing", "empty", "text", "binary", "header-only", "another-reason", "one-more", "another-utterance"],
)
def test_an_edited_list_of_omitted_utterances_is_found(cache, content):
    if content is None:
        (cache / "skipped.tsv").unlink()
    else:
        (cache / "skipped.tsv").write_bytes(content)
    (problem,) = verify_partition(cache)
    assert problem == f"{cache}/skipped.tsv: does not list the utterances that the shards omit, with their reasons"


def test_a_list_where_nothing_was_omitted_is_found(corpus, tmp_path):
    extract(corpus(3), tmp_path / "cache", Frames())
    (tmp_path / "cache/skipped.tsv").write_bytes(skipped_table({"U_0002": "broken"}))
    (problem,) = verify_partition(tmp_path / "cache")
    assert problem.endswith("skipped.tsv: does not list the utterances that the shards omit, with their reasons")


def test_a_row_that_vanished_is_found(cache):
    with changed(cache / "shard-00001.h5") as file:
        for name in ("features", "utt_id", "checksum", "audio"):
            shorter = file[name][:-1]
            del file[name]
            file[name] = shorter
    (problem,) = verify_partition(cache)
    assert (
        problem == f"{cache}/shard-00001.h5: its rows and omitted utterances are not the utterances of the trial list"
    )


@pytest.mark.parametrize("lost", [[], ["trials.tsv"], ["manifest.json"], ["trials.tsv", "manifest.json"]])
def test_a_partition_is_found_whatever_it_has_lost(corpus, tmp_path, lost):
    folder = tmp_path / "out" / "la" / "frames-12345678" / "train"
    extract(corpus(3), folder, Frames())
    for name in lost:
        (folder / name).unlink()
    assert cached_partitions(tmp_path / "out") == [folder]


def test_a_missing_folder_has_no_partitions(tmp_path):
    assert cached_partitions(tmp_path / "nowhere") == []
