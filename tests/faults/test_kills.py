"""A kill of each command in every run of the tests; `make faults` kills them hundreds of times."""

import random

import pytest

from tests.faults.kills import COUNTS, FAULTS, Killer


@pytest.fixture(scope="module")
def killer(tmp_path_factory):
    return Killer(tmp_path_factory.mktemp("kills"))


@pytest.mark.parametrize("name", COUNTS)
def test_a_killed_command_is_finished_by_the_same_command(killer, name):
    outcome = killer.run(name, 1, random.Random(1))
    assert sum(outcome.values()) == 1
    assert outcome.keys() & set(FAULTS) == set()
