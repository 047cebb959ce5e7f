import pytest
import torch

from spoofcache.protocols import find_audio
from tests.corpora import make_trials, write_corpus


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    """The arrays here are small: more threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def corpus(tmp_path):
    """`corpus(n)`: n trials, each with half a second of noise in a FLAC file of its own."""

    def write(n):
        trials = make_trials(n)
        _, audio_dir = write_corpus(tmp_path / "corpus", trials)
        return find_audio(trials, audio_dir)

    return write
