"""The GPU check: its steps on a GPU (or a pretended one), and how claims are judged. No speed is asserted."""

import json
import time

import pytest
import torch
from click.testing import CliRunner

from spoofcache.benchmarks import gpu_check
from spoofcache.benchmarks.gpu_check import CLAIMS, Check, cepstra, judge, main, transfers, updates
from tests.threads import one_thread  # noqa: F401

pytestmark = pytest.mark.usefixtures("one_thread")

SIDES = {"sides": {"ours": {"utterances_per_second": 2_100.0, "ratio": 30.0}}, "said": []}
RESULTS = {
    "transfers": {"wrong_batches": 0},
    "cepstra": {"lfcc": 1e-5, "lfcc-fullband": 2e-3},
    "updates": {"float32": 1e-6, "bfloat16": 1e-2},
    "extraction": {"precisions": {"float16": SIDES}},
    "training": {
        "parts": {"training": {"ours": {"utterances_per_second": 2_499.0}}, "scoring": {"ours": {"ratio": 10.0}}}
    },
}


def test_the_numbers_of_a_gpu_are_those_of_the_cpu(gpu):
    assert transfers(gpu, small=True) == {"batches": 5, "wrong_batches": 0}
    assert max(cepstra(gpu, small=True).values()) < 1e-3
    differences = updates(gpu, small=True)
    assert differences["float32"] < 1e-3
    assert 0 < differences["bfloat16"] < 5e-2


@pytest.mark.parametrize(("gpu_name", "utterances_per_second"), [("NVIDIA H100 80GB", True), ("NVIDIA H200", False)])
def test_each_claim_is_passed_or_failed_by_name(gpu_name, utterances_per_second):
    passed = {each.name: each.passed for each in judge(RESULTS, gpu_name, with_speed=True)}
    assert passed == {
        "features come back from the device unchanged": True,
        "LFCC of the device are those of the CPU": False,
        "losses of float32 updates are those of the CPU": True,
        "losses of bfloat16 updates are near those of the CPU": True,
        "the hidden states are computed by our network": True,
        f"XLS-R-300M: utterances/s, {gpu_name[7:11]}": utterances_per_second,
        "XLS-R-300M: times the original loop": True,
        "files to shards: share of the slowest stage": False,  # not measured
        "LCNN training: utterances/s": False,
        "LCNN scoring: times the original form": True,
    }


def test_a_claim_that_is_not_a_number_is_failed():
    (first, *_) = judge({**RESULTS, "transfers": {"wrong_batches": float("nan")}}, "", with_speed=False)
    assert not first.passed


def test_a_fall_back_to_transformers_is_noticed():
    said = {**SIDES, "said": ["transformers computes the hidden states, more slowly: …"]}
    judged = judge({**RESULTS, "extraction": {"precisions": {"float16": said}}}, "", with_speed=False)
    assert [each.name for each in judged if not each.passed][-1] == "the hidden states are computed by our network"


def test_a_step_that_fails_does_not_end_the_others(monkeypatch):
    monkeypatch.setattr(gpu_check, "benchmarks", lambda device, small: {"no_such": (), "other": ()})
    monkeypatch.setattr(gpu_check, "measured", lambda name, *given: 1 / 0 if name == "no_such" else {"figure": 1})
    check = Check(torch.device("cpu"), True, 60.0)
    check.run()
    assert check.failures == {"no_such": "ZeroDivisionError: division by zero"}
    assert set(check.results) == {"transfers", "cepstra", "updates", "other"}


def test_a_benchmark_that_refuses_or_takes_too_long_is_a_failure():
    for arguments, end, reason in (
        (("--rows", "none"), time.perf_counter() + 600, "Invalid value for '--rows'"),
        ((), 0.0, "took longer"),
    ):
        with pytest.raises(RuntimeError, match=reason):
            gpu_check.measured("read_cache", arguments, end)


def test_the_command_writes_every_figure_and_fails_where_a_claim_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_check, "benchmarks", lambda device, small: {})
    done = CliRunner().invoke(main, ["--device", "cpu", "--small", "--json", str(tmp_path / "check.json")])
    assert done.exit_code == 1
    assert "FAILED  the hidden states are computed by our network: not measured, expected at most 0" in done.stdout
    written = json.loads((tmp_path / "check.json").read_text())
    judged = {claim.name for claim in CLAIMS if not claim.is_speed}
    assert {each["name"] for each in written["claims"]} == judged
    assert written["results"]["transfers"]["wrong_batches"] == 0
