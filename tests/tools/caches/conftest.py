"""Small caches whose shards hold four utterances."""

from dataclasses import replace

import pytest

from spoofcache.protocols import find_audio
from tests.corpora import make_trials, write_corpus
from tests.features.frames import OPTIONS, Frames, extract


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr("spoofcache.features.plan.SHARD_ROWS", 4)


@pytest.fixture
def omitting(tmp_path):
    """Ten utterances, extracted in float32 from audio; U_0002 was omitted."""
    trials = make_trials(10)
    _, audio_dir = write_corpus(tmp_path / "corpus", trials)
    found = [
        replace(trial, path=None) if trial.utt_id == "U_0002" else trial for trial in find_audio(trials, audio_dir)
    ]
    extract(found, tmp_path / "omitting/train", Frames(), replace(OPTIONS, skip_bad_audio=True, dtype="float32"))
    return tmp_path / "omitting/train"
