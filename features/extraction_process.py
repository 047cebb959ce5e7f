"""One of the processes that `several_processes` starts: it extracts with its front-end on its device, and reports."""

from spoofcache.common.signals import exit_status, raised_as_interrupts

import os
import pickle
import signal
import sys
import threading
from contextlib import nullcontext

import torch

from spoofcache.common.cli import explanation
from spoofcache.common.files import without_locks
from spoofcache.common.machine import keep_freed_memory
from spoofcache.features.extract import Extracted
from spoofcache.features.extracting import Console, Share, extract
from spoofcache.features.joint_results import as_message
from spoofcache.features.request import Job
from spoofcache.features.several_processes import Order, Tell, teller
from spoofcache.features.tasks import unwatched


def main() -> int:
    """Do what standard input orders; returns the exit status. When standard input ends, the parent has, too."""
    order: Order = pickle.load(sys.stdin.buffer)
    tell = teller()
    try:
        with raised_as_interrupts():
            threading.Thread(target=_end_with_standard_input, daemon=True).start()
            _work(order, tell)
    except KeyboardInterrupt as interrupt:
        return exit_status(interrupt)
    except Exception as error:
        sentence = explanation(error)
        if sentence is None:
            raise
        tell({"error": sentence})
        return 2
    return 0


def _work(order: Order, tell: Tell) -> None:
    keep_freed_memory()
    torch.set_num_threads(order.threads)
    with nullcontext() if order.uses_locks else without_locks():
        extract(order.options, order.device, order.sharing, _console(tell))


def _console(tell: Tell) -> Console:
    def begin(share: Share) -> None:
        folder, numbers = str(share.folder.absolute()), list(share.numbers)
        tell({"begin": {"plan": share.plan.to_json(), "folder": folder, "numbers": numbers}})

    def finished(job: Job, done: Extracted) -> None:
        tell({"finished": as_message(job, done)})

    return Console(lambda sentence: tell({"say": sentence}), begin, unwatched, finished)


def _end_with_standard_input() -> None:
    """Interrupt this process when its parent was killed."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # an ordinary end would wait for the thread that reads standard input
