import numpy as np
import pytest
import soundfile

from tests.features.augment.signals import RATE


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    """A folder with a text and two recordings that ring out, one longer than the tests' waveforms, one shorter."""
    folder = tmp_path_factory.mktemp("recordings")
    for name, n in (("short.wav", 3_000), ("deep/long.flac", 40_000)):
        (folder / name).parent.mkdir(exist_ok=True)
        ringing = np.random.RandomState(n).standard_normal(n) * np.exp(-np.arange(n) / (n / 8))
        soundfile.write(folder / name, ringing / np.abs(ringing).max(), RATE)
    (folder / "LICENSE").write_text("not audio")
    return folder


@pytest.fixture
def noise():
    """White noise [64,600] at a tenth of full scale."""
    return (0.1 * np.random.RandomState(3).standard_normal(64_600)).astype(np.float32)
