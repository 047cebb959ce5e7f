"""Recordings of people → the utterances and files of a small corpus; every spoof is made of a recording."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from spoofcache.common import cli
from spoofcache.common.files import new_folder
from spoofcache.features.waveform import Waveform
from spoofcache.protocols.trial import UNKNOWN
from spoofcache.tools.demo_corpus import FIRST_FOLDER, layout
from spoofcache.tools.demo_corpus.asv import Verifier, check_tdcf, embed
from spoofcache.tools.demo_corpus.finish import finish
from spoofcache.tools.demo_corpus.parallel import Mapper
from spoofcache.tools.demo_corpus.plan import PARTITIONS, Plan, PlannedTrial, make_plan, recordings_wanted
from spoofcache.tools.demo_corpus.recordings import Recording, find_speech, take_in
from spoofcache.tools.spoofing import ATTACKS
from spoofcache.tools.spoofing.request import Request, Voice, voice_of
from spoofcache.tools.spoofing.spectrum import FloatArray

MAX_SPEAKERS = 20
"""More would need many recordings: every speaker takes some for enrolment."""


class Utterance(NamedTuple):
    """The waveform of a trial, and its embedding for the speaker verification system."""

    waveform: Waveform
    """[n] at 16 kHz."""
    embedding: FloatArray
    """[38]."""


@dataclass(frozen=True)
class Maker:
    """Makes the utterances of a plan: bona fide trials from recordings, spoofs by the generator of their attack."""

    voices: Mapping[str, Voice]
    coded: bool
    seed: int

    def bonafide(self, recording: Recording) -> Waveform:
        """The bona fide utterance [n] of a recording. A file that is already G.722 is not coded again."""
        return finish(recording.speech(), self.coded and not recording.is_g722)

    def enrol(self, recording: Recording) -> FloatArray:
        """The embedding [38] of a recording for the speaker verification system."""
        return embed(self.bonafide(recording))

    def make(self, numbered: tuple[int, PlannedTrial]) -> Utterance:
        """The utterance of a trial, given with its number in the plan."""
        number, trial = numbered
        if trial.attack == UNKNOWN:
            waveform = self.bonafide(trial.source)
        else:
            rng = np.random.default_rng((self.seed, number))  # its own: no utterance depends on another
            request = Request(trial.source.speech(), self.voices[trial.speaker], rng)
            waveform = finish(ATTACKS[trial.attack].generator(request), self.coded)
        return Utterance(waveform, embed(waveform))


@dataclass(frozen=True)
class Options:
    """The sizes and the manner of a corpus."""

    sizes: Mapping[str, int]
    """Utterances in `train`, `dev`, `eval`."""
    speaker_pattern: str = FIRST_FOLDER
    """See `find_speech`."""
    codec: str = "auto"
    """`g722` sends every utterance through G.722 once, `none` does not, `auto` does if any recording is G.722."""
    seed: int = 0
    """The same seed with the same recordings gives the same bytes."""


def build(speech: Path, out: Path, options: Options, mapping: Mapper = map) -> Iterator[str]:
    """Make the corpus, and report line by line what was made. `out` appears when the corpus is complete.

    Args:
        speech: folder of recordings.
        out: folder of the corpus; it must not exist.
        options: sizes and manner of the corpus.
        mapping: `map`, or a function like it that spreads the work over processes.

    Raises:
        SpeechError: no corpus can be made of this speech.
    """
    rng = np.random.default_rng(options.seed)
    files = find_speech(speech, options.speaker_pattern)
    if len(files) > MAX_SPEAKERS:
        yield f"Taking {MAX_SPEAKERS} of {len(files)} speakers, drawn at random by --seed"
        files = {speaker: files[speaker] for speaker in sorted(rng.choice(list(files), MAX_SPEAKERS, replace=False))}
    wanted = recordings_wanted(options.sizes, len(files))
    with cli.progress("Choosing recordings", wanted) as advance:
        intake = take_in(files, wanted, rng, advance, mapping)
    yield intake.summary()
    plan = make_plan(intake.by_speaker, options.sizes, rng)
    coded = options.codec == "g722" or (options.codec == "auto" and any(t.source.is_g722 for t in plan.trials))
    voices = {speaker: voice_of(speaker, [r.speech() for r in found]) for speaker, found in plan.enrolment.items()}
    with new_folder(out) as folder:
        (folder / "flac").mkdir()
        (folder / "protocols").mkdir()
        maker = Maker(voices, coded, options.seed)
        yield from _write(folder, plan, maker, mapping)
        layout.write_mapping(folder, speech, plan.trials)
        layout.write_readme(folder, speech, plan, coded)


def _write(folder: Path, plan: Plan, maker: Maker, mapping: Mapper) -> Iterator[str]:
    embeddings: list[FloatArray] = []
    with cli.progress("Making utterances", len(plan.trials)) as advance:
        utterances = mapping(maker.make, enumerate(plan.trials))
        for trial, utterance in zip(plan.trials, utterances, strict=True):
            layout.write_flac(folder / "flac", trial.utt_id, utterance.waveform)
            embeddings.append(utterance.embedding)
            advance(1)
    verifier = Verifier({speaker: list(mapping(maker.enrol, found)) for speaker, found in plan.enrolment.items()})
    for partition in PARTITIONS:
        heard = [(t, e) for t, e in zip(plan.trials, embeddings, strict=True) if t.partition == partition]
        trials = [trial for trial, _ in heard]
        layout.write_protocol(folder / "protocols", partition, trials)
        yield _count(partition, trials)
        if partition != "train":
            rows = verifier.judge((t.attack, t.speaker, e) for t, e in heard)
            layout.write_asv_scores(folder, partition, rows)
            yield f"{partition}: EER of the speaker verification {check_tdcf(rows, partition):.1%}"


def _count(partition: str, trials: list[PlannedTrial]) -> str:
    counts = Counter(trial.attack for trial in trials)
    n_bonafide = counts.pop(UNKNOWN, 0)
    attacks = ", ".join(f"{attack} {count}" for attack, count in sorted(counts.items()))
    return f"{partition}: {n_bonafide} bona fide + {counts.total()} spoof ({attacks})"
