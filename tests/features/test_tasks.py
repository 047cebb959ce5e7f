"""The tasks of an extraction: one plan for all workers, any split of its numbers, and how far it is."""

import json
import os
import threading
from dataclasses import replace
from itertools import pairwise

import pytest

from spoofcache.common.files import Claim, without_locks
from spoofcache.features.augment.view import View
from spoofcache.features.extract import make_identity, prepare_partition
from spoofcache.features.plan import Plan, StoreError
from spoofcache.features.request import Job
from spoofcache.features.shares import Share
from spoofcache.features.task_plan import PlanMismatch, TaskPlan, agree, find_plans, read_plan
from spoofcache.features.task_status import status_of
from spoofcache.features.tasks import run_tasks
from tests.features.frames import OPTIONS, Frames, plan_for
from tests.features.shards import changed

VIEW = View("gain", 0, 1)


@pytest.fixture
def job(corpus, tmp_path):
    """`job("train", 10)`: a partition of shards of four utterances, whose cache is below `out`."""
    trials = corpus(22)

    def make(partition, n, options=OPTIONS, out="cache"):
        plan = replace(plan_for(trials[:n], Frames(), options), partition=partition)
        folder = tmp_path / out / "test" / plan.identity.folder_name("frames") / partition
        return Job(trials[:n], plan, folder, options)

    return make


@pytest.fixture
def jobs(job):
    """Three partitions of 6, 6 and 3 tasks, the second of them a view."""

    def make(out="cache"):
        view = job("train", 22, replace(OPTIONS, view=VIEW), out)
        return [job("train", 22, out=out), view, job("dev", 10, out=out)]

    return make


def run(jobs, numbers):
    """Run these tasks; the number of shards that were written."""
    return sum(done.made for _, done in run_tasks(jobs, Frames(), numbers))


def plan_of(jobs):
    return TaskPlan.of_jobs(jobs, "frames")


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestPlan:
    def test_tasks_are_numbered_through_all_partitions_and_views(self, jobs):
        plan = plan_of(jobs())
        assert plan.n_tasks == 15
        assert [plan.task(number) for number in (0, 5, 6, 11, 12, 14)] == [
            (0, 0),
            (0, 5),
            (1, 0),
            (1, 5),
            (2, 0),
            (2, 2),
        ]
        assert [each.plan.title for each in plan.partitions] == ["train", "train, gain view 1", "dev"]
        with pytest.raises(IndexError):
            plan.task(15)

    def test_whoever_writes_it_writes_the_same_bytes_and_reads_the_same_plan(self, jobs, tmp_path):
        first = agree(tmp_path / "a", plan_of(jobs()))
        second = agree(tmp_path / "b", plan_of(jobs("elsewhere")))
        assert first.name == second.name == "plan-frames.json"
        assert first.read_bytes() == second.read_bytes()
        assert read_plan(first) == plan_of(jobs())
        assert find_plans(tmp_path) == [first, second]

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            (
                lambda plan: replace(plan, settings=plan.settings | {"compression": "lzf"}),
                "settings.compression is None",
            ),
            (lambda plan: of_first(plan, trial_list_sha256="0" * 64), "train: trial_list_sha256 is "),
            (lambda plan: of_first(plan, shard_size=5), "train: shard_size is 4 there and 5 here"),
            (lambda plan: of_first(plan, read_by={"a:B": "sha256:0"}), "train: read_by.a:B is None there"),
            (lambda plan: replace(plan, partitions=plan.partitions[:2]), r"partitions is \['train', 'train, gain"),
        ],
    )
    def test_workers_refuse_a_plan_that_is_not_theirs_and_name_the_field(self, jobs, tmp_path, change, field):
        path = agree(tmp_path, plan_of(jobs()))
        before = path.read_bytes()
        with pytest.raises(PlanMismatch, match=rf"plan-frames\.json: the plan of another extraction: .*{field}"):
            agree(tmp_path, change(plan_of(jobs())))
        assert path.read_bytes() == before

    def test_a_field_of_the_identity_is_named_with_its_partition(self, job, tmp_path):
        agree(tmp_path, plan_of([job("train", 10)]))
        other = job("train", 10, replace(OPTIONS, fit="zero"))
        with pytest.raises(PlanMismatch, match=r"train: identity\.fit is 'repeat' there and 'zero' here"):
            agree(tmp_path, plan_of([other]))

    def test_a_plan_that_is_complete_makes_room_for_another_one(self, job, tmp_path):
        folder, first, second = tmp_path / "cache/test", [job("train", 10)], [job("dev", 5)]
        agree(folder, plan_of(first))
        run(first, range(2))
        with pytest.raises(PlanMismatch):
            agree(folder, plan_of(second))
        run(first, [2])
        assert read_plan(agree(folder, plan_of(second))) == plan_of(second)

    @pytest.mark.parametrize("text", ["", "[]", "{}", '{"plan_version": 2}', '{"plan_version": 1, "corpus": 1}'])
    def test_a_file_that_is_no_plan_is_refused_by_name(self, jobs, tmp_path, text):
        path = tmp_path / "plan-frames.json"
        path.write_text(text)
        with pytest.raises(StoreError, match=r"plan-frames\.json: not a plan of SpoofCache"):
            agree(tmp_path, plan_of(jobs()))


def of_first(plan, **fields):
    """A plan whose first partition has other fields."""
    first, *others = plan.partitions
    return replace(plan, partitions=[first._replace(plan=replace(first.plan, **fields)), *others])


class TestRun:
    @pytest.mark.parametrize("count", [1, 2, 4, 15, 20])
    def test_any_number_of_shares_ends_with_the_cache_of_one_worker(self, jobs, tmp_path, count):
        assert run(jobs("whole"), range(15)) == 15
        with without_locks():
            made = [run(jobs(), Share(index, count).of(15)) for index in range(count)]
        assert sum(made) == 15
        assert max(made) - min(made) <= 1
        assert contents(tmp_path / "cache") == contents(tmp_path / "whole")

    def test_only_the_last_process_marks_the_partition_as_complete(self, job):
        one = job("train", 22)
        for shards in pairwise((0, 2, 5)):
            done = [done for _, done in run_tasks([one], Frames(), range(*shards))]
            assert (done[0].made, done[0].missing) == (shards[1] - shards[0], 6 - shards[1])
            assert not (one.folder / "manifest.json").exists()
        assert [done.missing for _, done in run_tasks([one], Frames(), [5])] == [0]
        assert (one.folder / "manifest.json").exists()

    def test_two_that_finish_at_once_leave_the_same_bytes(self, job, tmp_path):
        one, whole = job("train", 22), job("train", 22, out="whole")
        run([whole], range(6))
        together = threading.Barrier(2)

        class Late(Frames):
            def extract(self, waveforms):
                if not self.batches:
                    together.wait()
                return super().extract(waveforms)

        def work(numbers):
            list(run_tasks([one], Late(), numbers))

        threads = [threading.Thread(target=work, args=[numbers]) for numbers in ([0, 1, 2], [3, 4, 5])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert contents(tmp_path / "cache") == contents(tmp_path / "whole")

    def test_a_partition_whose_last_worker_was_killed_before_the_manifest_is_completed_by_any_of_its_tasks(self, job):
        one = job("train", 10)
        run([one], range(3))
        manifest = one.folder / "manifest.json"
        before = manifest.read_bytes()
        manifest.unlink()
        assert run([one], [1]) == 0
        assert manifest.read_bytes() == before

    def test_a_damaged_shard_of_another_worker_is_not_declared_complete(self, job):
        one = job("train", 10)
        run([one], [0, 1])
        damage(one, 1)
        with pytest.raises(StoreError, match=r"shard-00001\.h5: not a whole shard of SpoofCache"):
            run([one], [2])
        assert not (one.folder / "manifest.json").exists()
        assert status_of(plan_of([one]), one.folder.parents[1]).array == ""
        assert run([one._replace(options=replace(OPTIONS, repair=True))], [1]) == 1
        assert status_of(plan_of([one]), one.folder.parents[1]).is_complete

    def test_only_the_trial_list_is_there_after_planning(self, job, tmp_path):
        one = job("train", 10)
        prepare_partition(one.trials, one.plan, one.folder, relabel=False)
        assert [path.name for path in one.folder.iterdir()] == ["trials.tsv"]


def damage(job, shard):
    """Cut a shard short by a byte."""
    path = job.plan.shard_path(job.folder, shard)
    path.write_bytes(path.read_bytes()[:-1])


class TestStatus:
    def status(self, jobs, tmp_path):
        status = status_of(plan_of(jobs), tmp_path / "cache/test")
        fields = json.loads(json.dumps(status.to_fields()))
        assert fields["array"] == status.array
        assert fields["complete"] == status.is_complete
        return status, fields

    def test_nothing_is_there_yet(self, jobs, tmp_path):
        status, fields = self.status(jobs(), tmp_path)
        assert status.array == "0-14"
        assert [each["missing"] for each in fields["partitions"]] == [[*range(6)], [*range(6, 12)], [12, 13, 14]]

    def test_everything_is_there(self, jobs, tmp_path):
        run(jobs(), range(15))
        status, fields = self.status(jobs(), tmp_path)
        assert status.is_complete
        assert status.array == ""
        assert [each["finished"] for each in fields["partitions"]] == [6, 6, 3]
        assert str(status).count("0 missing, 0 damaged, 0 being made; complete") == 3

    def test_missing_damaged_and_unfinished_tasks_are_distinguished(self, jobs, tmp_path):
        parts = jobs()
        run(parts, [0, 1, 7, 12, 13, 14])
        damage(parts[0], 1)
        with changed(parts[2].plan.shard_path(parts[2].folder, 2)) as file:
            file.attrs["partition"] = "eval"
        claim = Claim.take(parts[1].plan.shard_path(parts[1].folder, 3))
        claim.temporary.touch()
        status, fields = self.status(parts, tmp_path)
        claim.abandon()
        assert status.array == "2-6,8,10-11"
        train, view, dev = fields["partitions"]
        assert (train["finished"], [each["task"] for each in train["damaged"]]) == (1, [1])
        assert [each["task"] for each in dev["damaged"]] == [14]
        assert "partition is eval; expected dev" in dev["damaged"][0]["reason"]
        assert [(each["task"], each["machine"]) for each in view["being_made"]] == [(9, os.uname().nodename)]
        assert view["being_made"][0]["since"].endswith("Z")
        assert "task 9: being made by" in str(status)
        assert "--tasks 1 --repair" in str(status)

    def test_without_locks_a_temporary_file_tells_who_makes_what(self, job, tmp_path):
        one = job("train", 10)
        run([one], [0])
        with without_locks():
            claim = Claim.take(one.plan.shard_path(one.folder, 2))
            claim.temporary.touch()
            status, fields = self.status([one], tmp_path)
        assert status.array == "1"
        assert [each["task"] for each in fields["partitions"][0]["being_made"]] == [2]
        claim.abandon()

    def test_what_a_killed_process_left_is_missing(self, job, tmp_path):
        one = job("train", 10)
        run([one], [0, 1])
        (one.folder / ".shard-00002.h5.lock").touch()
        (one.folder / f".shard-00002.h5.{os.uname().nodename}.part").touch()
        assert self.status([one], tmp_path)[0].array == "2"

    def test_where_only_the_manifest_is_missing_one_task_is_to_be_run_again(self, job, tmp_path):
        one = job("train", 10)
        run([one], range(3))
        (one.folder / "manifest.json").unlink()
        status, fields = self.status([one], tmp_path)
        assert (status.array, status.is_complete) == ("2", False)
        assert fields["partitions"][0]["missing"] == []
        assert "its manifest is missing (run task 2)" in str(status)


def test_a_plan_of_a_hundred_million_utterances_is_numbered_without_its_trials():
    identity = make_identity(Frames(), OPTIONS)
    plan = Plan.of_count("test", "train", identity, 10**8, (201, 1024))
    job = Job([], plan, plan_folder(), OPTIONS)
    tasks = TaskPlan.of_jobs([job], "frames")
    assert tasks.n_tasks == 195_313
    assert tasks.task(195_312) == (0, 195_312)


def plan_folder():
    from pathlib import Path

    return Path("cache/test/frames-0/train")
