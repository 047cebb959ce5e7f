"""Exports are read back with numpy and with the standard library alone."""

import csv
import io
import json
import tarfile
import zlib
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from spoofcache.features.plan import Identity
from spoofcache.tools.cache import main
from tests.corpora import IDENTITY, make_trials, separable_rows, write_cache

TRIALS = [
    replace(trial, conditions={"codec": "opus"} if number else {}) for number, trial in enumerate(make_trials(6, "a.b"))
]
ROWS = separable_rows(TRIALS, (2, 3, 8)).astype(np.float16)


def run(*options):
    return CliRunner().invoke(main, [str(option) for option in options])


@pytest.fixture
def cache(tmp_path):
    return write_cache(tmp_path / "cache/train", TRIALS, ROWS)


def test_an_array_is_exported_with_a_table_of_its_rows(cache, tmp_path):
    result = run("convert", cache, "--to", "npy", "--out", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path}/out: 6 rows of {cache}\n")
    np.testing.assert_array_equal(np.load(tmp_path / "out/features.npy", mmap_mode="r"), ROWS)
    with (tmp_path / "out/table.tsv").open(newline="") as file:
        table = list(csv.DictReader(file, delimiter="\t"))
    first = {"row": "0", "utt_id": "a.b_0000", "speaker": "S0", "attack": "-", "key": "bonafide", "codec": "-"}
    assert table[0] == first | {"crc32": f"{zlib.crc32(ROWS[0].tobytes()):08x}"}
    assert [line["codec"] for line in table[1:]] == ["opus"] * 5
    about = json.loads((tmp_path / "out/cache.json").read_text())
    assert about["identity"] == IDENTITY.settings
    assert (about["n_rows"], about["row_shape"], about["class_index"]) == (6, [2, 3, 8], {"spoof": 0, "bonafide": 1})


def test_tar_files_have_features_class_and_description_of_each_utterance(cache, tmp_path):
    assert run("convert", cache, "--to", "webdataset", "--out", tmp_path / "out").exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "cache.json",
        "shard-00000.tar",
        "shard-00001.tar",
    ]
    files = {}
    for path in sorted((tmp_path / "out").glob("*.tar")):
        with tarfile.open(path) as tar:
            files |= {member.name: tar.extractfile(member).read() for member in tar}
    assert list(files)[:4] == ["000000000.cls", "000000000.json", "000000000.npy", "000000001.cls"]
    for row, trial in enumerate(TRIALS):
        np.testing.assert_array_equal(np.load(io.BytesIO(files[f"{row:09d}.npy"])), ROWS[row])
        assert files[f"{row:09d}.cls"] == str(trial.label).encode()
        told = json.loads(files[f"{row:09d}.json"])
        assert (told["utt_id"], told["attack"], told["conditions"]) == (trial.utt_id, trial.attack, trial.conditions)
        assert told["crc32"] == f"{zlib.crc32(ROWS[row].tobytes()):08x}"


def test_equal_caches_give_equal_tar_files(cache, tmp_path):
    for name in ("one", "two"):
        run("convert", cache, "--to", "webdataset", "--out", tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert (tmp_path / "two" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.parametrize("form", ["npy", "webdataset"])
def test_omitted_utterances_are_listed_and_have_no_row(omitting, tmp_path, form):
    assert run("convert", omitting, "--to", form, "--out", tmp_path / "out").exit_code == 0
    assert (tmp_path / "out/skipped.tsv").read_bytes() == (omitting / "skipped.tsv").read_bytes()
    assert json.loads((tmp_path / "out/cache.json").read_text())["n_rows"] == 9


def test_the_scale_of_waveforms_in_whole_numbers_is_told(tmp_path):
    identity = Identity({**IDENTITY.settings, "dtype": "int16"})
    cache = write_cache(tmp_path / "raw", TRIALS, np.arange(60).reshape(6, 10), identity)
    run("convert", cache, "--to", "npy", "--out", tmp_path / "out")
    assert json.loads((tmp_path / "out/cache.json").read_text())["full_scale"] == 32_768
    np.testing.assert_array_equal(np.load(tmp_path / "out/features.npy"), np.arange(60).reshape(6, 10))


@pytest.mark.parametrize("form", ["npy", "webdataset"])
def test_an_interrupted_export_leaves_nothing_and_starts_anew(cache, tmp_path, monkeypatch, form):
    def interrupted(row):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("spoofcache.tools.caches.export.crc32_of", interrupted)
        assert run("convert", cache, "--to", form, "--out", tmp_path / "out").exit_code == 130
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]
    assert run("convert", cache, "--to", form, "--out", tmp_path / "out").exit_code == 0


def test_an_export_is_not_overwritten_and_needs_space(cache, tmp_path, monkeypatch):
    (tmp_path / "there").mkdir()
    result = run("convert", cache, "--to", "npy", "--out", tmp_path / "there")
    assert (result.exit_code, "exists already, and is not overwritten" in result.stderr) == (2, True)
    monkeypatch.setattr("spoofcache.tools.caches.export.free_bytes", lambda folder: 100)
    result = run("convert", cache, "--to", "npy", "--out", tmp_path / "out")
    assert (result.exit_code, "which are not free" in result.stderr) == (2, True)
