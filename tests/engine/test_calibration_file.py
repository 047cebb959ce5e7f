"""The file in a run folder that keeps calibration and threshold."""

import json

import pytest

from spoofcache.engine.about import RunError
from spoofcache.engine.calibration_file import CALIBRATION, read_decision, write_decision
from spoofcache.metrics.decision import Decision

FITTED = Decision(2.0, -1.0, 0.25, 0.1, "LA/dev", 30, 70, "ab" * 32)


def test_what_was_kept_is_read_again_and_only_for_the_same_weights(tmp_path):
    other = Decision(1.0, 0.0, 0.0, 0.5, "ITW", 1, 1, "cd" * 32)
    write_decision(tmp_path, "best", FITTED)
    write_decision(tmp_path, "average", other)
    assert read_decision(tmp_path, "best", "ab" * 32) == FITTED
    assert read_decision(tmp_path, "average", "cd" * 32) == other
    assert read_decision(tmp_path, "best", "cd" * 32) is None
    assert read_decision(tmp_path / "elsewhere", "best", "ab" * 32) is None


def kept(**changes):
    return json.dumps({"best": {**FITTED.__dict__, **changes}})


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", '{"best": 3}', '{"best": {}}', kept(slope="2"), kept(slope=-1.0), kept(offset=1e999), kept(more=1)],
)
def test_a_damaged_file_is_refused_with_its_name(tmp_path, text):
    (tmp_path / CALIBRATION).write_text(text)
    with pytest.raises(RunError, match=CALIBRATION):
        read_decision(tmp_path, "best", "ab" * 32)
