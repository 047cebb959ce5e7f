"""How commands end when they are told to: fresh processes, at the start, under way, and their children."""

from spoofcache.common.signals import (
    Interrupted,
    end_now,
    exit_status,
    postponed,
    raised_as_interrupts,
    seconds_left,
    unheard_by_children,
)

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGUSR1: 138}

COMMAND = """
import time, click
from spoofcache.common import cli

@click.command()
@cli.requeue_option
@cli.sentences(after_interrupt="Start it again.")
def main():
    try:
        print("under way", flush=True)
        time.sleep(600)
    finally:
        print("cleaned up", flush=True)

main()
"""
IMPORTS_SLOWLY = """
import sys
sys.modules["__main__"].__file__ = {file!r}
from spoofcache.common import signals
import time
print("importing", flush=True)
time.sleep(600)
"""
ENDS_SLOWLY = """
import sys
sys.modules["__main__"].__file__ = {file!r}
from spoofcache.common.signals import raised_as_interrupts
import atexit, signal

@atexit.register
def clean_up():
    signal.raise_signal({number})
    print("cleaned up", flush=True)

class Late:
    def __del__(self, raise_signal=signal.raise_signal):  # called when the interpreter has reset its handlers
        raise_signal({number})

late = Late()
with raised_as_interrupts():
    print("done", flush=True)
"""
POOL = """
import time
from spoofcache.tools.demo_corpus.parallel import spread

def main():
    with spread(2) as over:
        for pid in over(os_getpid, range(2)):
            print(pid, flush=True)
        time.sleep(600)

from os import getpid
def os_getpid(_):
    time.sleep(0.5)  # so that each worker takes one
    return getpid()

if __name__ == "__main__":
    main()
"""
ORPHAN = """
import time
from spoofcache.common.signals import end_with_parent
end_with_parent({parent})
time.sleep(600)
"""


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.parametrize("number", STATUS)
def test_a_running_command_cleans_up_and_says_by_its_status_what_ended_it(number):
    process = start("-c", COMMAND)
    assert process.stdout.readline() == "under way\n"
    process.send_signal(number)
    out, err = process.communicate()
    assert out == "cleaned up\n"
    assert err == "Interrupted; no incomplete file was left behind. Start it again.\n"
    assert process.returncode == STATUS[number]


@pytest.mark.parametrize("number", STATUS)
def test_a_signal_during_the_imports_ends_a_command_with_a_sentence(number):
    process = start("-c", IMPORTS_SLOWLY.format(file=str(ROOT / "preprocess.py")))
    assert process.stdout.readline() == "importing\n"
    process.send_signal(number)
    assert process.communicate()[1] == "Interrupted before any work was started.\n"
    assert process.returncode == STATUS[number]


@pytest.mark.parametrize("number", STATUS)
def test_a_signal_after_the_work_changes_nothing_of_its_end(number):
    """The interpreter takes a while to end, in which "before any work was started" would be wrong."""
    process = start("-c", ENDS_SLOWLY.format(file=str(ROOT / "preprocess.py"), number=int(number)))
    assert process.communicate() == ("done\ncleaned up\n", "")
    assert process.returncode == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGUSR1, 99), (signal.SIGTERM, 99), (signal.SIGINT, 130)])
def test_the_requeue_status_is_used_after_signals_of_a_scheduler_but_not_after_ctrl_c(number, status):
    process = start("-c", COMMAND, "--requeue-status", "99")
    assert process.stdout.readline() == "under way\n"
    process.send_signal(number)
    process.communicate()
    assert process.returncode == status


@pytest.mark.parametrize("words", [["--requeue-status", "99"], ["--requeue-status=99"]])
def test_the_requeue_status_is_also_used_when_the_signal_comes_during_the_imports(words):
    process = start("-c", IMPORTS_SLOWLY.format(file=str(ROOT / "preprocess.py")), "--out", "cache", *words)
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGUSR1)
    assert process.communicate()[1] == "Interrupted before any work was started.\n"
    assert process.returncode == 99


def interrupted(seconds, work):
    """The Interrupted that ends `work`, which may hold signals back for some seconds."""

    def run():
        with raised_as_interrupts(), postponed(seconds):
            work()

    with pytest.raises(Interrupted) as interrupt:
        run()
    return interrupt.value


class TestPostponed:
    """Work that can be finished soon holds a signal back."""

    def test_the_block_is_finished_first(self):
        left = []

        def work():
            left.append(seconds_left())
            signal.raise_signal(signal.SIGUSR1)
            left.append(seconds_left())

        assert exit_status(interrupted(600, work)) == 138
        assert left[0] is None
        assert 0 < left[1] <= 600
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)

    def test_when_the_time_is_over_it_is_raised(self):
        def work():
            signal.raise_signal(signal.SIGTERM)
            while True:  # a hang is ended by pytest's time limit
                time.sleep(0.001)

        assert exit_status(interrupted(0.01, work)) == 143

    def test_work_that_would_take_too_long_is_given_up_at_once(self):
        reached = []

        def work():
            end_now()
            reached.append("nothing has come yet")
            signal.raise_signal(signal.SIGHUP)
            end_now()
            reached.append("too late")

        interrupted(600, work)
        assert reached == ["nothing has come yet"]

    def test_a_second_ctrl_c_is_not_held_back_and_a_second_sigterm_is_ignored(self):
        reached = []

        def work():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
                signal.raise_signal(number)
                reached.append(number)

        assert exit_status(interrupted(600, work)) == 130
        assert reached == [signal.SIGINT, signal.SIGTERM]

    def test_without_a_signal_nothing_is_raised(self):
        with raised_as_interrupts(), postponed(600):
            end_now()

    def test_without_time_a_signal_is_raised_at_once(self):
        reached = []

        def work():
            signal.raise_signal(signal.SIGTERM)
            reached.append("too late")

        interrupted(0, work)
        assert reached == []


def test_helpers_do_not_hear_what_a_scheduler_sends_to_every_process():
    with unheard_by_children():
        helper = start("-c", "import time; print('ready', flush=True); time.sleep(600)")
    assert helper.stdout.readline() == "ready\n"
    for number in STATUS:
        helper.send_signal(number)
    helper.kill()
    helper.communicate()
    assert helper.returncode == -signal.SIGKILL
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) & set(STATUS) == set()


def test_a_program_that_is_no_command_of_ours_keeps_its_handlers():
    process = start("-c", IMPORTS_SLOWLY.format(file="/home/user/notebook.py"))
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[1] == ""
    assert process.returncode == -signal.SIGTERM


def test_a_second_sigterm_does_not_interrupt_the_clean_up():
    done = []

    def work():
        try:
            signal.raise_signal(signal.SIGTERM)
        finally:
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGHUP)
            done.append("cleaned up")

    with raised_as_interrupts(), pytest.raises(Interrupted) as interrupt:
        work()
    assert done == ["cleaned up"]
    assert exit_status(interrupt.value) == 143


@pytest.mark.parametrize("number", STATUS)
def test_a_signal_that_meets_a_callback_whose_exceptions_are_only_printed_is_not_lost(number, capsys):
    class Callback:
        def __del__(self):
            signal.raise_signal(number)

    def work():
        Callback()
        while True:
            time.sleep(0.01)

    with raised_as_interrupts(), pytest.raises(Interrupted) as interrupt:
        work()
    assert interrupt.value.number == number
    assert capsys.readouterr().err == ""


def test_other_exceptions_of_callbacks_are_reported_as_usual(monkeypatch):
    class Callback:
        def __del__(self):
            raise ValueError("not ours")

    reported = []
    monkeypatch.setattr(sys, "unraisablehook", lambda lost: reported.append(str(lost.exc_value)))
    with raised_as_interrupts():
        Callback()
    assert reported == ["not ours"]


def test_the_handlers_of_before_are_back_afterwards():
    before = [signal.getsignal(number) for number in STATUS]
    with raised_as_interrupts():
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert [signal.getsignal(number) for number in STATUS] == before


def test_what_the_user_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with raised_as_interrupts():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_workers_of_a_killed_command_end_with_it(number, tmp_path):
    (tmp_path / "pool.py").write_text(POOL)
    process = start(tmp_path / "pool.py")
    workers = {int(process.stdout.readline()) for _ in range(2)}
    assert all(map(is_alive, workers))
    process.send_signal(number)
    process.communicate()
    while any(map(is_alive, workers)):  # a hang is ended by pytest's time limit, not by how busy the machine is
        time.sleep(0.05)


def test_a_worker_whose_parent_was_gone_before_it_could_look_ends_too():
    nobody = subprocess.Popen([sys.executable, "-c", ""])
    nobody.wait()
    process = start("-c", ORPHAN.format(parent=nobody.pid))
    process.communicate()
    assert process.returncode == 1


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:  # no /proc, or gone meanwhile
        return not Path("/proc").is_dir()
    return state != "Z"  # a zombie has ended; its new parent may not have looked yet
