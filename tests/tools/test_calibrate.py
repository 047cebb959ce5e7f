"""A run's calibration, fitted on scores that the user chooses."""

import pytest
from click.testing import CliRunner

from spoofcache.engine.calibration_file import read_decision, weights_sha256
from spoofcache.tools.calibrate import main
from tests.runs import write_run

SCORES = "".join(f"b{k} {k}\ns{k} {k - 3.5}\n" for k in range(10))
KEYS = "utt_id,key\n" + "".join(f"b{k},bonafide\ns{k},spoof\n" for k in range(10))


@pytest.fixture
def folder(tmp_path):
    write_run(tmp_path / "run")
    (tmp_path / "scores.txt").write_text(SCORES)
    (tmp_path / "keys.csv").write_text(KEYS)
    return tmp_path


def calibrate(folder, *options):
    return CliRunner().invoke(main, ["--run", f"{folder}/run", "--scores", f"{folder}/scores.txt", *options])


def test_threshold_and_calibration_come_from_the_scores(folder):
    result = calibrate(folder, "--protocol", f"{folder}/keys.csv", "--name", "calls of May")
    assert result.exit_code == 0, result.output
    assert "the threshold of the EER (30.00%) on calls of May (10 bona fide and 10 spoof trials)" in result.stdout
    kept = read_decision(folder / "run", "best", weights_sha256(folder / "run", "best"))
    assert (kept.eer, kept.fitted_on) == (0.3, "calls of May")
    assert kept.llr(2.75) == pytest.approx(0, abs=1e-6)  # halfway between two classes that mirror each other


def test_scores_without_keys_need_a_protocol_and_nothing_is_written(folder):
    result = calibrate(folder)
    assert result.exit_code == 2
    assert "scores.txt" in result.stderr
    assert not (folder / "run/calibration.json").exists()


def test_inverted_scores_are_refused(folder):
    (folder / "scores.txt").write_text(SCORES.replace("b", "x").replace("s", "b").replace("x", "s"))
    result = calibrate(folder, "--protocol", f"{folder}/keys.csv")
    assert result.exit_code == 2
    assert "higher for spoof than for bona fide" in result.stderr
