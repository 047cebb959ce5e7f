"""The commands one after another with `--device cuda`: on this machine's GPU, or else on a pretended one."""

import numpy as np
import pytest
from click.testing import CliRunner

from spoofcache import detect, generate_score, main_train, preprocess
from spoofcache.metrics.score_files import read_scores
from tests.corpora import make_trials, write_corpus
from tests.test_road import LFCC


def succeed(command, *options):
    """Run a command in this process, where the GPU may be pretended; its standard output."""
    done = CliRunner().invoke(command.main, [str(option) for option in options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout.strip()


def road(folder, corpora, device):
    """Cache, run folder and scores of one walk down the road; the folders and the score files."""
    caches = {}
    for name, (protocol, audio) in corpora.items():
        where = ("--corpus", "asvspoof19_style", "--protocol", protocol, "--audio-dir", audio, "--partition", name)
        options = ("--frontend", "lfcc", "--length", 16_000, "--out", folder / "cache", "--device", device)
        caches[name] = succeed(preprocess, *where, *options)
    run = folder / "run"
    settings = ("--set", "train.epochs=1", "--set", "train.precision=float32", "--device", device, "--out", run)
    succeed(main_train, *LFCC, "--train", caches["train"], "--dev", caches["dev"], *settings)
    scores = folder / "scores.txt"
    succeed(generate_score, "--run", run, "--features", caches["dev"], "--out", scores, "--device", device)
    files = sorted(corpora["dev"][1].iterdir())[:3]
    detected = succeed(detect, "--run", run, *files, "--device", device)
    return scores, detected


@pytest.fixture
def corpora(tmp_path):
    return {name: write_corpus(tmp_path / name, make_trials(n, name)) for name, n in (("train", 16), ("dev", 9))}


def test_the_whole_pipeline_on_a_gpu_gives_the_scores_of_the_cpu(corpora, tmp_path, gpu):
    on_cpu, said_on_cpu = road(tmp_path / "a", corpora, "cpu")
    on_gpu, said_on_gpu = road(tmp_path / "b", corpora, "cuda")
    expected, found = read_scores(on_cpu), read_scores(on_gpu)
    assert found.utt_ids == expected.utt_ids
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-2, atol=1e-2)
    assert len(said_on_gpu.splitlines()) == len(said_on_cpu.splitlines()) > 0
