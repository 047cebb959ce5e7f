"""A few hundred forms of tables in every run of the tests; `make faults` tries ten thousand."""

from tests.faults.form_mutants import KINDS, run


def test_no_damaged_form_gives_another_figure_without_a_word(tmp_path):
    outcome = run(600, 7, tmp_path)
    assert sum(outcome.values()) == 600
    assert {verdict for _, verdict in outcome} == {"refused", "same"}
    for kind in KINDS:
        assert 10 < outcome[kind.name, "same"] < 110  # neither side of the question is idle
