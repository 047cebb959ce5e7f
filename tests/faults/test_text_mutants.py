"""A few hundred damaged text files in every run of the tests; `make faults` tries ten thousand."""

from tests.faults.text_mutants import KINDS, run, whole


def test_the_undamaged_files_are_read(tmp_path):
    assert whole(tmp_path) == dict.fromkeys((kind.name for kind in KINDS), "read")


def test_no_damaged_text_file_ends_in_a_trace_or_hangs(tmp_path):
    outcome = run(450, 7, tmp_path)
    assert sum(outcome.values()) == 450
    assert {verdict for _, verdict in outcome} == {"refused", "read"}
    assert {kind for kind, verdict in outcome if verdict == "refused"} == {kind.name for kind in KINDS}
