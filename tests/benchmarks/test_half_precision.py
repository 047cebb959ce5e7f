"""What float16 and bfloat16 do to LCNN's scores, on real speech through random weights; and the benchmark of it."""

import json

import pytest
import torch
from click.testing import CliRunner

from spoofcache.benchmarks.half_precision import (
    STORED,
    Speech,
    artificial,
    compare,
    hidden_states,
    main,
    recorded,
    scores,
)
from spoofcache.common.cli import Sentence
from spoofcache.engine.countermeasure import Countermeasure
from spoofcache.features.plan import Identity
from spoofcache.features.waveform import fit_length, load_waveform
from spoofcache.models.lcnn import LCNN
from spoofcache.models.losses import LOSSES
from spoofcache.tools.make_random_ssl import write_checkpoint
from tests.corpora import IDENTITY, make_trials, separable_rows, write_cache
from tests.recipe import fill
from tests.threads import one_thread

CPU = torch.device("cpu")
__all__ = ["one_thread"]
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.slow
@pytest.mark.corpus
def test_float16_keeps_the_scores_of_the_minicorpus_within_two_hundredths(shared, tmp_path):
    # float16 is what a GPU computes in by default; here the CPU does, in XLS-R's width with one block
    write_checkpoint(tmp_path / "xls-r", "xls-r-300m", layers=1)
    files = sorted((shared / "data/minicorpus/flac").glob("*.flac"))[::40][:4]
    waveforms = torch.stack([torch.from_numpy(fit_length(load_waveform(file), 8_000)) for file in files])
    states = {
        precision: hidden_states(waveforms, tmp_path / "xls-r", precision, CPU) for precision in ("float32", "float16")
    }
    assert [each.dtype for each in states.values()] == [torch.float32, torch.float16]
    network = fill(LCNN(tuple(states["float32"].shape[1:])))
    model = Countermeasure(network, LOSSES["cross_entropy"](torch.ones(2), 256))
    found = compare({precision: scores(model, each, CPU) for precision, each in states.items()})
    assert found["standard_deviation"] > 0.1  # or the line below would say nothing
    assert 0 < found["largest_difference"]["float16"] < 2e-2


def test_prints_the_scale_of_the_scores_and_a_line_per_precision(tmp_path, monkeypatch):
    tiny = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 48, "conv_dim": [16] * 7}
    positions = {"num_conv_pos_embeddings": 16, "num_conv_pos_embedding_groups": 4}
    write_checkpoint(tmp_path / "tiny", "xls-r-300m", layers=1, **tiny, **positions)
    result_file = tmp_path / "result.json"
    options = [
        "--utterances",
        "4",
        "--samples",
        "8000",
        "--weights",
        str(tmp_path / "tiny"),
        "--json",
        str(result_file),
    ]
    done = CliRunner().invoke(main, options, catch_exceptions=False)
    assert done.exit_code == 0
    assert "\nscores in float32: from " in done.stdout
    figures = json.loads(result_file.read_text())["scores"]
    assert figures["lowest"] < 0 < figures["highest"]  # fitted: the classes are apart
    assert list(figures["largest_difference"]) == list(STORED)[1:] == ["float16", "bfloat16"]
    assert all(0 < far < figures["standard_deviation"] for far in figures["largest_difference"].values())
    for precision in figures["largest_difference"]:
        assert f"\n{precision} " in done.stdout


def test_artificial_voices_are_of_both_classes_and_within_full_scale():
    speech = artificial(6, 16_000)
    assert speech.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert speech.waveforms.shape == (6, 16_000)
    assert 0.05 < speech.waveforms.abs().max() < 1


def test_recordings_are_spread_over_a_cache_of_waveforms(tmp_path):
    trials, identity = make_trials(9), Identity({**IDENTITY.settings, "dtype": "float32"})
    cache = write_cache(tmp_path / "raw", trials, separable_rows(trials, shape=(1, 8))[:, 0], identity)
    speech = recorded(cache, 3)  # the first, the middle and the last utterance
    assert isinstance(speech, Speech)
    assert speech.labels.tolist() == [1, 0, 0]
    assert speech.waveforms.shape == (3, 8)


def test_a_cache_of_other_features_is_refused(tmp_path):
    trials = make_trials(3)
    cache = write_cache(tmp_path / "lfcc", trials, separable_rows(trials))
    with pytest.raises(Sentence, match=r"lfcc: features of shape \(32, 20\); expected waveforms \(--frontend raw\)"):
        recorded(cache, 3)
