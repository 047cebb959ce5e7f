"""Shards without a seal are opened by a child first: HDF5 may loop or crash over a damaged one."""

import signal

import pytest

from spoofcache.features import inspection
from spoofcache.features.inspection import Unopenable, inspect
from spoofcache.features.plan import StoreError
from spoofcache.features.store import ShardReader


def test_a_file_that_hdf5_refuses_comes_back(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"no HDF5")
    inspect(tmp_path / "a.h5")
    inspect(tmp_path / "absent.h5")


def test_a_file_that_hdf5_does_not_come_back_from_is_named(tmp_path, monkeypatch):
    """A child that sleeps stands for one that loops in a library: the system's alarm ends both."""
    monkeypatch.setattr(inspection, "SECONDS", 1)
    monkeypatch.setattr(inspection, "python_command", lambda module: child("time.sleep(600)"))
    with fresh_inspector(monkeypatch), pytest.raises(Unopenable, match="does not come back from opening it within 1 s"):
        inspect(tmp_path / "a.h5")


def test_a_file_that_hdf5_crashes_over_is_named_and_the_next_one_is_inspected(tmp_path, monkeypatch):
    with fresh_inspector(monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(inspection, "python_command", lambda module: child("os.kill(os.getpid(), signal.SIGSEGV)"))
            with pytest.raises(Unopenable, match=f"crashes over it .exit status -{signal.SIGSEGV:d}"):
                inspect(tmp_path / "a.h5")
        inspect(tmp_path / "a.h5")


@pytest.mark.corpus
def test_a_real_shard_that_hangs_hdf5_is_refused(shared, monkeypatch):
    monkeypatch.setattr(inspection, "SECONDS", 5)
    with fresh_inspector(monkeypatch), pytest.raises(StoreError, match="does not come back"):
        ShardReader(shared / "cases/audio/shard_hangs_hdf5.h5")


def child(act):
    """A child that does this when it is told of a file."""
    import sys

    return [sys.executable, "-c", f"import os, signal, sys, time; sys.stdin.readline(); signal.alarm(1); {act}"]


class fresh_inspector:
    """An inspector for this block alone."""

    def __init__(self, monkeypatch):
        self._own = inspection._Inspector()
        monkeypatch.setattr(inspection, "_INSPECTOR", self._own)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._own.end()
