"""What is set under torch, seen from fresh processes: the environment, and page faults of a large block."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spoofcache.common.machine import available_memory, cgroup_room

ROOT = Path(__file__).resolve().parents[2]
FAULTS = """
import ctypes, resource
from spoofcache.common import machine
machine.keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
def take():
    block = libc.malloc(ctypes.c_size_t(2**26))
    ctypes.memset(block, 1, 2**26)
    libc.free(block)
take()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
take()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def run(program, **environment):
    """What it prints, without the variables that matter here, unless given."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GOMP_", "OMP_", "GLIBC_"))}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=inherited | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.skipif("glibc" not in (os.confstr("CS_GNU_LIBC_VERSION") or ""), reason="of glibc only")
def test_a_freed_block_is_taken_again_without_page_faults():
    assert int(run(FAULTS)) < 100
    assert int(run(FAULTS, MALLOC_MMAP_THRESHOLD_="65536")) > 1000  # as the user wants it: 16,384 pages of 4 KiB


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "1000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_threads_sleep_soon_unless_the_user_says_otherwise(given, expected):
    program = "import os, sys, spoofcache.common.cli; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"
    assert run(program, **given) == f"{expected} False"


def write_files(folder, **texts):
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / f"memory.{name}").write_text(f"{text}\n")


def test_a_job_has_what_its_cgroups_leave_and_what_they_cache(tmp_path):
    write_files(tmp_path / "jobs", max=1_000, current=300)
    write_files(tmp_path / "jobs/7", max=500, current=290, stat="anon 90\ninactive_file 120\nactive_file 80")
    write_files(tmp_path / "jobs/7/step", max="max", current=290)  # no limit of its own
    assert list(cgroup_room("0::/jobs/7/step\n", tmp_path)) == [410, 700]


def test_the_first_version_of_cgroups_has_other_names(tmp_path):
    write_files(tmp_path / "memory/jobs", limit_in_bytes=1_000, usage_in_bytes=1_200)
    assert list(cgroup_room("4:memory:/jobs\n3:cpuset:/jobs\n0::/", tmp_path)) == [0]


def test_without_cgroups_nothing_is_limited(tmp_path):
    assert not list(cgroup_room("", tmp_path))
    assert not list(cgroup_room("0::/elsewhere", tmp_path))


def test_a_mac_has_no_count_of_free_pages_and_half_of_its_memory_is_taken_for_free(monkeypatch):
    def no_such_file(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", no_such_file)
    monkeypatch.delitem(os.sysconf_names, "SC_AVPHYS_PAGES", raising=False)
    assert available_memory() == os.sysconf("SC_PAGE_SIZE") * (os.sysconf("SC_PHYS_PAGES") // 2)
