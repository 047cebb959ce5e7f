"""The organisers' file of t-DCF coefficients is read without running anything of it."""

import os
import pickle

import numpy as np
import pytest

from spoofcache.evaluation.testsets import read_costs
from spoofcache.metrics.dcf import Coefficients
from spoofcache.metrics.det import ScoreError


def entry(c0, c1, c2, number=np.float64):
    return {"C0": number(c0), "C1": number(c1), "C2": number(c2)}


def table(number=np.float64):
    return {
        "A07": {"alaw": entry(0.9, 0.9, 0.9, number), "Pooled": entry(0.25, 0.5, 0.75, number)},
        "A08": {"alaw": entry(*[np.nan] * 3), "Pooled": entry(*[np.nan] * 3)},
        "Pooled": {"alaw": entry(0.5, 0.25, 0.125, number), "Pooled": entry(0.0625, 0.5, 0.25, number)},
    }


POOLED = {"pooled": Coefficients(0.0625, 0.5, 0.25)}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "own-C012.npy"


@pytest.mark.parametrize("number", [np.float64, np.float32, float])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_conditions_are_those_of_the_requested_columns(path, number, protocol):
    path.write_bytes(pickle.dumps(np.array(table(number)), protocol))
    assert read_costs(path) == POOLED
    assert read_costs(path, ["codec"]) == POOLED | {"alaw": Coefficients(0.5, 0.25, 0.125)}
    assert read_costs(path, ["attack"]) == POOLED | {"A07": Coefficients(0.25, 0.5, 0.75)}  # A08 has no ASV trials


def test_both_file_formats_of_numpy_are_read(path):
    np.array(table()).dump(path)
    assert read_costs(path) == POOLED
    np.save(path, table(), allow_pickle=True)
    assert read_costs(path) == POOLED


def test_files_of_numpy_1_are_read(path):
    path.write_bytes(pickle.dumps(np.array(table()), 2).replace(b"numpy._core.", b"numpy.core."))
    assert read_costs(path) == POOLED


def test_numbers_of_the_other_byte_order(path):
    swapped = np.dtype(">f8")
    content = pickle.dumps(np.array({"Pooled": {"Pooled": entry(1, 2, 3)}}), 2)
    for number in (1.0, 2.0, 3.0):
        little, big = (np.array(number, kind).tobytes().decode("latin1").encode() for kind in ("<f8", swapped))
        content = content.replace(little, big)
        assert big in content
    assert b"X\x01\x00\x00\x00<" in content
    path.write_bytes(content.replace(b"X\x01\x00\x00\x00<", b"X\x01\x00\x00\x00>"))
    assert read_costs(path) == {"pooled": Coefficients(1, 2, 3)}


class Evil:
    def __init__(self, victim):
        self.victim = victim

    def __reduce__(self):
        return os.mkdir, (str(self.victim),)


@pytest.mark.parametrize("protocol", [2, 4])
def test_code_is_named_and_does_not_run(path, tmp_path, protocol):
    path.write_bytes(pickle.dumps(np.array({"Pooled": Evil(tmp_path / "made")}), protocol))
    with pytest.raises(ScoreError, match=r"own-C012.npy: cannot be read: it uses \w+.mkdir, which could run code"):
        read_costs(path)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (pickle.dumps({"A07": {}}), "no entry Pooled by attack"),
        (pickle.dumps({"Pooled": {"Pooled": {"C0": 1.0, "C1": "x", "C2": 1.0}}}), "pooled: no numbers C0, C1 and C2"),
        (pickle.dumps({"Pooled": {"Pooled": {"C0": 0.1, "C1": -1.0, "C2": 1.0}}}), "C1 = -1"),
        (pickle.dumps({"Pooled": {}})[:-3], "cannot be read"),
        (b"\x93NUMPY\x01", "cannot be read"),
        (pickle.dumps(np.array([{}, {}])), "an array of several values"),
    ],
)
def test_anything_but_a_table_of_costs_is_refused(path, content, sentence):
    path.write_bytes(content)
    with pytest.raises(ScoreError, match=sentence):
        read_costs(path)


def test_an_array_of_numbers_is_refused(path):
    np.save(path, np.zeros(3))
    with pytest.raises(ScoreError, match="cannot be read: an array of numbers; expected the coefficients"):
        read_costs(path)
