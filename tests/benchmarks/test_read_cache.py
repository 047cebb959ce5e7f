"""The reading benchmark runs, reads the same rows on every side, and keeps figures that make sense. No timing."""

import json
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from spoofcache.benchmarks import read_cache
from spoofcache.benchmarks.read_cache import BASELINE, SIDES, Rates, figures, main, measure, open_sides, write_rows


def test_prints_a_line_per_side_and_keeps_named_figures(tmp_path: Path) -> None:
    result_file = tmp_path / "result.json"
    options = ["--rows", "3", "--items", "4", "--rounds", "2", "--folder", str(tmp_path), "--json", str(result_file)]
    done = CliRunner().invoke(main, options, catch_exceptions=False)
    assert done.exit_code == 0
    assert all(title in done.stdout for title in SIDES.values())
    result = json.loads(result_file.read_text())
    assert set(result) == {"machine", "settings", "others_share", "sides"}
    assert result["machine"]["cores"] >= 1
    assert result["machine"]["ram_bytes"] > 2**20
    assert result["machine"]["torch"] == str(torch.__version__)
    assert result["settings"]["rows"] == 3
    assert 0 <= result["others_share"] <= 1
    assert set(result["sides"]) == set(SIDES)
    for side in result["sides"].values():
        assert len(side["rounds"]) == 2
        assert side["items_per_second"] > 0
        assert side["ratio_to_pt"] > 0
    assert result["sides"][BASELINE]["ratio_to_pt"] == 1
    assert list(tmp_path.iterdir()) == [result_file]  # the rows are gone


def test_all_sides_read_the_same_rows_also_across_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read_cache, "ROW_SHAPE", (2, 3))
    monkeypatch.setattr("spoofcache.features.plan.SHARD_ROWS", 2)
    files = write_rows(tmp_path, 5, seed=1)
    assert len(list((tmp_path / "cache").glob("shard-*.h5"))) == 3
    with open_sides(tmp_path, files) as sides:
        assert set(sides) == set(SIDES)
        for indices in ([0, 1, 2], [4, 3]):
            expected = sides[BASELINE](indices)
            assert isinstance(expected, torch.Tensor)
            assert expected.shape == (len(indices), 2, 3)
            assert expected.dtype == torch.float32
            for side in SIDES.keys() - {BASELINE}:
                assert torch.equal(torch.stack(list(sides[side](indices))), expected.half()), side


def test_sides_take_turns_on_the_same_batches() -> None:
    calls: list[tuple[str, list[int]]] = []

    def reads(side: str) -> read_cache.Read:
        return lambda indices: calls.append((side, list(indices))) or []  # type: ignore[func-returns-value]

    measure({"a": reads("a"), "b": reads("b")}, n_rows=3, items=3, rounds=2, seed=0, batch_size=2)
    assert calls[:4] == [("a", [0, 1]), ("a", [2]), ("b", [0, 1]), ("b", [2])]  # the warm-up, in order
    for turns in (calls[4:8], calls[8:12]):
        assert [(side, len(indices)) for side, indices in turns] == [("a", 2), ("a", 1), ("b", 2), ("b", 1)]
        assert [indices for _, indices in turns[:2]] == [indices for _, indices in turns[2:]]


def test_the_ratio_is_taken_within_each_round() -> None:
    slow = [1.0, 2.0, 3.0]
    rounds = {"feed": [10.0, 40.0, 90.0], "cached_features": slow, "h5py": slow, BASELINE: [1.0, 2.0, 10.0]}
    ours = figures(Rates(rounds))["feed"]
    assert ours["items_per_second"] == 40.0
    assert ours["ratio_to_pt"] == 10.0  # of 10, 20 and 9; the ratio of the medians would be 20
