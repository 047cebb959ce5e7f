"""Which scores belong to which protocol, what is refused, and what calibration adds."""

import re

import numpy as np
import pytest

from spoofcache.evaluation.testsets import (
    calibrated,
    evaluation_sets,
    parse_named,
    read_costs,
    read_sasv,
    with_test_sets,
)
from spoofcache.metrics.dcf import Coefficients
from spoofcache.metrics.det import ScoreError
from spoofcache.protocols.trial import ProtocolError

PROTOCOL = """SP1 b1 - - bonafide
SP1 b2 - - bonafide
SP2 s1 - A01 spoof
SP2 s2 - A02 spoof
"""
METADATA = """SP1 d1 alaw loc_tx bonafide bonafide notrim eval
SP1 d2 g722 loc_tx bonafide bonafide notrim progress
SP2 d3 alaw loc_tx A07 spoof notrim eval
SP2 d4 g722 loc_tx A08 spoof notrim progress
"""
SCORES = "s2 A02 spoof -3\nb1 - bonafide 2\ns1 A01 spoof -1\nb2 - bonafide 3\n"
LA_SCORES = "d1 4\nd2 3\nd3 2\nd4 1\n"
ASV = "bonafide target 2\nbonafide nontarget 0\nA01 spoof 3\nA02 spoof 0\n"


def named(*texts):
    return parse_named([str(text) for text in texts])


class TestNames:
    def test_a_system_is_named_after_its_file_or_by_the_user(self, write):
        path = write("lcnn.txt", SCORES)
        assert [(one.name, one.path) for one in named(path, f"mine={path}")] == [("lcnn", path), ("mine", path)]

    def test_a_file_whose_name_has_an_equals_sign(self, write):
        assert named(write("lr=0.1.txt", SCORES))[0].name == "lr=0.1"

    def test_an_empty_name_is_refused(self, write):
        with pytest.raises(ScoreError, match="expected FILE or NAME=FILE"):
            named(f"={write('a.txt', SCORES)}")

    def test_a_missing_file_is_named(self, tmp_path):
        with pytest.raises(ScoreError, match=r"none.txt: no such file; expected FILE or NAME=FILE"):
            named(tmp_path / "none.txt")


class TestSets:
    def test_scores_come_in_the_order_of_the_protocol(self, write):
        (one,) = evaluation_sets(named(write("a.txt", SCORES)), named(write("P.txt", PROTOCOL)))
        assert one.name == "P"
        assert one.trials.utt_ids == ["b1", "b2", "s1", "s2"]
        assert one.systems["a"].tolist() == [2, 3, -1, -3]
        assert one.trials.columns["attack"].tolist() == ["-", "-", "A01", "A02"]
        assert one.trials.columns["speaker"].tolist() == ["SP1", "SP1", "SP2", "SP2"]

    def test_without_a_protocol_the_first_file_has_the_keys(self, write):
        plain = write("plain.txt", "b1 9\nb2 8\ns1 7\ns2 6\n")
        (one,) = evaluation_sets(named(write("a.txt", SCORES), plain))
        assert one.trials.utt_ids == ["s2", "b1", "s1", "b2"]
        assert one.systems["plain"].tolist() == [6, 9, 7, 8]

    def test_each_file_goes_to_the_protocol_whose_trials_it_scores(self, write):
        tests = named(write("P.txt", PROTOCOL), write("LA.txt", METADATA))
        files = named(f"a={write('1.txt', LA_SCORES)}", f"a={write('2.txt', SCORES)}")
        la, p = sorted(evaluation_sets(files, tests), key=lambda one: one.name)
        assert (la.name, la.systems["a"].tolist()) == ("LA", [4, 3, 2, 1])
        assert (p.name, p.systems["a"].tolist()) == ("P", [2, 3, -1, -3])

    def test_where_excludes_trials_from_protocol_and_scores(self, write):
        metadata, files = write("LA.txt", METADATA), named(write("a.txt", LA_SCORES))
        (one,) = evaluation_sets(files, named(metadata), where=["phase=eval"])
        assert one.trials.utt_ids == ["d1", "d3"]
        assert one.systems["a"].tolist() == [4, 2]
        assert one.trials.columns["codec"].tolist() == ["alaw", "alaw"]

    @pytest.mark.parametrize(
        ("scores", "sentence"),
        [
            (SCORES.replace("b2 - bonafide 3\n", ""), "1 of 4 trials have no score"),
            (SCORES + "b9 - bonafide 3\n", "1 of 5 scores belong to no trial"),
            (SCORES.replace("s1 A01 spoof", "s1 - bonafide"), "keys"),
            (SCORES.replace("s1 A01", "s1 A02"), "attacks"),
        ],
    )
    def test_scores_that_contradict_the_protocol_are_refused(self, write, scores, sentence):
        with pytest.raises(ScoreError, match=sentence):
            evaluation_sets(named(write("a.txt", scores)), named(write("P.txt", PROTOCOL)))

    def test_protocols_of_one_file_name_take_names(self, tmp_path):
        for folder, content, scores in (("LA", METADATA, LA_SCORES), ("DF", PROTOCOL, SCORES)):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "trial_metadata.txt").write_text(content)
            (tmp_path / folder / "scores.txt").write_text(scores)
        tests = [f"{name}={tmp_path / name}/trial_metadata.txt" for name in ("LA", "DF")]
        files = named(*(f"ours={tmp_path / name}/scores.txt" for name in ("LA", "DF")))
        assert [one.name for one in evaluation_sets(files, named(*tests))] == ["LA", "DF"]
        with pytest.raises(ScoreError, match="two have the same name; give each its own, NAME=FILE"):
            evaluation_sets(files, named(*(test.partition("=")[2] for test in tests)))

    def test_a_protocol_without_scores_is_named(self, write):
        tests = named(write("P.txt", PROTOCOL), write("LA.txt", METADATA))
        with pytest.raises(ScoreError, match="protocol LA: no score file has scores of its utterances"):
            evaluation_sets(named(write("a.txt", SCORES)), tests)

    def test_endings_of_audio_files_do_not_hide_a_protocol(self, write):
        tests = named(write("P.txt", PROTOCOL), write("meta.csv", "utt_id,label\n0.wav,bona-fide\n1.wav,spoof\n"))
        files = named(f"a={write('1.txt', SCORES)}", f"a={write('2.txt', '0 1.5' + chr(10) + '1 -1' + chr(10))}")
        assert [one.name for one in evaluation_sets(files, tests)] == ["P", "meta"]

    def test_what_was_read_is_noted_and_what_could_not_be_checked_is_warned_of(self, write):
        scores, protocol = write("a.txt", LA_SCORES.replace("1\n", "-1\n")), write("LA.txt", METADATA)
        (one,) = evaluation_sets(named(f"ours={scores}"), named(protocol))
        assert one.notes == (f"Protocol: {protocol}, 4 trials.", f"Scores: ours = {scores}.")
        assert one.warnings == (
            "the phases eval, progress are pooled; published figures are of phase eval alone (--where phase=eval)",
        )
        (one,) = evaluation_sets(named(scores), named(protocol), ["phase=eval"])
        assert one.notes[0] == f"Protocol: {protocol} where phase=eval, 2 trials."
        assert one.warnings == ()
        (one,) = evaluation_sets(named(write("keyed.txt", SCORES)))
        assert "no protocol was given" in one.warnings[0]

    def test_one_system_has_one_file_for_a_test_set(self, write):
        files = named(f"a={write('1.txt', SCORES)}", f"a={write('2.txt', SCORES)}")
        with pytest.raises(ScoreError, match=r"2.txt: a second file of system a; give each a name"):
            evaluation_sets(files, named(write("P.txt", PROTOCOL)))

    def test_a_file_of_no_protocol_is_refused(self, write):
        tests = named(write("P.txt", PROTOCOL), write("LA.txt", METADATA))
        with pytest.raises(
            ScoreError, match=r"x.txt: it scores none of the utterances of P, LA; expected those of one of them"
        ):
            evaluation_sets(named(write("x.txt", "x 1\ny 2\n")), tests)

    def test_a_single_class_is_refused(self, write):
        where = ["codec=alaw", "attack=-"]
        with pytest.raises(ProtocolError, match=r"LA.txt: all 1 trials are bonafide"):
            evaluation_sets(named(write("a.txt", "d1 4\n")), named(write("LA.txt", METADATA)), where)

    def test_where_needs_a_protocol(self, write):
        with pytest.raises(ScoreError, match="--where phase=eval needs a --protocol"):
            evaluation_sets(named(write("a.txt", SCORES)), where=["phase=eval"])


class TestSeveralSets:
    """Two parts of one corpus, P and Q, and files that score one part, the other, or both."""

    @pytest.fixture
    def protocols(self, write):
        q = PROTOCOL.replace("b1", "c1").replace("b2", "c2").replace("s1", "t1").replace("s2", "t2")
        return named(write("P.txt", PROTOCOL), write("Q.txt", q))

    def judged(self, protocols, *files):
        found = evaluation_sets(with_test_sets(named(*files), protocols), protocols)
        return {one.name: {name: scores.tolist() for name, scores in one.systems.items()} for one in found}

    @pytest.fixture
    def both(self, write):
        return write("both.txt", "b1 9\nb2 8\ns1 7\ns2 6\nc1 5\nc2 4\nt1 3\nt2 2\n")

    def test_a_file_that_covers_two_is_refused_with_both_names(self, protocols, both):
        with pytest.raises(ScoreError) as refused:
            self.judged(protocols, f"a={both}")
        assert str(refused.value) == (
            f"{both}: it scores all trials of P (4) and Q (4); expected a@P={both} or a@Q={both}, or both, to choose"
        )

    def test_the_user_chooses_the_set_of_a_file(self, protocols, both, write):
        p, q = {"a": [9, 8, 7, 6]}, {"a": [5, 4, 3, 2]}
        assert self.judged(protocols, f"a@P={both}", f"a@Q={both}") == {"P": p, "Q": q}
        ours = write("ours.txt", "c1 1\nc2 2\nt1 3\nt2 4\n")
        assert self.judged(protocols, f"a@P={both}", ours) == {"P": p, "Q": {"ours": [1, 2, 3, 4]}}

    @pytest.mark.parametrize(
        ("scored", "fault"),
        [
            ("b1 9\nb2 8\ns1 7\ns2 6\nx 1\n", r"1 of 5 scores belong to no trial \(x\)"),
            ("b1 9\nb2 8\ns1 7\nc1 5\n", r"1 of 4 trials have no score \(s2\); expected"),
        ],
    )
    def test_a_file_whose_set_is_chosen_must_have_exactly_its_trials(self, protocols, both, write, scored, fault):
        with pytest.raises(ScoreError, match=f"against P: {fault}"):
            self.judged(protocols, f"a@P={write('a.txt', scored)}", f"b@Q={both}")

    def test_a_file_of_one_set_and_a_part_of_the_other_goes_to_the_one(self, protocols, write):
        file = write("a.txt", "b1 9\nb2 8\ns1 7\ns2 6\nc1 5\n")
        with pytest.raises(ScoreError, match=r"a.txt against P: 1 of 5 scores belong to no trial \(c1\)"):
            self.judged(protocols, file)

    def test_parts_of_two_sets_are_counted(self, protocols, write):
        with pytest.raises(ScoreError) as refused:
            self.judged(protocols, write("a.txt", "b1 9\nb2 8\ns1 7\nc1 5\n"))
        assert str(refused.value).endswith(
            "a.txt: it scores 3 of 4 trials of P and 1 of 4 trials of Q; expected all trials of one of P, Q"
        )

    def test_a_part_of_one_set_lacks_scores(self, protocols, write):
        with pytest.raises(ScoreError, match=r"a.txt against Q: 2 of 4 trials have no score \(t1, t2\)"):
            self.judged(protocols, write("a.txt", "c1 5\nc2 4\n"), write("b.txt", SCORES))

    def test_a_set_that_does_not_exist_is_refused(self, protocols, both):
        with pytest.raises(ScoreError, match=r"^a@R: no protocol is called 'R'; expected one of P, Q$"):
            self.judged(protocols, f"a@R={both}")
        with pytest.raises(ScoreError, match=r"^@P: the system has no name; expected SYSTEM@P=FILE$"):
            self.judged(protocols, f"@P={both}")

    def test_with_one_protocol_an_at_sign_may_belong_to_the_name(self, protocols, write):
        file = write("a.txt", SCORES)
        assert self.judged(protocols[:1], f"a@epoch7={file}") == {"P": {"a@epoch7": [2, 3, -1, -3]}}
        assert self.judged(protocols[:1], f"a@P={file}") == {"P": {"a": [2, 3, -1, -3]}}


class TestAsv:
    def test_one_file_serves_every_protocol(self, write):
        other_protocol, other_scores = (re.sub(r"\b([bs])(\d)", r"other_\1\2", text) for text in (PROTOCOL, SCORES))
        protocols = named(write("P.txt", PROTOCOL), write("Q.txt", other_protocol))
        files = named(f"a={write('1.txt', SCORES)}", f"a={write('2.txt', other_scores)}")
        first, second = evaluation_sets(files, protocols, asv=[write("asv.txt", ASV)])
        assert first.asv.target.tolist() == second.asv.target.tolist() == [2]

    def test_asv_scores_of_another_corpus_are_refused(self, write):
        asv = write("asv.txt", ASV.replace("A02", "A19"))
        with pytest.raises(ScoreError, match=r"P with .*asv.txt: the ASV scores lack A02"):
            evaluation_sets(named(write("a.txt", SCORES)), named(write("P.txt", PROTOCOL)), asv=[asv])

    def test_there_is_one_asv_file_or_one_for_each_protocol(self, write):
        asv = [write("asv.txt", ASV)] * 2
        with pytest.raises(ScoreError, match="2 files of ASV scores for 1 protocols; expected one for each, or one"):
            evaluation_sets(named(write("a.txt", SCORES)), named(write("P.txt", PROTOCOL)), asv=asv)


class TestCosts:
    def test_coefficients_by_condition(self, write):
        path = write("costs.tsv", "condition\tc0\tc1\tc2\npooled\t0.1\t0.8\t0.4\nalaw\t0\t1\t1\n")
        assert read_costs(path) == {"pooled": Coefficients(0.1, 0.8, 0.4), "alaw": Coefficients(0, 1, 1)}

    @pytest.mark.parametrize(
        ("content", "sentence"),
        [
            ("c0\tc1\n", "costs.tsv:1: header 'c0 c1'; expected condition c0 c1 c2"),
            ("condition\tc0\tc1\tc2\nalaw\t1\t2\n", "costs.tsv:2: 3 columns; expected 4: condition c0 c1 c2"),
            ("condition\tc0\tc1\tc2\nalaw\t1\t2\r\t3\n", "costs.tsv:2: new-line character .* expected a row of cells"),
            ("condition\tc0\tc1\tc2\nalaw\t1\t2\tx\n", "costs.tsv:2: 'alaw 1 2 x'; expected"),
            ("condition\tc0\tc1\tc2\nalaw\t0\t1_0\t1\n", "costs.tsv:2: 'alaw 0 1_0 1'; expected"),
            ("condition\tc0\tc1\tc2\nalaw\t0\t-1\t1\n", "costs.tsv:2: C0 = 0, C1 = -1, C2 = 1; expected"),
            ("condition\tc0\tc1\tc2\na\t0\t1\t1\na\t0\t1\t1\n", "costs.tsv:3: condition a occurs twice"),
        ],
    )
    def test_a_coefficient_that_is_not_a_cost_is_refused_with_its_line(self, write, content, sentence):
        with pytest.raises((ScoreError, ProtocolError), match=sentence):
            read_costs(write("costs.tsv", content))


class TestSasv:
    def test_a_system_has_one_file(self, write):
        path = write("sasv.txt", ASV)
        assert list(read_sasv(named(f"a={path}", f"b={path}"))) == ["a", "b"]
        with pytest.raises(ScoreError, match="a second file of system a"):
            read_sasv(named(f"a={path}", f"a={path}"))


class TestCalibration:
    def sets(self, write, seed, names=("a", "b")):
        rng = np.random.default_rng(seed)
        lines = {name: [] for name in names}
        for i in range(400):
            key, attack = ("bonafide", "-") if i % 2 else ("spoof", "A01")
            for name in names:
                lines[name].append(f"u{i} {attack} {key} {rng.normal(i % 2, 0.5)}\n")
        return named(*(f"{name}={write(f'{name}{seed}.txt', ''.join(lines[name]))}" for name in names))

    def test_every_system_gets_a_calibrated_version_and_all_a_fusion(self, write):
        (evaluated,) = evaluation_sets(self.sets(write, 1))
        judged = calibrated(evaluated, self.sets(write, 2), None, fuse=True)
        assert list(judged.systems) == ["a", "b", "a, calibrated", "b, calibrated", "fusion"]
        assert judged.derived == ("a, calibrated", "b, calibrated", "fusion")
        # means 0 and 1, deviation ½: the log-likelihood ratio is 4·score − 2
        slope, offset = np.polyfit(judged.systems["a"], judged.systems["a, calibrated"], 1)
        assert (slope, offset) == (pytest.approx(4, rel=0.2), pytest.approx(-2, abs=0.5))
        assert judged.notes[-1].startswith("Logistic fusion, fitted on ")
        assert "a2.txt, " in judged.notes[-1]
        assert "b2.txt: fusion = " in judged.notes[-1]

    def test_scores_to_be_judged_are_no_development_scores(self, write):
        systems = self.sets(write, 1)
        (evaluated,) = evaluation_sets(systems)
        with pytest.raises(
            ScoreError, match="system a: 400 of the development scores are those of trials to be judged"
        ):
            calibrated(evaluated, systems, None, fuse=False)

    def test_a_system_cannot_have_the_name_of_a_new_one(self, write):
        (evaluated,) = evaluation_sets(self.sets(write, 1, names=("a", "fusion")))
        with pytest.raises(ScoreError, match="a system is called 'fusion'"):
            calibrated(evaluated, self.sets(write, 2, names=("a", "fusion")), None, fuse=True)

    def test_one_system_has_nothing_to_be_fused_with(self, write):
        (evaluated,) = evaluation_sets(self.sets(write, 1, names=("a",)))
        with pytest.raises(ScoreError, match="has one system; expected two or more"):
            calibrated(evaluated, self.sets(write, 2, names=("a",)), None, fuse=True)

    def test_a_system_without_development_scores_is_named(self, write):
        (evaluated,) = evaluation_sets(self.sets(write, 1))
        with pytest.raises(ScoreError, match="system b has no development scores; expected --calibrate b=FILE"):
            calibrated(evaluated, self.sets(write, 2, names=("a",)), None, fuse=False)

    def test_development_scores_of_no_system_are_refused(self, write):
        (evaluated,) = evaluation_sets(self.sets(write, 1))
        with pytest.raises(ScoreError, match="system a has no development scores"):
            calibrated(evaluated, self.sets(write, 2, names=("x",)), None, fuse=False)

    def test_an_inverted_sign_on_dev_names_the_system(self, write):
        (evaluated,) = evaluation_sets(self.sets(write, 1, names=("a",)))
        dev = write("dev.txt", "u1 - bonafide -1\nu2 - bonafide -2\nu3 A01 spoof 1\nu4 A01 spoof -1.5\n")
        with pytest.raises(ScoreError, match="a, calibrated: the development scores are higher for spoof"):
            calibrated(evaluated, named(f"a={dev}"), None, fuse=False)
