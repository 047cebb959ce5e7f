"""Files come out as batches of waveforms, the same by threads and by processes, and no process outlives its use."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from spoofcache.common.workers import WorkerError
from spoofcache.features.augment import EffectError
from spoofcache.features.augment.view import View
from spoofcache.features.decoding import Decoders, Form
from spoofcache.features.waveform import fit_length, load_waveform
from spoofcache.protocols.trial import Trial

ROOT = Path(__file__).resolve().parents[2]
FORM = Form(batch_size=3, n_samples=10_000, fit="repeat")


def trials_of(paths):
    """Utterances are called by the names of their files."""
    return (Trial(path.stem, "spoof", path=path) for path in paths)


def decode(paths, form=FORM, workers=2, in_processes=False):
    """[(paths, waveforms, reasons)] of all batches."""
    with Decoders(form, workers, in_processes) as decoders:
        batches = decoders.batches(trials_of(paths))
        return [
            ([trial.path for trial in batch.trials], batch.waveforms.copy(), list(batch.reasons)) for batch in batches
        ]


@pytest.fixture
def paths(corpus):
    return [trial.path for trial in corpus(8)]


@pytest.mark.parametrize("in_processes", [False, True])
@pytest.mark.parametrize("workers", [1, 5])
def test_batches_are_full_and_hold_the_files_in_order(paths, workers, in_processes):
    batches = decode(paths, workers=workers, in_processes=in_processes)
    assert [files for files, _, _ in batches] == [paths[:3], paths[3:6], paths[6:]]
    expected = np.stack([fit_length(load_waveform(path), 10_000) for path in paths])
    np.testing.assert_array_equal(np.concatenate([waveforms for _, waveforms, _ in batches]), expected)
    assert [reason for _, _, reasons in batches for reason in reasons] == [""] * 8


@pytest.mark.parametrize("in_processes", [False, True])
def test_a_view_acts_on_the_waveform_before_the_length_rule(paths, in_processes):
    view = View("rawboost:4", seed=3, number=2)
    batches = decode(paths, Form(3, 10_000, "zero", view), in_processes=in_processes)
    expected = [fit_length(view(load_waveform(path), path.stem), 10_000, "zero") for path in paths]
    np.testing.assert_array_equal(np.concatenate([waveforms for _, waveforms, _ in batches]), expected)
    assert not batches[0][1][:, 8_000:].any()  # where the files end


@pytest.mark.parametrize("in_processes", [False, True])
def test_a_recording_that_an_effect_cannot_use_is_no_fault_of_the_utterance(paths, tmp_path, in_processes):
    (tmp_path / "rir").mkdir()
    (tmp_path / "rir/broken.wav").write_text("no audio")
    form = Form(1, 9_000, "zero", View(f"reverb:{tmp_path}/rir", 0, 1))
    with pytest.raises(EffectError, match=f"^effect reverb: {tmp_path}/rir/broken.wav: empty, truncated or not audio"):
        decode(paths[:1], form, in_processes=in_processes)


@pytest.mark.parametrize("in_processes", [False, True])
def test_an_unusable_file_is_silence_with_a_reason(paths, in_processes):
    paths[1].write_text("no audio")
    paths[4] = paths[4].with_name("nöwhere \udcff\n.flac")  # names of files need not be UTF-8
    (_, first, reasons), (_, second, more), _ = decode(paths, in_processes=in_processes)
    assert first[1].any() == second[1].any() == False  # noqa: E712
    assert first[0].any()
    assert reasons[0] == ""
    assert reasons[1].startswith(f"{paths[1]}: empty, truncated or not audio")
    assert more[1] == f"{paths[4]}: no such file; expected the audio of an utterance"


def test_rows_are_used_again_without_harm(paths):
    """Many more batches than there is room for."""
    many = paths * 12
    batches = decode(many, Form(1, 9_000, "zero"), workers=3, in_processes=True)
    expected = [fit_length(load_waveform(path), 9_000, "zero") for path in many]
    np.testing.assert_array_equal(np.concatenate([waveforms for _, waveforms, _ in batches]), expected)


def test_relative_paths_are_those_of_the_caller(paths, monkeypatch):
    monkeypatch.chdir(paths[0].parent)
    ((_, waveforms, reasons),) = decode([Path(paths[0].name)], in_processes=True)
    assert reasons == [""]
    assert waveforms.any()


def test_without_files_there_is_no_batch():
    assert decode([], in_processes=True) == []


@pytest.fixture
def crashing(tmp_path, monkeypatch):
    """Child processes abort, or never come back, where a decoder opens a file whose name says so, and only there."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site/sitecustomize.py").write_text(CRASH)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}/site{os.pathsep}{ROOT}")


CRASH = """
import os, pathlib, signal, soundfile
opened = soundfile.SoundFile.__init__
def crash(self, file, *args, **settings):
    if "killer" in str(file):
        os.abort()
    if "endless" in str(file):
        pathlib.Path(__file__).with_name("begun").touch()
        signal.pause()
    opened(self, file, *args, **settings)
soundfile.SoundFile.__init__ = crash
"""


@pytest.mark.usefixtures("crashing")
def test_only_the_file_that_crashes_a_decoder_is_omitted(paths):
    bad = paths[4].rename(paths[4].with_name("killer.flac"))
    batches = decode([*paths[:4], bad, *paths[5:]], in_processes=True)
    reasons = [reason for _, _, reasons in batches for reason in reasons]
    assert reasons.pop(4) == (f"{bad}: it crashes the decoder (signal 6, Aborted); expected a whole audio file")
    assert reasons == [""] * 7
    waveforms = np.concatenate([waveforms for _, waveforms, _ in batches])
    assert not waveforms[4].any()
    expected = [fit_length(load_waveform(path), 10_000) for path in [*paths[:4], *paths[5:]]]
    np.testing.assert_array_equal(np.delete(waveforms, 4, axis=0), expected)


def test_a_process_that_is_killed_from_outside_is_replaced_and_no_file_is_blamed(paths):
    with Decoders(FORM, 1, in_processes=True) as decoders:
        (worker,) = decoders._children._workers
        os.kill(worker.pid, signal.SIGKILL)
        reasons = [reason for batch in decoders.batches(trials_of(paths)) for reason in batch.reasons]
    assert reasons == [""] * 8


def test_a_process_that_cannot_start_says_why(paths, tmp_path, monkeypatch):
    (tmp_path / "numpy.py").write_text("raise ImportError('no numbers here')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(WorkerError) as refusal:
        decode(paths, in_processes=True)
    expected = "the process for decoding could not start: exit status 1, ImportError: no numbers here"
    assert str(refusal.value) == expected


@pytest.mark.usefixtures("crashing")
def test_ending_does_not_wait_for_the_files_that_are_being_decoded(paths, tmp_path):
    endless = paths[0].rename(paths[0].with_name("endless.flac"))
    with Decoders(FORM, 1, in_processes=True) as decoders:
        decoders._start(0, list(trials_of([endless])))
        while not (tmp_path / "site/begun").exists():
            time.sleep(0.01)
    # were it waited for, pytest's time limit would end this test


def test_the_processes_end_with_the_block(paths):
    with Decoders(FORM, 2, in_processes=True) as decoders:
        next(decoders.batches(trials_of(paths)))
        children = [worker.pid for worker in decoders._children._workers]
        assert len(children) == 2
        assert all(map(is_alive, children))
    assert not any(map(is_alive, children))


HOLD = """
import sys
from spoofcache.features.decoding import Decoders, Form
decoders = Decoders(Form(3, 1_000, "zero"), 2, in_processes=True)
print(*(worker.pid for worker in decoders._children._workers), flush=True)
sys.stdin.read()
"""


def test_the_processes_end_when_ours_is_killed():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}  # it holds them for as long as stdin stays open
    process = subprocess.Popen([sys.executable, "-c", HOLD], cwd=ROOT, text=True, **pipes)
    assert process.stdout is not None
    children = [int(pid) for pid in process.stdout.readline().split()]
    assert len(children) == 2
    process.kill()
    process.communicate()
    while any(map(is_alive, children)):  # a hang is ended by pytest's time limit, not by how busy the machine is
        time.sleep(0.02)


def is_alive(pid):
    """Is the process there, and not merely unburied?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_decoding_process_imports_no_torch():
    program = "import sys, spoofcache.features.decoding; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == 0
