"""Files become visible whole or not at all, and one living process makes them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from spoofcache.common.files import Claim, _host, atomic_path, clear_claims, exclusive, new_folder, remove_leftovers

ROOT = Path(__file__).resolve().parents[2]
HOLD_A_CLAIM = """
import sys
from pathlib import Path
from spoofcache.common.files import Claim
claim = Claim.take(Path(sys.argv[1]))
claim.temporary.write_text("half-made by the other process")
print("held", flush=True)
sys.stdin.read()
"""
HOLD_A_FOLDER = """
import sys
from pathlib import Path
from spoofcache.common.files import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def other_process():
    """`other_process(program, path)`: a process that says that it holds the path; killed at the end."""
    started = []

    def start(program, path):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,  # it holds the path for as long as this stays open
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        kill(process)
        process.communicate()


def take(path):
    """A claim that must be given."""
    claim = Claim.take(path)
    assert claim is not None
    return claim


def write_half(path):
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()


class TestAtomicPath:
    def test_the_file_appears_when_the_block_ends(self, tmp_path):
        with atomic_path(tmp_path / "a") as temporary:
            temporary.write_text("whole")
            assert not (tmp_path / "a").exists()
        assert files(tmp_path) == ["a"]
        assert (tmp_path / "a").read_text() == "whole"

    def test_an_exception_leaves_nothing(self, tmp_path):
        with pytest.raises(ZeroDivisionError):
            write_half(tmp_path / "a")
        assert files(tmp_path) == []

    def test_an_exception_leaves_the_old_file(self, tmp_path):
        (tmp_path / "a").write_text("old")
        with pytest.raises(ZeroDivisionError):
            write_half(tmp_path / "a")
        assert files(tmp_path) == ["a"]
        assert (tmp_path / "a").read_text() == "old"

    def test_success_replaces_the_old_file(self, tmp_path):
        (tmp_path / "a").write_text("old")
        with atomic_path(tmp_path / "a") as temporary:
            temporary.write_text("new")
        assert (tmp_path / "a").read_text() == "new"

    def test_two_writers_use_different_temporary_files(self, tmp_path):
        with atomic_path(tmp_path / "a") as first, atomic_path(tmp_path / "a") as second:
            assert first != second
            first.write_text("first")
            second.write_text("second")
        assert files(tmp_path) == ["a"]
        assert (tmp_path / "a").read_text() == "first"  # the outer block ends last


class TestClaim:
    def test_commit_makes_the_file_and_frees_the_claim(self, tmp_path):
        claim = take(tmp_path / "a")
        claim.temporary.write_text("whole")
        claim.commit()
        claim.abandon()  # does nothing any more
        assert files(tmp_path) == ["a"]
        assert Claim.take(tmp_path / "a") is not None

    def test_abandon_leaves_nothing_and_frees_the_claim(self, tmp_path):
        claim = take(tmp_path / "a")
        claim.temporary.write_text("half")
        claim.abandon()
        assert files(tmp_path) == []
        assert Claim.take(tmp_path / "a") is not None

    def test_a_second_claim_is_not_given(self, tmp_path):
        claim = take(tmp_path / "a")
        assert Claim.take(tmp_path / "a") is None
        assert Claim.take(tmp_path / "b") is not None
        claim.abandon()

    def test_while_another_process_lives_it_keeps_its_claim(self, tmp_path, other_process):
        other_process(HOLD_A_CLAIM, tmp_path / "a")
        assert Claim.take(tmp_path / "a") is None
        assert not (tmp_path / "a").exists()

    def test_what_a_killed_process_left_is_taken_over(self, tmp_path, other_process):
        kill(other_process(HOLD_A_CLAIM, tmp_path / "a"))
        assert ".a.lock" in files(tmp_path)
        claim = take(tmp_path / "a")
        assert claim.temporary.name in files(tmp_path)
        claim.temporary.write_text("whole")
        claim.commit()
        assert files(tmp_path) == ["a"]
        assert (tmp_path / "a").read_text() == "whole"

    def test_a_claim_whose_file_was_just_made_by_another_is_not_given(self, tmp_path, monkeypatch):
        """The other process commits between our opening of its lock file and our locking of it."""
        holder = take(tmp_path / "a")
        holder.temporary.write_text("whole")
        open_file = os.open

        def open_then_commit(*args):
            descriptor = open_file(*args)
            monkeypatch.undo()
            holder.commit()
            return descriptor

        monkeypatch.setattr(os, "open", open_then_commit)
        assert Claim.take(tmp_path / "a") is None
        assert files(tmp_path) == ["a"]

    def test_without_locks_everyone_gets_a_file_of_their_own(self, tmp_path, monkeypatch):
        def no_locks(descriptor, operation):
            raise OSError("no locks available")

        monkeypatch.setattr("spoofcache.common.files.fcntl.flock", no_locks)
        first, second = take(tmp_path / "a"), take(tmp_path / "a")
        assert first.temporary != second.temporary
        first.temporary.write_text("same")
        first.commit()
        second.temporary.write_text("same")
        second.commit()
        assert (tmp_path / "a").read_text() == "same"

    def test_killed_after_its_file_was_made_a_process_leaves_a_claim_that_is_cleared(self, tmp_path, other_process):
        kill(other_process(HOLD_A_CLAIM, tmp_path / "a"))
        (tmp_path / "a").write_text("whole")
        other_process(HOLD_A_CLAIM, tmp_path / "b")
        clear_claims(tmp_path)
        assert "a" in files(tmp_path)
        assert ".a.lock" not in files(tmp_path)
        assert ".b.lock" in files(tmp_path)  # its holder lives


class TestExclusive:
    def test_what_a_killed_holder_left_half_written_is_removed(self, tmp_path):
        (tmp_path / ".last.ckpt.0a1b2c3d.part").write_text("half")
        (tmp_path / "last.ckpt").write_text("whole")
        with exclusive(tmp_path):
            assert files(tmp_path) == ["last.ckpt"]

    def test_without_locks_everyone_is_let_in(self, tmp_path, monkeypatch):
        def no_locks(descriptor, operation):
            raise OSError("no locks available")

        monkeypatch.setattr("spoofcache.common.files.fcntl.flock", no_locks)
        with exclusive(tmp_path), exclusive(tmp_path):
            pass

    def test_while_another_process_holds_the_folder_it_is_refused(self, tmp_path, other_process):
        process = other_process(HOLD_A_FOLDER, tmp_path)
        with pytest.raises(BlockingIOError), exclusive(tmp_path):
            pass
        kill(process)
        with exclusive(tmp_path):
            pass

    def test_it_is_free_again_after_the_block(self, tmp_path):
        for _ in range(2):
            with exclusive(tmp_path):
                pass


def ended_process():
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        return process.pid


class TestLeftovers:
    """Temporary files of processes that were killed go with the next one that writes the same name."""

    def test_a_dead_process_s_file_is_removed_when_the_name_is_written_again(self, tmp_path):
        left = tmp_path / f".scores.txt.{_host()}.{ended_process()}.0a1b2c3d.part"
        left.write_text("half")
        with atomic_path(tmp_path / "scores.txt") as temporary:
            temporary.write_text("whole")
        assert [path.name for path in tmp_path.iterdir()] == ["scores.txt"]

    def test_a_dead_process_s_folder_is_removed_too(self, tmp_path):
        left = tmp_path / f".corpus.{_host()}.{ended_process()}.0a1b2c3d.part"
        (left / "flac").mkdir(parents=True)
        with new_folder(tmp_path / "corpus"):
            pass
        assert [path.name for path in tmp_path.iterdir()] == ["corpus"]

    def test_a_living_process_s_file_stays(self, tmp_path):
        with atomic_path(tmp_path / "scores.txt") as first:
            first.write_text("one")
            with atomic_path(tmp_path / "scores.txt") as second:
                second.write_text("two")
            assert first.exists()
        assert (tmp_path / "scores.txt").read_text() == "one"

    def test_another_machine_s_file_stays_for_a_day(self, tmp_path):
        left = tmp_path / ".scores.txt.another-machine.1.0a1b2c3d.part"
        left.write_text("half")
        remove_leftovers(tmp_path)
        assert left.exists()
        os.utime(left, (0, 0))
        remove_leftovers(tmp_path)
        assert not left.exists()

    def test_a_link_under_a_temporary_name_is_removed_and_what_it_leads_to_stays(self, tmp_path):
        (tmp_path / "foreign").write_text("mine")
        (tmp_path / ".scores.txt.a.1.b.part").symlink_to(tmp_path / "foreign")
        remove_leftovers(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["foreign"]


def test_a_link_in_the_place_of_a_claimed_temporary_file_is_never_followed(tmp_path):
    (tmp_path / "foreign").write_text("mine")
    claim = Claim.take(tmp_path / "shard-00000.h5")
    claim.temporary.symlink_to(tmp_path / "foreign")
    writer = open_shard(claim)
    writer.abandon()
    assert (tmp_path / "foreign").read_text() == "mine"


def open_shard(claim):
    from spoofcache.features.store import ShardWriter
    from tests.features.test_store import plan_of

    return ShardWriter(claim, plan_of(), 0)
