"""Speech for the tools' tests: artificial, made in a second."""

import numpy as np
import pytest

from spoofcache.tools.demo_corpus.builtin_voice import SPEAKERS, say, write_speaker


@pytest.fixture(scope="session")
def speech(tmp_path_factory):
    """A folder of two artificial speakers, 22 recordings each."""
    folder = tmp_path_factory.mktemp("speech")
    for name in list(SPEAKERS)[:2]:
        write_speaker(folder, name, 22)
    return folder


@pytest.fixture(scope="session")
def utterance():
    """Two seconds and a half of the lower-pitched speaker: [n] at 16 kHz."""
    return say(SPEAKERS["builtin-1"], 2.5, np.random.default_rng(1))
