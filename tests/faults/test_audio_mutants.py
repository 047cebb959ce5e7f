"""A few hundred damaged audio files in every run of the tests; `make faults` tries ten thousand."""

import numpy as np
import pytest

from tests.faults.audio_mutants import FAULTS, Change, compare, run


def test_no_damaged_file_is_accepted_or_causes_a_crash_or_a_hang(tmp_path):
    outcome = run(270, 7, tmp_path)
    assert sum(outcome.values()) == 270
    assert {verdict for (_, verdict), count in outcome.items() if count} & set(FAULTS) == set()
    for name in ("flac", "ogg", "opus"):  # every byte is under a checksum
        assert not outcome[name, "local"]
        assert outcome[name, "refused"] > 20


@pytest.mark.parametrize(
    ("waveform", "verdict"),
    [
        (lambda x: x, "same"),
        (lambda x: np.where(np.arange(len(x)) // 1_600 == 10, 0, x), "local"),
        (lambda x: np.where(np.arange(len(x)) // 1_600 == 20, 0, x), "differs"),
        (lambda x: x[:-1], "differs"),
        (lambda x: np.concatenate([np.zeros(1_105), x, np.zeros(500)]), "padded"),
        (lambda x: np.roll(x, 3), "differs"),
        (lambda x: np.full(len(x), np.nan), "differs"),
    ],
)
def test_differences_outside_the_changed_bytes_are_detected(waveform, verdict):
    x = np.random.default_rng(0).uniform(-1, 1, 48_000)
    assert compare(waveform(x), x, Change("flip", b"", 1_000, 1_100), 3_000).kind == verdict
