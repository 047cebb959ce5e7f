"""The benchmark of sizes runs the real command and keeps figures that make sense. No size asserted."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from spoofcache.benchmarks.scale import Peak, main, memory_ratios, peak_of, time_ratios
from spoofcache.common.cli import Sentence


def test_prints_a_line_per_size_and_keeps_named_figures(tmp_path: Path) -> None:
    result_file = tmp_path / "result.json"
    options = ["--limit", "1", "--limit", "3", "--folder", str(tmp_path), "--json", str(result_file)]
    done = CliRunner().invoke(main, options, catch_exceptions=False)
    assert done.exit_code == 0
    assert "preprocess.py --frontend lfcc\n" in done.stdout  # at its own batch size
    result = json.loads(result_file.read_text())
    assert set(result) == {"machine", "settings", "runs", "memory_to_first", "time_per_utterance_to_first"}
    assert result["settings"] == {"frontend": "lfcc", "weights": None, "batch_size": None}
    assert [run["utterances"] for run in result["runs"]] == [1, 3]
    assert all(run["peak_bytes"] > 2**20 and run["seconds"] > 0 for run in result["runs"])
    assert result["memory_to_first"][0] == result["time_per_utterance_to_first"][0] == 1
    assert list(tmp_path.iterdir()) == [result_file]  # the corpus is gone


def test_ratios_are_to_the_first_size() -> None:
    peaks = [Peak(10, 400, 5.0), Peak(40, 420, 18.0)]
    assert memory_ratios(peaks) == [1, 1.05]
    assert time_ratios(peaks) == [1, pytest.approx(0.9)]


def test_peak_is_that_of_the_command_itself() -> None:
    small = peak_of([sys.executable, "-c", ""])
    large = peak_of([sys.executable, "-c", f"bytearray(b'x') * {small + 300 * 2**20}"])
    assert large - small > 200 * 2**20


def test_a_failing_command_is_reported() -> None:
    with pytest.raises(Sentence, match="exit status 3"):
        peak_of([sys.executable, "-c", "raise SystemExit(3)"])
