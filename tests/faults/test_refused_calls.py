"""Some refused calls in every run of the tests; `make faults` refuses every call with every error."""

from tests.faults.refused_calls import CALLS, FAULTS, Extraction, Fault, run


def test_a_refused_call_ends_in_a_sentence_and_the_same_command_finishes(tmp_path):
    extraction = Extraction(tmp_path)
    assert set(extraction.calls) == set(CALLS)
    errors = ("ENOSPC", "EIO", "EROFS", "EDQUOT", "ENOSPC")
    faults = [Fault(call, extraction.calls[call] // 2, error) for call, error in zip(CALLS, errors, strict=True)]
    outcome = run(extraction, faults)
    assert {kind for _, kind in outcome} & set(FAULTS) == set()
    assert sum(number for (_, kind), number in outcome.items() if kind == "refused") >= 3
