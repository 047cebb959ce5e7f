"""How a file becomes visible: whole or not at all, and made by one process at a time.

Everything is written to a temporary name in the same folder, flushed to the disk, and renamed last, so a crash
leaves either the old state or the new one.
"""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path to write to; it becomes `path` when the block ends well, and goes when not."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield temporary
        _publish(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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
    """Hold a folder while the block runs; BlockingIOError when another live process holds it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


class Claim:
    """The right to make `path`, held by one live process; `Claim.take` gives it, the file system keeps it.

    The temporary file is locked (flock) while its maker lives, so a second process leaves it alone, and what a
    killed process left behind is simply taken over. Where the file system has no locks every process gets a
    temporary name of its own: work may then be done twice, with the same result.
    """

    def __init__(self, path: Path, temporary: Path, descriptor: int) -> None:
        self.path = path
        self.temporary = temporary
        self._descriptor: int | None = descriptor

    @classmethod
    def take(cls, path: Path) -> "Claim | None":
        """The claim on `path`, or None while another process holds it."""
        temporary = path.with_name(f".{path.name}.part")
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:  # no locks on this file system
            os.close(descriptor)
            temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
            return cls(path, temporary, os.open(temporary, os.O_RDWR | os.O_CREAT, 0o666))
        if not _is_still(descriptor, temporary):  # its maker has renamed or removed it since it was opened
            os.close(descriptor)
            return None
        return cls(path, temporary, descriptor)

    def commit(self) -> None:
        """Make the temporary file `path`, and let the claim go."""
        _publish(self.temporary, self.path)
        self._release()

    def abandon(self) -> None:
        """Remove the temporary file, and let the claim go. Does nothing after `commit`."""
        if self._descriptor is not None:
            self.temporary.unlink(missing_ok=True)
            self._release()

    def _release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _is_still(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    except FileNotFoundError:
        return False
