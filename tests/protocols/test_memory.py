"""How much memory a protocol takes while it is read."""

import tracemalloc

from spoofcache.common.tables import source
from spoofcache.protocols.forms import read_any_protocol


def test_reading_a_table_takes_tens_of_bytes_for_a_trial(tmp_path, monkeypatch):
    """Each cell as a Python text would take more than 400."""
    monkeypatch.setattr(source, "BLOCK", 1 << 14)  # what one block takes is as much for a million trials
    path, n = tmp_path / "protocol.tsv", 30_000
    rows = "".join(f"LA_E_{row:07d}\tLA_{row % 67:04d}\tA{row % 13:02d}\tspoof\n" for row in range(n - 1))
    path.write_text(f"utt_id\tspeaker\tattack\tkey\n{rows}last\tLA_0001\t-\tbonafide\n")
    read_any_protocol(path)  # imports and caches
    tracemalloc.start()
    try:
        trials = read_any_protocol(path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert trials[-1].utt_id == "last"
    assert len(trials) == n
    assert most / n < 120
