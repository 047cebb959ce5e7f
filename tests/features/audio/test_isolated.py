"""FFmpeg in a process of its own: a file that crashes it is named, and the next one is decoded."""

import os

import numpy as np
import pytest

from spoofcache.common.workers import WorkerError
from spoofcache.features.audio import isolated
from spoofcache.features.audio.isolated import _Pool
from spoofcache.features.audio.result import AudioError
from spoofcache.features.waveform import load_waveform

CRASH = """
import os, av
opened = av.open
def crash(file, *args, **settings):
    if "killer" in getattr(file, "name", ""):
        os.abort()
    return opened(file, *args, **settings)
av.open = crash
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


def test_a_library_that_is_missing_is_no_fault_of_the_audio(fresh_pool, by_ffmpeg):
    (fresh_pool / "av.py").write_text("raise ImportError('libavcodec.so: cannot open shared object file')")
    with pytest.raises(WorkerError, match=r"could not start: exit status 1, ImportError: libavcodec\.so: cannot open"):
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
