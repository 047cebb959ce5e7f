"""Worker processes: what they answer, and what is said of one that dies."""

import os
import signal

import pytest

from spoofcache.common.workers import Death, Worker, WorkerError

SERVE = """
import os, sys, time
from spoofcache.common.workers import serve

def answer(request):
    if request == "abort":
        os.abort()
    if request == "fail":
        raise RuntimeError("no such thing")
    if request == "half":
        os.write(1, b'"x"\\n12'); os._exit(3)
    return {"asked": request}, b"0123"

serve(answer)
"""


@pytest.fixture
def worker(tmp_path, monkeypatch):
    """`worker()`: a process that answers, of a module that lies in the search path."""
    (tmp_path / "answering.py").write_text(SERVE)
    (tmp_path / "broken.py").write_text("import nothing_of_that_name")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    started = []

    def start(module="answering"):
        started.append(Worker("testing", module))
        return started[-1]

    yield start
    for each in started:
        each.end()


def test_requests_are_answered_one_after_another(worker):
    one = worker()
    for request in ("a", {"b": [1, "Jürgen\n"]}, None):
        assert one.ask(request) == {"asked": request}
        assert one.read(4) == b"0123"


@pytest.mark.parametrize(
    ("request_", "said"), [("abort", "signal 6, Aborted"), ("fail", "exit status 1, RuntimeError: no such thing")]
)
def test_the_death_of_a_worker_states_its_cause(worker, request_, said):
    one = worker()
    with pytest.raises(Death) as death:
        one.ask(request_)
    assert str(death.value) == said


def test_only_a_crash_is_the_fault_of_the_request(worker):
    Death(-signal.SIGSEGV, "").require_own_fault("testing")
    Death(-signal.SIGXCPU, "").require_own_fault("testing")
    with pytest.raises(WorkerError, match="the process for testing was killed from outside, most likely by the system"):
        Death(-signal.SIGKILL, "").require_own_fault("testing")
    with pytest.raises(WorkerError, match=r"ended before its work was done: exit status 1, ImportError: x$"):
        Death(1, "ImportError: x").require_own_fault("testing")


def test_an_answer_that_breaks_off_is_a_death(worker):
    one = worker()
    assert one.ask("half") == "x"
    with pytest.raises(Death, match="exit status 3"):
        one.read(4)


def test_a_worker_that_cannot_start_says_why(worker):
    with pytest.raises(WorkerError) as refusal:
        worker("broken").ask("a")
    reason = "exit status 1, ModuleNotFoundError: No module named 'nothing_of_that_name'"
    assert str(refusal.value) == f"the process for testing could not start: {reason}"


def test_one_that_is_killed_from_outside_is_dead_and_not_broken(worker):
    one = worker()
    one.ask("a")
    os.kill(one.pid, signal.SIGKILL)
    with pytest.raises(Death, match="signal 9, Killed"):
        one.ask("b")
