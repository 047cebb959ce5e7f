"""Settings and fixtures that the whole test tree shares."""

import gc
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest

from spoofcache.common import machine

if TYPE_CHECKING:
    import torch

os.environ.setdefault("OMP_NUM_THREADS", "1")
"""Set before anything imports torch, and inherited by child processes: tests run in several processes and their arrays
are small, so more threads would only wait for each other; and no result depends on the number of cores."""

if "ATEN_CPU_CAPABILITY" in os.environ:
    os.environ.setdefault(
        "TORCHINDUCTOR_CACHE_DIR",
        f"{tempfile.gettempdir()}/torchinductor_{os.getuid()}_{os.environ['ATEN_CPU_CAPABILITY']}",
    )
"""torch.compile's cache does not tell these kernels apart: code compiled for others gives wrong numbers with them."""

for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
"""A shell has its background jobs ignore Ctrl-C, and nohup hangups. The commands that the tests start would inherit
that, keep it, and never end."""

machine.sleep_soon()  # before any test imports torch, as common/cli.py does


def pytest_collection_finish() -> None:
    """Have the garbage collector pass over what was imported, which stays: a collection takes 0.01 s, not 0.3."""
    gc.freeze()


hypothesis.settings.register_profile(
    "suite",
    deadline=None,  # a busy machine is no failure
    derandomize=True,  # the same examples everywhere
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("suite")


@pytest.fixture
def gpu() -> Iterator["torch.device"]:
    """The device `cuda`: this machine's GPU, or else a pretended one, with which the test fails if it saw a race."""
    import torch

    from tests.pretended_gpu import pretended_gpu

    if torch.cuda.is_available():
        yield torch.device("cuda")
        return
    with pretended_gpu() as report:
        yield torch.device("cuda")
        gc.collect()  # memory that is freed while it is in use is noticed when it is freed
    assert not report.races


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of third-party data beside the checkout; skips where it is absent."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    return folder


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """`write("scores.txt", "u1 2.5\\n")`: a text file of that name; returns its path."""

    def file(name: str, content: str) -> Path:
        (tmp_path / name).write_text(content)
        return tmp_path / name

    return file
