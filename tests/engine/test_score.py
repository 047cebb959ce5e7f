import json

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from spoofcache import generate_score
from spoofcache.engine.about import RunError
from spoofcache.engine.checkpoint import load_model
from spoofcache.engine.score import score_partition
from spoofcache.engine.train import fit
from spoofcache.metrics.score_files import read_scores

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory, caches):
    from spoofcache.engine.config_file import load_config
    from tests.engine.conftest import CONFIG, LCNN

    folder = tmp_path_factory.mktemp("scored")
    (folder / "experiment.toml").write_text(CONFIG)
    config = load_config(folder / "experiment.toml", [*LCNN, "train.epochs=3", "train.average=swa"])
    fit(config, *caches, folder / "run")
    return folder / "run"


def test_scores_are_the_log_odds_of_each_utterance_in_the_order_of_the_cache(run, caches):
    model, _ = load_model(run, "best")
    dev = caches[1]
    scores = score_partition(model, dev, 7, CPU)
    assert scores.utt_ids == [trial.utt_id for trial in dev.trials]
    assert scores.attacks == [trial.attack for trial in dev.trials]
    for index in (0, 7, 29):
        with torch.no_grad():
            spoof, bonafide = model(dev[index].features[None].float()).logits[0].tolist()
        assert scores.scores[index] == pytest.approx(bonafide - spoof, abs=1e-5)


def test_bona_fide_utterances_score_higher(run, caches):
    scores = score_partition(load_model(run, "best")[0], caches[1], 64, CPU)
    assert scores.bonafide.mean() > scores.spoof.mean() + 1


def test_best_and_last_weights_are_those_of_their_epochs(run):
    _, best = load_model(run, "best")
    _, last = load_model(run, "last")
    assert last.epoch == 2
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert best.dev_eer == min(line["dev_eer"] for line in lines)


def test_scoring_is_repeatable_bit_for_bit(run, caches):
    one, two = (score_partition(load_model(run, "last")[0], caches[1], 16, CPU).scores for _ in range(2))
    assert np.array_equal(one, two)


@pytest.mark.parametrize("which", ["best", "last", "average"])
def test_the_command_scores_with_each_set_of_weights(run, caches, tmp_path, which):
    out = tmp_path / "scores.txt"
    options = ("--run", run, "--features", caches[1].folder, "--out", out, "--checkpoint", which, "--device", "cpu")
    result = CliRunner().invoke(generate_score.main, [str(option) for option in options])
    assert (result.exit_code, result.stdout) == (0, f"{out}\n")
    expected = score_partition(load_model(run, which)[0], caches[1], 64, CPU).scores
    np.testing.assert_allclose(read_scores(out).scores, expected, rtol=0, atol=1e-5)


def test_a_folder_without_a_finished_epoch_is_refused(tmp_path):
    for which in ("best", "last"):
        with pytest.raises(RunError, match="expected the run folder of a training with a finished epoch"):
            load_model(tmp_path, which)
