"""The training benchmark runs, and both sides do all their work. No timing."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from spoofcache.benchmarks import read_cache, training
from spoofcache.benchmarks.training import PARTS, PtFiles, Work, main
from spoofcache.features.dataset import CachedFeatures
from tests.threads import one_thread

pytestmark = pytest.mark.usefixtures("one_thread")
__all__ = ["one_thread"]

SHAPE = (32, 20)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_cache, "ROW_SHAPE", SHAPE)


def test_prints_a_line_per_part_and_side_and_keeps_named_figures(tmp_path: Path) -> None:
    result_file = tmp_path / "result.json"
    options = ["--rows", "4", "--batch-size", "2", "--rounds", "2", "--eager", "--workers", "0", "--device", "cpu"]
    paths = ["--folder", str(tmp_path), "--json", str(result_file)]
    done = CliRunner().invoke(main, [*options, *paths], catch_exceptions=False)
    assert done.exit_code == 0
    assert done.stdout.count("\ntraining ") == done.stdout.count("\nscoring ") == 2
    result = json.loads(result_file.read_text())
    assert set(result) == {"machine", "settings", "parts"}
    assert result["settings"]["precision"] == "bfloat16"
    for sides in result["parts"].values():
        assert sides["original"]["ratio"] == 1
        assert len(sides["ours"]["rounds"]) == 2
        assert sides["ours"]["utterances_per_second"] > 0
    assert list(tmp_path.iterdir()) == [result_file]  # the rows are gone


@pytest.mark.parametrize("part", list(PARTS))
def test_each_side_counts_what_went_through_its_network(tmp_path: Path, part: str) -> None:
    files = read_cache.write_rows(tmp_path, 6, seed=0)
    cache = CachedFeatures(tmp_path / "cache")
    work = Work(2, 3, "cpu", 0, "float32", compiled=False)
    for make in PARTS[part].values():
        assert make(work, files, cache)() == 6


def test_a_pt_file_holds_what_the_cache_holds(tmp_path: Path) -> None:
    files = read_cache.write_rows(tmp_path, 3, seed=0)
    cache = CachedFeatures(tmp_path / "cache")
    for index in range(3):
        assert torch.equal(PtFiles(files)[index].half(), cache[index].features)
    assert training.SIDES.keys() == {"original", "ours"}
