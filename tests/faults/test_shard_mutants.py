"""A hundred damaged shards in every run of the tests; `make faults` tries five thousand."""

from tests.faults.shard_mutants import FAULTS, judge, run, write_seeds


def test_no_damaged_file_is_accepted_or_causes_a_crash_or_a_hang(tmp_path):
    outcome = run(102, 3, tmp_path)
    assert sum(outcome.values()) == 102
    assert {verdict for _, verdict in outcome} & set(FAULTS) == set()
    assert sum(count for (_, verdict), count in outcome.items() if verdict == "refused") > 60


def test_undamaged_shards_of_every_kind_are_read(tmp_path):
    assert {judge(seed.folder) for seed in write_seeds(tmp_path)} == {("same", "")}
