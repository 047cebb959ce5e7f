"""What a file is known by: its size and a hash of its content, whole or in part."""

import numpy as np
import pytest

from spoofcache.features.fingerprint import as_array, fingerprint, first_that_changed


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / f"{number}.wav" for number in range(5)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * 1_000)
    return paths


def test_equal_content_under_any_name_is_the_same(tmp_path):
    for name in ("a.wav", "b.flac"):
        (tmp_path / name).write_bytes(b"content")
    assert fingerprint(tmp_path / "a.wav") == fingerprint(tmp_path / "b.flac")


@pytest.mark.parametrize("size", [0, 1, 4 * 2**20, 4 * 2**20 + 1, 9_000_001])
@pytest.mark.parametrize("place", [0.0, 1.0])
def test_a_change_at_either_end_of_a_file_of_any_size_is_seen(tmp_path, size, place):
    data = bytearray(size)
    (tmp_path / "a.wav").write_bytes(data)
    before = fingerprint(tmp_path / "a.wav")
    assert before.size == size
    if size:
        data[round(place * (size - 1))] = 1
        (tmp_path / "a.wav").write_bytes(data)
        assert fingerprint(tmp_path / "a.wav") != before


def test_a_recording_that_was_processed_as_a_whole_differs_however_long_it_is(tmp_path):
    samples = np.random.default_rng(0).integers(-100, 100, 3_000_000).astype(np.int16)
    (tmp_path / "a.wav").write_bytes(samples.tobytes())
    before = fingerprint(tmp_path / "a.wav")
    samples[500_000:-500_000] += 1  # neither end, and no byte more
    (tmp_path / "a.wav").write_bytes(samples.tobytes())
    assert fingerprint(tmp_path / "a.wav") != before


def test_the_first_file_that_changed_is_found(files):
    stored = as_array([fingerprint(path) for path in files])
    assert first_that_changed(files, stored, workers=2) is None
    files[3].write_bytes(b"x" * 1_000)
    assert first_that_changed(files, stored, workers=2) == 3
    files[4].write_bytes(b"shorter")
    assert first_that_changed(files, stored, workers=2) == 4  # a size costs no reading, so it is looked at first


def test_without_files_nothing_has_changed():
    assert first_that_changed([], as_array([]), workers=2) is None
