"""Which trials a condition on a column selects, and which conditions are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoofcache.protocols.conditions import select
from spoofcache.protocols.trial import ProtocolError, Trial

TRIALS = [
    Trial("a", "spoof", "A01", "S1", conditions={"codec": "alaw", "phase": "eval", "snr": "9.5"}),
    Trial("b", "spoof", "A02", "S1", conditions={"codec": "opus", "phase": "progress", "snr": "10"}),
    Trial("c", "bonafide", "-", "S2", conditions={"phase": "eval", "snr": "-2e1"}),
    Trial("d", "bonafide", "-", "S3", conditions={"codec": "opus", "phase": "eval"}),
]


def ids(trials):
    return "".join(trial.utt_id for trial in trials)


@pytest.mark.parametrize(
    ("conditions", "selected"),
    [
        ([], "abcd"),
        (["phase=eval"], "acd"),
        (["codec=alaw,opus"], "abd"),
        (["codec=-"], "c"),
        (["phase=eval", "codec=opus,-"], "cd"),
        (["speaker=S1", "attack=A02"], "b"),
        (["key=bonafide"], "cd"),
        (["codec!=opus"], "ac"),
        (["codec!=opus,-"], "a"),
        (["attack!=A01"], "bcd"),
        (["phase != progress"], "acd"),
        (["snr>=10"], "b"),
        (["snr<10"], "ac"),  # as numbers: as text, 9.5 would come after 10
        (["snr>10,-"], "d"),
        (["snr<=10,-"], "abcd"),
        (["snr > -20", "codec=alaw,opus"], "ab"),
        (["attack<A02,-"], "acd"),
        (["speaker>=S2"], "cd"),
    ],
    ids=" ".join,
)
def test_the_trials_that_meet_every_condition_are_selected(conditions, selected):
    assert ids(select(TRIALS, conditions)) == selected


@pytest.mark.parametrize(
    ("conditions", "sentence"),
    [
        (["phase"], "condition 'phase'; expected NAME=VALUE, NAME!=VALUE, NAME<VALUE, "),
        (["=eval"], "condition '=eval'; expected NAME=VALUE"),
        (["vocoder=x"], "column 'vocoder'; expected one of key, attack, speaker, codec, phase, snr"),
        (["vocoder<3"], "column 'vocoder'; expected one of key, attack, speaker, codec, phase, snr"),
        (["phase=eval,hidden"], "phase 'hidden': no such trial; expected some of eval, progress"),
        (["phase!=hidden"], "phase 'hidden': no such trial; expected some of eval, progress"),
        (["phase="], "phase '': no such trial; expected some of eval, progress"),
        (["phase=progress", "codec=alaw"], "codec 'alaw': no such trial; expected some of opus"),
        (
            ["phase!=eval,progress"],
            "condition phase!=eval,progress: no trial meets it; expected some of eval, progress",
        ),
        (["snr>100"], "condition snr>100: no trial meets it; expected some of -, -2e1, 10, 9.5"),
        (["snr<1,2"], "condition 'snr<1,2': < compares with one value; expected NAME=VALUE"),
        (["snr<-"], "condition 'snr<-': < compares with one value; expected NAME=VALUE"),
        (["snr<loud"], "condition snr<loud: -2e1, 10, 9.5 cannot be compared with 'loud'; expected numbers"),
        (["codec<b"], "condition codec<b: alaw, opus cannot be compared with 'b'; expected numbers"),
        (["attack<T05"], "condition attack<T05: A01, A02 cannot be compared with 'T05'; expected numbers, or values"),
    ],
    ids=str,
)
def test_other_conditions_are_refused_with_what_there_is(conditions, sentence):
    with pytest.raises(ProtocolError) as refused:
        select(TRIALS, conditions)
    assert str(refused.value).startswith(sentence)


def test_of_many_values_twenty_are_listed():
    speakers = [Trial(f"u{i}", "spoof", speaker=f"S{i:02}") for i in range(67)]
    with pytest.raises(ProtocolError, match=r"expected some of S00, S01, .*, S19 and 47 more$"):
        select(speakers, ["speaker=nobody"])


@given(st.lists(st.integers(-99, 99), min_size=1, max_size=9), st.integers(0, 8))
def test_a_sign_and_its_opposite_part_the_trials(levels, which):
    trials = [Trial(f"u{i}", "spoof", conditions={"snr": str(level)}) for i, level in enumerate(levels)]
    bound = levels[which % len(levels)]
    for sign, opposite, expected in (
        ("<=", ">", lambda level: level <= bound),
        (">=", "<", lambda level: level >= bound),
        ("=", "!=", lambda level: level == bound),
    ):
        selected = select(trials, [f"snr{sign}{bound}"])
        assert ids(selected) == ids(t for t, level in zip(trials, levels, strict=True) if expected(level))
        if len(selected) < len(trials):
            others = select(trials, [f"snr{opposite}{bound}"])
            assert sorted(ids(selected) + ids(others)) == sorted(ids(trials))
