"""The evaluator's benchmark runs on small scores, and both sides give the same figures. No timing."""

import json

import pytest
from click.testing import CliRunner

from spoofcache.benchmarks.evaluator import Bench, Job, main, measure, write_scores
from spoofcache.metrics.det import ScoreError


def test_prints_a_line_for_each_job_and_writes_the_figures(tmp_path):
    out = tmp_path / "out.json"
    options = ["--size", "0.01", "--replicates", "30", "--json", str(out)]
    done = CliRunner().invoke(main, options, catch_exceptions=False)
    assert done.exit_code == 0
    assert "EER, min t-DCF and attacks of 711 trials, files read: " in done.stdout
    assert "30 bootstrap replicates of EER and min t-DCF: " in done.stdout
    result = json.loads(out.read_text())
    assert set(result) == {"machine", "jobs", "others_share"}
    assert set(result["jobs"]) == {"table", "t_eer", "bootstrap"}
    assert all(job["seconds"] > 0 < job["ratio"] for job in result["jobs"].values())


def test_random_scores_have_attacks_of_different_difficulty(tmp_path):
    figures = Bench(*write_scores(tmp_path, 0.02), replicates=1).jobs()["table"].ours()
    eers = figures[2::2]
    assert len(eers) == 13
    assert len(set(eers)) > 5


def test_a_benchmark_fails_if_the_figures_of_its_sides_differ():
    with pytest.raises(ScoreError, match="a job: the two sides differ"):
        measure(Job("a job", lambda: [1.0], lambda: [1.1]))


def test_the_baseline_of_a_part_counts_for_the_whole():
    found = measure(Job("a job", lambda: [1.0], lambda: [1.0], share=0.5))
    assert found["ratio"] == pytest.approx(found["baseline_seconds"] / found["seconds"])


def test_one_file_alone_is_refused(tmp_path):
    cm, _ = write_scores(tmp_path, 0.001)
    done = CliRunner().invoke(main, ["--cm-scores", str(cm)])
    assert done.exit_code == 2
    assert "belong together; expected both or neither" in done.stderr
