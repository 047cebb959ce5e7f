"""The forms of score files: what is written, and what is not because it could not be read back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spoofcache.metrics.det import ScoreError
from spoofcache.metrics.score_files import read_scores
from spoofcache.metrics.scores import CmScores
from spoofcache.metrics.written_scores import FORMS, format_cm_scores


def cm_scores(*rows):
    utt_ids, attacks, keys, scores = zip(*rows, strict=True)
    return CmScores(list(utt_ids), list(attacks), np.array(keys) == "bonafide", np.array(scores, float))


TWO_TRIALS = cm_scores(("LA_E_1", "-", "bonafide", 2.5), ("LA_E_2", "A07", "spoof", -1e-8))


@pytest.mark.parametrize(
    ("form", "lines"),
    [
        ("asvspoof2019", ["LA_E_1 - bonafide 2.5\n", "LA_E_2 A07 spoof -1e-08\n"]),
        ("asvspoof2021", ["LA_E_1 2.5\n", "LA_E_2 -1e-08\n"]),
        ("asvspoof5", ["filename\tcm-score\n", "LA_E_1\t2.5\n", "LA_E_2\t-1e-08\n"]),
        ("xieyuankun", ["LA_E_1_- 2.5 bonafide\n", "LA_E_2_A07 -1e-08 spoof\n"]),
        ("tsv", ["utt_id\tattack\tkey\tscore\n", "LA_E_1\t-\tbonafide\t2.5\n", "LA_E_2\tA07\tspoof\t-1e-08\n"]),
    ],
)
def test_every_form_is_written(form, lines):
    assert list(format_cm_scores(TWO_TRIALS, form)) == lines


def test_every_form_has_a_test_above():
    assert set(FORMS) == {"asvspoof2019", "asvspoof2021", "asvspoof5", "xieyuankun", "tsv"}


@pytest.mark.parametrize("form", FORMS)
@given(numbers=st.lists(st.floats(-1e38, 1e38), min_size=2, max_size=5))
def test_what_is_written_reads_back_to_the_last_bit(tmp_path_factory, form, numbers):
    rows = [(f"u_{i}", "A07" if i else "-", "spoof" if i else "bonafide", score) for i, score in enumerate(numbers)]
    path = tmp_path_factory.getbasetemp() / f"{form}.txt"
    path.write_text("".join(format_cm_scores(cm_scores(*rows), form)))
    back = read_scores(path)
    utt_ids, attacks, keys, _ = map(list, zip(*rows, strict=True))
    assert back.scores.tobytes() == np.array(numbers).tobytes()
    assert back.utt_ids == utt_ids
    if form in ("asvspoof2019", "xieyuankun", "tsv"):
        assert (back.attacks, back.is_bonafide.tolist()) == (attacks, [key == "bonafide" for key in keys])
    else:
        assert (back.attacks, back.is_bonafide) == (None, None)


@pytest.mark.parametrize(
    ("row", "form", "sentence"),
    [
        (("u", "A07", "spoof", float("nan")), "asvspoof2019", "score nan of u; expected a finite number"),
        (("u", "A07", "spoof", -1e39), "tsv", "score -1e+39 of u; expected a finite number within ±1e+38"),
        (("a b", "A07", "spoof", 1), "asvspoof2021", "utterance 'a b' with attack 'A07' cannot be written in form asv"),
        (("", "A07", "spoof", 1), "asvspoof2019", "utterance '' with attack 'A07' cannot be written"),
        (("u\0", "A07", "spoof", 1), "tsv", "utterance 'u\\x00' with attack 'A07' cannot be written in form tsv"),
        (
            ("u", "my_tts", "spoof", 1),
            "xieyuankun",
            "utterance 'u' with attack 'my_tts' cannot be written in form xieyuankun",
        ),
        (("u", "A07", "spoof", 1), "asvspoof2017", "score form 'asvspoof2017'; expected one of asvspoof2019, asv"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(row, form, sentence):
    with pytest.raises(ScoreError) as refusal:
        format_cm_scores(cm_scores(row), form)
    assert str(refusal.value).startswith(sentence)


@pytest.mark.corpus
def test_xieyuankun_rewritten_as_asvspoof2019_is_the_same(shared, tmp_path):
    published = read_scores(shared / "data/asvspoof2019_la/cm_w2v2_lcnn_eval.txt")
    path = tmp_path / "rewritten.txt"
    path.write_text("".join(format_cm_scores(published, "asvspoof2019")))
    rewritten = read_scores(path)
    np.testing.assert_array_equal(rewritten.scores, published.scores)
    assert (rewritten.utt_ids, rewritten.attacks) == (published.utt_ids, published.attacks)
