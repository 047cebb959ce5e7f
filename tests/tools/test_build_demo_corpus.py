"""The demo's corpus: what it takes in, how it divides it, and that nothing trivial tells its classes apart."""

import csv
import filecmp
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from spoofcache.evaluation.asvspoof2019 import evaluate_2019
from spoofcache.evaluation.evaluation_set import EvaluationSet
from spoofcache.evaluation.trials import list_trials
from spoofcache.metrics.asv_files import read_asv_scores
from spoofcache.metrics.det import equal_error_rate
from spoofcache.protocols.asvspoof19 import PROTOCOL_SUFFIX, read_protocol
from spoofcache.tools.build_demo_corpus import main
from spoofcache.tools.demo_corpus import FIRST_FOLDER
from spoofcache.tools.demo_corpus.asv import AsvScore, check_tdcf
from spoofcache.tools.demo_corpus.build import Maker, Options, build
from spoofcache.tools.demo_corpus.finish import PEAK, RMS, finish, limit, through_g722, trim
from spoofcache.tools.demo_corpus.layout import write_readme
from spoofcache.tools.demo_corpus.parallel import spread
from spoofcache.tools.demo_corpus.plan import ENROLMENT, Plan, make_plan, recordings_wanted
from spoofcache.tools.demo_corpus.recordings import (
    Recording,
    SpeechError,
    find_speech,
    inspect_recording,
    read_speech,
    select_recordings,
)
from spoofcache.tools.spoofing import ATTACKS

SIZES = {"train": 8, "dev": 8, "eval": 8}


@pytest.fixture(scope="module")
def corpus(speech, tmp_path_factory):
    """A corpus of 24 utterances."""
    out = tmp_path_factory.mktemp("corpora") / "corpus"
    list(build(speech, out, Options(SIZES)))
    return out


@pytest.fixture(scope="module")
def trials(corpus):
    """Trials by partition."""
    return {
        partition: read_protocol(corpus / "protocols" / f"DEMO.cm.{suffix}.txt")
        for partition, suffix in PROTOCOL_SUFFIX.items()
    }


@pytest.fixture(scope="module")
def mapping(corpus):
    """Rows of mapping.csv."""
    with (corpus / "mapping.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def waveforms(corpus):
    """Samples of every utterance, by name."""
    return {path.stem: soundfile.read(path)[0] for path in sorted((corpus / "flac").iterdir())}


def tone(hertz, seconds=2.0):
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * 16_000)) / 16_000)).astype(np.float32)


class TestCorpus:
    def test_half_of_each_partition_is_bona_fide(self, trials):
        for partition, found in trials.items():
            assert len(found) == SIZES[partition]
            assert sum(trial.label for trial in found) == SIZES[partition] // 2

    def test_every_trial_has_its_file_and_no_file_is_left_over(self, trials, waveforms):
        assert sorted(trial.utt_id for found in trials.values() for trial in found) == sorted(waveforms)

    def test_train_and_dev_share_their_attacks_and_eval_has_others(self, trials):
        attacks = {p: {t.attack for t in found if t.key == "spoof"} for p, found in trials.items()}
        assert attacks["train"] == attacks["dev"]
        assert attacks["eval"].isdisjoint(attacks["train"])
        assert attacks["eval"] | attacks["train"] == set(ATTACKS)

    def test_no_recording_is_used_twice(self, mapping):
        sources = [row["source"] for row in mapping]
        assert len(set(sources)) == len(sources)

    def test_a_copy_claims_its_own_speaker_and_a_conversion_another(self, mapping):
        for row in mapping:
            imitates = row["attack"] != "-" and ATTACKS[row["attack"]].imitates
            assert (row["speaker"] != row["source_speaker"]) == imitates

    def test_files_are_16_khz_mono_16_bit(self, corpus):
        for path in (corpus / "flac").iterdir():
            info = soundfile.info(path)
            assert (info.samplerate, info.channels, info.subtype, info.format) == (16_000, 1, "PCM_16", "FLAC")

    def test_level_peak_and_mean_are_the_same_for_all(self, waveforms, mapping):
        levels = {name: 20 * np.log10(np.sqrt(np.mean(w**2)) / RMS) for name, w in waveforms.items()}
        bonafide = {row["utterance"] for row in mapping if row["attack"] == "-"}
        assert all(abs(level) < 0.01 for name, level in levels.items() if name in bonafide)
        assert all(-1 < level < 0.01 for level in levels.values())
        assert np.mean([level for name, level in levels.items() if name not in bonafide]) > -0.2
        for waveform in waveforms.values():
            assert PEAK * 0.9 < np.abs(waveform).max() < PEAK * 1.001
            assert abs(waveform.mean()) < 0.02 * RMS  # what the limiter makes of lopsided pulses

    def test_no_utterance_begins_or_ends_in_silence(self, waveforms):
        for waveform in waveforms.values():
            for edge in (waveform[:800], waveform[-800:]):
                assert 20 * np.log10(np.sqrt(np.mean(edge**2)) / RMS) > -35

    def test_the_speaker_verification_is_better_than_chance(self, corpus):
        for partition in ("dev", "eval"):
            scores = read_asv_scores(corpus / f"DEMO.asv.{partition}.gi.trl.scores.txt")
            assert scores.target.size == SIZES[partition] // 2
            assert scores.nontarget.size == scores.target.size  # two speakers
            assert scores.spoof.size == SIZES[partition] // 2
            assert equal_error_rate(scores.target, scores.nontarget).rate < 0.5

    def test_the_t_dcf_is_defined(self, corpus, trials):
        listed = list_trials(trials["eval"], trials["eval"], corpus)
        asv = read_asv_scores(corpus / "DEMO.asv.eval.gi.trl.scores.txt")
        perfect = {"perfect": listed.is_bonafide.astype(float)}
        assert evaluate_2019(EvaluationSet("eval", listed, perfect, asv)).pooled.min_tdcf == 0

    def test_the_same_seed_gives_the_same_bytes(self, speech, corpus, tmp_path):
        list(build(speech, tmp_path / "again", Options(SIZES)))
        names = [path.relative_to(corpus) for path in corpus.rglob("*") if path.is_file()]
        same, *others = filecmp.cmpfiles(corpus, tmp_path / "again", names, shallow=False)
        assert len(same) == len(names)
        assert others == [[], []]


class TestCommand:
    def run(self, *arguments):
        result = CliRunner().invoke(main, [*map(str, arguments), "--workers", "1"])
        return result.exit_code, result.output

    def test_an_existing_folder_is_refused(self, speech, tmp_path):
        (tmp_path / "kept").write_text("")
        status, output = self.run("--speech", speech, "--out", tmp_path)
        assert status == 2
        assert "exists already; expected a new folder" in output
        assert [path.name for path in tmp_path.iterdir()] == ["kept"]

    def test_one_speaker_is_refused_with_what_is_expected(self, speech, tmp_path):
        status, output = self.run("--speech", speech / "builtin-1", "--out", tmp_path / "out")
        assert status == 2
        assert "two speakers or more, each with a folder of its own" in output

    def test_too_few_recordings_are_refused(self, speech, tmp_path):
        status, output = self.run("--speech", speech, "--out", tmp_path / "out", "--train", 400)
        assert status == 2
        assert "Inspected 44 of 44 audio files: selected 44" in output
        assert "28 usable recordings in addition to those for enrolment; expected at least" in output

    @pytest.mark.parametrize("pattern", ["(", "builtin"])
    def test_a_bad_pattern_is_refused(self, speech, tmp_path, pattern):
        status, output = self.run("--speech", speech, "--out", tmp_path / "out", "--speaker", pattern)
        assert status == 2
        assert "--speaker" in output

    def test_an_interrupted_build_leaves_nothing(self, speech, tmp_path, monkeypatch):
        def interrupt(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr("spoofcache.tools.demo_corpus.layout.write_flac", interrupt)
        status, _ = self.run("--speech", speech, "--out", tmp_path / "out", "--train", 16, "--dev", 16, "--eval", 16)
        assert status == 130
        assert list(tmp_path.iterdir()) == []


class TestIntake:
    @pytest.mark.parametrize(
        ("waveform", "reason"),
        [
            (tone(440), "a tone"),
            (tone(697) + tone(1209), "a tone"),
            (np.zeros(32_000, np.float32), "silent"),
            (0.1 * np.random.default_rng(0).standard_normal(32_000), "mostly unvoiced"),
            (tone(200, seconds=0.5), "shorter than 1.5 s"),
        ],
        ids=["tone", "dial tone", "silence", "noise", "short"],
    )
    def test_what_is_no_speech_is_refused(self, tmp_path, waveform, reason):
        soundfile.write(tmp_path / "a.wav", waveform, 16_000)
        assert inspect_recording(tmp_path / "a.wav").reason.startswith(reason)

    def test_an_empty_file_is_refused(self, tmp_path):
        (tmp_path / "a.g722").write_bytes(b"")
        assert inspect_recording(tmp_path / "a.g722").reason == "empty or unreadable as audio"

    def test_speech_is_taken(self, tmp_path, utterance):
        soundfile.write(tmp_path / "a.wav", utterance, 16_000)
        assert inspect_recording(tmp_path / "a.wav").reason == ""

    def test_long_speech_is_cut(self, tmp_path, utterance):
        soundfile.write(tmp_path / "a.wav", np.tile(utterance, 4), 16_000)
        assert 4.5 * 16_000 < len(read_speech(tmp_path / "a.wav")) <= 5 * 16_000

    def test_the_same_recording_under_two_names_is_taken_once(self, tmp_path, utterance):
        for name in ("a.wav", "b.wav"):
            soundfile.write(tmp_path / name, utterance, 16_000)
        files = {"one": [tmp_path / "a.wav", tmp_path / "b.wav"]}
        selection = select_recordings(files, 2, np.random.default_rng(0), lambda n: None)
        assert len(selection.by_speaker["one"]) == 1
        assert selection.summary() == "Inspected 2 of 2 audio files: selected 1; 1 identical to another"

    def test_no_more_is_looked_at_than_needed(self, speech):
        files = find_speech(speech, FIRST_FOLDER)
        selection = select_recordings(files, 6, np.random.default_rng(0), lambda n: None)
        assert [len(found) for found in selection.by_speaker.values()] == [3, 3]

    def test_a_pattern_names_the_speakers(self, tmp_path):
        for name in ("ann_1.wav", "ann_2.mp3", "bob smith_1.flac", "notes.txt"):
            (tmp_path / name).touch()
        found = find_speech(tmp_path, r"^(\D+)_")
        assert {speaker: len(paths) for speaker, paths in found.items()} == {"ann": 2, "bob_smith": 1}


class TestPlan:
    def recordings(self, tmp_path, per_speaker, speakers=("a", "b")):
        return {s: [Recording(tmp_path / s / f"{k}.wav", s) for k in range(per_speaker)] for s in speakers}

    def test_sources_are_shared_where_recordings_are_few(self, tmp_path):
        found = self.recordings(tmp_path, ENROLMENT + 6)
        plan = make_plan(found, SIZES, np.random.default_rng(0))
        assert plan.shares_sources
        by_partition = [{t.source.path for t in plan.trials if t.partition == p} for p in SIZES]
        assert sum(map(len, by_partition)) == len(set.union(*by_partition))  # still in one partition each
        enrolled = {recording.path for group in plan.enrolment.values() for recording in group}
        assert enrolled.isdisjoint(set.union(*by_partition))

    def test_the_seed_decides(self, tmp_path):
        found = self.recordings(tmp_path, 30)
        plans = [make_plan(found, SIZES, np.random.default_rng(seed)).trials for seed in (0, 0, 1)]
        described = [[(t.utt_id, t.attack, t.speaker, t.source.path) for t in trials] for trials in plans]
        assert described[0] == described[1] != described[2]

    def test_a_speaker_of_few_recordings_is_omitted(self, tmp_path):
        found = self.recordings(tmp_path, 30) | self.recordings(tmp_path, ENROLMENT, ("c",))
        assert list(make_plan(found, SIZES, np.random.default_rng(0)).enrolment) == ["a", "b"]

    def test_many_speakers_have_enough_recordings_each(self, tmp_path):
        speakers = [f"s{k:02d}" for k in range(20)]
        each = recordings_wanted(SIZES, len(speakers)) // len(speakers)
        plan = make_plan(self.recordings(tmp_path, each, speakers), SIZES, np.random.default_rng(0))
        assert len(plan.enrolment) == 20
        assert not plan.shares_sources

    def test_one_speaker_that_is_left_is_not_enough(self, tmp_path):
        found = self.recordings(tmp_path, 30, ("a",)) | self.recordings(tmp_path, 3, ("b",))
        with pytest.raises(SpeechError, match="a 30, b 3; expected two speakers"):
            make_plan(found, SIZES, np.random.default_rng(0))


class TestFinish:
    def test_g722_keeps_length_and_sound(self, utterance):
        odd = utterance[:20_001]
        coded = through_g722(odd)
        assert len(coded) == len(odd)
        noise = coded[22:] - odd[:-22]  # the codec's delay
        assert 15 < 10 * np.log10(np.mean(odd**2) / np.mean(noise**2)) < 60

    def test_a_g722_recording_is_not_coded_again(self, utterance, monkeypatch):
        monkeypatch.setattr(Recording, "speech", lambda self: utterance)
        maker = Maker({}, coded=True, seed=0)
        assert np.array_equal(maker.bonafide(Recording(Path("a.g722"), "a")), finish(utterance, coded=False))
        assert np.array_equal(maker.bonafide(Recording(Path("a.wav"), "a")), finish(utterance, coded=True))

    @pytest.mark.parametrize("gain", [0.01, 1.0, 100.0])
    def test_limit_sets_level_and_peak_whatever_the_level(self, utterance, gain):
        limited = limit(utterance * np.float32(gain))
        assert np.sqrt(np.mean(limited.astype(np.float64) ** 2)) == pytest.approx(RMS, rel=1e-4)
        assert np.abs(limited).max() == pytest.approx(PEAK, rel=1e-4)

    def test_limit_leaves_alone_what_has_no_peaks(self):
        quiet = tone(440)
        np.testing.assert_allclose(limit(quiet), quiet * (RMS / np.sqrt(np.mean(quiet**2))), rtol=1e-4, atol=1e-6)

    def test_trim_cuts_silence_off_both_ends(self, utterance):
        core = trim(utterance)
        padded = np.pad(core, 8_000)
        assert abs(len(trim(padded)) - len(core)) < 1_024


class TestSpeakerVerification:
    ROWS = (
        *(AsvScore("bonafide", "target", s) for s in (0.6, 0.8)),
        *(AsvScore("bonafide", "nontarget", s) for s in (0.1, 0.3)),
        *(AsvScore("A01", "spoof", s) for s in (0.2, 0.9)),
    )

    def test_a_good_system_passes(self):
        assert check_tdcf(self.ROWS, "eval") == 0

    def test_a_system_no_better_than_chance_is_refused(self):
        inverted = [AsvScore(row.attack, row.key, -row.score) for row in self.ROWS]
        with pytest.raises(SpeechError, match="eval: "):
            check_tdcf(inverted, "eval")

    def test_a_system_that_no_spoof_deceives_is_refused(self):
        immune = [row for row in self.ROWS if row.key != "spoof"] + [AsvScore("A01", "spoof", -1.0)]
        with pytest.raises(SpeechError, match="t-DCF is not defined"):
            check_tdcf(immune, "eval")


def test_work_spread_over_processes_comes_back_in_order():
    with spread(2) as mapping:
        assert list(mapping(abs, range(-5, 0))) == [5, 4, 3, 2, 1]


def test_credits_beside_the_recordings_go_into_the_corpus(tmp_path):
    speech, out = tmp_path / "speech", tmp_path / "out"
    for folder in (speech, out):
        folder.mkdir()
    (speech / "LICENSE").write_text("CC BY-SA 3.0, recorded by N. N.")
    write_readme(out, speech, Plan({"a": [], "b": []}, [], shares_sources=False), coded=True)
    text = (out / "README.txt").read_text()
    assert "recorded by N. N." in text
    assert all(attack in text for attack in ATTACKS)
