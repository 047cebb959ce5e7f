"""Decoders in processes of their own: a file that crashes it is named, and the next one is decoded."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from spoofcache.common.workers import WorkerError
from spoofcache.features.audio import isolated
from spoofcache.features.audio.isolated import _Pool
from spoofcache.features.audio.read import read_header
from spoofcache.features.audio.result import AudioError
from spoofcache.features.waveform import load_waveform

CRASH = """
import os, signal, av, soundfile
opened = av.open
def crash(file, *args, **settings):
    if "killer" in getattr(file, "name", ""):
        os.abort()
    return opened(file, *args, **settings)
av.open = crash
opened_by_libsndfile = soundfile.SoundFile.__init__
def break_down(self, file, *args, **settings):
    if b"killer" in file:
        os.kill(os.getpid(), signal.SIGSEGV)
    opened_by_libsndfile(self, file, *args, **settings)
soundfile.SoundFile.__init__ = break_down
"""


@pytest.fixture
def fresh_pool(tmp_path, monkeypatch):
    """Workers that start now, with what lies in the folder `site` of the search path."""
    (tmp_path / "site").mkdir()
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}/site")
    pool = _Pool()
    monkeypatch.setattr(isolated, "_POOL", pool)
    yield tmp_path / "site"
    pool.end()


def test_a_file_that_crashes_ffmpeg_is_named_and_the_next_one_is_read(fresh_pool, by_ffmpeg):
    (fresh_pool / "sitecustomize.py").write_text(CRASH)
    whole = by_ffmpeg("a.m4a", "aac")
    killer = by_ffmpeg("killer.m4a", "aac")
    expected = load_waveform(whole)
    with pytest.raises(AudioError) as refusal:
        load_waveform(killer)
    assert str(refusal.value) == (f"{killer}: it crashes the decoder (signal 6, Aborted); expected a whole audio file")
    np.testing.assert_array_equal(load_waveform(whole), expected)


@pytest.mark.parametrize("ending", ["wav", "flac", "ogg"])
def test_a_file_that_crashes_libsndfile_is_named_and_the_next_one_is_read(fresh_pool, by_libsndfile, ending):
    (fresh_pool / "sitecustomize.py").write_text(CRASH)
    whole, killer = by_libsndfile(f"a.{ending}"), by_libsndfile(f"killer.{ending}")
    expected = load_waveform(whole)
    for read in (load_waveform, read_header):
        with pytest.raises(AudioError) as refusal:
            read(killer)
        signal = "signal 11, Segmentation fault"
        assert str(refusal.value) == f"{killer}: it crashes the decoder ({signal}); expected a whole audio file"
    np.testing.assert_array_equal(load_waveform(whole), expected)


def test_a_waveform_may_be_changed_in_place(by_libsndfile):
    waveform = load_waveform(by_libsndfile("a.wav"))
    waveform *= 0.5


def test_a_relative_path_is_that_of_the_caller(by_libsndfile, tmp_path, monkeypatch):
    path = by_libsndfile("a.wav")
    expected = load_waveform(path)  # starts a worker here
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(load_waveform(Path("a.wav")), expected)


def test_as_many_workers_are_started_as_there_are_cores(fresh_pool, by_libsndfile, monkeypatch):
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    monkeypatch.setattr(isolated, "_POOL", pool := _Pool())
    path = by_libsndfile("a.wav")
    with ThreadPoolExecutor(16) as threads:
        list(threads.map(load_waveform, [path] * 64))
    assert 1 <= len(pool._idle) <= 3
    pool.end()


def test_a_library_that_is_missing_is_no_fault_of_the_audio(fresh_pool, by_ffmpeg):
    (fresh_pool / "av.py").write_text("raise ImportError('libavcodec.so: cannot open shared object file')")
    with pytest.raises(
        WorkerError, match=r"ended before its work was done: exit status 1, ImportError: libavcodec\.so:"
    ):
        load_waveform(by_ffmpeg("a.m4a", "aac"))


def test_a_worker_is_used_again(fresh_pool, by_ffmpeg):
    path = by_ffmpeg("a.m4a", "aac")
    load_waveform(path)
    (worker,) = isolated._POOL._idle
    load_waveform(path)
    assert [each.pid for each in isolated._POOL._idle] == [worker.pid]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system does not fork")
def test_a_forked_process_starts_workers_of_its_own(fresh_pool, by_ffmpeg):
    path = by_ffmpeg("a.m4a", "aac")
    expected = load_waveform(path)
    isolated._POOL._forget()  # what happens in the child
    assert isolated._POOL._idle == []
    np.testing.assert_array_equal(load_waveform(path), expected)
    for worker in isolated._POOL._of_parent:
        worker.end()
