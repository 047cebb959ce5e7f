"""A few hundred damaged run folders in every run of the tests; `make faults` tries ten thousand."""

from tests.faults.run_mutants import READERS, run


def test_no_damaged_run_folder_ends_in_a_trace_or_gives_other_scores(tmp_path):
    outcome = run(300, 7, tmp_path)
    assert sum(outcome.values()) == 300
    assert {verdict for _, verdict in outcome} == {"refused", "read"}
    assert {case for case, verdict in outcome if verdict == "refused"} >= READERS.keys() - {"metrics.jsonl, resumed"}
    assert outcome["model.safetensors", "read"] == 0  # every byte is under the checksum
