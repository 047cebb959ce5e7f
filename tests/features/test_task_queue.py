"""Tasks that workers elsewhere run: each ends as finished or as failed, whatever becomes of the workers."""

from spoofcache.features.task_queue import MOST_CRASHES, MOST_FAILURES, TaskQueue


def test_every_task_is_taken_once_in_order():
    queue = TaskQueue(range(3))
    assert [queue.take() for _ in range(4)] == [0, 1, 2, None]
    assert queue.n_left == 3
    for number in range(3):
        queue.finish(number)
    assert queue.n_left == 0
    assert queue.failed == {}


def test_a_task_that_fails_is_tried_again_after_the_others_and_given_up_at_last():
    queue = TaskQueue(range(2))
    taken = []
    while (number := queue.take()) is not None:
        taken.append(number)
        if number == 0:
            queue.fail(0, f"reason {len(taken)}")
        else:
            queue.finish(number)
    assert taken == [0, 1] + [0] * (MOST_FAILURES - 1)
    assert queue.failed == {0: f"reason {len(taken)}"}
    assert queue.n_left == 0


def test_a_task_is_tried_without_limit_while_its_machines_are_lost():
    queue = TaskQueue([7])
    for number in range(100):
        assert queue.take() == 7
        queue.lose(7, f"node {number}", nodes={"another"})
    assert queue.take() == 7
    assert queue.failed == {}


def test_a_machine_whose_loss_is_noticed_later_is_not_counted_in_the_end():
    queue = TaskQueue([7])
    for number in range(20):
        queue.take()
        queue.lose(7, f"node {number}", nodes={f"node {number}"})
    assert queue.n_left == 1


def test_a_task_of_which_processes_die_on_machines_that_remain_is_given_up():
    queue = TaskQueue([7])
    for _ in range(MOST_CRASHES):
        assert queue.take() == 7
        queue.lose(7, "node", nodes={"node"})
    assert queue.take() is None
    assert "5 workers died of it on machines that are still there" in queue.failed[7]
