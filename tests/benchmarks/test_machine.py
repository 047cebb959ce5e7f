"""What a benchmark says of its machine, on systems that say less than Linux does."""

import os

from spoofcache.benchmarks.machine import Machine


def test_a_mac_counts_cores_without_an_affinity(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert Machine.here().cores == os.cpu_count()
