"""A few commands that are told to end, or killed; `make faults` tries them all at hundreds of moments."""

import signal
import time
from pathlib import Path

import pytest

from tests.faults.endings import Stand, at_fraction

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")


@pytest.fixture(scope="module")
def stand(tmp_path_factory):
    return Stand(tmp_path_factory.mktemp("stand"))


def when_there_is(pattern):
    """The moment when a file of that name appears, or a bound on it: a case that has ended then is interrupted late."""

    def wait(place, seconds):
        deadline = time.monotonic() + 20 * seconds
        while not list(place.glob(pattern)) and time.monotonic() < deadline:
            time.sleep(0.005)

    return wait


@pytest.mark.parametrize(
    ("name", "number", "moment"),
    [
        ("preprocess", signal.SIGTERM, when_there_is("out/*/*/train")),
        ("main_train", signal.SIGHUP, when_there_is("out/metrics.jsonl")),
        ("preprocess_shared", signal.SIGUSR1, when_there_is("out/*/*/train/shard-*")),
        ("generate_score", signal.SIGUSR1, at_fraction(0.7)),
        ("detect", signal.SIGKILL, at_fraction(0.5)),
    ],
)
def test_an_interrupted_command_leaves_nothing_and_ends_well_when_it_is_run_again(stand, name, number, moment):
    ending = stand.interrupt(name, number, moment, is_fresh=False)
    assert ending.faults == []
    assert ending.how in ("under way", "killed", "finished")
