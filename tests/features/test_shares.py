"""Shares of tasks: disjoint, complete and balanced, whoever counts them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoofcache.features.shares import (
    Listed,
    Share,
    ShareError,
    array_expression,
    parse_tasks,
    read_array_expression,
    slurm_share,
)


def array(numbers, number, **more):
    """The variables that Slurm sets in one task of an array of these numbers."""
    variables = {"ID": number, "COUNT": len(numbers), "MIN": min(numbers), "MAX": max(numbers)} | more
    return {f"SLURM_ARRAY_TASK_{name}": str(value) for name, value in variables.items()}


@given(st.integers(0, 400), st.integers(1, 450))
def test_shares_are_disjoint_complete_and_balanced(n_tasks, count):
    shares = [list(parse_tasks(f"{index}/{count}", {}).of(n_tasks)) for index in range(count)]
    assert sorted(number for share in shares for number in share) == list(range(n_tasks))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


@given(st.integers(0, 300), st.integers(1, 40), st.integers(0, 50), st.integers(1, 9))
def test_an_array_of_slurm_shares_all_tasks_wherever_it_begins_and_whatever_its_step(n_tasks, count, first, step):
    numbers = range(first, first + step * count, step)
    shares = [slurm_share(array(numbers, number, STEP=step)) for number in numbers]
    assert shares == [Share(index, count) for index in range(count)]
    assert sorted(number for share in shares for number in share.of(n_tasks)) == list(range(n_tasks))


@given(st.sets(st.integers(0, 200), min_size=1), st.integers(201, 300))
def test_an_array_of_missing_tasks_does_each_of_them_once_with_or_without_holes(missing, n_tasks):
    """The rule of arrays with holes and that of arrays without lead to the same for what `--status` prints."""
    numbers = read_array_expression(array_expression(missing))
    done = [sorted(set(slurm_share(array(numbers, number)).of(n_tasks)) & missing) for number in numbers]
    assert sorted(done) == [[number] for number in sorted(missing)]


@given(st.integers(1, 6), st.integers(1, 5), st.integers(0, 60))
def test_processes_of_srun_share_what_their_array_task_does(count, n_processes, n_tasks):
    done = []
    for number in range(count):
        for process in range(n_processes):
            step = {"SLURM_PROCID": str(process), "SLURM_STEP_NUM_TASKS": str(n_processes)}
            done += slurm_share(array(range(count), number) | step).of(n_tasks)
    assert sorted(done) == list(range(n_tasks))


def test_processes_of_srun_without_an_array_share_all_tasks():
    shares = [slurm_share({"SLURM_PROCID": str(process), "SLURM_NTASKS": "3"}) for process in range(3)]
    assert shares == [Share(0, 3), Share(1, 3), Share(2, 3)]


def test_in_an_array_with_holes_the_array_task_is_the_task():
    assert slurm_share(array([0, 3, 4, 5], 4)) == Listed((4,))
    assert slurm_share(array([0, 3, 4, 5], 4) | {"SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}).of(6) == ()


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({}, "SLURM_PROCID is not set; expected a job of Slurm, with SLURM_ARRAY_TASK_ID"),
        ({"SLURM_PROCID": "0"}, "SLURM_NTASKS is not set"),
        ({"SLURM_ARRAY_TASK_ID": "2"}, "SLURM_ARRAY_TASK_COUNT is not set"),
        ({"SLURM_PROCID": "one", "SLURM_NTASKS": "2"}, "SLURM_PROCID is 'one'"),
        ({"SLURM_PROCID": "2", "SLURM_NTASKS": "2"}, "--tasks 2/2: expected a share from 0 to 1"),
        (
            {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "7"},
            "SLURM_ARRAY_TASK_ID is 7 in an array of 7 from 0",
        ),
    ],
)
def test_variables_that_are_missing_or_contradict_each_other_are_refused(variables, sentence):
    with pytest.raises(ShareError, match=sentence):
        parse_tasks("slurm", variables)


@given(st.sets(st.integers(0, 500)))
def test_an_array_expression_is_read_back(numbers):
    expression = array_expression(numbers)
    assert (read_array_expression(expression) if expression else ()) == tuple(sorted(numbers))


def test_task_numbers_may_be_listed():
    assert parse_tasks("0,3-5", {}).of(6) == (0, 3, 4, 5)
    with pytest.raises(ShareError, match="there is no task 5; expected numbers from 0 to 4"):
        parse_tasks("0,3-5", {}).of(5)


@pytest.mark.parametrize("text", ["", "all", "1/", "1/2/3", "5-3", "3,", "-1", "1-9:0", "7/7", "0/0", "0-99999999999"])
def test_anything_else_is_refused(text):
    with pytest.raises(ShareError, match=r"^--tasks .*expected"):
        parse_tasks(text, {})
