"""Write files so that they appear completely or not at all, and are made by one process at a time.

Everything is written to a temporary name in the same folder, flushed to the disk, and renamed last, so a crash
leaves either the old state or the new one.
"""

import fcntl
import glob
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

ABANDONED_AFTER = 24 * 3600.0
"""Seconds after which the process that wrote a temporary file on another machine is assumed to have ended."""


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to. It is renamed to `path` when the block ends, or removed after an exception.

    Temporary files that killed processes left for the same path are removed first.
    """
    remove_leftovers(path.parent, path.name)
    temporary = _temporary(path)
    try:
        with _created_and_locked(temporary):
            yield temporary
            _publish(temporary, path)
    except OSError as error:
        if error.filename is None:  # the error of a full disk does not name the file
            raise type(error)(error.errno, error.strerror, str(path)) from error
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder. It is renamed to `folder` when the block ends, or removed after an exception.

    Temporary folders that killed processes left for the same path are removed first.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder.parent, folder.name)
    temporary = _temporary(folder)
    temporary.mkdir()
    try:
        with _locked(os.open(temporary, os.O_RDONLY)):
            yield temporary
            temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Remove the temporary files and folders for `name` (a pattern) that ended processes left in a folder.

    Their names contain the machine and the process that writes them, and that process holds a lock on them. Those of
    other machines are kept for a day, since their locks may not be visible here.
    """
    for leftover in folder.glob(f".{name}.*.part"):
        if _is_dead(leftover):
            if leftover.is_dir() and not leftover.is_symlink():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    """An unpredictable name for a temporary file, which contains machine, process and the time of its creation."""
    token = f"{int(time.time()):08x}{secrets.token_hex(4)}"
    return path.with_name(f".{path.name}.{_host()}.{os.getpid()}.{token}.part")


def _host() -> str:
    """This machine's name, without dots."""
    return socket.gethostname().replace(".", "-")


def _is_dead(temporary: Path) -> bool:
    """Whether the process that wrote a temporary file has ended, as far as this machine can tell."""
    try:
        descriptor = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:  # it is gone, is a link, or cannot be read
        return temporary.is_symlink()
    with _locked(descriptor) as lock:
        if lock is False:
            return False
    *_, host, process, _, _ = ["", "", "", *temporary.name.split(".")]
    if host == _host() and process.isdecimal():
        return not _is_running(int(process))
    return time.time() - temporary.stat(follow_symlinks=False).st_mtime > ABANDONED_AFTER


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # a process of another user
        return True
    return True


@contextmanager
def _created_and_locked(temporary: Path) -> Iterator[None]:
    """Create a temporary file, never through a link, and hold a lock on it while the block runs."""
    with _locked(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)):
        yield


@contextmanager
def _locked(descriptor: int) -> Iterator[bool | None]:
    """Lock an open file, and close it when the block ends.

    Yields True, False if another process holds the lock, or None where the file system has no locks.
    """
    try:
        try:
            lock: bool | None = _lock(descriptor) or None
        except BlockingIOError:
            lock = False
        yield lock
    finally:
        os.close(descriptor)


def _publish(temporary: Path, path: Path) -> None:
    _fsync(temporary)
    os.replace(temporary, path)
    _fsync(path.parent)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Lock a folder for this process while the block runs.

    Incomplete files of a killed process that had locked it are removed. On a file system without locks, any number of
    processes may enter.

    Raises:
        BlockingIOError: another process has locked the folder.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if _lock(descriptor):
            for leftover in folder.glob(".*.part"):  # from any process, since no other one may write here now
                leftover.unlink()
        yield
    finally:
        os.close(descriptor)


def free_bytes(folder: Path) -> int:
    """Free space on the disk of a folder, which need not exist yet."""
    existing = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    return shutil.disk_usage(existing).free


@contextmanager
def occupied(folder: Path, alone: bool) -> Iterator[None]:
    """Lock a folder while the block runs: exclusively (`alone`), or shared with other processes.

    On a file system without locks, any number of processes may enter.

    Raises:
        BlockingIOError: another process has locked the folder, and one of the two locks is exclusive.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


_uses_locks = True


@contextmanager
def without_locks() -> Iterator[None]:
    """While the block runs, lock nothing in this process, for file systems whose locks hang or do not exist.

    Work is then divided by other means, or done twice with the same result.
    """
    global _uses_locks
    _uses_locks = False
    try:
        yield
    finally:
        _uses_locks = True


class Maker(NamedTuple):
    """Who makes a file: the name of the machine, and since when, in seconds since 1970."""

    machine: str
    since: float


_PART = re.compile(r"\.(?P<name>.+)\.(?P<machine>[^.]*)\.\d+\.(?P<since>[0-9a-f]{8})[0-9a-f]{8}\.part")


def makers(folder: Path) -> Mapping[str, Maker]:
    """The files of a folder that live processes make at present, by their names, as far as that can be known.

    A claim is seen by its lock; without locks, by a temporary file whose process lives or is on another machine.
    """
    found: dict[str, Maker] = {}
    for part in folder.glob(".*.part"):
        named = _PART.fullmatch(part.name)
        if named and not _is_dead(part):
            found[named["name"]] = Maker(named["machine"], int(named["since"], 16))
    for lock in folder.glob(".*.lock"):
        name = lock.name.removeprefix(".").removesuffix(".lock")
        since = _locked_since(lock)
        if since is not None:
            parts = [each.name for each in folder.glob(f".{glob.escape(name)}.*.part")]
            machines = [part.removeprefix(f".{name}.").removesuffix(".part") for part in parts]
            found[name] = Maker(machines[0] if machines else "a machine that has not begun to write", since)
    return found


def _locked_since(lock: Path) -> float | None:
    """The time at which another process took a lock that it still holds; None if no process holds it."""
    try:
        descriptor = os.open(lock, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        _lock(descriptor, fcntl.LOCK_SH)
    except BlockingIOError:
        return os.fstat(descriptor).st_mtime
    finally:
        os.close(descriptor)
    return None


class Claim:
    """The right to make `path`, which one live process holds. `Claim.take` acquires it.

    A lock file beside `path` is locked (flock) while its holder lives. Thus a second process does not make the same
    file, and the claim of a killed process is taken over. Locks may be visible on one machine only, or may not exist at
    all, so the names of temporary files contain the machine, and without locks also the process. Work may then be done
    twice, with the same result.
    """

    def __init__(self, path: Path, temporary: Path, lock: Path | None, descriptor: int | None) -> None:
        self.path = path
        self.temporary = temporary
        self._lock = lock
        self._descriptor = descriptor
        self._is_open = True

    @classmethod
    def take(cls, path: Path) -> "Claim | None":
        """Acquire the claim on `path`; returns None while another process holds it."""
        if not _uses_locks:
            return cls(path, _temporary(path), None, None)
        lock = path.with_name(f".{path.name}.lock")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            has_locks = _lock(descriptor)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if not has_locks:
            os.close(descriptor)
            lock.unlink(missing_ok=True)
            return cls(path, _temporary(path), None, None)
        if not _is_same_file(descriptor, lock):  # its holder has removed it since we opened it
            os.close(descriptor)
            return None
        with suppress(OSError):
            os.utime(descriptor)  # the lock file of a killed process is older than our claim
        return cls(path, path.with_name(f".{path.name}.{socket.gethostname()}.part"), lock, descriptor)

    def commit(self) -> None:
        """Rename the temporary file to `path`, and release the claim."""
        _publish(self.temporary, self.path)
        self._release()

    def abandon(self) -> None:
        """Remove the temporary file, and release the claim. Does nothing after `commit`."""
        if self._is_open:
            self.temporary.unlink(missing_ok=True)
            self._release()

    def _release(self) -> None:
        self._is_open = False
        if self._lock is not None and self._descriptor is not None:
            self._lock.unlink(missing_ok=True)  # before it is released, so that a waiting process sees that it is gone
            os.close(self._descriptor)


def clear_claims(folder: Path) -> None:
    """Remove the claims of killed processes in a folder whose files are complete; claims of live processes are kept."""
    for lock in folder.glob(".*.lock"):
        claim = Claim.take(folder / lock.name.removeprefix(".").removesuffix(".lock"))
        if claim is not None:
            claim.abandon()


def _lock(descriptor: int, kind: int = fcntl.LOCK_EX) -> bool:
    """Lock a file for this process alone, or share the lock; returns False if the file system has no locks.

    Raises:
        BlockingIOError: another process holds it.
    """
    if not _uses_locks:
        return False
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return False
    return True


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
