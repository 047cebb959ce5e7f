"""The pipeline's benchmark runs its stages and keeps figures that make sense. No speed asserted."""

import json
from pathlib import Path

from click.testing import CliRunner

from spoofcache.benchmarks.pipeline import STAGES, WHOLE, Rates, main, table


def test_prints_a_line_per_stage_and_keeps_named_figures(tmp_path: Path) -> None:
    result_file = tmp_path / "result.json"
    options = [
        "--limit",
        "9",
        "--rounds",
        "2",
        "--device",
        "cpu",
        "--folder",
        str(tmp_path),
        "--json",
        str(result_file),
    ]
    done = CliRunner().invoke(main, options, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "9 utterances through lfcc, batch 8, 2 decoders, 2 rounds" in done.stdout
    result = json.loads(result_file.read_text())
    assert set(result) == {"machine", "device", "settings", "others_share", "said", "rates", "whole_to_slowest"}
    assert list(result["rates"]) == [*STAGES, WHOLE]
    assert all(len(each) == 2 and min(each) > 0 for each in result["rates"].values())
    assert list(tmp_path.iterdir()) == [result_file]  # the corpus and its cache are gone


def test_the_whole_is_held_against_the_slowest_stage_of_its_round() -> None:
    rates = Rates({"decode": [100, 50], "model": [80, 200], "write": [200, 200], "whole": [60, 45]})
    assert rates.shares() == [0.75, 0.9]
    assert "whole / slowest stage: 82% (75% … 90%)" in table(rates)


def test_the_output_states_which_network_was_measured(tmp_path: Path) -> None:
    result_file = tmp_path / "result.json"
    options = "--frontend wavlm-base --blocks 1 --limit 1 --batch-size 1 --rounds 1 --device cpu"
    options += f" --folder {tmp_path} --json {result_file}"
    done = CliRunner().invoke(main, options, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    (sentence,) = json.loads(result_file.read_text())["said"]
    assert sentence.startswith("wavlm-base: transformers computes the hidden states, more slowly")
    assert sentence in done.stdout


def test_a_front_end_that_is_not_there_is_a_sentence() -> None:
    done = CliRunner().invoke(main, ["--frontend", "nothing/at-all", "--weights", "/tmp", "--limit", "1"])
    assert done.exit_code == 2
    assert "expected a checkpoint" in done.output
